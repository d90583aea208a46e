"""Operator actions: what a person does to a posting that does not go on by itself.

Every action needs a reason, is one line of the posting's history with who and why, and is conditional on the state and
history that the person saw: of two people one wins, and the other is told who did what. An action that ends money needs
a second person: the wish stands on the posting until somebody else agrees or says no. Nothing is sent from here: the
posting is made due now and the probe goes on with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from tieout import systems
from tieout.contract import Finds
from tieout.core import keys, lanes, ledger
from tieout.core.keys import Key
from tieout.core.settle import ACTIONS, Action, allowed, fits, needs_second
from tieout.core.writes import Change, Item, Refused, Write
from tieout.work.ports import Ledger
from tieout.work.views import BadQuestion, NotThere

#: Least and most letters of a reason. It stays in the history for good, so it must hold no personal data.
_WHY: Final = 8
_MOST_WHY: Final = 300
#: How often a lane that others join meanwhile is read again.
TRIES: Final = 4


class Moved(Exception):
    """The posting is not any more as this person saw it; the text says what became of it and by whom."""


class NotAllowed(Exception):
    """This person may not do this here: who asked is never who agrees."""


@dataclass(frozen=True)
class Wish:
    """What somebody wants done: the posting's key, the action, the reason, and the history they saw (its tail).

    An empty ``seen`` means as it stands now.
    """

    posting: str
    action: str
    why: str
    seen: str = ""


def settle(books: Ledger, wish: Wish, by: str, now: datetime, token: str) -> Item:
    """Do what is wished, or note the wish where a second person must agree. The posting as it is then.

    Raises `NotThere`, `BadQuestion` (no such action, no reason, not in this state) and `Moved`.
    """
    action = _action(wish.action)
    why = reason(wish.why)
    posting = _posting(books, wish.posting)
    if wish.seen and wish.seen != posting["tail"]:
        raise Moved(_who_was_first(posting))
    _may(action, posting)
    if posting.get("wish"):
        asked = posting["wish"]
        raise Moved(f"{asked['by']} has asked to {asked['action']} it: agree or say no to that first")
    if needs_second(action, posting):
        noted = {"action": action.name, "by": by, "why": why, "at": ledger.stamp(now)}
        return _write(books, posting, _keep(posting, now, by, token, {"wish": noted}, wish=action.name, why=why))
    return _do(books, posting, action, by, why, now, token)


def agree(books: Ledger, posting: str, by: str, now: datetime, token: str, seen: str = "") -> Item:
    """Agree, as a second person, to what somebody asked for: it is done at once. ``seen`` as in :class:`Wish`.

    Raises `NotAllowed` for who asked, `Moved` where nothing is asked (any more) or the posting has gone on.
    """
    item = _posting(books, posting)
    asked = _asked(item)
    if seen and seen != item["tail"]:
        raise Moved(_who_was_first(item))
    if by == asked["by"]:
        raise NotAllowed("who asked for it cannot agree to it")
    action = _action(str(asked["action"]))
    if not fits(action, item):
        raise Moved(_who_was_first(item))
    return _do(books, item, action, by, str(asked["why"]), now, token, asked=str(asked["by"]))


def decline(books: Ledger, posting: str, by: str, why: str, now: datetime, token: str) -> Item:
    """Say no to what somebody asked for, or take one's own wish back. Raises `Moved` where it is being sent by now."""
    item = _posting(books, posting)
    asked = _asked(item)
    if item["state"] not in ledger.MOVES[item["state"]]:
        raise Moved(_who_was_first(item))
    note: dict[str, Any] = {"declined": str(asked["action"]), "asked": str(asked["by"]), "why": reason(why)}
    return _write(books, item, _keep(item, now, by, token, {}, remove=("wish",), **note))


def offered(posting: Item) -> tuple[str, ...]:
    """What may be done to ``posting`` (or a failed run) now, by name: ``agree`` and ``decline`` while a wish stands."""
    if posting.get("what") == "run":
        return ("restart",) if (posting["state"], posting.get("code")) == (ledger.CASE, "step_failed") else ()
    if posting.get("what") != "posting":
        return ()
    if posting.get("wish") and allowed(posting):
        return ("agree", "decline")
    return tuple(name for name in allowed(posting) if name != "look" or _can_look(posting))


# --- what an action writes ---------------------------------------------------------------------------------------
def _do(
    books: Ledger, posting: Item, action: Action, by: str, why: str, now: datetime, token: str, *, asked: str = ""
) -> Item:
    note: dict[str, Any] = {"action": action.name, "why": why, "asked": asked}
    if not action.to:
        given = _approval(posting, by, why, asked, now) if action.name == "approve" else {}
        return _write(books, posting, _keep(posting, now, by, token, given, remove=("wish",), **note))
    gone = ("wish", "code", "facts", "case", "hold", "looks", "aside", "lapses")
    if action.to == ledger.SUPERSEDED:
        return _end(books, posting, by, now, token, note)
    # In doubt keeps what was sent and when: the look compares with it. Only NEW renders again.
    spent = (*gone, "payload", "since", "batch") if action.to == ledger.NEW else gone
    return _write(books, posting, ledger.move(posting, action.to, now, by, token, due_at=now, remove=spent, **note))


