"""What moves Stripe's balance, as journal entries: to the cent, whatever a payout is made up of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieout.core.documents import JournalLine
from tieout.core.rules.stripe_cash import (
    stripe_dispute_id,
    stripe_dispute_lines,
    stripe_dispute_loss,
    stripe_entry_number,
    stripe_payout_lines,
    stripe_refund_lines,
    stripe_returned_lines,
    stripe_settled_payment,
    stripe_unrefunded_lines,
)
from tieout.core.verdicts import Ignore, NeedsHuman

CATEGORIES = ("charge", "refund", "dispute", "dispute_reversal", "fee", "payout_reversal", "topup", "network_cost")


def step(category: str, amount: int, fee: int = 0, **more: Any) -> dict[str, Any]:
    return {"id": "txn_1", "amount": amount, "fee": fee, "net": amount - fee, "currency": "usd", "source": "ch_1",
            "reporting_category": category, **more}  # fmt: skip


def payout(*rows: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    own = step("payout", -sum(row["net"] for row in rows), source=more.get("id", "po_1"))
    return {"id": "po_1", "amount": -own["net"], "currency": "usd", "automatic": True,
            "balance_transactions": [own, *rows], **more}  # fmt: skip


def debits(lines: tuple[JournalLine, ...]) -> Counter[str]:
    """What each account is debited, credits negative."""
    found: Counter[str] = Counter()
    for line in lines:
        found[line.account] += line.amount.minor if line.side == "debit" else -line.amount.minor
    return found


def test_net_to_the_bank_fees_to_fees_and_gross_off_the_clearing_account() -> None:
    made = stripe_payout_lines(payout(step("charge", 10_000, 320), step("charge", 5_000, 175)))
    assert debits(made) == {"bank": 14_505, "payment_fees": 495, "payment_clearing": -15_000}
    assert [line.text for line in made[1:]] == ["charge: 2", "charge: 2"]


def test_the_fee_of_a_dispute_is_not_booked_a_second_time() -> None:
    made = stripe_payout_lines(payout(step("charge", 10_000, 320), step("dispute", -4_000, 1_500)))
    assert debits(made) == {"bank": 4_180, "payment_fees": 320, "payment_clearing": -4_500}


def test_a_payout_that_came_back_is_in_the_next_one_and_the_bank_has_it_once() -> None:
    first = payout(step("charge", 10_000, 320))
    second = payout(step("payout_reversal", 9_680, source="po_1", type="payout_failure"), id="po_2")
    whole = debits(stripe_payout_lines(first))
    whole.update(debits(stripe_returned_lines(first)))
    whole.update(debits(stripe_payout_lines(second)))
    assert whole == {"bank": 9_680, "payment_fees": 320, "payment_clearing": -10_000}


@given(
    st.lists(
        st.tuples(st.sampled_from(CATEGORIES), st.integers(-(10**9), 10**9), st.integers(-(10**4), 10**4)),
        min_size=1, max_size=30,
    )
)  # fmt: skip
def test_whatever_it_is_made_up_of_debits_are_credits_and_the_bank_has_the_net(
    rows: list[tuple[str, int, int]],
) -> None:
    about = payout(*(step(*row) for row in rows))
    made = stripe_payout_lines(about)
    assert sum(debits(made).values()) == 0
    assert debits(made)["bank"] == about["amount"]
    assert all(line.amount.minor > 0 for line in made)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"amount": 9_681}, "totals_do_not_add_up"),
        ({"automatic": False}, "payout_not_itemised"),
        ({"balance_transactions": None}, "payout_not_itemised"),
        ({"amount": "97.00"}, "wrong_shape"),
        ({"amount": True}, "wrong_shape"),
        ({"balance_transactions": ["txn_1"]}, "wrong_shape"),
        ({"balance_transactions": [step("charge", 10_000, 320, net=9_681)]}, "totals_do_not_add_up"),
        ({"balance_transactions": [step("charge", 10_000, 320, currency="eur")]}, "wrong_shape"),
        ({"balance_transactions": [step("", 10_000, 320)]}, "wrong_shape"),
        ({"balance_transactions": []}, "totals_do_not_add_up"),
    ],
)
def test_a_payout_that_is_not_whole_stops(change: Mapping[str, Any], code: str) -> None:
    with pytest.raises(NeedsHuman) as said:
        stripe_payout_lines({**payout(step("charge", 10_000, 320)), **change})
    assert said.value.code == code


def test_the_step_of_another_payout_is_no_step_of_this_one() -> None:
    about = payout(step("charge", 10_000, 320)) | {"id": "po_other"}
    with pytest.raises(NeedsHuman, match="totals_do_not_add_up"):
        stripe_payout_lines(about)


def test_a_number_fits_the_shortest_target_and_says_what_it_is() -> None:
    assert stripe_entry_number("po_1OaPQFGOTpDLmnP8wzVMSyIu", "P") == "P1OaPQFGOTpDLmnP8wzVMSyIu"
    assert len(stripe_entry_number("po_1OaPQFGOTpDLmnP8wzVMSyIu", "F")) == 25
    assert stripe_entry_number("nameless", "P") == "Pnameless"


# --- disputes ------------------------------------------------------------------------------------------------------
OUT = step("dispute", -4_000, 1_500, id="txn_1", created=1)
BACK = step("dispute_reversal", 4_000, id="txn_2", created=2)


def dispute(*steps: Mapping[str, Any], status: str = "needs_response") -> dict[str, Any]:
    return {"id": "du_1", "status": status, "balance_transactions": list(steps)}


def test_a_won_dispute_leaves_its_fee_and_nothing_else() -> None:
    whole = debits(stripe_dispute_lines(dispute(OUT), "withdrawn"))
    whole.update(debits(stripe_dispute_lines(dispute(OUT, BACK), "reinstated")))
    assert +whole == {"dispute_fees": 1_500}
    assert whole["payment_clearing"] == -1_500


def test_a_lost_dispute_is_a_loss_and_a_fee_out_of_clearing() -> None:
    whole = debits(stripe_dispute_lines(dispute(OUT), "withdrawn"))
    whole.update(debits(stripe_dispute_loss(dispute(OUT, status="lost"))))
    assert {account: minor for account, minor in whole.items() if minor} == {
        "dispute_losses": 4_000, "dispute_fees": 1_500, "payment_clearing": -5_500,
    }  # fmt: skip


def test_a_disputed_payment_that_is_paid_out_leaves_nothing_on_the_clearing_account() -> None:
    charge, refund = step("charge", 10_000, 320), step("refund", -1_000)
    whole = Counter({"payment_clearing": 10_000, "receivables": -10_000})
    whole.update(debits(stripe_dispute_lines(dispute(OUT), "withdrawn")))
    whole.update(debits(stripe_refund_lines({**REFUND, "amount": 1_000, "balance_transaction": "txn_3"})))
    whole.update(debits(stripe_payout_lines(payout(charge, OUT, refund))))
    assert whole["payment_clearing"] == 0
    assert whole["bank"] == 10_000 - 320 - 4_000 - 1_500 - 1_000


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=6), st.integers(0, 5_000))
def test_however_often_it_goes_out_and_comes_back_a_lost_dispute_ends_with_nothing_open(
    amounts: list[int], fee: int
) -> None:
    steps: list[dict[str, Any]] = []
    whole: Counter[str] = Counter()
    for number, amount in enumerate(amounts):
        out = number % 2 == 0
        steps.append(step("x", -amount if out else amount, fee, id=f"txn_{number}", created=number))
        whole.update(debits(stripe_dispute_lines(dispute(*steps), "withdrawn" if out else "reinstated")))
    if sum(one["amount"] for one in steps):
        whole.update(debits(stripe_dispute_loss(dispute(*steps, status="lost"))))
    assert whole["disputes"] == 0
    assert sum(whole.values()) == 0


@pytest.mark.parametrize("status", ["won", "warning_closed", "prevented", None])
def test_a_dispute_that_was_not_lost_is_no_loss(status: str) -> None:
    with pytest.raises(Ignore, match="not_for_us"):
        stripe_dispute_loss(dispute(OUT, status=status))


def test_an_inquiry_and_a_dispute_that_nothing_came_back_of_say_so() -> None:
    for steps, way in (((), "withdrawn"), ((OUT,), "reinstated")):
        with pytest.raises(Ignore, match="not_for_us"):
            stripe_dispute_id(dispute(*steps), way)
    with pytest.raises(Ignore, match="not_for_us"):
        stripe_dispute_loss(dispute(OUT, BACK, status="lost"))


@pytest.mark.parametrize("steps", [None, [None], [{"amount": 1}], "txn_1"])
def test_a_dispute_without_its_transactions_is_refused(steps: object) -> None:
    with pytest.raises(NeedsHuman, match="wrong_shape"):
        stripe_dispute_lines({"id": "du_1", "balance_transactions": steps}, "withdrawn")


# --- refunds -------------------------------------------------------------------------------------------------------
REFUND: Mapping[str, Any] = {"id": "re_1", "amount": 500, "currency": "usd"}


def test_a_refund_is_booked_once_it_has_left_and_turned_round_once_it_is_back() -> None:
    sent = stripe_refund_lines({**REFUND, "balance_transaction": "txn_1"})
    back = stripe_unrefunded_lines({**REFUND, "failure_balance_transaction": {"id": "txn_2"}})
    assert debits(sent) == {"customer_refunds": 500, "payment_clearing": -500}
    assert debits(back) == {"customer_refunds": -500, "payment_clearing": 500}
    for rule in (stripe_refund_lines, stripe_unrefunded_lines):
        with pytest.raises(Ignore, match="not_for_us"):
            rule({**REFUND, "balance_transaction": None, "failure_balance_transaction": None})


def test_the_payment_is_that_of_the_invoice_that_was_paid_with_it() -> None:
    rows = [{"invoice": "in_0", "status": "canceled"}, {"invoice": {"id": "in_1"}, "status": "paid"}]
    assert stripe_settled_payment({"invoice_payments": rows}) == "in_1:paid"
    for lacking in ([], None, rows[:1]):
        with pytest.raises(NeedsHuman, match="payment_unknown"):
            stripe_settled_payment({"id": "du_1", "payment_intent": "pi_1", "invoice_payments": lacking})
