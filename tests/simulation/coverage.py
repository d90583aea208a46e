"""Which call each verb makes, and what may go wrong with it: the pairs that a run must all have struck.

A boundary that a run meets and this list does not name fails the run, and so does one that the list names and no run
meets, so that the list stays true of the verbs.
"""

from __future__ import annotations

import random
from functools import cache
from typing import Final

from tests.simulation import tokens
from tests.simulation.model import CALLS, READS, SENDS, WRITES
from tests.simulation.targets import DEATHS, DROPS, LOOKS, PUTS

DUE: Final = ("crash_before", "throttled")
GETS: Final = ("crash_before", "stall_after", "unreachable")
BOUNDARIES: Final[dict[str, tuple[str, ...]]] = {
    **tokens.BOUNDARIES,
    "receive.secrets.get": ("crash_before", "stall_after", "throttled"),
    "receive.inbox.put": CALLS,
    "intake.queue.put": ("twice", "delayed"),
    "intake.vault.put": CALLS,
    "intake.ledger.intake": WRITES,
    "intake.ledger.note": WRITES,
    "intake.queues.send": SENDS,
    "intake.machines.start": CALLS,
    "intake.queue.delete": ("delete_lost",),
    "post.ledger.read": READS,
    "post.ledger.claim": WRITES,
    "post.wire.put": (*PUTS, "expired"),
    "post.wire.get": (*LOOKS, "expired"),
    "post.drop.put": DROPS,
    "post.drop.get": GETS,
    "post.ledger.book": WRITES,
    "post.ledger.note": WRITES,
    "post.machines.answer": CALLS,
    "post.queues.send": SENDS,
    "post.ledger.waiting": DUE,
    "post.queue.delete": ("delete_lost",),
    "step.ledger.read": READS,
    "step.ledger.note": WRITES,
    "step.wire.look": (*LOOKS, "expired"),
    "step.ledger.make": WRITES,
    "step.queues.send": SENDS,
    "probe.schedule.tick": ("missed", "twice"),
    "probe.ledger.due": DUE,
    "probe.ledger.read": READS,
    "probe.ledger.waiting": DUE,
    "probe.ledger.note": WRITES,
    "probe.ledger.book": WRITES,
    "probe.ledger.make": WRITES,
    "probe.ledger.window": WRITES,
    "probe.wire.find": (*LOOKS, "expired"),
    "probe.drop.get": GETS,
    "probe.queues.send": SENDS,
    "probe.machines.status": CALLS,
    "probe.machines.answer": CALLS,
}
#: Boundaries that only a fault leads to: a history that is to strike one is led there, see `LEADS`.
RARE: Final[dict[str, tuple[str, ...]]] = {
    "step.machines.answer": CALLS,
    "step.ledger.book": WRITES,
    "probe.machines.start": CALLS,
    "dead.vault.put": CALLS,
    "dead.ledger.read": READS,
    "dead.ledger.note": WRITES,
    "dead.ledger.intake": WRITES,
    "dead.queues.send": SENDS,
    "dead.machines.start": CALLS,
    "dead.queue.put": ("twice", "delayed"),
    "dead.queue.delete": ("delete_lost",),
    "post.wire.delete": (*DEATHS, *LOOKS[2:]),
    "desk.ledger.read": READS,
    "desk.ledger.book": WRITES,
    "desk.ledger.make": WRITES,
}
#: What must go wrong first, and how often (0: each time), so that a history meets a boundary at all.
LEADS: Final[dict[str, tuple[tuple[str, str, int], ...]]] = {
    "probe.machines.start": (("intake.machines.start", "throttled", 0),),
    "probe.machines.status": (("intake.machines.start", "throttled", 0),),
    "probe.machines.answer": (("post.machines.answer", "throttled", 0),),
    "step.machines.answer": (("step.queues.send", "crash_after", 0),),
    "dead.vault.put": (("intake.ledger.intake", "crash_before", 0),),
    "dead.ledger.intake": (("intake.ledger.intake", "crash_before", 0),),
    "dead.queues.send": (("intake.ledger.intake", "crash_before", 0),),
    "dead.machines.start": (("intake.ledger.intake", "crash_before", 0),),
    "dead.ledger.read": (("post.ledger.claim", "crash_before", 0),),
    "dead.ledger.note": (("post.ledger.claim", "crash_before", 0),),
    "dead.queue.put": (("intake.ledger.intake", "crash_before", 1),),
    "dead.queue.delete": (("intake.ledger.intake", "crash_before", 1),),
}
#: Boundaries to which a customer leads that was made and is taken back, as a later step of its deal is refused.
UNDONE: Final = ("post.wire.delete", "step.ledger.book", "desk.ledger.make")
#: Boundaries that chance strikes often enough: no history is spent on them alone.
OFTEN: Final = frozenset({
    "intake.queue.put", "intake.queue.delete", "post.ledger.read", "post.queue.delete", "probe.schedule.tick",
    "probe.ledger.due", "probe.ledger.note", "probe.ledger.read", "probe.ledger.window", "probe.ledger.waiting",
    "intake.ledger.intake", "intake.vault.put", "intake.queues.send", "post.ledger.claim", "post.ledger.book",
    "probe.queues.send", "step.ledger.read", "receive.secrets.get",
})  # fmt: skip
#: How many histories a hard pair is given for each of an easy one, where it is not two.
WEIGHTS: Final = {
    "post.wire.delete": 40, "step.ledger.book": 16, "probe.machines.start": 9, "post.drop.put": 14,
    "dead.machines.start": 7, "step.machines.answer": 4, "intake.machines.start": 4, "intake.ledger.note": 3,
    "dead.vault.put": 1, "dead.ledger.read": 1, "dead.ledger.note": 1, "dead.ledger.intake": 1, "step.ledger.make": 1,
    "post.machines.answer": 1, "post.wire.get": 1, "probe.machines.status": 1,
    "desk.ledger.make": 48, "desk.ledger.book": 6, "post.drop.get": 8,
    "post.secrets.put": 22, "probe.secrets.get": 3, "probe.secrets.put": 69, "post.ledger.waiting": 168,
    "probe.ledger.make": 16,
}  # fmt: skip

