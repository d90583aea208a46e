"""Rules that read amounts, quantities and rates out of what sources send."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from tieout.core import money as kernel
from tieout.core.money import Currency, Money
from tieout.core.rules.registry import rule
from tieout.core.verdicts import NeedsHuman

STRIPE_EXPONENTS: Final = {"ISK": 2, "UGX": 2, "MGA": 0}
"""Currencies that Stripe counts with another exponent than ISO 4217 (docs.stripe.com/currencies)."""


@rule
def currency(code: str) -> Currency:
    """The ISO currency of a vendor's code in either case."""
    return Currency.of(code)


@rule
def money_minor(minor: int, currency: str) -> Money:
    """An amount from minor units as ISO 4217 counts them."""
    return Money.from_vendor(minor, currency)


@rule
def stripe_money(minor: int, currency: str) -> Money:
    """An amount from Stripe's minor units, which deviate from ISO 4217 for a few currencies."""
    return Money.from_vendor(minor, currency, STRIPE_EXPONENTS)


@rule
def money_decimal(amount: Decimal | int | str, currency: str) -> Money:
    """An amount from major units, as most ERPs and CRMs send them (a JSON number or a string)."""
    if isinstance(amount, bool):
        raise NeedsHuman("bad_amount", "true or false is not an amount")
    if isinstance(amount, str):
        return Money.parse(amount, currency)
    return Money.from_decimal(Decimal(amount), currency)


@rule
def decimal(number: Decimal | int | str) -> Decimal:
    """A quantity or rate: an int, a Decimal, or text in the strict amount grammar (no exponent, no spaces)."""
    if isinstance(number, bool):
        raise NeedsHuman("bad_amount", "true or false is not a number")
    if isinstance(number, str):
        return _strict(number)
    if isinstance(number, (int, Decimal)):
        return Decimal(number)
    raise NeedsHuman("bad_amount", f"{type(number).__name__} is not a number")


@rule
def sum_money(parts: Sequence[Any], field: str, currency: str) -> Money:
    """The sum of a field of minor units over a list of raw objects (Stripe's exponents)."""
    return kernel.total((stripe_money(part[field], currency) for part in parts), currency)


@rule
def difference(left: Money, right: Money) -> Money:
    """One amount less another of the same currency."""
    return left - right


@rule
def negative(amount: Money) -> Decimal:
    """An amount in major units with its sign turned, for journals whose credits are negative."""
    return -amount.decimal


@rule
def whole_quantity(quantity: Decimal) -> int:
    """A quantity as billing systems' subscriptions take it: whole."""
    if quantity != quantity.to_integral_value() or quantity < 0:
        raise NeedsHuman("deal_incomplete", f"quantity {quantity}", what="a whole quantity")
    return int(quantity)


def _strict(text: str) -> Decimal:
    whole, dot, part = text.partition(".")
    digits = whole[1:] if whole.startswith("-") else whole
    fine = digits.isascii() and digits.isdigit() and len(digits) <= 15
    fine = fine and (not dot or (part.isascii() and part.isdigit() and len(part) <= 12))
    number = Decimal(text) if fine else Decimal(0)
    if not fine or (not number and text.startswith("-")):
        raise NeedsHuman("bad_amount", f"not a number: {text[:32]!r}")
    return number
