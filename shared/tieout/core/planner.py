"""What becomes of a document that its source takes back or changes after we have it: one declared table, pure.

What the source says now, where our posting stands, whether the original's period still takes anything, and how the
target takes a document back, decide together. Every combination has exactly one row, and none is a default: a test
counts them. Finance's rules behind it: what was never sent is ended unsent; what is posted is never edited; a closed
period is never changed, so that what takes a document back is dated into an open one; and money that is applied to a
document is moved by a person, not by us.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from itertools import product
from typing import Any, Final

from tieout.core import ledger


class Says(StrEnum):
    """What the source says about a document that it has told of before."""

    VOIDED = "voided"
    CHANGED = "changed"
    CREDITED = "credited"
    RENEWED = "renewed"


class At(StrEnum):
    """Where the posting of the document stands at the target."""

    UNSENT = "unsent"
    UNDERWAY = "underway"
    UNKNOWN = "unknown"
    POSTED = "posted"
    APPLIED = "applied"
    GONE = "gone"


class Period(StrEnum):
    """Whether the period of the document's posting date takes anything."""

    OPEN = "open"
    CLOSED = "closed"


class Takes(StrEnum):
    """How the target takes a document back: by changing it, by a dated document against it, or not at all."""

    IN_PLACE = "in place"
    DATED = "by a document"
    NOT = "not at all"


class Does(StrEnum):
    """What is done."""

    WITHDRAW = "withdraw"
    REPLACE = "replace"
    WAIT = "wait"
    UPDATE = "update"
    VOID = "void"
    REVERSE = "reverse"
    CREDIT = "credit"
    VOID_AND_REBILL = "void and rebill"
    CREDIT_AND_REBILL = "credit and rebill"
    NOTHING = "nothing"
    STOP = "stop"


@dataclass(frozen=True)
class Situation:
    """One combination."""

    says: Says
    at: At
    period: Period
    takes: Takes


@dataclass(frozen=True)
class Row:
    """One row: the combinations it is for, what is done and why.

    ``old`` and ``new`` say how often the amount of the document as it was, and of what the source tells now, changes
    the books (-1, 0 or 1). ``person`` says that somebody must agree first; a *stop* is a case with no way on from here.
    """

    says: Says
    at: Sequence[At]
    period: Sequence[Period]
    takes: Sequence[Takes]
    does: Does
    why: str
    old: int = 0
    new: int = 0
    person: bool = False

    @property
    def situations(self) -> list[Situation]:
        """Every combination that the row is for."""
        return [Situation(self.says, *rest) for rest in product(self.at, self.period, self.takes)]

    def effect(self, was: int, now: int) -> int:
        """What the target's books change by, in minor units, once it is done: ``was`` of the document, ``now`` of the
        source's newer word (a credit's own amount, a changed document's new total)."""
        return self.old * was + self.new * now


_V, _C, _K, _R = Says.VOIDED, Says.CHANGED, Says.CREDITED, Says.RENEWED
_UNSENT, _UNDERWAY, _UNKNOWN, _POSTED, _APPLIED, _GONE = ((one,) for one in At)
_SITS: Final = (At.POSTED, At.APPLIED)
_ANY: Final = tuple(Period)
_OPEN, _CLOSED = ((one,) for one in Period)
_HOW: Final = tuple(Takes)
_IN_PLACE, _DATED, _NOT = ((one,) for one in Takes)

