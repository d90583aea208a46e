"""Payouts, disputes and refunds of Stripe through the deployed regime: to the cent, once, and clearing ends at nil."""

from __future__ import annotations

import pytest

from infra.local.sandbox import Fault, When
from tests.e2e.scene import Scene, scene
from tieout.core import ledger

STEPS = "GET /stripe/acct_us/v1/balance_transactions"
PAYOUT = "GET /stripe/acct_us/v1/payouts"


def paid(on: Scene, *amounts: int) -> None:
    """An invoice of each amount, paid."""
    for amount in amounts:
        invoice = on.bill(amount)
        on.settle()
        on.stripe.pay(invoice["id"])
    on.settle()


def entries(on: Scene) -> list[dict[str, int]]:
    """Each journal entry of the ERP, as what it debits each account (credits negative), oldest first."""
    found = []
    for record in on.sandboxes.netsuite.records.values():
        if record.type == "journalEntry":
            moved: dict[str, int] = {}
            for line in record.lines:
                sign, side = (1, "debit") if line.get("debit") else (-1, "credit")
                account = str(line["account"]["id"])
                moved[account] = moved.get(account, 0) + sign * int(line[side] * 100)
            found.append(moved)
    return found


def test_a_payout_debits_the_bank_and_the_fees_and_clears_what_was_paid() -> None:
    with scene() as on:
        paid(on, 10_000, 25_050)
        on.stripe.balance.pay_out()
        on.settle()
        fees = (10_000 * 29 + 500) // 1000 + 30 + (25_050 * 29 + 500) // 1000 + 30
        assert entries(on) == [{"101": 35_050 - fees, "630": fees, "111": -35_050}]
        [entry] = on.postings("journal_entry")
        assert (entry["state"], entry["total"], entry["currency"]) == (ledger.POSTED, 35_050, "USD")
        assert on.differences() == []


@pytest.mark.parametrize(
    "fault",
    [
        Fault("unavailable", STEPS, args={"seconds": 1200}),
        Fault("rate_limit", PAYOUT, times=2, args={"retry_after": 90}),
        Fault("truncated", STEPS, times=2),
        Fault("drop_before", PAYOUT, times=3),
        Fault("webhook_twice", "HOOK /hooks/stripe"),
        Fault("commit_then_drop", r"PUT /netsuite/acme/.*/journalEntry/"),
    ],
    ids=lambda fault: fault.kind,
)
def test_whatever_goes_wrong_meanwhile_the_entry_is_there_once(fault: Fault) -> None:
    with scene() as on:
        paid(on, 10_000)
        on.sandboxes.faults.add(fault)
        on.stripe.balance.pay_out()
        on.settle()
        assert fault.struck
        assert entries(on) == [{"101": 9_680, "630": 320, "111": -10_000}]
        assert on.differences() == []


def test_a_payout_is_booked_once_its_transactions_are_together() -> None:
    with scene() as on:
        paid(on, 10_000)
        on.stripe.balance.reconciles_after = 1800
        on.stripe.balance.pay_out()
        on.settle()
        assert entries(on) == [{"101": 9_680, "630": 320, "111": -10_000}]
        assert len(on.sandboxes.calls(PAYOUT)) > 1


def test_a_payout_that_the_bank_gives_back_is_taken_back_and_in_the_end_the_bank_has_it_once() -> None:
    with scene() as on:
        paid(on, 10_000)
        first = on.stripe.balance.pay_out()
        on.settle()
        on.stripe.balance.fail(first["id"])
        on.settle()
        on.stripe.balance.pay_out()
        on.settle()
        assert entries(on) == [
            {"101": 9_680, "630": 320, "111": -10_000},
            {"111": 9_680, "101": -9_680},
            {"101": 9_680, "111": -9_680},
        ]
        assert {item["state"] for item in on.postings("journal_entry")} == {ledger.POSTED}
        assert on.differences() == []


def test_a_failure_that_is_told_first_waits_for_the_payout_s_entry() -> None:
    with scene() as on:
        paid(on, 10_000)
        on.stripe.balance.reconciles_after = 900
        first = on.stripe.balance.pay_out()
        on.stripe.balance.fail(first["id"])
        on.settle()
        assert entries(on) == [{"101": 9_680, "630": 320, "111": -10_000}, {"111": 9_680, "101": -9_680}]


def test_a_manual_payout_is_a_case_that_says_why() -> None:
    with scene() as on:
        paid(on, 10_000)
        manual = on.stripe.balance.pay_out(automatic=False)
        on.settle()
        [case] = [item for item in on.events() if item["state"] == ledger.CASE]
        assert (case["code"], case["facts"]["payout"]) == ("payout_not_itemised", manual["id"])
        assert case["case"]["owner"] == "finance-ops"
        assert entries(on) == []


