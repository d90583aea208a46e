"""Checks of each target at its sandbox: what stands well is said to, and each thing that goes wrong is seen."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from infra.local.sandbox import Fault
from infra.local.sandbox.odoo import MODELS
from tests.fakes import World
from tests.integration.systems.conftest import Bench
from tests.integration.systems.law import rig
from tieout import systems
from tieout.core import checkup as values
from tieout.core.checkup import Finding
from tieout.work import checkup

HTTP = [name for name in systems.TARGETS if not systems.target(name).batches]
every_target = pytest.mark.parametrize("name", HTTP)
Look = Callable[[], dict[str, Finding]]


class Place:
    """A world whose secrets and wires are those of the sandboxes; ``off`` puts our clock off."""

    def __init__(self, bench: Bench, name: str) -> None:
        there = rig(name, bench)
        self.bench, self.account, self.off = bench, f"{name}:{there.account}", 0
        self.world = World(lambda system, account: there.wire)
        secrets = {one.split("/")[0]: one for one in bench.sandboxes.secrets()}
        assert name in secrets
        self.secret = dict(bench.sandboxes.secrets()[f"{name}/{there.account}"])
        self.world.secrets.values[name, there.account] = self.secret

    def look(self) -> dict[str, Finding]:
        self.world.time = self.bench.clock
        self.world.later(seconds=self.off)
        return {one.what: one for one in checkup.check(self.world.ports(), self.account)}


@every_target
def test_an_account_in_order_is_found_good_in_everything_that_can_be_seen(bench: Bench, name: str) -> None:
    declared = systems.checks(name)
    assert declared is not None, f"{name} declares no checks"
    found = Place(bench, name).look()
    assert {one.says for one in declared.permissions} <= set(found)
    assert {what: one.said for what, one in found.items() if one.state != "good"} == {}
    assert "clock" in found


@every_target
def test_a_check_changes_nothing(bench: Bench, name: str) -> None:
    place = Place(bench, name)
    before = [dataclasses.astuple(one) for one in bench.sandboxes.books()]
    place.look()
    assert [dataclasses.astuple(one) for one in bench.sandboxes.books()] == before


@every_target
def test_a_clock_that_is_off_by_more_than_the_quiet_period_allows_is_bad(bench: Bench, name: str) -> None:
    place = Place(bench, name)
    place.off = systems.target(name).quiet.clock_skew
    assert place.look()["clock"].state == "good"
    place.off += values.WAY + 1
    assert place.look()["clock"].state == "bad"


@every_target
def test_a_secret_that_lacks_something_is_said_before_anything_is_asked(bench: Bench, name: str) -> None:
    place = Place(bench, name)
    del place.secret["base_url"]
    found = place.look()
    assert set(found) == {"credentials"}
    assert (found["credentials"].state, found["credentials"].said) == ("bad", "the secret lacks base_url")
    place.world.secrets.values.clear()
    assert place.look()["credentials"].said == "there is no secret"


@every_target
def test_what_is_out_of_reach_is_unknown_and_not_bad(bench: Bench, name: str) -> None:
    place = Place(bench, name)
    bench.sandboxes.faults.add(Fault("drop_before", f" /{name}/", times=0))
    assert {one.state for what, one in place.look().items() if what != "credentials"} == {"unknown"}


@every_target
def test_a_permission_that_is_missing_is_bad_and_the_others_are_still_looked_at(
    bench: Bench, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(bench, name)
    declared = systems.checks(name)
    assert declared is not None
    wire = place.world.ports().wire(systems.target(name), "")
    first = declared.permissions[0]
    asked: list[str] = []
    call = wire.call

    def forbidding(method: str, path: str, **more: Any) -> Any:
        asked.append(path)
        answer = call(method, path, **more)
        return dataclasses.replace(answer, status=403) if len(asked) == 1 else answer

    monkeypatch.setattr(wire, "call", forbidding)
    found = place.look()
    assert found[first.says].state == "bad"
    assert {found[one.says].state for one in declared.permissions[1:]} <= {"good"}


def test_a_field_that_the_target_no_longer_knows_is_named(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "account.move", MODELS["account.move"] - {"payment_reference"})
    found = Place(bench, "odoo").look()
    assert found["fields of invoice create"].said == "not known there any more: payment_reference"
    assert found["fields of customer upsert"].state == "good"


def test_an_allowance_that_runs_short_is_a_warning(bench: Bench) -> None:
    place = Place(bench, "salesforce")
    there = bench.sandboxes.salesforce
    there.calls = there.allowance - 3
    found = place.look()["calls of the day"]
    assert (found.state, found.said) == ("warn", f"2 left of {there.allowance}")
