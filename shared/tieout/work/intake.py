"""Intake: inbox queue → vault, event, document, postings and lane places, then the messages, then the acknowledgement.

Every event gets an item with exactly one outcome. Nothing is thrown away: what cannot be read is a case that points at
its bytes. The clean path costs one AWS call an event (the transaction) and two a batch (vault and send), and one more a
batch for each series that its source numbers.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from tieout import flows, systems
from tieout.contract import Numbered, Read
from tieout.core import documents, drift, keys, ledger
from tieout.core.documents import Document
from tieout.core.keys import Key
from tieout.core.ledger import stamp
from tieout.core.parse import write_json
from tieout.core.problems import problem
from tieout.core.verdicts import Ignore, NeedsHuman, Verdict
from tieout.core.writes import Change, Item, Put, Refused, Write
from tieout.work import followers, make, plans, render, sequences
from tieout.work.book import CASE_AGAIN
from tieout.work.ports import Message, Ports, Send

if TYPE_CHECKING:  # most events carry their object, and load nothing of this
    from tieout.work.reread import Found

TRIES: Final = 6
#: How soon a flow run whose start was lost is started again.
START_AGAIN: Final = timedelta(seconds=60)


@dataclass
class Arrival:
    """One delivery on its way into the books."""

    message: Message
    source: str
    account: str
    delivery: str
    received: str
    body: bytes
    vault: str = ""
    #: How it came where its sender did not bring it: ``poll``, out of the source's own list.
    via: str = ""
    #: What its body says, once it was read: its events, or what stood in the way.
    reads: Sequence[Read] | Exception = ()


@dataclass
class Batch:
    """What one run of intake sends and starts after its writes."""

    ports: Ports
    sends: list[Send] = field(default_factory=list)
    starts: list[Item] = field(default_factory=list)
    #: Events taken in that their source numbers, by source, account and stream, each with its message.
    numbered: dict[tuple[str, str, str], list[tuple[str, Numbered]]] = field(default_factory=dict)
    #: What was read again for thin events, or why it could not be.
    whole: Found = field(default_factory=dict)


def intake(messages: Sequence[Message], ports: Ports) -> list[str]:
    """Take in a batch; ids of the messages that must come again (a fault of ours, not of theirs)."""
    batch = Batch(ports)
    failed: list[str] = []
    arrivals: list[Arrival] = []
    for message in messages:
        try:
            arrivals.append(_open(message, ports))
        except (KeyError, ValueError, TypeError) as error:
            ports.log("not_an_envelope", message=message.id, error=type(error).__name__)
            failed.append(message.id)
    _keep(arrivals, ports)
    for arrival in arrivals:
        arrival.reads = _read(arrival)
    _read_again(arrivals, batch)
    for arrival in arrivals:
        try:
            take(arrival, batch)
        except Exception as error:
            # One poison delivery must not hold up the others; it comes again, and in the end is a dead letter.
            ports.log("intake_failed", delivery=arrival.delivery, error=type(error).__name__)
            failed.append(arrival.message.id)
    failed += _number(batch)
    send_and_start(batch)
    return failed


def _number(batch: Batch) -> list[str]:
    """Write down which numbers have come; ids of the messages whose numbers could not be written: they come again."""
    failed: list[str] = []
    for (source, account, _), come in batch.numbered.items():
        try:
            sequences.note(batch.ports, source, account, [numbered for _, numbered in come])
        except Exception as error:
            batch.ports.log("not_numbered", source=source, account=account, error=type(error).__name__)
            failed += dict.fromkeys(message for message, _ in come)
    return failed


def send_and_start(batch: Batch) -> None:
    """Send what was made, start what was begun: each would be found by its due time as well."""
    batch.ports.queues.send(list({send.posting: send for send in batch.sends}.values()))
    for run in batch.starts:
        start(run, batch.ports)


def _open(message: Message, ports: Ports) -> Arrival:
    body = message.body
    if "body_b64" in body:
        raw = base64.b64decode(body["body_b64"], validate=True)
    elif isinstance(body.get("body"), Mapping):  # from a partner bus, whose rule cannot do more than pass it on
        raw = write_json(body["body"])
    else:
        raw = ports.vault.get(body["body_at"])
    return Arrival(
        message, body["source"], body["account"], body["delivery"], stamp(ledger.instant(body["received_at"])), raw,
        body.get("body_at", ""),
        body.get("via", ""),
    )  # fmt: skip


def _keep(arrivals: Sequence[Arrival], ports: Ports) -> None:
    """The raw bytes of the whole batch, one object: a line a delivery, found by number."""
    fresh = [arrival for arrival in arrivals if not arrival.vault]
    if not fresh:
        return
    lines = [
        json.dumps({"delivery": one.delivery, "body_b64": base64.b64encode(one.body).decode()}, sort_keys=True)
        for one in fresh
    ]
    content = "\n".join(lines).encode()
    day = fresh[0].received[:10]
    pointer = ports.vault.put(f"events/{day}/{hashlib.sha256(content).hexdigest()[:40]}.jsonl", content)
    for number, one in enumerate(fresh):
        one.vault = f"{pointer}#{number}"


# --- one delivery ------------------------------------------------------------------------------------------------
def take(arrival: Arrival, batch: Batch) -> None:
    """Book every event of one delivery; a delivery that cannot be read is one case."""
    if isinstance(arrival.reads, Exception):
        if not isinstance(arrival.reads, Verdict):
            raise arrival.reads
        unread = ledger.unread(arrival.delivery)
        fingerprint = hashlib.sha256(arrival.body).hexdigest()
        record(arrival, batch, Taken(unread, "", "", fingerprint, ledger.CASE, arrival.reads))
        return
    for read in arrival.reads:
        record(arrival, batch, understand(arrival, read, batch))
    for read in arrival.reads:
        if read.sequence:
            series = (arrival.source, arrival.account, read.sequence.stream)
            batch.numbered.setdefault(series, []).append((arrival.message.id, read.sequence))


def _read(arrival: Arrival) -> Sequence[Read] | Exception:
    try:
        return systems.source(arrival.source).read(arrival.body)
    except Exception as error:  # booked, or raised again, where the delivery's turn comes
        return error


def _read_again(arrivals: Sequence[Arrival], batch: Batch) -> None:
    """Ask the sources for the whole of what thin events only name, for the whole batch at once."""
    thin = [
        (arrival, read)
        for arrival in arrivals
        if not isinstance(arrival.reads, Exception)
        for read in arrival.reads
        if read.thin and not read.ours and flows.match(arrival.source, read.type)
    ]
    if not thin:
        return
    from tieout.work import reread

    wanted = [reread.Wanted(arrival.source, arrival.account, read) for arrival, read in thin]
    try:
        batch.whole = reread.again(wanted, batch.ports)
    except Exception as error:
        # Their deliveries fail one by one, and come again; what needs no second reading goes on.
        batch.ports.log("reread_failed", events=len(wanted), error=type(error).__name__)


@dataclass
class Taken:
    """What an event amounts to: its outcome and, where it made something, the postings or the flow run."""

    event_id: str
    type: str
    object_id: str
    fingerprint: str
    outcome: str
    verdict: Verdict | None = None
    made: Sequence[make.Made] = ()
    run: Item | None = None
    guard: Change | None = None
    #: That the books expect the customer of a won deal.
    expects: Change | None = None
    writes: Sequence[Write] = ()
    flow: str = ""
    doc: Document | None = None
    drift: Sequence[str] = ()
    #: Where what was read again is kept; and for an event that waits for its source, when to ask again.
    reread: str = ""
    again: datetime | None = None
    #: What it waits for: its source, or the release whose lane it would join.
    waits: str = "source"


def understand(arrival: Arrival, read: Read, batch: Batch, looks: int = 0) -> Taken:
    """Decide what one event amounts to. Pure but for the tables; raises nothing that the event itself could mend.

    ``looks`` says how often its object was asked for before.
    """
    taken = Taken(read.event_id, read.type, read.object_id, _fingerprint(arrival, read), ledger.MADE)
    try:
        _decide(arrival, read, taken, batch, looks)
    except Ignore as verdict:
        taken.outcome, taken.verdict = ledger.IGNORED, verdict
    except Verdict as verdict:
        taken.outcome, taken.verdict = ledger.CASE, verdict
    return taken


def _fingerprint(arrival: Arrival, read: Read) -> str:
    """The event's content without what its source declares volatile, so that a redelivery is recognised."""
    body = json.loads(arrival.body) if read.alone is None else dict(read.alone)
    for path in systems.source(arrival.source).volatile:
        _drop(body, path.split("."))
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=str)
    return hashlib.sha256(f"{read.event_id}\n{canonical}".encode()).hexdigest()


