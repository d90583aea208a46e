"""Capacity of a target account: the adaptive limit and the breaker, as values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieout.core import capacity
from tieout.core.classify import Answer, classify
from tieout.core.ledger import instant, stamp
from tieout.core.verdicts import NeedsHuman, NotYet, TryAgain, Uncertain, Verdict

NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
LEASE = timedelta(seconds=70)
BUSY = TryAgain("target_busy")
LOST = Uncertain("target_lost")


def after(item: dict[str, Any], *verdicts: Verdict, owner: str = "w", ceiling: int = 8) -> dict[str, Any]:
    for verdict in verdicts:
        item = {**item, **capacity.objected(item, owner, ceiling, verdict, NOW)}
    return item


@given(st.lists(st.one_of(st.none(), st.integers(1, 30)), max_size=60), st.integers(1, 40))
def test_the_limit_stays_between_one_and_the_ceiling_halves_on_429_and_rises_by_rounds(
    story: list[int | None], ceiling: int
) -> None:
    item: dict[str, Any] = {}
    for good in story:
        before = capacity.limit(item, ceiling)
        if good is None:
            item |= capacity.objected(item, "w", ceiling, BUSY, NOW)
            assert capacity.limit(item, ceiling) == max(1, before // 2)
        else:
            item |= capacity.answered(item, "w", ceiling, good)
            assert before <= capacity.limit(item, ceiling) <= before + good
        assert 1 <= capacity.limit(item, ceiling) <= ceiling


def test_the_limit_comes_back_to_the_ceiling_and_a_lower_ceiling_holds_at_once() -> None:
    item = after({}, BUSY, BUSY, BUSY)
    assert capacity.limit(item, 8) == 1
    answers = 0
    while capacity.limit(item, 8) < 8:
        item |= capacity.answered(item, "w", 8, 1)
        answers += 1
    assert answers == sum(range(1, 8)), "one round of answers for each further call at once"
    assert capacity.limit(item, 3) == 3


def test_one_storm_of_429_halves_the_limit_once() -> None:
    paused = {"paused_until": stamp(NOW + timedelta(seconds=30))}
    assert capacity.limit(after(paused, BUSY, BUSY), 8) == 8


def test_five_answers_in_a_row_that_did_not_come_open_the_breaker_and_a_good_one_starts_the_count_again() -> None:
    four = after({}, *[LOST] * 4)
    assert "paused_until" not in four
    assert "paused_until" not in after({**four, **capacity.answered(four, "w", 8, 1)}, LOST)
    opened = after(four, TryAgain("target_unreachable"))
    assert instant(opened["paused_until"]) == NOW + timedelta(seconds=capacity.PAUSE_LEAST)
    with pytest.raises(NotYet) as refused:
        capacity.admit(opened, "netsuite:acme", "w", NOW, NOW + LEASE)
    assert refused.value.code == "target_paused"


def test_a_refused_document_says_nothing_about_its_target() -> None:
    assert after({}, *[NeedsHuman("target_refused")] * 20, TryAgain("deadline_near")) == {}


def test_when_the_pause_is_over_exactly_one_owner_tries_and_its_lease_ends() -> None:
    opened = after({}, *[LOST] * 5)
    over = instant(opened["paused_until"]) + timedelta(seconds=1)
    trial = opened | capacity.admit(opened, "t:a", "first", over, over + LEASE)
    with pytest.raises(NotYet) as refused:
        capacity.admit(trial, "t:a", "second", over, over + LEASE)
    assert refused.value.facts["until"] > stamp(over)
    assert capacity.admit(trial, "t:a", "first", over, over + LEASE)
    crashed = over + LEASE + timedelta(seconds=1)
    assert capacity.admit(trial, "t:a", "second", crashed, crashed + LEASE) == {
        "trial": {"second": stamp(crashed + LEASE)}
    }


def test_only_the_trial_closes_the_breaker() -> None:
    opened = after({}, *[LOST] * 5) | {"trial": {"first": stamp(NOW + LEASE)}}
    assert "trips" not in capacity.answered(opened, "an older batch", 8, 3)
    assert capacity.answered(opened, "first", 8, 1)["trips"] == 0


@given(st.integers(1, 40))
def test_each_trial_that_fails_doubles_the_pause_up_to_five_minutes(trials: int) -> None:
    item = after({}, *[LOST] * 5)
    now, paused = NOW, timedelta(seconds=capacity.PAUSE_LEAST)
    for _ in range(trials):
        now = instant(item["paused_until"]) + timedelta(seconds=1)
        item |= capacity.admit(item, "t:a", "w", now, now + LEASE)
        item |= capacity.objected(item, "w", 8, LOST, now)
        paused = min(paused * 2, timedelta(seconds=capacity.PAUSE_MOST))
        assert instant(item["paused_until"]) - now == paused


@pytest.mark.parametrize(
    ("asked", "date", "seconds"),
    [
        ("7", "", 7),
        ("9" * 5000, "", 900),
        ("Tue, 24 Nov 2026 06:00:30 GMT", "Tue, 24 Nov 2026 06:00:00 GMT", 30),
        ("Fri, 31 Dec 2999 23:59:59 GMT", "Tue, 24 Nov 2026 06:00:00 GMT", 900),
        ("Tue, 24 Nov 2026 05:00:00 GMT", "Tue, 24 Nov 2026 06:00:00 GMT", None),
        ("Tue, 24 Nov 2026 06:00:30 GMT", "", None),
        ("-5", "", None),
        ("soon", "Tue, 24 Nov 2026 06:00:00 GMT", None),
    ],
)
def test_retry_after_is_read_in_both_forms_and_capped(asked: str, date: str, seconds: int | None) -> None:
    verdict = classify((), Answer(429, {"retry-after": asked, "date": date}), "")
    assert verdict is not None
    assert (verdict.code, verdict.facts.get("after")) == ("target_busy", None if seconds is None else str(seconds))
