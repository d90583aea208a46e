"""Money: integer minor units in an ISO 4217 currency, and arithmetic that never loses a unit.

A `Money` is `(minor, currency)`: 12.34 USD is ``Money(1234, Currency("USD"))``.  The number of decimals is
the currency's own (0 for JPY, 2 for USD, 3 for KWD, 4 for CLF), never a constant.  There is no float in this
room: text goes in through a strict grammar, a `Decimal` comes out exactly, and whatever a division leaves
over is given out one unit at a time (`Money.allocate`) or shown as a residual (`taxes`), never dropped.

>>> Money.of(1000, "USD").allocate([1, 1, 1])
(Money(334, USD), Money(333, USD), Money(333, USD))
>>> Money.parse("12.5", "KWD").decimal
Decimal('12.500')
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import (
    ROUND_HALF_EVEN,
    ROUND_HALF_UP,
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    Overflow,
)
from enum import Enum
from fractions import Fraction
from math import floor
from typing import Any, Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema

from tieout.core.verdicts import NeedsHuman

# ISO 4217, list one (active codes that have a minor unit, funds codes included), and a few codes withdrawn
# so recently that documents in them are still open.  Codes without a minor unit (XAU, XDR, XXX, XTS) are
# not money here.
_TWO = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF "
    "CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD "
    "HKD HNL HRK HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK "
    "MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB "
    "SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN "
    "UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG"
)
_ZERO = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE = "BHD IQD JOD KWD LYD OMR TND"
_FOUR = "CLF UYW"

EXPONENTS: Final[Mapping[str, int]] = {
    **dict.fromkeys(_TWO.split(), 2),
    **dict.fromkeys(_ZERO.split(), 0),
    **dict.fromkeys(_THREE.split(), 3),
    **dict.fromkeys(_FOUR.split(), 4),
}
"""Decimals of every currency (ISO 4217 list one): code → 0, 2, 3 or 4."""

LIMIT: Final[int] = 10**18
"""No amount reaches this many minor units; a larger one is a mistake or an attack (it must fit 64 bits)."""

_AMOUNT = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,4})?\Z")
# Precision covers any product of an amount and a rate; traps turn a silent rounding into an error.
_EXACT = Context(prec=80, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow])
_WIDE = Context(prec=80, traps=[InvalidOperation, DivisionByZero, Overflow])


class Currency(str):
    """An ISO 4217 alphabetic code that has a minor unit; equal to its plain text.

    Raises `NeedsHuman` ``unknown_currency`` for anything else, lower case included (see `of`).
    """

    __slots__ = ()

    def __new__(cls, code: str) -> Currency:
        """The currency of an upper-case code."""
        if code not in EXPONENTS:
            raise NeedsHuman("unknown_currency", f"not an ISO 4217 code: {code!r}"[:80], currency=str(code)[:8])
        return str.__new__(cls, code)

    @classmethod
    def of(cls, code: str) -> Currency:
        """The currency of a vendor's code, whose case differs by vendor (Stripe writes ``usd``)."""
        return cls(code.upper() if type(code) is str and code.isascii() else code)

    @property
    def exponent(self) -> int:
        """How many decimals the minor unit has: 0, 2, 3 or 4."""
        return EXPONENTS[str(self)]

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Validate from an upper-case code; serialise as plain text."""
        return core_schema.no_info_after_validator_function(
            lambda code: code if type(code) is cls else cls(code),
            core_schema.str_schema(min_length=3, max_length=3),
            serialization=core_schema.plain_serializer_function_ser_schema(str),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """As JSON Schema: a named definition."""
        means = "An ISO 4217 code that has a minor unit."
        return {"$named": {"name": "Currency", "description": means, "type": "string", "pattern": "^[A-Z]{3}$"}}


class Rounding(Enum):
    """Which way an exact half goes."""

    HALF_UP = ROUND_HALF_UP
    HALF_EVEN = ROUND_HALF_EVEN


class RoundingPolicy(Enum):
    """Where tax is rounded: each line, once per document, or once per tax category.

    ``en16931`` rounds by tax category too, and holds the document to that norm's arithmetic (`core.rounding`).
    """

    LINE = "line"
    DOCUMENT = "document"
    TAX_CATEGORY = "tax_category"
    EN16931 = "en16931"


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount: `minor` units of `currency`. Adds, subtracts and compares only with its own currency."""

    minor: int
    currency: Currency

    def __post_init__(self) -> None:
        if type(self.minor) is not int:
            raise NeedsHuman("bad_amount", f"minor units are {type(self.minor).__name__}, not int")
        if type(self.currency) is not Currency:
            object.__setattr__(self, "currency", Currency(self.currency))
        if not -LIMIT < self.minor < LIMIT:
            raise NeedsHuman("amount_out_of_range", "18 digits or more", currency=str(self.currency))

    # -- in ---------------------------------------------------------------------------------------------

    @classmethod
    def of(cls, minor: int, currency: str) -> Money:
        """Minor units in a currency given by code, in either case."""
        return cls(minor, Currency.of(currency))

    @classmethod
    def zero(cls, currency: str) -> Money:
        """Nothing, in a currency."""
        return cls.of(0, currency)

    @classmethod
    def parse(cls, text: str, currency: str) -> Money:
        """The amount that `text` spells in major units, exactly.

        Grammar ``-?[0-9]{1,15}(.[0-9]{1,4})?``, ASCII only, no sign on zero, no exponent, no separators;
        decimals beyond the currency's own must be zeros. Raises `NeedsHuman` ``bad_amount``.
        """
        unit = Currency.of(currency)
        if type(text) is not str or len(text) > 21 or not _AMOUNT.match(text):
            raise NeedsHuman("bad_amount", f"not an amount: {str(text)[:32]!r}")
        whole, _, part = text.partition(".")
        part = part.ljust(unit.exponent, "0")
        if part[unit.exponent :].strip("0"):
            raise NeedsHuman("bad_amount", f"more decimals than {unit} has: {text}", currency=str(unit))
        minor = int(whole.lstrip("-") + part[: unit.exponent])
        if whole.startswith("-"):
            if minor == 0:
                raise NeedsHuman("bad_amount", "minus zero")
            minor = -minor
        return cls(minor, unit)

    @classmethod
    def from_decimal(cls, amount: Decimal, currency: str) -> Money:
        """An exact `Decimal` in major units; one that does not fit the minor unit is ``bad_amount``."""
        unit = Currency.of(currency)
        if type(amount) is not Decimal or not amount.is_finite() or abs(amount.adjusted()) > 18:
            raise NeedsHuman("bad_amount", "not a finite decimal of sane size", currency=str(unit))
        shifted = Fraction(amount) * 10**unit.exponent
        if shifted.denominator != 1:
            raise NeedsHuman("bad_amount", f"more decimals than {unit} has", currency=str(unit))
        return cls(int(shifted), unit)

    @classmethod
    def from_vendor(cls, minor: int, currency: str, exponents: Mapping[str, int] | None = None) -> Money:
        """A vendor's minor units, where the vendor counts some currencies with another exponent than ISO.

        `exponents` lists only the deviations, e.g. Stripe's ``{"ISK": 2, "UGX": 2, "MGA": 0}``. What does not
        fit our minor unit exactly is ``bad_amount``.
        """
        unit = Currency.of(currency)
        theirs = (exponents or {}).get(unit, unit.exponent)
        if type(minor) is not int:
            raise NeedsHuman("bad_amount", f"minor units are {type(minor).__name__}, not int")
        if theirs <= unit.exponent:
            return cls(minor * 10 ** (unit.exponent - theirs), unit)
        quotient, rest = divmod(minor, 10 ** (theirs - unit.exponent))
        if rest:
            raise NeedsHuman("bad_amount", f"a fraction of the minor unit of {unit}", currency=str(unit))
        return cls(quotient, unit)

    # -- out --------------------------------------------------------------------------------------------

    @property
    def decimal(self) -> Decimal:
        """The amount in major units, exactly, with all the currency's decimals (``12.50``, ``1250`` for JPY)."""
        return Decimal(self.minor).scaleb(-self.currency.exponent, _EXACT)

    @property
    def text(self) -> str:
        """The amount in major units as plain text, as payloads spell it: ``-0.05``."""
        exponent = self.currency.exponent
        digits = str(abs(self.minor)).rjust(exponent + 1, "0")
        sign = "-" if self.minor < 0 else ""
        return f"{sign}{digits[:-exponent]}.{digits[-exponent:]}" if exponent else sign + digits

    def __str__(self) -> str:
        return f"{self.text} {self.currency}"

    def __repr__(self) -> str:
        return f"Money({self.minor}, {self.currency})"

    # -- arithmetic -------------------------------------------------------------------------------------

    def _same(self, other: Money) -> None:
        if self.currency != other.currency:
            raise NeedsHuman("currency_mismatch", f"{self.currency} with {other.currency}")

    def __add__(self, other: Money) -> Money:
        if not isinstance(other, Money):
            return NotImplemented
        self._same(other)
        return Money(self.minor + other.minor, self.currency)

    def __sub__(self, other: Money) -> Money:
        if not isinstance(other, Money):
            return NotImplemented
        self._same(other)
        return Money(self.minor - other.minor, self.currency)

    def __neg__(self) -> Money:
        return Money(-self.minor, self.currency)

    def __abs__(self) -> Money:
        return Money(abs(self.minor), self.currency)

    def __bool__(self) -> bool:
        return self.minor != 0

    def __lt__(self, other: Money) -> bool:
        self._same(other)
        return self.minor < other.minor

    def __le__(self, other: Money) -> bool:
        self._same(other)
        return self.minor <= other.minor

    def __gt__(self, other: Money) -> bool:
        self._same(other)
        return self.minor > other.minor

    def __ge__(self, other: Money) -> bool:
        self._same(other)
        return self.minor >= other.minor

    def times(self, factor: Decimal | int, rounding: Rounding = Rounding.HALF_UP) -> Money:
        """The product with a quantity or rate, rounded once to the minor unit."""
        return Money(_to_int(_WIDE.multiply(Decimal(self.minor), Decimal(factor)), rounding), self.currency)

    def allocate(self, weights: Sequence[int | Decimal]) -> tuple[Money, ...]:
        """Share the amount in proportion to `weights` so that the parts sum to it exactly.

        Largest remainder first, ties to the earlier share, so the result depends on nothing but the input.
        Weights are not negative and not all zero (else `ValueError`, a mistake of the caller).
        """
        shares = [Fraction(weight) for weight in weights]
        whole = sum(shares, Fraction(0))
        if whole <= 0 or any(share < 0 for share in shares):
            raise ValueError("weights must be non-negative and sum to more than zero")
        amount, sign = abs(self.minor), -1 if self.minor < 0 else 1
        exact = [amount * share / whole for share in shares]
        parts = [part.numerator // part.denominator for part in exact]
        order = sorted(range(len(parts)), key=lambda i: (parts[i] - exact[i], i))
        for i in order[: amount - sum(parts)]:
            parts[i] += 1
        return tuple(Money(sign * part, self.currency) for part in parts)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Validate from a `Money` or ``{"minor": int, "currency": code}``; serialise as the latter."""
        fields = core_schema.typed_dict_schema(
            {
                "minor": core_schema.typed_dict_field(core_schema.int_schema(strict=True)),
                "currency": core_schema.typed_dict_field(handler.generate_schema(Currency)),
            },
            extra_behavior="forbid",
        )
        spelled = core_schema.no_info_after_validator_function(lambda d: cls(d["minor"], d["currency"]), fields)
        return core_schema.json_or_python_schema(
            json_schema=spelled,
            python_schema=core_schema.union_schema(
                [core_schema.is_instance_schema(cls), spelled], mode="left_to_right"
            ),
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda money: {"minor": money.minor, "currency": str(money.currency)},
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """As JSON Schema: a named definition."""
        unit = {"type": "string", "pattern": "^[A-Z]{3}$"}
        return {
            "$named": {
                "name": "Money",
                "description": "An exact amount: minor units of a currency (1234 in USD is 12.34 dollars).",
                "type": "object",
                "properties": {
                    "minor": {"type": "integer", "exclusiveMinimum": -LIMIT, "exclusiveMaximum": LIMIT},
                    "currency": unit,
                },
                "required": ["minor", "currency"],
                "additionalProperties": False,
            }
        }


def total(amounts: Iterable[Money], currency: str) -> Money:
    """The sum of `amounts`, all of them in `currency` (zero when there are none)."""
    unit = Currency.of(currency)
    minor = 0
    for amount in amounts:
        if amount.currency != unit:
            raise NeedsHuman("currency_mismatch", f"{unit} with {amount.currency}")
        minor += amount.minor
    return Money(minor, unit)


def round_money(amount: Decimal, currency: str, rounding: Rounding = Rounding.HALF_UP) -> Money:
    """A `Decimal` in major units, rounded to the currency's minor unit."""
    unit = Currency.of(currency)
    if not amount.is_finite() or amount.adjusted() > 18:
        raise NeedsHuman("bad_amount", "not a finite decimal of sane size", currency=str(unit))
    return Money(_to_int(amount.scaleb(unit.exponent, _WIDE), rounding), unit)


@dataclass(frozen=True, slots=True)
class Taxed:
    """What a rounding policy made of the taxes of a document.

    `by_line` and `by_category` are the shares; `tax` is the policy's total; `residual` is the total minus
    the sum of each line rounded alone: what a target that rounds by line must show as its own honest line.
    """

    by_line: tuple[Money, ...]
    by_category: Mapping[str, Money]
    tax: Money
    residual: Money


def taxes(
    lines: Sequence[tuple[Money, Decimal, str]],
    currency: str,
    policy: RoundingPolicy,
    rounding: Rounding = Rounding.HALF_UP,
) -> Taxed:
    """Tax of `lines` (net, rate as a fraction of one, category) under a rounding policy.

    The shares by line always sum to the shares by category, and those to the total, exactly.
    """
    unit = Currency.of(currency)
    exact = [_WIDE.multiply(Decimal(net.minor), rate) for net, rate, _ in lines]
    alone = [_to_int(tax, rounding) for tax in exact]
    groups: dict[str, list[int]] = {}
    for index, (net, _, category) in enumerate(lines):
        if net.currency != unit:
            raise NeedsHuman("currency_mismatch", f"{unit} with {net.currency}")
        key = "" if policy is RoundingPolicy.DOCUMENT else category
        groups.setdefault(key, []).append(index)
    parts = list(alone)
    if policy is not RoundingPolicy.LINE:
        for members in groups.values():
            rounded = _to_int(sum((exact[i] for i in members), Decimal(0)), rounding)
            _spread(parts, members, exact, rounded)
    by_category: dict[str, int] = {}
    for (_, _, category), part in zip(lines, parts, strict=True):
        by_category[category] = by_category.get(category, 0) + part
    return Taxed(
        by_line=tuple(Money(part, unit) for part in parts),
        by_category={category: Money(part, unit) for category, part in by_category.items()},
        tax=Money(sum(parts), unit),
        residual=Money(sum(parts) - sum(alone), unit),
    )


def _spread(parts: list[int], members: list[int], exact: list[Decimal], rounded: int) -> None:
    """Give the lines of a group floor shares, then the rest one unit each to the largest remainders."""
    for i in members:
        parts[i] = floor(exact[i])
    rest = rounded - sum(parts[i] for i in members)
    for i in sorted(members, key=lambda i: (parts[i] - exact[i], i))[:rest]:
        parts[i] += 1


def _to_int(amount: Decimal, rounding: Rounding) -> int:
    return int(amount.to_integral_value(rounding=rounding.value, context=_WIDE))
