"""Payouts of Stripe through the deployed regime: what the bank shows is in the ERP to the cent, and once."""

from __future__ import annotations

import pytest

from infra.local.sandbox import Fault
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
