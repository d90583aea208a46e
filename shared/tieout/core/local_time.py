"""Local time without an offset, as some sources tell it: the moments it may mean, and how to ask for a span; pure.

When clocks are set back an hour comes twice, and nothing in ``01:30`` says which. Such a time has two moments here, and
a span is asked for so widely that none of its moments falls outside, whatever the clocks do in it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from tieout.core.clocks import time_zone

#: Clocks are set by whole quarters of an hour, at most once in so long a time.
STEP: Final = timedelta(hours=1)


def bounds(since: datetime, until: datetime, zone: str) -> tuple[datetime, datetime]:
    """Local times between which every moment from ``since`` to ``until`` is shown, without an offset.

    Of a span in which clocks are set back the bounds are wider than the span. ``NeedsHuman('bad_time_zone')``.
    """
    place, at, offsets = time_zone(zone), since, []
    while at < until:
        offsets.append(_offset(at.astimezone(place)))
        at += STEP
    offsets.append(_offset(until.astimezone(place)))
    return _plain(since) + min(offsets), _plain(until) + max(offsets)


def moments(local: datetime, zone: str) -> tuple[datetime, ...]:
    """The moments (UTC, earliest first) at which clocks in ``zone`` show ``local``: one, two, or the one that a time
    which is skipped stands for."""
    place = time_zone(zone)
    found = {local.replace(tzinfo=place, fold=fold).astimezone(UTC) for fold in (0, 1)}
    shown = sorted(one for one in found if one.astimezone(place).replace(tzinfo=None) == local)
    return tuple(shown) or (max(found),)


def shown(at: datetime, zone: str) -> datetime:
    """What clocks in ``zone`` show at a moment, without an offset."""
    return at.astimezone(time_zone(zone)).replace(tzinfo=None)


def _plain(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(tzinfo=None)


def _offset(at: datetime) -> timedelta:
    return at.utcoffset() or timedelta(0)
