"""AWS as the product meets it, small and executable: ledger table, inbox, FIFO lanes, vault, machines, bus.

Where the adapters in ``tieout.aws`` turn an AWS error into something the verbs see, the model raises that. Kinds of
fault are listed beside each call; ``BOUNDARIES`` in `tests.simulation.world` lists which calls each verb makes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from tests.simulation.hub import AwsError, Fate, Hub, Worker
from tieout.core import keys as names
from tieout.core.keys import Key
from tieout.core.verdicts import TryAgain
from tieout.core.writes import Change, Check, Item, Put, Refused, Write, apply, holds
from tieout.work.ports import Message, Send, Unavailable

DEATHS: Final = ("crash_before", "crash_after", "stall_before", "stall_after")
READS: Final = ("crash_before", "stall_after", "throttled", "contended")
WRITES: Final = (*DEATHS, "throttled", "contended", "retried", "lost")
CALLS: Final = (*DEATHS, "throttled", "lost")
SENDS: Final = (*CALLS, "partial")


class Table:
    """The ledger table: items, the due index with its lag, and what a checker wants to know of every write."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.items: dict[Key, Item] = {}
        self.index: dict[Key, str] = {}
        #: The partitions of what waits for room, by shard.
        self.waits: dict[str, dict[Key, str]] = {}
        self.lag: Callable[[], float] = lambda: 0.0
        #: Where each item was last written to lie in the due index, whether or not it shows there yet.
        self.placed: dict[Key, tuple[str, str]] = {}
        #: What waits for room now, by shard, and since when; and what was let go or went ahead while it did.
        self.watched = True
        self.since: dict[str, dict[Key, float]] = {}
        self.entered: dict[Key, float] = {}
        self.gone: dict[Key, float] = {}
        self.jumped: list[tuple[float, Key, Key]] = []
        #: Postings in the order in which they joined their lanes.
        self.joined: dict[str, list[str]] = {}
        #: Writes refused because the posting had moved on: fencing at work.
        self.fenced = 0
        self.writes = 0
        #: Writes by a release to what a newer one has written.
        self.mangled: list[str] = []
        #: Pauses that targets asked for, as they were booked: when, budget item, until.
        self.pauses: list[tuple[float, str, str]] = []

    def write(self, writes: Sequence[Write], by: Worker) -> None:
        """All or nothing, as DynamoDB does it; raises ``Refused``."""
        touched = [write.key for write in writes]
        if len(set(touched)) < len(touched) or not 0 < len(touched) <= 100:
            raise AwsError("ValidationException: a transaction names an item twice, or none, or too many")
        failed = [not holds(write, self.items.get(write.key)) for write in writes]
        if any(failed):
            self.fenced += any(
                no and isinstance(w, Change) and {"epoch", "tail"} & set(w.when)
                for w, no in zip(writes, failed, strict=True)
            )
            pairs = zip(writes, failed, strict=True)
            raise Refused(failed, [self._copy(w.key) if no else None for w, no in pairs])
        self.writes += 1
        for write in writes:
            known = self.items.get(write.key, {})
            # A job's item is written anew by each run, whichever release runs it: a rollback must not stop the jobs.
            newer = int(known.get("v", 1)) > by.schema and known.get("what") != "job"
            if newer and not isinstance(write, Check):
                self.mangled.append(f"{by.name} knows schema {by.schema} and changed {write.key.pk}")
            self._apply(write)

    def _copy(self, key: Key) -> Item | None:
        item = self.items.get(key)
        return dict(item) if item is not None else None

    def _apply(self, write: Write) -> None:
        if isinstance(write, Check):
            return
        _no_floats(write.item if isinstance(write, Put) else write.set)
        made = apply(write, self.items.get(write.key))
        assert made is not None
        self.items[write.key] = made
        if isinstance(write, Change) and write.key.pk.startswith("L#") and "queue" in write.append:
            self.joined.setdefault(write.key.pk, []).extend(write.append["queue"])
        if isinstance(write, Change) and "paused_until" in write.set:
            self.pauses.append((self.hub.now, write.key.pk, write.set["paused_until"]))
        key, place = write.key, self._place(made)
        before = self.placed.get(key, ("", ""))
        if before != place:
            self.placed[key] = place
            if self.watched:
                self._watch(key, before[0], place[0], "released" in made)
            lag = self.lag()
            if lag:
                self.hub.at(self.hub.now + lag, lambda: self._project(key))
            else:
                self._project(key)

    def _watch(self, key: Key, before: str, after: str, released: bool) -> None:
        """Note who waits, and whoever is let go before one that has waited longer in a more urgent place."""
        if before.startswith("W#"):
            self.since[before].pop(key, None)
            self.gone[key] = self.hub.now
            if released:
                self.jumped += [(self.hub.now, key, one) for one in self.ahead_of(key, before, self.hub.now)]
        if after.startswith("W#"):
            self.since.setdefault(after, {})[key] = self.entered[key] = self.hub.now
            self.gone.pop(key, None)

    def ahead_of(self, key: Key, shard: str, known: float) -> list[Key]:
        """Who waits in a shard since before ``known``, more urgently than ``key``."""
        rank = _rank(self.items[key])
        return [
            one for one, since in self.since.get(shard, {}).items()
            if since < known and _rank(self.items[one]) < rank
        ]  # fmt: skip

    @staticmethod
    def _place(item: Item) -> tuple[str, str]:
        """Where an item lies in the due index: its shard, and its time there."""
        return (str(item["due_shard"]), str(item["due"])) if item.get("due_shard") else ("", "")

    def _project(self, key: Key) -> None:
        shard, due = self._place(self.items[key])
        self.index.pop(key, None)
        for rows in self.waits.values():
            rows.pop(key, None)
        if shard.startswith("D#"):
            self.index[key] = due
        elif shard:
            self.waits.setdefault(shard, {})[key] = due

    def due_rows(self, until: str, limit: int) -> list[Item]:
        """Rows of the due index up to an instant: budgets, then the earliest."""
        due = [(due, key) for key, due in self.index.items() if due <= until]
        first = _rows(((due, key) for due, key in due if key.pk.startswith("B#")), limit)
        return [*first, *_rows(((due, key) for due, key in due if not key.pk.startswith("B#")), limit)][:limit]

    def wait_rows(self, shard: str, limit: int) -> list[Item]:
        """Rows of a wait partition in order."""
        return _rows(((due, key) for key, due in self.waits.get(shard, {}).items()), limit)

    def earliest(self) -> str | None:
        """The earliest due time in the index."""
        return min(self.index.values(), default=None)