def clearing(on: Scene) -> int:
    """What the clearing account keeps: the payments that were booked on it, less what the entries took off."""
    booked: int = sum(entry.total_minor for entry in on.in_netsuite("payment"))
    return booked + sum(entry.get("111", 0) for entry in entries(on))


def told(on: Scene) -> dict[str, list[str]]:
    """What became of each event about money, by its type."""
    found: dict[str, list[str]] = {}
    for item in on.events():
        if not item["type"].startswith(("invoice.", "customer.")):
            found.setdefault(item["type"], []).append(item["state"])
    return found


@pytest.mark.parametrize("won", [True, False])
def test_a_dispute_is_out_of_clearing_with_its_fee_and_in_the_end_back_or_a_loss(won: bool) -> None:
    with scene() as on:
        paid(on, 10_000)
        [invoice] = on.stripe.tables["invoices"]
        disputed = on.stripe.balance.dispute(invoice)
        on.settle()
        assert entries(on) == [{"125": 10_000, "631": 1_500, "111": -11_500}]
        on.stripe.balance.close(disputed["id"], won=won)
        on.settle()
        end = {"111": 10_000, "125": -10_000} if won else {"640": 10_000, "125": -10_000}
        assert entries(on)[1:] == [end]
        closed = ledger.IGNORED if won else ledger.MADE
        assert told(on)["charge.dispute.closed"] == [closed]
        assert told(on)["charge.dispute.created"] == [ledger.IGNORED]
        assert on.differences() == []


def test_a_payment_with_a_refund_and_a_dispute_that_is_paid_out_leaves_nothing_on_clearing() -> None:
    with scene() as on:
        paid(on, 10_000, 20_000)
        first, second = on.stripe.tables["invoices"]
        on.stripe.balance.refund(first, 2_500)
        on.stripe.balance.dispute(second)
        late = on.stripe.balance.refund(first, 1_000, pending=True)
        on.settle()
        assert clearing(on) == 30_000 - 2_500 - 21_500
        on.stripe.balance.complete(late["id"])
        on.settle()
        on.stripe.balance.close(next(iter(on.stripe.tables["disputes"])), won=True)
        on.stripe.balance.pay_out()
        on.settle()
        assert clearing(on) == 0
        assert sorted(told(on)["refund.created"]) == [ledger.IGNORED, ledger.MADE]
        assert told(on)["refund.updated"] == [ledger.MADE]
        assert {item["state"] for item in on.postings("journal_entry")} == {ledger.POSTED}
        assert on.differences() == []


def test_a_dispute_that_is_told_before_its_payment_is_booked_waits_for_it() -> None:
    with scene() as on:
        invoice = on.bill(10_000)
        on.settle()
        on.stripe.pay(invoice["id"], when=When(delay=900))
        on.stripe.balance.dispute(invoice["id"])
        on.settle()
        assert entries(on) == [{"125": 10_000, "631": 1_500, "111": -11_500}]
        assert clearing(on) == -1_500
        assert on.differences() == []


def test_what_comes_twice_and_in_the_wrong_order_is_booked_once() -> None:
    with scene() as on:
        paid(on, 10_000)
        [invoice] = on.stripe.tables["invoices"]
        disputed = on.stripe.balance.dispute(invoice, when=When(delay=1200))
        on.stripe.balance.close(disputed["id"], when=When(times=2))
        back = on.stripe.balance.refund(invoice, 100, when=When(delay=900, times=2))
        on.stripe.balance.bounce(back["id"])
        on.settle()
        wanted = [
            {"125": 10_000, "631": 1_500, "111": -11_500},
            {"640": 10_000, "125": -10_000},
            {"126": 100, "111": -100},
            {"126": -100, "111": 100},
        ]
        assert sorted(map(sorted, entries(on))) == sorted(map(sorted, wanted))
        assert all(entry in wanted for entry in entries(on))
        assert on.differences() == []


def test_money_of_a_payment_without_an_invoice_is_a_case_that_says_which() -> None:
    with scene() as on:
        paid(on, 10_000)
        [invoice] = on.stripe.tables["invoices"]
        disputed = on.stripe.balance.refund(invoice, 100, when=When(delay=60))
        on.stripe.tables["invoice_payments"].clear()
        on.settle()
        [case] = [item for item in on.events() if item["state"] == ledger.CASE]
        assert (case["code"], case["facts"]["payment"]) == ("payment_unknown", disputed["payment_intent"])
        assert entries(on) == []
