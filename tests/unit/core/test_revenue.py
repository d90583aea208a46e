"""Revenue: whatever happens to a contract, the parts sum to its price, and what was earned stays earned."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.core.documentsamples import BOOKED, ORIGIN
from tieout.core import money
from tieout.core.clocks import ServiceDate
from tieout.core.documents import JournalEntry, prove_totals
from tieout.core.money import Money
from tieout.core.revenue import (
    Change,
    Entry,
    Facts,
    Method,
    Plan,
    Promise,
    Treatment,
    journal_lines,
    make,
    modify,
    months,
    schedules,
    treatment,
    use,
)
from tieout.core.verdicts import NeedsHuman


def usd(minor: int) -> Money:
    return Money.of(minor, "USD")


def day(text: str) -> date:
    return date.fromisoformat(text)


def promise(name: str, minor: int, first: str = "2026-01-01", last: str = "2026-12-31", **more: Any) -> Promise:
    return Promise(name, usd(minor), day(first), day(last), **more)


def by_month(plan: Plan, name: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for entry in plan.entries():
        if entry.promise == name:
            found[entry.period] = found.get(entry.period, 0) + entry.amount.minor
    return found


# -- schedules --------------------------------------------------------------------------------------------------------


def test_by_month_each_month_earns_the_same_to_the_cent() -> None:
    made = by_month(make(usd(10000), [promise("s", 1, method=Method.BY_MONTH)]), "s")
    assert list(made.values()) == [833, 834, 833, 833, 834, 833, 833, 834, 833, 833, 834, 833]
    assert sum(made.values()) == 10000


def test_by_day_a_month_earns_its_days() -> None:
    made = by_month(make(usd(36500), [promise("s", 1)]), "s")
    assert (made["2026-01"], made["2026-02"], made["2026-04"]) == (3100, 2800, 3000)


def test_a_part_of_a_month_counts_by_its_days() -> None:
    assert months(day("2026-01-17"), day("2026-03-14")) == 15 / Fraction(31) + 1 + Fraction(14, 31)
    made = by_month(make(usd(9000), [promise("s", 1, "2026-01-16", "2026-04-15", method=Method.BY_MONTH)]), "s")
    assert list(made) == ["2026-01", "2026-02", "2026-03", "2026-04"]
    assert (made["2026-01"], abs(made["2026-02"] - 2984) <= 1, sum(made.values())) == (1540, True, 9000)


def test_a_point_in_time_is_earned_on_its_day() -> None:
    plan = make(usd(500), [promise("p", 1, "2026-03-15", "2026-03-15", method=Method.POINT_IN_TIME)])
    assert plan.entries() == [Entry("p", day("2026-03-15"), usd(500))]


def test_usage_earns_as_it_comes_and_what_is_never_used_is_earned_at_the_end() -> None:
    plan = make(usd(1000), [promise("u", 1, method=Method.USAGE, units=Decimal(100))])
    plan = use(use(plan, "u", day("2026-02-10"), Decimal(25)), "u", day("2026-03-01"), Decimal("12.5"))
    assert by_month(plan, "u") == {"2026-02": 250, "2026-03": 125, "2026-12": 625}
    over = use(plan, "u", day("2026-04-01"), Decimal(1000))
    assert by_month(over, "u") == {"2026-02": 250, "2026-03": 125, "2026-04": 625}


def test_the_price_is_shared_by_stand_alone_price_and_the_discount_with_it() -> None:
    plan = make(usd(10000), [promise("a", 9000), promise("b", 3000), promise("c", 3000)])
    assert [plan.allocated(name).minor for name in "abc"] == [6000, 2000, 2000]


@pytest.mark.parametrize(
    "broken",
    [
        lambda: promise("a", 1, "2026-02-01", "2026-01-31"),
        lambda: promise("a", 1, "1000-01-01", "2026-01-31"),
        lambda: promise("a", 1, "2026-01-01", "9998-12-31"),
        lambda: promise("a", -1),
        lambda: promise("a", 1, method=Method.USAGE),
        lambda: promise("a", 1, units=Decimal(1)),
        lambda: promise("a", 1, method=Method.USAGE, units=Decimal(0)),
        lambda: make(usd(1), [promise("a", 0)]),
        lambda: make(usd(1), [promise("a", 1), promise("a", 1)]),
        lambda: use(make(usd(1), [promise("a", 1)]), "a", day("2026-01-01"), Decimal(1)),
        lambda: modify(
            make(usd(1), [promise("a", 1)]), Change(day("2026-02-01"), usd(1), ends={"b": date.max}), Facts()
        ),
        lambda: modify(make(usd(1), [promise("a", 1)]), Change(day("2026-02-01"), usd(1), (promise("a", 1),)), Facts()),
        lambda: modify(make(usd(1), [promise("a", 1)]), Change(date.min, usd(1)), Facts()),
        lambda: modify(make(usd(1), [promise("a", 1)]), Change(day("2026-02-01"), usd(1)), Facts(True, True)),
    ],
)
def test_terms_that_contradict_one_another_are_refused(broken: Any) -> None:
    with pytest.raises(NeedsHuman) as told:
        broken()
    assert told.value.code == "bad_term"


# -- modifications ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "chosen"),
    [
        (Facts(adds_distinct=True, at_standalone_price=True), Treatment.SEPARATE_CONTRACT),
        (Facts(adds_distinct=True, at_standalone_price=True, remaining_distinct="none"), Treatment.SEPARATE_CONTRACT),
        (Facts(adds_distinct=True), Treatment.TERMINATION_AND_NEW),
        (Facts(), Treatment.PROSPECTIVE),
        (Facts(remaining_distinct="none"), Treatment.CUMULATIVE_CATCH_UP),
        (Facts(at_standalone_price=True, remaining_distinct="none"), Treatment.CUMULATIVE_CATCH_UP),
        (Facts(remaining_distinct="some"), Treatment.MIXED),
        (Facts(adds_distinct=True, remaining_distinct="some"), Treatment.MIXED),
    ],
)
def test_the_treatment_follows_from_the_facts(facts: Facts, chosen: Treatment) -> None:
    assert treatment(facts) is chosen


YEAR = make(usd(120000), [promise("s", 120000, method=Method.BY_MONTH)])
JULY = day("2026-07-01")


def test_what_is_added_at_its_own_price_stands_by_itself() -> None:
    plan = modify(YEAR, Change(JULY, usd(30000), (promise("x", 30000, "2026-07-01", method=Method.BY_MONTH),)),
                  Facts(True, True))  # fmt: skip
    assert set(by_month(plan, "s").values()) == {10000}
    assert set(by_month(plan, "x").values()) == {5000}
    assert plan.current("x").contract == 1


def test_termination_and_new_shares_what_is_left_anew() -> None:
    # 60,000 is left of s, and 30,000 is paid for 60,000 worth of x: 90,000 over 60,000 and 60,000.
    plan = modify(YEAR, Change(JULY, usd(30000), (promise("x", 60000, "2026-07-01", method=Method.BY_MONTH),)),
                  Facts(adds_distinct=True))  # fmt: skip
    assert [by_month(plan, "s")[month] for month in ("2026-06", "2026-07")] == [10000, 7500]
    assert set(by_month(plan, "x").values()) == {7500}
    assert (plan.current("s").contract, plan.price, plan.catch_ups) == (1, usd(150000), ())


def test_a_new_price_of_a_series_counts_from_its_day_on() -> None:
    plan = modify(YEAR, Change(JULY, usd(-6000)), Facts())
    assert [by_month(plan, "s")[month] for month in ("2026-06", "2026-07", "2026-12")] == [10000, 9000, 9000]
    assert plan.current("s").contract == 0


def test_a_catch_up_is_one_entry_dated_into_the_open_period() -> None:
    plan = modify(YEAR, Change(JULY, usd(24000)), Facts(remaining_distinct="none"), open_day=day("2026-08-01"))
    assert plan.catch_ups == (Entry("s", day("2026-08-01"), usd(12000), "catch_up"),)
    assert [by_month(plan, "s")[month] for month in ("2026-06", "2026-07", "2026-08")] == [10000, 12000, 24000]


def test_mixed_catches_up_what_is_named_and_shares_the_rest_anew() -> None:
    plan = make(usd(24000), [promise("a", 12000, method=Method.BY_MONTH), promise("b", 12000, method=Method.BY_MONTH)])
    # The change goes by stand-alone price: 12,000 of a and 6,000 left of b: 6,000 and 3,000.
    plan = modify(plan, Change(JULY, usd(9000), not_distinct=frozenset("a")), Facts(remaining_distinct="some"))
    assert [entry.amount.minor for entry in plan.catch_ups] == [3000]
    assert (by_month(plan, "a")["2026-08"], by_month(plan, "b")["2026-08"]) == (1500, 1500)


def test_a_dropped_promise_leaves_its_rest_to_the_others_and_the_last_one_earns_it_at_once() -> None:
    two = make(usd(24000), [promise("a", 12000, method=Method.BY_MONTH), promise("b", 12000, method=Method.BY_MONTH)])
    plan = modify(two, Change(JULY, usd(-3000), ends={"b": day("2026-06-30")}), Facts())
    assert (by_month(plan, "a")["2026-07"], "2026-07" in by_month(plan, "b")) == (1500, False)
    ended = modify(YEAR, Change(JULY, usd(-50000), ends={"s": day("2026-06-30")}), Facts())
    assert [(entry.amount.minor, entry.why) for entry in ended.entries() if entry.day == JULY] == [(10000, "catch_up")]


def test_a_longer_term_earns_less_a_month() -> None:
    plan = modify(YEAR, Change(JULY, usd(0), ends={"s": day("2027-06-30")}), Facts())
    assert [by_month(plan, "s")[month] for month in ("2026-06", "2026-07", "2027-06")] == [10000, 5000, 5000]


def test_a_modification_before_the_last_one_is_refused() -> None:
    plan = modify(YEAR, Change(JULY, usd(1)), Facts())
    with pytest.raises(NeedsHuman) as told:
        modify(plan, Change(day("2026-06-30"), usd(1)), Facts())
    assert told.value.code == "modification_out_of_order"


def test_usage_that_comes_after_a_modification_for_a_day_before_it_changes_nothing_that_was_earned() -> None:
    plan = make(usd(1000), [promise("u", 1000, method=Method.USAGE, units=Decimal(100))])
    plan = use(plan, "u", day("2026-02-10"), Decimal(50))
    plan = modify(plan, Change(JULY, usd(500)), Facts())
    late = use(plan, "u", day("2026-03-01"), Decimal(25))
    assert by_month(late, "u") == {"2026-02": 500, "2026-07": 500, "2026-12": 500}


# -- properties -------------------------------------------------------------------------------------------------------

starts = st.dates(date(2025, 1, 1), date(2027, 12, 31))
amounts = st.integers(-(10**9), 10**10)


@st.composite
def promised(draw: st.DrawFn, name: str) -> Promise:
    first = draw(starts)
    method = draw(st.sampled_from(Method))
    units = draw(st.integers(1, 10**6)) if method is Method.USAGE else None
    last = first + timedelta(days=draw(st.integers(0, 500)))
    return Promise(
        name, usd(draw(st.integers(0, 10**8))), first, last, method, None if units is None else Decimal(units)
    )


@st.composite
def changes(draw: st.DrawFn, n: int, names: list[str]) -> tuple[int, Change, Facts]:
    added = tuple(draw(promised(f"n{n}_{k}")) for k in range(draw(st.integers(0, 2))))
    ends = draw(st.dictionaries(st.sampled_from(names), st.dates(date(2024, 6, 1), date(2030, 1, 1)), max_size=2))
    gap = draw(st.integers(0, 400))
    facts = Facts(draw(st.booleans()), draw(st.booleans()), draw(st.sampled_from(["all", "some", "none"])))
    caught = draw(st.frozensets(st.sampled_from(names)))
    return gap, Change(date.max, usd(draw(amounts)), added, ends, caught), facts


@settings(max_examples=80)
@given(st.data())
def test_the_parts_sum_to_the_price_and_the_past_stays_under_any_chain_of_modifications(data: st.DataObject) -> None:
    names = ["a", "b"]
    first = [data.draw(promised(name)) for name in names]
    if not any(one.standalone for one in first):
        return
    plan = make(usd(data.draw(amounts)), first)
    on = data.draw(starts)
    for n in range(data.draw(st.integers(1, 3))):
        for name, one in plan.promises.items():
            if one.method is Method.USAGE:
                plan = use(plan, name, data.draw(starts), Decimal(data.draw(st.integers(0, 10**6))))
        gap, drawn, facts = data.draw(changes(n, names))
        on += timedelta(days=gap)
        added = tuple(one for one in drawn.added if one.last >= on)
        change = Change(on, drawn.price, added, drawn.ends, drawn.not_distinct)
        if treatment(facts) is Treatment.SEPARATE_CONTRACT and not any(one.standalone for one in change.added):
            continue
        before = plan
        plan = modify(plan, change, facts)
        names = list(plan.promises)
        assert money.total((plan.allocated(name) for name in names), "USD") == plan.price
        eve = on - timedelta(days=1)
        for name in before.promises:
            caught_up = sum(e.amount.minor for e in plan.catch_ups if e.promise == name)
            caught_up -= sum(e.amount.minor for e in before.catch_ups if e.promise == name)
            assert plan.earned(name, eve).minor == before.earned(name, eve).minor + caught_up
    assert [left for _, left, _ in plan.proof().equations] == [plan.price.minor] * 2


@settings(max_examples=150)
@given(promised("a"), promised("b"), amounts)
def test_a_plan_becomes_documents_that_are_proven_and_journals_that_balance(a: Promise, b: Promise, minor: int) -> None:
    if not (a.standalone or b.standalone):
        return
    plan = make(usd(minor), [a, b])
    origin = {name: value for name, value in ORIGIN.items() if name != "source_id"}
    made = schedules(plan, "c1", **origin)
    assert money.total((doc.amount for doc in made), "USD") == plan.price
    for doc in made:
        assert prove_totals(doc).equations
        assert doc.first_day == ServiceDate(plan.promises[doc.obligation_id].first)
    for entry in plan.entries()[:3]:
        lines = journal_lines(entry, "deferred_revenue", "revenue")
        JournalEntry(**(BOOKED | {"currency": "USD"}), number="1", lines=lines)
        assert {line.account: line.side for line in lines}["revenue"] == ("credit" if minor >= 0 else "debit")


def chain(seed: int) -> Plan:
    """A contract with up to four modifications, drawn from a seed: plain chance is faster than searching."""
    chance = Random(seed)

    def any_promise(name: str, first: date) -> Promise:
        method = chance.choice(list(Method))
        units = Decimal(chance.randint(1, 1000)) if method is Method.USAGE else None
        begin = first + timedelta(days=chance.randint(0, 60))
        return Promise(name, usd(chance.randint(1, 10**7)), begin, begin + timedelta(days=chance.randint(0, 400)),
                       method, units)  # fmt: skip

    on = date(2026, 1, 1) + timedelta(days=chance.randint(0, 400))
    plan = make(usd(chance.randint(-(10**6), 10**9)), [any_promise(name, on) for name in "ab"])
    for n in range(chance.randint(1, 4)):
        on += timedelta(days=chance.randint(0, 150))
        for name, one in plan.promises.items():
            if one.method is Method.USAGE:
                plan = use(plan, name, on - timedelta(days=chance.randint(0, 90)), Decimal(chance.randint(0, 500)))
        facts = Facts(chance.random() < 1 / 2, chance.random() < 1 / 3, chance.choice(["all", "some", "none"]))
        added = tuple(any_promise(f"n{n}{k}", on) for k in range(chance.randint(int(facts.adds_distinct), 2)))
        names = list(plan.promises)
        ends = {chance.choice(names): on + timedelta(days=chance.randint(-30, 400))} if chance.random() < 1 / 3 else {}
        change = Change(on, usd(chance.randint(-(10**6), 10**8)), added, ends, frozenset(chance.sample(names, 1)))
        plan = modify(plan, change, facts)
    return plan


def test_two_thousand_chains_of_modifications_each_sum_to_their_price() -> None:
    seen = set()
    for seed in range(2000):
        plan = chain(seed)
        assert money.total((plan.allocated(name) for name in plan.promises), "USD") == plan.price, f"seed {seed}"
        assert money.total((entry.amount for entry in plan.entries()), "USD") == plan.price, f"seed {seed}"
        seen.add(plan.revision)
    assert seen == {1, 2, 3, 4}
