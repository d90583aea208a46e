"""Rules that turn what sources send about time into the typed clocks, with the entity's zone where one is due."""

from __future__ import annotations

from tieout.core import clocks
from tieout.core.clocks import DocumentDate, DueDate, EventInstant, PostingDate, ServiceDate, TaxPoint
from tieout.core.rules.registry import rule
from tieout.core.verdicts import NeedsHuman


def _instant(moment: int | str | EventInstant) -> EventInstant:
    """Unix seconds, ISO text with an offset, or the event's own instant."""
    if isinstance(moment, EventInstant):
        return moment
    return EventInstant.parse(moment) if isinstance(moment, str) else EventInstant.from_epoch(moment)


@rule
def instant(moment: int | str) -> EventInstant:
    """The moment from Unix seconds or ISO text with an offset."""
    return _instant(moment)


@rule
def document_date(moment: int | str | EventInstant, zone: str) -> DocumentDate:
    """The day it was in the entity's zone at that moment."""
    return clocks.document_date_at(_instant(moment), zone)


@rule
def tax_point(moment: int | str | EventInstant, zone: str) -> TaxPoint:
    """The tax point where it is the document date: the day it was in the entity's zone."""
    return clocks.tax_point_of(document_date(moment, zone))


@rule
def posting_date(moment: int | str | EventInstant, zone: str) -> PostingDate:
    """The posting date of a document that is not late: the day it was in the entity's zone."""
    return clocks.posting_date_of(document_date(moment, zone))


@rule
def due_date(moment: int | str, zone: str) -> DueDate:
    """The due day in the entity's zone."""
    return clocks.due_date_at(_instant(moment), zone)


@rule
def service_date(moment: int | str, zone: str) -> ServiceDate:
    """The day of service in the entity's zone."""
    return clocks.service_date_at(_instant(moment), zone)


@rule
def due_after(document_date: DocumentDate, terms: str) -> DueDate:
    """The due day of net terms such as NET30."""
    days = terms.upper().removeprefix("NET").strip()
    if not days.isascii() or not days.isdigit() or len(days) > 3:
        raise NeedsHuman("terms_unknown", f"not net terms: {terms[:32]!r}", terms=terms[:32])
    return clocks.due_date_after(document_date, int(days))


@rule
def day_slashes(day: DocumentDate | PostingDate | DueDate) -> str:
    """A day as older systems want it: ``2026/01/31``."""
    return day.iso.replace("-", "/")


@rule
def utc_day(moment: EventInstant) -> str:
    """The UTC day of a moment, for records that want a day and book nothing under it."""
    return moment.value.date().isoformat()
