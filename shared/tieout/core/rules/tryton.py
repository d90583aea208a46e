"""Rules that shape what Tryton takes of a customer: a party always has an address, because an invoice wants one."""

from __future__ import annotations

from tieout.core.documents import Customer
from tieout.core.rules.registry import rule


@rule
def tryton_addresses(customer: Customer) -> list[dict[str, str]]:
    """One address: the billing address, or an empty one where the source has none. A region goes with its city."""
    address = customer.billing_address
    if address is None:
        return [{}]
    lines = {
        "street": "\n".join(line for line in (address.line1, address.line2) if line),
        "city": ", ".join(part for part in (address.city, address.region) if part),
        "postal_code": address.postal_code,
        "country": address.country,
    }
    return [{name: value for name, value in lines.items() if value}]


@rule
def tryton_contacts(customer: Customer) -> list[dict[str, str]] | None:
    """The e-mail address as a contact mechanism; absent where there is none."""
    return [{"type": "email", "value": customer.email}] if customer.email else None
