"""The gates are a declared list: each raises only what it declares, and what it declares has its sentence."""

from __future__ import annotations

import ast
import inspect
import textwrap
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from tests.fakes import World
from tieout import tables
from tieout.core import gates
from tieout.core.gates import GATES, Gate, Rules, Scene
from tieout.core.overrides import Override
from tieout.core.problems import PROBLEMS
from tieout.core.verdicts import NeedsHuman, NotYet
from tieout.core.writes import Item
from tieout.work import render

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
INVOICE: Item = {"key": "k", "kind": "invoice", "entity": "DE01", "source": "stripe", "region": "us-east-1",
                 "currency": "EUR", "total": 50_000_001}  # fmt: skip


def scene(rules: Rules, **posting: object) -> Scene:
    return Scene(INVOICE | posting, None, {}, None, NOW, "us-east-1", rules=rules)


def raised(gate: Gate) -> set[str]:
    """The codes in a gate's source: every text there that is a code."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(gate.check)))
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return texts & set(PROBLEMS)


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate.name)
def test_a_gate_raises_what_it_declares_and_nothing_else(gate: Gate) -> None:
    assert raised(gate) == set(gate.codes)
    assert all(PROBLEMS[code].sentence for code in gate.codes)
    assert gate.guards
    assert gate.opens


def test_no_code_stands_at_two_gates_and_every_check_of_the_room_is_in_the_list() -> None:
    codes = [code for gate in GATES for code in gate.codes]
    assert len(codes) == len(set(codes))
    checks = {
        name
        for name, thing in inspect.getmembers(gates, inspect.isfunction)
        if thing.__module__ == gates.__name__ and name != "ask" and not name.startswith("_")
    }
    assert {gate.name for gate in GATES} == checks


def test_the_first_gate_that_objects_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def objects(scene: object) -> None:
        asked.append("first")
        raise NeedsHuman("wrong_region", region="x")

    def never(scene: object) -> None:
        asked.append("second")

    monkeypatch.setattr(gates, "GATES", (Gate(objects, (), "", ""), Gate(never, (), "", "")))
    with pytest.raises(NeedsHuman, match="wrong_region"):
        gates.ask(None)  # type: ignore[arg-type]
    assert asked == ["first"]


@pytest.mark.parametrize(
    ("fence", "goes"), [(None, True), ("us", True), ("us-east-1", True), ("eu", False), ("u", False)]
)
def test_a_fenced_entity_is_posted_from_its_own_region_only(fence: str | None, goes: bool) -> None:
    if goes:
        gates.residency(scene(Rules(fence=fence)))
        return
    with pytest.raises(NeedsHuman) as refused:
        gates.residency(scene(Rules(fence=fence)))
    assert (refused.value.code, refused.value.facts["region"]) == ("wrong_region", fence)


def test_a_kind_with_one_system_of_record_is_not_booked_from_anothers_word() -> None:
    gates.ownership(scene(Rules(owner="stripe")))
    gates.ownership(scene(Rules(), source="chargebee"))
    with pytest.raises(NeedsHuman) as refused:
        gates.ownership(scene(Rules(owner="stripe"), source="chargebee"))
    assert refused.value.code == "not_its_owner"
    assert PROBLEMS["not_its_owner"].say(refused.value.facts).count("unknown") == 0


APPROVED = {"by": "ben", "at": "2026-11-24T12:00:00.000Z", "why": "seen the contract", "total": 50_000_001}


@pytest.mark.parametrize(
    ("posting", "goes"),
    [
        ({}, False),
        ({"total": 50_000_000}, True),
        ({"total": -50_000_001}, False),
        ({"total": None}, True),
        ({"approved": APPROVED}, True),
        ({"approved": APPROVED | {"why": ""}}, False),
        ({"approved": {"why": "nobody"}}, False),
        ({"approved": APPROVED, "total": 60_000_000}, False),
    ],
)
def test_an_amount_above_the_limit_waits_for_an_approval_of_that_amount(posting: Item, goes: bool) -> None:
    if goes:
        gates.limits(scene(Rules(limit=50_000_000), **posting))
        return
    with pytest.raises(NotYet) as held:
        gates.limits(scene(Rules(limit=50_000_000), **posting))
    assert held.value.code == "above_limit"
    assert PROBLEMS["above_limit"].say(held.value.facts).count("unknown") == 0


def test_the_rules_come_from_the_tables_as_they_hold_that_day() -> None:
    ports = World().ports()
    assert render.rules(ports, INVOICE) == Rules(limit=50_000_000)
    assert render.rules(ports, INVOICE | {"currency": "JPY"}) == Rules(limit=500_000_000), "the explicit fallback"
    assert render.rules(ports, INVOICE | {"kind": "payout"}).owner == "stripe"
    today = ports.now().date()
    fence = Override("c1", "residency", "DE01", {"value": "eu", "fenced": True}, today)
    later = Override("c2", "limits", "invoice:EUR", {"value": 1}, date(2099, 1, 1), entity="DE01")
    changed = tables.load().overlaid([fence, later])
    assert render.rules(replace(ports, tables=lambda: changed), INVOICE) == Rules(fence="eu", limit=50_000_000)
