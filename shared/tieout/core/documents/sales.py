"""What is agreed before and beside the invoice: deal, `Quote`, `Contract`, `Subscription`, `UsageRecord`."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, ClassVar, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from tieout.core.clocks import DocumentDate, DueDate, EffectiveDate, EventInstant, ServiceDate
from tieout.core.documents.base import Document, Ident, Label, Number, Part, Prose
from tieout.core.documents.party import Customer
from tieout.core.money import Currency, Money


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
    contract_id: Ident | None = Field(default=None, description="contract that it carries out")
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


class QuoteLine(Part):
    """One product of a quote: list price, discount and what is left of it."""

    line_id: Ident = Field(description="the line's id at the source")
    product_id: Ident = Field(description="product offered")
    description: Prose = Field(default="", description="text of the line")
    quantity: Number = Field(default=Decimal(1), description="how many")
    list_price: Number | None = Field(default=None, description="list price of one in major units")
    discount_percent: Number | None = Field(default=None, ge=0, le=100, description="discount on the list price")
    standalone_price: Money | None = Field(default=None, description="stand-alone selling price of the line")
    net: Money = Field(description="offered amount of the line")
    interval: Literal["month", "quarter", "year", "once"] = Field(default="once", description="how often it is billed")
    service_from: ServiceDate | None = Field(default=None, description="first day of service")
    service_to: ServiceDate | None = Field(default=None, description="last day of service")


class Quote(Document):
    """An offer: priced lines, valid for a while. A newer revision replaces it."""

    kind: ClassVar[str] = "quote"
    identity: ClassVar[tuple[str, ...]] = (
        "number", "revision", "customer_id", "currency", "quote_date", "valid_until", "amount", "lines", "state",
    )  # fmt: skip

    number: Ident = Field(description="number printed on the quote")
    revision: int = Field(default=1, ge=1, description="which revision of that number")
    customer_id: Ident = Field(description="the buyer at the source")
    opportunity_id: Ident | None = Field(default=None, description="deal that it belongs to, in the CRM")
    currency: Currency = Field(description="currency of the offer")
    quote_date: DocumentDate = Field(description="day on the quote, in the entity's time zone")
    valid_until: DueDate | None = Field(default=None, description="last day it can be accepted")
    state: Literal["draft", "sent", "accepted", "declined", "expired", "replaced"] = Field(
        description="where the offer stands"
    )
    terms: Label | None = Field(default=None, description="offered payment terms code")
    billing_interval: Literal["month", "quarter", "year", "once"] | None = Field(
        default=None, description="how often it would be billed"
    )
    lines: Annotated[tuple[QuoteLine, ...], Field(strict=False, max_length=2000)] = Field(description="what is offered")
    amount: Money = Field(description="sum of the lines")


RecognitionMethod: TypeAlias = Literal["by_day", "by_month", "usage", "point_in_time"]


class Obligation(Part):
    """A performance obligation: a distinct promise, its stand-alone price and its share of the contract's price."""

    obligation_id: Ident = Field(description="id of the promise")
    description: Prose = Field(default="", description="what is promised")
    product_id: Ident | None = Field(default=None, description="product that it delivers")
    standalone_price: Money = Field(description="stand-alone selling price (SSP)")
    price_basis: Literal["observable", "adjusted_market", "cost_plus_margin", "residual"] = Field(
        default="observable", description="how the stand-alone price was found (ASC 606-10-32-33, -34)"
    )
    allocated: Money = Field(description="share of the transaction price")
    method: RecognitionMethod = Field(description="how revenue is recognised")
    first_day: ServiceDate = Field(description="first day of the service")
    last_day: ServiceDate = Field(description="last day of the service")
    units: Number | None = Field(default=None, gt=0, description="usage: units expected over the whole term")


class BillingStep(Part):
    """One invoice that the contract foresees."""

    step_id: Ident = Field(description="id of the step")
    due: DueDate = Field(description="day on which it is to be invoiced")
    amount: Money = Field(description="amount without tax")
    description: Prose = Field(default="", description="text for the invoice")
    invoice_id: Ident | None = Field(default=None, description="the invoice, once it exists")