def _approval(posting: Item, by: str, why: str, asked: str, now: datetime) -> dict[str, Any]:
    """What the limits gate reads: who approved which amount, when, and why."""
    return {"approved": {"by": by, "asked": asked, "at": ledger.stamp(now), "why": why, "total": posting["total"]}}


def _keep(
    posting: Item, now: datetime, by: str, token: str, values: dict[str, Any], remove: tuple[str, ...] = (), **note: Any
) -> list[Write]:
    """One line of history; the state stays, and the posting is due at once."""
    state = posting["state"]
    return ledger.move(posting, state, now, by, token, due_at=now, set=values, remove=remove, **note)


def _end(books: Ledger, posting: Item, by: str, now: datetime, token: str, note: dict[str, Any]) -> Item:
    """End an unsent posting and give its place in the lane up in the same write; others may join meanwhile."""
    move = ledger.move(posting, ledger.SUPERSEDED, now, by, token, due_at=None, remove=("wish", "aside"), **note)
    for _ in range(TRIES):
        writes = [*move, *_leave(books, posting, now)]
        try:
            return _write(books, posting, writes)
        except _LaneMoved:
            continue
    raise Moved("its lane is in motion; try again")


def _leave(books: Ledger, posting: Item, now: datetime) -> list[Write]:
    if not posting.get("lane"):
        return []
    key = keys.lane_item(posting["lane"])
    lane = books.read([key]).get(key)
    if lane is None or posting["key"] not in (*lane.get("queue", []), *lane.get("aside", [])):
        return []
    return [lanes.withdraw(lane, posting["key"], now)]


class _LaneMoved(Exception):
    """Only the lane has changed since it was read."""


def _write(books: Ledger, posting: Item, writes: list[Write]) -> Item:
    """All or nothing; who was first is read back where it was somebody else."""
    try:
        books.write(writes)
    except Refused as refusal:
        seen = refusal.seen[0]
        if not refusal.failed[0]:
            raise _LaneMoved from None
        if seen is None or seen.get("token") != _token(writes[0]):
            raise Moved(_who_was_first(seen or posting)) from None
    return _posting(books, posting["key"])


def _token(write: Write) -> Any:
    return write.set.get("token") if isinstance(write, Change) else None


# --- what may be asked -------------------------------------------------------------------------------------------
def _action(name: str) -> Action:
    if name not in ACTIONS:
        raise BadQuestion(f"there is no action {name[:40]!r}; there are {', '.join(ACTIONS)}")
    return ACTIONS[name]


def reason(why: str) -> str:
    """The reason as it is kept. Raises `BadQuestion` for one too short to mean anything, or too long."""
    said = " ".join(why.split())
    if not _WHY <= len(said) <= _MOST_WHY:
        raise BadQuestion(f"say why, in a sentence of {_WHY} to {_MOST_WHY} letters: it stays in the history")
    return said


def _posting(books: Ledger, key: str) -> Item:
    at = keys.posting_item(key)
    item = books.read([at]).get(Key(at.pk, at.sk))
    if item is None or item.get("what") != "posting":
        raise NotThere(f"no posting {key[:200]}")
    if ledger.newer(item):
        raise Moved("a newer release of Tieout has it; try again when that release runs here")
    return item


def _asked(posting: Item) -> dict[str, Any]:
    asked = posting.get("wish")
    if not asked:
        raise Moved("nobody asks for anything here (any more); " + _who_was_first(posting))
    return dict(asked)


def _may(action: Action, posting: Item) -> None:
    if not fits(action, posting):
        if "run" in posting and not action.steps and posting["state"] in action.states:
            raise BadQuestion(f"it is a step of a running flow, which has its own answer: no {action.name} here")
        can = ", ".join(allowed(posting)) or "nothing: it goes on by itself or has ended"
        raise BadQuestion(f"a posting in {posting['state']} cannot be told to {action.name}; possible: {can}")
    if action.name == "look" and not _can_look(posting):
        raise BadQuestion(f"{posting['target']} cannot be searched")


def _can_look(posting: Item) -> bool:
    return systems.target(posting["target"].partition(":")[0]).finds is not Finds.BLIND


def _who_was_first(posting: Item) -> str:
    """What became of a posting last, and by whom."""
    last = (posting.get("history") or [{}])[-1]
    note = last.get("note") or {}
    what = note.get("action") or note.get("wish") or note.get("declined") or ""
    did = f"{what} by {last.get('by', 'unknown')}" if what else f"moved by {last.get('by', 'unknown')}"
    return f"it is {posting['state']} now ({did} at {last.get('at', 'unknown')})"
