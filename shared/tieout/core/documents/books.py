"""What accounting makes of the rest: `RevenueSchedule`, `JournalEntry`, `IntercompanyPair`.

A journal entry that does not balance cannot be made: `JournalEntry` refuses it when it is constructed or read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from tieout.core.clocks import PostingDate, ServiceDate
from tieout.core.documents.base import Booked, Document, ExchangeRate, Ident, Label, Month, Part, Prose
from tieout.core.documents.sales import RecognitionMethod
from tieout.core.money import Currency, Money, total
from tieout.core.verdicts import NeedsHuman


class RevenueEntry(Part):
    """What one month recognises of one promise."""

    period: Month = Field(description="month that earns it, YYYY-MM")
    posting_date: PostingDate = Field(description="day it is booked under")
    amount: Money = Field(description="amount recognised; negative takes back")
    why: Literal["earned", "catch_up"] = Field(
        default="earned", description="by the schedule, or a catch-up that a modification makes"
    )


class RevenueSchedule(Document):
    """When the price of one performance obligation becomes revenue."""

    kind: ClassVar[str] = "revenue_schedule"
    identity: ClassVar[tuple[str, ...]] = (
        "contract_id", "obligation_id", "revision", "currency", "method", "first_day", "last_day", "amount", "entries",
    )  # fmt: skip

    contract_id: Ident = Field(description="contract at the source")
    obligation_id: Ident = Field(description="performance obligation of that contract")
    revision: int = Field(default=0, ge=0, description="how many modifications it has been through")
    customer_id: Ident | None = Field(default=None, description="the customer at the source")
    currency: Currency = Field(description="currency of the contract")
    method: RecognitionMethod = Field(description="how revenue is recognised")
    first_day: ServiceDate = Field(description="first day of the service")
    last_day: ServiceDate = Field(description="last day of the service")
    amount: Money = Field(description="share of the transaction price: what the entries sum to")
    entries: Annotated[tuple[RevenueEntry, ...], Field(strict=False, max_length=5000)] = Field(
        description="amounts by month, oldest first"
    )
    liability_account: Label | None = Field(default=None, description="contract liability (deferred revenue) account")
    asset_account: Label | None = Field(default=None, description="contract asset (unbilled) account")
    revenue_account: Label | None = Field(default=None, description="revenue account")
    held: bool = Field(default=False, description="nothing is recognised while true")


class JournalLine(Part):
    """One side of one account. Amounts are not negative: the side says the direction."""

    account: Ident = Field(description="account, by our code")
    side: Literal["debit", "credit"] = Field(description="which side it stands on")
    amount: Money = Field(description="amount in the entry's currency")
    ledger_amount: Money | None = Field(default=None, description="the same in the entity's ledger currency")
    text: Label | None = Field(default=None, description="line text")
    party_id: Ident | None = Field(default=None, description="customer that it is about")
    partner_entity: Ident | None = Field(default=None, description="our other entity, on an intercompany line")
    about_kind: Ident | None = Field(default=None, description="kind of the document behind the line")
    about_id: Ident | None = Field(default=None, description="that document's id at its source")
    dimensions: Annotated[tuple[tuple[Ident, Ident], ...], Field(strict=False, max_length=20)] = Field(
        default=(), description="(name, value) of cost centre, project and the like"
    )

    @model_validator(mode="after")
    def _the_side_says_the_direction(self) -> Self:
        if self.amount.minor < 0 or (self.ledger_amount is not None and self.ledger_amount.minor < 0):
            raise ValueError("the side says the direction, not the sign")
        return self


class JournalEntry(Booked):
    """A balanced entry: debits equal credits, in its currency and in the ledger's. No other can be made."""

    kind: ClassVar[str] = "journal_entry"
    identity: ClassVar[tuple[str, ...]] = (
        "number", "journal", "currency", "posting_date", "document_date", "lines", "reverses",
    )  # fmt: skip

    number: Ident = Field(description="number of the entry")
    journal: Label = Field(default="general", description="journal it belongs to")
    text: Prose = Field(default="", description="what it is for")
    lines: Annotated[tuple[JournalLine, ...], Field(strict=False, min_length=2, max_length=10000)] = Field(
        description="debits and credits"
    )
    reverses: Ident | None = Field(default=None, description="entry that it takes back")
    parent_kind: Ident | None = Field(default=None, description="kind of the document that must be booked before it")
    parent_id: Ident | None = Field(default=None, description="that document's id at the source")
    ledger_currency: Currency | None = Field(default=None, description="the entity's ledger currency")
    exchange: ExchangeRate | None = Field(default=None, description="rate into the ledger currency")

    @model_validator(mode="after")
    def _it_balances(self) -> Self:
        check_balance(self)
        return self