def _rows(found: Iterable[tuple[str, Key]], limit: int) -> list[Item]:
    return [{"pk": key.pk, "sk": key.sk, "due": due} for due, key in sorted(found)[:limit]]


def _rank(item: Item) -> float:
    """Class and age of a posting in hours: an hour of age outweighs one step of priority."""
    opened = datetime.fromisoformat(str(item["opened"]).replace("Z", "+00:00"))
    return opened.timestamp() / 3600 + int(item["priority"])


def _no_floats(values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, float):
            raise TypeError(f"Float types are not supported: {name}")
        if isinstance(value, dict):
            _no_floats(value)


def _what(writes: Sequence[Write]) -> str:
    """What a write is for, by what it writes: the name of its boundary."""
    for write in writes:
        if isinstance(write, Put):
            return "intake" if write.key.pk.startswith("E#") else "make"
        if isinstance(write, Change) and write.key.pk.startswith("P#") and "state" in write.set:
            return "claim" if write.set["state"] == "SENDING" else "book"
        if write.key.pk.startswith("J#"):
            return "window"
    return "note"


class LedgerPort:
    """The ledger as one worker sees it."""

    def __init__(self, table: Table, worker: Worker) -> None:
        self.table, self.worker = table, worker

    def read(self, keys: Iterable[Key]) -> dict[Key, Item]:
        wanted = list(dict.fromkeys(keys))
        if not wanted:
            return {}

        def does(fate: Fate) -> dict[Key, Item]:
            _unless(fate)
            if self.worker.read_at is None:
                self.worker.read_at = self.table.hub.now
            items = self.table.items
            return {key: dict(items[key]) for key in wanted if key in items}

        return self.table.hub.cross(self.worker, "ledger.read", READS, does)

    def write(self, writes: Sequence[Write]) -> None:
        def does(fate: Fate) -> None:
            _unless(fate)
            if self.table.watched and _what(writes) == "claim":
                self._overtakes(writes[0].key)
            self.table.write(writes, self.worker)
            if fate.fault == "retried" and (len(writes) == 1):
                # The answer was lost and botocore asked again; a transaction has a token, a single write has none.
                self.table.write(writes, self.worker)
            if fate.fault == "lost":
                raise AwsError("the answer to a write never came")

        self.table.hub.cross(self.worker, f"ledger.{_what(writes)}", WRITES, does)

    def _overtakes(self, key: Key) -> None:
        """Note who claims without having waited though its run knew of one with a better place."""
        table, item = self.table, self.table.items[key]
        if "released" not in item:
            known = self.worker.read_at or 0.0
            table.jumped += [(table.hub.now, key, one) for one in table.ahead_of(key, f"W#{item['target']}", known)]

    def due(self, until: str, limit: int = 200) -> list[Item]:
        def does(fate: Fate) -> list[Item]:
            _unless(fate)
            return self.table.due_rows(until, limit)

        return self.table.hub.cross(self.worker, "ledger.due", ("crash_before", "throttled"), does)

    def waiting(self, target: str, limit: int) -> list[Item]:
        def does(fate: Fate) -> list[Item]:
            _unless(fate)
            return self.table.wait_rows(f"W#{target}", limit)

        return self.table.hub.cross(self.worker, "ledger.waiting", ("crash_before", "throttled"), does)

    def open(self) -> Iterator[Item]:
        raise NotImplementedError

    def day(self, day: str) -> Iterator[Item]:
        raise NotImplementedError

    def find(self, name: str) -> list[Key]:
        raise NotImplementedError

    def family(self, pk: str) -> list[Item]:
        raise NotImplementedError


