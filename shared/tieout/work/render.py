"""Where governed data meets the verbs: a source's object becomes a document, a document a payload, a role a target."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tieout import mappings, tables
from tieout.contract import Read, Target
from tieout.core import documents, gates, late, ledger
from tieout.core.clocks import EventInstant, document_date_at
from tieout.core.documents import Booked, Document
from tieout.core.keys import Key
from tieout.core.lookup import VALUE, Cell, View
from tieout.core.mapping import CompiledMapping, Lineage, Origin
from tieout.core.nodes import GovernanceError
from tieout.core.routing import Decision
from tieout.core.verdicts import NeedsHuman, NotYet
from tieout.core.writes import Item
from tieout.tables import Tables
from tieout.work import make
from tieout.work.ports import Ports


@dataclass(frozen=True)
class Rendered:
    """A request ready to be recorded and sent, and what it was made by."""

    payload: bytes
    mapping: str
    sha256: str
    lateness: late.Decision | None = None


def tables_now(ports: Ports) -> Tables:
    """The governed tables as they hold now: this release's, with approved changes over them.

    Raises `NotYet` ``table_change_unusable`` where an approved change does not fit this release: nothing is posted by
    tables of which a part was left out.
    """
    try:
        return ports.tables() if ports.tables else tables.load()
    except GovernanceError as error:
        wrong = error.mistakes[0]
        raise NotYet("table_change_unusable", str(error), gate="tables", what=wrong.message, table=wrong.file) from None


def compiled(name: str) -> CompiledMapping:
    """A mapping, checked against the tables of this release and compiled once."""
    return mappings.load(name, tables.load().columns())


def document(mapping: str, read: Read, source: str, account: str, known: Tables | None = None) -> Document:
    """The document that an event's object makes, for the entity that sells through that account.

    By the tables `known` (`tables_now`), or this release's. Raises ``NeedsHuman`` or ``NotYet`` with a code.
    """
    known = known or tables.load()
    day = read.occurred.date()
    entity = known.entity(read.entity) if read.entity else known.entity_of(source, account, day)
    origin = Origin(
        source=source,
        account=account,
        event_id=read.event_id,
        event_type=read.type,
        source_id=read.object_id,
        version=read.object_version or 0,
        event_instant=EventInstant(read.occurred),
        entity=entity.code,
        zone=entity.zone,
    )
    view = known.view(day, entity=entity.code)
    return compiled(mapping).document({"object": read.object, "origin": origin}, view)


def decide(role: str, kind: str, doc: Document) -> Decision:
    """Which target account takes a document, and why: by its entity, kind and document date."""
    known = tables.load()
    if isinstance(doc, Booked):
        day = doc.document_date.value
    else:
        day = document_date_at(doc.event_instant, known.entity(doc.entity).zone).value
    return known.route(entity=doc.entity, kind=kind, on=day, role=role)


def route(role: str, kind: str, doc: Document) -> str:
    """The target account (``system:account``) that takes a document."""
    return decide(role, kind, doc).route.target


def route_if_any(role: str, kind: str, doc: Document) -> str | None:
    """The same for a role that is off where no row says otherwise."""
    if all(row.role != role for row in tables.load().routes):
        return None
    try:
        return route(role, kind, doc)
    except NeedsHuman as verdict:
        if verdict.code != "no_route":
            raise
        return None


def lateness(ports: Ports, posting: Item) -> late.Decision | None:
    """What the late document policy says about a posting; ``None`` where its kind has no posting date.

    Raises `NotYet` ``period_not_in_calendar`` and `NeedsHuman` ``late_rule_missing``.
    """
    if not posting.get("posting_date"):
        return None
    doc = make.unpack(posting)
    if not isinstance(doc, Booked):
        return None
    known = tables_now(ports)
    entity = known.entity(doc.entity)
    view = known.view(doc.posting_date.value, entity=doc.entity)
    calendar = known.calendars.get(doc.entity)
    if calendar is None:
        raise NotYet("period_not_in_calendar", entity=doc.entity, posting_date=doc.posting_date.iso, gate="period")
    return late.decide_for(doc, calendar, late.rule_for(view, doc.kind, entity.currency))


def rules(ports: Ports, posting: Item) -> gates.Rules:
    """What residency, ownership and limits say today about a posting, for its gates.

    By the day it is asked, not the document's: what matters is who may do what now.
    """
    known = tables_now(ports)
    view = known.view(ports.now().date(), entity=posting["entity"])

    def cell(table: str, key: str, column: str = VALUE) -> Cell:
        return view.value(table, key, column) if table in known.tables else None

    fence = cell("residency", posting["entity"]) if cell("residency", posting["entity"], "fenced") else None
    owner = cell("ownership", posting["kind"]) if cell("ownership", posting["kind"], "other") == "case" else None
    # What follows an acceptance was let through with it: the same amount is not asked a second time.
    limit = None if posting.get("after") else cell("limits", f"{posting['kind']}:{posting.get('currency')}")
    return gates.Rules(
        fence=str(fence) if fence else None,
        owner=str(owner) if owner else None,
        limit=limit if isinstance(limit, int) else None,
    )


def dated(ports: Ports, posting: Item, decided: late.Decision | None = None) -> tuple[Document, late.Decision | None]:
    """The document of a posting under the posting date that the policy gives it; document date and tax point stay.

    ``decided`` is what :func:`lateness` has said already, where the caller has asked it.
    """
    doc = make.unpack(posting)
    decision = decided if decided is not None else lateness(ports, posting)
    if decision is not None and decision.action is late.Action.REDATE and isinstance(doc, Booked):
        doc = late.redated(doc, decision)
    return doc, decision


def scope(
    ports: Ports,
    view: Mapping[Key, Item | None],
    posting: Item,
    target: Target,
    decided: late.Decision | None = None,
) -> dict[str, Any]:
    """What a payload mapping may read: the document by its kind, our reference, target, customer and parent.

    ``customer`` is the customer's link at the target (of a customer itself, the document); ``parent`` is the posting
    that this one waits for, or undoes; ``booked`` is the acceptance that it follows.
    """
    doc, _ = dated(ports, posting, decided)
    system, _, account = posting["target"].partition(":")
    values: dict[str, Any] = {
        doc.kind: doc,
        "ref": posting["ref"],
        "target": {"system": system, "account": account},
        "now": ports.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    for pk, sk in posting.get("reads", ()):
        item = view.get(Key(pk, sk)) or {}
        if pk.startswith("X#customer#") and item and doc.kind != "customer":
            canonical = item["canonical"]
            values["customer"] = {
                "canonical": canonical,
                "ref": target.reference.of(f"customer/{canonical}"),
                "remote": item[f"at:{posting['target']}"],
            }
        elif pk.startswith("P#") and item and item["key"] == posting.get("after"):
            values["booked"] = {
                "target": item["target"],
                "remote": item.get("remote"),
                "number": item.get("remote_number"),
                "posting_date": item.get("posting_date"),
                "status": ledger.SHOWN[item["state"]],
            }
        elif pk.startswith("P#") and item:
            values["parent"] = {
                "ref": item["ref"],
                "remote": item.get("remote"),
                "number": item.get("number") or item["source_id"],
                "source_id": item["source_id"],
                **({"taxed": item["taxed"]} if "taxed" in item else {}),
                "applied": bool(item.get("applied")),
            }
    return values


def given(values: Mapping[str, Any], doc: Document) -> dict[str, dict[str, str]]:
    """The ledger's links as the tables that a mapping may look into."""
    known: dict[str, dict[str, str]] = {}
    party, above = documents.party_of(doc), values.get("parent")
    link = values.get("customer")
    if party and isinstance(link, dict):
        known["customers"] = {party: link["remote"]}
    if above and above.get("remote"):
        known["invoices"] = {above["source_id"]: above["remote"]}
    return known


