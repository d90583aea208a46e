"""Mapping examples and stored documents: reading them, and what a mapping makes of each.

An example is a JSON file beside its mapping::

    {"why": "a sentence",
     "event": "stripe/invoice.finalized.json"      # a captured event in events/, or
     "object": {...}, "origin": {...}              # a source's object and where it comes from, or
     "document": {"kind": "invoice", ...},         # a document
     "tables": {"customers": {"cus_1": "777"}},    # given tables, and rows that overlay a governed table
     "entity": "US01", "target": "netsuite", "on": "2026-01-31", "ref": "TIE-EXAMPLE",   # all optional
     "makes": {...}} or "stops_with": "code"

A stored document is a JSON file that holds a document alone, or a captured event of a source in a folder of the
source's name. What a posting would know beside it (the customer's id at the target, the parent) is then filled with
marks like ``«customer cus_1»``, the same for every version that is rendered.

Amounts and numbers are exact: the files are read with our strict reader and written without a float.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from tieout import flows, mappings, systems, tables
from tieout.contract import Read
from tieout.core import documents
from tieout.core.changes import Outcome
from tieout.core.clocks import EventInstant
from tieout.core.documents import KINDS, Booked, Document, Opportunity, Part
from tieout.core.lookup import GIVEN, VALUE, Row, Table, View
from tieout.core.mapping import CompiledMapping, Lineage, Origin
from tieout.core.money import Money
from tieout.core.parse import read_json
from tieout.core.rules import onboarding
from tieout.core.verdicts import NeedsHuman, Verdict

EVENTS: Final = Path(__file__).parents[3] / "events"
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
Said = Mapping[str, Any]
"""What an example file says."""


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
        return checked(self.name, read_json(self.path.read_bytes()))


def checked(name: str, said: Any) -> dict[str, Any]:
    """An example's words, known and complete, or `ValueError`."""
    if not isinstance(said, dict):
        raise ValueError(f"{name}: an example is a JSON object")
    strange = said.keys() - set(WORDS)
    if strange:
        raise ValueError(f"{name}: unknown {', '.join(sorted(strange))}")
    if sum(word in said for word in INPUTS) != 1 or not said.get("why"):
        raise ValueError(f"{name}: needs 'why' and one of {', '.join(INPUTS)}")
    return said


def examples(home: Path = mappings.HOME) -> Iterator[Example]:
    """Every example of every mapping."""
    for name in mappings.names(home):
        yield from of_mapping(name, home)


def of_mapping(name: str, home: Path = mappings.HOME) -> Iterator[Example]:
    """Every example of one mapping."""
    for path in sorted((home / name / "examples").glob("*.json")):
        yield Example(name, path)


def outcome(example: Example, home: Path = mappings.HOME) -> dict[str, Any]:
    """What the mapping does with the example's input: ``{"makes": ...}`` or ``{"stops_with": code}``."""
    governed = tables.load()
    made = run(example.read(), mappings.load(example.mapping, governed.columns(), home), governed)
    return {"stops_with": made.stops_with} if made.stops_with else {"makes": made.makes}


def run(said: Said, mapping: CompiledMapping, governed: tables.Tables) -> Outcome:
    """What one version of a mapping does with an input."""
    try:
        scope, view = prepared(said, mapping, governed)
        if mapping.kind is None:
            return Outcome(makes=_read_back(mapping.render(scope, view)))
        doc = mapping.document(scope, view)
        documents.prove_totals(doc)
        return Outcome(makes=read_json(documents.dump(doc)))
    except Verdict as verdict:
        return Outcome(stops_with=verdict.code)


def explained(said: Said, mapping: CompiledMapping, governed: tables.Tables) -> tuple[Lineage, ...]:
    """Why each output field has its value. Raises the verdict that the mapping stops with."""
    return mapping.lineage(*prepared(said, mapping, governed))


def total(said: Said, mapping: CompiledMapping, governed: tables.Tables) -> tuple[Money | None, str]:
    """The amount that hangs on an input, and the currency of its document; nothing where it cannot be known."""
    try:
        doc = (
            _document(said["document"]) if "document" in said else mapping.document(*prepared(said, mapping, governed))
        )
    except (Verdict, TypeError):
        return None, ""
    amount = documents.total(doc)
    return amount, str(getattr(doc, "currency", None) or (amount.currency if amount else ""))


