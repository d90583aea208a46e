"""The gates are a declared list: each raises only what it declares, and what it declares has its sentence."""

from __future__ import annotations

import ast
import inspect
import textwrap

import pytest

from tieout.core import gates
from tieout.core.gates import GATES, Gate
from tieout.core.problems import PROBLEMS
from tieout.core.verdicts import NeedsHuman


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
        if thing.__module__ == gates.__name__ and name != "ask"
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
