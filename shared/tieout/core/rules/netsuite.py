"""Rules that shape what NetSuite takes and no field-by-field mapping can: lists of one, address books."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tieout.core.documents import Customer, JournalLine, Payment
from tieout.core.money import Money
from tieout.core.rules.registry import rule


@rule
def netsuite_apply(document: str, amount: Money) -> list[dict[str, Any]]:
    """The ``apply`` sublist that settles one document, named by its internal id, with an amount."""
    return [{"doc": {"id": document}, "apply": True, "amount": amount.decimal}]


@rule
def netsuite_apply_open(document: str, amount: Money, applied: bool) -> list[dict[str, Any]]:
    """The ``apply`` sublist that takes one document back; empty, so that the credit stays on account, where something
    is applied to it already."""
    return [] if applied else netsuite_apply(document, amount)


@rule
def netsuite_apply_payment(document: str, payment: Payment) -> list[dict[str, Any]]:
    """The ``apply`` sublist of a payment on one document; what it does not settle stays unapplied."""
    settled = payment.allocations[0].amount if payment.allocations else payment.amount
    return netsuite_apply(document, settled)


@rule
def netsuite_addresses(customer: Customer) -> list[dict[str, Any]] | None:
    """The address book: the billing address; absent where there is none."""
    address = customer.billing_address
    if address is None:
        return None
    lines = {
        "addressee": customer.legal_name,
        "addr1": address.line1,
        "addr2": address.line2,
        "city": address.city,
        "state": address.region,
        "zip": address.postal_code,
    }
    known: dict[str, Any] = {name: value for name, value in lines.items() if value}
    return [
        {
            "defaultBilling": True,
            "label": "Billing",
            "addressBookAddress": {**known, "country": {"id": address.country}},
        }
    ]


@rule
def on_side(line: JournalLine, side: str) -> Decimal | None:
    """The amount of a journal line on one side; absent on the other."""
    return line.amount.decimal if line.side == side else None


@rule
def tax_number(customer: Customer) -> str | None:
    """The customer's first tax registration; absent where there is none."""
    return customer.tax_ids[0].value if customer.tax_ids else None