def _unless(fate: Fate) -> None:
    if fate.fault == "throttled":
        raise AwsError("ProvisionedThroughputExceededException")
    if fate.fault == "contended":
        raise TryAgain("ledger_contended", "six times in a row")


# --- queues ------------------------------------------------------------------------------------------------------
@dataclass
class Letter:
    """One message in a queue."""

    id: str
    body: Mapping[str, Any]
    group: str = ""
    visible: float = 0.0
    receives: int = 0
    receipt: int = 0


@dataclass
class Queue:
    """An SQS queue with its event source mapping and dead-letter queue.

    Standard: at least once, in any order. FIFO: a group's messages in order, and none of it while one is in flight;
    what was sent once is swallowed for five minutes, also after it was deleted.
    """

    hub: Hub
    name: str
    work: Callable[[Worker, list[Message]], Any]
    timeout: float | None
    visibility: float
    fifo: bool = False
    concurrency: int = 2
    batch: int = 10
    most: int = 5
    dead: Queue | None = None
    letters: list[Letter] = field(default_factory=list)
    seen: dict[str, float] = field(default_factory=dict)
    running: int = 0
    count: int = 0
    fate: Callable[[str], Fate] = lambda label: Fate()
    skew: Callable[[], float] = lambda: 0.0
    #: Hears what is sent to a lane.
    heard: Callable[[Mapping[str, Any]], None] = lambda body: None

    @property
    def role(self) -> str:
        """The verb behind the queue, as boundaries name it."""
        return self.name.partition(":")[0]

    def put(self, body: Mapping[str, Any], group: str = "", dedup: str = "") -> None:
        """A message arrives."""
        if self.fifo:
            self.heard(body)
            if self.seen.get(dedup, -1e9) > self.hub.now - 300:
                return
            self.seen[dedup] = self.hub.now
        self.count += 1
        letter = Letter(f"{self.name}-{self.count}", body, group, self.hub.now)
        delay = 0.0
        if not self.fifo:
            fate = self.fate(f"{self.role}.queue.put")
            if fate.fault == "delayed":
                delay = fate.size
            if fate.fault == "twice":
                twin = Letter(letter.id, body, group, self.hub.now + fate.size)
                self.letters.append(twin)
                self.hub.at(twin.visible, self.pump)
        letter.visible += delay
        self.letters.append(letter)
        self.hub.at(letter.visible, self.pump)

    def pump(self) -> None:
        """Hand messages to functions, as many at once as the mapping may."""
        while self.running < self.concurrency:
            batch = self._take()
            if not batch:
                return
            self._invoke(batch)

    def _take(self) -> list[Letter]:
        taken: list[Letter] = []
        blocked: set[str] = set()
        for letter in list(self.letters):
            if len(taken) == self.batch:
                break
            if letter.visible > self.hub.now or (self.fifo and letter.group in blocked):
                if self.fifo:
                    blocked.add(letter.group)
                continue
            if letter.receives >= self.most and self.dead is not None:
                self.letters.remove(letter)
                self.dead.put(letter.body)
                continue
            taken.append(letter)
        for letter in taken:
            letter.receives += 1
            letter.receipt += 1
            letter.visible = self.hub.now + self.visibility
            self.hub.at(letter.visible, self.pump)
        return taken

    def _invoke(self, batch: list[Letter]) -> None:
        self.running += 1
        receipts = [(letter, letter.receipt) for letter in batch]
        messages = [Message(one.id, one.body, one.receives, self.name) for one in batch]

        def done(outcome: str, failed: Any) -> None:
            self.running -= 1
            if outcome == "ok":
                self._settle(receipts, failed)
            self.hub.at(self.hub.now, self.pump)

        self.hub.spawn(self.role, lambda worker: self.work(worker, messages), done, self.timeout, self.skew())

    def _settle(self, receipts: list[tuple[Letter, int]], failed: list[str]) -> None:
        """Delete what was worked through; what the function named comes again after its visibility time-out.

        A name that no letter of the batch has fails the whole batch, as it does at Lambda's pollers.
        """
        if set(failed) - {letter.id for letter, _ in receipts}:
            return
        for letter, receipt in receipts:
            fate = self.fate(f"{self.role}.queue.delete")
            if letter.id in failed or fate.fault == "delete_lost":
                continue
            late = letter.receipt != receipt  # somebody else has it by now
            if letter in self.letters and not (late and self.fifo):
                self.letters.remove(letter)

    @property
    def quiet(self) -> bool:
        """Nothing waits and nobody works."""
        return not self.letters and not self.running


