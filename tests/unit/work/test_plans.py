"""What becomes of a void, and of other content, by where its document stands: the planner through the verbs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest

from tests.toy import Stage, commits_and_drops, refuses, stage
from tieout import tables
from tieout.core import ledger, planner
from tieout.core.clocks import Calendar, PeriodState
from tieout.core.documents import Status
from tieout.core.verdicts import NeedsHuman, TryAgain
from tieout.core.writes import Item
from tieout.work import ask, make, plans, post
from tieout.work.ports import Message
from tieout.work.settle import Wish, agree, offered, settle

CUSTOMER = "cus_1"


@pytest.fixture
def on() -> Iterator[Stage]:
    with stage() as made:
        made.link(CUSTOMER)
        yield made


def tell(on: Stage, what: str, event_id: str, **changes: Any) -> None:
    """The source tells of invoice in_1: ``finalized``, ``paid`` or ``voided``."""
    event = on.event("invoice.finalized", id="in_1", customer=CUSTOMER, number="INV-1", **changes)
    thing, created = event["data"]["object"], event["created"]
    if what == "voided":
        thing["status"] = "void"
        thing["status_transitions"]["voided_at"] = created
    if what == "paid":
        thing |= {"amount_paid": thing["total"], "amount_remaining": 0, "status": "paid"}
        thing["status_transitions"]["paid_at"] = created
    on.take({**event, "type": f"invoice.{what}", "id": event_id})


def of(on: Stage, action: str) -> Item:
    (item,) = (one for one in on.postings("invoice") if one["action"] == action)
    return item


def states(on: Stage) -> tuple[str, str]:
    return of(on, "create")["state"], of(on, "void")["state"]


def booked(on: Stage) -> list[str]:
    return on.targets["netsuite"].order


def whole(on: Stage) -> bool:
    return all(not ledger.chain_breaks(item["history"], item["tail"]) for item in on.postings())


# --- unsent ------------------------------------------------------------------------------------------------------
def test_a_void_of_what_was_never_sent_ends_with_it_and_nothing_reaches_the_target(on: Stage) -> None:
    tell(on, "finalized", "evt_1")
    tell(on, "voided", "evt_2")
    on.world.queues.sent.pop(0)  # the invoice's message is late
    on.settle()
    assert states(on) == (ledger.SUPERSEDED, ledger.SUPERSEDED)
    assert not booked(on)
    assert on.lane(of(on, "void"))["queue"] == []
    assert on.lane(of(on, "void"))["waiting"] == 0
    assert whole(on)


def test_a_refused_invoice_ends_with_its_void_and_its_case_is_over(on: Stage) -> None:
    on.targets["netsuite"].trouble.append(refuses(NeedsHuman("target_refused", said="no such account")))
    tell(on, "finalized", "evt_1")
    on.settle()
    assert [one.code for one in ask.cases(on.world.ledger, on.world.time)] == ["target_refused"]
    tell(on, "voided", "evt_2")
    on.settle()
    assert states(on) == (ledger.SUPERSEDED, ledger.SUPERSEDED)
    assert ask.cases(on.world.ledger, on.world.time) == ()
    assert not [kind for kind in booked(on) if kind.startswith("invoice")]


def test_a_held_invoice_ends_with_its_void_and_the_crm_is_told(on: Stage) -> None:
    on.world.ledger.items.clear()  # its customer is not known
    tell(on, "finalized", "evt_1")
    on.settle()
    tell(on, "voided", "evt_2")
    on.post()
    assert states(on) == (ledger.SUPERSEDED, ledger.SUPERSEDED)
    (status,) = on.postings("status")
    said = make.unpack(status)
    assert isinstance(said, Status)
    assert "Invoice INV-1 was taken back before finance had booked it" in said.sentence
    on.settle()
    assert on.one("status")["state"] == ledger.POSTED


def test_a_void_that_waits_behind_an_invoice_refused_later_ends_with_it_at_its_next_look(on: Stage) -> None:
    toy = on.targets["netsuite"]
    toy.trouble.append(refuses(TryAgain("target_busy")))
    tell(on, "finalized", "evt_1")
    on.settle()
    with patch.object(plans, "withdraw", lambda *_: None):
        tell(on, "voided", "evt_2")
        on.settle()
    toy.trouble.append(refuses(NeedsHuman("target_refused", said="no such account")))
    with patch.object(plans, "withdraw", lambda *_: None):
        on.probe(minutes=2)
        on.settle()
    assert states(on) == (ledger.REFUSED, ledger.NEW)
    assert on.probe(minutes=10)["withdrawn with what it takes back"] == 1
    assert states(on) == (ledger.SUPERSEDED, ledger.SUPERSEDED)


def test_a_void_that_came_first_ends_with_the_held_invoice_it_stood_aside_for(on: Stage) -> None:
    tell(on, "voided", "evt_2")
    on.settle()
    on.world.ledger.items = {key: item for key, item in on.world.ledger.items.items() if not key.pk.startswith("X#")}
    tell(on, "finalized", "evt_1")
    on.settle()
    assert states(on) == (ledger.HELD, ledger.HELD)
    assert on.probe(minutes=5)["withdrawn with what it takes back"] == 1
    assert states(on) == (ledger.SUPERSEDED, ledger.SUPERSEDED)
    assert on.lane(of(on, "void"))["waiting"] == 0


def test_an_invoice_that_is_claimed_meanwhile_is_posted_and_taken_back_after(on: Stage) -> None:
    """The void has read the invoice as NEW; before it writes, another worker claims it."""
    tell(on, "finalized", "evt_1")
    tell(on, "voided", "evt_2")
    first, second = on.world.queues.take()
    stale = post.Batch(on.world.ports())
    stale.load([second])
    assert post.post([Message("s1", first.body())], on.world.ports()) == []
    assert states(on)[0] == ledger.POSTED
    with patch.object(post, "Batch", lambda ports: stale), patch.object(stale, "load", lambda bodies: None):
        assert post.post([Message("s2", second.body())], stale.ports) == []
    assert states(on) == (ledger.POSTED, ledger.NEW), "fenced: nothing was written"
    on.probe(minutes=5)
    on.settle()
    assert states(on) == (ledger.POSTED, ledger.POSTED)
    assert booked(on)[:1] == ["invoice.create"]
    assert "invoice.void" in booked(on)


def test_an_invoice_that_was_ever_in_doubt_is_posted_first(on: Stage) -> None:
    """What was looked for and not found may be sent again; it is not taken for proof that nothing is ever there."""
    toy = on.targets["netsuite"]
    toy.trouble.append(commits_and_drops)
    tell(on, "finalized", "evt_1")
    on.settle()
    toy.book.clear()
    on.probe(minutes=10)
    assert states_of_invoice(on) == ledger.NEW
    on.world.queues.take()
    tell(on, "voided", "evt_2")
    on.settle()
    assert states(on) == (ledger.NEW, ledger.NEW)
    on.probe(minutes=10)
    on.settle()
    assert states(on) == (ledger.POSTED, ledger.POSTED)


def states_of_invoice(on: Stage) -> str:
    return str(of(on, "create")["state"])


def test_what_has_a_payment_behind_it_is_not_withdrawn(on: Stage) -> None:
    on.world.ledger.items.clear()
    for number, what in enumerate(("finalized", "paid", "voided")):
        tell(on, what, f"evt_{number}")
    on.settle()
    assert states(on) == (ledger.HELD, ledger.NEW)


def test_money_that_comes_for_a_withdrawn_invoice_is_a_case_at_once(on: Stage) -> None:
    tell(on, "finalized", "evt_1")
    tell(on, "voided", "evt_2")
    on.world.queues.sent.pop(0)
    on.settle()
    tell(on, "paid", "evt_3")
    on.settle()
    payment = on.one("payment")
    assert (payment["state"], payment["code"]) == (ledger.REFUSED, "parent_gone")
    assert not booked(on)


# --- posted ------------------------------------------------------------------------------------------------------
def paid_and_voided(on: Stage) -> None:
    for number, what in enumerate(("finalized", "paid", "voided")):
        tell(on, what, f"evt_{number}")
    on.settle()


def test_a_posted_invoice_is_reversed_and_known_to_be_gone(on: Stage) -> None:
    tell(on, "finalized", "evt_1")
    on.settle()
    tell(on, "voided", "evt_2")
    on.settle()
    assert states(on) == (ledger.POSTED, ledger.POSTED)
    assert of(on, "create")["taken_back"] == of(on, "void")["key"]


def test_a_void_of_a_paid_invoice_is_a_case_with_its_plan_and_goes_nowhere(on: Stage) -> None:
    paid_and_voided(on)
    void = of(on, "void")
    assert (void["state"], void["code"]) == (ledger.HELD, "void_of_paid")
    (cause,) = ask.cases(on.world.ledger, on.world.time)
    assert "Plan: credit." in cause.cases[0].sentence
    assert "approve" in offered(void)
    on.probe(minutes=30)
    on.settle()
    assert "invoice.void" not in booked(on)


def test_once_two_people_agree_a_paid_invoice_is_credited_on_account(on: Stage) -> None:
    paid_and_voided(on)
    key, now, token = of(on, "void")["key"], on.world.time, "t"
    settle(on.world.ledger, Wish(key, "approve", "refunded by hand yesterday"), "anna", now, token)
    on.probe(minutes=10)
    on.settle()
    assert of(on, "void")["state"] == ledger.HELD, "one person alone moves nothing"
    agree(on.world.ledger, key, "ben", on.world.time, "t2")
    on.probe(minutes=10)
    on.settle()
    assert of(on, "void")["state"] == ledger.POSTED
    assert booked(on).count("invoice.void") == 1


def test_a_target_that_only_voids_in_place_stops_for_a_paid_invoice(on: Stage) -> None:
    toy = on.targets["netsuite"]
    toy.actions = {**toy.actions, ("invoice", "void"): replace(toy.actions["invoice", "void"], dated=False)}
    paid_and_voided(on)
    void = of(on, "void")
    assert (void["state"], void["code"]) == (ledger.REFUSED, "cannot_take_back")
    assert "take the payment off there" in void["facts"]["why"]


def test_an_original_in_a_closed_period_is_not_voided_in_place_but_reversed_by_a_document(on: Stage) -> None:
    toy = on.targets["netsuite"]
    tell(on, "finalized", "evt_1")
    on.settle()
    real = tables.load()
    known = real.calendars["US01"]
    shut = [replace(one, state=PeriodState.CLOSED) for one in known.periods]
    assert plans.plan(on.world.ports(), planner.Says.VOIDED, of(on, "create")).does is planner.Does.REVERSE
    toy.actions = {**toy.actions, ("invoice", "void"): replace(toy.actions["invoice", "void"], dated=False)}
    assert plans.plan(on.world.ports(), planner.Says.VOIDED, of(on, "create")).does is planner.Does.VOID
    with patch.dict(real.calendars, {"US01": Calendar("US01", known.zone, shut)}):
        assert plans.plan(on.world.ports(), planner.Says.VOIDED, of(on, "create")).does is planner.Does.STOP


def test_a_void_of_what_a_person_cancelled_has_nothing_to_do(on: Stage) -> None:
    on.world.ledger.items.clear()
    tell(on, "finalized", "evt_1")
    on.settle()
    key = of(on, "create")["key"]
    settle(on.world.ledger, Wish(key, "cancel", "billed twice at the source"), "anna", on.world.time, "t")
    agree(on.world.ledger, key, "ben", on.world.time, "t2")
    tell(on, "voided", "evt_2")
    on.settle()
    assert states(on) == (ledger.SUPERSEDED, ledger.SUPERSEDED)
    assert on.lane(of(on, "void"))["queue"] == []


def test_a_void_with_nothing_to_do_ends_in_its_turn_whoever_looks_at_it_before(on: Stage) -> None:
    """Found by seeds 17234 and 18976: it stood behind a refused payment until its event was delivered again."""
    on.world.ledger.items.clear()
    for number, what in enumerate(("finalized", "paid", "voided")):
        tell(on, what, f"evt_{number}")
    on.settle()
    key = of(on, "create")["key"]
    settle(on.world.ledger, Wish(key, "cancel", "billed twice at the source"), "anna", on.world.time, "t")
    agree(on.world.ledger, key, "ben", on.world.time, "t2")
    on.probe(minutes=5)
    on.settle()
    assert (on.one("payment")["state"], of(on, "void")["state"]) == (ledger.REFUSED, ledger.NEW)
    tell(on, "voided", "evt_2")
    on.settle()
    assert of(on, "void")["state"] == ledger.NEW, "what is told twice changes nothing"
    payment = on.one("payment")["key"]
    settle(on.world.ledger, Wish(payment, "cancel", "paid back at the bank"), "anna", on.world.time, "t3")
    agree(on.world.ledger, payment, "ben", on.world.time, "t4")
    on.probe(minutes=5)
    on.settle()
    assert of(on, "void")["state"] == ledger.SUPERSEDED
    assert on.lane(of(on, "void"))["queue"] == []


def test_money_that_comes_after_the_void_is_a_case_at_once(on: Stage) -> None:
    for number, what in enumerate(("finalized", "voided", "paid")):
        tell(on, what, f"evt_{number}")
        on.settle()
    payment = on.one("payment")
    assert (payment["state"], payment["code"]) == (ledger.REFUSED, "parent_gone")
    assert "taken back by a void" in payment["facts"]["how"]
    assert "payment.create" not in booked(on)


# --- other content -----------------------------------------------------------------------------------------------
def test_other_content_under_the_same_id_is_a_case_that_shows_its_plan_and_its_money(on: Stage) -> None:
    tell(on, "finalized", "evt_1")
    on.settle()
    changed = on.event("invoice.finalized", id="in_1", customer=CUSTOMER, number="INV-1")
    thing = changed["data"]["object"]
    line = thing["lines"]["data"][0]
    more = 5000
    line["amount"] += more
    for name in (
        "subtotal",
        "total",
        "amount_due",
        "amount_remaining",
        "subtotal_excluding_tax",
        "total_excluding_tax",
    ):
        if name in thing:
            thing[name] += more
    on.take(changed | {"id": "evt_9"})
    (cause,) = ask.cases(on.world.ledger, on.world.time)
    assert cause.code == "document_conflict"
    facts = cause.cases[0].line
    assert "Plan: credit and rebill." in facts.sentence
    (event,) = (item for item in on.world.ledger.items.values() if item.get("code") == "document_conflict")
    assert event["facts"]["effect"] == "50.00"
    assert on.one("invoice")["state"] == ledger.POSTED