def _drop(body: Any, path: list[str]) -> None:
    for name in path[:-1]:
        body = body.get(name) if isinstance(body, dict) else None
    if isinstance(body, dict):
        body.pop(path[-1], None)


def _ours(arrival: Arrival, read: Read, taken: Taken) -> None:
    """An object that we made ourselves links ids and makes no posting."""
    if read.ours:
        taken.writes = _echo_links(arrival, read)
        raise Ignore("echo", object=read.object_id)


def _decide(arrival: Arrival, read: Read, taken: Taken, batch: Batch, looks: int) -> None:
    from tieout.work import parties  # not at start: whoever only looks at what is due needs none of it

    ports, source = batch.ports, systems.source(arrival.source)
    _ours(arrival, read, taken)
    flow = flows.match(arrival.source, read.type)
    if flow is None:
        raise Ignore("unknown_type", source=source.name, type=read.type[:80])
    taken.flow = flow.name
    if read.thin:
        whole = _whole(arrival, read, taken, batch, looks)
        if whole is None:
            return
        read = whole
        _ours(arrival, read, taken)  # a thin event does not show whose its object is
    taken.drift = _drift(source.name, flow, read)
    party = parties.told_of(ports, flow, arrival.account, read)
    read = party.named(read) if party else read
    known = render.tables_now(ports)
    doc = render.document(flow.reads, read, arrival.source, arrival.account, known)
    if party:
        party = party.about(doc)
        doc, flow, taken.expects = party.of(doc, known), party.queue(flow), party.said(doc, known)
    documents.prove_totals(doc)
    taken.doc = doc
    event = keys.event(arrival.source, arrival.account, read.event_id)
    origin = make.Origin(event.pk, event.pk[2:], ports.now(), ports.owner, "", ports.region)
    tell = render.route(flow.tell, "status", doc) if flow.tell else None
    if flow.in_place:
        taken.guard = Change(
            # Versions are one source's: what two of them say of one customer has no order.
            keys.guard_item(doc.kind, keys.object_id(doc.source, doc.account, doc.source_id)),
            set={"version": doc.version, "what": "guard", "event": event.pk},
            below={"version": doc.version},
            upsert=True,
        )
    if flow.orchestrated:
        taken.run, taken.expects = new_run(flow, doc, origin, tell), parties.expected(doc, event.pk, known)
    else:
        step = flow.steps[0]
        target, more = render.route(step.role, doc.kind, doc), followers.wanted(flow, doc)
        more |= {"reads": party.reads()} if party else {}
        taken.made = [make.make(flow, step, doc, target, origin, tell=tell, more=more)]


