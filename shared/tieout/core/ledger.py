"""The posting: its states, the legal moves between them, and its history, as pure functions.

::

    NEW ─▶ SENDING ─▶ POSTED
      │        ├─▶ DELIVERED ─▶ POSTED | REFUSED        (file and asynchronous targets)
      │        ├─▶ IN_DOUBT ─ find ─▶ POSTED | NEW (proven absent) | AMBIGUOUS ─ look again ─▶ IN_DOUBT
      │        └─▶ REFUSED ─ fix, approve ─▶ NEW
      ├─▶ HELD      ├─▶ SUPERSEDED      └─▶ COMPENSATED

Every move is one conditional write on (state, epoch, tail of the history), so whoever holds an old view of the posting
can change nothing. Every move is one history line, chained by hash to the line before and written in the same write.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from tieout.core import keys
from tieout.core.verdicts import TryAgain
from tieout.core.writes import Change, Item, Put, Write

#: Raised where an older release would misread an item, or could not read its document (documents are strict: each field
#: that one gains): it leaves what has a newer number alone. A new attribute that an older release may ignore does not
#: raise it, for a rollback then stops what the newer release had begun.
SCHEMA: Final = 1

NEW, SENDING, DELIVERED, IN_DOUBT, AMBIGUOUS, REFUSED, HELD, POSTED, SUPERSEDED, COMPENSATED = (
    "NEW",
    "SENDING",
    "DELIVERED",
    "IN_DOUBT",
    "AMBIGUOUS",
    "REFUSED",
    "HELD",
    "POSTED",
    "SUPERSEDED",
    "COMPENSATED",
)

#: Legal moves. ``SENDING -> NEW`` is a definite refusal that is worth repeating; ``POSTED -> POSTED`` only adds a line.
MOVES: Final[Mapping[str, frozenset[str]]] = {
    "": frozenset({NEW}),
    NEW: frozenset({NEW, SENDING, HELD, REFUSED, SUPERSEDED}),
    SENDING: frozenset({POSTED, DELIVERED, IN_DOUBT, REFUSED, HELD, NEW}),
    DELIVERED: frozenset({POSTED, REFUSED, AMBIGUOUS, DELIVERED}),
    IN_DOUBT: frozenset({POSTED, NEW, AMBIGUOUS, DELIVERED, REFUSED, IN_DOUBT}),
    # A person may ask for another look; the look decides, never the person.
    AMBIGUOUS: frozenset({POSTED, NEW, AMBIGUOUS, IN_DOUBT}),
    # A held posting is asked all gates again by whoever claims it, so it may go straight on.
    HELD: frozenset({NEW, SENDING, HELD, REFUSED, SUPERSEDED}),
    REFUSED: frozenset({NEW, REFUSED, SUPERSEDED, COMPENSATED}),
    POSTED: frozenset({COMPENSATED}),
    SUPERSEDED: frozenset(),
    COMPENSATED: frozenset(),
}
TERMINAL: Final = frozenset({POSTED, SUPERSEDED, COMPENSATED})

#: What people and the CRM are shown.
SHOWN: Final[Mapping[str, str]] = {
    NEW: "pending",
    SENDING: "pending",
    DELIVERED: "pending",
    IN_DOUBT: "pending",
    AMBIGUOUS: "pending",
    HELD: "held",
    REFUSED: "rejected",
    POSTED: "accepted",
    SUPERSEDED: "superseded",
    COMPENSATED: "compensated",
}

DUE_SHARDS: Final = 4
#: All of them, in the order in which they are looked at.
SHARDS: Final = (keys.FIRST, *(f"D#{number}" for number in range(DUE_SHARDS)))
#: A posting that nobody has picked up after this long is sent again.
RESEND_AFTER: Final = timedelta(seconds=60)
HISTORY_BYTES: Final = 32 * 1024
#: Compressed documents above this size stay in the vault; the item keeps pointer and hash.
INLINE_BYTES: Final = 32 * 1024

#: Outcomes of an event. Every received event ends with exactly one.
WAITING, MADE, DUPLICATE, OLD_NEWS, IGNORED, CASE = "WAITING", "MADE", "DUPLICATE", "OLD_NEWS", "IGNORED", "CASE"


def stamp(at: datetime) -> str:
    """An instant as the ledger writes it: UTC, milliseconds, fixed width, so that text order is time order."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def instant(text: str) -> datetime:
    """The instant written by :func:`stamp`."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def unread(delivery: str) -> str:
    """What a delivery that cannot be read is called in place of its events."""
    return f"delivery.{delivery}"


def newer(item: Mapping[str, Any] | None) -> bool:
    """Whether a newer release wrote the item in a shape that this one does not know."""
    return item is not None and int(item.get("v", SCHEMA)) > SCHEMA


def ours(item: Mapping[str, Any]) -> None:
    """Raise ``TryAgain('newer_release')`` for what a newer release wrote: it is left to that release, as it is."""
    if newer(item):
        raise TryAgain("newer_release", f"{item.get('pk')} has schema {item['v']}, this release knows {SCHEMA}")


def line_hash(line: Mapping[str, Any]) -> str:
    """SHA-256 of a history line without its own hash, over canonical JSON."""
    bare = {name: value for name, value in line.items() if name != "hash"}
    return hashlib.sha256(json.dumps(bare, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def history_line(item: Mapping[str, Any], to: str, at: datetime, by: str, **note: Any) -> dict[str, Any]:
    """The next history line of ``item``. Notes hold codes, ids and hashes, no personal data."""
    line: dict[str, Any] = {
        "n": int(item.get("lines", 0)) + 1,
        "at": stamp(at),
        "from": item.get("state", ""),
        "to": to,
        "by": by,
        "prev": item.get("tail", ""),
    }
    kept = {name: value for name, value in note.items() if value not in (None, "", {}, [])}
    if kept:
        line["note"] = kept
    line["hash"] = line_hash(line)
    return line


def chain_breaks(lines: Sequence[Mapping[str, Any]], tail: str) -> list[int]:
    """Numbers of the history lines at which the chain does not hold; empty where it is whole."""
    breaks, before = [], ""
    for position, line in enumerate(lines, start=1):
        if line.get("n") != position or line.get("prev") != before or line_hash(line) != line.get("hash"):
            breaks.append(position)
        before = str(line.get("hash", ""))
    if before != tail:
        breaks.append(len(lines) + 1)
    return breaks


def due(pk: str, at: datetime) -> dict[str, str]:
    """The attributes that put an item into the due index."""
    return {"due_shard": keys.shard(pk, DUE_SHARDS), "due": stamp(at)}


#: What one step of priority weighs against age: an hour. A payment (20) goes before an invoice (40) that is up to
#: twenty hours older; nothing waits behind what comes later for longer than the steps between them.
STEP: Final = timedelta(hours=1)


def wait_shard(target: str) -> str:
    """The partition of the due index in which postings wait for room at ``target``: nobody polls it."""
    return f"W#{target}"


def rank(posting: Mapping[str, Any]) -> str:
    """The place of a posting among those that wait for the same target, as text that sorts: by class, then by age."""
    return stamp(instant(posting["opened"]) + int(posting.get("priority", 50)) * STEP)


def waiting(posting: Mapping[str, Any]) -> dict[str, str]:
    """The attributes that put a posting among those that wait for room at its target."""
    return {"due_shard": wait_shard(posting["target"]), "due": rank(posting)}


def new_posting(facts: Item, now: datetime, by: str, token: str) -> Put:
    """The first write of a posting: NEW, due for a resend, with its first history line."""
    pk = keys.posting_item(facts["key"]).pk
    item: Item = {
        **facts,
        "pk": pk,
        "sk": "-",
        "what": "posting",
        "v": SCHEMA,
        "state": NEW,
        "epoch": 0,
        "attempts": 0,
        "sends": 1,
        "token": token,
        "opened": stamp(now),
        "updated": stamp(now),
        "find": facts["source_id"],
        **due(pk, now + RESEND_AFTER),
    }
    line = history_line({}, NEW, now, by, event=facts.get("event"), target=facts["target"])
    return Put({**item, "history": [line], "tail": line["hash"], "lines": 1})


#: What a terminal posting no longer needs; the vault and the target's book hold it from then on.
_SPENT = (
    "payload", "doc", "owner", "lease", "due", "due_shard", "code", "facts", "hold", "case", "since", "batch", "wish",
    "released",
)  # fmt: skip


def move(
    item: Item,
    to: str,
    now: datetime,
    by: str,
    token: str,
    *,
    due_at: datetime | None,
    set: Mapping[str, Any] | None = None,
    remove: Sequence[str] = (),
    **note: Any,
) -> list[Write]:
    """The write that moves ``item`` to state ``to``, or raises ``ValueError`` where that is no legal move.

    Raises ``TryAgain('newer_release')`` for an item that a newer release wrote.

    ``due_at`` is when probe shall look again: demanded for every state that is not terminal, so that nothing waits
    unseen, and only allowed on a terminal one for an answer still owed to a state machine.
    """
    ours(item)
    if to not in MOVES[item["state"]]:
        raise ValueError(f"{item['pk']}: {item['state']} -> {to} is no legal move")
    if due_at is None and to not in TERMINAL:
        raise ValueError(f"{item['pk']}: a posting in {to} must be due")
    line = history_line(item, to, now, by, **note)
    values: Item = {
        "state": to,
        "updated": line["at"],
        "tail": line["hash"],
        "lines": line["n"],
        "token": token,
        **(set or {}),
    }
    gone = [name for name in remove if name in item and name not in values]
    if to in TERMINAL:
        values |= {"day": line["at"][:10], "at": line["at"]}
        gone += [name for name in _SPENT if name in item and name not in values and name not in gone]
    if due_at is not None:
        values = due(item["pk"], due_at) | values
        gone = [name for name in gone if name not in ("due", "due_shard")]
    writes: list[Write] = []
    append: dict[str, list[Any]] = {"history": [line]}
    held = item.get("history", [])
    if len(json.dumps(held)) > HISTORY_BYTES:
        # Older lines move to a segment item in the same transaction; the chain runs through both.
        segment = int(item.get("segments", 0)) + 1
        writes.append(Put({"pk": item["pk"], "sk": f"H#{segment:06d}", "what": "history", "history": held}))
        values |= {"segments": segment, "history": [line]}
        append = {}
    change = Change(
        keys.Key(item["pk"], item["sk"]),
        set=values,
        remove=gone,
        append=append,
        when={"state": item["state"], "epoch": item["epoch"], "tail": item["tail"]},
    )
    return [change, *writes]


def backoff(attempts: int, seed: str, least: int = 5, most: int = 900) -> timedelta:
    """Wait before attempt ``attempts + 1``: doubled each time, capped at ``most`` seconds, jittered by the seed.

    The jitter is derived, not drawn, so that a history replays the same.
    """
    ceiling = min(most, least * 2 ** min(attempts, 10))
    share = keys.digest(seed, str(attempts))[0] / 255
    return timedelta(seconds=int(ceiling / 2 + ceiling / 2 * share))
