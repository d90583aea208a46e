"""Operator actions: a reason, one line of history, one winner, a second person for money, and nothing sent twice."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.toy import Stage, refuses, stage
from tieout.contract import Echo, Finds
from tieout.core import keys, lanes, ledger
from tieout.core.ledger import TERMINAL, chain_breaks
from tieout.core.settle import ACTIONS, ROWS, allowed
from tieout.core.verdicts import NeedsHuman, Uncertain
from tieout.core.writes import Item
from tieout.work import ask
from tieout.work.settle import Moved, NotAllowed, Wish, agree, decline, offered, settle
from tieout.work.views import BadQuestion, NotThere

CUSTOMER, WHY = "cus_1", "the account was opened in the ERP"


@pytest.fixture
def on() -> Iterator[Stage]:
    with stage() as made:
        yield made


def act(on: Stage, action: str, by: str = "anna", seen: str = "", why: str = WHY) -> Item:
    wish = Wish(on.one("invoice")["key"], action, why, seen)
    return settle(on.world.ledger, wish, by, on.world.time, on.world.ports().token())


def second(on: Stage, by: str = "ben", seen: str = "") -> Item:
    return agree(on.world.ledger, on.one("invoice")["key"], by, on.world.time, on.world.ports().token(), seen)


def invoice(on: Stage) -> None:
    on.take(on.event("invoice.finalized", id="in_1", customer=CUSTOMER, number="INV-1") | {"id": "evt_1"})


def new(on: Stage) -> None:
    on.link(CUSTOMER)
    invoice(on)


def held(on: Stage) -> None:
    """Its customer is not known."""
    invoice(on)
    on.settle()


def refused(on: Stage) -> None:
    on.targets["netsuite"].trouble.append(refuses(NeedsHuman("target_refused", said="no such account")))
    new(on)
    on.settle()


def ambiguous(on: Stage) -> None:
    """The target shows another total than was sent."""
    toy = on.targets["netsuite"]

    def other_total(one: object, work: object) -> Echo | None:
        echo = toy.commit(work)  # type: ignore[arg-type]
        toy.book[work.ref] = Echo(echo.remote, echo.ref, echo.number, echo.currency, (echo.total or 0) + 1)  # type: ignore[attr-defined]
        raise Uncertain("target_lost")

    toy.trouble.append(other_total)
    new(on)
    on.settle()
    on.probe(seconds=210)


SCENES = {ledger.NEW: new, ledger.HELD: held, ledger.REFUSED: refused, ledger.AMBIGUOUS: ambiguous}


def at(on: Stage, state: str) -> Item:
    SCENES[state](on)
    item = on.one("invoice")
    assert item["state"] == state
    return item


def go_on(on: Stage) -> Item:
    """The world puts right what was wrong, and everything runs on."""
    on.link(CUSTOMER)
    for ref, echo in on.targets["netsuite"].book.items():
        total = on.one("invoice")["total"]
        on.targets["netsuite"].book[ref] = Echo(echo.remote, echo.ref, echo.number, echo.currency, total)
    for _ in range(3):
        on.probe(seconds=1)
        on.settle()
    return on.one("invoice")


def test_a_refused_posting_is_retried_with_who_and_why_in_its_history(on: Stage) -> None:
    at(on, ledger.REFUSED)
    done = act(on, "retry")
    assert (done["state"], "case" in done, "payload" in done) == (ledger.NEW, False, False)
    line = done["history"][-1]
    assert (line["by"], line["note"]) == ("anna", {"action": "retry", "why": WHY})
    item = go_on(on)
    assert item["state"] == ledger.POSTED
    assert chain_breaks(item["history"], item["tail"]) == []
    assert len(on.targets["netsuite"].book) == 1


def test_a_held_posting_is_asked_again_at_once_when_released(on: Stage) -> None:
    item = at(on, ledger.HELD)
    on.link(CUSTOMER)
    assert on.probe(seconds=1)["sent again"] == 0, "it is not due yet"
    assert act(on, "release")["due"] < item["due"]
    on.probe(seconds=1)
    on.settle()
    assert on.one("invoice")["state"] == ledger.POSTED


def test_a_release_passes_no_gate(on: Stage) -> None:
    at(on, ledger.HELD)
    act(on, "release")
    on.probe(seconds=1)
    on.settle()
    assert on.one("invoice")["state"] == ledger.HELD
    assert on.targets["netsuite"].calls == 0


def test_what_differs_at_the_target_is_adopted_only_once_it_matches(on: Stage) -> None:
    at(on, ledger.AMBIGUOUS)
    act(on, "look")
    on.probe(seconds=1)
    assert on.one("invoice")["state"] == ledger.AMBIGUOUS, "a person's word is not enough"
    act(on, "look")
    assert go_on(on)["state"] == ledger.POSTED
    assert len(on.targets["netsuite"].book) == 1


def test_what_a_look_proves_absent_is_sent_again_once(on: Stage) -> None:
    at(on, ledger.AMBIGUOUS)
    on.targets["netsuite"].book.clear()
    act(on, "look")
    assert go_on(on)["state"] == ledger.POSTED
    assert len(on.targets["netsuite"].book) == 1


def test_money_is_cancelled_by_two_people_and_never_reaches_the_target(on: Stage) -> None:
    at(on, ledger.HELD)
    asked = act(on, "cancel")
    assert (asked["state"], asked["wish"]["by"], offered(asked)) == (ledger.HELD, "anna", ("agree", "decline"))
    with pytest.raises(NotAllowed):
        second(on, by="anna")
    done = second(on)
    assert (done["state"], "due" in done, "wish" in done) == (ledger.SUPERSEDED, False, False)
    assert done["history"][-1]["note"] == {"action": "cancel", "why": WHY, "asked": "anna"}
    assert go_on(on)["state"] == ledger.SUPERSEDED
    assert on.targets["netsuite"].calls == 0
    assert on.lane(done)["queue"] == []


def test_a_wish_about_what_is_being_sent_by_now_is_neither_agreed_to_nor_declined(on: Stage) -> None:
    """Seed 180: whoever declined was shown an error of ours."""
    new(on)
    act(on, "cancel")
    on.one("invoice")["state"] = ledger.SENDING
    token = on.world.ports().token()
    with pytest.raises(Moved, match="it is SENDING now"):
        decline(on.world.ledger, on.one("invoice")["key"], "ben", "the customer exists", on.world.time, token)
    with pytest.raises(Moved, match="it is SENDING now"):
        second(on)


def test_a_declined_wish_changes_nothing_and_is_gone(on: Stage) -> None:
    at(on, ledger.HELD)
    act(on, "cancel")
    token = on.world.ports().token()
    item = decline(on.world.ledger, on.one("invoice")["key"], "ben", "the customer exists", on.world.time, token)
    assert (item["state"], "wish" in item) == (ledger.HELD, False)
    with pytest.raises(Moved, match="nobody asks"):
        second(on)
    assert go_on(on)["state"] in (ledger.HELD, ledger.POSTED)


def test_a_wish_is_void_once_the_posting_has_gone(on: Stage) -> None:
    at(on, ledger.NEW)
    act(on, "cancel")
    on.settle()
    assert on.one("invoice")["state"] == ledger.POSTED
    with pytest.raises(Moved):
        second(on)
    assert on.one("invoice")["state"] == ledger.POSTED


def test_the_second_of_two_operators_is_told_who_did_what(on: Stage) -> None:
    seen = at(on, ledger.REFUSED)["tail"]
    act(on, "retry", by="anna", seen=seen)
    with pytest.raises(Moved, match=r"NEW now \(retry by anna"):
        act(on, "cancel", by="cleo", seen=seen)


def test_of_two_at_the_same_moment_one_wins(on: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    at(on, ledger.REFUSED)
    books = on.world.ledger
    write = books.write

    def between(writes: object) -> None:
        monkeypatch.setattr(books, "write", write)
        act(on, "retry", by="cleo")
        write(writes)  # type: ignore[arg-type]

    monkeypatch.setattr(books, "write", between)
    with pytest.raises(Moved, match="retry by cleo"):
        act(on, "retry", by="anna")
    assert sum(line.get("note", {}).get("action") == "retry" for line in on.one("invoice")["history"]) == 1


def test_a_cancelled_posting_gives_its_place_up_though_others_join_its_lane(
    on: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = at(on, ledger.HELD)
    act(on, "cancel")
    books = on.world.ledger
    write = books.write

    def between(writes: object) -> None:
        monkeypatch.setattr(books, "write", write)
        on.take(on.event("invoice.paid", id="in_1", customer=CUSTOMER) | {"id": "evt_p1"})
        write(writes)  # type: ignore[arg-type]

    monkeypatch.setattr(books, "write", between)
    assert second(on)["state"] == ledger.SUPERSEDED
    assert on.lane(item)["queue"] == [on.one("payment")["key"]]


@pytest.mark.parametrize("place", ["head", "middle", "aside"])
def test_a_posting_leaves_its_lane_wherever_it_stands(on: Stage, place: str) -> None:
    key = keys.lane_item("l")
    queue, aside = {"head": (["x", "b"], ["a"]), "middle": (["b", "x"], ["a"]), "aside": (["b"], ["x", "a"])}[place]
    lane = {"pk": key.pk, "sk": key.sk, "queue": queue, "aside": aside, "rev": 3}
    left = lanes.withdraw(lane, "x", on.world.time)
    assert sorted([*left.set["queue"], *left.set["aside"]]) == ["a", "b"]
    assert left.when == {"rev": 3, "queue[0]": queue[0]}


def test_nobody_touches_what_may_be_on_its_way(on: Stage) -> None:
    invoice_states = (ledger.SENDING, ledger.DELIVERED, ledger.IN_DOUBT, *sorted(TERMINAL))
    for state in invoice_states:
        assert allowed({"state": state}) == ()
    at(on, ledger.NEW)
    on.settle()
    for name in ACTIONS:
        with pytest.raises(BadQuestion, match="cannot be told to"):
            act(on, name)


def test_a_step_of_a_flow_is_neither_retried_nor_cancelled_beside_its_state_machine(on: Stage) -> None:
    item = at(on, ledger.REFUSED)
    on.world.ledger.items[keys.posting_item(item["key"])]["run"] = ["R#x", "1"]
    for name in ("retry", "cancel"):
        with pytest.raises(BadQuestion, match="step of a running flow"):
            act(on, name)


def test_a_target_that_cannot_be_searched_is_not_looked_at(on: Stage) -> None:
    at(on, ledger.AMBIGUOUS)
    on.targets["netsuite"].finds = Finds.BLIND
    assert offered(on.one("invoice")) == ()
    with pytest.raises(BadQuestion, match="cannot be searched"):
        act(on, "look")


def test_no_reason_no_such_action_and_no_such_posting_are_refused(on: Stage) -> None:
    at(on, ledger.REFUSED)
    for action, why in (("retry", "so"), ("retry", "x" * 301), ("forget", WHY)):
        with pytest.raises(BadQuestion):
            act(on, action, why=why)
    with pytest.raises(NotThere):
        settle(on.world.ledger, Wish("nothing", "retry", WHY), "anna", on.world.time, "t")
    assert on.one("invoice")["state"] == ledger.REFUSED


@pytest.mark.parametrize("state", SCENES)
def test_from_every_state_that_waits_for_a_person_each_action_ends_within_three_steps(state: str) -> None:
    """I10, first half."""
    for name in ACTIONS:
        with stage() as on:
            item = at(on, state)
            if name not in allowed(item):
                continue
            done = act(on, name)
            if done.get("wish"):
                second(on)
            assert go_on(on)["state"] in TERMINAL, (state, name)
            assert len(on.targets["netsuite"].book) <= 1


@pytest.mark.parametrize("state", SCENES)
def test_of_any_two_actions_on_one_view_the_second_is_refused(state: str) -> None:
    """I10, second half: nobody acts on a history that somebody else has written on."""
    for first, other in itertools.product(ACTIONS, ACTIONS):
        with stage() as on:
            item = at(on, state)
            if not {first, other} <= set(allowed(item)):
                continue
            act(on, first, by="anna", seen=item["tail"])
            with pytest.raises(Moved):
                act(on, other, by="ben", seen=item["tail"])
            assert sum("action" in line.get("note", {}) for line in on.one("invoice")["history"]) <= 1


def test_each_action_is_one_row() -> None:
    """A second row of a name would take the first one's place unseen."""
    assert [one.name for one in ROWS] == list(ACTIONS)


def test_a_case_shows_what_may_be_done(on: Stage) -> None:
    at(on, ledger.REFUSED)
    [cause] = [one for one in ask.cases(on.world.ledger, on.world.time) if one.code == "target_refused"]
    assert cause.cases[0].actions == ("retry", "cancel")
