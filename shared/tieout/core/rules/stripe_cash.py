"""Rules that make journal entries of what moves Stripe's balance: payouts, disputes and refunds.

A payment stands on the clearing account from its booking until a payout brings it to the bank. What a dispute or a
refund takes out of the balance is booked by its own entry, fee included, so a payout only clears it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from tieout.core.documents import JournalLine
from tieout.core.money import Money
from tieout.core.rules.amounts import stripe_money
from tieout.core.rules.registry import rule
from tieout.core.verdicts import NeedsHuman

CLEARING, BANK, FEES = "payment_clearing", "bank", "payment_fees"
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


def _stands(row: Mapping[str, Any], category: str) -> Iterable[tuple[str, Money]]:
    """What a transaction takes off each account (credit positive): together its net."""
    currency = row["currency"]
    amount, fee, net = (stripe_money(_whole(row, name), currency) for name in ("amount", "fee", "net"))
    if amount - fee != net:
        raise NeedsHuman("totals_do_not_add_up", f"transaction {row.get('id')}", difference=amount - fee - net)
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
