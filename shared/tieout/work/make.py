"""Making postings out of documents: key, lane, reference, what its gates will read, the first write."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from tieout import flows, systems
from tieout.contract import Action
from tieout.core import documents, keys, lanes, ledger
from tieout.core.documents import Document
from tieout.core.verdicts import NeedsHuman
from tieout.core.writes import Change, Item, Put
from tieout.work.ports import Send

#: What a void is to a target that takes no document of its kind back: a posting all the same, for the planner to end
#: unsent with its document, or to stop as a case that says what to do.
NOT_AT_ALL: Final = Action(None, echo=())


@dataclass(frozen=True)
class Origin:
    """Where a posting comes from: the event (its item's key) and who is making it, when."""

    event: str
    correlation: str
    now: datetime
    by: str
    token: str
    region: str


@dataclass(frozen=True)
class Made:
    """One new posting: its put, its place in a lane (``None`` where order does not matter), its message."""

    put: Put
    join: Change | None
    send: Send

    @property
    def key(self) -> str:
        """The posting key."""
        return str(self.put.item["key"])


def pack(doc: Document) -> bytes:
    """The document compressed, as the ledger keeps it."""
    return zlib.compress(documents.dump(doc), 6)


def unpack(posting: Item) -> Document:
    """The document that a posting is about."""
    return documents.load(posting["kind"], zlib.decompress(posting["doc"]))


def identity(doc: Document) -> str:
    """``source:account:id`` of a document; of a customer, its canonical identity."""
    if isinstance(doc, documents.Customer):
        return doc.canonical_id
    return keys.object_id(doc.source, doc.account, doc.source_id)


def customer_link(doc: Document) -> keys.Key | None:
    """The cross-reference of the customer that the document is for; ``None`` where there is none."""
    party = documents.party_of(doc)
    if party is None or isinstance(doc, documents.Customer | documents.Ticket):
        return None
    if isinstance(doc, documents.Subscription | documents.Opportunity):
        return keys.link_item("customer", party)
    return keys.link_item("customer", keys.object_id(doc.source, doc.account, party))


def parent_posting(doc: Document, action: str) -> str | None:
    """Key of the posting that must be accepted before this one."""
    above = documents.parent_of(doc)
    if action == "void":
        above = (doc.kind, doc.source_id)
    if above is None:
        return None
    kind, source_id = above
    flow = next(flow for flow in flows.FLOWS if flow.makes == kind and flow.steps[0].action == "create")
    return keys.posting(kind, keys.object_id(doc.source, doc.account, source_id), "create", flow.steps[0].name)


def reads_of(doc: Document, action: str) -> list[list[str]]:
    """The ledger items that the gates and the rendering of a posting look at."""
    found: list[keys.Key] = []
    above = parent_posting(doc, action)
    if above:
        found.append(keys.posting_item(above))
    link = customer_link(doc)
    if link and not isinstance(doc, documents.Opportunity):
        found.append(link)
    return [list(key) for key in found]


def behind(step: flows.Step, doc: Document, action: str) -> str | None:
    """Key of this step's own posting of the document above; ``None`` where it waits for none."""
    above = parent_posting(doc, action) if step.behind else None
    if above is None:
        return None
    kind, identity, made, _, generation = above.split("/")
    return "/".join((kind, identity, made, keys.part(step.name), generation))


def lane_of(flow: flows.Flow, doc: Document) -> str | None:
    """The lane a document's postings queue in: its invoice's, its customer's; ``None`` where order is free."""
    if flow.lane is None:
        return None
    if flow.lane == "customer":
        return f"customer:{documents.party_of(doc)}"
    above = documents.parent_of(doc)
    source_id = above[1] if above else doc.source_id
    return f"{flow.lane}:{keys.object_id(doc.source, doc.account, source_id)}"


def make(
    flow: flows.Flow,
    step: flows.Step,
    doc: Document,
    target: str,
    origin: Origin,
    *,
    tell: str | None = None,
    action: str | None = None,
    generation: int = 0,
    more: dict[str, Any] | None = None,
    after: Item | None = None,
) -> Made:
    """The posting of ``doc`` at ``step`` of ``flow`` to ``target`` (``system:account``), pinned.

    ``after`` is the accepted posting that this one follows. It is what its gates read in place of the customer's link,
    its order is its own (nothing of the books waits for it), and neither period nor limit is asked twice.
    Raises ``NeedsHuman('route_unable' | 'route_to_source')`` where the route leads to a system that does not offer the
    action (and it is no void), or leads a document of the books to the very account that it came from.
    """
    done = action or step.action
    system = systems.target(target.partition(":")[0])
    if isinstance(doc, documents.Booked) and target == f"{doc.source}:{doc.account}":
        raise NeedsHuman("route_to_source", target=target, kind=doc.kind, entity=doc.entity)
    offered = system.actions.get((doc.kind, done), NOT_AT_ALL if done == "void" and after is None else None)
    if offered is None:
        raise NeedsHuman("route_unable", target=target, action=done, kind=doc.kind)
    who = identity(doc)
    version = doc.version if flow.in_place else None
    key = keys.posting(doc.kind, who, done, step.name, generation, version)
    # An undo acts on what is posted already, in the order its state machine gives; it must not queue behind the very
    # refusal that it answers.
    lane = None if done == "undo" or not step.order else lane_of(flow, doc)
    reads = reads_of(doc, done)
    if after is not None:
        lane = lane and f"{step.role}-{lane}"
        above = behind(step, doc, done)
        reads = [list(keys.posting_item(one)) for one in (after["key"], above) if one]
    amount = documents.total(doc)
    currency = amount.currency if amount else getattr(doc, "currency", None) if "currency" in offered.echo else None
    item: Item = {
        "key": key,
        "kind": doc.kind,
        "action": done,
        "step": step.name,
        "flow": flow.name,
        "source": doc.source,
        "account": doc.account,
        "source_id": doc.source_id,
        "entity": doc.entity,
        "version": doc.version,
        "generation": generation,
        "target": target,
        "ref": system.reference.of(key if offered.once else f"{doc.kind}/{who}"),
        "fingerprint": documents.fingerprint(doc),
        "event": origin.event,
        "correlation": origin.correlation,
        "region": origin.region,
        "priority": flow.priority,
        "owner_team": flow.owner,
        "late": ledger.stamp(origin.now + flow.sla),
        "doc": pack(doc),
        "reads": reads,
        **({"lane": lane} if lane else {}),
        **({"currency": str(currency)} if currency else {}),
        **({"total": amount.minor} if amount else {}),
        **({"number": number} if (number := getattr(doc, "number", None)) else {}),
        **({"party": documents.party_of(doc)} if documents.party_of(doc) else {}),
        **_proof(doc),
        **({"posting_date": doc.posting_date.iso} if isinstance(doc, documents.Booked) and after is None else {}),
        **({"after": after["key"]} if after is not None else {}),
        **({"tell": tell} if tell else {}),
        **(more or {}),
    }
    put = ledger.new_posting(item, origin.now, origin.by, origin.token)
    join = lanes.join(lane, [key], origin.now, origin.region) if lane else None
    return Made(put, join, Send.of(put.item))


def _proof(doc: Document) -> dict[str, Any]:
    """The stored proof that a document adds up: each equation with both sides, in minor units. Raises as it does."""
    equations = documents.prove_totals(doc).equations
    return {"proof": [list(equation) for equation in equations]} if equations else {}


def aliases(names: Sequence[str | None], points_to: keys.Key) -> list[Change]:
    """Alias items by which people find what ``points_to`` names; writing one again changes nothing."""
    distinct = {name for name in names if name}
    return [
        Change(keys.alias_item(name, points_to), set={"what": "alias", "to": points_to.pk}, upsert=True)
        for name in sorted(distinct)
    ]
