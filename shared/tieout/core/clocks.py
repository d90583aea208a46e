"""Four clocks, four types, and the only functions that turn one into another.

`EventInstant` is a moment (UTC). `DocumentDate`, `TaxPoint` and `PostingDate` (and `DueDate`) are days without
a zone. They do not compare with one another and there is no implicit way between them: a moment becomes a
day only through `document_date_at` with the entity's own time zone, because 23:30 in New York on 31 January
is February in UTC, and the wrong one of the two is the wrong period. The period comes from the posting date
in the entity's `Calendar`, never from the wall clock; nothing here knows what time it is now.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from functools import lru_cache
from typing import Any, Self
from zoneinfo import ZoneInfo

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema

from tieout.core.verdicts import NeedsHuman, NotYet

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
_INSTANT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:?[0-9]{2})\Z"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_LIMIT = 253_402_300_799  # 9999-12-31T23:59:59Z


@dataclass(frozen=True, slots=True, order=True)
class EventInstant:
    """The moment something happened at the source, in UTC, to the microsecond."""

    value: datetime

    def __post_init__(self) -> None:
        if type(self.value) is not datetime or self.value.tzinfo is None:
            raise NeedsHuman("bad_date", "an instant needs a time zone")
        object.__setattr__(self, "value", self.value.astimezone(UTC))

    @classmethod
    def from_epoch(cls, seconds: int) -> EventInstant:
        """From Unix seconds (an int; vendors who send milliseconds use `from_epoch_ms`)."""
        if type(seconds) is not int or not 0 <= seconds <= _EPOCH_LIMIT:
            raise NeedsHuman("bad_date", f"not Unix seconds: {str(seconds)[:24]}")
        return cls(_EPOCH + timedelta(seconds=seconds))

    @classmethod
    def from_epoch_ms(cls, milliseconds: int) -> EventInstant:
        """From Unix milliseconds."""
        if type(milliseconds) is not int or not 0 <= milliseconds <= _EPOCH_LIMIT * 1000:
            raise NeedsHuman("bad_date", f"not Unix milliseconds: {str(milliseconds)[:24]}")
        return cls(_EPOCH + timedelta(milliseconds=milliseconds))

    @classmethod
    def parse(cls, text: str) -> EventInstant:
        """From ISO 8601 with an explicit offset (``Z``, ``+00:00``, or Salesforce's ``+0000``)."""
        found = _INSTANT.match(text) if type(text) is str and len(text) <= 40 else None
        if found is None:
            raise NeedsHuman("bad_date", f"not an instant with an offset: {str(text)[:40]!r}")
        offset = found[3] if found[3] == "Z" or ":" in found[3] else found[3][:3] + ":" + found[3][3:]
        try:
            part = found[2].ljust(7, "0") if found[2] else ""  # 3.11 reads three or six decimals, no others
            return cls(datetime.fromisoformat(found[1] + part + offset))
        except (ValueError, OverflowError):
            raise NeedsHuman("bad_date", f"no such instant: {text!r}") from None

    @property
    def iso(self) -> str:
        """``2026-01-31T23:30:00Z``, with microseconds only when there are some."""
        return self.value.isoformat().replace("+00:00", "Z")

    def __str__(self) -> str:
        return self.iso

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Validate from an instance or ISO text with an offset; serialise as `iso`."""
        return _as_text(cls)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """As JSON Schema: a named definition."""
        return {
            "$named": {"name": cls.__name__, "description": first_line(cls), "type": "string", "format": "date-time"}
        }


@dataclass(frozen=True, slots=True, order=True)
class Day:
    """A calendar day with a meaning; each meaning is its own type. Not used bare."""

    value: date

    def __post_init__(self) -> None:
        if type(self.value) is not date:
            raise NeedsHuman("bad_date", f"a {type(self).__name__} is a day, not a {type(self.value).__name__}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """From ``YYYY-MM-DD`` and nothing else."""
        if type(text) is not str or len(text) != 10 or not _DAY.match(text):
            raise NeedsHuman("bad_date", f"not a day: {str(text)[:40]!r}")
        try:
            return cls(date.fromisoformat(text))
        except ValueError:
            raise NeedsHuman("bad_date", f"no such day: {text!r}") from None

    @property
    def iso(self) -> str:
        """``2026-01-31``."""
        return self.value.isoformat()

    def __str__(self) -> str:
        return self.iso

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Validate from an instance of this very type or ``YYYY-MM-DD``; serialise as `iso`."""
        return _as_text(cls)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """As JSON Schema: a named definition."""
        return {"$named": {"name": cls.__name__, "description": first_line(cls), "type": "string", "format": "date"}}


class DocumentDate(Day):
    """The day printed on the document, in the selling entity's time zone."""

    __slots__ = ()


class TaxPoint(Day):
    """The day on which the tax becomes due; it decides rate and return, whatever the posting date."""

    __slots__ = ()


class PostingDate(Day):
    """The day under which the ledger books the document; it alone decides the period."""

    __slots__ = ()


class DueDate(Day):
    """The day by which the customer is asked to pay."""

    __slots__ = ()


class ServiceDate(Day):
    """First or last day of the service that a line pays for."""

    __slots__ = ()


class EffectiveDate(Day):
    """First or last day on which a fact of master data holds (a site, a certificate, an amendment)."""

    __slots__ = ()


class ValueDate(Day):
    """The day on which money counts at the bank or at the processor."""

    __slots__ = ()


def document_date_at(instant: EventInstant, zone: str) -> DocumentDate:
    """The day it was at the selling entity when `instant` happened."""
    return DocumentDate(instant.value.astimezone(time_zone(zone)).date())


def tax_point_of(document_date: DocumentDate) -> TaxPoint:
    """The tax point where nothing else was agreed: the document date (a rule may say otherwise)."""
    return TaxPoint(document_date.value)


def posting_date_of(document_date: DocumentDate) -> PostingDate:
    """The posting date of a document that is not late: its document date."""
    return PostingDate(document_date.value)


def due_date_after(document_date: DocumentDate, days: int) -> DueDate:
    """The due date of net terms: `days` after the document date."""
    return DueDate(document_date.value + timedelta(days=days))


def due_date_at(instant: EventInstant, zone: str) -> DueDate:
    """A vendor's due moment as a day at the selling entity."""
    return DueDate(instant.value.astimezone(time_zone(zone)).date())


def service_date_at(instant: EventInstant, zone: str) -> ServiceDate:
    """A vendor's service moment as a day at the selling entity."""
    return ServiceDate(instant.value.astimezone(time_zone(zone)).date())


@lru_cache(maxsize=256)
def time_zone(name: str) -> ZoneInfo:
    """The IANA zone of that name; an unknown one is ``bad_time_zone`` (a mistake in the entities table)."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise NeedsHuman("bad_time_zone", f"no time zone {name!r}", zone=name) from None


class PeriodState(Enum):
    """What an accounting period still takes."""

    OPEN = "open"
    SOFT_CLOSED = "soft_closed"
    CLOSED = "closed"
    LOCKED = "locked"

    @property
    def rank(self) -> int:
        """How strict the state is: open is 0, locked is 3."""
        return list(PeriodState).index(self)


class Ledger(Enum):
    """A ledger with periods of its own: receivables, the general ledger, tax returns."""

    AR = "ar"
    GL = "gl"
    TAX = "tax"


@dataclass(frozen=True, slots=True)
class Period:
    """One accounting period of one entity: `first` and `last` day inclusive.

    `state` is that of every ledger, but for those that `ledgers` names with a state of their own.
    """

    name: str
    first: date
    last: date
    state: PeriodState = PeriodState.OPEN
    ledgers: tuple[tuple[Ledger, PeriodState], ...] = ()

    def state_of(self, ledger: Ledger) -> PeriodState:
        """What the period still takes in one ledger."""
        return dict(self.ledgers).get(ledger, self.state)

    def strictest(self, ledgers: Sequence[Ledger] = (Ledger.AR, Ledger.GL)) -> PeriodState:
        """The strictest state among some ledgers: a document must pass all that book it."""
        return max((self.state_of(ledger) for ledger in ledgers), key=lambda state: state.rank)

    @property
    def is_open(self) -> bool:
        """Whether an ordinary document may be posted into it: receivables and general ledger are both open."""
        return self.strictest() is PeriodState.OPEN


class Calendar:
    """The accounting periods of one entity, in order and without gaps or overlaps.

    Raises `ValueError` when they are not: a calendar with a hole would hold documents for no reason.
    """

    __slots__ = ("_firsts", "entity", "fiscal_year_starts", "periods", "zone")

    def __init__(self, entity: str, zone: str, periods: Sequence[Period], fiscal_year_starts: int = 1) -> None:
        if not 1 <= fiscal_year_starts <= 12:
            raise ValueError(f"calendar {entity}: a fiscal year starts with a month from 1 to 12")
        self.entity = entity
        self.zone = zone
        self.fiscal_year_starts = fiscal_year_starts
        self.periods = tuple(sorted(periods, key=lambda period: period.first))
        self._firsts = [period.first for period in self.periods]
        for period in self.periods:
            if period.last < period.first:
                raise ValueError(f"calendar {entity}: period {period.name} ends before it starts")
        for before, after in zip(self.periods, self.periods[1:], strict=False):
            if after.first != before.last + timedelta(days=1):
                raise ValueError(f"calendar {entity}: {before.name} and {after.name} overlap or leave a gap")

    def period_of(self, posting_date: PostingDate) -> Period:
        """The period that holds `posting_date`; `NotYet` ``period_not_in_calendar`` when none does yet."""
        if type(posting_date) is not PostingDate:
            raise TypeError("a period comes from a posting date and from no other clock")
        index = bisect_right(self._firsts, posting_date.value) - 1
        if index < 0 or posting_date.value > self.periods[index].last:
            raise NotYet("period_not_in_calendar", entity=self.entity, posting_date=posting_date.iso, gate="period")
        return self.periods[index]

    def next_open(self, posting_date: PostingDate, ledgers: Sequence[Ledger] = (Ledger.AR, Ledger.GL)) -> Period | None:
        """The first period, from that of `posting_date` on, that is open in all `ledgers`; None when none is."""
        for period in self.periods:
            if period.last >= posting_date.value and period.strictest(ledgers) is PeriodState.OPEN:
                return period
        return None

    def fiscal(self, period: Period) -> tuple[int, int]:
        """Fiscal year and number of a period in it. A fiscal year is called by the year in which it ends."""
        start = self.fiscal_year_starts
        year = period.first.year + (start > 1 and period.first.month >= start)
        return year, (period.first.month - start) % 12 + 1


def first_line(cls: type) -> str:
    """The first sentence of a class's docstring: its meaning, for a schema or a page."""
    return (cls.__doc__ or "").partition("\n")[0]


def _as_text(cls: type[EventInstant] | type[Day]) -> core_schema.CoreSchema:
    parse = core_schema.no_info_after_validator_function(cls.parse, core_schema.str_schema(max_length=40))
    return core_schema.json_or_python_schema(
        json_schema=parse,
        python_schema=core_schema.union_schema([core_schema.is_instance_schema(cls), parse], mode="left_to_right"),
        serialization=core_schema.plain_serializer_function_ser_schema(str),
    )