def render(
    ports: Ports,
    view: Mapping[Key, Item | None],
    posting: Item,
    target: Target,
    decided: late.Decision | None = None,
) -> Rendered:
    """The request for a posting, as bytes. Raises the mapping's verdict: an unmapped value holds.

    ``decided`` is what :func:`lateness` has said already, so that a posting is judged once.
    """
    if decided is None:
        decided = lateness(ports, posting)
    action = target.actions[posting["kind"], posting["action"]]
    values = scope(ports, view, posting, target, decided)
    payload: dict[str, Any] = {}
    stamp = "none"
    if action.mapping is not None:
        mapping = compiled(action.mapping)
        tables_seen = _view(ports, posting, values, target.name)
        payload = mapping.render(values, tables_seen)
        stamp = ";".join(f"{name}={version}" for name, version in mapping.stamp(tables_seen).items())
    request = target.build(posting["kind"], posting["action"], posting["ref"], payload)
    return Rendered(request, stamp, hashlib.sha256(request).hexdigest(), decided)


def question(ports: Ports, doc: Document, mapping: str, system: str) -> Mapping[str, Any]:
    """What a target is asked about a document, by today's tables. Raises the mapping's verdict."""
    known = tables_now(ports)
    view = known.view(ports.now().date(), entity=doc.entity, target=system)
    return compiled(mapping).render({doc.kind: doc}, view)


def lineage(ports: Ports, view: Mapping[Key, Item | None], posting: Item, target: Target) -> tuple[Lineage, ...]:
    """Why each field of the payload has its value; empty once the ledger no longer keeps the document."""
    action = target.actions[posting["kind"], posting["action"]]
    if action.mapping is None or "doc" not in posting:
        return ()
    values = scope(ports, view, posting, target)
    return compiled(action.mapping).lineage(values, _view(ports, posting, values, target.name))


def _view(ports: Ports, posting: Item, values: Mapping[str, Any], system: str) -> View:
    doc = values[posting["kind"]]
    day = doc.document_date.value if isinstance(doc, Booked) else doc.event_instant.value.date()
    return tables_now(ports).view(day, entity=posting["entity"], target=system, given=given(values, doc))
