"""Every system says of each of the ten rules whether it is kept, and the list is the guide's own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tieout import systems

ROOT = Path(__file__).parents[3]
ROW = re.compile(r"^\| (\d+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)


def rules() -> list[tuple[str, str]]:
    """Number and name of each rule of the guide."""
    text = (ROOT / "docs" / "adding-a-system.md").read_text("utf-8").partition("## The ten rules")[2]
    return re.findall(r"^(\d+)\. \*\*([^*]+?)\.?\*\*", text, re.MULTILINE)


def first_words(text: str) -> str:
    """What a rule is known again by, however its sentence goes on."""
    return " ".join(re.findall(r"\w+", text.lower())[:3])


def test_there_are_ten() -> None:
    assert [number for number, _ in rules()] == [str(number) for number in range(1, 11)]


@pytest.mark.parametrize("name", systems.SYSTEMS)
def test_a_system_answers_to_each_rule(name: str) -> None:
    text = (ROOT / "shared" / "tieout" / "systems" / name / "README.md").read_text("utf-8")
    rows = ROW.findall(text)
    said = [(number, first_words(rule)) for number, rule, _ in rows]
    assert said == [(number, first_words(rule)) for number, rule in rules()]
    for number, _, state in rows:
        assert re.match(r"done\b|todo: .+|exempt because .+", state.strip()), f"{name}, rule {number}: {state}"