class QueuesPort:
    """Inbox and lanes as one worker sees them."""

    def __init__(self, hub: Hub, inbox: Queue, lanes: Mapping[str, Queue], worker: Worker) -> None:
        self.hub, self.inbox, self.lanes, self.worker = hub, inbox, lanes, worker

    def receive_into_inbox(self, body: Mapping[str, Any]) -> None:
        self.inbox.put(body)

    def send(self, sends: Sequence[Send]) -> None:
        if not sends:
            return

        def does(fate: Fate) -> None:
            _unless(fate)
            for number, send in enumerate(sends):
                if fate.fault == "partial" and number == int(fate.size * 7) % len(sends):
                    continue
                group = names.deduplication_id(send.lane or send.posting, 0)
                self.lanes[send.system].put(send.body(), group, names.deduplication_id(send.posting, send.sends))
            if fate.fault == "lost":
                raise AwsError("the answer to a send never came")

        self.hub.cross(self.worker, "queues.send", SENDS, does)


class VaultPort:
    """The vault as one worker sees it."""

    def __init__(self, hub: Hub, kept: dict[str, bytes], worker: Worker) -> None:
        self.hub, self.kept, self.worker = hub, kept, worker

    def put(self, name: str, body: bytes) -> str:
        def does(fate: Fate) -> str:
            if fate.fault == "throttled":
                raise Unavailable("inbox_unavailable")
            self.kept[name] = body
            if fate.fault == "lost":
                raise Unavailable("inbox_unavailable")
            return name

        return self.hub.cross(self.worker, "vault.put", CALLS, does)

    def get(self, pointer: str) -> bytes:
        return self.kept[pointer]


class BusPort:
    """The bus: what is told is kept as text, and losing it loses no truth."""

    def __init__(self, said: list[str]) -> None:
        self.said = said

    def tell(self, kind: str, facts: Mapping[str, Any]) -> None:
        self.said.append(f"{kind} {facts}")
