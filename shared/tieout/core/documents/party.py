"""The parties of a deal: the buying legal entity with its sites, roles, registrations, exemptions and terms.

The selling legal entity is every document's `entity`; the buying one is the `Customer`. Who ordered, who is
invoiced, who receives and who pays may be four companies: each is named by canonical id, and None means the
customer itself.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import date, timedelta
from itertools import pairwise
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from tieout.core.clocks import DocumentDate, DueDate, EffectiveDate
from tieout.core.documents.base import Address, Country, Document, ExternalId, Ident, Label, Number, Part
from tieout.core.money import Currency, Money

DEEPEST: Final = 10
"""Levels of sites (and of parent accounts) that targets are known to take."""


class TaxId(Part):
    """One tax registration of a party."""

    type: Label = Field(description="the scheme, e.g. eu_vat or us_ein")
    value: Label = Field(description="the registration number as given")
    country: Country | None = Field(default=None, description="country of registration")
    validated: bool | None = Field(default=None, description="result of the last validation, None when never asked")
    validated_on: EffectiveDate | None = Field(default=None, description="day of that validation")
    validation_source: Label | None = Field(default=None, description="who validated it, e.g. VIES")
    validation_reference: Label | None = Field(default=None, description="the validator's consultation number: proof")


class Exemption(Part):
    """A certificate that the buyer pays no tax somewhere; it stops holding when it expires."""

    certificate: Ident = Field(description="number of the certificate")
    jurisdiction: Label = Field(description="where it holds, e.g. US-CA or DE")
    reason: Label | None = Field(default=None, description="ground of the exemption, e.g. resale")
    valid_from: EffectiveDate | None = Field(default=None, description="first day it holds")
    expires_on: EffectiveDate | None = Field(default=None, description="last day it holds; None does not expire")

    def holds_on(self, day: date) -> bool:
        """Whether the certificate holds on a day (a tax point's)."""
        return (self.valid_from is None or self.valid_from.value <= day) and (
            self.expires_on is None or day <= self.expires_on.value
        )


class TermsRule(Part):
    """Payment terms as a rule: when the money is due, and what paying early is worth."""

    days: int = Field(ge=0, le=730, description="days after the base day")
    base: Literal["document_date", "end_of_month"] = Field(
        default="document_date", description="what the days count from: the document, or the end of its month"
    )
    day_of_month: int | None = Field(
        default=None, ge=1, le=31, description="then on to this day of a month, or to its last day where it is shorter"
    )
    discount_percent: Number | None = Field(default=None, ge=0, le=100, description="cash discount in percent")
    discount_days: int | None = Field(default=None, ge=0, le=730, description="days in which the discount may be taken")

    def due_date(self, document_date: DocumentDate) -> DueDate:
        """The day by which a document of that date is to be paid."""
        day = document_date.value
        if self.base == "end_of_month":
            day = _on_day(day, 31)
        day += timedelta(days=self.days)
        if self.day_of_month is not None:
            on = _on_day(day, self.day_of_month)
            day = on if on >= day else _on_day(_on_day(day, 31) + timedelta(days=1), self.day_of_month)
        return DueDate(day)


def _on_day(day: date, number: int) -> date:
    return day.replace(day=min(number, monthrange(day.year, day.month)[1]))


class Site(Part):
    """A place or branch of the buyer, its roles, where it hangs in the hierarchy, and when that holds."""

    site_id: Ident = Field(description="the site's id at the source")
    parent_site_id: Ident | None = Field(default=None, description="the site above it; None is the top")
    name: Label | None = Field(default=None, description="name of the site")
    roles: Annotated[
        tuple[Literal["sold_to", "bill_to", "ship_to", "payer"], ...], Field(strict=False, max_length=4)
    ] = Field(default=(), description="what the site is used as")
    address: Address | None = Field(default=None, description="postal address of the site")
    valid_from: EffectiveDate | None = Field(default=None, description="first day this row holds")
    valid_until: EffectiveDate | None = Field(default=None, description="last day this row holds; None is open-ended")

    def holds_on(self, day: date) -> bool:
        """Whether the row is effective on a day."""
        return (self.valid_from is None or self.valid_from.value <= day) and (
            self.valid_until is None or day <= self.valid_until.value
        )


class Customer(Document):
    """A buying legal entity as our selling entity knows it."""

    kind: ClassVar[str] = "customer"
    identity: ClassVar[tuple[str, ...]] = (
        "canonical_id",
        "legal_name",
        "email",
        "currency",
        "terms",
        "terms_rule",
        "tax_ids",
        "exemptions",
        "billing_address",
        "shipping_address",
        "registration_number",
        "parent_id",
        "sold_to_id",
        "bill_to_id",
        "ship_to_id",
        "payer_id",
        "sites",
        "receivables_group",
        "intercompany_partner",
    )

    canonical_id: Ident = Field(description="the customer's one identity across systems, not the source's id")
    legal_name: Annotated[str, Field(min_length=1, max_length=255)] = Field(description="registered name of the buyer")
    name: Label | None = Field(default=None, description="trading name, if another")
    email: Label | None = Field(default=None, description="address that invoices are sent to")
    phone: Label | None = Field(default=None, description="telephone as given")
    registration_number: Label | None = Field(default=None, description="company registration number")
    registered_in: Country | None = Field(default=None, description="country whose register that is")
    tax_ids: Annotated[tuple[TaxId, ...], Field(strict=False)] = Field(default=(), description="tax registrations")
    exemptions: Annotated[tuple[Exemption, ...], Field(strict=False, max_length=200)] = Field(
        default=(), description="tax exemption certificates with their days"
    )
    billing_address: Address | None = Field(default=None, description="bill-to address")
    shipping_address: Address | None = Field(default=None, description="ship-to address, decides the place of supply")
    place_of_supply: Country | None = Field(
        default=None, description="country of supply where the source says it; None follows the ship-to address"
    )
    sold_to_id: Ident | None = Field(default=None, description="canonical id of who ordered; None is the customer")
    bill_to_id: Ident | None = Field(default=None, description="canonical id of who is invoiced; None is the customer")
    ship_to_id: Ident | None = Field(default=None, description="canonical id of who receives; None is the customer")
    payer_id: Ident | None = Field(default=None, description="canonical id of who pays; None is the customer")
    sites: Annotated[tuple[Site, ...], Field(strict=False, max_length=1000)] = Field(
        default=(), description="places and branches, with their hierarchy and effective days"
    )
    currency: Currency | None = Field(default=None, description="currency the customer is invoiced in")
    terms: Label | None = Field(default=None, description="payment terms code, e.g. NET30")
    terms_rule: TermsRule | None = Field(default=None, description="what that code means, where the source says it")
    price_list: Label | None = Field(default=None, description="price list code")
    credit_limit: Money | None = Field(default=None, description="open amount up to which orders are taken")
    credit_hold: bool = Field(default=False, description="no new orders while true")
    credit_hold_reason: Label | None = Field(default=None, description="why, as a code")
    receivables_group: Label | None = Field(default=None, description="receivables account or posting group")
    intercompany_partner: Ident | None = Field(default=None, description="our entity code when the buyer is one of us")
    invoice_channel: Literal["email", "peppol", "portal", "post"] | None = Field(
        default=None, description="how invoices are delivered"
    )
    peppol_id: Label | None = Field(default=None, description="Peppol participant id, scheme:value")
    dunning: Label | None = Field(default=None, description="dunning procedure code")
    parent_id: Ident | None = Field(default=None, description="canonical id of the parent account")
    external_ids: Annotated[tuple[ExternalId, ...], Field(strict=False)] = Field(
        default=(), description="ids of this customer in other systems"
    )

    @model_validator(mode="after")
    def _sites_are_a_tree(self) -> Self:
        if self.sites:
            check_sites(self.sites)
        return self


def check_sites(sites: tuple[Site, ...]) -> None:
    """`ValueError` unless the rows of a site follow one another in time and the hierarchy is a tree on every day."""
    rows: dict[str, list[Site]] = {}
    for site in sites:
        rows.setdefault(site.site_id, []).append(site)
        if site.valid_from and site.valid_until and site.valid_until < site.valid_from:
            raise ValueError("a site ends before it starts")
    for held in rows.values():
        held.sort(key=lambda site: site.valid_from.value if site.valid_from else date.min)
        for before, after in pairwise(held):
            if before.valid_until is None or after.valid_from is None or after.valid_from <= before.valid_until:
                raise ValueError("two rows of a site hold on the same day")
    # Between two starts nothing changes, so the tree is looked at once for each.
    for day in {site.valid_from.value if site.valid_from else date.min for site in sites}:
        parents = {site.site_id: site.parent_site_id for site in sites if site.holds_on(day)}
        for start in parents:
            at: str | None = start
            for _ in range(DEEPEST):
                at = parents.get(at) if at is not None else None
                if at is None:
                    break
            else:
                raise ValueError(f"the sites' hierarchy is a circle or deeper than {DEEPEST} levels")
