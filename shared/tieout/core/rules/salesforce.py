"""Rules that read our Salesforce callout: a won opportunity with its account and lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tieout.core.documents import Address, TaxId
from tieout.core.rules.registry import rule
from tieout.core.verdicts import Ignore, NeedsHuman

#: Member states of the European Union, whose registrations are VAT numbers.
EU: Final = frozenset({
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT", "LT", "LU", "LV",
    "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
})  # fmt: skip


@rule
def salesforce_won(opportunity: Mapping[str, Any], field: str) -> Any:
    """A field of a deal that is won; any other deal is none of our business."""
    if opportunity.get("IsWon") is not True:
        raise Ignore("not_for_us", "not won", reason="the deal is not won")
    return opportunity.get(field)


@rule
def salesforce_address(account: Mapping[str, Any]) -> Address | None:
    """The billing address; absent where street, city or country is missing (none is made up)."""
    street, city, country = (account.get(f"Billing{part}") for part in ("Street", "City", "CountryCode"))
    if not street or not city or not country:
        return None
    line1, _, line2 = str(street).replace("\r\n", "\n").partition("\n")
    return Address(
        line1=line1,
        line2=line2.replace("\n", ", ") or None,
        city=city,
        region=account.get("BillingStateCode") or None,
        postal_code=account.get("BillingPostalCode") or None,
        country=country,
    )


@rule
def salesforce_tax_ids(account: Mapping[str, Any]) -> tuple[TaxId, ...]:
    """The account's tax registration, its scheme by the country it is billed in."""
    value, country = account.get("Tax_Id__c"), account.get("BillingCountryCode")
    if not value:
        return ()
    scheme = "us_ein" if country == "US" else "eu_vat" if country in EU else "other"
    return (TaxId(type=scheme, value=str(value), country=country or None, validated=None),)


@rule
def salesforce_interval(product: str) -> str:
    """How often a product code is billed: set-up once, all else monthly."""
    return "once" if product.upper().startswith("SETUP") else "month"


#: How often a line of a quote is billed, in Salesforce's words.
FREQUENCIES: Final[Mapping[str, str]] = {
    "Monthly": "month", "Quarterly": "quarter", "Annual": "year", "Annually": "year", "One-Time": "once",
}  # fmt: skip


@rule
def salesforce_billed(frequency: str | None = None) -> str:
    """How often a line of a quote is billed; one without a frequency is billed once."""
    if not frequency:
        return "once"
    if frequency not in FREQUENCIES:
        raise NeedsHuman("deal_incomplete", f"billing frequency {frequency[:32]!r}", what="a known billing frequency")
    return FREQUENCIES[frequency]
