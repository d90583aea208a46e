"""I15 by the thousand: whatever is done to a stored chain, both the product's verifier and the simulation's see it.

The forger may rewrite lines and compute hashes anew, but not the tail that the item keeps. Who can rewrite the item as
well is caught only by a seal outside the table, which this test says nothing of.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.simulation import check, events
from tests.simulation.cheap import cheap
from tests.simulation.hub import Fate
from tests.simulation.taken import CALM
from tests.simulation.world import World, targets_of
from tieout.core import ledger

Line = Mapping[str, Any]
Chain = list[Line]
TRIALS: Final = 1_000


def _hash(line: Line) -> str:
    bare = {name: value for name, value in line.items() if name != "hash"}
    return hashlib.sha256(json.dumps(bare, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _flip(rng: random.Random, lines: Chain) -> Chain:
    """One character of one value of one line is another."""
    n = rng.randrange(len(lines))
    name = rng.choice(sorted(name for name, value in lines[n].items() if isinstance(value, str) and value))
    value = lines[n][name]
    at = rng.randrange(len(value))
    changed = value[:at] + chr(ord(value[at]) ^ 1) + value[at + 1 :]
    return [*lines[:n], {**lines[n], name: changed}, *lines[n + 1 :]]


def _delete(rng: random.Random, lines: Chain) -> Chain:
    n = rng.randrange(len(lines))
    return [*lines[:n], *lines[n + 1 :]]


def _truncate(rng: random.Random, lines: Chain) -> Chain:
    return lines[: rng.randrange(len(lines))]


def _swap(rng: random.Random, lines: Chain) -> Chain:
    a, b = rng.sample(range(len(lines)), 2)
    out = list(lines)
    out[a], out[b] = out[b], out[a]
    return out


def _double(rng: random.Random, lines: Chain) -> Chain:
    n = rng.randrange(len(lines))
    return [*lines[: n + 1], *lines[n:]]


def _hash_anew(rng: random.Random, lines: Chain) -> Chain:
    """One line says something else, and it and every line after it is linked and hashed as if it always had."""
    n = rng.randrange(len(lines))
    out: Chain = list(lines[:n])
    for number, line in enumerate(lines[n:]):
        made = {**line, "prev": out[-1]["hash"] if out else ""}
        if number == 0:
            made["by"] = "somebody else"
        out.append({**made, "hash": _hash(made)})
    return out


FORGERIES: Final[tuple[Callable[[random.Random, Chain], Chain], ...]] = (
    _flip, _delete, _truncate, _swap, _double, _hash_anew,
)  # fmt: skip


class _Trouble:
    """The first answer of the ERP is lost, and the second call is refused for now."""

    def __init__(self) -> None:
        self.calls = 0

    def draw(self, n: int, label: str, kinds: tuple[str, ...], now: float) -> Fate:
        """The fate of the n-th crossing."""
        self.calls += label == "post.wire.put"
        struck = label == "post.wire.put" and self.calls < 3
        return Fate({1: "lost_answer", 2: "busy"}[self.calls] if struck else "", 0.01, 0.83)


def _world() -> World:
    """A history with some trouble in it, so that chains differ: one answer is lost, one call is refused for now."""
    world = World(_Trouble(), CALM)
    with cheap(), targets_of(world):
        for kind in ("invoice", "payment", "credit_note"):
            world.link(events.stripe(0, kind, False))
            world.deliver(0.0, events.stripe(0, kind, False))
        world.hub.at(30.0, world.tick)
        assert world.hub.run(7200.0, world.rests)
        world.hub.close()
    assert set(world.hub.struck) == {("post.wire.put", "lost_answer"), ("post.wire.put", "busy")}
    return world


def test_a_thousand_tamperings_with_chains_are_all_seen() -> None:
    rng, world = random.Random("tampering"), _world()
    assert check._chains(world) == []
    chains = [item for item in world.postings() if len(item["history"]) > 2]
    assert len(chains) > 2
    missed: list[str] = []
    done: Counter[str] = Counter()
    for _ in range(TRIALS):
        item, forge = rng.choice(chains), rng.choice(FORGERIES)
        whole = item["history"]
        forged = forge(rng, whole)
        assert forged != whole, f"{forge.__name__} changed nothing"
        done[forge.__name__] += 1
        seen_by_product = bool(ledger.chain_breaks(forged, item["tail"]))
        item["history"] = forged
        seen_by_checker = any(found.startswith("I15") for found in check._chains(world))
        item["history"] = whole
        if not (seen_by_product and seen_by_checker):
            missed.append(f"{forge.__name__}: product {seen_by_product}, checker {seen_by_checker}")
    assert missed == []
    assert len(done) == len(FORGERIES)
    assert done.total() == TRIALS
