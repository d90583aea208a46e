"""What people say and are told: the support `Ticket` that touches money, and the `Status` shown in the CRM."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tieout.core.clocks import DueDate, EventInstant
from tieout.core.documents.base import Document, Ident, Label, Prose
from tieout.core.money import Money


class Ticket(Document):
    """A customer's request in the support system, as far as finance must know of it."""

    kind: ClassVar[str] = "ticket"
    identity: ClassVar[tuple[str, ...]] = (
        "customer_id", "subject", "state", "category", "about_kind", "about_id", "requested",
    )  # fmt: skip

    number: Label | None = Field(default=None, description="number people quote")
    customer_id: Ident | None = Field(default=None, description="the customer at the source, where it is known")
    subject: Label = Field(description="what it is about, in one line")
    body: Prose | None = Field(default=None, description="the request in words")
    state: Literal["new", "open", "waiting", "solved", "closed"] = Field(description="where the request stands")
    priority: Literal["low", "normal", "high", "urgent"] = Field(default="normal", description="how soon it matters")
    category: Label | None = Field(default=None, description="e.g. billing, refund, dispute")
    opened_at: EventInstant = Field(description="when it was opened, UTC")
    due: DueDate | None = Field(default=None, description="day by which an answer is promised")
    owner: Label | None = Field(default=None, description="user id of who has it")
    about_kind: Ident | None = Field(default=None, description="kind of the document that it is about")
    about_id: Ident | None = Field(default=None, description="that document's id at its source")
    requested: Money | None = Field(default=None, description="credit or refund that the customer asks for")


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