def same(one: Any, other: Any) -> bool:
    """Whether two outcomes are equal to the last digit (``2.0`` is not ``2.00``)."""
    return spell(one, sort=True) == spell(other, sort=True)


def spell(value: Any, *, sort: bool = False) -> str:
    """JSON for people, two spaces deep, decimals as exact number literals."""

    def exact(one: Any) -> Any:
        if isinstance(one, Decimal):
            return f"\u0000{one:f}\u0000"
        if isinstance(one, Part):
            return exact(one.model_dump(mode="json", exclude_defaults=True))
        raise TypeError(f"{type(one).__name__} in an example")

    text = json.dumps(value, indent=2, ensure_ascii=False, sort_keys=sort, default=exact)
    return re.sub(r'"\\u0000(-?[0-9.]+)\\u0000"', r"\1", text)


# -- a corpus: examples, stored documents, captured events ---------------------------------------------------------


def corpus(mapping: CompiledMapping, folder: Path | None, governed: tables.Tables) -> list[tuple[str, Said]]:
    """Inputs of a mapping by their names: the files of a folder; without one, its own examples and ``events/``.

    Raises `ValueError` for a file that is neither an example nor a document nor an event.
    """
    if folder is not None:
        paths = sorted(path for path in folder.rglob("*.json") if not path.name.endswith(".apigw.json"))
        return [found for path in paths for found in stored(path, mapping, governed)]
    own = [(example.name, example.read()) for example in of_mapping(mapping.name)]
    captured = [path for source in systems.SOURCES for path in sorted((EVENTS / source).glob("*.json"))]
    events = [path for path in captured if not path.name.endswith(".apigw.json")]
    return own + [found for path in events for found in stored(path, mapping, governed)]


def stored(path: Path, mapping: CompiledMapping, governed: tables.Tables) -> Iterator[tuple[str, Said]]:
    """The inputs that a file holds for a mapping; an event or document of another kind holds none."""
    name = f"{path.parent.name}/{path.stem}"
    body = path.read_bytes()
    try:
        said = read_json(body)
    except NeedsHuman:
        said = {}  # some sources send a list of events, or no JSON at all: theirs to read
    if "why" in said:
        yield name, checked(name, said)
    elif isinstance(said.get("kind"), str) and said["kind"] in KINDS:
        if said["kind"] in kinds(mapping):
            yield name, _with_marks(said)
    elif path.parent.name in systems.SOURCES:
        for read in systems.source(path.parent.name).read(body):
            yield from ((name, one) for one in _of_event(path.parent.name, read, mapping, governed))
    else:
        raise ValueError(f"{name}: neither an example, nor a document, nor an event in a folder of its source's name")


def kinds(mapping: CompiledMapping) -> set[str]:
    """The kinds of document that a target posts by this mapping."""
    system = mapping.name.partition(".")[0]
    if mapping.kind is not None or system not in systems.TARGETS:
        return set()
    actions = systems.target(system).actions
    return {kind for (kind, _), action in actions.items() if action.mapping == mapping.name}


def _of_event(source: str, read: Read, mapping: CompiledMapping, governed: tables.Tables) -> Iterator[Said]:
    flow = flows.match(source, read.type)
    if flow is None:
        return
    account = _account(source, read, governed)
    said: dict[str, Any] = {
        "object": read.object,
        "account": account,
        "origin": {
            "event_id": read.event_id, "event_type": read.type, "source_id": read.object_id,
            "version": read.object_version or 0, "event_instant": EventInstant(read.occurred).iso,
        },
    }  # fmt: skip
    if read.entity:
        said["entity"] = read.entity
    if mapping.kind is not None:
        if flow.reads == mapping.name:
            yield {**said, "origin": {**said["origin"], "source": source}}
        return
    reading = mappings.load(flow.reads, governed.columns())
    try:
        doc = reading.document(*prepared(said, reading, governed))
        for one in _parts(doc):
            if one.kind in kinds(mapping):
                yield _with_marks({"kind": one.kind, **read_json(documents.dump(one))})
    except Verdict:
        return  # an event that makes no document concerns the mapping that reads it, not this one


