"""Mapping examples: runs them, and rewrites what they expect (`make accept`); the diff is the review.

An example is a JSON file beside its mapping::

    {"why": "a sentence",
     "event": "stripe/invoice.finalized.json"      # a captured event in events/, or
     "object": {...}, "origin": {...}              # a source's object and where it comes from, or
     "document": {"kind": "invoice", ...},         # a document
     "tables": {"customers": {"cus_1": "777"}},    # given tables, and rows that overlay a governed table
     "entity": "US01", "target": "netsuite", "on": "2026-01-31", "ref": "TIE-EXAMPLE",   # all optional
     "makes": {...}} or "stops_with": "code"

Amounts and numbers are exact: the files are read with our strict reader and written without a float.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from tieout import mappings, systems, tables
from tieout.core import documents
from tieout.core.clocks import EventInstant
from tieout.core.documents import Booked, Document, Part
from tieout.core.lookup import GIVEN, VALUE, Row, Table, View
from tieout.core.mapping import CompiledMapping, Origin
from tieout.core.parse import read_json
from tieout.core.verdicts import Verdict

EVENTS: Final = Path(__file__).parents[1] / "events"
DAY: Final = date(2026, 1, 31)
REF: Final = "TIE-EXAMPLE"
INPUTS: Final = ("event", "object", "document")
WORDS: Final = (
    "why",
    *INPUTS,
    "origin",
    "account",
    "tables",
    "entity",
    "target",
    "on",
    "ref",
    "scope",
    "makes",
    "stops_with",
)


@dataclass(frozen=True)
class Example:
    """One example file of one mapping."""

    mapping: str
    path: Path

    @property
    def name(self) -> str:
        """``netsuite.invoice/usual``."""
        return f"{self.mapping}/{self.path.stem}"

    def read(self) -> dict[str, Any]:
        """What the file says; `ValueError` for a word that has no meaning or an input that is missing."""
        said = read_json(self.path.read_bytes())
        strange = said.keys() - set(WORDS)
        if strange:
            raise ValueError(f"{self.name}: unknown {', '.join(sorted(strange))}")
        if sum(word in said for word in INPUTS) != 1 or not said.get("why"):
            raise ValueError(f"{self.name}: needs 'why' and one of {', '.join(INPUTS)}")
        return said


def examples(home: Path = mappings.HOME) -> Iterator[Example]:
    """Every example of every mapping."""
    for name in mappings.names(home):
        for path in sorted((home / name / "examples").glob("*.json")):
            yield Example(name, path)


def outcome(example: Example, home: Path = mappings.HOME) -> dict[str, Any]:
    """What the mapping does with the example's input: ``{"makes": ...}`` or ``{"stops_with": code}``."""
    said = example.read()
    governed = tables.load()
    mapping = mappings.load(example.mapping, governed.columns(), home)
    try:
        scope, entity, on = _scope(said, mapping, governed)
        view = _view(said, governed, mapping, entity, on)
        if mapping.kind is None:
            return {"makes": _read_back(mapping.render(scope, view))}
        doc = mapping.document(scope, view)
        documents.prove_totals(doc)
        return {"makes": read_json(documents.dump(doc))}
    except Verdict as verdict:
        return {"stops_with": verdict.code}


def same(one: Any, other: Any) -> bool:
    """Whether two outcomes are equal to the last digit (``2.0`` is not ``2.00``)."""
    return _spell(one, sort=True) == _spell(other, sort=True)


def rewrite(example: Example, home: Path = mappings.HOME) -> bool:
    """Write the outcome into the example's file; True when that changed it."""
    said = example.read()
    kept = {word: value for word, value in said.items() if word not in ("makes", "stops_with")}
    text = _spell(kept | outcome(example, home)) + "\n"
    changed = text != example.path.read_text("utf-8")
    if changed:
        example.path.write_text(text, "utf-8")
    return changed


def main() -> int:
    """``python -m infra.accept``: rewrite all expectations and say which changed."""
    parser = argparse.ArgumentParser(description="rewrite the expectations of the mapping examples")
    parser.add_argument("mapping", nargs="?", help="only this mapping")
    wanted = parser.parse_args().mapping
    count = changed = 0
    for example in examples():
        if wanted in (None, example.mapping):
            count += 1
            if rewrite(example):
                changed += 1
                print(f"rewritten: {example.name}")
    print(f"{count} examples, {changed} rewritten; read the diff before you commit it")
    return 0


