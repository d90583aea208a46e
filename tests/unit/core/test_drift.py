"""Drift tells what nobody has seen before, by path and never by value, in bounded length."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieout.core.drift import LONGEST, MOST, shape, unknown_paths

SEEN: dict[str, Any] = {
    "id": "in_1",
    "lines": {"data": [{"id": "il_1", "taxes": [{"amount": 1}]}], "has_more": False},
    "metadata": {"po": "7"},
    "tags": ["a"],
    "notes": [],
    "shipping": None,
}
KNOWN = shape(SEEN, open={"metadata"})
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=20,
)


def test_what_was_seen_is_no_drift_whatever_its_values() -> None:
    assert unknown_paths(SEEN, KNOWN) == ()
    assert unknown_paths({"id": None, "lines": {"data": [{"id": 1}, {"taxes": []}]}, "tags": ["b", "c"]}, KNOWN) == ()


@pytest.mark.parametrize(
    ("object_", "paths"),
    [
        ({"new": 1}, ("new",)),
        ({"new": {"deep": {"er": 1}}}, ("new",)),
        ({"lines": {"data": [{"id": 1, "net": 2}, {"net": 3, "more": 4}]}}, ("lines.data[].net", "lines.data[].more")),
        ({"lines": {"data": [{"taxes": [{"rate": 1}]}]}}, ("lines.data[].taxes[].rate",)),
        ({"metadata": {"whatever": {"deep": 1}}}, ()),
        ({"notes": ["first"]}, ("notes[]",)),
        ({"shipping": {"name": "x", "phone": "y"}}, ("shipping.name", "shipping.phone")),
        ({"id": {"expanded": True}}, ("id.expanded",)),
    ],
)
def test_what_is_new_is_told_by_its_outermost_path_once(object_: Any, paths: tuple[str, ...]) -> None:
    assert unknown_paths(object_, KNOWN) == paths


def test_a_flood_of_new_members_tells_twenty_and_a_monstrous_name_is_cut() -> None:
    flood: dict[str, Any] = {f"k{number}": {} for number in range(10_000)}
    assert unknown_paths(flood, KNOWN) == tuple(f"k{number}" for number in range(MOST))
    assert unknown_paths({"x" * 5000: 1}, KNOWN) == ("x" * LONGEST,)


@given(json_values)
def test_an_object_never_drifts_from_its_own_shape(value: Any) -> None:
    assert unknown_paths(value, shape(value)) == ()


@given(st.dictionaries(st.text(max_size=5), json_values, max_size=5))
def test_an_object_of_which_nothing_is_known_tells_its_members(value: dict[str, Any]) -> None:
    assert set(unknown_paths(value, frozenset())) == set(value)
