"""Retry-After in every sliding window: nobody who could have known of a pause writes to that target within it.

What the product promises, and no more: a pause is booked with the target's budget, every run of ``post`` reads it
before it asks its gates, and none of them writes before the pause is over by its own clock. Calls that are under way,
and the rest of a batch that read the ledger before the pause was booked, still go out. Looks at a target (``find``,
``get``, ``look``) do not ask the gate, and nothing here forbids them.
"""

from __future__ import annotations

from datetime import datetime

from tests.simulation.hub import START
from tests.simulation.world import World


def windows(world: World) -> dict[str, list[tuple[float, float]]]:
    """The pauses of each target account: booked at, over at, in virtual seconds."""
    found: dict[str, list[tuple[float, float]]] = {}
    for at, name, until in world.table.pauses:
        over = datetime.fromisoformat(until.replace("Z", "+00:00")) - START
        found.setdefault(name.removeprefix("B#"), []).append((at, over.total_seconds()))
    return found


def broken(world: World) -> list[str]:
    """I12: writes that were begun within a pause by a run that had read of it."""
    found = []
    for name, paused in windows(world).items():
        for at, worker in world.books[name].begun:
            read, clock = worker.read_at, at + worker.skew
            if worker.package == "tieout_before" and worker.role != "post":
                continue  # the release before asked that gate for writes only
            if read is not None and any(booked < read and clock < over for booked, over in paused):
                found.append(f"I12 {worker.name} wrote to {name} at {at:.2f}, within a pause that it had read of")
    return found


def exempt(world: World) -> int:
    """Writes within a booked pause by runs that had begun before it was booked."""
    return sum(
        any(booked <= at and at + worker.skew < over for booked, over in paused)
        for name, paused in windows(world).items() for at, worker in world.books[name].begun
    )  # fmt: skip
