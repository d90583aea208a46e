"""What waits for room at a target goes by class and then by age: a backlog at a narrow budget, without any fault.

Histories with faults judge windows and calls at once; who goes before whom is only fair to ask where nothing went
wrong, and seldom do enough wait then. Here everybody waits.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

from tests.simulation import budgets, events
from tests.simulation.history import PATIENCE
from tests.simulation.poison import Unhurried
from tests.simulation.world import Setting, World, targets_of
from tieout.contract import Rate

LANES: Final = 8
KINDS: Final = ("invoice", "payment", "credit_note")
RATES: Final = (Rate(4, 60),)


def play(seed: int) -> tuple[World, bool]:
    """Eight lanes of an invoice, its payment and its credit note over a quarter of an hour, at four calls a minute."""
    rng = random.Random(f"queued {seed}")
    world = World(Unhurried(rng), Setting(concurrency=2, batch=4, budget=2, rates=RATES))
    with targets_of(world):
        for lane in range(LANES):
            for number, kind in enumerate(KINDS):
                event = events.stripe(lane, kind, False)
                world.link(event)
                world.deliver(rng.random() * 300 + number * 300, event)
        world.hub.at(30.0, world.tick)
        came = world.hub.run(PATIENCE, world.rests)
        world.hub.close()
    return world, came


def broken(seeds: Sequence[int] = range(12)) -> str:
    """What is wrong with the order, as a sentence; empty where nothing is."""
    for seed in seeds:
        world, came = play(seed)
        if not came:
            return f"I14 a backlog of {len(world.table.entered)} is not worked off"
        found = budgets.broken(world)
        if found:
            return found[0]
    return ""
