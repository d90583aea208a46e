"""Sales between our own entities: mirror entries whose due-from and due-to net to zero, and the guard before them.

The seller books what the buyer owes (due-from) against its intercompany sales; the buyer books what it owes (due-to)
against its cost. Both entries carry the partner's code, are in the sale's currency and balance; each is also said in
its own ledger's currency, with the rounding of exchange as its own line. Consolidation eliminates both sides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tieout.core.documents import (
    CreditNote,
    Customer,
    ExchangeRate,
    IntercompanyPair,
    Invoice,
    JournalEntry,
    JournalLine,
)
from tieout.core.documents.books import sides
from tieout.core.fx import convert_parts
from tieout.core.money import Currency, Money
from tieout.core.verdicts import NeedsHuman

Side = Literal["debit", "credit"]
_OTHER: Mapping[Side, Side] = {"debit": "credit", "credit": "debit"}


@dataclass(frozen=True, slots=True)
class Accounts:
    """The accounts of an intercompany sale, by our codes."""

    due_from: str = "due_from"
    due_to: str = "due_to"
    sales: str = "intercompany_sales"
    cost: str = "intercompany_cost"
    output_tax: str = "tax_payable"
    input_tax: str = "tax_receivable"
    rounding: str = "rounding"


def guard(invoice: Invoice | CreditNote, customer: Customer) -> str | None:
    """The partner entity of an intercompany document, None of an ordinary one.

    ``intercompany_not_declared`` when document and customer do not agree on it, or an entity would sell to itself:
    the classic error is a document in the wrong company.
    """
    said, known = invoice.intercompany_partner, customer.intercompany_partner
    if said != known or known == invoice.entity:
        raise NeedsHuman(
            "intercompany_not_declared", "guard", kind=invoice.kind, entity=invoice.entity, said=said or "nobody",
            known=known or "nobody",
        )  # fmt: skip
    return known


def mirror(
    doc: Invoice | CreditNote,
    buying_entity: str,
    accounts: Accounts | None = None,
    *,
    seller_rate: ExchangeRate | None = None,
    buyer_rate: ExchangeRate | None = None,
    reverses: str | None = None,
) -> IntercompanyPair:
    """The pair of entries of an intercompany invoice, or of its credit note with the sides turned round.

    A rate brings a side into its entity's ledger currency; None where that is the document's own.
    """
    by = accounts or Accounts()
    turned = isinstance(doc, CreditNote)
    debit: Side = "credit" if turned else "debit"
    origin: dict[str, Any] = {
        name: getattr(doc, name) for name in ("source", "account", "source_id", "version", "event_instant")
    }
    days = {name: getattr(doc, name) for name in ("document_date", "tax_point", "posting_date", "currency")}

    def entry(
        entity: str, partner: str, rows: list[tuple[str, Side, Money]], rate: ExchangeRate | None
    ) -> JournalEntry:
        lines = [_line(account, side, amount, partner, doc) for account, side, amount in rows if amount]
        return JournalEntry(
            **origin,
            **days,
            entity=entity,
            number=f"{doc.number}/{entity}",
            journal="intercompany",
            lines=tuple(in_ledger(lines, rate, by.rounding) if rate else lines),
            ledger_currency=rate.into if rate else None,
            exchange=rate,
        )

    credit = _OTHER[debit]
    sold = [(by.due_from, debit, doc.gross), (by.sales, credit, doc.net), (by.output_tax, credit, doc.tax)]
    bought = [(by.cost, debit, doc.net), (by.input_tax, debit, doc.tax), (by.due_to, credit, doc.gross)]
    return IntercompanyPair(
        **origin,
        entity=doc.entity,
        buying_entity=buying_entity,
        invoice_id=doc.invoice_id if isinstance(doc, CreditNote) else doc.source_id,
        currency=doc.currency,
        net=doc.net,
        tax=doc.tax,
        gross=doc.gross,
        due_from_account=by.due_from,
        due_to_account=by.due_to,
        reverses=(reverses or doc.invoice_id) if isinstance(doc, CreditNote) else None,
        seller=entry(doc.entity, buying_entity, sold, seller_rate),
        buyer=entry(buying_entity, doc.entity, bought, buyer_rate),
    )


def _line(account: str, side: Side, amount: Money, partner: str, doc: Invoice | CreditNote) -> JournalLine:
    if amount.minor < 0:  # a negative tax or net stands on the other side
        side, amount = _OTHER[side], -amount
    return JournalLine(
        account=account, side=side, amount=amount, partner_entity=partner, about_kind=doc.kind, about_id=doc.source_id
    )


def in_ledger(lines: Iterable[JournalLine], rate: ExchangeRate, rounding_account: str) -> list[JournalLine]:
    """Balanced lines with their amounts in the ledger's currency; what rounding leaves over is a line of its own.

    The line of the residual has no amount in the document's currency: there, the entry balances without it.
    """
    signed = [(line, line.amount if line.side == "debit" else -line.amount) for line in lines]
    made = convert_parts([amount for _, amount in signed], rate, rounding_account)
    found = [
        line.model_copy(update={"ledger_amount": abs(amount)})
        for (line, _), amount in zip(signed, made.parts, strict=True)
    ]
    if made.residual is not None:
        rest = made.residual.amount
        found.append(
            JournalLine(
                account=made.residual.account,
                side="debit" if rest.minor > 0 else "credit",
                amount=Money.zero(rate.of),
                ledger_amount=abs(rest),
                text=made.residual.why,
            )
        )
    return found


def balances(pairs: Iterable[IntercompanyPair]) -> dict[tuple[str, str, Currency], tuple[Money, Money, Money]]:
    """By seller, buyer and currency: what the seller's books are owed, what the buyer's owe, and what is left over.

    The third is zero for pairs that were made here; it is the figure of an intercompany reconciliation.
    """
    found: dict[tuple[str, str, Currency], tuple[Money, Money, Money]] = {}
    for pair in pairs:
        key = (pair.entity, pair.buying_entity, pair.currency)
        zero = Money.zero(pair.currency)
        owed, owes, rest = found.get(key, (zero, zero, zero))
        due_from = _on(pair.seller, pair.due_from_account)
        due_to = _on(pair.buyer, pair.due_to_account)
        found[key] = (owed + due_from, owes - due_to, rest + due_from + due_to)
    return found


def _on(entry: JournalEntry, account: str) -> Money:
    debit, credit = sides((line for line in entry.lines if line.account == account), entry.currency)
    return debit - credit
