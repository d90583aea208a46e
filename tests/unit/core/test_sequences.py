"""Numbers of a source's events: what is missing is what has not come, in whatever order the rest came."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieout.core.sequences import MOST_HOLES, Mark, aged, note, said


def test_a_series_begins_with_the_first_number_seen() -> None:
    assert note(None, [(7, 9)]) == Mark(9)


def test_a_series_whose_beginning_is_known_misses_what_came_before() -> None:
    mark = note(None, [(3, 3)], opens=1)
    assert mark == Mark(0, ((3, 3),))
    assert mark.missing == ((1, 2),)


def test_what_comes_out_of_order_leaves_nothing() -> None:
    mark = note(note(Mark(4), [(7, 8)]), [(5, 6)])
    assert mark == Mark(8)


def test_neighbours_beyond_a_hole_are_one_island() -> None:
    assert note(Mark(0), [(3, 3), (4, 4)]) == Mark(0, ((3, 4),))


def test_a_number_that_came_before_changes_nothing() -> None:
    mark = Mark(8, ((10, 12),))
    assert note(mark, [(3, 5), (11, 11)]) == mark


def test_a_hole_keeps_the_instant_since_which_it_is_known() -> None:
    before = [(5, 9, "t1")]
    assert aged(((5, 6), (9, 9), (12, 12)), before, "t2") == [(5, 6, "t1"), (9, 9, "t1"), (12, 12, "t2")]


def test_more_holes_than_an_item_holds_become_one() -> None:
    mark = note(Mark(0), [(2 * number, 2 * number) for number in range(1, MOST_HOLES + 20)])
    assert len(mark.missing) == MOST_HOLES
    assert mark.missing[0] == (1, 39)


def test_no_number_is_no_news() -> None:
    with pytest.raises(ValueError, match="no numbers"):
        note(None, [(3, 2)])


def test_the_missing_numbers_are_said_in_words() -> None:
    assert said([(7, 7), (9, 12), (14, 14)], most=2) == "7, 9 to 12 and 1 holes more"


@given(
    st.permutations(range(1, 30)),
    st.sets(st.integers(1, 29), max_size=8),
    st.lists(st.integers(1, 5), min_size=1, max_size=12),
)
def test_whatever_the_order_and_the_batches_what_is_missing_is_what_did_not_come(
    order: list[int], lost: set[int], sizes: list[int]
) -> None:
    came = [number for number in order if number not in lost]
    mark, at, turn = None, 0, 0
    while at < len(came):
        size = sizes[turn % len(sizes)]
        mark = note(mark, [(number, number) for number in came[at : at + size]], opens=1)
        at, turn = at + size, turn + 1
    missing = {number for first, last in (mark.missing if mark else ()) for number in range(first, last + 1)}
    assert missing == {number for number in lost if number < max(came, default=0)}
