"""Rules that shape what SAP takes: names in parts of forty letters, sides, addresses, roles of a business partner."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tieout.core.documents import Customer
from tieout.core.documents.books import JournalLine
from tieout.core.documents.sales import QuoteLine
from tieout.core.rules.registry import rule
from tieout.core.verdicts import NeedsHuman

#: Letters of one of the parts of an organisation's name, and how many parts are filled.
NAME_LENGTH, NAME_PARTS = 40, 2


def at_most(text: str, length: int, field: str) -> str:
    """Text that fits its field as it is; what does not fit is for a person, never cut in silence."""
    if len(text) > length:
        raise NeedsHuman("text_too_long", field=field, length=len(text), most=length)
    return text


@rule
def sap_name(name: str, part: int) -> str | None:
    """One part of a long name, broken between words; ``None`` for a part that is not needed."""
    parts: list[str] = [""]
    for word in name.split():
        longer = f"{parts[-1]} {word}".strip()
        if len(longer) <= NAME_LENGTH:
            parts[-1] = longer
        else:
            parts.append(at_most(word, NAME_LENGTH, "OrganizationBPName1"))
    if len(parts) > NAME_PARTS:
        raise NeedsHuman("text_too_long", field="OrganizationBPName1", length=len(name), most=NAME_LENGTH * NAME_PARTS)
    return parts[part - 1] if part <= len(parts) else None


@rule
def sap_side(side: str) -> str:
    """The debit/credit indicator: S is debit (*Soll*), H is credit (*Haben*)."""
    return {"debit": "S", "credit": "H"}[side]


@rule
def sap_signed(line: JournalLine) -> Decimal:
    """A line's amount as SAP wants it: a credit is negative."""
    return line.amount.decimal if line.side == "debit" else -line.amount.decimal


@rule
def sap_address(customer: Customer) -> dict[str, Any] | None:
    """The billing address with the mail in it; ``None`` where the customer has no address."""
    address = customer.billing_address
    if address is None:
        return None
    lines = {
        "Country": address.country,
        "CityName": at_most(address.city or "", 40, "CityName"),
        "PostalCode": at_most(address.postal_code or "", 10, "PostalCode"),
        "StreetName": at_most(address.line1 or "", 60, "StreetName"),
        "StreetSuffixName": at_most(address.line2 or "", 40, "StreetSuffixName"),
        "Region": at_most(address.region or "", 3, "Region"),
        "Language": "EN",
    }
    known: dict[str, Any] = {name: value for name, value in lines.items() if value}
    mail = {"to_EmailAddress": {"results": [{"EmailAddress": customer.email}]}} if customer.email else {}
    return known | mail


@rule
def sap_vat_number(customer: Customer) -> dict[str, Any] | None:
    """The first EU VAT registration under its tax number category (``DE0``); ``None`` where there is none."""
    found = next((one for one in customer.tax_ids if one.type == "eu_vat" and one.country), None)
    return None if found is None else {"BPTaxType": f"{found.country}0", "BPTaxNumber": at_most(found.value, 20, "VAT")}


@rule
def sap_price(line: QuoteLine) -> list[dict[str, Any]]:
    """A manual price that comes to the agreed net exactly: the net for the whole quantity, not a rounded unit price."""
    if line.quantity != line.quantity.to_integral_value():
        raise NeedsHuman("bad_amount", "a price for a part of a unit has no place in the pricing of an order")
    return [
        {
            "ConditionType": "PMP0",
            "ConditionRateValue": line.net.text,
            "ConditionCurrency": str(line.net.currency),
            "ConditionQuantity": format(line.quantity, "f"),
            "ConditionQuantityUnit": "PC",
        }
    ]
