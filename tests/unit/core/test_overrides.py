"""Overrides: what is changed is changed on its days, and nothing else is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tieout.core.lookup import Cell, Row, Table
from tieout.core.overrides import Override, of_item, overlay, read_cell, row_at, spelled, to_item

DAY = date(2026, 1, 1)
TYPES: Mapping[str, str | tuple[str, ...]] = {
    "value": "text", "days": "whole", "rate": "number", "open": "truth", "mode": ("up", "down"),
}  # fmt: skip


def day(number: int) -> date:
    return DAY + timedelta(days=number)


def table(*rows: Row) -> Table:
    return Table("tax_codes", rows, owner="tax", version="1.a", columns=TYPES)


def change(
    value: str, first: int, last: int | None = None, key: str = "NY", entity: str | None = None, number: int = 1
) -> Override:
    ends = None if last is None else day(last)
    return Override(f"tax_codes.{number}", "tax_codes", key, {"value": value}, day(first), ends, entity, why="law")


def value(held: Table, on: int, key: str = "NY", entity: str | None = None) -> Cell:
    hit = held.lookup(key, day(on), entity)
    return None if hit is None else hit.cell()


def test_a_change_holds_from_its_day_and_as_long_as_the_row_did() -> None:
    base = table(Row("NY", {"value": "7"}, last=day(20)), Row("NY", {"value": "9"}, first=day(21)))
    held = overlay(base, [change("8", 10)])
    assert [value(held, on) for on in (9, 10, 20, 21)] == ["7", "8", "8", "9"]


def test_a_bounded_change_ends_and_the_row_goes_on() -> None:
    held = overlay(table(Row("NY", {"value": "7"})), [change("8", 10, 12)])
    assert [value(held, on) for on in (9, 10, 12, 13)] == ["7", "8", "8", "7"]


def test_a_new_row_holds_until_one_that_is_to_come() -> None:
    held = overlay(table(Row("NY", {"value": "9"}, first=day(21))), [change("8", 10), change("5", 3, key="CA")])
    assert [value(held, on) for on in (9, 10, 20, 21)] == [None, "8", "8", "9"]
    assert value(held, 400, "CA") == "5"


def test_the_later_approved_of_two_changes_stands() -> None:
    held = overlay(table(), [change("8", 10), change("9", 10, number=2)])
    assert value(held, 11) == "9"


def test_the_order_of_looking_stays_and_an_override_is_found_at_its_own_level() -> None:
    base = table(Row("NY", {"value": "org"}), Row("*", {"value": "rest"}, entity="US01"))
    assert value(base, 5, entity="US01") == "rest", "an entity's fallback goes before the organisation's row"
    held = overlay(base, [change("mine", 0, entity="US01")])
    assert value(held, 5, entity="US01") == "mine"
    assert value(held, 5, entity="DE01") == "org"


def test_the_version_names_release_and_changes() -> None:
    base = table(Row("NY", {"value": "7"}))
    assert overlay(base, []) is base
    one, other = overlay(base, [change("8", 10)]).version, overlay(base, [change("9", 10)]).version
    assert one.startswith("1.a+")
    assert one != other


def test_a_change_of_another_table_is_none_of_ours() -> None:
    base = table(Row("NY", {"value": "7"}))
    strange = Override("items.1", "items", "NY", {"value": "x"}, DAY)
    assert overlay(base, [strange]) is base


@settings(max_examples=500, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=5),
    st.lists(st.tuples(st.integers(-3, 60), st.none() | st.integers(0, 20)), min_size=1, max_size=4),
)
def test_changes_never_overlap_nor_touch_other_days_or_rows(
    spans: list[tuple[int, int]], made: list[tuple[int, int | None]]
) -> None:
    rows: list[Row] = []
    at = 0
    for number, (gap, length) in enumerate(spans):
        rows.append(Row("NY", {"value": f"r{number}"}, first=day(at + gap), last=day(at + gap + length)))
        at += gap + length + 1
    other = Row("NY", {"value": "theirs"}, entity="DE01")
    held = table(*rows, other)
    for number, (start, days) in enumerate(made):
        before = held
        one = change(f"o{number}", start, None if days is None else start + days, number=number)
        held = overlay(before, [one])  # a `Table` refuses rows that overlap
        row = row_at(held, one.place, one.first)
        assert row is not None
        for on in range(-5, 90):
            inside = row.holds_on(day(on))
            assert value(held, on) == (f"o{number}" if inside else value(before, on))
        assert value(held, 5, entity="DE01") == "theirs"


@pytest.mark.parametrize(
    ("column", "text", "cell"),
    [("value", "7", "7"), ("days", "-30", -30), ("rate", "1.10", Decimal("1.10")), ("open", "true", True),
     ("mode", "down", "down")],
)  # fmt: skip
def test_a_cell_reads_back_as_it_was_spelled(column: str, text: str, cell: Cell) -> None:
    found = read_cell(table(), column, text)
    assert (found, type(found)) == (cell, type(cell))
    assert spelled({column: found}) == {column: text}


@pytest.mark.parametrize(
    ("column", "text", "told"),
    [
        ("vaule", "7", "no column 'vaule'; did you mean 'value'?"),
        ("days", "30.5", "column 'days' is whole, not '30.5'"),
        ("days", "1e3", "column 'days' is whole"),
        ("days", "٣", "column 'days' is whole"),
        ("rate", "1,5", "column 'rate' is number"),
        ("rate", "NaN", "column 'rate' is number"),
        ("open", "yes", "column 'open' is truth"),
        ("mode", "dwn", "did you mean 'down'?"),
        ("value", "", "column 'value' is text"),
        ("value", "a\nb", "column 'value' is text"),
    ],
)
def test_a_cell_that_does_not_fit_its_column_is_refused(column: str, text: str, told: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        read_cell(table(), column, text)
    assert told in str(refused.value)


def test_an_override_comes_back_out_of_the_ledger_as_it_went_in() -> None:
    cells: dict[str, Cell] = {"value": "7", "days": 3, "rate": Decimal("1.50"), "open": False, "mode": "up"}
    for one in (
        Override("tax_codes.1", "tax_codes", "NY", cells, DAY, day(3), "US01", "netsuite", "law"),
        Override("tax_codes.2", "tax_codes", "NY", cells, DAY),
    ):
        assert of_item(table(), to_item(one)) == one
