"""Rules that read HubSpot's objects: property bags in which everything is text, amounts and days included."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import time
from typing import Any, Final

from tieout.core.clocks import DocumentDate, EventInstant, document_date_at
from tieout.core.documents import Address
from tieout.core.rules.registry import rule
from tieout.core.verdicts import Ignore, NeedsHuman

INTERVALS: Final[Mapping[str, str]] = {"monthly": "month", "quarterly": "quarter", "annually": "year"}


@rule
def hubspot_won(deal: Mapping[str, Any], field: str) -> Any:
    """A property of a deal that is won; any other deal is none of our business."""
    properties = deal.get("properties")
    held = properties if isinstance(properties, Mapping) else {}
    if held.get("hs_is_closed_won") != "true" and held.get("dealstage") != "closedwon":
        raise Ignore("not_for_us", "not won", reason="the deal is not won")
    return held.get(field) or None


@rule
def hubspot_day(spelled: str, zone: str) -> DocumentDate:
    """A day: one picked in HubSpot is midnight UTC and is that day; any other moment is a day in the entity's zone."""
    digits = spelled.isascii() and spelled.isdigit() and len(spelled) <= 15
    moment = EventInstant.from_epoch_ms(int(spelled)) if digits else EventInstant.parse(spelled)
    at = moment.value
    return DocumentDate(at.date()) if at.time() == time(0) else document_date_at(moment, zone)


@rule
def hubspot_interval(frequency: str | None = None) -> str:
    """How often a line item is billed; one without a frequency is billed once."""
    if not frequency:
        return "once"
    if frequency not in INTERVALS:
        raise NeedsHuman("deal_incomplete", f"billing frequency {frequency[:32]!r}", what="a known billing frequency")
    return INTERVALS[frequency]


@rule
def hubspot_address(properties: Mapping[str, Any]) -> Address | None:
    """A company's address; absent where street, city or country code is missing (none is made up)."""
    line1, city, country = (properties.get(name) for name in ("address", "city", "hs_country_code"))
    if not line1 or not city or not country:
        return None
    return Address(
        line1=line1,
        line2=properties.get("address2") or None,
        city=city,
        region=properties.get("state") or None,
        postal_code=properties.get("zip") or None,
        country=country,
    )


@rule
def hubspot_deal_of(source: str, kind: str, about: str) -> str | None:
    """The deal that a status is about, where it came from HubSpot itself."""
    return about if (source, kind) == ("hubspot", "opportunity") else None
