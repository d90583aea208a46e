"""What Chargebee takes or gives back, through the deployed regime: voids, refunds, returned debits."""

from __future__ import annotations

from typing import Any

import pytest

from infra.local.sandbox import When
from infra.local.sandbox.chargebee import Chargebee
from infra.local.sandbox.chargebee_events import Events
from tests.e2e.scene import Scene, scene
from tests.routed import routed
from tieout.core import ledger
from tieout.core.routing import Route

LEDGER = Route("ledger", "sap", "acme", entity="DE01")
CUSTOMER, INVOICE, PAYMENT = "16BQyzV2Yq7Oa1p", "AC-1042", "txn_16BQyzV2ZBn3k2d"


def billed(on: Scene) -> Events:
    """A customer and an invoice of 522.41 €, in the German company's ERP."""
    site = on.sandboxes.of(Chargebee).events
    site.occur("customer_created", id=CUSTOMER)
    on.settle()
    site.occur("invoice_generated", id=INVOICE)
    on.settle()
    return site


def paid(on: Scene) -> Events:
    """The same, paid."""
    site = billed(on)
    site.occur("payment_succeeded", id=PAYMENT)
    on.settle()
    return site


def entries(on: Scene) -> list[Any]:
    """What the general ledger holds: kind and total."""
    return [(entry.kind, entry.total_minor) for entry in on.sandboxes.book("sap", "acme")]


def outcomes(on: Scene, type_: str) -> list[str]:
    return sorted(item["state"] for item in on.events() if item["type"] == type_)


def test_an_invoice_that_is_voided_is_taken_back_and_one_that_is_only_updated_is_not() -> None:
    with scene() as on:
        site = billed(on)
        site.occur("invoice_updated", id=INVOICE, status="payment_due", voided_at=None)
        on.settle()
        assert [entry.status for entry in on.sandboxes.book("legacy", "acme") if entry.kind == "invoice"] == ["open"]
        site.occur("invoice_updated", id=INVOICE)
        on.settle()
        site.occur("invoice_deleted", id=INVOICE)
        on.settle()
        assert [item["state"] for item in on.postings() if item["action"] == "void"] == [ledger.POSTED]
        assert outcomes(on, "invoice_updated") == [ledger.IGNORED, ledger.MADE]
        assert outcomes(on, "invoice_deleted") == [ledger.DUPLICATE]
        assert on.differences() == []


def test_a_credit_note_that_is_voided_or_deleted_is_a_case_and_one_that_is_only_updated_is_not() -> None:
    with scene() as on:
        site = billed(on)
        site.occur("credit_note_created", id="AC-CN-77")
        on.settle()
        site.occur("credit_note_updated", id="AC-CN-77", status="refunded", voided_at=None)
        on.settle()
        site.occur("credit_note_updated", id="AC-CN-77")
        on.settle()
        site.occur("credit_note_deleted", id="AC-CN-77")
        on.settle()
        assert {item["action"]: (item["state"], item.get("code")) for item in on.postings("credit_note")} == {
            "create": (ledger.POSTED, None),
            "void": (ledger.REFUSED, "cannot_take_back"),
        }
        assert outcomes(on, "credit_note_updated") == [ledger.IGNORED, ledger.MADE]
        assert outcomes(on, "credit_note_deleted") == [ledger.DUPLICATE]
        assert on.differences() == []


def test_a_refund_that_two_events_tell_of_is_one_entry_and_is_turned_round_when_it_fails_late() -> None:
    with routed(LEDGER), scene() as on:
        site = paid(on)
        for told in ("payment_refunded", "transaction_created"):
            site.occur(told, id="txn_back", type="refund", amount=10000, refunded_txn_id=PAYMENT, date=1794184200)
            on.settle()
        assert entries(on) == [("journal_entry", 10000)]
        assert outcomes(on, "payment_refunded") == [ledger.MADE]
        assert outcomes(on, "transaction_created") == [ledger.DUPLICATE]
        site.occur("transaction_updated", id="txn_back", refunded_txn_id=PAYMENT)
        on.settle()
        assert entries(on) == [("journal_entry", 10000)] * 2
        assert {item["state"] for item in on.postings("journal_entry")} == {ledger.POSTED}
        assert on.differences() == []


@pytest.mark.parametrize("when", [When(), When(times=2)])
def test_a_returned_debit_that_is_told_before_its_payment_waits_for_it(when: When) -> None:
    with routed(LEDGER), scene() as on:
        site = billed(on)
        site.occur("payment_succeeded", When(delay=900), id=PAYMENT)
        site.occur("transaction_created", when, id="txn_back", reference_transaction_id=PAYMENT)
        on.settle()
        assert entries(on) == [("journal_entry", 52241)]
        assert on.differences() == []


def test_without_a_ledger_for_its_company_money_that_goes_back_is_a_case() -> None:
    with scene() as on:
        site = paid(on)
        site.occur("payment_refunded", id="txn_back", refunded_txn_id=PAYMENT)
        on.settle()
        [case] = [item for item in on.events() if item["state"] == ledger.CASE]
        assert (case["code"], case["facts"]["kind"], case["facts"]["entity"]) == ("no_route", "journal_entry", "DE01")