ROWS: Final[Sequence[Row]] = (
    # --- the source takes it back as a whole
    Row(_V, _UNSENT, _ANY, _HOW, Does.WITHDRAW,
        "Nothing of it is at the target: the document and its void end unsent, together."),
    Row(_V, _UNDERWAY, _ANY, _HOW, Does.WAIT,
        "It may be at the target. The void keeps its place behind it and is decided once that is known."),
    Row(_V, _UNKNOWN, _ANY, _HOW, Does.WAIT,
        "A person has to find out first whether it is at the target. The void keeps its place behind it."),
    Row(_V, _POSTED, _OPEN, _IN_PLACE, Does.VOID,
        "Its period is open and nothing is applied to it: the target voids it.", old=-1),
    Row(_V, _POSTED, _CLOSED, _IN_PLACE, Does.STOP,
        "To void it would change a closed period, and the target offers no document against it: reopen the period, or "
        "reverse it there by hand in an open one."),
    Row(_V, _POSTED, _ANY, _DATED, Does.REVERSE,
        "A document of its own takes it back, dated on the day of the void or, where that period takes no more, into "
        "the next open one; the original's period stays as it is.", old=-1),
    Row(_V, _APPLIED, _ANY, _DATED, Does.CREDIT,
        "Money or credits are applied to it. Once a person agrees, its amount is credited on account and applied to "
        "nothing: what was paid then stands to the customer's credit, to be refunded or used.", old=-1, person=True),
    Row(_V, _APPLIED, _ANY, _IN_PLACE, Does.STOP,
        "Money or credits are applied to it, and the target voids only what is open: take the payment off there, or "
        "credit it at the source instead."),
    Row(_V, _SITS, _ANY, _NOT, Does.STOP,
        "The target cannot take a document of this kind back: correct it by a document of its own at the source, or "
        "reverse it there by hand."),
    Row(_V, _GONE, _ANY, _HOW, Does.NOTHING, "It was withdrawn or taken back before: there is nothing to void."),
    # --- the source tells other content under the same id
    Row(_C, _UNSENT, _ANY, _HOW, Does.REPLACE,
        "Nothing of it is at the target: end the older unsent and post the newer in its place.", new=1, person=True),
    Row(_C, _UNDERWAY, _ANY, _HOW, Does.WAIT,
        "The older may be at the target. What to do is known once that is: look again then."),
    Row(_C, _UNKNOWN, _ANY, _HOW, Does.WAIT,
        "A person has to find out first whether the older is at the target. What to do follows from that."),
    Row(_C, _POSTED, _OPEN, _IN_PLACE, Does.VOID_AND_REBILL,
        "What is posted is never edited. Its period is open and nothing is applied to it: void it, then post the "
        "newer.",
        old=-1, new=1, person=True),
    Row(_C, _POSTED, _CLOSED, _IN_PLACE, Does.STOP,
        "To void it would change a closed period: reopen the period, or correct it by a credit note and a new document "
        "at the source."),
    Row(_C, _APPLIED, _ANY, _IN_PLACE, Does.STOP,
        "Money or credits are applied to it, and the target voids only what is open: correct it by a credit note and a "
        "new document at the source."),
    Row(_C, _SITS, _ANY, _DATED, Does.CREDIT_AND_REBILL,
        "What is posted is never edited. Credit the whole of it into an open period, then post the newer; what is "
        "applied to the older stands to the customer's credit until somebody applies it to the newer.",
        old=-1, new=1, person=True),
    Row(_C, _SITS, _ANY, _NOT, Does.STOP,
        "What is posted is never edited, and the target cannot take it back: correct it by a credit note and a new "
        "document at the source."),
    Row(_C, _GONE, _ANY, _HOW, Does.STOP,
        "It was withdrawn or taken back, and the source tells of it anew: find out there which of the two holds."),
    # --- the source credits a part or the whole, by a document of its own
    Row(_K, _UNSENT, _ANY, _HOW, Does.WAIT,
        "Both are posted, one after the other: the credit waits for the document, so that the trail shows both."),
    Row(_K, _UNDERWAY, _ANY, _HOW, Does.WAIT,
        "The document may be at the target. The credit keeps its place behind it."),
    Row(_K, _UNKNOWN, _ANY, _HOW, Does.WAIT,
        "A person has to find out first whether the document is at the target. The credit keeps its place behind it."),
    Row(_K, _SITS, _ANY, _HOW, Does.CREDIT,
        "The credit is posted into its own period, not the document's, and applied to what is open of it.", new=-1),
    Row(_K, _GONE, _ANY, _HOW, Does.STOP,
        "The document was withdrawn or taken back: there is nothing left to credit. Look at the source which holds."),
    # --- the source tells a newer version of what changes in place (customer, item, contract, status)
    Row(_R, (At.UNSENT, At.POSTED, At.APPLIED, At.GONE), _ANY, _HOW, Does.UPDATE,
        "The newer version is written over the older under the same reference, in its order; an older one never "
        "after."),
    Row(_R, _UNDERWAY, _ANY, _HOW, Does.WAIT,
        "The older version may be on its way. The newer keeps its place behind it."),
    Row(_R, _UNKNOWN, _ANY, _HOW, Does.WAIT,
        "A person has to find out first which version the target shows. The newer keeps its place behind it."),
)  # fmt: skip


@cache
def _rows() -> dict[Situation, Row]:
    return {situation: row for row in ROWS for situation in row.situations}


def plan(situation: Situation) -> Row:
    """What is done in this situation, and why."""
    return _rows()[situation]


def at(posting: Mapping[str, Any]) -> At:
    """Where a posting stands, from its state and from what the ledger knows to be applied to it."""
    state = posting["state"]
    if state == ledger.POSTED:
        if posting.get("taken_back"):
            return At.GONE
        return At.APPLIED if posting.get("applied") else At.POSTED
    half = any(line.get("note", {}).get("found") == "partial" for line in posting.get("history", ()))
    return At.UNDERWAY if half and _STATES[state] is At.UNSENT else _STATES[state]


#: A posting that is NEW, held or refused is not at the target: only proof of that leads back to these states, or a half
#: that was found there and that the next send goes on with.
_STATES: Final[Mapping[str, At]] = {
    ledger.NEW: At.UNSENT,
    ledger.HELD: At.UNSENT,
    ledger.REFUSED: At.UNSENT,
    ledger.SENDING: At.UNDERWAY,
    ledger.DELIVERED: At.UNDERWAY,
    ledger.IN_DOUBT: At.UNDERWAY,
    ledger.AMBIGUOUS: At.UNKNOWN,
    ledger.SUPERSEDED: At.GONE,
    ledger.COMPENSATED: At.GONE,
}
