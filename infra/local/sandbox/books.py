"""The book of a sandbox, in the words of a tie-out and in exact integers.

It is written from what the sandbox itself holds and shares nothing with the product, so that a comparison of the
two can fail.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

# ISO 4217 exponents that are not 2, of the currencies a sandbox may meet
EXPONENTS = {"JPY": 0, "KRW": 0, "CLP": 0, "VND": 0, "BHD": 3, "KWD": 3, "JOD": 3, "TND": 3, "OMR": 3}


@dataclass(frozen=True)
class Entry:
    """One document of a book.

    ``total_minor`` is the gross total in minor units of ``currency`` (0 and "" for customers). ``kind`` is one of
    customer, invoice, credit_note, payment, subscription, status, opportunity. ``external_ref`` is the reference the
    writer gave, ``parent_ref`` that of the document it belongs to.
    """

    system: str
    account: str
    external_ref: str
    kind: str
    document_id: str
    currency: str
    total_minor: int
    entity: str
    status: str
    parent_ref: str = ""


def exponent(currency: str) -> int:
    """Decimal places of a currency (ISO 4217)."""
    return EXPONENTS.get(currency.upper(), 2)


def to_minor(amount: Decimal, currency: str) -> int:
    """An exact decimal amount in minor units; raises ValueError where the currency has no such fraction."""
    scaled = amount.scaleb(exponent(currency))
    if scaled != scaled.to_integral_value():
        raise ValueError(f"{amount} {currency} has more decimals than the currency")
    return int(scaled)


def to_major(minor: int, currency: str) -> Decimal:
    """Minor units as a decimal amount with the currency's own number of places."""
    return Decimal(minor).scaleb(-exponent(currency))


def rounded(amount: Decimal, currency: str) -> Decimal:
    """Round half away from zero to the currency's places, as ERPs and Stripe do by default."""
    return amount.quantize(Decimal(1).scaleb(-exponent(currency)), rounding=ROUND_HALF_UP)
