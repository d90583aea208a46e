"""Rounding policies of targets: what a target will make of a document, and the residual as its own honest line.

A target computes tax by its own rule (each line, once a document, once a tax category) and may come to another
total than the source's document, which is the one the customer has. `settle` says beforehand what it will come to,
and what is left over becomes one line to a named account: never a changed line, never a cent hidden in a fee. The
tolerance is derived, not guessed: each rounding is at most half a unit off, on their side and on ours. What is more
than that is not rounding and goes to a person.

EN 16931 is one of the policies: `prove_en16931` holds a document to BR-CO-10 to BR-CO-17, `en16931_totals` makes
totals that keep them, and rounding the amount due (BT-114) touches no line.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, TypeAlias

from tieout.core import money
from tieout.core.documents import Adjustment, CreditNote, Equation, Invoice, Line, Proof, TaxBreakdown, prove
from tieout.core.lookup import View
from tieout.core.money import Currency, Money, Rounding, RoundingPolicy
from tieout.core.verdicts import NeedsHuman

TABLE: Final = "rounding_policies"

Billed: TypeAlias = Invoice | CreditNote
Share: TypeAlias = tuple[Money, Decimal, str]
"""Net, rate as a fraction of one, tax category."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How a target rounds, and the account (by our code) that takes what rounding leaves over."""

    name: str
    level: RoundingPolicy
    half: Rounding
    account: str


@dataclass(frozen=True, slots=True)
class Residual:
    """What rounding left over: its own line, to a named account."""

    account: str
    amount: Money
    why: str


@dataclass(frozen=True, slots=True)
class Settled:
    """What a target makes of a document under its policy; `proof` is stored with the posting."""

    policy: Policy
    tax_by_category: tuple[tuple[str, Money], ...]
    net: Money
    tax: Money
    gross: Money
    residual: Residual | None
    proof: Proof


def policy_for(view: View, target: str) -> Policy:
    """The policy of a target; ``rounding_not_set`` when the table has no row for it."""
    hit = view.find(TABLE, target)
    if hit is None:
        raise NeedsHuman("rounding_not_set", target, target=target)
    return Policy(
        name=f"{TABLE} {hit.version} line {hit.row.line}",
        level=RoundingPolicy(str(hit.cell())),
        half=Rounding[str(hit.cell("mode")).upper()],
        account=str(hit.cell("account")),
    )


def settle(doc: Billed, policy: Policy) -> Settled:
    """What a target with `policy` makes of `doc`, and the residual that brings it to the document's own total.

    ``rounding_beyond_tolerance`` when the two differ by more than roundings can make;
    ``tax_rate_missing`` when a line has neither rate nor tax.
    """
    if policy.level is RoundingPolicy.EN16931:
        prove_en16931(doc)
    unit = doc.currency
    rated, fixed = _shares(doc)
    taxed = money.taxes(rated, unit, policy.level, policy.half)
    by_category = dict(taxed.by_category)
    for category, amount in fixed:
        by_category[category] = by_category.get(category, Money.zero(unit)) + amount
    tax = taxed.tax + money.total((amount for _, amount in fixed), unit)
    gross = doc.net + tax
    rest = doc.gross - gross
    groups = {RoundingPolicy.LINE: len(rated), RoundingPolicy.DOCUMENT: 1}.get(policy.level, len(taxed.by_category))
    tolerance = (len(rated) + groups) // 2
    if abs(rest.minor) > tolerance:
        raise NeedsHuman(
            "rounding_beyond_tolerance", policy.name, difference=rest, tolerance=Money(tolerance, unit), kind=doc.kind
        )
    residual = Residual(policy.account, rest, f"rounding of tax by {policy.level.value}") if rest else None
    parts = [line.net for line in doc.lines] + [_signed(one) for one in doc.adjustments]
    equations: list[Equation] = [
        ("sum of lines = net", money.total(parts, unit), doc.net),
        ("sum of line taxes = tax", money.total((*taxed.by_line, *(one for _, one in fixed)), unit), tax),
        ("sum of tax categories = tax", money.total(by_category.values(), unit), tax),
        ("net, tax and residual = gross", gross + rest, doc.gross),
    ]
    return Settled(
        policy=policy,
        tax_by_category=tuple(sorted(by_category.items())),
        net=doc.net,
        tax=tax,
        gross=gross,
        residual=residual,
        proof=prove(equations, unit, doc.kind, policy.name),
    )


