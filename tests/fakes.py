"""Small fakes of the ports, readable in one go; each passes the same contract tests as the adapter it stands for."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from tieout.contract import Called, Wire
from tieout.core import keys
from tieout.core.keys import Key
from tieout.core.writes import Check, Item, Refused, Write, apply, holds
from tieout.work.ports import Ports, Send


class MemoryLedger:
    """The ledger as a dictionary: the semantics of ``core.writes`` and nothing else."""

    def __init__(self) -> None:
        self.items: dict[Key, Item] = {}
        self.calls: list[str] = []

    def read(self, keys: Iterable[Key]) -> dict[Key, Item]:
        self.calls.append("read")
        return {key: copy.deepcopy(self.items[key]) for key in keys if key in self.items}

    def write(self, writes: Sequence[Write]) -> None:
        self.calls.append("write")
        failed = [not holds(write, self.items.get(write.key)) for write in writes]
        if any(failed):
            seen = [copy.deepcopy(self.items.get(w.key)) if no else None for w, no in zip(writes, failed, strict=True)]
            raise Refused(failed, seen)
        for write in writes:
            made = apply(write, self.items.get(write.key))
            if made is not None and not isinstance(write, Check):
                self.items[write.key] = copy.deepcopy(made)

    def _rows(self, chosen: Callable[[Item], bool]) -> list[Item]:
        return [copy.deepcopy(item) for _, item in sorted(self.items.items()) if chosen(item)]

    def due(self, until: str, limit: int = 200) -> list[Item]:
        rows = self._rows(lambda item: str(item.get("due_shard", "")).startswith("D#") and item["due"] <= until)
        return sorted(rows, key=lambda row: (row["due_shard"] != keys.FIRST, str(row["due"])))[:limit]

    def waiting(self, target: str, limit: int) -> list[Item]:
        rows = self._rows(lambda item: item.get("due_shard") == f"W#{target}")
        return sorted(rows, key=lambda row: str(row["due"]))[:limit]

    def open(self) -> Iterator[Item]:
        yield from self._rows(lambda item: bool(item.get("due_shard")))

    def day(self, day: str) -> Iterator[Item]:
        yield from sorted(self._rows(lambda item: item.get("day") == day), key=lambda row: str(row["at"]))

    def find(self, name: str) -> list[Key]:
        found = [Key(i["pk"], i["sk"]) for i in self._rows(lambda item: item.get("find") == name.strip())]
        found += [Key(item["to"]) for item in self.family(f"A#{name.strip().casefold()}")]
        return list(dict.fromkeys(found))

    def family(self, pk: str) -> list[Item]:
        return self._rows(lambda item: item["pk"] == pk)


class Queue:
    """Queues that remember what was sent."""

    def __init__(self) -> None:
        self.inbox: list[Mapping[str, Any]] = []
        self.sent: list[Send] = []

    def receive_into_inbox(self, body: Mapping[str, Any]) -> None:
        self.inbox.append(body)

    def send(self, sends: Sequence[Send]) -> None:
        self.sent += sends

    def take(self) -> list[Send]:
        taken, self.sent = self.sent, []
        return taken


class MemoryVault:
    """A vault as a dictionary."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def put(self, name: str, body: bytes) -> str:
        self.kept[name] = body
        return name

    def get(self, pointer: str) -> bytes:
        return self.kept[pointer]


class Machines:
    """State machines that remember what they were told."""

    def __init__(self) -> None:
        self.started: dict[str, Mapping[str, Any]] = {}
        self.told: list[tuple[str, str, object]] = []

    def start(self, flow: str, name: str, facts: Mapping[str, Any]) -> None:
        self.started.setdefault(name, facts)

    def answer(self, token: str, result: Mapping[str, Any]) -> None:
        self.told.append(("answer", token, result))

    def refuse(self, token: str, error: str, cause: str) -> None:
        self.told.append(("refuse", token, error))

    def status(self, flow: str, name: str) -> str:
        return "RUNNING" if name in self.started else "MISSING"


class Bus:
    """A bus that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Mapping[str, Any]]] = []

    def tell(self, kind: str, facts: Mapping[str, Any]) -> None:
        self.told.append((kind, facts))


class Secrets:
    """Secrets as a dictionary."""

    def __init__(self, values: Mapping[tuple[str, str], Mapping[str, Any]] | None = None) -> None:
        self.values = dict(values or {})

    def get(self, system: str, account: str) -> Mapping[str, Any] | None:
        return self.values.get((system, account))


class World:
    """Everything a verb touches, in memory, with a clock that only moves when told."""

    def __init__(self, wire: Callable[[Called, str], Wire] | None = None) -> None:
        self.ledger = MemoryLedger()
        self.queues = Queue()
        self.vault = MemoryVault()
        self.machines = Machines()
        self.bus = Bus()
        self.secrets = Secrets()
        self.time = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
        self.logged: list[tuple[str, Mapping[str, object]]] = []
        self.remaining = 900.0
        self.wire = wire
        self._tokens = count(1)
        self._owners = count(1)

    def ports(self) -> Ports:
        return Ports(
            ledger=self.ledger,
            queues=self.queues,
            vault=self.vault,
            secrets=self.secrets,
            machines=self.machines,
            bus=self.bus,
            wire=self.wire or _no_wire,
            now=lambda: self.time,
            token=lambda: f"t{next(self._tokens)}",
            log=lambda what, /, **facts: self.logged.append((what, facts)),
            owner=f"w{next(self._owners)}",
            region="test",
            function_timeout=60,
            remaining=lambda: self.remaining,
        )

    def later(self, **span: float) -> None:
        self.time += timedelta(**span)


def _no_wire(system: Called, account: str) -> Wire:
    raise AssertionError(f"no call to {system.name}:{account} was expected")
