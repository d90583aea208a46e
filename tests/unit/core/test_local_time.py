"""Local time without an offset: no moment of a span is left out, and an hour that comes twice has two moments."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieout.core import local_time
from tieout.core.verdicts import NeedsHuman

ZONES = ("America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC")
BEGINNING = datetime(2024, 1, 1, tzinfo=UTC)
MOMENTS = st.integers(0, 4 * 366 * 86_400).map(lambda seconds: BEGINNING + timedelta(seconds=seconds))


@given(MOMENTS, st.integers(0, 40 * 24 * 60), st.floats(0, 1), st.sampled_from(ZONES))
def test_every_moment_of_a_span_is_shown_between_its_bounds(at: datetime, minutes: int, part: float, zone: str) -> None:
    until = at + timedelta(minutes=minutes)
    low, high = local_time.bounds(at, until, zone)
    assert low <= local_time.shown(at + (until - at) * part, zone) <= high


@given(MOMENTS, st.sampled_from(ZONES))
def test_a_moment_is_among_those_that_its_local_time_may_mean(at: datetime, zone: str) -> None:
    assert at in local_time.moments(local_time.shown(at, zone), zone)


@pytest.mark.parametrize(
    ("zone", "local", "hours"),
    [
        ("America/New_York", datetime.fromisoformat("2026-11-01 01:30:00"), [5.5, 6.5]),
        ("America/New_York", datetime.fromisoformat("2026-11-01 00:59:59"), [4 + 3599 / 3600]),
        ("Europe/Berlin", datetime.fromisoformat("2026-10-25 02:00:00"), [0, 1]),
        ("Europe/Berlin", datetime.fromisoformat("2026-10-25 03:00:00"), [2]),
        ("Australia/Lord_Howe", datetime.fromisoformat("2026-04-05 01:45:00"), [-9.25, -8.75]),
    ],
)
def test_an_hour_that_comes_twice_has_two_moments_earliest_first(
    zone: str, local: datetime, hours: list[float]
) -> None:
    midnight = local.replace(hour=0, minute=0, second=0, tzinfo=UTC)
    assert local_time.moments(local, zone) == tuple(midnight + timedelta(hours=one) for one in hours)


def test_a_time_that_is_skipped_stands_for_one_moment() -> None:
    assert len(local_time.moments(datetime.fromisoformat("2026-03-08 02:30:00"), "America/New_York")) == 1


def test_a_span_in_which_clocks_are_set_back_is_asked_for_in_its_order() -> None:
    since, until = datetime(2026, 11, 1, 5, 50, tzinfo=UTC), datetime(2026, 11, 1, 6, 10, tzinfo=UTC)
    assert local_time.shown(since, "America/New_York") > local_time.shown(until, "America/New_York")
    low, high = local_time.bounds(since, until, "America/New_York")
    assert (low, high) == (datetime.fromisoformat("2026-11-01 00:50:00"), datetime.fromisoformat("2026-11-01 02:10:00"))


def test_a_zone_that_nobody_knows_is_said() -> None:
    with pytest.raises(NeedsHuman, match="bad_time_zone"):
        local_time.bounds(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC), "Mars/Olympus")
