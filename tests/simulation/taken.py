"""A ledger in which intake has just done its work: where histories of the posting core begin, computed once."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Final

from tests.simulation.events import Event
from tests.simulation.governed import ELSEWHERE, REGION
from tests.simulation.hub import Fate
from tests.simulation.world import Setting, World, targets_of
from tieout.core.keys import Key
from tieout.core.writes import Item

CALM: Final = Setting(concurrency=2, batch=2)


class Calm:
    """Nothing ever goes wrong, and every call takes the same time."""

    def draw(self, n: int, label: str, kinds: tuple[str, ...], now: float) -> Fate:
        """No fault."""
        return Fate("", 0.01, 0.83)


@cache
def _taken(made: tuple[Event, ...], region: str) -> dict[Key, Item]:
    world = World(Calm(), replace(CALM, region=region))
    with targets_of(world):
        for one in made:
            world.link(one)
            world.deliver(0.0, one)
        for lane in world.lanes.values():
            lane.concurrency = 0
        world.hub.run(5.0, lambda: False)
        world.hub.close()
    for item in world.table.items.values():
        item.pop("tell", None)  # the status is a posting like any other: here it only multiplies the crossings
    return world.table.items


def ledger_after(made: tuple[Event, ...], region: str = REGION) -> dict[Key, Item]:
    """All items of the ledger after intake of these events."""
    return {key: dict(item) for key, item in _taken(made, region).items()}


def plant(world: World, event: Event) -> None:
    """Put the items of another region's event into the ledger, as a replica or a restore would bring them."""
    for key, item in ledger_after((event,), ELSEWHERE).items():
        world.table.items.setdefault(key, item)
        if item.get("due_shard"):
            world.table.index[key] = item["due"]
        if item.get("region") == ELSEWHERE:
            world.aliens.add(key)
        if key.pk.startswith("L#"):
            world.table.joined[key.pk] = list(item["queue"])
