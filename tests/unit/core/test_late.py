"""The late document policy: every state, ledger and amount comes to the one action its row says."""

from __future__ import annotations

import re
import shutil
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.core.documentsamples import REFUND
from tieout import tables
from tieout.core import late
from tieout.core.clocks import Calendar, Ledger, Period, PeriodState, PostingDate, TaxPoint, ValueDate
from tieout.core.documents import ExchangeRate
from tieout.core.late import Action, Decision, Rule
from tieout.core.money import Currency, Money
from tieout.core.nodes import GovernanceError
from tieout.core.verdicts import NeedsHuman, NotYet

OPEN, SOFT, CLOSED, LOCKED = PeriodState
RULE = Rule(
    soft_closed=Action.POST, closed=Action.REDATE, locked=Action.HOLD, tax_filed=Action.ESCALATE,
    limit=Money.of(1000, "USD"), over=Action.HOLD, row="row 1",
)  # fmt: skip
USD = Money.of(1000, "USD")


def months(*states: PeriodState | dict[Ledger, PeriodState]) -> Calendar:
    """A calendar from January 2026: a month a state, or a state a ledger."""
    periods = []
    for n, state in enumerate(states, start=1):
        first = date(2026, n, 1)
        last = date.fromordinal(date(2026, n + 1, 1).toordinal() - 1)
        if isinstance(state, dict):
            periods.append(Period(f"2026-{n:02d}", first, last, OPEN, tuple(state.items())))
        else:
            periods.append(Period(f"2026-{n:02d}", first, last, state))
    return Calendar("US01", "America/New_York", periods)


def decide(
    calendar: Calendar,
    kind: str = "invoice",
    amount: Money | None = USD,
    day: str = "2026-01-15",
    rule: Rule | None = RULE,
    tax_point: str | None = None,
) -> Decision:
    return late.decide(
        kind=kind, amount=amount, posting_date=PostingDate.parse(day), calendar=calendar, rule=rule,
        tax_point=TaxPoint.parse(tax_point or day),
    )  # fmt: skip


def test_a_document_in_an_open_period_needs_no_rule_and_is_not_late() -> None:
    made = decide(months(OPEN), rule=None)
    assert (made.action, made.late, made.posting_date.iso) == (Action.POST, False, "2026-01-15")


NO_TAX = {Ledger.TAX: OPEN}


@pytest.mark.parametrize(
    ("calendar", "kind", "action", "day", "reasons"),
    [
        (months(SOFT, OPEN), "invoice", Action.POST, "2026-01-15", ("period_soft_closed",)),
        (months({Ledger.AR: CLOSED, Ledger.GL: OPEN}, OPEN), "invoice", Action.REDATE, "2026-02-01",
         ("period_closed",)),
        (months({Ledger.AR: CLOSED}, OPEN), "journal_entry", Action.POST, "2026-01-15", ()),
        (months({Ledger.GL: CLOSED}, {Ledger.AR: SOFT}, OPEN), "invoice", Action.REDATE, "2026-03-01",
         ("period_closed",)),
        (months({Ledger.GL: CLOSED}, {Ledger.AR: SOFT}, OPEN), "journal_entry", Action.REDATE, "2026-02-01",
         ("period_closed",)),
        (months({Ledger.GL: LOCKED}, OPEN), "payment", Action.HOLD, "2026-01-15", ("period_locked",)),
        (months({Ledger.TAX: LOCKED}, OPEN), "invoice", Action.ESCALATE, "2026-01-15", ("tax_period_filed",)),
        (months({Ledger.TAX: LOCKED}, OPEN), "payment", Action.POST, "2026-01-15", ()),
        (months({Ledger.TAX: SOFT}, OPEN), "invoice", Action.POST, "2026-01-15", ()),
        (months({Ledger.GL: CLOSED, Ledger.AR: CLOSED}, {Ledger.AR: CLOSED}), "invoice", Action.HOLD, "2026-01-15",
         ("period_closed", "no_open_period")),
    ],
)  # fmt: skip
def test_each_state_of_each_ledger_comes_to_what_its_rule_says(
    calendar: Calendar, kind: str, action: Action, day: str, reasons: tuple[str, ...]
) -> None:
    made = decide(calendar, kind)
    assert (made.action, made.posting_date.iso, made.reasons) == (action, day, reasons)
    assert made.original.iso == "2026-01-15"
    assert made.late == bool(reasons)


def test_a_large_amount_or_one_in_another_currency_without_a_rate_takes_the_stronger_action() -> None:
    calendar = months({Ledger.GL: CLOSED}, OPEN)
    assert decide(calendar, amount=Money.of(1001, "USD")).action is Action.HOLD
    assert decide(calendar, amount=Money.of(-1001, "USD")).action is Action.HOLD
    assert decide(calendar, amount=Money.of(1, "EUR")).action is Action.HOLD
    assert decide(calendar, amount=None).action is Action.REDATE
    rate = ExchangeRate(of=Currency("EUR"), into=Currency("USD"), rate=Decimal("1.1"),
                        rate_date=ValueDate.parse("2026-01-01"), source="ECB")  # fmt: skip
    for minor, action in ((909, Action.REDATE), (910, Action.HOLD)):
        made = late.decide(
            kind="payment", amount=Money.of(minor, "EUR"), posting_date=PostingDate.parse("2026-01-15"),
            tax_point=None, calendar=calendar, rule=RULE, rate=rate,
        )  # fmt: skip
        assert made.action is action


