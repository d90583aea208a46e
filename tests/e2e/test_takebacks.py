"""A source takes back what we have, through the real handlers: unsent, paid, and told of with other content."""

from __future__ import annotations

import copy
import io
from contextlib import redirect_stdout
from typing import Any

from infra.local.sandbox import When
from tests.e2e.scene import Scene, body_of, scene
from tieout.core import keys, ledger
from tieout.core.writes import Change
from tieout.work import ask
from tieout.work.settle import Wish, agree, settle


def states(on: Scene) -> dict[str, str]:
    return {item["action"]: item["state"] for item in on.postings()}


def forget(on: Scene) -> None:
    """NetSuite is not known to have the customer, so that the invoice is held."""
    key = keys.link_item("customer", f"stripe:acct_us:{on.customer}")
    on.ledger.write([Change(key, remove=("at:netsuite:acme",))])


def test_a_void_of_an_invoice_that_is_held_ends_both_and_the_erp_hears_of_neither() -> None:
    with scene() as on:
        forget(on)
        invoice = on.bill()
        on.settle()
        assert states(on) == {"create": ledger.HELD}
        on.stripe.void(invoice["id"])
        on.settle()
        assert states(on) == {"create": ledger.SUPERSEDED, "void": ledger.SUPERSEDED}
        assert on.in_netsuite() == on.in_netsuite("credit_note") == []
        (status,) = on.sandboxes.salesforce.statuses()
        assert "was taken back before finance had booked it" in status["Sentence__c"]
        assert ask.cases(on.ledger, on.world.clock.now()) == ()
        assert on.differences() == []


def test_a_void_of_a_paid_invoice_is_a_case_until_two_people_credit_it_on_account() -> None:
    with scene() as on:
        invoice = on.bill()
        on.settle()
        on.stripe.pay(invoice["id"])
        on.settle()
        voided(on, invoice)
        (cause,) = ask.cases(on.ledger, on.world.clock.now())
        assert cause.code == "void_of_paid"
        assert "credited on account" in cause.cases[0].sentence
        assert on.in_netsuite("credit_note") == []
        (void,) = (item for item in on.postings() if item["action"] == "void")
        now = on.world.clock.now()
        settle(on.ledger, Wish(void["key"], "approve", "the customer was refunded by hand"), "anna", now, "t1")
        agree(on.ledger, void["key"], "ben", now, "t2")
        on.world.clock.advance(60)
        with redirect_stdout(io.StringIO()):
            on.world.invoke("probe", {})
        on.settle()
        assert states(on) == {"create": ledger.POSTED, "void": ledger.POSTED}
        (credit,) = on.in_netsuite("credit_note")
        assert credit.total_minor == invoice["total"]
        (record,) = (one for one in on.sandboxes.netsuite.records.values() if one.type == "creditMemo")
        assert record.applies == {}, "nothing of the invoice is open that it could be applied to"


def credited(on: Scene) -> dict[str, Any]:
    """An invoice in NetSuite, and a credit note of it told of."""
    invoice = on.bill()
    on.settle()
    note: dict[str, Any] = on.stripe.credit(invoice["id"], 500)
    return note


def test_a_void_of_a_credit_note_that_is_held_ends_both_and_the_erp_hears_of_neither() -> None:
    with scene() as on:
        invoice = on.bill()
        on.settle()
        forget(on)
        note = on.stripe.credit(invoice["id"], 500)
        on.settle()
        on.stripe.void_credit(note["id"])
        on.settle()
        assert {item["state"] for item in on.postings("credit_note")} == {ledger.SUPERSEDED}
        assert on.in_netsuite("credit_note") == []
        assert on.differences() == []


def test_a_void_of_a_posted_credit_note_is_a_case_with_its_money_and_what_to_do() -> None:
    with scene() as on:
        note = credited(on)
        on.settle()
        on.stripe.void_credit(note["id"])
        on.settle()
        assert [(one["action"], one["state"], one["code"]) for one in on.postings("credit_note") if "code" in one] == [
            ("void", ledger.REFUSED, "cannot_take_back")
        ]
        (cause,) = ask.cases(on.ledger, on.world.clock.now())
        (case,) = cause.cases
        assert "cannot take a document of this kind back" in case.sentence
        assert [money.minor for money in cause.sum.money] == [note["total"]]
        assert len(on.in_netsuite("credit_note")) == 1
        assert on.differences() == []


def voided(on: Scene, invoice: dict[str, Any]) -> None:
    """The source voids what was paid: no console lets you, an API of another vendor or a bug does."""
    (event,) = (
        one for one in on.stripe.events("invoice.finalized") if one["data"]["object"]["id"] == invoice["id"]
    )  # fmt: skip
    event = copy.deepcopy(event) | {"id": "evt_void_of_paid", "type": "invoice.voided"}
    event["data"]["object"]["status"] = "void"
    event["data"]["object"]["status_transitions"]["voided_at"] = event["created"]
    assert on.hook(body_of(event)).status == 200
    on.settle()


def test_a_void_that_is_on_its_way_with_its_invoice_ends_up_in_the_same_book_either_way() -> None:
    with scene() as on:
        invoice = on.bill(when=When(delay=1))
        on.stripe.void(invoice["id"])
        on.settle()
        assert set(states(on).values()) in ({ledger.POSTED}, {ledger.SUPERSEDED})
        assert len(on.in_netsuite()) == len(on.in_netsuite("credit_note"))
        assert on.differences() == []
