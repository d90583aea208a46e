"""The stored proof that a document adds up: each equation with both sides, in minor units."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, TypeAlias

from pydantic import Field

from tieout.core import money
from tieout.core.documents.base import Adjustment, Document, Part
from tieout.core.documents.billing import CreditNote, Invoice
from tieout.core.documents.books import IntercompanyPair, JournalEntry, RevenueSchedule, check_balance, check_mirror
from tieout.core.documents.cash import Payment, Payout
from tieout.core.documents.kinds import total
from tieout.core.documents.sales import Contract, Opportunity, Quote
from tieout.core.money import Money
from tieout.core.verdicts import NeedsHuman

Equation: TypeAlias = tuple[str, Money, Money]
"""What is said, its left side, its right side."""


class Proof(Part):
    """Evidence that a document adds up: each equation with both sides, in minor units."""

    currency: str = Field(description="currency of all amounts")
    equations: Annotated[tuple[tuple[str, int, int], ...], Field(strict=False)] = Field(
        description="(what is said, left, right)"
    )
    policy: str = Field(default="", description="rounding policy under which it was proven, where one was")


def prove(equations: Sequence[Equation], currency: str, kind: str, policy: str = "") -> Proof:
    """The proof that every equation holds, or `NeedsHuman` ``totals_do_not_add_up`` for the first that does not."""
    for said, left, right in equations:
        if left != right:
            raise NeedsHuman(
                "totals_do_not_add_up",
                said,
                kind=kind,
                what=said,
                left=left,
                right=right,
                difference=left - right,
            )
    return Proof(
        currency=str(currency),
        equations=tuple((said, left.minor, right.minor) for said, left, right in equations),
        policy=policy,
    )


def prove_totals(doc: Document) -> Proof:
    """Show that lines, taxes and totals agree, or raise `NeedsHuman` ``totals_do_not_add_up``.

    Also refused: two currencies in one document (``currency_mismatch``) and a negative total
    (``negative_total``: the kind says the direction, not the sign; only a payout may go either way).
    """
    equations = _equations(doc)
    if equations is None:
        return Proof(currency="", equations=())
    proof = prove(equations, getattr(doc, "currency", ""), doc.kind)
    amount = total(doc)
    if amount is not None and amount.minor < 0 and not isinstance(doc, Payout | RevenueSchedule):
        raise NeedsHuman("negative_total", f"{doc.kind} with {amount}", kind=doc.kind, amount=amount)
    return proof


def _equations(doc: Document) -> Sequence[Equation] | None:
    match doc:
        case Invoice():
            return _invoice(doc)
        case CreditNote():
            return _lines(doc)
        case Payment():
            return _payment(doc)
        case Payout():
            return _payout(doc)
        case Opportunity() | Quote():
            return [("sum of lines = amount", _sum(line.net for line in doc.lines), doc.amount)] if doc.lines else []
        case Contract():
            return _contract(doc)
        case RevenueSchedule():
            return [("sum of entries = amount", _sum((one.amount for one in doc.entries), doc.currency), doc.amount)]
        case JournalEntry():
            return check_balance(doc)
        case IntercompanyPair():
            return (*check_mirror(doc), *check_balance(doc.seller), *check_balance(doc.buyer))
    return None if total(doc) is None else []


def _sum(amounts: Iterable[Money], currency: str | None = None) -> Money:
    held = list(amounts)
    return money.total(held, currency or held[0].currency)


def adjusted(adjustments: Sequence[Adjustment], currency: str) -> Money:
    """Charges less allowances."""
    sums = {kind: _sum((one.amount for one in adjustments if one.kind == kind), currency)
            for kind in ("allowance", "charge")}  # fmt: skip
    return sums["charge"] - sums["allowance"]


def _lines(doc: Invoice | CreditNote) -> list[Equation]:
    unit = doc.currency
    lines = _sum((line.net for line in doc.lines), unit)
    said = "sum of lines = net"
    if doc.adjustments:
        lines, said = lines + adjusted(doc.adjustments, unit), "sum of lines less allowances plus charges = net"
    equations: list[Equation] = [
        (said, lines, doc.net),
        ("net and tax = gross", _sum((doc.net, doc.tax), unit), doc.gross),
    ]
    if doc.tax_breakdown:
        parts = _sum((part.tax for part in doc.tax_breakdown), unit)
        equations.append(("sum of tax categories = tax", parts, doc.tax))
    by_line = [line.tax for line in doc.lines if line.tax is not None]
    if by_line and len(by_line) == len(doc.lines) and not doc.adjustments:
        equations.append(("sum of line taxes = tax", _sum(by_line, unit), doc.tax))
    return equations


def _invoice(doc: Invoice) -> list[Equation]:
    equations = _lines(doc)
    if doc.payable is not None:
        zero = Money.zero(doc.currency)
        due = doc.gross - (doc.prepaid or zero) + (doc.rounding or zero)
        equations.append(("gross less prepaid plus rounding = payable", due, doc.payable))
    return equations


def _payment(doc: Payment) -> list[Equation]:
    zero = Money.zero(doc.currency)
    settled = _sum((part.amount for part in doc.allocations), doc.currency)
    said, received = "allocations and unapplied rest = amount", doc.amount
    if doc.write_off is not None:
        said, received = "allocations and unapplied rest = amount and write-off", doc.amount + doc.write_off
    equations: list[Equation] = [(said, settled + (doc.unapplied or zero), received)]
    if doc.net is not None:
        equations.append(("amount less fee = net", doc.amount - (doc.fee or zero), doc.net))
    return equations


def _payout(doc: Payout) -> list[Equation]:
    unit = doc.currency
    parts: list[Equation] = [
        (f"component {part.part_id}: gross less fee = net", part.gross - part.fee, part.net)
        for part in doc.parts
        if part.gross - part.fee != part.net  # the true ones are in the sums; a wrong one is named
    ]
    return [
        *parts,
        ("sum of components = gross", _sum((part.gross for part in doc.parts), unit), doc.gross),
        ("sum of fees = fees", _sum((part.fee for part in doc.parts), unit), doc.fees),
        ("gross less fees = net", doc.gross - doc.fees, doc.net),
    ]


def _contract(doc: Contract) -> list[Equation]:
    equations: list[Equation] = []
    if doc.obligations:
        shares = _sum((one.allocated for one in doc.obligations), doc.currency)
        equations.append(("sum of allocated prices = price", shares, doc.price))
    if doc.billing:
        steps = _sum((one.amount for one in doc.billing), doc.currency)
        equations.append(("sum of billing steps = price", steps, doc.price))
    if doc.original_price is not None:
        changes = _sum((one.price_change for one in doc.amendments), doc.currency)
        equations.append(("original price and amendments = price", doc.original_price + changes, doc.price))
    return equations
