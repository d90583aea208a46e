"""The canonical documents: business objects in our words, frozen and strict, each field with its meaning.

Every source's objects become one of these and every target's payload is made from one of these. A document
knows which selling `entity` it belongs to, where it comes from (`source`, `account`, `source_id`), and which
state of that object it shows (`version`). Amounts are `Money`; days are the typed clocks of `core.clocks`;
amounts on a credit note or payment are positive, its kind says the direction.

The functions beneath answer what the rest of the house asks of any document: `total`, `fingerprint`,
`prove_totals`, `party_of`, `parent_of`, and `dump` / `load` for the ledger.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, ValidationError

from tieout.core import money
from tieout.core.clocks import DocumentDate, DueDate, EventInstant, PostingDate, ServiceDate, TaxPoint
from tieout.core.money import Currency, Money
from tieout.core.verdicts import NeedsHuman


def _finite(number: Decimal) -> Decimal:
    if not number.is_finite() or abs(number.adjusted()) > 30:
        raise ValueError("a finite number of sane size is needed")
    return number


Ident: TypeAlias = Annotated[str, Field(min_length=1, max_length=255)]
Label: TypeAlias = Annotated[str, Field(max_length=255)]
Prose: TypeAlias = Annotated[str, Field(max_length=4000)]
Country: TypeAlias = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
Number: TypeAlias = Annotated[
    Decimal, AfterValidator(_finite), PlainSerializer(lambda number: format(number, "f"), return_type=str)
]
"""An exact decimal that is not an amount (a quantity, a rate, a unit price); serialised as plain text."""


class Part(BaseModel):
    """A piece of a document: frozen, strict, closed."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", revalidate_instances="never")


class Address(Part):
    """A postal address as the source gives it; no field is guessed."""

    line1: Label = Field(description="street and number")
    line2: Label | None = Field(default=None, description="suite, floor, care of")
    city: Label = Field(description="city or town")
    region: Label | None = Field(default=None, description="state, province or region code")
    postal_code: Label | None = Field(default=None, description="postal code")
    country: Country = Field(description="ISO 3166-1 alpha-2 country code")


class TaxId(Part):
    """One tax registration of a party."""

    type: Label = Field(description="the scheme, e.g. eu_vat or us_ein")
    value: Label = Field(description="the registration number as given")
    country: Country | None = Field(default=None, description="country of registration")
    validated: bool | None = Field(default=None, description="result of the last validation, None when never asked")


class ExternalId(Part):
    """The id of this party in another system."""

    system: Ident = Field(description="system that owns the id")
    account: Ident = Field(description="account of that system")
    id: Ident = Field(description="the id there")
    status: Literal["active", "merged", "archived"] = Field(default="active", description="whether it may be posted to")


class Document(Part):
    """What all documents share: identity, version and clocks."""

    kind: ClassVar[str]
    identity: ClassVar[tuple[str, ...]]
    """Fields, beside the origin, that the fingerprint covers: money and identity, nothing that may drift."""

    source: Ident = Field(description="system the object comes from")
    account: Ident = Field(description="account of that system")
    source_id: Ident = Field(description="the object's id at the source")
    entity: Ident = Field(description="our selling legal entity (company code)")
    version: int = Field(ge=0, description="which state of the object this is; newer is larger")
    event_instant: EventInstant = Field(description="when the source says it happened, UTC")


class Booked(Document):
    """A document that a ledger books: it has the three days of accounting and a currency."""

    document_date: DocumentDate = Field(description="day on the document, in the entity's time zone")
    tax_point: TaxPoint = Field(description="day that decides the tax")
    posting_date: PostingDate = Field(description="day the ledger books it under; decides the period")
    currency: Currency = Field(description="document currency, ISO 4217")


