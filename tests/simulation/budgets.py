"""I12, the budget of a target: calls at once, calls in any window, and the order in which what waits is let go.

The truth is the target's own: when each call reached it, whatever it asked for. What a process that dies has under way
is not counted as at once (nobody can know of it); in a window it counts as all others do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tests.simulation.releases import before
from tests.simulation.world import World

#: Two runs that have read a moment apart know different things of who waits: so much later each must.
GRACE: Final = 60.0


def broken(world: World) -> list[str]:
    """What breaks the budget; of hostile clocks and pauses without limit nothing is promised."""
    if world.setting.hostile:
        return []
    if world.deploys is not None and world.deploys.other is before():
        return _at_once(world, looks=False)  # it knew neither tokens nor slots for looks
    return [*_at_once(world, looks=True), *_windows(world), *_order(world)]


def _at_once(world: World, *, looks: bool) -> list[str]:
    limits = {"netsuite:acme": world.setting.budget, "salesforce:acme": 10, "stripe:acct_us": 20}
    most = {name: world.books[name].most_flying if looks else world.books[name].most_writing for name in limits}
    return [
        f"I12 {name} had {most[name]} calls at once, {limit} are allowed"
        for name, limit in limits.items() if most[name] > limit
    ]  # fmt: skip


def most_in(times: Sequence[float], seconds: float) -> int:
    """The most of ``times`` (sorted) in any window of that length."""
    most, first = 0, 0
    for last, at in enumerate(times):
        while at - times[first] >= seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def _windows(world: World) -> list[str]:
    found = []
    for rate in world.setting.rates:
        most = most_in(sorted(at for at, _ in world.books["netsuite:acme"].reached), rate.seconds)
        if most > rate.calls:
            found.append(f"I12 netsuite:acme had {most} calls in {rate.seconds} s, {rate.calls} are allowed")
    return found


def _order(world: World) -> list[str]:
    """Without faults, and where the index does not lag, nobody goes before one who waits in a better place."""
    if world.hub.struck or world.setting.index_lag or world.setting.skew:
        return []
    table = world.table
    return [
        f"I12 {ahead.pk} went at {at:.2f} before {behind.pk}, which waited in a better place"
        for at, ahead, behind in table.jumped
        if at - table.entered.get(behind, at) > GRACE and table.gone.get(behind, 1e12) - at > GRACE
    ]  # fmt: skip