#: The same for a token that ends at a call, which only few histories have.
EXPIRED: Final = {"probe.wire.find": 52, "post.wire.get": 8, "post.wire.put": 5, "step.wire.look": 3}


@cache
def pairs() -> tuple[tuple[str, str], ...]:
    """Every (boundary, fault) that a run must strike."""
    return tuple((label, kind) for label, kinds in (BOUNDARIES | RARE).items() for kind in kinds)


@cache
def declared() -> frozenset[tuple[str, str]]:
    """Every (boundary, fault) that may be struck."""
    return frozenset(pairs())


@cache
def _spread(hostile: bool) -> tuple[tuple[str, str], ...]:
    """The pairs that a regime can meet, those of hard boundaries more often."""
    one = ("intake.ledger", "intake.vault", "intake.queues", "post.ledger", "post.wire.put", "probe.wire.find")

    def weight(label: str, kind: str) -> int:
        alone = ".drop." in label or label in UNDONE or (".secrets." in label and label in tokens.BOUNDARIES)
        if label in OFTEN or (hostile and alone):
            return 0
        if kind == "expired":
            return EXPIRED.get(label, 2)
        return WEIGHTS.get(label, 1 if label.startswith(one) else 2)

    spread = [pair for pair in pairs() for _ in range(weight(*pair))]
    random.Random("spread").shuffle(spread)  # a few hundred seeds see a little of everything
    return tuple(spread)


def focus(seed: int) -> tuple[str, str] | None:
    """The pair that a seed strikes for certain where it meets it; none for one seed in ten."""
    if seed % 20 in (0, 5):
        return None
    spread = _spread(seed % 2 == 1)
    return spread[(seed // 2) % len(spread)]


def times(label: str) -> int:
    """How often a hard boundary is struck: a rotating pair does not outlive that four renewals are lost."""
    return 2 if label in tokens.BOUNDARIES else 4


def hard(label: str) -> bool:
    """Whether a history meets a boundary once or twice at most: then its first crossings are struck."""
    return (
        label in RARE
        or label in LEADS
        or label in tokens.BOUNDARIES
        or label.startswith(("step.", "intake.machines", "post.machines", "post.drop"))
    )
