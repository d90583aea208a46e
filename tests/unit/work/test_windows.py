"""Scheduled jobs: once in a window, owed where nobody came, and told of where nobody comes for long."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from tests.fakes import World
from tieout.core import keys
from tieout.core.ledger import CASE
from tieout.core.windows import Job, Run
from tieout.core.writes import Item
from tieout.work import ask, probe, windows

HOURLY = Job("sweep", timedelta(hours=1), "nothing is swept")
MINUTELY = Job("look", timedelta(minutes=1), "nothing is looked at", once=False)
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


class Broken(Exception):
    """The job fails."""


def go(world: World, job: Job = HOURLY) -> Run | None:
    """One run of the schedule; what it was for, ``None`` where it did nothing."""
    runs: list[Run] = []

    def work(run: Run) -> Mapping[str, int]:
        runs.append(run)
        return {"done": 1}

    windows.run(job, world.ports(), work)
    return runs[0] if runs else None


def fail(world: World) -> None:
    def work(run: Run) -> Mapping[str, int]:
        raise Broken

    with pytest.raises(Broken):
        windows.run(HOURLY, world.ports(), work)


def item(world: World, job: Job = HOURLY) -> Item:
    return world.ledger.items[keys.job_item(job.name)]


def test_a_job_runs_once_in_a_window() -> None:
    world = World()
    world.later(minutes=7)
    assert go(world) == Run(NOON, NOON)
    world.later(minutes=50)
    assert go(world) is None
    world.later(minutes=5)
    assert go(world) == Run(NOON + timedelta(hours=1), NOON + timedelta(hours=1))


def test_two_runs_at_once_do_the_work_once() -> None:
    world = World()
    ran: list[str] = []

    def first(run: Run) -> Mapping[str, int]:
        ran.append("first")
        assert windows.run(HOURLY, world.ports(), second) == {}
        return {}

    def second(run: Run) -> Mapping[str, int]:
        ran.append("second")
        return {}

    windows.run(HOURLY, world.ports(), first)
    assert ran == ["first"]


def test_of_two_runs_that_read_the_same_one_claims() -> None:
    world = World()
    stale = world.ledger.read([keys.job_item("sweep")])
    assert windows.claim(HOURLY, world.ports())
    world.ledger.read = lambda keys: stale  # type: ignore[method-assign]
    assert windows.claim(HOURLY, world.ports()) is None


def test_windows_that_nobody_did_are_owed_by_the_next_run_and_counted() -> None:
    world = World()
    go(world)
    world.later(hours=4, minutes=3)
    counts = windows.run(HOURLY, world.ports(), lambda run: {"since": run.since.hour, "missed": run.missed})
    assert counts == {"since": 13, "missed": 3, windows.MISSED: 3}
    assert ("windows_missed", {"job": "sweep", "missed": 3, "until": "2026-11-20T16:00:00.000Z"}) in world.logged


def test_a_run_that_fails_leaves_its_window_owed() -> None:
    world = World()
    go(world)
    world.later(hours=1)
    fail(world)
    assert go(world) is None, "its lease is not over: it may be at it still"
    world.later(minutes=2)
    assert go(world) == Run(NOON + timedelta(hours=1), NOON + timedelta(hours=1))


def test_a_window_that_failed_is_owed_by_the_next_one() -> None:
    world = World()
    go(world)
    world.later(hours=1)
    fail(world)
    world.later(hours=1)
    found = go(world)
    assert found is not None
    assert (found.since, found.window) == (NOON + timedelta(hours=1), NOON + timedelta(hours=2))


def test_a_job_that_stays_behind_is_a_case_which_its_next_finished_run_closes() -> None:
    world = World()
    go(world)
    for _ in range(2):
        world.later(hours=1)
        fail(world)
    probe.probe(world.ports())
    assert "state" not in item(world), "it has until half past two"
    world.later(minutes=31)
    assert probe.probe(world.ports())["case opened: job behind"] == 1
    (cause,) = ask.cases(world.ledger, world.time)
    assert cause.cases[0].sentence == (
        "Job sweep has finished no window since 2026-11-20T12:00:00.000Z: nothing is swept."
    )
    assert [facts["code"] for _, facts in world.bus.told] == ["job_behind"]
    world.later(hours=3)
    assert probe.probe(world.ports())["job still behind"] == 1
    assert len(world.bus.told) == 1
    assert go(world)
    assert not {"state", "code", "case"} & item(world).keys()
    assert ask.cases(world.ledger, world.time) == ()


def test_a_job_that_never_ran_through_is_a_case_too() -> None:
    world = World()
    for _ in range(3):
        fail(world)
        world.later(hours=1)
    probe.probe(world.ports())
    assert item(world)["state"] == CASE


def test_a_job_that_may_run_twice_costs_one_write_and_is_never_refused() -> None:
    world = World()
    assert go(world, MINUTELY)
    world.later(minutes=1)
    world.ledger.calls.clear()
    assert go(world, MINUTELY)
    assert world.ledger.calls == ["write"]
    assert go(world, MINUTELY), "the work is safe to do twice"
    assert "due" not in item(world, MINUTELY)


def test_minutes_that_were_missed_are_counted_by_the_next_run() -> None:
    world = World()
    go(world, MINUTELY)
    world.later(minutes=6)
    assert windows.run(MINUTELY, world.ports(), lambda run: {}) == {windows.MISSED: 5}


def test_a_run_that_finishes_late_does_not_undo_a_newer_one() -> None:
    world = World()
    go(world)
    world.later(hours=1)
    slow = windows.claim(HOURLY, world.ports())
    assert slow is not None
    world.later(hours=1)
    go(world)
    assert windows.finish(HOURLY, world.ports(), slow) == 0
    assert item(world)["done"] == "2026-11-20T14:00:00.000Z"