def _signed(one: Adjustment) -> Money:
    return one.amount if one.kind == "charge" else -one.amount


def _shares(doc: Billed) -> tuple[list[Share], list[tuple[str, Money]]]:
    """The lines whose tax is computed from a rate, and the taxes that the source gives without one."""
    rates: dict[str, Decimal | None] = {}
    for part in doc.tax_breakdown:
        rates[part.tax_code] = part.rate if part.tax_code not in rates or rates[part.tax_code] == part.rate else None
    rated: list[Share] = []
    fixed: list[tuple[str, Money]] = []
    for line in doc.lines:
        code = line.tax_code or ""
        rate = line.tax_rate if line.tax_rate is not None else rates.get(code)
        if rate is not None:
            rated.append((line.net, rate / 100, code))
        elif line.tax is not None or not doc.tax:
            fixed.append((code, line.tax or Money.zero(doc.currency)))
        else:
            raise NeedsHuman("tax_rate_missing", line.line_id, kind=doc.kind, line=line.line_id)
    for one in doc.adjustments:
        rate = one.tax_rate if one.tax_rate is not None else rates.get(one.tax_code or "")
        if rate is None and doc.tax:
            raise NeedsHuman("tax_rate_missing", "adjustment", kind=doc.kind, line="allowance or charge")
        rated.append((_signed(one), (rate or Decimal(0)) / 100, one.tax_code or ""))
    return rated, fixed


# -- EN 16931 ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Totals:
    """The totals of an invoice, by their business terms (EN 16931 BG-22)."""

    lines: Money  # BT-106
    allowances: Money  # BT-107
    charges: Money  # BT-108
    net: Money  # BT-109
    tax: Money  # BT-110
    gross: Money  # BT-112
    prepaid: Money  # BT-113
    rounding: Money  # BT-114
    payable: Money  # BT-115


def totals_of(doc: Billed) -> Totals:
    """The totals that a document states; what it does not state is formed from its parts."""
    zero = Money.zero(doc.currency)
    prepaid = rounding = zero
    payable = doc.gross
    if isinstance(doc, Invoice):
        prepaid, rounding = doc.prepaid or zero, doc.rounding or zero
        payable = doc.payable if doc.payable is not None else doc.gross - prepaid + rounding
    return Totals(
        lines=money.total((line.net for line in doc.lines), doc.currency),
        allowances=_of_kind(doc.adjustments, "allowance", doc.currency),
        charges=_of_kind(doc.adjustments, "charge", doc.currency),
        net=doc.net,
        tax=doc.tax,
        gross=doc.gross,
        prepaid=prepaid,
        rounding=rounding,
        payable=payable,
    )


def _of_kind(adjustments: Iterable[Adjustment], kind: str, currency: str) -> Money:
    return money.total((one.amount for one in adjustments if one.kind == kind), currency)


