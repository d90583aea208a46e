"""Parts of the world that carry a million postings: what is finished leaves them, and only counts and sums stay.

The verbs are the real ones, and so are ledger moves, lanes, budget and history lines. What is a pure function of bytes
(reading an event, mapping it, rendering a document) is done once for each kind and amount, and ids are put into the
result. Histories are checked line by line as they are written, and forgotten.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import zlib
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final
from unittest.mock import patch

from pydantic import BaseModel

from tests.simulation import events
from tests.simulation.cheap import everywhere
from tests.simulation.hub import Hub, Worker
from tests.simulation.model import Letter, Queue, Table
from tests.simulation.targets import Book, Effect, SimTarget, SimWire, _body, understand
from tieout import flows, systems
from tieout.contract import Read, Wire
from tieout.core import documents, drift, keys, ledger
from tieout.core.classify import Answer
from tieout.core.keys import Key
from tieout.core.writes import Change, Item, Put, Write
from tieout.work import intake, render

#: Amounts differ by lane, over so many.
AMOUNTS: Final = 4
#: What is kept of a posted invoice until its payment has read it.
KEPT: Final = ("pk", "sk", "what", "key", "kind", "state", "ref", "remote", "number", "source_id", "tail", "target")
FINAL: Final = ("POSTED", "SUPERSEDED", "COMPENSATED")


class Forgetful(list[Any]):
    """A list that keeps nothing."""

    def append(self, one: Any) -> None:
        """Forget it."""

    def __iadd__(self, more: Any) -> Forgetful:  # type: ignore[misc]
        return self


class LeanHub(Hub):
    """A hub without a trace."""

    def __post_init__(self) -> None:
        self.trace, self.offered, self.faults, self.all = Forgetful(), Forgetful(), Forgetful(), Forgetful()


class LeanTable(Table):
    """The ledger table, with heaps for its index; finished items leave it, checked."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        self.watched = False
        self._due: list[tuple[str, Key]] = []
        self._budgets: list[tuple[str, Key]] = []
        self._waits: dict[str, list[tuple[str, Key]]] = {}
        self._spent: list[Key] = []
        #: Postings by target and final state, lines checked, and what is wrong.
        self.final: Counter[tuple[str, str]] = Counter()
        self.lines = 0
        self.wrong: list[str] = []
        self.open = 0
        self.most_open = 0

    def write(self, writes: Sequence[Write], by: Worker) -> None:
        super().write(writes, by)
        while self._spent:
            self._drop(self._spent.pop())

    def _apply(self, write: Write) -> None:
        key = write.key
        before = self.items.get(key)
        super()._apply(write)
        kind = key.pk[0]
        if kind in "EA":
            self._drop(key)
        elif kind == "P" and key.sk == "-":
            self._posting(key, before, isinstance(write, Put) or (isinstance(write, Change) and bool(write.append)))
        elif kind == "L" and not self.items[key].get("queue") and not self.items[key].get("aside"):
            self._drop(key)
        self.joined.clear()

    def _posting(self, key: Key, before: Item | None, moved: bool) -> None:
        item = self.items[key]
        if before is None:
            self.open += 1
            self.most_open = max(self.open, self.most_open)
        if moved:
            line = item["history"][-1]
            bare = {name: value for name, value in line.items() if name != "hash"}
            said = hashlib.sha256(json.dumps(bare, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
            if said != line["hash"] or line["prev"] != (before or {}).get("tail", "") or item["tail"] != said:
                self.wrong.append(f"I15 {key.pk} line {line['n']} does not hold")
            self.lines += 1
            item["history"] = []
        if item["state"] in FINAL and (before is None or before["state"] not in FINAL):
            self.open -= 1
            self.final[item["target"], item["state"]] += 1
            if item["kind"] == "invoice":
                kept = (
                    "pk",
                    "sk",
                    "what",
                    "key",
                    "kind",
                    "state",
                    "ref",
                    "remote",
                    "number",
                    "source_id",
                    "tail",
                    "target",
                )
                self.items[key] = {name: item[name] for name in kept if name in item}
                return
            # Not at once: what is written with it may say something of its parent.
            self._spent += [key, *(Key(*parent) for parent in item.get("reads", ()) if parent[0].startswith("P#"))]

    def _drop(self, key: Key) -> None:
        self.items.pop(key, None)
        self.index.pop(key, None)
        self.placed.pop(key, None)

    def _project(self, key: Key) -> None:
        if key not in self.items:
            return
        super()._project(key)
        shard, due = self._place(self.items[key])
        if shard.startswith("D#"):
            heapq.heappush(self._budgets if key.pk.startswith("B#") else self._due, (due, key))
        elif shard:
            heapq.heappush(self._waits.setdefault(shard, []), (due, key))

    @staticmethod
    def _first(heap: list[tuple[str, Key]], valid: Mapping[Key, str], until: str, limit: int) -> list[Item]:
        found: dict[Key, str] = {}
        while heap and heap[0][0] <= until and len(found) < limit:
            due, key = heapq.heappop(heap)
            if valid.get(key) == due:
                found[key] = due
        for key, due in found.items():
            heapq.heappush(heap, (due, key))
        return [{"pk": key.pk, "sk": key.sk, "due": due} for key, due in found.items()]

    def due_rows(self, until: str, limit: int) -> list[Item]:
        first = self._first(self._budgets, self.index, until, limit)
        return [*first, *self._first(self._due, self.index, until, limit)][:limit]

    def wait_rows(self, shard: str, limit: int) -> list[Item]:
        return self._first(self._waits.get(shard, []), self.waits.get(shard, {}), "~", limit)

    def earliest(self) -> str | None:
        rows = [*self._first(self._budgets, self.index, "~", 1), *self._first(self._due, self.index, "~", 1)]
        return min((row["due"] for row in rows), default=None)


@dataclass
class LeanQueue(Queue):
    """A queue whose groups are worked off in order without looking at what waits behind."""

    ready: deque[Letter] = field(default_factory=deque)
    parked: dict[str, deque[Letter]] = field(default_factory=dict)
    busy: set[str] = field(default_factory=set)
    held: int = 0
    buried: int = 0
    sent: deque[tuple[float, str]] = field(default_factory=deque)

    def put(self, body: Mapping[str, Any], group: str = "", dedup: str = "") -> None:
        if self.fifo:
            while self.sent and self.sent[0][0] < self.hub.now - 300:
                self.seen.pop(self.sent.popleft()[1], None)
            if dedup in self.seen:
                return
            self.seen[dedup] = self.hub.now
            self.sent.append((self.hub.now, dedup))
        self.count += 1
        self.held += 1
        self._ready(Letter(f"{self.name}-{self.count}", body, group))
        if self.running < self.concurrency:
            self.hub.at(self.hub.now + (0.0 if self.fifo else 0.1), self.pump)  # a batch gathers for a moment

    def _ready(self, letter: Letter) -> None:
        if self.fifo and letter.group in self.busy:
            self.parked.setdefault(letter.group, deque()).append(letter)
        else:
            self.ready.append(letter)

    def _take(self) -> list[Letter]:
        taken: list[Letter] = []
        while self.ready and len(taken) < self.batch:
            letter = self.ready.popleft()
            if self.fifo and letter.group in self.busy and letter.group not in {one.group for one in taken}:
                self.parked.setdefault(letter.group, deque()).append(letter)
                continue
            if letter.receives >= self.most:
                self.held -= 1
                self.buried += 1
                continue
            self.busy.add(letter.group)
            letter.receives += 1
            taken.append(letter)
        return taken

    def _invoke(self, batch: list[Letter]) -> None:
        from tieout.work.ports import Message

        self.running += 1
        messages = [Message(one.id, one.body, one.receives, self.name) for one in batch]

        def done(outcome: str, failed: Any) -> None:
            self.running -= 1
            again = [one for one in batch if outcome != "ok" or one.id in failed]
            self.held -= len(batch) - len(again)
            if again:
                self.hub.at(self.hub.now + self.visibility, lambda: self._again(again))
            kept = {one.group for one in again}
            for group in dict.fromkeys(one.group for one in batch if one.group not in kept):
                self._free(group)
            self.hub.at(self.hub.now, self.pump)

        self.hub.spawn(self.role, lambda worker: self.work(worker, messages), done, self.timeout, self.skew())

    def _free(self, group: str) -> None:
        self.busy.discard(group)
        waits = self.parked.pop(group, None)
        if waits:
            self.ready.extendleft(reversed(waits))

    def _again(self, letters: list[Letter]) -> None:
        for letter in letters:
            self.busy.discard(letter.group)
        self.ready.extendleft(reversed(letters))
        self.pump()

    @property
    def quiet(self) -> bool:
        return not self.held and not self.running


class Times:
    """When calls reached a target, and nothing else of them."""

    def __init__(self) -> None:
        self.times = array("d")

    def append(self, call: tuple[float, str]) -> None:
        """Note one call."""
        self.times.append(call[0])


class LeanBook(Book):
    """A book that keeps of each document what its receiver would total: what it is about, its currency and amount."""

    def __init__(self, hub: Hub, name: str, unique: bool, lag: float = 0.0) -> None:
        super().__init__(hub, name, unique, lag)
        self.refs: dict[str, tuple[str, str, int | None]] = {}
        self.kinds: Counter[str] = Counter()
        self.sums: Counter[tuple[str, str]] = Counter()
        self.invoices: set[str] = set()
        self.out_of_order = 0
        self.calls, self.begun = Forgetful(), Forgetful()
        self.reached = Times()  # type: ignore[assignment]

    def _effect(self, ref: str) -> Effect:
        about, currency, total = self.refs[ref]
        return Effect(0.0, self.name, ref, "", "", about, currency, total, f"r{ref[-12:]}", b"")

    def shown(self, ref: str, now: float | None = None) -> list[Effect]:
        return [self._effect(ref)] if ref in self.refs else []

    def commit(self, kind: str, action: str, ref: str, payload: bytes, once: bool) -> Effect:
        about, currency, total, _ = understand(kind, _body(payload))
        known = self.refs.get(ref)
        if known is not None:
            self.resent += 1
            if once and known[1:] != (currency, total):
                self.changed.append(ref)
            return self._effect(ref)
        if kind == "payment" and about.removesuffix(":paid") not in self.invoices:
            self.out_of_order += 1
        if kind == "invoice":
            self.invoices.add(about)
        self.refs[ref] = ("", currency, total)
        self.kinds[kind] += 1
        self.sums[kind, currency] += total or 0
        return self._effect(ref)


class LeanTarget(SimTarget):
    """A target over such a book; ``called`` is the one whose call begins."""

    called: Any = None

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.book = LeanBook(self.hub, self.book.name, self.book.unique, self.book.lag)

    def _call(self, wire: Wire, does: Callable[[SimWire], Answer]) -> Answer:
        def named(sim: SimWire) -> Answer:
            LeanTarget.called = self
            return does(sim)

        return super()._call(wire, named)


# --- events and documents by the million -------------------------------------------------------------------------
def body(kind: str, lane: int) -> bytes:
    """The body of one event, as short as it can be said."""
    return f"{kind} {lane}".encode()


def envelope(kind: str, lane: int) -> dict[str, Any]:
    """Its inbox message."""
    import base64

    raw = body(kind, lane)
    return {
        "v": 1, "source": "stripe", "account": "acct_us", "received_at": "2026-11-20T12:00:00.000Z",
        "delivery": f"d{kind}{lane}", "body_b64": base64.b64encode(raw).decode(),
    }  # fmt: skip


def _swap(value: Any, old: str, new: str) -> Any:
    """A value with one id in the place of another, however deep."""
    if isinstance(value, str):
        return value.replace(old, new)
    if isinstance(value, tuple):
        return tuple(_swap(one, old, new) for one in value)
    if isinstance(value, BaseModel):
        changed = {name: made for name, one in value if (made := _swap(one, old, new)) is not one and made != one}
        return value.model_copy(update=changed) if changed else value
    return value


class _Source:
    def __init__(self, real: Any) -> None:
        self._real = real
        self.reads: dict[tuple[str, int], Read] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def read(self, raw: bytes) -> list[Read]:
        """One event, after the first of its kind and amount."""
        kind, lane = raw.decode().split()
        first = int(lane) % AMOUNTS
        if (kind, first) not in self.reads:
            self.reads[kind, first] = self._real.read(events.stripe(first, kind, False).body)[0]
        known = self.reads[kind, first]
        return [replace(known, event_id=f"evt_{lane}{kind}", object_id=f"in_acct_us{lane}")]


@contextmanager
def templated() -> Iterator[None]:
    """Make documents and payloads after the first of their kind and amount, for as long as this is open."""
    source = _Source(systems.source("stripe"))
    real_source = systems.source
    real_document, real_dump, real_load = render.document, documents.dump, documents.load
    real_print, real_proof, real_render = documents.fingerprint, documents.prove_totals, render.render
    real_late, real_rules = render.lateness, render.rules
    first: dict[Any, Any] = {}

    def lane_of(source_id: str) -> int:
        return int(source_id.removeprefix("in_acct_us").partition(":")[0])

    @lru_cache(maxsize=4096)
    def made(kind: str, lane: int) -> Any:
        amount = lane % AMOUNTS
        if (kind, amount) not in first:
            read = source.read(body(kind, amount))[0]
            flow = flows.match("stripe", read.type)
            assert flow is not None
            doc = real_document(flow.reads, read, "stripe", "acct_us")
            first[kind, amount] = doc.model_copy(update={"customer_id": "cus_acct_us0"})
        doc = _swap(first[kind, amount], f"in_acct_us{amount}", f"in_acct_us{lane}")
        return _swap(doc, f"NO-acct_us-{amount}", f"NO-acct_us-{lane}")

    def ours(kind: str) -> bool:
        return kind in ("invoice", "payment")

    def document(mapping: str, read: Read, *more: Any) -> Any:
        return made(mapping.partition(".")[2], lane_of(read.object_id))

    def dump(doc: Any) -> bytes:
        return body(doc.kind, lane_of(doc.source_id)) if ours(doc.kind) else real_dump(doc)

    def load(kind: str, data: bytes) -> Any:
        return made(kind, int(data.split()[1])) if ours(kind) else real_load(kind, data)

    def fingerprint(doc: Any) -> str:
        return f"{doc.kind} {doc.source_id}" if ours(doc.kind) else real_print(doc)

    def once(real: Any, key: Any, *given: Any) -> Any:
        if key not in first:
            first[key] = real(*given)
        return first[key]

    def prove(doc: Any) -> Any:
        return (
            once(real_proof, ("proof", doc.kind, lane_of(doc.source_id) % AMOUNTS), doc)
            if ours(doc.kind)
            else real_proof(doc)
        )

    def lateness(ports: Any, posting: Item) -> Any:
        return once(real_late, ("late", posting["kind"]), ports, posting)

    def rules(ports: Any, posting: Item) -> Any:
        return once(real_rules, ("rules", posting["kind"], posting["target"]), ports, posting)

    def rendered(ports: Any, view: Any, posting: Item, target: Any, decided: Any = None) -> Any:
        if not ours(posting["kind"]):
            return real_render(ports, view, posting, target, decided)
        lane = lane_of(posting["source_id"])
        key = ("rendered", posting["kind"], lane % AMOUNTS)
        if key not in first:
            first[key] = (posting, real_render(ports, view, posting, target, decided))
        model, known = first[key]
        parent = [view[Key(*one)]["ref"] for one in posting["reads"] if one[0].startswith("P#")]
        before = [one for one in first[key][0]["reads"] if one[0].startswith("P#")]
        payload = known.payload.replace(model["ref"].encode(), posting["ref"].encode())
        payload = payload.replace(f"acct_us{lane_of(model['source_id'])}".encode(), f"acct_us{lane}".encode())
        assert len(parent) == len(before)
        return replace(known, payload=payload)

    with ExitStack() as stack:
        for pure in (keys.part, keys.shard, keys.digest, ledger.stamp):
            everywhere(stack, pure)

        def put(place: Any, name: str, value: Any) -> None:
            stack.enter_context(patch.object(place, name, value))

        put(systems, "source", lambda name: source if name == "stripe" else real_source(name))
        put(intake, "_fingerprint", lambda arrival, read: read.event_id)
        put(drift, "unknown_paths", lambda *given: ())
        put(render, "document", document)
        put(render, "lateness", lateness)
        put(render, "rules", rules)
        put(render, "render", rendered)
        put(documents, "dump", dump)
        put(documents, "load", load)
        put(documents, "fingerprint", fingerprint)
        put(documents, "prove_totals", prove)
        put(zlib, "compress", lambda data, level=6: data)
        put(zlib, "decompress", lambda data: data)
        yield
