"""Rules for Business Central: a card's address and registration number as documents want them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tieout.core.documents import Address, TaxId
from tieout.core.rules.registry import rule


@rule
def businesscentral_address(card: Mapping[str, Any]) -> Address | None:
    """A card's address; absent where street or city is missing, or the country is no two-letter code."""
    line1, city, country = card.get("addressLine1"), card.get("city"), card.get("country")
    if not line1 or not city or not isinstance(country, str) or len(country) != 2:
        return None
    return Address(
        line1=line1,
        line2=card.get("addressLine2") or None,
        city=city,
        region=card.get("state") or None,
        postal_code=card.get("postalCode") or None,
        country=country,
    )


@rule
def businesscentral_tax_ids(number: str) -> tuple[TaxId, ...]:
    """The card's registration number, of whichever kind its country has; empty text is none."""
    return (TaxId(type="tax_registration", value=number),) if number else ()


@rule
def present(text: str) -> str | None:
    """Text, or nothing where it is empty: Business Central shows an empty text where there is none."""
    return text or None
