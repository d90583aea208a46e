"""Rules that read Zuora's objects as object-query gives them: exact decimals, and days in the tenant's time zone.

A charge's amount is without tax, whether its price included tax or not; the tax stands beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tieout.core.documents import Address, Allocation, TaxId
from tieout.core.money import Money
from tieout.core.rules.amounts import money_decimal
from tieout.core.rules.registry import rule
from tieout.core.verdicts import Ignore, NeedsHuman

FINAL: Final = ("Posted", "Processed")
UNTAXED: Final = "none"


@rule
def zuora_final(document: Mapping[str, Any], field: str) -> Any:
    """A field of a document that is posted (a payment: processed); any other is none of our business.

    An answer with ``success: false`` is a failure, though it comes under HTTP 200.
    """
    if document.get("success") is False:
        raise NeedsHuman("wrong_shape", "success:false", source="zuora", reason="the answer says success: false")
    status = document.get("status")
    if status is not None and status not in FINAL:
        raise Ignore("not_for_us", f"status {str(status)[:32]}", reason="the document is not posted")
    return document.get(field) if status else None


@rule
def zuora_tax_code(line: Mapping[str, Any]) -> str:
    """The tax code of an item; ``none`` where no tax was charged and no code is set."""
    return str(line.get("taxCode") or line.get("taxCodeName") or UNTAXED)


@rule
def zuora_allocations(applications: Sequence[Mapping[str, Any]], currency: str) -> tuple[Allocation, ...]:
    """What a payment settles, invoice by invoice."""
    return tuple(
        Allocation(
            document_kind="invoice",
            source_id=str(part["invoiceId"]),
            amount=money_decimal(part["applyAmount"], currency),
        )
        for part in applications
        if part.get("invoiceId") and part.get("applyAmount")
    )


@rule
def zuora_unapplied(amount: Any, currency: str) -> Money | None:
    """What is left of a payment; absent where nothing is."""
    left = money_decimal(amount, currency)
    return left if left.minor else None


@rule
def zuora_terms(spelled: str) -> str:
    """Payment terms as our tables spell them: Zuora's «Net 30» is NET30."""
    return spelled.upper().replace(" ", "")


@rule
def zuora_tax_ids(number: str) -> tuple[TaxId, ...]:
    """The account's VAT number; Zuora does not say whether it was ever validated."""
    return (TaxId(type="vat", value=number),) if number else ()


@rule
def zuora_address(contact: Mapping[str, Any]) -> Address | None:
    """A contact's address; absent where street or city is missing, or the country is no two-letter code."""
    line1, city, country = contact.get("address1"), contact.get("city"), contact.get("country")
    if not line1 or not city or not isinstance(country, str) or len(country) != 2:
        return None
    return Address(
        line1=line1,
        line2=contact.get("address2") or None,
        city=city,
        region=contact.get("state") or None,
        postal_code=contact.get("postalCode") or None,
        country=country.upper(),
    )
