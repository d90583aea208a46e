"""The gates before a posting: one ordered, declared list; a row says what a gate protects, what it says, what opens it.

Pure functions that `ask` calls in order before anything is rendered. Two more stand behind them: *tables* is the
rendering itself (an unmapped value holds), and *budget* once more: slot and tokens, taken in the write of the claim.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tieout.core import lanes
from tieout.core.keys import Key
from tieout.core.late import Action, Decision
from tieout.core.ledger import COMPENSATED, POSTED, SUPERSEDED, rank, stamp
from tieout.core.planner import Does, Row
from tieout.core.settle import approved
from tieout.core.verdicts import NeedsHuman, NotYet
from tieout.core.writes import Item


@dataclass(frozen=True)
class Rules:
    """What the governed tables say about a posting on the day it is asked; ``None`` where they say nothing.

    ``fence`` is the only region in which its entity's documents may be worked on (``eu`` stands for every ``eu-...``),
    ``owner`` the system of record of its kind, ``limit`` the amount, in minor units of its currency, up to which no
    second person is needed.
    """

    fence: str | None = None
    owner: str | None = None
    limit: int | None = None


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
    #: What the planner says about taking the document above back; ``None`` for a posting that takes nothing back.
    plan: Row | None = None
    rules: Rules = Rules()


def residency(scene: Scene) -> None:
    """A document of another region, or of an entity that is fenced into another, is never sent from here."""
    region = scene.posting.get("region", scene.region)
    fence = scene.rules.fence
    if fence and scene.region != fence and not scene.region.startswith(f"{fence}-"):
        region = fence
    if region != scene.region:
        raise NeedsHuman("wrong_region", region=region)


def ownership(scene: Scene) -> None:
    """A document of a kind that has one system of record is not posted from another's word."""
    owner, source = scene.rules.owner, scene.posting.get("source")
    if owner and source != owner:
        raise NeedsHuman("not_its_owner", kind=scene.posting["kind"], owner=owner, source=str(source))


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
        if pk.startswith("P#") and item is not None and (how := _gone(item, scene.posting)):
            raise NeedsHuman("parent_gone", gate="parent", what=pk[2:].split("/action")[0], how=how)
        if pk.startswith("P#") and (item is None or item["state"] not in (POSTED, COMPENSATED)):
            raise NotYet("parent_missing", gate="parent", what=pk[2:].split("/action")[0])
        if pk.startswith("X#") and (item is None or f"at:{target}" not in item):
            raise NotYet("customer_not_linked", gate="parent", what=pk.rpartition(":")[2])
        if pk.startswith("X#") and scene.posting["kind"] == "customer" and item and f"found:{target}" in item:
            # It is known there under a number that is not ours: an upsert by ours would make it twice.
            raise NeedsHuman("customer_not_ours", gate="parent", target=target, remote=str(item[f"at:{target}"]))


def _gone(above: Item, posting: Item) -> str:
    """How the document above a posting has gone; empty where it has not, or where this is what takes it back."""
    if above["state"] == SUPERSEDED:
        return "ended unsent: nothing of it is booked"
    back = above.get("taken_back")
    return "was taken back by a void that is booked" if back and posting["action"] == "create" else ""


def period(scene: Scene) -> None:
    """A document whose period takes no more is re-dated, held or escalated, by the late document policy."""
    decision = scene.late
    if decision is None or decision.action <= Action.REDATE:
        return
    facts = {"gate": "period", "period": decision.period.name, "entity": scene.posting["entity"]}
    why = ", ".join(decision.reasons)
    if decision.action is Action.HOLD:
        raise NotYet("period_closed", why=why, **facts)
    raise NotYet("late_document", why=why, **facts)


def takeback(scene: Scene) -> None:
    """A document is taken back as the planner says: not where it stops, with a second person where money moves."""
    plan = scene.plan
    if plan is None or plan.does in (Does.VOID, Does.REVERSE):
        return
    facts = {"gate": "takeback", "plan": str(plan.does), "why": plan.why}
    if plan.does is not Does.CREDIT:
        raise NeedsHuman("cannot_take_back", **facts)
    if not approved(scene.posting):
        raise NotYet("void_of_paid", **facts)


def limits(scene: Scene) -> None:
    """An amount above the limit waits for a second person: an approval by name, with a reason, of this very amount."""
    total, limit = scene.posting.get("total"), scene.rules.limit
    if total is None or limit is None or abs(int(total)) <= limit:
        return
    if approved(scene.posting):
        return
    facts = {"kind": scene.posting["kind"], "entity": scene.posting["entity"]}
    raise NotYet("above_limit", gate="limits", currency=str(scene.posting.get("currency")), total=str(total),
                 limit=str(limit), **facts)  # fmt: skip


def breaker(scene: Scene) -> None:
    """A target that asked for a pause, or does not answer, is left alone until then."""
    until = (scene.budget or {}).get("paused_until")
    if until and until > stamp(scene.now):
        raise NotYet("target_paused", gate="breaker", until=until, target=scene.posting["target"])


def budget(scene: Scene) -> None:
    """Who has not waited does not overtake who waits for the same target with a higher rank."""
    waits = (scene.budget or {}).get("waits")
    if waits and "released" not in scene.posting and rank(scene.posting) >= waits:
        raise NotYet("budget_spent", gate="budget", target=scene.posting["target"])


@dataclass(frozen=True)
class Gate:
    """One gate: its check, the codes it may raise, what it guards, and what opens it again."""

    check: Callable[[Scene], None]
    codes: tuple[str, ...]
    guards: str
    opens: str

    @property
    def name(self) -> str:
        """As holds and pages call it."""
        return self.check.__name__


#: In the order in which they are asked: first what makes sending wrong for good, last what only asks for patience.
GATES: Final[Sequence[Gate]] = (
    Gate(residency, ("wrong_region",), "a document of another region, or of an entity fenced there, never leaves here",
         "its own deployment"),
    Gate(ownership, ("not_its_owner",), "a kind with one system of record is not booked from another system's word",
         "the right source, or the table's row, changed by two people; then a retry"),
    Gate(lane, ("behind",), "nothing overtakes what stands before it in its lane", "the booking of the head"),
    Gate(parent, ("parent_missing", "customer_not_linked", "parent_gone", "customer_not_ours"),
         "nothing is posted before what it hangs on is accepted",
         "the parent's booking, the customer's link; late ones become a case"),
    Gate(period, ("period_closed", "late_document"), "nothing is dated into a period that takes no more",
         "the late document policy: another day, a reopened period, a person"),
    Gate(takeback, ("void_of_paid", "cannot_take_back"),
         "a posted document is taken back only as [the planner](planner.md) says",
         "an approval by a second person, where the plan asks for one; else what the case's sentence says"),
    Gate(limits, ("above_limit",), "an amount above its entity's limit is not decided without a second person",
         "an approval on the posting, or a higher limit, approved by two people"),
    Gate(breaker, ("target_paused",), "a target that asked for a pause, or does not answer, is left alone", "time"),
    Gate(budget, ("budget_spent",), "what waits for room at its target is not overtaken by what comes later",
         "room at the target: what waits is let go by class, then by age"),
)  # fmt: skip


#: What a wait becomes that outlives its flow's service level: a case, which goes on by itself all the same.
LATE: Final = {"parent_missing": "parent_late", "customer_not_linked": "customer_late"}


def ask(scene: Scene) -> None:
    """Ask every gate in order; the first that objects raises its verdict."""
    for gate in GATES:
        gate.check(scene)