def _whole(arrival: Arrival, read: Read, taken: Taken, batch: Batch, looks: int) -> Read | None:
    """The event as if it had carried its whole object; ``None`` where it waits for its source."""
    from tieout.work import reread

    key = keys.event(arrival.source, arrival.account, read.event_id)
    found = batch.whole[key]
    if isinstance(found, Ignore):
        raise found
    if isinstance(found, Verdict):
        now = batch.ports.now()
        taken.outcome, taken.verdict, taken.again = reread.outcome(found, key, arrival.received, looks, now)
        return None
    taken.reread = found.vault
    return found.read


def _drift(source: str, flow: flows.Flow, read: Read) -> list[str]:
    """Paths of envelope and object that nobody here has seen before: noted on the event, never fatal."""
    known = systems.shapes(source).get(flow.reads, frozenset())
    envelope = [f"event.{name}"[: drift.LONGEST] for name in read.unknown]
    return [*envelope, *(f"object.{path}" for path in drift.unknown_paths(read.object, known))][: drift.MOST]


def _echo_links(arrival: Arrival, read: Read) -> list[Write]:
    """An event about an object that we created: a customer's id is linked (again), nothing is posted."""
    flow = flows.match(arrival.source, read.type)
    if flow is not None and flow.makes != documents.Customer.kind:
        return []
    alias = keys.link_item("customer", keys.object_id(arrival.source, arrival.account, read.object_id))
    return [Change(alias, set={"what": "link", "find": read.object_id, "echoed": read.event_id}, upsert=True)]


