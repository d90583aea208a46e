"""I10: each action of a person leads on from where it is offered, and of two people at once one wins or both agree."""

from __future__ import annotations

from itertools import combinations_with_replacement

import pytest

from tests.simulation import desk
from tests.simulation.cheap import cheap
from tests.simulation.desk import INVOICE, STATES, State
from tests.simulation.history import DEAL
from tests.simulation.people import REFUSALS
from tieout.core.settle import ACTIONS

PAYMENT = "payment/stripe:acct_us:in_acct_us0%3Apaid/create/post/g0"
RUN = f"F#customer-onboarding#salesforce:00D_acme:006RM000000000000/{DEAL.split('/')[-2]}"
#: Where each action that is offered leads, its cause being mended. What only asks again waits on, as a case or with it.
LEADS_TO = {
    ("not yet sent", "cancel"): (INVOICE, "SUPERSEDED"),
    ("waits for its parent", "release"): (PAYMENT, "HELD"),
    ("waits for its parent", "cancel"): (PAYMENT, "SUPERSEDED"),
    ("waits for its parent beyond its time", "release"): (PAYMENT, "HELD"),
    ("waits for its parent beyond its time", "cancel"): (PAYMENT, "SUPERSEDED"),
    ("above the limit", "approve"): (INVOICE, "POSTED"),
    ("above the limit", "release"): (INVOICE, "HELD"),
    ("above the limit", "cancel"): (INVOICE, "SUPERSEDED"),
    ("refused", "retry"): (INVOICE, "POSTED"),
    ("refused", "cancel"): (INVOICE, "SUPERSEDED"),
    ("ambiguous", "look"): (INVOICE, "POSTED"),
    ("flow run failed", "restart"): (f"{RUN}/r0002", "DONE"),
}


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.name)
def test_each_action_leads_on_from_where_it_is_offered_and_is_refused_elsewhere(state: State) -> None:
    with cheap():
        for action in desk.actions(state):
            ends, told = desk.ends(desk.one(state, action))
            if (state.name, action) in LEADS_TO:
                key, to = LEADS_TO[state.name, action]
                assert (action, ends[key]) == (action, to)
                assert set(told) == {"done"}
            else:
                assert told == ["BadQuestion"]


def test_every_action_that_the_product_offers_is_offered_in_some_state() -> None:
    assert {action for _, action in LEADS_TO} == {*ACTIONS, "restart"}


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.name)
def test_two_actions_commute_or_one_is_refused(state: State) -> None:
    with cheap():
        for one, other in combinations_with_replacement(desk.actions(state), 2):
            for gap in (0.0, 5.0):
                there, told = desk.ends(desk.two(state, one, other, gap, seen=False))
                back, told_back = desk.ends(desk.two(state, other, one, gap, seen=False))
                refused = any(ended in REFUSALS for ended in told) and any(ended in REFUSALS for ended in told_back)
                assert refused or there == back, (one, other, gap, there, back)


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.name)
def test_of_two_who_saw_the_same_history_one_is_told_that_the_other_was_first(state: State) -> None:
    with cheap():
        for action in desk.actions(state):
            if (state.name, action) in LEADS_TO:
                _, told = desk.ends(desk.two(state, action, action, 0.0, seen=True))
                assert sorted(told)[:1] == ["Moved"], (action, told)


def test_no_fault_at_any_call_of_the_desk_breaks_what_people_do() -> None:
    with cheap():
        count, bad = desk.enumerate_people(1, 0)
    assert bad == []
    assert count > 900
