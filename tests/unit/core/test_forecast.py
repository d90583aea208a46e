"""The burn forecast: how long a backlog needs, and what it runs into, in figures and in a sentence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tieout.contract import Budget, Rate
from tieout.core.forecast import Forecast, forecast, per_hour, spoken
from tieout.core.ledger import stamp

NOW = datetime(2026, 11, 30, 20, tzinfo=UTC)
END = ("US01", "2026-11", NOW + timedelta(hours=4))


def made(waiting: dict[int, int], item: dict[str, object] | None = None) -> Forecast:
    return forecast("netsuite:acme", item or {"ms": 2000}, Budget(5), 5, waiting, NOW, END)


def test_a_target_takes_what_its_slots_and_its_tightest_window_allow() -> None:
    assert per_hour({"ms": 2000}, Budget(5), 5) == 9000
    assert per_hour({"ms": 2000, "limit": 1}, Budget(5), 5) == 1800
    assert per_hour({}, Budget(5), 5) == 18_000
    assert per_hour({"ms": 2000}, Budget(5, (Rate(60, 60), Rate(5000, 86_400)), calls=1), 5) == 206
    assert 3200 < per_hour({"ms": 100}, Budget(5, (Rate(60, 60),), calls=1), 5) < 3600


def test_what_needs_longer_than_the_period_lasts_is_said_in_one_sentence() -> None:
    one = made({20: 30_000, 40: 51_000})
    assert (one.total, one.needs, one.fits) == (81_000, timedelta(hours=9), False)
    assert one.sentence == (
        "81000 waiting at netsuite:acme need 9 h at 9000 an hour; period 2026-11 of US01 ends in 4 h: "
        "they will not all be booked in time."
    )


def test_what_fits_is_said_too_and_a_pause_counts() -> None:
    assert made({40: 9000}).sentence == (
        "9000 waiting at netsuite:acme need 60 min at 9000 an hour; period 2026-11 of US01 ends in 4 h."
    )
    paused = made({40: 9000}, {"ms": 2000, "paused_until": stamp(NOW + timedelta(hours=3, minutes=30))})
    assert (paused.needs, paused.fits) == (timedelta(hours=4, minutes=30), False)
    assert made({}).sentence == "Nothing waits at netsuite:acme."
    assert made({}, {"ms": 1, "paused_until": stamp(NOW + timedelta(days=9))}).fits


def test_without_a_calendar_nothing_is_too_late() -> None:
    one = forecast("x:y", {}, Budget(1), 5, {50: 10**9}, NOW, None)
    assert one.fits
    assert "period" not in one.sentence


@pytest.mark.parametrize(
    ("minutes", "said"), [(1, "1 min"), (119, "119 min"), (121, "3 h"), (47 * 60, "47 h"), (48 * 60, "2 days")]
)
def test_spans_are_spoken_as_people_do(minutes: int, said: str) -> None:
    assert spoken(timedelta(minutes=minutes)) == said
