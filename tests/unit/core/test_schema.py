"""The published schema of each kind: it takes what we write, refuses what we refuse, and does not change silently."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from infra import documents as derived
from tests.unit.core.test_documents import ALL
from tieout.core import documents
from tieout.core.documents import Document, Refund
from tieout.core.documents.schema import breaks, schema

by_kind = pytest.mark.parametrize("doc", ALL, ids=lambda doc: doc.kind)


@cache
def checker(kind: str) -> Any:
    made = schema(documents.KINDS[kind])
    jsonschema.Draft202012Validator.check_schema(made)
    return jsonschema.Draft202012Validator(made)


@by_kind
def test_what_is_written_is_sound_by_its_schema(doc: Document) -> None:
    assert list(checker(doc.kind).iter_errors(json.loads(documents.dump(doc)))) == []


@by_kind
def test_a_field_nobody_knows_and_a_needed_one_that_is_missing_are_refused_by_it(doc: Document) -> None:
    body = json.loads(documents.dump(doc))
    assert not checker(doc.kind).is_valid(body | {"status_": "POSTED"})
    for name in schema(type(doc))["required"]:
        assert not checker(doc.kind).is_valid({key: value for key, value in body.items() if key != name})


@by_kind
def test_every_field_and_every_definition_says_what_it_means(doc: Document) -> None:
    made = schema(type(doc))
    parts = [made, *made["$defs"].values()]
    assert all(part["description"] for part in parts)
    for part in made["$defs"].values():
        if part["description"].startswith("An exact amount"):
            continue
        assert all(field.get("description") for field in part.get("properties", {}).values())


OLD = schema(Refund)


def changed(edit: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    new = copy.deepcopy(OLD)
    edit(new)
    return new


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda new: new["properties"].pop("reason"), "reason is gone"),
        (lambda new: new["required"].append("reason"), "reason is needed now"),
        (lambda new: new["properties"]["source_id"].update(type="integer"), "source_id is of another type"),
        (lambda new: new["properties"]["source_id"].update(maxLength=20), "source_id is of another type"),
        (lambda new: new["properties"]["state"]["enum"].remove("failed"), "state is of another type"),
        (lambda new: new["properties"].update(amount={"$ref": "#/$defs/Currency"}), "amount is of another type"),
        (lambda new: new["$defs"]["ExchangeRate"]["properties"].pop("source"), "ExchangeRate.source is gone"),
    ],
)
def test_a_change_that_breaks_a_reader_is_named(edit: Callable[[dict[str, Any]], object], said: str) -> None:
    assert breaks(OLD, changed(edit)) == [said]


@pytest.mark.parametrize(
    "edit",
    [
        lambda new: new["properties"].update(note={"type": "string"}),
        lambda new: new["properties"]["reason"].update(description="other words"),
        lambda new: new["properties"]["state"]["enum"].append("reversed"),
        lambda new: new["required"].remove("amount"),
        lambda new: new["properties"].update(source_id={"anyOf": [OLD["properties"]["source_id"], {"type": "null"}]}),
    ],
)
def test_a_change_that_only_takes_more_breaks_nothing(edit: Callable[[dict[str, Any]], object]) -> None:
    assert breaks(OLD, changed(edit)) == []


def test_a_published_version_is_neither_changed_nor_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / derived.HOME
    home.mkdir(parents=True)
    published = changed(lambda new: new["properties"].update(colour={"type": "string"}))
    (home / "refund.v1.json").write_text(json.dumps(published), "utf-8")
    with pytest.raises(ValueError, match="raise schema_version of refund: colour is gone"):
        derived.schemas(tmp_path)
    monkeypatch.setattr(Refund, "schema_version", 2)
    files = derived.schemas(tmp_path)
    assert "colour" in files["docs/schemas/refund.v1.json"]
    assert "urn:tieout:document:refund:2" in files["docs/schemas/refund.v2.json"]


def test_the_page_names_every_field_of_every_kind() -> None:
    page = derived.page()["docs/documents.md"]
    for doc in ALL:
        section = page.split(f"\n## {doc.kind}\n")[1].split("\n## ")[0]
        assert [name for name in type(doc).model_fields if f"`{name}`" not in section] == []
