"""I13: one poisoned lane, and what it costs the others. The same history is played with the poison and without.

Poison is a document that its target refuses, one that our own rules cannot render, and one that its target books
with another amount. Delay is from the inbox to the booking in the
history; the lane that is poisoned is left out of both.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from unittest.mock import patch

from tests.simulation import events
from tests.simulation.history import PATIENCE
from tests.simulation.hub import START, Fate
from tests.simulation.world import Setting, World, targets_of
from tieout.core import ledger
from tieout.work import render

KINDS: Final = ("refused", "not rendered", "garbled")
LANES: Final = 12
POISONED: Final = 3
#: Within so many seconds a person must be told of a poisoned lane.
SOON: Final = 300
INVOICE: Final = f"invoice/stripe:acct_us:in_acct_us{POISONED}/create/post/g0"


class Unhurried:
    """No faults, and latencies by chance."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def draw(self, n: int, label: str, kinds: tuple[str, ...], now: float) -> Fate:
        """A latency."""
        return Fate("", 0.005 + 0.1 * self.rng.random(), 0.5)


@dataclass
class Outcome:
    """How the healthy lanes fared, and when somebody was told of the poisoned one."""

    delays: list[float]
    alarmed: float | None
    blocked: bool


def p99(delays: Sequence[float]) -> float:
    """The delay that one in a hundred exceeds, in seconds."""
    return sorted(delays)[int(len(delays) * 0.99)]


def play(seed: int, poison: str) -> Outcome:
    """Twelve lanes of an invoice, its payment and its credit note, so close together that they share batches.

    ``poison`` may be empty.
    """
    rng = random.Random(f"poison {seed}")
    refuses = (INVOICE,) if poison == "refused" else ()
    world = World(Unhurried(rng), Setting(concurrency=2, batch=10, refuses=refuses))
    with targets_of(world), _broken_rules(poison == "not rendered"):
        for lane in range(LANES):
            begun = rng.random() * 3
            for number, kind in enumerate(("invoice", "payment", "credit_note")):
                event = events.stripe(lane, kind, False)
                world.link(event)
                world.deliver(begun + number * 2, event)
        if poison == "garbled":
            world.books["netsuite:acme"].garbles = INVOICE
        world.hub.at(30.0, world.tick)
        world.hub.run(PATIENCE, world.rests)
        world.hub.close()
    return _judge(world)


@contextmanager
def _broken_rules(broken: bool) -> Iterator[None]:
    real = render.render

    def raises(ports: Any, view: Any, posting: Any, *more: Any) -> Any:
        if broken and posting["key"] == INVOICE:
            raise TypeError("unsupported operand")
        return real(ports, view, posting, *more)

    with patch.object(render, "render", raises):
        yield


def _judge(world: World) -> Outcome:
    received = {event.body: at for at, event in reversed(world.inbound)}
    delays, alarmed, blocked = [], None, True
    first = min(at for at, event in world.inbound if event.lane == f"in_acct_us{POISONED}" and event.kind == "invoice")
    for item in world.postings():
        if item["kind"] == "status":
            continue
        poisoned = f"in_acct_us{POISONED}" in item["key"] or f"cn_acct_us{POISONED}" in item["key"]
        if poisoned:
            blocked &= item["state"] != ledger.POSTED
            if item["key"] == INVOICE and "case" in item:
                alarmed = ledger.instant(item["case"]["opened"]).timestamp() - START.timestamp() - first
            continue
        event = next(one for _, one in world.inbound if item["event"].endswith(_id(one)))
        booked = ledger.instant(item["history"][-1]["at"]).timestamp() - START.timestamp()
        delays.append(booked - received[event.body] if item["state"] == ledger.POSTED else PATIENCE)
    return Outcome(delays, alarmed, blocked)


def _id(event: events.Event) -> str:
    return f":evt_{event.account}{event.lane.removeprefix(f'in_{event.account}')}{event.kind}"


def broken(seeds: Sequence[int] = range(4)) -> str:
    """What is wrong with isolation, as a sentence; empty where nothing is. Few seeds: whoever hunts asks often."""
    plain = [delay for seed in seeds for delay in play(seed, "").delays]
    for kind in KINDS:
        outcomes = [play(seed, kind) for seed in seeds]
        if p99([delay for one in outcomes for delay in one.delays]) > 1.25 * p99(plain):
            return f"I13 a lane with a document that is {kind} holds up the others"
        if not all(one.blocked and one.alarmed is not None and one.alarmed <= SOON for one in outcomes):
            return f"I13 nobody hears of a document that is {kind}, or its lane goes on"
    return ""