def _scope(
    said: Mapping[str, Any], mapping: CompiledMapping, governed: tables.Tables
) -> tuple[dict[str, Any], str, date]:
    scope: dict[str, Any] = {"ref": said.get("ref", REF), **said.get("scope", {})}
    if "document" in said:
        doc = _document(said["document"])
        on = doc.posting_date.value if isinstance(doc, Booked) else DAY
        return {**scope, doc.kind: doc}, said.get("entity", doc.entity), _on(said, on)
    origin, found = _origin(said, mapping, governed)
    return {**scope, "object": found, "origin": origin}, origin.entity, _on(said, origin.event_instant.value.date())


def _on(said: Mapping[str, Any], on: date) -> date:
    return date.fromisoformat(said["on"]) if "on" in said else on


def _document(fields: Mapping[str, Any]) -> Document:
    rest = {name: value for name, value in fields.items() if name != "kind"}
    return documents.load(str(fields["kind"]), _spell(rest).encode())


def _origin(
    said: Mapping[str, Any], mapping: CompiledMapping, governed: tables.Tables
) -> tuple[Origin, Mapping[str, Any]]:
    """Where the object comes from: the captured event, or the example's own ``origin`` over plain defaults."""
    source = mapping.name.partition(".")[0]
    known: dict[str, Any] = {
        "source": source, "account": said.get("account", "acct_us"), "event_id": "evt_example", "event_type": "example",
        "source_id": "id_example", "version": 1, "event_instant": "2026-01-31T12:00:00Z",
    }  # fmt: skip
    found = said.get("object", {})
    if "event" in said:
        event = systems.source(source).read((EVENTS / said["event"]).read_bytes())[0]
        found = event.object
        known |= {
            "event_id": event.event_id, "event_type": event.type, "source_id": event.object_id,
            "version": event.object_version or 0, "event_instant": EventInstant(event.occurred).iso,
        }  # fmt: skip
    known |= said.get("origin", {})
    entity = governed.entity(str(said.get("entity") or known.get("entity") or _seller(known, governed)))
    known |= {"entity": entity.code, "zone": entity.zone, "event_instant": EventInstant.parse(known["event_instant"])}
    return Origin(**known), found


def _seller(known: Mapping[str, Any], governed: tables.Tables) -> str:
    return governed.entity_of(known["source"], known["account"], DAY).code


def _view(said: Mapping[str, Any], governed: tables.Tables, mapping: CompiledMapping, entity: str, on: date) -> View:
    rows: Mapping[str, Mapping[str, Any]] = said.get("tables", {})
    overlaid = dict(governed.tables)
    for name, held in rows.items():
        if name not in GIVEN:
            fresh = [Row(key, cells if isinstance(cells, dict) else {VALUE: cells}) for key, cells in held.items()]
            columns = governed.tables[name].columns if name in governed.tables else (VALUE,)
            overlaid[name] = Table(name, fresh, owner="example", version="example", columns=columns)
    target = said.get("target") or (mapping.makes.partition(".")[0] if mapping.kind is None else None)
    given = {name: held for name, held in rows.items() if name in GIVEN}
    return View(overlaid, on=on, entity=entity, target=target, given=given)


def _read_back(payload: Any) -> Any:
    return json.loads(_spell(payload), parse_float=Decimal)


def _spell(value: Any, *, sort: bool = False) -> str:
    """JSON for people, two spaces deep, decimals as exact number literals."""

    def exact(one: Any) -> Any:
        if isinstance(one, Decimal):
            return f"\u0000{one:f}\u0000"
        if isinstance(one, Part):
            return exact(one.model_dump(mode="json", exclude_defaults=True))
        raise TypeError(f"{type(one).__name__} in an example")

    text = json.dumps(value, indent=2, ensure_ascii=False, sort_keys=sort, default=exact)
    return re.sub(r'"\\u0000(-?[0-9.]+)\\u0000"', r"\1", text)


if __name__ == "__main__":
    sys.exit(main())
