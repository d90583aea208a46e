"""Money: exact in, exact out, and nothing lost between."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieout.core.money import (
    EXPONENTS,
    LIMIT,
    Currency,
    Money,
    Rounding,
    RoundingPolicy,
    round_money,
    taxes,
    total,
)
from tieout.core.verdicts import NeedsHuman

BY_EXPONENT = {0: "JPY", 2: "USD", 3: "KWD", 4: "CLF"}

units = st.sampled_from(sorted(BY_EXPONENT.values()))
minors = st.integers(min_value=-(10**17), max_value=10**17)
weights = st.lists(st.integers(min_value=0, max_value=10**6), min_size=1, max_size=40).filter(any)
rates = st.decimals(min_value=0, max_value=1, places=5)


def refused(code: str) -> pytest.RaisesExc[NeedsHuman]:
    return pytest.RaisesExc(NeedsHuman, check=lambda verdict: verdict.code == code)


def test_every_exponent_of_iso_4217_is_known() -> None:
    assert set(EXPONENTS.values()) == {0, 2, 3, 4}
    assert all(len(code) == 3 and code.isupper() for code in EXPONENTS)
    assert (EXPONENTS["JPY"], EXPONENTS["EUR"], EXPONENTS["TND"], EXPONENTS["UYW"]) == (0, 2, 3, 4)
    assert "XAU" not in EXPONENTS


@given(minors, units, weights)
def test_an_allocation_sums_to_the_amount_exactly(minor: int, unit: str, shares: list[int]) -> None:
    amount = Money.of(minor, unit)
    parts = amount.allocate(shares)
    assert total(parts, unit) == amount
    assert all(not part for part, share in zip(parts, shares, strict=True) if share == 0)


@given(minors, units, weights)
def test_no_share_is_a_whole_unit_away_from_its_proportion(minor: int, unit: str, shares: list[int]) -> None:
    for part, share in zip(Money.of(minor, unit).allocate(shares), shares, strict=True):
        assert abs(part.minor * sum(shares) - minor * share) < sum(shares)


def test_an_allocation_gives_the_odd_unit_to_the_largest_remainder() -> None:
    assert [part.minor for part in Money.of(100, "USD").allocate([1, 2])] == [33, 67]
    assert [part.minor for part in Money.of(-100, "USD").allocate([1, 1, 1])] == [-34, -33, -33]


@pytest.mark.parametrize("shares", [[], [0, 0], [1, -1]])
def test_weights_that_share_nothing_are_refused(shares: list[int]) -> None:
    with pytest.raises(ValueError, match="weights"):
        Money.of(1, "USD").allocate(shares)


@given(minors, units)
def test_text_and_decimal_spell_the_amount_exactly_and_read_back(minor: int, unit: str) -> None:
    amount = Money.of(minor, unit)
    assert Money.from_decimal(amount.decimal, unit) == amount
    assert Decimal(amount.text) == amount.decimal
    exponent = amount.decimal.as_tuple().exponent
    assert exponent == -amount.currency.exponent
    if abs(minor) < 10**15:
        assert Money.parse(amount.text, unit) == amount


@pytest.mark.parametrize(
    "text",
    ["", " 12", "12 ", "1_000", "1,000.00", "1e3", "1E+3", "NaN", "sNaN", "Infinity", "+1", "-0", "-0.00", ".5", "5.",
     "١٢", "１２", "0x10", "1" * 16, "1.00001", "12.345", "--1", "1\n", "true"],
)  # fmt: skip
def test_an_amount_outside_the_grammar_is_refused(text: str) -> None:
    with refused("bad_amount"):
        Money.parse(text, "USD")


def code_of(text: str) -> str:
    try:
        Money.parse(text, "USD")
    except NeedsHuman as verdict:
        return verdict.code
    return "fine"


@given(st.text(max_size=40))
def test_no_text_makes_the_amount_reader_crash(text: str) -> None:
    assert code_of(text) in ("fine", "bad_amount", "amount_out_of_range")


def test_more_decimals_than_the_currency_has_must_be_zeros() -> None:
    assert Money.parse("12.5000", "USD").minor == 1250
    assert Money.parse("1250.0", "JPY").minor == 1250
    with refused("bad_amount"):
        Money.parse("0.5", "JPY")


@pytest.mark.parametrize("code", ["usd", "US", "XAU", "", "EURO", "ZZZ"])
def test_what_is_no_currency_is_refused(code: str) -> None:
    with refused("unknown_currency"):
        Currency(code)


def test_a_vendors_lower_case_code_is_read_and_equals_its_text() -> None:
    assert Currency.of("eur") == "EUR"
    with refused("unknown_currency"):
        Currency.of("eur\u0131")


def test_a_vendor_may_count_a_currency_otherwise_than_iso() -> None:
    stripe = {"ISK": 2, "MGA": 0}
    assert Money.from_vendor(500, "isk", stripe) == Money.of(5, "ISK")
    assert Money.from_vendor(5, "mga", stripe) == Money.of(500, "MGA")
    with refused("bad_amount"):
        Money.from_vendor(501, "isk", stripe)


def test_two_currencies_never_meet() -> None:
    with refused("currency_mismatch"):
        Money.of(1, "USD") + Money.of(1, "EUR")
    with refused("currency_mismatch"):
        assert Money.of(1, "USD") < Money.of(2, "EUR")
    with refused("currency_mismatch"):
        total([Money.of(1, "USD"), Money.of(1, "EUR")], "USD")
    assert Money.of(1, "USD") != Money.of(1, "EUR")


@pytest.mark.parametrize("minor", [True, 1.0, "1", None, Decimal(1)])
def test_minor_units_are_an_int_and_nothing_else(minor: object) -> None:
    with refused("bad_amount"):
        Money(minor, Currency("USD"))  # type: ignore[arg-type]


def test_an_absurd_amount_is_refused() -> None:
    with refused("amount_out_of_range"):
        Money.of(LIMIT, "USD")
    with refused("bad_amount"):
        Money.from_decimal(Decimal("1e2000000"), "USD")
    with refused("bad_amount"):
        round_money(Decimal("1e2000000"), "USD")


def test_a_vanishing_amount_rounds_to_nothing() -> None:
    assert not round_money(Decimal("1e-2000000"), "USD")


def test_half_a_unit_goes_where_the_rounding_says() -> None:
    assert round_money(Decimal("0.125"), "USD", Rounding.HALF_UP).minor == 13
    assert round_money(Decimal("0.125"), "USD", Rounding.HALF_EVEN).minor == 12
    assert round_money(Decimal("-0.125"), "USD", Rounding.HALF_UP).minor == -13
    assert Money.of(1000, "USD").times(Decimal("0.08875")).minor == 89


lines = st.lists(st.tuples(st.integers(-(10**10), 10**10), rates, st.sampled_from("ABC")), min_size=1, max_size=25)


@given(lines, units, st.sampled_from(RoundingPolicy), st.sampled_from(Rounding))
def test_under_every_policy_lines_sum_to_categories_and_categories_to_the_tax(
    raw: list[tuple[int, Decimal, str]], unit: str, policy: RoundingPolicy, rounding: Rounding
) -> None:
    made = taxes([(Money.of(net, unit), rate, name) for net, rate, name in raw], unit, policy, rounding)
    assert total(made.by_line, unit) == made.tax == total(made.by_category.values(), unit)
    alone = sum(Money.of(net, unit).times(rate, rounding).minor for net, rate, _ in raw)
    assert made.residual.minor == made.tax.minor - alone
    for part, (net, rate, _) in zip(made.by_line, raw, strict=True):
        assert abs(part.minor - net * rate) <= 1
    if policy is RoundingPolicy.LINE:
        assert not made.residual


def test_the_policies_differ_where_halves_add_up() -> None:
    raw = [(Money.of(105, "EUR"), Decimal("0.1"), "A")] * 3 + [(Money.of(105, "EUR"), Decimal("0.1"), "B")]
    by = {policy: taxes(raw, "EUR", policy).tax.minor for policy in RoundingPolicy}
    assert by == {RoundingPolicy.LINE: 44, RoundingPolicy.DOCUMENT: 42, RoundingPolicy.TAX_CATEGORY: 43,
                  RoundingPolicy.EN16931: 43}  # fmt: skip
