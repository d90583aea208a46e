"""The burn forecast out of the books."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.toy import Stage, stage
from tieout import tables
from tieout.core import ledger
from tieout.core.keys import Key
from tieout.core.ledger import stamp
from tieout.work import burn

KEY = Key("B#netsuite:acme")


@pytest.fixture
def on() -> Iterator[Stage]:
    with stage() as made:
        made.link("cus_1")
        yield made


def backlog(on: Stage, count: int, pause: timedelta) -> None:
    until = on.world.time + pause
    on.world.ledger.items[KEY] = {
        "pk": KEY.pk, "sk": KEY.sk, "what": "budget", "rev": 1, "ms": 1000, "limit": 1, "paused_until": stamp(until),
        **ledger.due(KEY.pk, until),
    }  # fmt: skip
    for number in range(count):
        event = on.event("invoice.finalized", id=f"in_{number}", customer="cus_1", number=f"INV-{number}")
        on.take(event | {"id": f"evt_{number}"})
    on.settle()


def test_what_waits_is_counted_by_class_and_measured_against_the_end_of_the_period(on: Stage) -> None:
    backlog(on, 3, timedelta(minutes=10))
    (one,) = burn.forecasts(on.world.ledger, tables.load(), on.world.time, "netsuite:acme")
    assert (one.waiting, one.an_hour) == ({40: 3}, 3600)
    assert one.needs == timedelta(minutes=10, seconds=3)
    assert (one.entity, one.period, one.fits) == ("US01", "2026-11", True)
    assert one.deadline is not None
    assert one.deadline.isoformat() == "2026-12-01T05:00:00+00:00", "midnight in New York"
    assert burn.watch(on.world.ports(), tables.load()) == {"burn_late": 0, "waiting_for_room": 3}


def test_a_backlog_that_runs_into_the_end_of_its_period_is_told_with_its_target(on: Stage) -> None:
    backlog(on, 1, timedelta(days=20))
    assert burn.watch(on.world.ports(), tables.load()) == {"burn_late": 1, "waiting_for_room": 1}
    assert [facts["target"] for what, facts in on.world.logged if what == "burn_late"] == ["netsuite:acme"]


def test_what_is_refused_or_done_is_no_backlog(on: Stage) -> None:
    backlog(on, 2, timedelta(minutes=1))
    first, second = on.postings("invoice")
    on.world.ledger.items[Key(first["pk"], first["sk"])] |= {"state": ledger.REFUSED, "code": "target_refused"}
    (one,) = burn.forecasts(on.world.ledger, tables.load(), on.world.time, "netsuite:acme")
    assert one.total == 1
    on.world.ledger.items[Key(second["pk"], second["sk"])] |= {"code": "period_closed"}
    (one,) = burn.forecasts(on.world.ledger, tables.load(), on.world.time, "netsuite:acme")
    assert one.sentence == "Nothing waits at netsuite:acme."