class Customer(Document):
    """A buying legal entity as our selling entity knows it."""

    kind: ClassVar[str] = "customer"
    identity: ClassVar[tuple[str, ...]] = (
        "canonical_id",
        "legal_name",
        "email",
        "currency",
        "terms",
        "tax_ids",
        "billing_address",
        "shipping_address",
        "registration_number",
        "parent_id",
    )

    canonical_id: Ident = Field(description="the customer's one identity across systems, not the source's id")
    legal_name: Annotated[str, Field(min_length=1, max_length=255)] = Field(description="registered name of the buyer")
    name: Label | None = Field(default=None, description="trading name, if another")
    email: Label | None = Field(default=None, description="address that invoices are sent to")
    phone: Label | None = Field(default=None, description="telephone as given")
    registration_number: Label | None = Field(default=None, description="company registration number")
    tax_ids: Annotated[tuple[TaxId, ...], Field(strict=False)] = Field(default=(), description="tax registrations")
    billing_address: Address | None = Field(default=None, description="bill-to address")
    shipping_address: Address | None = Field(default=None, description="ship-to address, decides the place of supply")
    currency: Currency | None = Field(default=None, description="currency the customer is invoiced in")
    terms: Label | None = Field(default=None, description="payment terms code, e.g. NET30")
    price_list: Label | None = Field(default=None, description="price list code")
    credit_hold: bool = Field(default=False, description="no new orders while true")
    receivables_group: Label | None = Field(default=None, description="receivables account or posting group")
    intercompany_partner: Ident | None = Field(default=None, description="our entity code when the buyer is one of us")
    parent_id: Ident | None = Field(default=None, description="canonical id of the parent account")
    external_ids: Annotated[tuple[ExternalId, ...], Field(strict=False)] = Field(
        default=(), description="ids of this customer in other systems"
    )


class Line(Part):
    """One line of an invoice or credit note. Net is after allowances; quantity and price explain it."""

    line_id: Ident = Field(description="the line's id at the source")
    product_id: Ident | None = Field(default=None, description="product or item at the source")
    description: Prose = Field(default="", description="text on the document")
    quantity: Number = Field(default=Decimal(1), description="how many")
    unit_price: Number | None = Field(
        default=None, description="price of one in major units, may be finer than a minor unit"
    )
    allowance: Money | None = Field(default=None, description="discount already taken off the net amount")
    net: Money = Field(description="line amount without tax")
    tax: Money | None = Field(default=None, description="tax of this line, where the source says it by line")
    tax_code: Label | None = Field(default=None, description="tax category at the source, e.g. DE-VAT-19")
    tax_rate: Number | None = Field(default=None, description="tax rate in percent")
    service_from: ServiceDate | None = Field(default=None, description="first day of the service")
    service_to: ServiceDate | None = Field(default=None, description="last day of the service")
    revenue_hint: Label | None = Field(default=None, description="revenue account or rule that the source suggests")
    parent_line_id: Ident | None = Field(default=None, description="credit note: the invoice line that it credits")


class TaxBreakdown(Part):
    """Tax of a document by category and rate."""

    tax_code: Ident = Field(description="tax category at the source")
    rate: Number | None = Field(default=None, description="rate in percent")
    jurisdiction: Label | None = Field(default=None, description="who levies it, e.g. US-CA")
    taxable: Money = Field(description="amount the tax is computed on")
    tax: Money = Field(description="tax amount")


Lines: TypeAlias = Annotated[tuple[Line, ...], Field(strict=False, max_length=5000)]
Breakdown: TypeAlias = Annotated[tuple[TaxBreakdown, ...], Field(strict=False, max_length=500)]


