"""The world's clock and its schedules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from infra.local.clock import WorldClock
from infra.local.schedules import following

START = datetime(2026, 3, 2, 9, 0, 30, tzinfo=UTC)  # a Monday


def test_jump_time_stands_still_until_it_is_advanced() -> None:
    clock = WorldClock("jump", START)
    assert clock.now() == clock.now() == START
    clock.advance(60)
    assert clock.advance_to(START) == START + timedelta(minutes=1)  # never backwards
    assert clock.skipped == timedelta(minutes=1)


def test_a_factor_speeds_real_time_up() -> None:
    clock = WorldClock("3600", START)
    first = clock.now()
    assert START <= first < START + timedelta(hours=1)
    while clock.now() == first:
        pass
    assert clock.factor == 3600


@pytest.mark.parametrize("mode", ["0", -1])
def test_a_factor_must_be_above_zero(mode: str | float) -> None:
    with pytest.raises(ValueError, match="above zero"):
        WorldClock(mode)


def test_time_never_runs_backwards() -> None:
    with pytest.raises(ValueError, match="backwards"):
        WorldClock("jump").advance(-1)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("rate(1 minute)", datetime(2026, 3, 2, 9, 1, 30, tzinfo=UTC)),
        ("rate(5 minutes)", datetime(2026, 3, 2, 9, 5, 30, tzinfo=UTC)),
        ("cron(0 10 * * ? *)", datetime(2026, 3, 2, 10, 0, tzinfo=UTC)),
        ("cron(0/15 9 * * ? *)", datetime(2026, 3, 2, 9, 15, tzinfo=UTC)),
        ("cron(0 9 * * ? *)", datetime(2026, 3, 3, 9, 0, tzinfo=UTC)),
        ("cron(30 6 ? * SUN *)", datetime(2026, 3, 8, 6, 30, tzinfo=UTC)),
        ("cron(0 0 1 JAN ? *)", datetime(2027, 1, 1, tzinfo=UTC)),
        ("at(2026-03-02T09:00:31)", datetime(2026, 3, 2, 9, 0, 31, tzinfo=UTC)),
        ("at(2026-03-02T09:00:30)", None),
    ],
)
def test_the_next_firing(expression: str, expected: datetime | None) -> None:
    assert following(expression, START) == expected


def test_a_rate_keeps_its_beat_when_firings_were_missed() -> None:
    assert following("rate(1 minute)", START + timedelta(seconds=150), START) == START + timedelta(seconds=180)


@pytest.mark.parametrize("expression", ["rate(1 week)", "cron(0 10 * * *)", "cron(0 10 L * ? *)", "cron(99 * * * ? *)"])
def test_what_is_not_known_is_refused(expression: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (cron fields fail in int())
        following(expression, START)
