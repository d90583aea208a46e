"""Rules that make journal entries of what moves Stripe's balance: payouts, disputes and refunds.

A payment stands on the clearing account from its booking until a payout brings it to the bank. What a dispute or a
refund takes out of the balance is booked by its own entry, fee included, so a payout only clears it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from tieout.core.clocks import DocumentDate, PostingDate, TaxPoint, posting_date_of, tax_point_of
from tieout.core.documents import JournalLine
from tieout.core.money import Currency, Money
from tieout.core.rules import days
from tieout.core.rules.amounts import stripe_money
from tieout.core.rules.registry import rule
from tieout.core.rules.stripe import stripe_id
from tieout.core.verdicts import Ignore, NeedsHuman

CLEARING, BANK, FEES, REFUNDS = "payment_clearing", "bank", "payment_fees", "customer_refunds"
DISPUTES, DISPUTE_FEES, DISPUTE_LOSSES = "disputes", "dispute_fees", "dispute_losses"
#: Reporting categories (and the types that stood for them) of money whose documents are booked on the clearing account.
CLEARED: Final = frozenset({
    "charge", "charge_failure", "partial_capture_reversal", "payment", "payment_refund", "payout_reversal", "refund",
    "refund_failure",
})  # fmt: skip
#: Those whose own entries have booked the fee as well.
BOOKED_NET: Final = frozenset({"dispute", "dispute_reversal"})
#: Those that are fees and nothing else.
CHARGED: Final = frozenset({"fee", "network_cost", "stripe_fee", "stripe_fx_fee"})


@rule
def stripe_entry_number(id: str, mark: str) -> str:
    """The number of an entry: a letter for what it is, and Stripe's id without its prefix (SAP takes 25 letters)."""
    return mark + (id.partition("_")[2] or id)


@rule
def stripe_payout_lines(payout: Mapping[str, Any]) -> tuple[JournalLine, ...]:
    """Debit bank (net) and fees, credit clearing (gross), a line for each account and category, to the cent.

    A payout that is not made up of listed transactions (manual, instant) is for a person: its fees are not known. A
    category whose account nobody has decided gets an account of its own name, which holds until the table has it.
    """
    rows = payout.get("balance_transactions")
    if not isinstance(rows, list) or payout.get("automatic") is not True:
        raise NeedsHuman("payout_not_itemised", "no transactions", payout=str(payout.get("id"))[:64])
    currency, ident = payout["currency"], str(payout["id"])
    moved = stripe_money(_whole(payout, "amount"), currency)
    sums: dict[tuple[str, str], Money] = {}
    counts: Counter[tuple[str, str]] = Counter()
    net = Money.zero(moved.currency)
    for row in rows:
        category = _category(row)
        if category == "payout" and _source(row) == ident:
            continue  # the payout's own step out of the balance
        if row.get("currency") != currency:
            raise _wrong("a transaction in another currency than its payout")
        for account, amount in _stands(row, category):
            if amount:
                at = (account, category)
                sums[at] = sums.get(at, Money.zero(moved.currency)) + amount
                counts[at] += 1
        net += stripe_money(_whole(row, "net"), currency)
    if net != moved:
        raise NeedsHuman("totals_do_not_add_up", f"{net} of transactions, {moved} paid out", difference=net - moved)
    lines = [_line(BANK, moved, f"Stripe payout {ident}")]
    for (account, category), amount in sorted(sums.items()):
        lines.append(_line(account, -amount, f"{category}: {counts[account, category]}"))
    return tuple(line for line in lines if line.amount.minor)


@rule
def stripe_returned_lines(payout: Mapping[str, Any]) -> tuple[JournalLine, ...]:
    """A payout that failed: what had gone to the bank is on the clearing account again. Its fees were charged."""
    moved = stripe_money(_whole(payout, "amount"), payout["currency"])
    text = f"Stripe payout {payout['id']} failed: {payout.get('failure_code') or 'no reason given'}"[:255]
    return (_line(CLEARING, moved, text), _line(BANK, -moved, text))


# --- disputes ------------------------------------------------------------------------------------------------------
@rule
def stripe_dispute_id(dispute: Mapping[str, Any], way: str) -> str:
    """The id of the entry for what a dispute has moved last: its own, and the transaction's."""
    return f"{dispute['id']}:{_moved(dispute, way)['id']}"


@rule
def stripe_currency_of(dispute: Mapping[str, Any], way: str) -> Currency:
    """The currency in which it moved: the balance's."""
    return Currency.of(str(_moved(dispute, way)["currency"]))


@rule
def stripe_dispute_day(dispute: Mapping[str, Any], way: str, zone: str) -> DocumentDate:
    """The day on which it moved, in the entity's zone."""
    return days.document_date(_whole(_moved(dispute, way), "created"), zone)


@rule
def stripe_dispute_tax_point(dispute: Mapping[str, Any], way: str, zone: str) -> TaxPoint:
    """The tax point: that day."""
    return tax_point_of(stripe_dispute_day(dispute, way, zone))


@rule
def stripe_dispute_posting(dispute: Mapping[str, Any], way: str, zone: str) -> PostingDate:
    """The posting date: that day."""
    return posting_date_of(stripe_dispute_day(dispute, way, zone))


