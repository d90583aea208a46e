"""Tokens of a rate-limited target: no window ever holds more calls than it allows, and little of it is lost."""

from __future__ import annotations

import random
from bisect import bisect_left
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from tieout.contract import Rate
from tieout.core import tokens

START = datetime(2026, 11, 25, 12, tzinfo=UTC)
SKEW = 5


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def most_in(times: list[float], seconds: int) -> int:
    times = sorted(times)
    return max(bisect_left(times, one + seconds) - first for first, one in enumerate(times))


def test_where_nothing_is_limited_nothing_is_counted() -> None:
    assert tokens.free({}, (), SKEW, START) is None


def test_a_token_is_out_until_it_is_told_and_counts_for_a_window_after_its_answer() -> None:
    rates = (Rate(10, 60),)
    item: dict[str, Any] = tokens.take({}, rates, SKEW, START, "a", 4, at(70))
    assert tokens.free(item, rates, SKEW, at(60)) == 6
    item |= tokens.give_back(item, rates, SKEW, at(60), "a", [at(50), at(50)])
    assert tokens.free(item, rates, SKEW, at(60)) == 8
    assert tokens.free(item, rates, SKEW, at(50 + 60 + SKEW - 0.01)) == 8
    assert tokens.free(item, rates, SKEW, at(50 + 60 + SKEW + 2)) == 10


def test_who_died_with_tokens_has_used_them_all_at_the_last_moment() -> None:
    rates = (Rate(10, 60),)
    item: dict[str, Any] = tokens.take({}, rates, SKEW, START, "a", 4, at(70))
    assert tokens.free(item, rates, SKEW, at(71)) == 6
    item |= tokens.take(item, rates, SKEW, at(80), "b", 1, at(150))
    assert tokens.free(item, rates, SKEW, at(70 + 60)) == 5
    assert tokens.free(item, rates, SKEW, at(70 + 60 + SKEW + 2)) == 9


def test_every_window_counts_and_the_fullest_decides() -> None:
    rates = (Rate(10, 60), Rate(12, 3600))
    item: dict[str, Any] = tokens.take({}, rates, SKEW, START, "a", 10, at(70))
    item |= tokens.give_back(item, rates, SKEW, at(1), "a", [at(1)] * 10)
    assert tokens.free(item, rates, SKEW, at(2)) == 0
    assert tokens.free(item, rates, SKEW, at(70)) == 2
    assert tokens.again(item, rates, SKEW, at(2), 2) > at(60)
    assert tokens.again(item, rates, SKEW, at(70), 3) > at(3600)


def test_where_others_hold_all_tokens_it_is_asked_again_soon() -> None:
    item = tokens.take({}, (Rate(10, 60),), SKEW, START, "a", 10, at(70))
    assert tokens.again(item, (Rate(10, 60),), SKEW, at(1), 1) == at(1) + tokens.OTHERS_AGAIN


@pytest.mark.parametrize("rates", [(Rate(60, 60),), (Rate(20, 10), Rate(90, 120)), (Rate(7, 1),)])
@pytest.mark.parametrize("seed", range(8))
def test_no_window_holds_more_calls_than_it_allows_whatever_clocks_pauses_and_deaths(
    rates: tuple[Rate, ...], seed: int
) -> None:
    """Workers with clocks up to the skew apart reserve, call at any time of their lease, freeze, tell, or die."""
    rng = random.Random(seed)
    item: dict[str, Any] = {}
    reached: list[float] = []
    told: list[tuple[float, str, float, list[float]]] = []
    names = count()
    now = 0.0
    while now < 600:
        now += rng.random() * 0.5
        for _, owner, skew, used in [one for one in told if one[0] <= now]:
            item |= tokens.give_back(item, rates, SKEW, at(now + skew), owner, [at(one + skew) for one in used])
        told = [one for one in told if one[0] > now]
        skew = (rng.random() - 0.5) * SKEW
        free = tokens.free(item, rates, SKEW, at(now + skew))
        assert free is not None
        wanted = rng.randrange(1, 6)
        if free < wanted:
            continue
        owner, lease = f"w{next(names)}", 20.0
        item |= tokens.take(item, rates, SKEW, at(now + skew), owner, wanted, at(now + skew + lease))
        calls = sorted(now + rng.random() * lease * 0.9 for _ in range(rng.randrange(wanted + 1)))
        reached += calls
        answered = [min(one + rng.random() * 2, now + lease) for one in calls]
        if rng.random() < 0.9:
            told.append((max([now, *answered]), owner, skew, answered))
    for rate in rates:
        assert most_in(reached, rate.seconds) <= rate.calls


def test_of_a_limit_of_a_hundred_a_second_over_five_minutes_at_most_a_twentieth_is_lost() -> None:
    rates, done = (Rate(30_000, 300),), 0
    made: dict[str, Any] = {}
    for second in range(3600):
        now = at(second)
        free = tokens.free(made, rates, SKEW, now) or 0
        taken = min(free, 150)
        made |= tokens.take(made, rates, SKEW, now, "a", taken, now + timedelta(seconds=70))
        made |= tokens.give_back(made, rates, SKEW, now, "a", [now] * taken)
        done += taken
    assert done >= 3600 * 100 * 0.95
    assert len(made["spent"]["300"]) <= tokens.CELLS + 2
    assert made["tokens"] == {}