def test_a_tax_point_before_the_calendar_was_filed_long_ago_and_one_after_it_was_not() -> None:
    assert decide(months(OPEN), tax_point="2025-12-31").reasons == ("tax_period_filed",)
    assert not decide(months(OPEN), tax_point="2027-12-31").late


def test_a_late_document_without_a_rule_is_a_case_and_one_beyond_the_calendar_waits() -> None:
    with pytest.raises(NeedsHuman) as told:
        decide(months(LOCKED), rule=None)
    assert told.value.code == "late_rule_missing"
    with pytest.raises(NotYet):
        decide(months(OPEN), day="2026-02-01")


def test_a_redated_document_keeps_its_document_date_and_its_tax_point() -> None:
    calendar = months({Ledger.GL: CLOSED}, OPEN)
    made = late.decide_for(REFUND, calendar, RULE)
    assert made.action is Action.HOLD, "its currency is not the limit's"
    small = REFUND.model_copy(update={"currency": Currency("USD"), "amount": Money.of(1, "USD")})
    moved = late.redated(small, late.decide_for(small, calendar, RULE))
    assert (moved.posting_date.iso, moved.document_date, moved.tax_point) == (
        "2026-02-01", small.document_date, small.tax_point,
    )  # fmt: skip


states = st.sampled_from(PeriodState)
ledgers = st.fixed_dictionaries({Ledger.AR: states, Ledger.GL: states, Ledger.TAX: states})
actions = st.sampled_from(Action)
rules = st.builds(
    Rule, soft_closed=actions, closed=actions, locked=actions, tax_filed=actions, over=actions,
    limit=st.just(Money.of(1000, "USD")), row=st.just("row"),
)  # fmt: skip


@settings(max_examples=2000)
@given(st.lists(ledgers, min_size=1, max_size=6), rules, st.integers(0, 2000),
       st.sampled_from(["invoice", "payment", "journal_entry"]))  # fmt: skip
def test_nothing_is_ever_redated_backwards_or_into_a_period_that_is_not_open(
    shape: list[dict[Ledger, PeriodState]], rule: Rule, minor: int, kind: str
) -> None:
    calendar = months(*shape)
    made = decide(calendar, kind, Money.of(minor, "USD"), rule=rule)
    needed = (Ledger.AR, Ledger.GL) if kind in late.RECEIVABLES else (Ledger.GL,)
    assert made.posting_date.value >= made.original.value
    assert calendar.period_of(made.posting_date) is made.period
    if made.posting_date != made.original:
        assert made.action is Action.REDATE
        assert made.period.strictest(needed) is OPEN
    if made.action is Action.REDATE and made.period.strictest(needed) is not OPEN:
        raise AssertionError("re-dated and still not open")
    if not made.late:
        assert made.period.strictest(needed) is OPEN


def test_the_governed_rows_can_be_used_and_say_where_they_stand() -> None:
    known = tables.load()
    for entity, code in (("US01", "USD"), ("DE01", "EUR")):
        view = known.view(date(2026, 11, 23), entity=entity)
        for kind in ("invoice", "refund"):
            rule = late.rule_for(view, kind, code)
            assert rule is not None
            assert rule.limit.currency == code
            assert rule.row.startswith("late_documents 1.")
    assert late.rule_for(known.view(date(2026, 11, 23), entity="DE01"), "invoice", "EUR") != late.rule_for(
        known.view(date(2026, 11, 23), entity="US01"), "invoice", "USD"
    )


def with_calendar(home: Path, old: str, new: str) -> tables.Tables:
    copy = home / "tables"
    shutil.copytree(tables.HOME, copy, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    text = (copy / "calendars.yaml").read_text("utf-8")
    assert old in text
    (copy / "calendars.yaml").write_text(text.replace(old, new, 1), "utf-8")
    return tables.load(copy)


STEP = "- {from: 2026-01-01, state: open}"


def test_a_calendar_gives_each_ledger_its_own_state(tmp_path: Path) -> None:
    known = with_calendar(tmp_path, STEP, STEP + "\n      - {from: 2026-01-01, state: closed, ledger: ar}"
                          "\n      - {from: 2026-03-01, state: open, ledger: ar}")  # fmt: skip
    january, march = (known.period("US01", PostingDate.parse(day)) for day in ("2026-01-15", "2026-03-15"))
    assert [january.state_of(ledger) for ledger in Ledger] == [CLOSED, OPEN, OPEN]
    assert (january.is_open, march.is_open) == (False, True)
    assert known.period("DE01", PostingDate.parse("2026-01-15")).is_open


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (STEP, "- {from: 2026-01-01, state: open, ledger: taxx}", "unknown ledger 'taxx'; did you mean 'tax'?"),
        ("first: 2024-01-01", "fiscal_year_starts: 13\n    first: 2024-01-01", "from 1 to 12"),
    ],
)
def test_a_mistake_in_a_calendar_is_told(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(GovernanceError, match=re.escape(said)):
        with_calendar(tmp_path, old, new)


def test_a_fiscal_year_is_called_by_the_year_in_which_it_ends() -> None:
    october = Calendar("X", "UTC", [Period("a", date(2026, 9, 1), date(2026, 9, 30)),
                                    Period("b", date(2026, 10, 1), date(2026, 10, 31))], 10)  # fmt: skip
    assert [october.fiscal(period) for period in october.periods] == [(2026, 12), (2027, 1)]
    plain = months(OPEN)
    assert plain.fiscal(plain.periods[0]) == (2026, 1)
    with pytest.raises(ValueError, match="1 to 12"):
        Calendar("X", "UTC", [], 13)
