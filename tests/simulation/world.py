"""The world of one history: the model of AWS, the targets with their books, and the real verbs as workers in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, cast
from unittest.mock import patch

from tests.simulation import takebacks
from tests.simulation.doors import Doors
from tests.simulation.events import Event
from tests.simulation.governed import REGION, overlaid
from tests.simulation.hub import Fate, Fates, Hub, Worker
from tests.simulation.machines import Machines, MachinesPort
from tests.simulation.model import BusPort, LedgerPort, Queue, QueuesPort, Table, VaultPort
from tests.simulation.people import People
from tests.simulation.releases import Deploys, Release, this
from tests.simulation.targets import Book, DropBook, DropWire, SimTarget, SimWire
from tests.simulation.tokens import AUTH, SignedWire, Vendor
from tieout import systems
from tieout.contract import Budget, Called, Finds, Rate, Wire
from tieout.core import keys, ledger
from tieout.core.keys import Key
from tieout.work.ports import Message, Ports

#: As template.yaml says it: time-outs of the functions and visibility of the queues, in seconds.
TIMEOUT: Final = {"intake": 30.0, "post": 60.0, "step": 60.0, "probe": 60.0, "dead": 60.0}
VISIBILITY: Final = {"inbox": 181.0, "lane": 360.0, "dead": 360.0}
#: States in which a flow run rests: whole, a person's case, or closed by the run that was started in its place.
RESTING: Final = frozenset({"DONE", "CASE", "COMPENSATED"})
_REAL: Final = {name: systems.target(name) for name in systems.TARGETS}


@dataclass(frozen=True)
class Setting:
    """What does not change during a history."""

    hostile: bool = False
    erp: Finds = Finds.UNIQUE
    reads_back: bool = True
    concurrency: int = 3
    batch: int = 4
    most_receives: int = 5
    skew: float = 0.0
    index_lag: float = 0.0
    #: Targets that refuse a document for good: parts of posting keys.
    refuses: tuple[str, ...] = ()
    ack_delay: float = 120.0
    #: Calls that the ERP takes at once.
    budget: int = 5
    #: Calls that the ERP takes in a window.
    rates: tuple[Rate, ...] = ()
    #: Amounts above this (minor units) wait for a second person; 0 for the release's own limits.
    limit: int = 0
    #: The German entity may only be worked on in its own region, which is not this one.
    fenced: bool = False
    #: How the ERP's account is signed: not at all, ``fetched`` by each process, or ``rotating``; how long tokens live.
    tokens: str = ""
    token_life: float = 400.0
    region: str = REGION
    jitter: Callable[[], float] = field(default=lambda: 0.5)


class World:
    """One history's world."""

    def __init__(self, fates: Fates, setting: Setting) -> None:
        self.hub = Hub(fates)
        self.setting = setting
        self.fates = fates
        self.table = Table(self.hub)
        self.kept: dict[str, bytes] = {}
        #: Whatever was logged, told to the bus or raised out of a function, as text.
        self.said: list[str] = []
        #: Message bodies that went to lane queues, or to a dead-letter queue of one, as text.
        self.sent: list[str] = []
        self.people: People | None = None
        self.doors: Doors | None = None
        #: Where the ERP wants a token of each call: its token endpoint, and the pair that is stored.
        self.vendor = Vendor(self.hub, setting.token_life) if setting.tokens else None
        self.pair: str | None = None
        #: Where two releases run side by side.
        self.deploys: Deploys | None = None
        #: Items that carry another region: nobody here may do anything with them.
        self.aliens: set[Key] = set()
        self.tokens = self.owners = 0
        self.probing = 0
        self._awake: Key | None = None
        self.inbound: list[tuple[float, Event]] = []
        self.coming = 0
        self._targets()
        self._queues()
        self.machines = Machines(self.hub, self._step)
        if setting.index_lag:
            self.table.lag = lambda: setting.index_lag * setting.jitter()

    def _targets(self) -> None:
        made: dict[str, Any] = {}
        one = self.setting
        for name, account in (("netsuite", "acme"), ("salesforce", "acme"), ("stripe", "acct_us")):
            finds = one.erp if name == "netsuite" else Finds.UNIQUE
            made[name] = SimTarget(
                self.hub, _REAL[name], account, finds, hostile=one.hostile,
                reads_back=name == "netsuite" and one.reads_back,
            )  # fmt: skip
            made[name].book.refuses = set(one.refuses)
        if one.tokens:
            made["netsuite"].auth = AUTH[one.tokens]
        calls = (2 if one.reads_back else 1) + bool(one.tokens)
        made["netsuite"].budget = Budget(one.budget, one.rates, calls=calls)
        self.targets: dict[str, Any] = made | {"legacy": _REAL["legacy"]}
        self.drop = DropBook(self.hub, "legacy:acme")
        self.drop.delay = one.ack_delay
        self.books: dict[str, Book] = {target.book.name: target.book for target in made.values()}
        self.books["legacy:acme"] = self.drop

    def _fate(self, label: str) -> Fate:
        kinds = {"delete": ("delete_lost",), "put": ("twice", "delayed"), "tick": ("missed", "twice")}
        self.hub.crossings += 1
        chosen = kinds[label.rpartition(".")[2]]
        fate = self.fates.draw(self.hub.crossings, label, chosen, self.hub.now)
        self.hub.offered.append(label)
        self.hub.kinds[label] = chosen
        if fate.fault:
            self.hub.struck[label, fate.fault] += 1
            self.hub.faults.append(self.hub.crossings)
            self.hub.note("aws", label, fate.fault)
        return fate

    def _queues(self) -> None:
        one = self.setting

        def queue(
            name: str, does: Callable[[Worker, list[Message]], Any], timeout: str, seen: str, **more: Any
        ) -> Queue:
            limit = None if one.hostile else TIMEOUT[timeout]
            visibility = 20.0 if one.hostile else VISIBILITY[seen]
            return Queue(
                self.hub, name, does, limit, visibility, concurrency=one.concurrency, batch=one.batch,
                most=one.most_receives, fate=self._fate, skew=self._skew,
                heard=lambda body: self.sent.append(str(body)), **more,
            )  # fmt: skip

        def dead(source: str) -> Queue:
            return queue(f"dead:{source}", self._dead, "dead", "dead")

        self.inbox = queue("intake", self._intake, "intake", "inbox", dead=dead("inbox"))
        self.lanes = {
            name: queue(f"post:{name}", self._post, "post", "lane", fifo=True, dead=dead(name))
            for name in systems.TARGETS
        }  # fmt: skip
        self.queues = [self.inbox, *self.lanes.values()]
        self.queues += [found.dead for found in self.queues if found.dead]

    def _skew(self) -> float:
        return (self.setting.jitter() * 2 - 1) * self.setting.skew

    # --- the verbs
    def code(self, worker: Worker) -> Release:
        """The release that an invocation runs, chosen when it begins."""
        found = this() if self.deploys is None else self.deploys.of(self.hub.now)
        worker.schema, worker.package = found.schema, found.package
        if found is not this():
            self.hub.note(worker.name, found.package, "")
        return found

    def ports(self, worker: Worker, package: str = "tieout") -> Ports:
        """What one invocation holds of the world; its tables are those of its own release."""
        self.owners += 1
        hub, owner = self.hub, f"{worker.name}.{self.owners}"
        limit = worker.timeout
        governs = self.setting.limit or self.setting.fenced

        def token() -> str:
            self.tokens += 1
            return f"t{self.tokens}"

        def log(what: str, /, **facts: object) -> None:
            self.said.append(f"{what} {facts}")

        def wire(system: Called, account: str) -> Wire:
            if system.name == "legacy":
                return DropWire(hub, worker, self.drop, account)
            assert isinstance(system, SimTarget)
            signs = SignedWire(self, worker, system, account) if self.vendor and system.name == "netsuite" else None
            return SimWire(hub, worker, system, account, signs)

        return Ports(
            ledger=LedgerPort(self.table, worker),
            queues=QueuesPort(hub, self.inbox, self.lanes, worker),
            vault=VaultPort(hub, self.kept, worker),
            secrets=cast("Any", None),
            machines=MachinesPort(self.machines, worker),
            bus=BusPort(self.said),
            wire=wire,
            now=lambda: hub.moment(worker.skew),
            token=token,
            log=log,
            owner=owner,
            region=self.setting.region,
            # A lease is the function's time-out and ten seconds; hostile workers outlive theirs.
            function_timeout=5 if self.setting.hostile else 60,
            pause=lambda seconds: hub.sleep(worker, seconds),
            remaining=lambda: 900.0 if limit is None else worker.started + limit - hub.now,
            tables=(lambda: overlaid(self.setting.limit, self.setting.fenced, package)) if governs else None,
        )

    def _intake(self, worker: Worker, messages: list[Message]) -> Any:
        code = self.code(worker)
        return code.intake.intake(messages, self.ports(worker, code.package))

    def _post(self, worker: Worker, messages: list[Message]) -> Any:
        code = self.code(worker)
        return code.post.post(messages, self.ports(worker, code.package))

    def _dead(self, worker: Worker, messages: list[Message]) -> Any:
        code = self.code(worker)
        return code.probe.dead(messages, self.ports(worker, code.package))

    def _step(self, event: Mapping[str, Any], done: Callable[[str, Any], None]) -> None:
        def work(worker: Worker) -> Any:
            code = self.code(worker)
            return code.steps.step(event, self.ports(worker, code.package))

        limit = None if self.setting.hostile else TIMEOUT["step"]
        self.hub.spawn("step", work, done, limit, self._skew())

    def _probe(self) -> None:
        def done(outcome: str, value: Any) -> None:
            self.probing -= 1

        self.probing += 1
        limit = None if self.setting.hostile else TIMEOUT["probe"]

        def run(worker: Worker) -> Any:
            code = self.code(worker)
            ports, look = self.ports(worker, code.package), code.probe
            if "windows" not in code.verbs:  # a release before decision 0009 only looks
                return look.probe(ports)
            return code.windows.run(look.JOB, ports, lambda _: look.probe(ports))

        self.hub.spawn("probe", run, done, limit, self._skew())

    def tick(self) -> None:
        """Each minute the schedule starts probe; a run that would find nothing due is left out."""
        self.hub.at(self.hub.now + 60, self.tick)
        earliest = self.table.earliest()
        if earliest is None or earliest > ledger.stamp(self.hub.moment(self.setting.skew)):
            return
        fate = self._fate("probe.schedule.tick")
        for _ in range({"missed": 0, "twice": 2}.get(fate.fault, 1)):
            self._probe()

    # --- what happens from outside
    def link(self, event: Event) -> None:
        """A customer that onboarding has made known at the targets."""
        number = event.lane.removeprefix("in_")
        key = keys.link_item("customer", f"stripe:{event.account}:cus_{number}")
        self.table.items[key] = {
            "pk": key.pk, "sk": key.sk, "canonical": f"salesforce:acme:{number}", "rev": 1,
            "at:netsuite:acme": "501", "at:legacy:acme": "C1",
        }  # fmt: skip

    def deliver(self, when: float, event: Event) -> None:
        """An event reaches the inbox at that time."""
        self.coming += 1

        def arrives() -> None:
            if self.doors is not None:
                self.doors.send(event)
                return
            self.coming -= 1
            self.inbound.append((self.hub.now, event))
            self.inbox.put(event.envelope())

        self.hub.at(when, arrives)

    def postings(self) -> list[dict[str, Any]]:
        """Every posting item."""
        return [item for item in self.table.items.values() if item.get("what") == "posting"]

    def runs(self) -> list[dict[str, Any]]:
        """Every flow run."""
        return [item for item in self.table.items.values() if item.get("what") == "run"]

    def lines(self, item: Mapping[str, Any]) -> list[dict[str, Any]]:
        """All history lines of an item, those moved to segments first."""
        found: list[dict[str, Any]] = []
        for segment in range(1, int(item.get("segments", 0)) + 1):
            found += self.table.items[Key(item["pk"], f"H#{segment:06d}")]["history"]
        return [*found, *item.get("history", [])]

    def rests(self) -> bool:
        """Nothing is under way and nothing will move by itself any more, but for what waits for a person."""
        if self.deploys is not None and self.hub.now < self.deploys.over:
            return False
        if self.coming or self.hub.live or self.probing or not all(queue.quiet for queue in self.queues):
            return False
        # Asked after everything that happens, so that what kept the world awake the last time is asked first.
        awake = self.table.items.get(self._awake) if self._awake else None
        if awake is not None and not self._rests(awake, set()):
            return False
        if not self.machines.rests or any(run["state"] not in RESTING for run in self.runs()):
            return False
        self._awake = next((Key(one["pk"], one["sk"]) for one in self.postings() if not self._rests(one, set())), None)
        return self._awake is None and not self.waiting_events()

    def waiting_events(self) -> list[str]:
        """Events that wait for a newer release; only where two releases run there is one to wait for."""
        if self.deploys is None:
            return []
        return [key.pk for key, item in self.table.items.items() if key.pk.startswith("E#") and "waits" in item]

    def _rests(self, posting: Mapping[str, Any], seen: set[str]) -> bool:
        """Whether a posting is finished, is a person's, or waits behind one that is."""
        state = posting["state"]
        if state in ledger.TERMINAL:
            return "task_token" not in posting
        if state in (ledger.REFUSED, ledger.AMBIGUOUS):
            return True
        if posting["key"] in seen or state not in (ledger.NEW, ledger.HELD):
            return False
        if state == ledger.HELD and posting.get("code") == "above_limit":
            return "approved" not in posting
        judged = takebacks.rests(self, posting)
        if judged is not None:
            return judged
        if state == ledger.HELD and posting.get("code") == "parent_late":
            parents = [self.table.items.get(Key(*key)) for key in posting["reads"] if key[0].startswith("P#")]
            return not all(one and one["state"] in ledger.TERMINAL for one in parents)
        seen = seen | {posting["key"]}
        lane = self.table.items.get(keys.lane_item(posting.get("lane", "")), {})
        queue = lane.get("queue", [])
        ahead = queue[: queue.index(posting["key"])][:1] if posting["key"] in queue else []
        above = [Key(*key) for key in posting.get("reads", ()) if key[0].startswith("P#")]
        waits_for = [self.table.items.get(keys.posting_item(key)) for key in ahead]
        waits_for += [self.table.items.get(key) for key in above]
        stuck = [one for one in waits_for if one and one["state"] not in ledger.TERMINAL]
        return bool(stuck) and any(self._rests(one, seen) for one in stuck)


@contextmanager
def targets_of(world: World) -> Iterator[None]:
    """The world's targets where the registry's would be, in each release that works in it."""
    with ExitStack() as stack:
        for registry in (systems, *([world.deploys.other.systems] if world.deploys else [])):
            stack.enter_context(patch.object(registry, "target", lambda name: world.targets[name]))
        yield