class Invoice(Booked):
    """A demand for payment. Immutable once posted: corrected by credit note and a new invoice."""

    kind: ClassVar[str] = "invoice"
    identity: ClassVar[tuple[str, ...]] = (
        "number",
        "customer_id",
        "currency",
        "document_date",
        "tax_point",
        "net",
        "tax",
        "gross",
        "prepaid",
        "rounding",
        "payable",
        "lines",
        "tax_breakdown",
    )

    number: Ident = Field(description="number printed on the invoice")
    series: Label | None = Field(default=None, description="number series")
    customer_id: Ident = Field(description="the customer at the source")
    customer_name: Label | None = Field(default=None, description="bill-to name as printed")
    due_date: DueDate | None = Field(default=None, description="day by which it is to be paid")
    terms: Label | None = Field(default=None, description="payment terms code")
    purchase_order: Label | None = Field(default=None, description="the buyer's order reference")
    subscription_id: Ident | None = Field(default=None, description="subscription that it bills")
    opportunity_id: Ident | None = Field(default=None, description="won deal it goes back to, in the CRM")
    memo: Prose | None = Field(default=None, description="free text on the document")
    lines: Lines = Field(description="what is invoiced")
    tax_breakdown: Breakdown = Field(default=(), description="tax by category and rate")
    net: Money = Field(description="sum of the lines' net amounts")
    tax: Money = Field(description="sum of the tax")
    gross: Money = Field(description="net and tax")
    prepaid: Money | None = Field(default=None, description="paid before, taken off the amount due")
    rounding: Money | None = Field(default=None, description="rounding amount, its own line (EN 16931 BT-114)")
    payable: Money | None = Field(default=None, description="gross less prepaid plus rounding")


class CreditNote(Booked):
    """Takes back all or part of an invoice. Amounts are positive."""

    kind: ClassVar[str] = "credit_note"
    identity: ClassVar[tuple[str, ...]] = (
        "number",
        "invoice_id",
        "customer_id",
        "currency",
        "document_date",
        "net",
        "tax",
        "gross",
        "lines",
        "tax_breakdown",
    )

    number: Ident = Field(description="number printed on the credit note")
    invoice_id: Ident = Field(description="the invoice it corrects, at the source")
    invoice_number: Label | None = Field(default=None, description="number of that invoice")
    customer_id: Ident = Field(description="the customer at the source")
    reason: Label | None = Field(default=None, description="reason code")
    memo: Prose | None = Field(default=None, description="free text on the document")
    lines: Lines = Field(description="what is credited")
    tax_breakdown: Breakdown = Field(default=(), description="tax by category, at the original rate")
    net: Money = Field(description="sum of the lines' net amounts")
    tax: Money = Field(description="tax that is reversed")
    gross: Money = Field(description="net and tax")


class Allocation(Part):
    """The part of a payment that settles one document."""

    document_kind: Literal["invoice", "credit_note"] = Field(
        default="invoice", description="kind of the settled document"
    )
    source_id: Ident = Field(description="the settled document at the source")
    amount: Money = Field(description="how much of it is settled")


class Payment(Booked):
    """Money received. What it settles is its allocations; the rest is unapplied, never guessed."""

    kind: ClassVar[str] = "payment"
    identity: ClassVar[tuple[str, ...]] = (
        "customer_id",
        "currency",
        "document_date",
        "amount",
        "allocations",
        "unapplied",
        "fee",
    )

    number: Label | None = Field(default=None, description="receipt number, if there is one")
    customer_id: Ident = Field(description="the customer at the source")
    method: Label | None = Field(default=None, description="card, bank transfer, ...")
    processor_reference: Label | None = Field(default=None, description="the payment processor's reference")
    bank_reference: Label | None = Field(default=None, description="the bank's reference")
    amount: Money = Field(description="gross amount received")
    fee: Money | None = Field(default=None, description="what the processor keeps")
    allocations: Annotated[tuple[Allocation, ...], Field(strict=False, max_length=1000)] = Field(
        default=(), description="what it settles"
    )
    unapplied: Money | None = Field(default=None, description="amount on account; none means nothing is left over")


class SubscriptionItem(Part):
    """One thing a subscription bills each interval."""

    item_id: Ident = Field(description="id of the item at the source")
    product_id: Ident = Field(description="product")
    price_id: Ident | None = Field(default=None, description="price at the billing system")
    quantity: Number = Field(default=Decimal(1), description="how many")
    unit_price: Money | None = Field(default=None, description="price of one per interval")


