"""Money that moves: `Payment`, `Refund`, `Dispute`, and the `Payout` whose net hides all of them."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tieout.core.clocks import DueDate, ValueDate
from tieout.core.documents.base import Booked, ExchangeRate, Ident, Label, Part
from tieout.core.money import Money


class Allocation(Part):
    """The part of a payment that settles one document."""

    document_kind: Literal["invoice", "credit_note"] = Field(
        default="invoice", description="kind of the settled document"
    )
    source_id: Ident = Field(description="the settled document at the source")
    amount: Money = Field(description="how much of it is settled")
    discount: Money | None = Field(default=None, description="cash discount taken on it, within the amount")


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
        "write_off",
        "fee",
    )

    number: Label | None = Field(default=None, description="receipt number, if there is one")
    customer_id: Ident = Field(description="the customer at the source")
    payer_id: Ident | None = Field(default=None, description="who paid, where it is not the customer")
    method: Label | None = Field(default=None, description="card, bank transfer, ...")
    processor_reference: Label | None = Field(default=None, description="the payment processor's reference")
    bank_reference: Label | None = Field(default=None, description="the bank's reference")
    value_date: ValueDate | None = Field(default=None, description="day the money counts at the bank")
    settlement_date: ValueDate | None = Field(default=None, description="day the processor settles it")
    payout_id: Ident | None = Field(default=None, description="payout that carries it to the bank")
    amount: Money = Field(description="gross amount received")
    fee: Money | None = Field(default=None, description="what the processor keeps")
    net: Money | None = Field(default=None, description="amount less fee, what reaches the bank")
    allocations: Annotated[tuple[Allocation, ...], Field(strict=False, max_length=1000)] = Field(
        default=(), description="what it settles"
    )
    unapplied: Money | None = Field(default=None, description="amount on account; none means nothing is left over")
    write_off: Money | None = Field(
        default=None, description="small amount missing that is settled all the same, within the tolerance"
    )
    exchange: ExchangeRate | None = Field(default=None, description="rate into the entity's ledger currency")
    exchange_difference: Money | None = Field(
        default=None, description="gain (positive) or loss against the invoices' rate, in ledger currency"
    )


class Refund(Booked):
    """Money given back for a payment. A document of its own, never a negative payment. Amounts are positive."""

    kind: ClassVar[str] = "refund"
    identity: ClassVar[tuple[str, ...]] = (
        "payment_id",
        "credit_note_id",
        "customer_id",
        "currency",
        "document_date",
        "amount",
        "fee_returned",
        "state",
    )

    number: Label | None = Field(default=None, description="number, if there is one")
    payment_id: Ident = Field(description="the payment that is given back, at the source")
    credit_note_id: Ident | None = Field(default=None, description="the credit note that it pays out")
    customer_id: Ident = Field(description="the customer at the source")
    amount: Money = Field(description="what is given back")
    fee_returned: Money | None = Field(default=None, description="processor fee that comes back with it")
    reason: Label | None = Field(default=None, description="reason code")
    method: Label | None = Field(default=None, description="how it is paid out")
    state: Literal["pending", "succeeded", "failed", "canceled"] = Field(
        default="succeeded", description="whether the money has moved"
    )
    processor_reference: Label | None = Field(default=None, description="the payment processor's reference")
    exchange: ExchangeRate | None = Field(default=None, description="rate into the entity's ledger currency")


class Dispute(Booked):
    """A buyer's bank takes a payment back, and perhaps returns it. Fees stand even when it is won."""

    kind: ClassVar[str] = "dispute"
    identity: ClassVar[tuple[str, ...]] = (
        "payment_id",
        "customer_id",
        "currency",
        "amount",
        "fee",
        "fee_returned",
        "state",
    )

    payment_id: Ident = Field(description="the disputed payment at the source")
    customer_id: Ident = Field(description="the customer at the source")
    amount: Money = Field(description="disputed amount")
    fee: Money | None = Field(default=None, description="what the processor charges for the dispute")
    fee_returned: Money | None = Field(default=None, description="how much of that came back")
    state: Literal["inquiry", "opened", "won", "lost"] = Field(
        description="inquiry: nothing moved; opened: funds withdrawn; won: reinstated; lost: gone"
    )
    reason: Label | None = Field(default=None, description="the card network's reason code")
    evidence_due: DueDate | None = Field(default=None, description="day by which evidence is to be handed in")
    invoice_id: Ident | None = Field(default=None, description="invoice that the payment had settled")
    processor_reference: Label | None = Field(default=None, description="the payment processor's reference")


class PayoutPart(Part):
    """One gross component behind a payout. Signed: what comes to us is positive."""

    part_id: Ident = Field(description="id of the balance entry at the source")
    kind: Literal[
        "charge", "refund", "refund_failure", "dispute", "dispute_reversal", "fee", "reserve", "adjustment", "other"
    ] = Field(description="what moved")
    document_id: Ident | None = Field(default=None, description="payment, refund or dispute behind it, at the source")
    gross: Money = Field(description="amount before fees, in the payout's currency")
    fee: Money = Field(description="fee taken out of it; negative when a fee comes back")
    net: Money = Field(description="gross less fee")
    exchange: ExchangeRate | None = Field(default=None, description="rate, where the component was in another currency")


class Payout(Booked):
    """One transfer between processor and bank: a net amount, and every gross component behind it."""

    kind: ClassVar[str] = "payout"
    identity: ClassVar[tuple[str, ...]] = ("currency", "parts", "gross", "fees", "net", "arrives_on", "state")

    bank_account: Label | None = Field(default=None, description="our bank account, by its code")
    bank_reference: Label | None = Field(default=None, description="reference on the bank statement")
    arrives_on: ValueDate = Field(description="day the bank credits (or debits) it")
    state: Literal["pending", "in_transit", "paid", "failed", "canceled"] = Field(
        default="paid", description="where the transfer is"
    )
    parts: Annotated[tuple[PayoutPart, ...], Field(strict=False, max_length=20000)] = Field(
        description="the components, all of them"
    )
    gross: Money = Field(description="sum of the components before fees")
    fees: Money = Field(description="sum of the fees")
    net: Money = Field(description="gross less fees: what moves; negative when the bank is debited")