def new_run(flow: flows.Flow, doc: Document, origin: make.Origin, tell: str | None, run: int = 1) -> Item:
    """The item of one run of a multi-step flow: its document, due until the state machine has it."""
    who = make.identity(doc)
    key = keys.run_item(flow.name, f"{who}/v{doc.version}", run)
    amount = documents.total(doc)
    line = ledger.history_line({}, "NEW", origin.now, origin.by, event=origin.event)
    return {
        "pk": key.pk, "sk": key.sk, "what": "run", "v": ledger.SCHEMA, "kind": doc.kind, "flow": flow.name,
        "state": "NEW", "run": run, "execution": keys.execution_name(flow.name, who, doc.version, run),
        "source": doc.source, "account": doc.account, "source_id": doc.source_id, "entity": doc.entity,
        "version": doc.version, "event": origin.event, "correlation": origin.correlation, "region": origin.region,
        "owner_team": flow.owner, "late": stamp(origin.now + flow.sla), "opened": stamp(origin.now),
        "updated": stamp(origin.now), "doc": make.pack(doc), "find": doc.source_id, "done": [],
        "history": [line], "tail": line["hash"], "lines": 1,
        **({"currency": str(amount.currency), "total": amount.minor} if amount else {}),
        **({"tell": tell} if tell else {}), **ledger.due(key.pk, origin.now + START_AGAIN),
    }  # fmt: skip


# --- the one transaction -----------------------------------------------------------------------------------------
def record(arrival: Arrival, batch: Batch, taken: Taken, waiting: Item | None = None) -> Taken:
    """Write event, postings and lane places in one transaction, or find out which duplicate this is; what it became.

    ``waiting`` is the event's item where it is there already and waits for its source: it is changed, as it was seen.
    """
    ports = batch.ports
    token = ports.token()
    key = keys.event(arrival.source, arrival.account, taken.event_id)
    for _ in range(TRIES):
        writes = _writes(arrival, taken, key, ports, token, waiting)
        try:
            ports.ledger.write(writes)
        except Refused as refusal:
            found = {write.key: seen for write, seen in zip(writes, refusal.seen, strict=True) if seen}
            event = found.get(key)
            if event is not None:
                ledger.ours(event)
            if event is not None and event.get("token") != token:
                _again(arrival, taken, event, found, batch)
                return taken
            if event is None:
                if any(ledger.newer(seen) for seen in found.values()):
                    taken = _left(arrival, taken, ports.now(), waiting)
                else:
                    _give_way(ports, taken, refusal, writes)
                continue
        batch.sends += [made.send for made in taken.made]
        batch.starts += [taken.run] if taken.run else []
        if waiting is None or "case" not in waiting:
            _tell_case(ports, key, taken)
        return taken
    raise RuntimeError("the same event was refused six times")


