"""Windows of scheduled jobs: equal spans of time since the epoch, and what is owed of them; pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Job:
    """Something that a schedule starts, once in each window of ``every`` (minutes divide the hour, hours the day).

    ``means`` says in a few words what does not happen while it does not run. ``once`` says that a second run in the
    same window must do nothing: the window is claimed before the work; without it the work may safely be done twice,
    and the window is only written down after it. ``patience`` is how long after its end a window may be undone before
    it is a case.
    """

    name: str
    every: timedelta
    means: str
    once: bool = True
    patience: timedelta = timedelta(minutes=30)


@dataclass(frozen=True)
class Run:
    """What one run is for: the window that begins at ``window``, and all before it back to ``since`` that are owed."""

    window: datetime
    since: datetime
    missed: int = 0


def window(job: Job, now: datetime) -> datetime:
    """The beginning of the window in which ``now`` lies."""
    return now - (now - _EPOCH) % job.every


def owed(job: Job, done: datetime | None, now: datetime) -> Run | None:
    """What a run has to do that begins ``now``; ``None`` where the window is done. ``done`` is the last one that is."""
    here = window(job, now)
    if done is None:
        return Run(here, here)
    if done >= here:
        return None
    return Run(here, done + job.every, (here - done) // job.every - 1)


def overdue(job: Job, done: datetime) -> datetime:
    """When the window that follows ``done`` must be done, else somebody is told."""
    return done + 2 * job.every + job.patience
