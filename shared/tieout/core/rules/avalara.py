"""Rules that write AvaTax's words: an address in its fields, the place where a buyer is supplied."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from tieout.core.documents import Address, Customer
from tieout.core.rules.registry import rule

FIELDS: Final = {
    "line1": "line1", "line2": "line2", "city": "city", "region": "region", "postalCode": "postal_code",
    "country": "country",
}  # fmt: skip


@rule
def avalara_address(address: Address | Mapping[str, Any] | None = None) -> dict[str, str] | None:
    """An address as AvaTax spells it, of a document or as the ledger kept it; absent where there is none."""
    held = address.model_dump(exclude_none=True) if isinstance(address, Address) else dict(address or {})
    return {name: held[ours] for name, ours in FIELDS.items() if held.get(ours)} or None


def first_usable(read: Callable[[Mapping[str, Any]], Address | None], *addresses: Any) -> Address | None:
    """The first address that is one. What is none is absent and spoils no invoice: the books do not hang on it."""
    for address in addresses:
        with suppress(ValueError):
            if isinstance(address, Mapping) and (found := read(address)) is not None:
                return found
    return None


@rule
def avalara_place(customer: Customer) -> dict[str, str] | None:
    """Where a buyer is supplied: the ship-to address, else the bill-to address."""
    return avalara_address(customer.shipping_address or customer.billing_address)
