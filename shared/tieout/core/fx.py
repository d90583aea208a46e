"""Foreign exchange: an amount in another currency, by a rate that has a day and a source, and nothing lost between.

A document is converted as a whole and its parts one by one; what the parts' roundings leave over is a residual to a
named account, so that debits still equal credits in the ledger's currency.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Context, Decimal
from typing import Final

from tieout.core import money
from tieout.core.clocks import ValueDate
from tieout.core.documents import ExchangeRate, Proof, prove
from tieout.core.lookup import View
from tieout.core.money import Currency, Money, Rounding
from tieout.core.rounding import Residual
from tieout.core.verdicts import NeedsHuman

TABLE: Final = "rates"
_WIDE: Final = Context(prec=80)


@dataclass(frozen=True, slots=True)
class Converted:
    """A document's parts in another currency: `parts` and `residual` sum to `total`, which is the whole converted."""

    parts: tuple[Money, ...]
    total: Money
    residual: Residual | None
    rate: ExchangeRate
    proof: Proof


def rate_for(view: View, of: str, into: str, on: date) -> ExchangeRate:
    """The rate that the rates table holds for a day; ``rate_missing`` when there is none. Nothing is inverted."""
    hit = view.find(TABLE, f"{of}/{into}", on)
    if hit is None or hit.row.first is None:
        raise NeedsHuman("rate_missing", f"{of}/{into} on {on}", of=of, into=into, on=on)
    return ExchangeRate(
        of=Currency(of),
        into=Currency(into),
        rate=Decimal(str(hit.cell())),
        rate_date=ValueDate(hit.row.first),
        source=str(hit.cell("source")),
    )


def convert(amount: Money, rate: ExchangeRate, half: Rounding = Rounding.HALF_UP) -> Money:
    """The amount in the rate's other currency, rounded once; ``currency_mismatch`` when the rate is not of it."""
    if amount.currency != rate.of:
        raise NeedsHuman("currency_mismatch", f"{amount.currency} with a rate of {rate.of}")
    factor = rate.rate.scaleb(rate.into.exponent - rate.of.exponent, _WIDE)
    return Money(Money(amount.minor, rate.into).times(factor, half).minor, rate.into)


def convert_parts(parts: Sequence[Money], rate: ExchangeRate, account: str) -> Converted:
    """All parts of a document, and what their roundings leave over against the whole, to a named account."""
    made = tuple(convert(part, rate) for part in parts)
    whole = convert(money.total(parts, rate.of), rate)
    rest = whole - money.total(made, rate.into)
    residual = Residual(account, rest, "rounding of exchange") if rest else None
    said = f"parts and residual = whole at {rate.rate} ({rate.source}, {rate.rate_date})"
    proof = prove([(said, money.total((*made, rest), rate.into), whole)], rate.into, "exchange")
    return Converted(made, whole, residual, rate, proof)