def _writes(
    arrival: Arrival, taken: Taken, key: Key, ports: Ports, token: str, waiting: Item | None = None
) -> list[Write]:
    event = event_item(arrival, taken, key, ports, token)
    writes: list[Write] = [Put(event) if waiting is None else _waited(event, waiting)]
    if taken.outcome != ledger.MADE:
        return [*writes, *taken.writes]
    for made in taken.made:
        writes.append(Put(made.put.item | {"token": token}))
        if made.join:
            writes.append(made.join)
        writes += make.aliases([made.put.item.get("number")], made.put.key)
    if taken.run:
        writes.append(Put(taken.run | {"token": token}))
    if taken.guard:
        writes.append(taken.guard)
    if taken.expects:
        writes.append(taken.expects)
    return writes


def _left(arrival: Arrival, taken: Taken, now: datetime, waiting: Item | None) -> Taken:
    """The event as one that waits: what it would join or make is a newer release's, which goes on with it.

    After a rollback that release is away for as long as it takes: a person hears of it after an hour.
    """
    from tieout.work import reread

    key = keys.event(arrival.source, arrival.account, taken.event_id)
    outcome, verdict, again = reread.of_a_release(key, arrival.received, int((waiting or {}).get("looks", 0)), now)
    return replace(
        taken, outcome=outcome, verdict=verdict, again=again, made=(), run=None, guard=None, writes=(), waits="release"
    )


def _waited(event: Item, waiting: Item) -> Change:
    """What becomes of an event that waited: its outcome is new, what it was and how often it came is not."""
    kept = ("pk", "sk", "opened", "deliveries", "messages", "delivery")
    values = {name: value for name, value in event.items() if name not in kept}
    if "case" in values and "case" in waiting:
        values["case"] = waiting["case"]
    temporary = ("code", "facts", "case", "owner_team", "due", "due_shard", "waits")
    return Change(
        Key(event["pk"], event["sk"]),
        set=values,
        remove=[name for name in temporary if name in waiting and name not in values],
        add={"looks": 1},
        when={"token": waiting["token"]},
    )


def event_item(arrival: Arrival, taken: Taken, key: Key, ports: Ports, token: str) -> Item:
    """The item of one event: what it was, where its bytes are, its one outcome."""
    now = ports.now()
    amount = documents.total(taken.doc) if taken.doc is not None else None
    item: Item = {
        "pk": key.pk, "sk": key.sk, "what": "event", "v": ledger.SCHEMA, "region": ports.region,
        "source": arrival.source, "account": arrival.account, "event_id": taken.event_id, "type": taken.type,
        "delivery": arrival.delivery, "received": arrival.received, "fingerprint": taken.fingerprint,
        "vault": arrival.vault, "state": taken.outcome, "updated": stamp(now), "opened": stamp(now), "token": token,
        "day": arrival.received[:10], "at": arrival.received, "kind": "event", "deliveries": 1,
        "messages": [arrival.message.id],
    }  # fmt: skip
    item |= {"find": taken.object_id} if taken.object_id else {}
    item |= {"via": arrival.via} if arrival.via else {}
    item |= {"flow": taken.flow} if taken.flow else {}
    item |= {"drift": list(taken.drift)} if taken.drift else {}
    item |= {"entity": taken.doc.entity} if taken.doc is not None else {}
    item |= {"currency": str(amount.currency), "total": amount.minor} if amount else {}
    item |= {"postings": [made.key for made in taken.made]} if taken.made else {}
    item |= {"run": taken.run["pk"]} if taken.run else {}
    if taken.verdict is not None:
        entry = problem(taken.verdict.code)
        item |= {"code": taken.verdict.code, "facts": {"event": taken.event_id, **taken.verdict.facts}}
        if taken.outcome == ledger.CASE:
            item |= {"owner_team": entry.owner, "case": {"opened": stamp(now), "owner": entry.owner}}
            item |= ledger.due(key.pk, now + CASE_AGAIN)
    item |= {"reread": taken.reread} if taken.reread else {}
    item |= {"waits": taken.waits, **ledger.due(key.pk, taken.again)} if taken.again else {}
    return item


