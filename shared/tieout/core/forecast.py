"""The burn forecast of a target: how long its backlog needs at its limit, and whether its period ends before.

Pure. A forecast is no promise: it takes limit and time of a posting as they are now, and nothing that comes new.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from tieout.core import capacity, tokens
from tieout.core.ledger import instant
from tieout.core.writes import Item

#: Milliseconds of an hour.
HOUR: Final = 3_600_000


def per_hour(item: Item, budget: capacity.Budget, skew: int) -> int:
    """Postings that a target takes in an hour: by its slots, and by each window that it limits; at least one."""
    by_slots = capacity.limit(item, budget.concurrency) * HOUR // max(1, int(item.get("ms", capacity.SLOT_MS)))
    by_rates = [rate.calls * HOUR // tokens.occupied(rate, skew) // budget.calls for rate in budget.rates]
    return max(1, min([by_slots, *by_rates]))


@dataclass(frozen=True)
class Forecast:
    """What waits at one target account, by class (the smaller goes first), and until when it needs.

    ``starts`` is when the target is tried again, where it is paused. ``entity`` is the one whose ``period`` ends first
    (at ``deadline``) of those that wait; ``None`` where no calendar knows.
    """

    target: str
    at: datetime
    waiting: Mapping[int, int]
    an_hour: int
    starts: datetime
    entity: str = ""
    period: str = ""
    deadline: datetime | None = None

    @property
    def total(self) -> int:
        """How many wait."""
        return sum(self.waiting.values())

    @property
    def needs(self) -> timedelta:
        """How long what waits needs from now on, a pause included."""
        if not self.total:
            return timedelta()
        return max(self.starts - self.at, timedelta()) + timedelta(seconds=-(-self.total * 3600 // self.an_hour))

    @property
    def ends(self) -> datetime:
        """When the last of them is done."""
        return self.at + self.needs

    @property
    def fits(self) -> bool:
        """Whether it ends before the period does."""
        return self.deadline is None or self.ends <= self.deadline

    @property
    def sentence(self) -> str:
        """For a person: what it needs, and what it runs into."""
        if not self.total:
            return f"Nothing waits at {self.target}."
        said = f"{self.total} waiting at {self.target} need {spoken(self.needs)} at {self.an_hour} an hour"
        if self.deadline is None:
            return f"{said}."
        left = spoken(max(self.deadline - self.at, timedelta()))
        but = "" if self.fits else ": they will not all be booked in time"
        return f"{said}; period {self.period} of {self.entity} ends in {left}{but}."


def spoken(span: timedelta) -> str:
    """A span as people say it: minutes below two hours, hours below two days, days above."""
    minutes = -(-span // timedelta(minutes=1))
    if minutes < 120:
        return f"{minutes} min"
    hours = -(-minutes // 60)
    return f"{hours} h" if hours < 48 else f"{-(-hours // 24)} days"


def forecast(
    target: str, item: Item, budget: capacity.Budget, skew: int, waiting: Mapping[int, int], now: datetime,
    end: tuple[str, str, datetime] | None,
) -> Forecast:  # fmt: skip
    """The forecast of one account out of its budget item; ``end`` is entity, period and the instant it ends."""
    paused = str(item.get("paused_until", ""))
    starts = max(now, instant(paused)) if paused else now
    entity, period, deadline = end if end is not None else ("", "", None)
    return Forecast(target, now, dict(sorted(waiting.items())), per_hour(item, budget, skew), starts, entity, period,
                    deadline)  # fmt: skip
