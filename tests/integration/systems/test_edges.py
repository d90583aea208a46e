"""The standard suite at the edges of money and time: currencies without decimals and with three, and days that are odd.

Each document has tax where its kind has any. What a target does not take is refused under a code that is declared here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

import pytest

from tests.integration.systems.conftest import TODAY, Bench
from tests.integration.systems.edges import Edge, Stopped
from tests.integration.systems.law import rig
from tests.integration.systems.test_law import HTTP
from tieout import systems, tables
from tieout.contract import Echo, Work
from tieout.core.clocks import DocumentDate, EventInstant, document_date_at, due_date_after
from tieout.core.problems import PROBLEMS
from tieout.core.verdicts import NeedsHuman

MADE = [(name, kind) for name in HTTP for kind, action in systems.target(name).actions if action == "create"]
MONEY = [done for done in MADE if done[1] in ("invoice", "credit_note", "payment", "journal_entry", "quote")]
#: One total, 544.38 dollars: as many yen, and 54.438 dinars.
TOTAL = 54438
#: What a target says of a currency: a kind alone, or all of them.
NO_CURRENCY: Mapping[tuple[str, str, str], str] = {
    ("netsuite", "", "KWD"): "currency_not_mapped", ("odoo", "", "KWD"): "currency_not_mapped",
    ("tryton", "", "JPY"): "currency_not_mapped", ("tryton", "", "KWD"): "currency_not_mapped",
    # a payment of this API is in the company's own currency
    ("businesscentral", "payment", "JPY"): "currency_not_mapped",
    ("businesscentral", "payment", "KWD"): "currency_not_mapped",
}  # fmt: skip

#: 23:30 of the last day of the year where US01 is: already the next year by UTC.
MIDNIGHT = EventInstant(datetime(2027, 1, 1, 4, 30, tzinfo=UTC))
#: Document date and posting date.
DAYS: Mapping[str, tuple[str, str]] = {
    "year end": ("2026-12-31", "2026-12-31"), "leap day": ("2028-02-29", "2028-02-29"),
    "posted before its date": ("2026-11-20", "2026-11-05"),
    "midnight": (document_date_at(MIDNIGHT, tables.load().entity("US01").zone).iso,) * 2,
    "far past": ("1999-01-01", "1999-01-01"), "far future": ("2099-12-31", "2099-12-31"),
}  # fmt: skip
#: What a target says of a day: it has no open period for it, or a governed row does not reach so far back.
NO_DAY: Mapping[tuple[str, str, str], str] = {
    ("tryton", "", "far past"): "target_refused", ("tryton", "", "far future"): "target_refused",
    ("businesscentral", "", "far past"): "currency_not_mapped",
    ("sap", "", "far past"): "entity_not_mapped",
}  # fmt: skip
DATED = [
    (name, kind, day) for name, kind in MONEY for day in DAYS
    if kind == "invoice" or (kind in ("payment", "journal_entry") and not day.startswith("far"))
]  # fmt: skip
#: Targets that book by the document's own date: the tax is of its day, a row of a warehouse is what billing said.
BY_DOCUMENT_DATE = ("avalara", "snowflake")


def declared(refusals: Mapping[tuple[str, str, str], str], name: str, kind: str, edge: str) -> str:
    """The code under which a target refuses something at an edge; empty where it takes it."""
    return refusals.get((name, kind, edge)) or refusals.get((name, "", edge), "")


def posted(edge: Edge, kind: str) -> tuple[Work, Echo] | str:
    """What a target shows of a document at an edge; the code where it is refused, by a mapping or by the target."""
    try:
        work = edge.ready(kind)
        return work, edge.rig.post(work)
    except Stopped as stopped:
        return stopped.code
    except NeedsHuman as verdict:
        return verdict.code


@pytest.mark.parametrize("currency", ["JPY", "KWD"])
@pytest.mark.parametrize(("name", "kind"), MONEY)
def test_money_without_decimals_or_with_three_is_booked_to_the_last_unit_or_refused_by_name(
    bench: Bench, name: str, kind: str, currency: str
) -> None:
    there = rig(name, bench)
    found = posted(Edge(there, currency), kind)
    code = declared(NO_CURRENCY, name, kind, currency)
    if isinstance(found, str):
        assert found == code
        assert PROBLEMS[code].owner
        assert not [one for one in there.book() if one[0] == kind]
        return
    work, echo = found
    assert not code, "the target takes it after all"
    assert (echo.total, echo.currency) == (TOTAL, currency)
    assert there.found(work) == "complete"
    assert [one[2:4] for one in there.book() if one[1] == work.ref] == [(TOTAL, currency)]


def spelled(day: str) -> tuple[str, str, str]:
    """How a request may write a day: by the calendar, as milliseconds of its midnight, or in its parts."""
    one = date.fromisoformat(day)
    milliseconds = int(datetime.combine(one, datetime.min.time(), UTC).timestamp()) * 1000
    return day, str(milliseconds), f'"year":{one.year},"month":{one.month},"day":{one.day}'


@pytest.mark.parametrize(("name", "kind", "day"), DATED)
def test_an_odd_day_is_booked_as_that_day_or_refused_by_name(bench: Bench, name: str, kind: str, day: str) -> None:
    there = rig(name, bench)
    document, posting = DAYS[day]
    if not day.startswith("far"):  # it is some days later, and not before
        bench.clock = max(TODAY, datetime.fromisoformat(f"{document}T12:00:00+00:00") + timedelta(days=2))
    due = due_date_after(DocumentDate.parse(document), 30).iso
    dates = {"document_date": document, "tax_point": document, "posting_date": posting, "due_date": due}
    found = posted(Edge(there, "USD", {**dates, "event_instant": MIDNIGHT.iso}), kind)
    code = declared(NO_DAY, name, kind, day)
    if isinstance(found, str):
        assert found == code
        assert PROBLEMS[code].owner
        return
    work, echo = found
    assert not code, "the target takes it after all"
    assert echo.total == TOTAL
    assert there.found(work) == "complete"
    said = work.payload.decode().replace(" ", "")
    booked = document if name in BY_DOCUMENT_DATE else posting
    assert any(one in said for one in spelled(booked)), f"nothing says {booked}"
    if name != "snowflake":  # a warehouse keeps the event's instant too
        assert "2027-01-01" not in said, "nobody books by the day of UTC"