class Subscription(Document):
    """An agreement that bills again and again."""

    kind: ClassVar[str] = "subscription"
    identity: ClassVar[tuple[str, ...]] = (
        "customer_id",
        "currency",
        "start_date",
        "interval",
        "items",
        "terms_days",
    )

    customer_id: Ident = Field(description="the customer, by canonical id")
    opportunity_id: Ident | None = Field(default=None, description="won deal that it comes from")
    currency: Currency = Field(description="currency it bills in")
    start_date: ServiceDate = Field(description="first day of service")
    end_date: ServiceDate | None = Field(default=None, description="last day of service; none runs on")
    interval: Literal["month", "quarter", "year"] = Field(default="month", description="billing interval")
    terms_days: int | None = Field(default=None, ge=0, le=365, description="days to pay when invoices are sent")
    items: Annotated[tuple[SubscriptionItem, ...], Field(strict=False, min_length=1, max_length=1000)] = Field(
        description="what it bills"
    )


class OpportunityLine(Part):
    """One product of a won deal."""

    line_id: Ident = Field(description="the line's id in the CRM")
    product_id: Ident = Field(description="product sold")
    description: Prose = Field(default="", description="text of the line")
    quantity: Number = Field(description="how many")
    unit_price: Money = Field(description="agreed price of one")
    net: Money = Field(description="agreed amount of the line")
    interval: Literal["month", "quarter", "year", "once"] = Field(default="month", description="how often it is billed")


class Opportunity(Document):
    """A won deal: who bought what on which terms. Onboarding starts from it."""

    kind: ClassVar[str] = "opportunity"
    identity: ClassVar[tuple[str, ...]] = (
        "name",
        "currency",
        "amount",
        "close_date",
        "customer",
        "lines",
        "terms",
    )

    name: Label = Field(description="name of the deal in the CRM")
    stage: Label = Field(description="stage in the CRM")
    close_date: DocumentDate = Field(description="day it was won, in the entity's time zone")
    currency: Currency = Field(description="currency of the deal")
    amount: Money = Field(description="agreed total")
    terms: Label | None = Field(default=None, description="agreed payment terms code")
    start_date: ServiceDate | None = Field(default=None, description="agreed first day of service")
    account_ref: Ident = Field(description="the buying account in the CRM")
    owner: Label | None = Field(default=None, description="user id of the deal's owner in the CRM")
    customer: Customer = Field(description="the buyer, as a customer document")
    lines: Annotated[tuple[OpportunityLine, ...], Field(strict=False, max_length=1000)] = Field(
        default=(), description="what was sold"
    )


class Status(Document):
    """What the CRM is told about a document: a sentence, not a code."""

    kind: ClassVar[str] = "status"
    identity: ClassVar[tuple[str, ...]] = ("key", "status", "sentence", "document_ref", "account_ref")

    key: Ident = Field(description="key of the posting it tells about")
    about_kind: Ident = Field(description="kind of that document")
    about_id: Ident = Field(description="that document's id at its source")
    document_ref: Label | None = Field(default=None, description="the document's number or id in the target")
    status: Literal["pending", "held", "accepted", "rejected", "compensated", "superseded"] = Field(
        description="business status"
    )
    sentence: Annotated[str, Field(min_length=1, max_length=1000)] = Field(
        description="what happened, who has it, what next, by when"
    )
    code: Label | None = Field(default=None, description="problem code, when there is a problem")
    account_ref: Label | None = Field(default=None, description="the CRM object that shows it (account or deal)")
    amount: Money | None = Field(default=None, description="the document's total")


AnyDocument: TypeAlias = Customer | Invoice | CreditNote | Payment | Subscription | Opportunity | Status

KINDS: Final[dict[str, type[Document]]] = {
    model.kind: model for model in (Customer, Invoice, CreditNote, Payment, Subscription, Opportunity, Status)
}
"""Every kind of document, by the word that keys and flows use."""


# -- what the house asks of any document ------------------------------------------------------------------


def total(doc: Document) -> Money | None:
    """The amount that stands for the document in tie-outs and cases; None for kinds without money."""
    match doc:
        case Invoice() | CreditNote():
            return doc.gross
        case Payment() | Opportunity():
            return doc.amount
        case Status():
            return doc.amount
    return None