@rule
def stripe_dispute_lines(dispute: Mapping[str, Any], way: str) -> tuple[JournalLine, ...]:
    """What was withdrawn stands on the disputes account and its fee is a cost; what is reinstated turns it round."""
    step = _moved(dispute, way)
    amount, fee, net = _amounts(step)
    text = f"Stripe dispute {dispute['id']} {way}"  # without its reason, which may change from event to event
    lines = (_line(DISPUTES, -amount, text), _line(DISPUTE_FEES, fee, text), _line(CLEARING, net, text))
    return tuple(line for line in lines if line.amount.minor)


@rule
def stripe_dispute_loss(dispute: Mapping[str, Any]) -> tuple[JournalLine, ...]:
    """A lost dispute: what is still out is a loss. One that ended otherwise, or moved nothing, is not booked here."""
    if dispute.get("status") != "lost":
        raise Ignore("not_for_us", "not lost", reason=f"the dispute ended as {str(dispute.get('status'))[:32]}")
    last = _moved(dispute, "withdrawn")
    out = Money.zero(_amounts(last)[0].currency)
    for step in _steps(dispute):
        out -= _amounts(step)[0]
    if not out.minor:
        raise Ignore("not_for_us", "nothing is out", reason="nothing of the disputed amount is out")
    text = f"Stripe dispute {dispute['id']} lost"
    return (_line(DISPUTE_LOSSES, out, text), _line(DISPUTES, -out, text))


@rule
def stripe_settled_payment(about: Mapping[str, Any]) -> str:
    """The payment that a dispute or refund is about: of the invoice that its payment intent paid."""
    rows = about.get("invoice_payments")
    for row in rows if isinstance(rows, list) else ():
        invoice = stripe_id(row.get("invoice") or "") if row.get("status") == "paid" else None
        if invoice:
            return f"{invoice}:paid"
    named = stripe_id(about.get("payment_intent") or about.get("charge") or "")
    raise NeedsHuman("payment_unknown", "no invoice", payment=str(named)[:64], what=str(about.get("id"))[:64])


def _steps(dispute: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    rows = dispute.get("balance_transactions")
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) and row.get("id") for row in rows):
        raise _wrong("no balance transactions of a dispute")
    return rows


def _moved(dispute: Mapping[str, Any], way: str) -> Mapping[str, Any]:
    """The newest step that went this way. None: an inquiry, or a dispute whose money has not moved yet."""
    sign = -1 if way == "withdrawn" else 1
    found = [row for row in _steps(dispute) if _whole(row, "amount") * sign > 0]
    if not found:
        raise Ignore("not_for_us", f"nothing {way}", reason=f"no money of the dispute was {way}")
    return max(found, key=lambda row: _whole(row, "created"))


# --- refunds -------------------------------------------------------------------------------------------------------
@rule
def stripe_refund_lines(refund: Mapping[str, Any]) -> tuple[JournalLine, ...]:
    """What went back to the buyer; one that is not out of the balance yet is booked once it is."""
    return _refunded(refund, "balance_transaction", 1)


@rule
def stripe_unrefunded_lines(refund: Mapping[str, Any]) -> tuple[JournalLine, ...]:
    """A refund that came back: the money is on the clearing account again."""
    return _refunded(refund, "failure_balance_transaction", -1)


def _refunded(refund: Mapping[str, Any], step: str, sign: int) -> tuple[JournalLine, ...]:
    if not refund.get(step):
        raise Ignore("not_for_us", f"no {step}", reason="no money of the refund has moved")
    amount = stripe_money(_whole(refund, "amount") * sign, refund["currency"])
    text = f"Stripe refund {refund['id']}" + ("" if sign > 0 else " came back")
    return (_line(REFUNDS, amount, text), _line(CLEARING, -amount, text))


# --- transactions --------------------------------------------------------------------------------------------------
def _amounts(row: Mapping[str, Any]) -> tuple[Money, Money, Money]:
    """Amount, fee and net of a step of the balance, which must agree."""
    currency = row["currency"]
    amount, fee, net = (stripe_money(_whole(row, name), currency) for name in ("amount", "fee", "net"))
    if amount - fee != net:
        raise NeedsHuman("totals_do_not_add_up", f"transaction {row.get('id')}", difference=amount - fee - net)
    return amount, fee, net


def _stands(row: Mapping[str, Any], category: str) -> Iterable[tuple[str, Money]]:
    """What a transaction takes off each account (credit positive): together its net."""
    amount, fee, net = _amounts(row)
    if category in BOOKED_NET:
        return ((CLEARING, net),)
    if category in CHARGED:
        return ((FEES, net),)
    return ((CLEARING if category in CLEARED else f"payout_{category}", amount), (FEES, -fee))


def _line(account: str, debit: Money, text: str) -> JournalLine:
    """A line whose side is the sign of ``debit``."""
    return JournalLine(account=account, side="debit" if debit.minor > 0 else "credit", amount=abs(debit), text=text)


def _category(row: Any) -> str:
    said = (row.get("reporting_category") or row.get("type")) if isinstance(row, Mapping) else None
    if not isinstance(said, str) or not 0 < len(said) <= 64:
        raise _wrong("no category of a transaction")
    return said


def _source(row: Mapping[str, Any]) -> str:
    source = row.get("source")
    return str(source.get("id") if isinstance(source, Mapping) else source)


def _whole(holder: Mapping[str, Any], name: str) -> int:
    value = holder.get(name)
    if type(value) is not int:
        raise _wrong(f"no usable {name}")
    return value


def _wrong(reason: str) -> NeedsHuman:
    return NeedsHuman("wrong_shape", reason, source="stripe", reason=reason)
