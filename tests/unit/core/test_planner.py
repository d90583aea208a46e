"""The planner is total: every combination has exactly one decision, and finance's rules hold over all of them."""

from __future__ import annotations

from itertools import product

import pytest

from tieout.core import ledger, planner
from tieout.core.planner import ROWS, At, Does, Period, Says, Situation, Takes

ALL = [Situation(*one) for one in product(Says, At, Period, Takes)]
TAKES_BACK = (Does.VOID, Does.VOID_AND_REBILL)


def test_every_combination_has_exactly_one_row_and_no_row_is_a_default() -> None:
    assert len(ALL) == 4 * 6 * 2 * 3
    rows = [situation for row in ROWS for situation in row.situations]
    assert sorted(map(str, rows)) == sorted(map(str, ALL))


@pytest.mark.parametrize("situation", ALL, ids=lambda one: f"{one.says}-{one.at}-{one.period}-{one.takes}")
def test_the_rules_of_finance_hold(situation: Situation) -> None:
    row = planner.plan(situation)
    money = situation.says is not Says.RENEWED
    if money and situation.at is At.UNSENT:
        assert row.old == 0, "what is not there is not taken back"
    if situation.at in (At.UNDERWAY, At.UNKNOWN):
        assert row.does is Does.WAIT, "what may be there is looked for first"
    if row.does in TAKES_BACK:
        assert (situation.period, situation.at, situation.takes) == (Period.OPEN, At.POSTED, Takes.IN_PLACE)
    if situation.takes is Takes.NOT and situation.at in (At.POSTED, At.APPLIED):
        assert row.does in (Does.STOP, Does.CREDIT, Does.UPDATE)
    if situation.at is At.APPLIED and row.old:
        assert row.person, "money that is applied is moved by a person"
    if situation.says is Says.CHANGED:
        assert row.does in (Does.WAIT, Does.STOP) or row.person, "other content under the same id is never automatic"
    if row.does in (Does.STOP, Does.WAIT, Does.NOTHING, Does.WITHDRAW):
        assert (row.old, row.new) == (0, 0)
    assert row.why.endswith(".")


def test_the_money_effect_is_what_the_books_change_by() -> None:
    def effect(*one: object) -> int:
        return planner.plan(Situation(*one)).effect(1000, 250)  # type: ignore[arg-type]

    assert effect(Says.VOIDED, At.UNSENT, Period.OPEN, Takes.DATED) == 0
    assert effect(Says.VOIDED, At.POSTED, Period.CLOSED, Takes.DATED) == -1000
    assert effect(Says.CHANGED, At.APPLIED, Period.CLOSED, Takes.DATED) == -750
    assert effect(Says.CHANGED, At.UNSENT, Period.OPEN, Takes.NOT) == 250
    assert effect(Says.CREDITED, At.POSTED, Period.CLOSED, Takes.NOT) == -250


def test_every_state_of_a_posting_stands_somewhere() -> None:
    for state in ledger.MOVES:
        if state:
            assert planner.at({"state": state})
    assert planner.at({"state": ledger.POSTED, "applied": 1}) is At.APPLIED
    assert planner.at({"state": ledger.POSTED, "applied": 1, "taken_back": "x"}) is At.GONE