def check_balance(entry: JournalEntry) -> tuple[tuple[str, Money, Money], ...]:
    """The equations of a journal entry; ``journal_unbalanced`` when one does not hold."""
    equations = [("debits = credits", *sides(entry.lines, entry.currency))]
    booked = [line for line in entry.lines if line.ledger_amount is not None]
    if booked:
        if entry.ledger_currency is None or len(booked) != len(entry.lines):
            raise NeedsHuman("journal_unbalanced", "ledger amounts on some lines only", number=entry.number,
                             what="ledger amounts", debits="incomplete", credits="incomplete")  # fmt: skip
        unit = entry.ledger_currency
        debit = total((line.ledger_amount for line in booked if line.side == "debit" and line.ledger_amount), unit)
        credit = total((line.ledger_amount for line in booked if line.side == "credit" and line.ledger_amount), unit)
        equations.append(("debits = credits in the ledger currency", debit, credit))
    for said, debit, credit in equations:
        if debit != credit:
            raise NeedsHuman("journal_unbalanced", said, number=entry.number, what=said, debits=debit, credits=credit)
    return tuple(equations)


def sides(lines: Iterable[JournalLine], currency: str) -> tuple[Money, Money]:
    """Sum of the debits and sum of the credits."""
    debit = credit = Money.zero(currency)
    for line in lines:
        if line.side == "debit":
            debit += line.amount
        else:
            credit += line.amount
    return debit, credit


class IntercompanyPair(Document):
    """One sale between two of our entities, booked on both sides. Due-from and due-to net to zero."""

    kind: ClassVar[str] = "intercompany_pair"
    identity: ClassVar[tuple[str, ...]] = ("buying_entity", "currency", "net", "tax", "gross", "seller", "buyer")

    buying_entity: Ident = Field(description="our entity that buys; `entity` is the one that sells")
    invoice_id: Ident | None = Field(default=None, description="intercompany invoice behind it, at the source")
    currency: Currency = Field(description="currency of the sale")
    net: Money = Field(description="amount without tax")
    tax: Money = Field(description="tax")
    gross: Money = Field(description="net and tax: what one owes the other")
    due_from_account: Ident = Field(description="the seller's receivable from the buyer")
    due_to_account: Ident = Field(description="the buyer's payable to the seller")
    reverses: Ident | None = Field(default=None, description="pair that it takes back: the sides are turned round")
    eliminate: bool = Field(default=True, description="taken out when the group is consolidated")
    seller: JournalEntry = Field(description="the seller's entry")
    buyer: JournalEntry = Field(description="the buyer's entry, the mirror of it")

    @model_validator(mode="after")
    def _the_two_sides_net_to_zero(self) -> Self:
        check_mirror(self)
        return self


def check_mirror(pair: IntercompanyPair) -> tuple[tuple[str, Money, Money], ...]:
    """The equations of an intercompany pair; ``intercompany_unbalanced`` when one does not hold."""
    due_from = _on(pair.seller, pair.due_from_account, pair.buying_entity, pair.currency)
    due_to = _on(pair.buyer, pair.due_to_account, pair.entity, pair.currency)
    equations = (
        ("net and tax = gross", pair.net + pair.tax, pair.gross),
        ("due from the buyer = gross", due_from, pair.gross if pair.reverses is None else -pair.gross),
        ("due-from and due-to net to zero", due_from + due_to, Money.zero(pair.currency)),
    )
    if pair.entity == pair.buying_entity or (pair.seller.entity, pair.buyer.entity) != (
        pair.entity,
        pair.buying_entity,
    ):
        raise NeedsHuman("intercompany_unbalanced", "wrong entities", what="the two entities",
                         seller=pair.seller.entity, buyer=pair.buyer.entity)  # fmt: skip
    for said, left, right in equations:
        if left != right:
            raise NeedsHuman("intercompany_unbalanced", said, what=said, seller=left, buyer=right)
    return equations


def _on(entry: JournalEntry, account: str, partner: str, currency: str) -> Money:
    """What stands on an account against a partner: debits positive."""
    debit, credit = sides(
        (line for line in entry.lines if line.account == account and line.partner_entity == partner), currency
    )
    return debit - credit
