"""What happens later, in world time: webhooks on their way, acknowledgements, commits that land late.

The local world owns the clock; a sandbox only asks it. Nothing runs by itself: ``run(now)`` does what is due.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol


class HasNow(Protocol):
    """A clock object."""

    def now(self) -> datetime:
        """The present instant, in UTC and aware of it."""


Clock = Callable[[], datetime]


def clock_of(source: Clock | HasNow) -> Clock:
    """Accept a callable or an object with ``now()``."""
    return source if callable(source) else source.now


class Agenda:
    """Things to do at an instant, in order of time, then of entry. Safe to use from several threads."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._lock = threading.Lock()
        self._order = itertools.count()
        self._heap: list[tuple[datetime, int, Callable[[], None]]] = []

    def after(self, seconds: int, action: Callable[[], None]) -> None:
        """Do ``action`` that many seconds of world time from now."""
        with self._lock:
            heapq.heappush(self._heap, (self.clock() + timedelta(seconds=seconds), next(self._order), action))

    def next_due(self) -> datetime | None:
        """When the next thing is due, or None."""
        with self._lock:
            return self._heap[0][0] if self._heap else None

    def run(self, now: datetime) -> int:
        """Do everything that is due at ``now``, also what that makes due; returns how many things were done.

        What an action itself puts on the agenda for this very instant is done too.
        """
        done = 0
        while (action := self._pop(now)) is not None:
            action()
            done += 1
        return done

    def _pop(self, now: datetime) -> Callable[[], None] | None:
        with self._lock:
            if self._heap and self._heap[0][0] <= now:
                return heapq.heappop(self._heap)[2]
        return None