def _give_way(ports: Ports, taken: Taken, refusal: Refused, writes: Sequence[Write]) -> None:
    """The event is new, but what it would make is not: old news, a twin of a booked document, or a conflict."""
    for write, failed, seen in zip(writes, refusal.failed, refusal.seen, strict=True):
        if not failed:
            continue
        if taken.guard is not None and write.key == taken.guard.key:
            version = (seen or {}).get("version")
            taken.outcome = ledger.OLD_NEWS if version != taken.guard.set["version"] else ledger.DUPLICATE
            taken.writes = ()
            return
        if write.key.pk.startswith("L#"):
            taken.outcome, taken.verdict = ledger.CASE, NeedsHuman("lane_full", lane=write.key.pk[2:])
            return
        if isinstance(write, Put) and seen is not None and write.key.pk.startswith(("P#", "F#")):
            mine = documents.fingerprint(taken.doc) if taken.doc else ""
            taken.writes = ()
            if write.key.pk.startswith("F#") or seen.get("fingerprint") == mine:
                taken.outcome = ledger.DUPLICATE
            else:
                taken.outcome = ledger.CASE
                now = documents.total(taken.doc) if taken.doc else None
                taken.verdict = NeedsHuman("document_conflict", **plans.conflict(ports, seen, now))
            return


def _again(arrival: Arrival, taken: Taken, event: Item, found: Mapping[Key, Item], batch: Batch) -> None:
    """The event is known: the same content is a duplicate (and sent again while its posting is NEW), other content
    a case beside the original, which stands."""
    ports = batch.ports
    # A list may write an event otherwise than its delivery did (in the account's API version, not the endpoint's).
    if event["fingerprint"] == taken.fingerprint or event.get("via", "") != arrival.via:
        for made in taken.made:
            posting = found.get(made.put.key)
            if posting is not None and posting["state"] == ledger.NEW:
                batch.sends.append(Send.of(posting | {"sends": posting["sends"] + 500}))
        run = found.get(Key(taken.run["pk"], taken.run["sk"])) if taken.run else None
        if run is not None and run["state"] == "NEW":
            batch.starts.append(run)
        _count(event, arrival, ports)
        return
    verdict = NeedsHuman("event_conflict", event=taken.event_id)
    conflict = Taken(taken.event_id, taken.type, taken.object_id, taken.fingerprint, ledger.CASE, verdict)
    item = event_item(arrival, conflict, Key(event["pk"], f"X#{taken.fingerprint[:32]}"), ports, ports.token())
    try:
        ports.ledger.write([Put(item)])
    except Refused:
        return  # this very conflict is known
    _tell_case(ports, Key(item["pk"], item["sk"]), conflict)


def _count(event: Item, arrival: Arrival, ports: Ports) -> None:
    """Count one more delivery of a known event; the queue handing over the same message again is none."""
    ports.log("duplicate", event=event["pk"])
    seen = event.get("messages", [])
    if arrival.message.id in seen:
        return
    change = Change(
        Key(event["pk"], event["sk"]),
        set={"messages": [*seen[-49:], arrival.message.id]},
        add={"deliveries": 1},
        when={"deliveries": event["deliveries"], "token": event.get("token")},
    )
    try:
        ports.ledger.write([change])
    except Refused as refusal:
        if refusal.seen[0] is not None:
            ledger.ours(refusal.seen[0])
            _count(refusal.seen[0], arrival, ports)


def _tell_case(ports: Ports, key: Key, taken: Taken) -> None:
    if taken.outcome == ledger.CASE and taken.verdict is not None:
        ports.bus.tell("case.opened", {"event": key.pk, "code": taken.verdict.code})
    ports.log("taken", event=key.pk, outcome=taken.outcome, code=taken.verdict.code if taken.verdict else "")


def start(run: Item, ports: Ports) -> None:
    """Start the state machine of a run; a lost start is found by the run's due time."""
    facts = {"flow": run["flow"], "run": [run["pk"], run["sk"]], "correlation": run["correlation"]}
    ports.machines.start(run["flow"], run["execution"], facts)