def _parts(doc: Document) -> Sequence[Document]:
    """The document, and those that a flow of several steps makes of it."""
    if isinstance(doc, Opportunity):
        return doc, onboarding.customer_of(doc), onboarding.subscription_of(doc)
    return (doc,)


def _account(source: str, read: Read, governed: tables.Tables) -> str:
    """The account of a captured event: that of the entity with its currency (bodies do not name the account)."""
    rows = [row for row in governed.tables["source_accounts"].rows if row.key.startswith(f"{source}:")]
    unit = str(read.object.get("currency", "")).upper()
    fits = [row for row in rows if governed.entity(str(row.cells[VALUE])).currency == unit] or rows
    return fits[0].key.partition(":")[2] if fits else "unknown"


def _with_marks(fields: Mapping[str, Any]) -> Said:
    """A document alone, with marks for what the ledger would know of its customer and parent."""
    doc = _document(fields)
    party, above = documents.party_of(doc), documents.parent_of(doc)
    scope: dict[str, Any] = {"target": {"system": "target", "account": "acme"}, "now": f"{DAY}T12:00:00Z"}
    if doc.kind != "customer":
        customer = f"customer {party}"
        scope["customer"] = {"canonical": party, "ref": f"«ref of {customer}»", "remote": f"«{customer}»"}
    number = above[1] if above else doc.source_id
    scope["parent"] = {"ref": f"«ref of {number}»", "remote": f"«{number}»", "number": number, "source_id": number}
    return {"document": dict(fields), "scope": scope, "links": True}


# -- from what a file says to what a mapping reads ------------------------------------------------------------------


def prepared(said: Said, mapping: CompiledMapping, governed: tables.Tables) -> tuple[dict[str, Any], View]:
    """The scope and the tables that a mapping would see."""
    scope, entity, on = _scope(said, mapping, governed)
    return scope, _view(said, scope, governed, mapping, entity, on)


def _scope(said: Said, mapping: CompiledMapping, governed: tables.Tables) -> tuple[dict[str, Any], str, date]:
    scope: dict[str, Any] = {"ref": said.get("ref", REF), **said.get("scope", {})}
    if "document" in said:
        doc = _document(said["document"])
        on = doc.posting_date.value if isinstance(doc, Booked) else DAY
        return {**scope, doc.kind: doc}, said.get("entity", doc.entity), _on(said, on)
    origin, found = _origin(said, mapping, governed)
    return {**scope, "object": found, "origin": origin}, origin.entity, _on(said, origin.event_instant.value.date())


def _on(said: Said, on: date) -> date:
    return date.fromisoformat(said["on"]) if "on" in said else on


def _document(fields: Mapping[str, Any]) -> Document:
    rest = {name: value for name, value in fields.items() if name != "kind"}
    return documents.load(str(fields["kind"]), spell(rest).encode())


def _origin(said: Said, mapping: CompiledMapping, governed: tables.Tables) -> tuple[Origin, Mapping[str, Any]]:
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


def _view(
    said: Said, scope: Mapping[str, Any], governed: tables.Tables, mapping: CompiledMapping, entity: str, on: date
) -> View:
    rows: Mapping[str, Mapping[str, Any]] = said.get("tables", {})
    overlaid = dict(governed.tables)
    for name, held in rows.items():
        if name not in GIVEN:
            fresh = [Row(key, cells if isinstance(cells, dict) else {VALUE: cells}) for key, cells in held.items()]
            columns = governed.tables[name].columns if name in governed.tables else (VALUE,)
            overlaid[name] = Table(name, fresh, owner="example", version="example", columns=columns)
    target = said.get("target") or (mapping.makes.partition(".")[0] if mapping.kind is None else None)
    given: dict[str, dict[str, Any]] = {name: dict(held) for name, held in rows.items() if name in GIVEN}
    if said.get("links"):
        for name, key in mapping.wants(scope):
            given.setdefault(name, {}).setdefault(key, f"«{name} {key}»")
    return View(overlaid, on=on, entity=entity, target=target, given=given)


def _read_back(payload: Any) -> Any:
    return json.loads(spell(payload), parse_float=Decimal)
