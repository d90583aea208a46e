"""Every mapping does what its examples say; `make accept` rewrites them and the diff is the review."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.accept import Example, Turned, examples, outcome, rewrite, same
from tieout import mappings, tables
from tieout.core.parse import read_json

ALL = list(examples())


@pytest.mark.parametrize("example", ALL, ids=lambda example: example.name)
def test_a_mapping_makes_what_its_example_says(example: Example) -> None:
    said = example.read()
    expected = {word: said[word] for word in ("makes", "stops_with") if word in said}
    made = outcome(example)
    assert same(made, expected), f"{example.name} makes {made}; if that is right, run: make accept"


@pytest.mark.parametrize("name", mappings.names())
def test_every_mapping_is_sound_and_has_examples_of_making_and_of_stopping(name: str) -> None:
    mapping = mappings.load(name, tables.load().columns())
    ends = {word for example in ALL if example.mapping == name for word in example.read()}
    assert "makes" in ends, f"{name} has no example of what it makes"
    can_stop = mapping.tables or any("optional" not in rule.rule and "from" in rule.rule for rule in mapping.rules)
    assert "stops_with" in ends or not can_stop, f"{name} has no example of what stops it"


def test_accepting_writes_the_outcome_exactly_and_once(tmp_path: Path) -> None:
    mapping = tmp_path / "toy.order"
    (mapping / "examples").mkdir(parents=True)
    (mapping / "mapping.yaml").write_text(
        "version: 1\nowner: x\nmakes: toy.order\nfields:\n  price: {call: decimal, from: object.price}\n", "utf-8"
    )
    path = mapping / "examples" / "usual.json"
    path.write_text('{"why": "a price keeps its zeros", "entity": "US01", "object": {"price": "1.50"}}', "utf-8")
    example = Example("toy.order", path)
    assert rewrite(example, tmp_path)
    assert not rewrite(example, tmp_path)
    assert '"price": 1.50' in path.read_text("utf-8")
    assert same(read_json(path.read_bytes())["makes"], {"price": outcome(example, tmp_path)["makes"]["price"]})
    path.write_text(path.read_text("utf-8").replace("1.50\n", "1.5\n"), "utf-8")
    assert not same(read_json(path.read_bytes())["makes"], outcome(example, tmp_path)["makes"]), "to the last digit"


def test_what_made_something_and_stops_now_is_left_as_it_was(tmp_path: Path) -> None:
    mapping = tmp_path / "toy.order"
    (mapping / "examples").mkdir(parents=True)
    (mapping / "mapping.yaml").write_text(
        "version: 1\nowner: x\nmakes: toy.order\nfields:\n  price: {call: decimal, from: object.price}\n", "utf-8"
    )
    for name, said in (("usual", ""), ("dear", ', "makes": {"price": 9}'), ("new", "")):
        path = mapping / "examples" / f"{name}.json"
        path.write_text(f'{{"why": "it has no price", "entity": "US01", "object": {{"paid": "1"}}{said}}}', "utf-8")
        example = Example("toy.order", path)
        if name == "new":
            assert rewrite(example, tmp_path)
            path.write_text(path.read_text("utf-8").replace('"paid": "1"', '"price": "1"'), "utf-8")
        with pytest.raises(Turned, match=f"toy.order/{name} is to "):
            rewrite(example, tmp_path)
        assert rewrite(example, tmp_path, turn=True)
    assert "makes" in read_json(path.read_bytes())


def test_an_unknown_mapping_is_told_with_a_suggestion() -> None:
    with pytest.raises(ValueError, match=r"no mapping 'netsuite.invioce'; did you mean 'netsuite.invoice'\?"):
        mappings.load("netsuite.invioce", tables.load().columns())
