"""The guide `docs/adding-a-mapping.md` is true: its mapping, example, mistakes and table all do what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from infra.accept import Example, outcome, same
from tieout import mappings, tables
from tieout.core.mapping import VERBS
from tieout.core.nodes import GovernanceError

GUIDE = (Path(__file__).parents[2] / "docs" / "adding-a-mapping.md").read_text("utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", GUIDE, re.DOTALL)
MAPPING, TABLE = [text for kind, text in BLOCKS if kind == "yaml"]
[EXAMPLE] = [text for kind, text in BLOCKS if kind == "json"]
MISTAKES = next(text for kind, text in BLOCKS if not kind and "did you mean" in text)


def lay_out(home: Path, text: str) -> None:
    (home / "netsuite.deposit" / "examples").mkdir(parents=True)
    (home / "netsuite.deposit" / "mapping.yaml").write_text(text, "utf-8")
    (home / "netsuite.deposit" / "examples" / "usual.json").write_text(EXAMPLE, "utf-8")


def test_the_guides_mapping_makes_what_its_example_says(tmp_path: Path) -> None:
    lay_out(tmp_path, MAPPING)
    example = Example("netsuite.deposit", tmp_path / "netsuite.deposit" / "examples" / "usual.json")
    assert same(outcome(example, tmp_path), {"makes": example.read()["makes"]})


def test_the_guides_mistakes_are_told_as_it_says(tmp_path: Path) -> None:
    text = MAPPING
    for right, wrong in (("posting_date", "posting_dat"), ("currencies", "curencies"), (".amount.decimal", ".amount")):
        assert right in text
        text = text.replace(right, wrong, 1)
    lay_out(tmp_path, text)
    with pytest.raises(GovernanceError) as told:
        mappings.load("netsuite.deposit", tables.load().columns(), tmp_path)
    assert str(told.value).strip() == MISTAKES.strip()


def test_the_guides_table_loads_among_ours(tmp_path: Path) -> None:
    for path in tables.HOME.glob("*.yaml"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "currencies.yaml").write_text(TABLE, "utf-8")
    assert len(tables.load(tmp_path).tables["currencies"].rows) == 3


def test_the_guide_shows_every_verb() -> None:
    assert all(f"`{verb}: " in GUIDE for verb in VERBS)
