"""The gates before a posting: an ordered, declared list of pure checks, each with its code and sentence.

Residency, lane, parent, period, breaker are here; *tables* is the rendering itself (an unmapped value holds), and
*budget* is the slot taken in the same write as the claim.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tieout.core import lanes
from tieout.core.keys import Key
from tieout.core.late import Action, Decision
from tieout.core.ledger import COMPENSATED, POSTED, stamp
from tieout.core.verdicts import NeedsHuman, NotYet
from tieout.core.writes import Item


@dataclass(frozen=True)
class Scene:
    """What the gates look at: the posting, its lane, the items it reads, the target's budget item, the instant.

    ``late`` is what the late document policy says about its posting date; ``None`` where the kind has none.
    """

    posting: Item
    lane: Item | None
    reads: Mapping[Key, Item | None]
    budget: Item | None
    now: datetime
    region: str
    late: Decision | None = None


def residency(scene: Scene) -> None:
    """A document of another region is never sent from here."""
    region = scene.posting.get("region", scene.region)
    if region != scene.region:
        raise NeedsHuman("wrong_region", region=region)


def lane(scene: Scene) -> None:
    """Only the head of a lane may go."""
    if not scene.posting.get("lane"):
        return
    first = lanes.head(scene.lane)
    if first != scene.posting["key"]:
        raise NotYet("behind", gate="lane", head=first or "nothing")


def parent(scene: Scene) -> None:
    """A parent document must be accepted, and a customer known at the target, before what depends on it."""
    target = scene.posting["target"]
    for key in scene.posting.get("reads", ()):
        pk, sk = key
        item = scene.reads.get(Key(pk, sk))
        if pk.startswith("P#") and (item is None or item["state"] not in (POSTED, COMPENSATED)):
            raise NotYet("parent_missing", gate="parent", what=pk[2:].split("/action")[0])
        if pk.startswith("X#") and (item is None or f"at:{target}" not in item):
            raise NotYet("customer_not_linked", gate="parent", what=pk.rpartition(":")[2])


def period(scene: Scene) -> None:
    """A document whose period takes no more is re-dated, held or escalated, by the late document policy."""
    decision = scene.late
    if decision is None or decision.action <= Action.REDATE:
        return
    code = "period_closed" if decision.action is Action.HOLD else "late_document"
    why = ", ".join(decision.reasons)
    raise NotYet(code, gate="period", period=decision.period.name, entity=scene.posting["entity"], why=why)


def breaker(scene: Scene) -> None:
    """A target that asked for a pause, or does not answer, is left alone until then."""
    until = (scene.budget or {}).get("paused_until")
    if until and until > stamp(scene.now):
        raise NotYet("target_paused", gate="breaker", until=until, target=scene.posting["target"])


#: In the order in which they are asked.
GATES: Final[Sequence[Callable[[Scene], None]]] = (residency, lane, parent, period, breaker)


def ask(scene: Scene) -> None:
    """Ask every gate in order; the first that objects raises its verdict."""
    for gate in GATES:
        gate(scene)
