"""What a target's rounding makes of a document, the residual as its own line, and the arithmetic of EN 16931."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.core.documentsamples import BOOKED
from tieout import tables
from tieout.core import fx, money
from tieout.core.clocks import ValueDate
from tieout.core.documents import Adjustment, ExchangeRate, Invoice, Line, TaxBreakdown, prove_totals
from tieout.core.money import Currency, Money, Rounding, RoundingPolicy
from tieout.core.rounding import Policy, en16931_totals, policy_for, prove_en16931, settle, to_step, totals_of
from tieout.core.verdicts import NeedsHuman

RATES = {"S19": Decimal(19), "S7": Decimal(7), "CA": Decimal("8.875"), "Z": Decimal(0)}
DAY = date(2026, 11, 23)


def policy(level: RoundingPolicy, half: Rounding = Rounding.HALF_UP) -> Policy:
    return Policy("test", level, half, "rounding")


def billed(nets: list[tuple[int, str]], unit: str, by: RoundingPolicy, **more: Any) -> Invoice:
    """An invoice as a source that rounds by some policy would send it."""
    shares = [(Money.of(net, unit), RATES[code] / 100, code) for net, code in nets]
    taxed = money.taxes(shares, unit, by)
    lines = tuple(
        Line(line_id=str(n), net=net, tax=tax, tax_code=code, tax_rate=RATES[code])
        for n, ((net, _, code), tax) in enumerate(zip(shares, taxed.by_line, strict=True))
    )
    net = money.total((line.net for line in lines), unit)
    return Invoice(
        **(BOOKED | {"currency": Currency(unit)}), number="R-1", customer_id="c", lines=lines, net=net, tax=taxed.tax,
        gross=net + taxed.tax, **more,
    )  # fmt: skip


lines = st.lists(st.tuples(st.integers(-(10**9), 10**10), st.sampled_from(sorted(RATES))), min_size=1, max_size=4)
units = st.sampled_from(["JPY", "USD", "KWD", "CLF"])
levels = st.sampled_from(RoundingPolicy)


@settings(max_examples=2000)
@given(lines, units, st.sampled_from(list(RoundingPolicy)[:3]), st.sampled_from(list(RoundingPolicy)[:3]),
       st.sampled_from(Rounding))  # fmt: skip
def test_whatever_the_target_rounds_the_residual_brings_it_to_the_documents_total(
    nets: list[tuple[int, str]], unit: str, theirs: RoundingPolicy, ours: RoundingPolicy, half: Rounding
) -> None:
    doc = billed(nets, unit, theirs)
    made = settle(doc, policy(ours, half))
    rest = made.residual.amount if made.residual else Money.zero(unit)
    assert made.gross + rest == doc.gross
    assert money.total((tax for _, tax in made.tax_by_category), unit) == made.tax
    assert made.residual is None or (made.residual.account == "rounding" and made.residual.amount)
    assert made.proof.equations
    assert all(left == right for _, left, right in made.proof.equations)
    if ours is theirs and half is Rounding.HALF_UP:
        assert made.residual is None


def test_a_cent_that_a_target_by_document_does_not_see_is_its_own_line_to_a_named_account() -> None:
    doc = billed([(105, "S19")] * 3, "EUR", RoundingPolicy.LINE)
    made = settle(doc, policy(RoundingPolicy.DOCUMENT))
    assert (doc.tax.minor, made.tax.minor) == (60, 60)
    doc = billed([(103, "S19")] * 3, "EUR", RoundingPolicy.LINE)
    made = settle(doc, policy(RoundingPolicy.DOCUMENT))
    assert (doc.tax.minor, made.tax.minor) == (60, 59)
    assert made.residual is not None
    assert (made.residual.account, made.residual.amount) == ("rounding", Money.of(1, "EUR"))


def test_more_than_roundings_can_make_is_no_rounding() -> None:
    doc = billed([(10000, "S19"), (10000, "S19")], "EUR", RoundingPolicy.LINE)
    off = doc.model_copy(update={"tax": doc.tax + Money.of(2, "EUR"), "gross": doc.gross + Money.of(2, "EUR")})
    assert settle(off, policy(RoundingPolicy.LINE)).residual is not None
    off = doc.model_copy(update={"tax": doc.tax + Money.of(3, "EUR"), "gross": doc.gross + Money.of(3, "EUR")})
    with pytest.raises(NeedsHuman) as told:
        settle(off, policy(RoundingPolicy.LINE))
    assert told.value.code == "rounding_beyond_tolerance"


def test_a_line_without_a_rate_keeps_the_sources_tax_and_one_without_either_is_refused() -> None:
    doc = billed([(10000, "S19")], "EUR", RoundingPolicy.LINE)
    bare = doc.lines[0].model_copy(update={"tax_rate": None})
    assert settle(doc.model_copy(update={"lines": (bare,)}), policy(RoundingPolicy.DOCUMENT)).tax == doc.tax
    broken = doc.model_copy(update={"lines": (bare.model_copy(update={"tax": None}),)})
    with pytest.raises(NeedsHuman) as told:
        settle(broken, policy(RoundingPolicy.DOCUMENT))
    assert told.value.code == "tax_rate_missing"


def test_the_policy_of_a_target_is_a_row() -> None:
    view = tables.load().view(DAY, target="legacy")
    found = policy_for(view, "legacy")
    assert (found.level, found.half, found.account) == (RoundingPolicy.DOCUMENT, Rounding.HALF_UP, "rounding")
    with pytest.raises(NeedsHuman) as told:
        policy_for(view, "xero")
    assert told.value.code == "rounding_not_set"


# -- EN 16931 ---------------------------------------------------------------------------------------------------------

parts = st.lists(
    st.tuples(st.sampled_from(["allowance", "charge"]), st.integers(0, 10**6), st.sampled_from(["S19", "S7", "Z"])),
    max_size=2,
)  # fmt: skip


def en16931(nets: list[tuple[int, str]], moves: list[tuple[Any, int, str]], prepaid: int, step: int) -> Invoice:
    rows = tuple(
        Line(line_id=str(n), net=Money.of(net, "EUR"), tax_code=code, tax_rate=RATES[code])
        for n, (net, code) in enumerate(nets)
    )
    adjustments = tuple(
        Adjustment(kind=kind, amount=Money.of(minor, "EUR"), tax_code=code, tax_rate=RATES[code])
        for kind, minor, code in moves
    )
    paid = Money.of(prepaid, "EUR") if prepaid else None
    breakdown, made = en16931_totals(rows, adjustments, "EUR", paid, step)
    return Invoice(
        **BOOKED, number="E-1", customer_id="c", lines=rows, adjustments=adjustments, tax_breakdown=breakdown,
        net=made.net, tax=made.tax, gross=made.gross, prepaid=paid, rounding=made.rounding, payable=made.payable,
    )  # fmt: skip


@settings(max_examples=2000)
@given(lines, parts, st.integers(0, 10**7), st.sampled_from([1, 5, 10, 100]))
def test_made_totals_keep_every_rule_of_en_16931_and_round_only_in_bt_114(
    nets: list[tuple[int, str]], moves: list[tuple[Any, int, str]], prepaid: int, step: int
) -> None:
    doc = en16931(nets, moves, prepaid, step)
    proof = prove_en16931(doc)
    assert [said.partition(":")[0] for said, _, _ in proof.equations[:7]] == [f"BR-CO-{n}" for n in range(10, 17)]
    assert proof.policy == "en16931"
    assert doc.payable is not None
    assert doc.payable.minor % step == 0
    assert abs(doc.rounding.minor if doc.rounding else 0) * 2 <= step
    if doc.gross.minor >= 0:
        prove_totals(doc)


EXAMPLE = en16931([(10000, "S19"), (333, "S7")], [("allowance", 500, "S19"), ("charge", 99, "S7")], 1000, 5)


@pytest.mark.parametrize(
    ("name", "rule"),
    [("lines", "BR-CO-10"), ("allowances", "BR-CO-11"), ("charges", "BR-CO-12"), ("net", "BR-CO-13"),
     ("tax", "BR-CO-14"), ("gross", "BR-CO-15"), ("prepaid", "BR-CO-16"), ("rounding", "BR-CO-16"),
     ("payable", "BR-CO-16")],
)  # fmt: skip
def test_one_cent_in_any_stated_total_breaks_its_rule(name: str, rule: str) -> None:
    stated = totals_of(EXAMPLE)
    assert {field.name for field in fields(stated)} >= {name}
    with pytest.raises(NeedsHuman) as told:
        prove_en16931(EXAMPLE, replace(stated, **{name: getattr(stated, name) + Money.of(1, "EUR")}))
    assert told.value.code == "totals_do_not_add_up"
    assert told.value.facts["what"].startswith(rule)


@pytest.mark.parametrize(
    ("change", "rule"),
    [({"taxable": Money.of(1, "EUR")}, "BT-116"), ({"rate": Decimal(18)}, "BT-116"), ({"tax_code": "X"}, "BT-116")],
)
def test_a_category_that_is_not_what_is_in_it_is_refused(change: dict[str, Any], rule: str) -> None:
    first, *rest = EXAMPLE.tax_breakdown
    with pytest.raises(NeedsHuman) as told:
        prove_en16931(EXAMPLE.model_copy(update={"tax_breakdown": (first.model_copy(update=change), *rest)}))
    assert told.value.facts["what"].startswith(rule)


def test_tax_rounded_by_line_is_refused_where_en_16931_rounds_by_category() -> None:
    doc = billed([(103, "S19")] * 3, "EUR", RoundingPolicy.LINE)
    part = TaxBreakdown(tax_code="S19", rate=Decimal(19), taxable=doc.net, tax=doc.tax)
    with pytest.raises(NeedsHuman) as told:
        settle(doc.model_copy(update={"tax_breakdown": (part,)}), policy(RoundingPolicy.EN16931))
    assert told.value.facts["what"].startswith("BR-CO-17")
    assert settle(EXAMPLE, policy(RoundingPolicy.EN16931)).residual is None


def test_a_currency_with_three_decimals_and_a_missing_breakdown_are_not_for_en_16931() -> None:
    with pytest.raises(NeedsHuman) as told:
        prove_en16931(billed([(100, "S19")], "KWD", RoundingPolicy.LINE))
    assert told.value.code == "rounding_policy_unfit"
    with pytest.raises(NeedsHuman) as told:
        prove_en16931(billed([(100, "S19")], "EUR", RoundingPolicy.LINE))
    assert told.value.facts["what"].startswith("BR-CO-18")


@pytest.mark.parametrize(("minor", "step", "made"), [(12, 5, 10), (13, 5, 15), (-13, 5, -15), (5, 10, 10), (7, 1, 7)])
def test_the_amount_due_goes_to_the_nearest_coin(minor: int, step: int, made: int) -> None:
    assert to_step(Money.of(minor, "CHF"), step).minor == made


# -- foreign exchange -------------------------------------------------------------------------------------------------


def rate(of: str, into: str, value: Decimal) -> ExchangeRate:
    return ExchangeRate(
        of=Currency(of), into=Currency(into), rate=value, rate_date=ValueDate.parse("2026-11-01"), source="ECB"
    )


@settings(max_examples=2000)
@given(
    st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=8),
    units,
    units,
    st.decimals(min_value=Decimal("0.0001"), max_value=1000, places=6),
)
def test_converted_parts_and_their_residual_are_the_whole_converted(
    minors: list[int], of: str, into: str, value: Decimal
) -> None:
    made = fx.convert_parts([Money.of(minor, of) for minor in minors], rate(of, into, value), "rounding")
    rest = made.residual.amount if made.residual else Money.zero(into)
    assert money.total((*made.parts, rest), into) == made.total
    assert 2 * abs(rest.minor) <= len(minors) + 1
    exact = sum(minors) * value * Decimal(10) ** (Currency(into).exponent - Currency(of).exponent)
    assert abs(made.total.minor - exact) * 2 <= 1


def test_a_rate_has_its_day_and_its_source_and_is_never_turned_round() -> None:
    view = tables.load().view(DAY)
    found = fx.rate_for(view, "EUR", "USD", DAY)
    assert (found.rate_date.iso, bool(found.source)) == ("2026-11-01", True)
    for of, into, day in (("USD", "GBP", DAY), ("EUR", "USD", date(2020, 1, 1))):
        with pytest.raises(NeedsHuman) as told:
            fx.rate_for(view, of, into, day)
        assert told.value.code == "rate_missing"
    with pytest.raises(NeedsHuman) as told:
        fx.convert(Money.of(1, "USD"), found)
    assert told.value.code == "currency_mismatch"
    assert fx.convert(Money.of(1000, "JPY"), rate("JPY", "KWD", Decimal("0.0021"))).minor == 2100
