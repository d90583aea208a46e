"""What asks for money and what takes it back: the `Invoice` and the `CreditNote`, with lines and taxes."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import Field

from tieout.core.clocks import DueDate, ServiceDate, TaxPoint
from tieout.core.documents.base import Address, Adjustment, Booked, ExchangeRate, Ident, Label, Number, Part, Prose
from tieout.core.money import Money


class Line(Part):
    """One line of an invoice or credit note. Net is after allowances; quantity and price explain it."""

    line_id: Ident = Field(description="the line's id at the source")
    product_id: Ident | None = Field(default=None, description="product or item at the source")
    description: Prose = Field(default="", description="text on the document")
    quantity: Number = Field(default=Decimal(1), description="how many")
    unit: Label | None = Field(default=None, description="unit of measure (UN/ECE Recommendation 20)")
    unit_price: Number | None = Field(
        default=None, description="price of one in major units, may be finer than a minor unit"
    )
    allowance: Money | None = Field(default=None, description="discount already taken off the net amount")
    charge: Money | None = Field(default=None, description="surcharge already put on the net amount")
    net: Money = Field(description="line amount without tax")
    tax: Money | None = Field(default=None, description="tax of this line, where the source says it by line")
    tax_code: Label | None = Field(default=None, description="tax category at the source, e.g. DE-VAT-19")
    tax_category: Label | None = Field(default=None, description="VAT category (UNCL 5305): S, Z, E, AE, K, G, O, …")
    tax_rate: Number | None = Field(default=None, description="tax rate in percent")
    jurisdiction: Label | None = Field(default=None, description="who levies the tax, e.g. US-CA")
    service_from: ServiceDate | None = Field(default=None, description="first day of the service")
    service_to: ServiceDate | None = Field(default=None, description="last day of the service")
    revenue_hint: Label | None = Field(default=None, description="revenue account or rule that the source suggests")
    obligation_id: Ident | None = Field(default=None, description="performance obligation that the line bills")
    purchase_order_line: Label | None = Field(default=None, description="line of the buyer's order")
    parent_line_id: Ident | None = Field(default=None, description="credit note: the invoice line that it credits")


class TaxBreakdown(Part):
    """Tax of a document by category and rate."""

    tax_code: Ident = Field(description="tax category at the source")
    category: Label | None = Field(default=None, description="VAT category (UNCL 5305): S, Z, E, AE, K, G, O, …")
    rate: Number | None = Field(default=None, description="rate in percent")
    jurisdiction: Label | None = Field(default=None, description="who levies it, e.g. US-CA")
    taxable: Money = Field(description="amount the tax is computed on")
    tax: Money = Field(description="tax amount")
    tax_in_ledger: Money | None = Field(default=None, description="tax in the entity's own currency (EN 16931 BT-111)")
    exemption_reason: Label | None = Field(default=None, description="why there is no tax, where there is none")


Lines: TypeAlias = Annotated[tuple[Line, ...], Field(strict=False, max_length=5000)]
Breakdown: TypeAlias = Annotated[tuple[TaxBreakdown, ...], Field(strict=False, max_length=500)]
Adjustments: TypeAlias = Annotated[tuple[Adjustment, ...], Field(strict=False, max_length=500)]


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
        "adjustments",
        "tax_breakdown",
    )

    number: Ident = Field(description="number printed on the invoice")
    series: Label | None = Field(default=None, description="number series")
    customer_id: Ident = Field(description="the customer at the source")
    customer_name: Label | None = Field(default=None, description="bill-to name as printed")
    bill_to_id: Ident | None = Field(default=None, description="who is invoiced, where it is not the customer")
    ship_to: Address | None = Field(
        default=None, description="where it is supplied, as the invoice says: decides the tax"
    )
    ship_to_id: Ident | None = Field(default=None, description="who receives, where it is not the customer")
    intercompany_partner: Ident | None = Field(default=None, description="our entity code when the buyer is one of us")
    due_date: DueDate | None = Field(default=None, description="day by which it is to be paid")
    terms: Label | None = Field(default=None, description="payment terms code")
    purchase_order: Label | None = Field(default=None, description="the buyer's order reference")
    subscription_id: Ident | None = Field(default=None, description="subscription that it bills")
    contract_id: Ident | None = Field(default=None, description="contract that it bills")
    opportunity_id: Ident | None = Field(default=None, description="won deal it goes back to, in the CRM")
    memo: Prose | None = Field(default=None, description="free text on the document")
    lines: Lines = Field(description="what is invoiced")
    adjustments: Adjustments = Field(default=(), description="allowances and charges on the whole document")
    tax_breakdown: Breakdown = Field(default=(), description="tax by category and rate")
    net: Money = Field(description="sum of the lines' net amounts, less allowances, plus charges")
    tax: Money = Field(description="sum of the tax")
    gross: Money = Field(description="net and tax")
    prepaid: Money | None = Field(default=None, description="paid before, taken off the amount due")
    rounding: Money | None = Field(default=None, description="rounding amount, its own line (EN 16931 BT-114)")
    payable: Money | None = Field(default=None, description="gross less prepaid plus rounding")
    exchange: ExchangeRate | None = Field(default=None, description="rate into the entity's ledger currency")


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
        "adjustments",
        "tax_breakdown",
    )

    number: Ident = Field(description="number printed on the credit note")
    series: Label | None = Field(default=None, description="number series")
    invoice_id: Ident = Field(description="the invoice it corrects, at the source")
    invoice_number: Label | None = Field(default=None, description="number of that invoice")
    original_tax_point: TaxPoint | None = Field(
        default=None, description="tax point of that invoice: its rate is the one that is reversed"
    )
    customer_id: Ident = Field(description="the customer at the source")
    intercompany_partner: Ident | None = Field(default=None, description="our entity code when the buyer is one of us")
    reason: Label | None = Field(default=None, description="reason code")
    settles: Literal["account", "refund", "invoice"] | None = Field(
        default=None, description="what the credit does: stays on account, is refunded, or settles the invoice"
    )
    memo: Prose | None = Field(default=None, description="free text on the document")
    lines: Lines = Field(description="what is credited")
    adjustments: Adjustments = Field(default=(), description="allowances and charges that are reversed")
    tax_breakdown: Breakdown = Field(default=(), description="tax by category, at the original rate")
    net: Money = Field(description="sum of the lines' net amounts, less allowances, plus charges")
    tax: Money = Field(description="tax that is reversed")
    gross: Money = Field(description="net and tax")
    exchange: ExchangeRate | None = Field(default=None, description="rate into the entity's ledger currency")