class Amendment(Part):
    """One change of the contract, with the facts by which revenue accounting decides its treatment."""

    amendment_id: Ident = Field(description="id of the amendment at the source")
    sequence: int = Field(ge=1, description="place in the chain, from 1 without gaps")
    signed_on: DocumentDate = Field(description="day both sides had agreed")
    effective_on: EffectiveDate = Field(description="first day of the new terms")
    price_change: Money = Field(description="what the transaction price changes by; negative is less")
    adds_distinct: bool = Field(default=False, description="goods or services are added that are distinct")
    at_standalone_price: bool = Field(default=False, description="the price rises by what the added ones cost alone")
    remaining_distinct: Literal["all", "some", "none"] = Field(
        default="all", description="whether what is still to deliver is distinct from what was delivered"
    )
    treatment: Literal["separate_contract", "termination_and_new", "cumulative_catch_up", "prospective", "mixed"] | (
        None
    ) = Field(default=None, description="the treatment that was chosen, once it was")
    why: Prose = Field(default="", description="reason in words; side letters are named here")


class Contract(Document):
    """What both sides signed: promises, prices, billing, and the chain of amendments."""

    kind: ClassVar[str] = "contract"
    identity: ClassVar[tuple[str, ...]] = (
        "number", "customer_id", "currency", "signed_on", "first_day", "last_day", "original_price", "price",
        "obligations", "billing", "amendments", "state",
    )  # fmt: skip

    number: Ident = Field(description="number of the contract")
    customer_id: Ident = Field(description="the buyer at the source")
    opportunity_id: Ident | None = Field(default=None, description="won deal that it comes from")
    quote_id: Ident | None = Field(default=None, description="accepted quote that it comes from")
    currency: Currency = Field(description="currency of the contract")
    signed_on: DocumentDate = Field(description="day both sides had signed")
    first_day: ServiceDate = Field(description="first day it is in force")
    last_day: ServiceDate | None = Field(default=None, description="last day it is in force; none runs on")
    state: Literal["draft", "signed", "active", "ended", "terminated"] = Field(description="where the contract stands")
    original_price: Money | None = Field(default=None, description="transaction price when it was signed")
    price: Money = Field(description="transaction price now, amendments included")
    obligations: Annotated[tuple[Obligation, ...], Field(strict=False, max_length=1000)] = Field(
        default=(), description="performance obligations with their share of the price"
    )
    billing: Annotated[tuple[BillingStep, ...], Field(strict=False, max_length=2000)] = Field(
        default=(), description="what is to be invoiced when"
    )
    amendments: Annotated[tuple[Amendment, ...], Field(strict=False, max_length=1000)] = Field(
        default=(), description="every change, oldest first"
    )
    terms: Label | None = Field(default=None, description="payment terms code")
    termination_rights: Prose | None = Field(default=None, description="who may end it, when, at what price")
    renewal: Prose | None = Field(default=None, description="what happens at its end")

    @model_validator(mode="after")
    def _the_chain_has_no_gap(self) -> Self:
        if [one.sequence for one in self.amendments] != list(range(1, len(self.amendments) + 1)):
            raise ValueError("amendments are numbered from 1 without gaps, oldest first")
        days = [one.effective_on for one in self.amendments]
        if days != sorted(days):
            raise ValueError("an amendment takes effect before the one it amends")
        return self


class UsageRecord(Document):
    """What a customer used: one measurement, added to or replacing what was said before."""

    kind: ClassVar[str] = "usage_record"
    identity: ClassVar[tuple[str, ...]] = (
        "customer_id", "meter", "quantity", "unit", "used_on", "used_from", "used_until", "action",
    )  # fmt: skip

    customer_id: Ident = Field(description="the customer at the source")
    subscription_id: Ident | None = Field(default=None, description="subscription that it is billed under")
    item_id: Ident | None = Field(default=None, description="item of that subscription")
    contract_id: Ident | None = Field(default=None, description="contract that it belongs to")
    obligation_id: Ident | None = Field(default=None, description="promise that it fulfils")
    meter: Ident = Field(description="what is measured")
    quantity: Number = Field(description="how much; negative only as a correction")
    unit: Label | None = Field(default=None, description="unit of the measurement")
    used_on: ServiceDate = Field(description="day of use, in the entity's time zone")
    used_from: EventInstant | None = Field(default=None, description="start of the measured span, UTC")
    used_until: EventInstant | None = Field(default=None, description="end of the measured span, UTC")
    action: Literal["add", "replace"] = Field(default="add", description="added to the day, or in place of what it had")
    corrects: Ident | None = Field(default=None, description="usage record that it corrects")

    @model_validator(mode="after")
    def _only_a_correction_takes_away(self) -> Self:
        if self.quantity < 0 and self.corrects is None:
            raise ValueError("negative usage names what it corrects")
        return self
