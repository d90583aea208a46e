"""Rules that read the records of the legacy ERP's own files; one that was refused stops here, with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tieout.core.documents import Address, TaxId
from tieout.core.rules.amounts import money_minor
from tieout.core.rules.registry import rule
from tieout.core.verdicts import NeedsHuman


@rule
def legacy_number(record: Mapping[str, Any]) -> str:
    """The number of what a record is about. ``NeedsHuman('record_refused')`` for one that could not be read."""
    if record.get("refused"):
        named = {name: str(record.get(name, "")) for name in ("stream", "file", "line")}
        raise NeedsHuman("record_refused", str(record["refused"]), reason=str(record["refused"]), **named)
    return str(record["number"])


@rule
def legacy_tax_ids(number: str) -> tuple[TaxId, ...]:
    """The customer's registration number, of whichever kind its country has."""
    return (TaxId(type="tax_registration", value=number),)


@rule
def legacy_address(record: Mapping[str, Any]) -> Address | None:
    """A customer's address; absent where street, city or country are missing."""
    line1, city, country = record.get("street"), record.get("city"), record.get("country")
    if not line1 or not city or not country:
        return None
    return Address(line1=line1, city=city, postal_code=record.get("postal_code"), country=country)


@rule
def legacy_payment_sentence(record: Mapping[str, Any]) -> str:
    """What sales reads of a payment that came to the old ERP's bank."""
    amount = money_minor(record["amount"], record["currency"])
    about = f"for {record['document']}" if record.get("document") else "for no document that it names"
    return (
        f"Payment {legacy_number(record)} of {amount} by {record['customer']} came to the bank on {record['date']}, "
        f"{about}."
    )


@rule
def legacy_customer_sentence(record: Mapping[str, Any]) -> str:
    """What sales reads of a customer that was changed in the old ERP."""
    shown = [record.get(name) for name in ("email", "tax_id", "street", "postal_code", "city", "country")]
    said = ", ".join(str(value) for value in shown if value)
    return f"Customer {legacy_number(record)} ({record['name']}) was changed in finance{': ' if said else ''}{said}."