def prove_en16931(doc: Billed, stated: Totals | None = None) -> Proof:
    """The proof that a document keeps BR-CO-10 to BR-CO-17, or ``totals_do_not_add_up`` naming the rule.

    `stated` are the totals that another side shows (a payload, a target's answer) where they are not the document's.
    A currency finer than two decimals is ``rounding_policy_unfit``: EN 16931 has no place for it (BR-DEC).
    """
    if doc.currency.exponent > 2:
        raise NeedsHuman("rounding_policy_unfit", "BR-DEC", currency=doc.currency, policy="EN 16931")
    if not doc.tax_breakdown:
        raise NeedsHuman("totals_do_not_add_up", "BR-CO-18", what="BR-CO-18: there is a tax breakdown", kind=doc.kind,
                         difference="a breakdown")  # fmt: skip
    unit, said = doc.currency, stated or totals_of(doc)
    taxes = money.total((part.tax for part in doc.tax_breakdown), unit)
    return prove(
        [
            ("BR-CO-10: BT-106 = sum of line amounts", money.total((line.net for line in doc.lines), unit), said.lines),
            ("BR-CO-11: BT-107 = sum of allowances", _of_kind(doc.adjustments, "allowance", unit), said.allowances),
            ("BR-CO-12: BT-108 = sum of charges", _of_kind(doc.adjustments, "charge", unit), said.charges),
            ("BR-CO-13: BT-109 = BT-106 - BT-107 + BT-108", said.lines - said.allowances + said.charges, said.net),
            ("BR-CO-14: BT-110 = sum of category taxes", taxes, said.tax),
            ("BR-CO-15: BT-112 = BT-109 + BT-110", said.net + said.tax, said.gross),
            ("BR-CO-16: BT-115 = BT-112 - BT-113 + BT-114", said.gross - said.prepaid + said.rounding, said.payable),
            *_categories(doc),
        ],
        unit,
        doc.kind,
        RoundingPolicy.EN16931.value,
    )  # fmt: skip


def _categories(doc: Billed) -> list[Equation]:
    """Each category: its base is the sum of what is in it, its tax is base and rate rounded once (BR-CO-17)."""
    found: list[Equation] = []
    for part in doc.tax_breakdown:
        key = (part.tax_code, part.rate)
        base = money.total(
            [line.net for line in doc.lines if _key(line) == key]
            + [_signed(one) for one in doc.adjustments if _key(one) == key],
            doc.currency,
        )
        found.append((f"BT-116 of {part.tax_code} = sum of what is in it", base, part.taxable))
        tax = part.taxable.times((part.rate or Decimal(0)) / 100)
        found.append((f"BR-CO-17: BT-117 of {part.tax_code} = BT-116 × BT-119", tax, part.tax))
    return found


def _key(one: Line | Adjustment) -> tuple[str | None, Decimal | None]:
    return one.tax_code, one.tax_rate


def en16931_totals(
    lines: Sequence[Line], adjustments: Sequence[Adjustment], currency: str, prepaid: Money | None = None, step: int = 1
) -> tuple[tuple[TaxBreakdown, ...], Totals]:
    """Tax breakdown and totals of lines that are already rounded, so that every rule of EN 16931 holds.

    `step` is the coin that the amount due is rounded to, in minor units (5 for Swiss cash): the difference is BT-114.
    """
    unit = Currency.of(currency)
    base: dict[tuple[str, Decimal], int] = {}
    for one, amount in [(line, line.net) for line in lines] + [(part, _signed(part)) for part in adjustments]:
        code, rate = _key(one)
        if rate is None:
            raise NeedsHuman("tax_rate_missing", "EN 16931", kind="invoice", line=getattr(one, "line_id", one))
        base[code or "", rate] = base.get((code or "", rate), 0) + amount.minor
    breakdown = tuple(
        TaxBreakdown(tax_code=code or "O", rate=rate, taxable=taxable, tax=taxable.times(rate / 100))
        for (code, rate), taxable in ((key, Money(minor, unit)) for key, minor in sorted(base.items()))
    )
    summed = money.total((line.net for line in lines), unit)
    off, on = _of_kind(adjustments, "allowance", unit), _of_kind(adjustments, "charge", unit)
    net, tax = summed - off + on, money.total((part.tax for part in breakdown), unit)
    before = net + tax - (prepaid or Money.zero(unit))
    payable = to_step(before, step)
    return breakdown, Totals(
        lines=summed, allowances=off, charges=on, net=net, tax=tax, gross=net + tax,
        prepaid=prepaid or Money.zero(unit), rounding=payable - before, payable=payable,
    )  # fmt: skip


def to_step(amount: Money, step: int) -> Money:
    """The nearest multiple of a coin of `step` minor units, a half away from zero."""
    if step < 1:
        raise ValueError("a coin has at least one minor unit")
    whole = (2 * abs(amount.minor) + step) // (2 * step) * step
    return Money(whole if amount.minor >= 0 else -whole, amount.currency)
