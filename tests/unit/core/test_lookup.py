"""Governed tables: one order of looking, explicit fallbacks, effective days, no two answers."""

from __future__ import annotations

from datetime import date

import pytest

from tieout.core.lookup import FALLBACK, Row, Table, View

DAY = date(2026, 1, 31)
ROWS = [
    Row("a", {"value": "entity+target"}, entity="US01", target="netsuite"),
    Row("a", {"value": "entity"}, entity="US01"),
    Row(FALLBACK, {"value": "entity fallback"}, entity="US01"),
    Row("a", {"value": "organisation"}),
    Row("b", {"value": "organisation b"}),
    Row(FALLBACK, {"value": "organisation fallback+target"}, target="netsuite"),
    Row(FALLBACK, {"value": "organisation fallback"}),
]


def table(*rows: Row) -> Table:
    return Table("t", rows, owner="x", version="1")


@pytest.mark.parametrize(
    ("key", "entity", "target", "value", "level"),
    [
        ("a", "US01", "netsuite", "entity+target", "entity"),
        ("a", "US01", "legacy", "entity", "entity"),
        ("b", "US01", "legacy", "entity fallback", "entity fallback"),
        ("a", "DE01", "netsuite", "organisation", "organisation"),
        ("c", "DE01", "netsuite", "organisation fallback+target", "organisation fallback"),
        ("c", None, None, "organisation fallback", "organisation fallback"),
    ],
)
def test_the_order_is_entity_then_its_fallback_then_organisation_then_its_fallback(
    key: str, entity: str | None, target: str | None, value: str, level: str
) -> None:
    hit = table(*ROWS).lookup(key, DAY, entity, target)
    assert hit is not None
    assert (hit.cell(), hit.level) == (value, level)


def test_without_an_explicit_fallback_nothing_is_found() -> None:
    only = table(Row("a", {"value": "1"}, entity="US01"))
    assert only.lookup("b", DAY, "US01") is None
    assert only.lookup("a", DAY, "DE01") is None
    assert only.lookup("a", DAY) is None


def test_a_row_holds_on_its_first_and_last_day_and_on_no_other() -> None:
    held = table(
        Row("a", {"value": "old"}, last=date(2025, 12, 31)),
        Row("a", {"value": "new"}, first=date(2026, 2, 1), last=date(2026, 2, 28)),
    )

    def on(day: date) -> object:
        hit = held.lookup("a", day)
        return hit and hit.cell()

    days = [(1999, 1, 1), (2025, 12, 31), (2026, 1, 1), (2026, 1, 31), (2026, 2, 1), (2026, 2, 28), (2026, 3, 1)]
    assert [on(date(*day)) for day in days] == ["old", "old", None, None, "new", "new", None]


@pytest.mark.parametrize(
    ("last", "first"),
    [(None, None), (None, date(2026, 1, 1)), (date(2026, 1, 1), date(2026, 1, 1)), (date(2026, 1, 1), None)],
)
def test_two_rows_that_hold_on_one_day_are_refused(last: date | None, first: date | None) -> None:
    with pytest.raises(ValueError, match="both hold for 'a'"):
        table(Row("a", {"value": "1"}, last=last, line=1), Row("a", {"value": "2"}, first=first, line=2))


def test_a_view_looks_on_its_day_unless_told_another() -> None:
    held = table(Row("a", {"value": "1"}, last=DAY), Row("a", {"value": "2"}, first=date(2026, 2, 1)))
    view = View({"t": held}, on=DAY)
    assert (view.value("t", "a"), view.value("t", "a", on=date(2026, 2, 1))) == ("1", "2")


def test_given_tables_answer_with_what_the_caller_knows() -> None:
    view = View({}, on=DAY, given={"customers": {"cus_1": "777"}})
    assert view.value("customers", "cus_1") == "777"
    assert view.value("customers", "cus_2") is None
    assert view.value("invoices", "in_1") is None
