"""The promise, proven by histories: what `make test` plays of the simulation. `make simulate` plays twenty thousand."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta

import pytest

from tests.simulation import __main__ as command
from tests.simulation import check, coverage, events, exhaustive, history, mutants
from tests.simulation.cheap import cheap
from tests.simulation.hub import START, Fate
from tests.simulation.taken import CALM
from tests.simulation.world import World, targets_of
from tieout.contract import Finds
from tieout.core import ledger

#: Histories of `make test`, in portions that several workers share.
PORTION, PORTIONS = 50, int(os.environ.get("SIMULATION_PORTIONS", "40"))


@pytest.mark.parametrize("portion", range(PORTIONS))
def test_whatever_goes_wrong_each_event_ties_out(portion: int) -> None:
    with cheap():
        results = [
            history.play(seed, coverage.focus(seed)) for seed in range(portion * PORTION, (portion + 1) * PORTION)
        ]
    assert {result.seed: result.violations for result in results if result.violations} == {}
    assert sum(result.fenced for result in results) > 0, "no stale write was refused: the fences were never tried"
    assert sum(len(result.faults) for result in results) > PORTION


@pytest.mark.parametrize("name", exhaustive.scenes())
def test_no_single_fault_at_any_boundary_breaks_anything(name: str) -> None:
    scene, _ = exhaustive.scenes()[name]
    with cheap():
        count = exhaustive.enumerate_all(scene, 1)
    assert count.schedules > 35
    assert count.bad == []


def test_the_enumeration_as_a_command_plays_each_schedule_once(capsys: pytest.CaptureFixture[str]) -> None:
    scene, _ = exhaustive.scenes()["file target"]
    with cheap():
        listed = list(exhaustive.schedules(scene, 1))
    assert len(set(listed)) == len(listed)
    assert command.enumerate_scenes(1, 1, "file target") == 0
    assert f"file target: {len(listed)} schedules of at most 1 faults, 0 bad" in capsys.readouterr().out


def test_a_scene_that_there_is_not_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.enumerate_scenes(1, 1, "no such") == 2
    assert "onboarding" in capsys.readouterr().out


@pytest.mark.parametrize(("seed", "pair"), history.kept_seeds())
def test_a_seed_that_once_failed_fails_no_more(seed: int, pair: str) -> None:
    with cheap():
        assert history.once_more(seed, pair) == []


def test_a_seed_is_the_same_history_in_any_process() -> None:
    code = (
        "from tests.simulation.__main__ import digests; import json; print(json.dumps(digests([7, 8]), sort_keys=True))"
    )
    told = set()
    for salt in ("1", "2"):
        env = {**os.environ, "PYTHONHASHSEED": salt, "PYTHONPATH": os.pathsep.join(("shared", "."))}
        out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
        told.add(out.stdout)
    assert len(told) == 1


def test_what_is_remembered_changes_no_history() -> None:
    plain = [history.play(seed, coverage.focus(seed)).digest for seed in (2, 13, 36)]
    with cheap():
        assert [history.play(seed, coverage.focus(seed)).digest for seed in (2, 13, 36)] == plain


# --- the checker is checked: it must see what is broken ----------------------------------------------------------
class Calm:
    """Nothing ever goes wrong."""

    def draw(self, n: int, label: str, kinds: tuple[str, ...], now: float) -> Fate:
        return Fate()


def settled() -> World:
    world = World(Calm(), CALM)
    with cheap(), targets_of(world):
        for kind in ("invoice", "payment"):
            world.link(events.stripe(0, kind, False))
            world.deliver(0.0, events.stripe(0, kind, False))
        world.hub.at(30.0, world.tick)
        assert world.hub.run(3600.0, world.rests)
        world.hub.close()
    return world


def test_the_checker_is_content_with_a_calm_history() -> None:
    assert check.check(settled()) == []


def test_the_checker_sees_a_document_that_is_booked_twice_or_not_at_all() -> None:
    world = settled()
    book = world.books["netsuite:acme"]
    book.effects.append(book.effects[0])
    assert any(found.startswith("I2") for found in check.check(world))
    book.effects.clear()
    assert any(found.startswith("I1") for found in check.check(world))
    assert any(found.startswith("I3") for found in check.check(world))


def test_the_checker_sees_another_amount_and_another_order() -> None:
    world = settled()
    first, second = world.books["netsuite:acme"].effects
    first.at, second.at = second.at, first.at
    assert any(found.startswith("I4") for found in check.check(world))
    first.total = (first.total or 0) + 1
    assert any(found.startswith("I5") for found in check.check(world))


def test_the_checker_sees_a_line_that_was_changed_or_left_out() -> None:
    world = settled()
    item = next(item for item in world.postings() if item["kind"] == "payment")
    kept = item["history"]
    item["history"] = [kept[0], {**kept[1], "by": "somebody"}, *kept[2:]]
    assert any(found.startswith("I15") for found in check.check(world))
    item["history"] = kept[:-1]
    assert any(found.startswith("I15") for found in check.check(world))


@pytest.mark.parametrize("mutant", mutants.MUTANTS, ids=lambda mutant: mutant.name)
def test_each_kept_bug_still_has_its_place_in_the_source(mutant: mutants.Mutant) -> None:
    for module, old, new in mutant.edits:
        source = (mutants.SHARED / f"{module.replace('.', '/')}.py").read_text()
        assert old in source, f"{module} no longer says: {old}"
        compile(source.replace(old, new), module, "exec")


def test_nothing_in_doubt_is_sent_to_a_blind_target_again() -> None:
    with cheap():
        result = history.play(128, ("post.wire.put", "lost_answer"))
    assert history.plan(128, ("post.wire.put", "lost_answer")).setting.erp is Finds.BLIND
    assert ("post.wire.put", "lost_answer") in result.struck
    assert result.violations == []


def test_the_checker_sees_a_write_within_a_pause_that_its_run_had_read_of() -> None:
    world = settled()
    (at, worker), *_ = world.books["netsuite:acme"].begun
    assert worker.read_at is not None
    over = ledger.stamp(START + timedelta(seconds=at + 1))
    world.table.pauses.append((worker.read_at + 0.001, "B#netsuite:acme", over))
    assert check.check(world) == []  # booked after the run had read: it may not know
    world.table.pauses.append((worker.read_at - 0.001, "B#netsuite:acme", over))
    assert any(found.startswith("I12") for found in check.check(world))
