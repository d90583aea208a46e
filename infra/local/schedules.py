"""Schedules: ``rate``, ``cron`` and ``at`` expressions of EventBridge, on the world's clock."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

_RATE = re.compile(r"^rate\((\d+) (minute|hour|day)s?\)$")
_CRON = re.compile(r"^cron\((\S+) (\S+) (\S+) (\S+) (\S+) (\S+)\)$")
_AT = re.compile(r"^at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)$")
_DAYS = {name: number for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), 1)}
_MONTHS = {name: number for number, name in enumerate(
    ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"), 1)}  # fmt: skip


@dataclass
class Schedule:
    """One schedule: a name, when, and what to do. ``next`` is None when it will never fire again."""

    name: str
    expression: str
    fire: Callable[[datetime], Any]
    next: datetime | None = None

    def arm(self, after: datetime) -> None:
        """Sets ``next`` to the first firing later than ``after``."""
        self.next = following(self.expression, after, self.next)


def following(expression: str, after: datetime, last: datetime | None = None) -> datetime | None:
    """The first firing later than ``after`` (a rate counts from ``last``); ValueError for what is not known."""
    if match := _RATE.match(expression):
        step = timedelta(**{f"{match[2]}s": int(match[1])})
        start = last or after
        return start + step * max(1, (after - start) // step + 1)
    if match := _AT.match(expression):
        moment = datetime.fromisoformat(match[1]).replace(tzinfo=UTC)
        return moment if moment > after else None
    if match := _CRON.match(expression):
        return _next_cron(match.groups(), after)
    raise ValueError(f"the local world does not know the schedule {expression!r}")


def _next_cron(fields: tuple[str, ...], after: datetime) -> datetime:
    minutes, hours = _values(fields[0], 0, 59), _values(fields[1], 0, 23)
    days, months = _values(fields[2], 1, 31), _values(fields[3], 1, 12, _MONTHS)
    weekdays, years = _values(fields[4], 1, 7, _DAYS), _values(fields[5], 1970, 2199)
    day = after.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for _ in range(366 * 5):
        weekday = day.isoweekday() % 7 + 1
        if day.year in years and day.month in months and day.day in days and weekday in weekdays:
            moments = (day.replace(hour=hour, minute=minute) for hour in sorted(hours) for minute in sorted(minutes))
            if found := next((moment for moment in moments if moment > after), None):
                return found
        day += timedelta(days=1)
    raise ValueError(f"cron({' '.join(fields)}) does not fire within five years")


def _values(field: str, least: int, most: int, names: dict[str, int] | None = None) -> set[int]:
    if field in ("*", "?"):
        return set(range(least, most + 1))
    values: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        numbers = [(names or {}).get(text) or (least if text == "*" else int(text)) for text in (first, last) if text]
        end = numbers[-1] if dash else (most if step or span == "*" else numbers[0])
        values.update(range(numbers[0], end + 1, int(step or 1)))
    if not values <= set(range(least, most + 1)):
        raise ValueError(f"cron field {field!r} is outside {least} to {most}")
    return values
