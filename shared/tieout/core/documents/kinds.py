"""The list of all kinds, and what the house asks of any document, whatever its kind."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any, Final, TypeAlias

from pydantic import ValidationError

from tieout.core.documents.base import Document
from tieout.core.documents.billing import CreditNote, Invoice
from tieout.core.documents.books import IntercompanyPair, JournalEntry, RevenueSchedule, sides
from tieout.core.documents.cash import Dispute, Payment, Payout, Refund
from tieout.core.documents.party import Customer
from tieout.core.documents.sales import Contract, Opportunity, Quote, Subscription, UsageRecord
from tieout.core.documents.service import Status, Ticket
from tieout.core.money import Money
from tieout.core.verdicts import NeedsHuman

AnyDocument: TypeAlias = (
    Customer
    | Opportunity
    | Quote
    | Contract
    | Subscription
    | UsageRecord
    | Invoice
    | CreditNote
    | Payment
    | Refund
    | Dispute
    | Payout
    | RevenueSchedule
    | JournalEntry
    | IntercompanyPair
    | Ticket
    | Status
)

KINDS: Final[dict[str, type[Document]]] = {
    model.kind: model
    for model in (
        Customer, Opportunity, Quote, Contract, Subscription, UsageRecord, Invoice, CreditNote, Payment, Refund,
        Dispute, Payout, RevenueSchedule, JournalEntry, IntercompanyPair, Ticket, Status,
    )
}  # fmt: skip
"""Every kind of document, by the word that keys and flows use."""


def total(doc: Document) -> Money | None:
    """The amount that stands for the document in tie-outs and cases; None for kinds without money."""
    match doc:
        case Invoice() | CreditNote() | IntercompanyPair():
            return doc.gross
        case Payment() | Opportunity() | Quote() | Refund() | Dispute() | RevenueSchedule() | Status():
            return doc.amount
        case Contract():
            return doc.price
        case Payout():
            return doc.net
        case JournalEntry():
            return sides(doc.lines, doc.currency)[0]
        case Ticket():
            return doc.requested
    return None


def party_of(doc: Document) -> str | None:
    """The customer that the document is about, as the source (or the canonical identity) names it."""
    match doc:
        case Customer():
            return doc.canonical_id
        case Opportunity():
            return doc.customer.canonical_id
        case IntercompanyPair():
            return doc.buying_entity
    party: str | None = getattr(doc, "customer_id", None)
    return party


def parent_of(doc: Document) -> tuple[str, str] | None:
    """(kind, source id) of the document that must be in the ledger first; None when there is none.

    A credit note waits for its invoice, a payment for the first document that it settles, a refund or dispute for
    its payment, a revenue schedule for its contract, a journal entry for what it names.
    """
    match doc:
        case CreditNote():
            return Invoice.kind, doc.invoice_id
        case Payment() if doc.allocations:
            return doc.allocations[0].document_kind, doc.allocations[0].source_id
        case Refund() | Dispute():
            return Payment.kind, doc.payment_id
        case RevenueSchedule():
            return Contract.kind, doc.contract_id
        case JournalEntry() if doc.parent_kind and doc.parent_id:
            return doc.parent_kind, doc.parent_id
    return None


def fingerprint(doc: Document) -> str:
    """SHA-256 (hex) of the canonical money and identity fields: equal when finance would see no difference.

    Fields at their default are left out, so that a release which adds an optional field changes no fingerprint.
    """
    shown = doc.model_dump(
        mode="json", include={"source", "account", "source_id", "entity", *doc.identity}, exclude_defaults=True
    )
    canonical = json.dumps([doc.kind, shown], sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def dump(doc: Document) -> bytes:
    """The document as compact JSON, fields at their default left out; `load` gives back an equal one."""
    return doc.model_dump_json(exclude_defaults=True).encode()


def load(kind: str, data: bytes) -> Document:
    """The document that `dump` wrote, checked again; ``document_invalid`` when it is not one."""
    model = KINDS.get(kind)
    if model is None:
        raise NeedsHuman("document_invalid", f"no such kind: {kind!r}", kind=kind, where="kind")
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        raise invalid(kind, error) from None


def make(kind: str, fields: dict[str, Any]) -> Document:
    """A document of `kind` from typed values; ``document_invalid`` names the fields that are wrong."""
    model = KINDS.get(kind)
    if model is None:
        raise NeedsHuman("document_invalid", f"no such kind: {kind!r}", kind=kind, where="kind")
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise invalid(kind, error) from None


def invalid(kind: str, error: ValidationError) -> NeedsHuman:
    """The verdict on input that is no `kind`: the places and rules broken, never the values (personal data)."""
    places = [".".join(map(str, found["loc"])) + ": " + found["type"] for found in _short(error)]
    return NeedsHuman("document_invalid", "; ".join(places), kind=kind, where=", ".join(places[:5]))


def _short(error: ValidationError) -> Iterable[Any]:
    return error.errors(include_url=False, include_context=False, include_input=False)[:20]