def party_of(doc: Document) -> str | None:
    """The customer that the document is about, as the source (or the canonical identity) names it."""
    match doc:
        case Customer():
            return doc.canonical_id
        case Invoice() | CreditNote() | Payment() | Subscription():
            return doc.customer_id
        case Opportunity():
            return doc.customer.canonical_id
    return None


def parent_of(doc: Document) -> tuple[str, str] | None:
    """(kind, source id) of the document that must be in the ledger first; None when there is none.

    A credit note waits for its invoice, a payment for the first document that it settles.
    """
    match doc:
        case CreditNote():
            return Invoice.kind, doc.invoice_id
        case Payment() if doc.allocations:
            return doc.allocations[0].document_kind, doc.allocations[0].source_id
    return None


def fingerprint(doc: Document) -> str:
    """SHA-256 (hex) of the canonical money and identity fields: equal when finance would see no difference."""
    shown = doc.model_dump(mode="json", include={"source", "account", "source_id", "entity", *doc.identity})
    canonical = json.dumps([doc.kind, shown], sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


class Proof(Part):
    """Evidence that a document adds up: each equation with both sides, in minor units."""

    currency: str = Field(description="currency of all amounts")
    equations: tuple[tuple[str, int, int], ...] = Field(description="(what is said, left, right)")


def prove_totals(doc: Document) -> Proof:
    """Show that lines, taxes and totals agree, or raise `NeedsHuman` ``totals_do_not_add_up``.

    Also refused: two currencies in one document (``currency_mismatch``) and a negative total
    (``negative_total``: the kind says the direction, not the sign).
    """
    match doc:
        case Invoice():
            equations = _invoice_equations(doc)
        case CreditNote():
            equations = _line_equations(doc)
        case Payment():
            settled = money.total((part.amount for part in doc.allocations), doc.currency)
            rest = doc.unapplied or Money.zero(doc.currency)
            equations = [("allocations and unapplied rest = amount", settled + rest, doc.amount)]
        case Opportunity():
            summed = money.total((line.net for line in doc.lines), doc.currency)
            equations = [("sum of lines = amount", summed, doc.amount)] if doc.lines else []
        case _:
            return Proof(currency="", equations=())
    for said, left, right in equations:
        if left != right:
            raise NeedsHuman(
                "totals_do_not_add_up",
                said,
                kind=doc.kind,
                what=said,
                left=left,
                right=right,
                difference=left - right,
            )
    amount = total(doc)
    if amount is not None and amount.minor < 0:
        raise NeedsHuman("negative_total", f"{doc.kind} with {amount}", kind=doc.kind, amount=amount)
    return Proof(
        currency=str(doc.currency),
        equations=tuple((said, left.minor, right.minor) for said, left, right in equations),
    )


def _line_equations(doc: Invoice | CreditNote) -> list[tuple[str, Money, Money]]:
    unit = doc.currency
    equations = [
        ("sum of lines = net", money.total((line.net for line in doc.lines), unit), doc.net),
        ("net and tax = gross", money.total((doc.net, doc.tax), unit), doc.gross),
    ]
    if doc.tax_breakdown:
        parts = money.total((part.tax for part in doc.tax_breakdown), unit)
        equations.append(("sum of tax categories = tax", parts, doc.tax))
    by_line = [line.tax for line in doc.lines if line.tax is not None]
    if by_line and len(by_line) == len(doc.lines):
        equations.append(("sum of line taxes = tax", money.total(by_line, unit), doc.tax))
    return equations


def _invoice_equations(doc: Invoice) -> list[tuple[str, Money, Money]]:
    equations = _line_equations(doc)
    if doc.payable is not None:
        zero = Money.zero(doc.currency)
        due = doc.gross - (doc.prepaid or zero) + (doc.rounding or zero)
        equations.append(("gross less prepaid plus rounding = payable", due, doc.payable))
    return equations


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
