"""Every schedule of a few faults, over every boundary: no chance, and no gap.

A schedule says which fault strikes at which crossing. The fault-free run lists the crossings; each schedule of one
fault is a crossing and a kind it may meet; each schedule of two is one of those and a crossing *after* it in the run
that the first one leads to. The harness has no chance in it: every call takes the same time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from tests.simulation import check, events, taken
from tests.simulation.history import PATIENCE
from tests.simulation.hub import START, Fate
from tests.simulation.taken import CALM
from tests.simulation.world import Setting, World, targets_of
from tieout.contract import Finds, Rate
from tieout.core import keys, ledger
from tieout.core.writes import Change
from tieout.work.ports import Send

Schedule = tuple[tuple[int, str], ...]
WAITING: Final = replace(CALM, batch=1, budget=1, rates=(Rate(4, 60),))
#: Faults that only delay tell nothing new where every call takes the same time.
LEFT_OUT: Final = frozenset({"delayed", "missed", "stall_before"})


class Scheduled:
    """Strikes exactly where the schedule says, and where the scene itself is led to by a fault."""

    def __init__(self, schedule: Schedule, leads: Sequence[tuple[str, str, int]] = ()) -> None:
        self.schedule, self.leads = dict(schedule), leads
        self.met: Counter[str] = Counter()

    def draw(self, n: int, label: str, kinds: tuple[str, ...], now: float) -> Fate:
        """The scheduled fate of the n-th crossing."""
        self.met[label] += 1
        lead = [how for where, how, nth in self.leads if (where, nth) == (label, self.met[label])]
        fault = self.schedule.get(n, "") or "".join(lead)
        return Fate(fault if fault in kinds else "", 0.01, 70.0 if fault.startswith("stall") else 0.83)


@dataclass(frozen=True)
class Scene:
    """What is played: how the world begins, and from which crossing on faults may strike."""

    name: str
    setting: Setting
    begin: Callable[[World], None]
    #: Labels at which faults may strike; everything else goes well.
    where: Callable[[str], bool] = lambda label: True
    #: Faults that belong to the scene: at which call, which, the how manieth of its kind.
    leads: tuple[tuple[str, str, int], ...] = ()


@dataclass
class Count:
    """What an enumeration came to."""

    schedules: int = 0
    bad: list[tuple[Schedule, list[str]]] = field(default_factory=list)
    fenced: int = 0
    struck: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, part: Count) -> None:
        """Count a part of the same enumeration."""
        self.schedules += part.schedules
        self.bad += part.bad
        self.fenced += part.fenced
        self.struck.update(part.struck)


def core(kinds: tuple[str, ...], finds: Finds, name: str) -> Scene:
    """The posting core: postings of one lane in NEW with their messages; post, probe and the queue."""

    def begin(world: World) -> None:
        world.table.items = taken.ledger_after(tuple(events.stripe(0, kind, False) for kind in kinds))
        world.table.index = {key: item["due"] for key, item in world.table.items.items() if item.get("due_shard")}
        joined = {key.pk: list(item["queue"]) for key, item in world.table.items.items() if key.pk.startswith("L#")}
        world.table.joined = joined
        world.inbound = [(0.0, events.stripe(0, kind, False)) for kind in kinds]
        for item in world.postings():
            send = Send.of(item)
            world.lanes["netsuite"].put(send.body(), str(send.lane), f"{send.posting} {send.sends}")

    return Scene(name, replace(CALM, erp=finds), begin)


def whole(event: events.Event, name: str) -> Scene:
    """One event from the inbox on."""

    def begin(world: World) -> None:
        if event.source == "stripe":
            world.link(event)
        world.deliver(0.0, event)

    return Scene(name, CALM, begin)


def _told_twice(world: World) -> None:
    """An invoice that the target refuses, and its void minutes later: the CRM is told of both, one after the other."""
    world.link(events.stripe(0, "invoice", False))
    world.deliver(0.0, events.stripe(0, "invoice", False))
    world.deliver(400.0, events.stripe(0, "void", False))


def _waiting(world: World) -> None:
    """A pause in which invoices of three lanes and then a payment of a fourth come to wait, for too few calls."""
    for lane in range(4):
        world.link(events.stripe(lane, "invoice", False))
        world.deliver(float(lane > 0) * 10 + lane, events.stripe(lane, "invoice", False))
    world.deliver(20.0, events.stripe(0, "payment", False))
    key = keys.budget_item("netsuite:acme")
    until = ledger.stamp(START + timedelta(seconds=300))

    def pauses() -> None:
        later = max(until, world.table.items.get(key, {}).get("paused_until", ""))
        due = ledger.due(key.pk, ledger.instant(later))
        world.table._apply(
            Change(key, set={"what": "budget", "paused_until": later, **due}, add={"rev": 1}, upsert=True)
        )

    world.hub.at(8.0, pauses)


def play(scene: Scene, schedule: Schedule) -> tuple[World, list[str]]:
    """One schedule, played to rest and checked."""
    world = World(Scheduled(schedule, scene.leads), scene.setting)
    with targets_of(world):
        scene.begin(world)
        world.hub.at(30.0, world.tick)
        came = world.hub.run(PATIENCE, world.rests)
        found = [] if came else [f"I14 not at rest: {check.unrest(world)}"]
        found += check.check(world)
        world.hub.close()
    return world, found


def enumerate_all(scene: Scene, depth: int) -> Count:
    """Play every schedule of at most ``depth`` faults."""
    count = Count()
    for first in firsts(scene):
        count.add(enumerate_from(scene, first, depth))
    return count


def firsts(scene: Scene) -> Sequence[Schedule]:
    """Where an enumeration divides: the schedule without a fault, and each schedule of one."""
    world, _ = play(scene, ())
    return [(), *((first,) for first in _next(scene, world, 0))]


def enumerate_from(scene: Scene, first: Schedule, depth: int) -> Count:
    """Play one of the ``firsts``, and every schedule of at most ``depth`` faults that begins with its fault."""
    count = Count()
    _deeper(scene, first, depth if first else 0, count)
    return count


def _deeper(scene: Scene, schedule: Schedule, depth: int, count: Count) -> None:
    world, found = play(scene, schedule)
    _note(count, schedule, world, found)
    if len(schedule) < depth:
        for following in list(_next(scene, world, schedule[-1][0])):
            _deeper(scene, (*schedule, following), depth, count)


def _next(scene: Scene, world: World, after: int) -> Iterator[tuple[int, str]]:
    for n, label in enumerate(world.hub.offered, start=1):
        if n > after and scene.where(label):
            for kind in world.hub.kinds[label]:
                if kind not in LEFT_OUT:
                    yield n, kind


def schedules(scene: Scene, depth: int) -> Iterator[Schedule]:
    """Every schedule of at most ``depth`` faults, found by playing those before it; for whoever judges one by one."""
    yield ()
    level: list[Schedule] = [()]
    for _ in range(depth):
        deeper: list[Schedule] = []
        for schedule in level:
            world = play(scene, schedule)[0]
            for following in _next(scene, world, schedule[-1][0] if schedule else 0):
                deeper.append((*schedule, following))
                yield deeper[-1]
        level = deeper


def attempt(scene: Scene, schedule: Schedule) -> list[str]:
    """What breaks under a schedule; a checker that stumbles over what it finds has found something."""
    try:
        return play(scene, schedule)[1]
    except Exception as error:
        return [f"the checker stumbles: {type(error).__name__} {error}"]


def _note(count: Count, schedule: Schedule, world: World, found: list[str]) -> None:
    count.schedules += 1
    count.fenced += world.table.fenced
    count.struck.update(world.hub.struck)
    if found:
        count.bad.append((schedule, found))


def _asked_again(label: str) -> bool:
    """Where a step that has made its posting fails, is asked again, and answers."""
    return label in ("step.queues.send", "step.ledger.note", "step.machines.answer", "post.machines.answer")


def _refused(scene: Scene) -> Scene:
    """The scene where the target refuses the invoice for good."""
    key = "invoice/stripe:acct_us:in_acct_us0/create/post/g0"
    return replace(scene, setting=replace(scene.setting, refuses=(key,)))


def scenes() -> Mapping[str, tuple[Scene, int]]:
    """Every scene, and how many faults its schedules have at most."""
    return {
        "core, one invoice, class U": (core(("invoice",), Finds.UNIQUE, "core U"), 3),
        "core, one invoice, class S": (core(("invoice",), Finds.SEARCHABLE, "core S"), 3),
        "core, one invoice, class L": (core(("invoice",), Finds.LAGGING, "core L"), 3),
        "core, one invoice, class B": (core(("invoice",), Finds.BLIND, "core B"), 3),
        "core, invoice and payment in a lane": (core(("invoice", "payment"), Finds.SEARCHABLE, "lane"), 2),
        "core, an invoice and its void": (core(("invoice", "void"), Finds.SEARCHABLE, "void"), 2),
        "core, a refused invoice and its void": (_refused(core(("invoice", "void"), Finds.UNIQUE, "withdrawn")), 2),
        "whole way of one invoice": (whole(events.stripe(0, "invoice", False), "whole"), 1),
        "told twice, from the inbox on": (_refused(Scene("told", CALM, _told_twice)), 2),
        "file target": (whole(events.stripe(0, "invoice", True), "file"), 1),
        "what waits for room": (Scene("waiting", WAITING, _waiting), 1),
        "onboarding": (whole(events.deal(0), "onboarding"), 2),
        "onboarding, steps asked again": (replace(whole(events.deal(0), "again"), where=_asked_again), 2),
    }
