"""What every document is made of: the closed `Part`, the `Document` with its origin, and the words they share."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, ClassVar, Literal, Self, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)

from tieout.core.clocks import DocumentDate, EffectiveDate, EventInstant, PostingDate, TaxPoint, ValueDate
from tieout.core.money import Currency, Money


def _finite(number: Decimal) -> Decimal:
    if not number.is_finite() or abs(number.adjusted()) > 30:
        raise ValueError("a finite number of sane size is needed")
    return number


Ident: TypeAlias = Annotated[str, Field(min_length=1, max_length=255)]
Label: TypeAlias = Annotated[str, Field(max_length=255)]
Prose: TypeAlias = Annotated[str, Field(max_length=4000)]
Country: TypeAlias = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
Month: TypeAlias = Annotated[str, Field(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$")]
Number: TypeAlias = Annotated[
    Decimal,
    AfterValidator(_finite),
    PlainSerializer(lambda number: format(number, "f"), return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$", "maxLength": 64}),
]
"""An exact decimal that is not an amount (a quantity, a rate, a unit price); serialised as plain text."""


class Part(BaseModel):
    """A piece of a document: frozen, strict, closed."""

    # Validators are built at first use: most functions touch a few kinds, and a cold start pays for each.
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", revalidate_instances="never", defer_build=True)


class Address(Part):
    """A postal address as the source gives it; no field is guessed."""

    line1: Label = Field(description="street and number")
    line2: Label | None = Field(default=None, description="suite, floor, care of")
    city: Label = Field(description="city or town")
    region: Label | None = Field(default=None, description="state, province or region code")
    postal_code: Label | None = Field(default=None, description="postal code")
    country: Country = Field(description="ISO 3166-1 alpha-2 country code")


class ExternalId(Part):
    """The id of this party in another system."""

    system: Ident = Field(description="system that owns the id")
    account: Ident = Field(description="account of that system")
    id: Ident = Field(description="the id there")
    status: Literal["active", "merged", "archived"] = Field(default="active", description="whether it may be posted to")
    merged_into: Ident | None = Field(
        default=None, description="id of the survivor there; None while a merge's survivor is not known"
    )
    changed_on: EffectiveDate | None = Field(default=None, description="day on which the status last changed")

    @model_validator(mode="after")
    def _only_the_merged_have_a_survivor(self) -> Self:
        if self.merged_into is not None and self.status != "merged":
            raise ValueError("only a merged id has a survivor")
        if self.merged_into == self.id:
            raise ValueError("an id is not merged into itself")
        return self


class ExchangeRate(Part):
    """How many units of one currency one unit of another was worth, on which day, and who says so."""

    of: Currency = Field(description="the currency that one unit is counted of")
    into: Currency = Field(description="the currency that the rate counts in")
    rate: Number = Field(gt=0, description="units of `into` for one unit of `of`, in major units")
    rate_date: ValueDate = Field(description="day the rate is of")
    source: Ident = Field(description="who published it, e.g. ECB")


class Adjustment(Part):
    """An allowance or charge on the whole document (EN 16931 BG-20 and BG-21). Amounts are positive."""

    kind: Literal["allowance", "charge"] = Field(description="taken off the lines' sum, or put on it")
    amount: Money = Field(description="amount without tax (BT-92 or BT-99)")
    reason: Label | None = Field(default=None, description="why, as text or code (BT-97, BT-104)")
    tax_code: Label | None = Field(default=None, description="tax category at the source (BT-95, BT-102)")
    tax_rate: Number | None = Field(default=None, description="tax rate in percent (BT-96, BT-103)")

    @model_validator(mode="after")
    def _the_kind_says_the_direction(self) -> Self:
        if self.amount.minor < 0:
            raise ValueError("the kind says the direction, not the sign")
        return self


class Document(Part):
    """What all documents share: identity, version and clocks."""

    kind: ClassVar[str]
    schema_version: ClassVar[int] = 1
    """Of the exported JSON Schema. New optional fields keep it; anything else makes the next one."""
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
