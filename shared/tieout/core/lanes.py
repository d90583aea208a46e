"""Lanes: the order of postings, as values.

A lane item holds ``queue`` (posting keys in order; the first is the head), ``aside`` (postings that wait for a parent
which has not arrived yet: their parent is logically ahead of them, so they stand aside for it and return to the front
when it has posted), ``next`` (the sequence number), ``rev`` and ``epoch``. Intake appends without reading; the claim is
conditional on being the head; booking takes the head off. Decision 0001 says why it is a list.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from tieout.core import keys
from tieout.core.ledger import SCHEMA, due, ours, stamp
from tieout.core.writes import Change, Item

#: More postings than this in one lane open a case instead of growing the item past what DynamoDB holds.
MOST_WAITING: Final = 1000
#: How long a lane with something in it may stand still before probe looks at its head.
LOOK_AFTER: Final = timedelta(seconds=90)


def join(lane: str, posting_keys: Sequence[str], now: datetime, region: str) -> Change:
    """Append postings to a lane that may not exist yet, without reading it."""
    key = keys.lane_item(lane)
    return Change(
        key,
        set={
            "what": "lane",
            "lane": lane,
            "v": SCHEMA,
            "region": region,
            "updated": stamp(now),
            **due(key.pk, now + LOOK_AFTER),
        },
        append={"queue": list(posting_keys)},
        add={"next": len(posting_keys), "rev": 1, "waiting": len(posting_keys)},
        below={"waiting": MOST_WAITING, "v": SCHEMA + 1},
        upsert=True,
    )


def head(lane: Item | None) -> str | None:
    """The posting that may be claimed; ``None`` for an empty lane."""
    queue: list[str] = (lane or {}).get("queue") or []
    return queue[0] if queue else None


def hold_head(lane: Item, posting_key: str, epoch: int) -> Change:
    """The lane's half of a claim: refused unless ``posting_key`` is the head, and the lane is as it was in shape."""
    ours(lane)
    return Change(
        keys.Key(lane["pk"], lane["sk"]), set={"epoch": epoch},
        when={"queue[0]": posting_key, "v": lane.get("v")}, add={"rev": 1},
    )  # fmt: skip


def _rewrite(lane: Item, queue: list[str], aside: list[str], now: datetime, **more: Any) -> Change:
    ours(lane)
    open_ = bool(queue)
    return Change(
        keys.Key(lane["pk"], lane["sk"]),
        set={
            "queue": queue,
            "aside": aside,
            "waiting": len(queue) + len(aside),
            "updated": stamp(now),
            **(due(lane["pk"], now + LOOK_AFTER) if open_ else {}),
            **more,
        },
        remove=("looks",) if open_ else ("looks", "due", "due_shard"),
        add={"rev": 1},
        when={"rev": lane["rev"], "queue[0]": head(lane)},
    )


def leave(lane: Item, posting_key: str, now: datetime) -> tuple[Change, str | None]:
    """Take a finished head off; what stood aside for it comes to the front. Also the new head, if any."""
    if head(lane) != posting_key:
        raise ValueError(f"{posting_key} is not the head of {lane['pk']}")
    queue = [*lane.get("aside", []), *lane["queue"][1:]]
    return _rewrite(lane, queue, [], now), (queue[0] if queue else None)


def stand_aside(lane: Item, posting_key: str, now: datetime) -> tuple[Change, str | None]:
    """Let the head wait beside the lane for its parent. Also the new head, if any."""
    if head(lane) != posting_key:
        raise ValueError(f"{posting_key} is not the head of {lane['pk']}")
    queue = list(lane["queue"][1:])
    return _rewrite(lane, queue, [*lane.get("aside", []), posting_key], now), (queue[0] if queue else None)


def come_back(lane: Item, posting_key: str, now: datetime) -> Change:
    """Put a posting that stood aside back at the front (its parent was posted by another way than this lane)."""
    aside = [key for key in lane.get("aside", []) if key != posting_key]
    return _rewrite(lane, [posting_key, *(lane.get("queue") or [])], aside, now)


def drop(lane: Item, posting_keys: Sequence[str], now: datetime) -> tuple[Change, str | None]:
    """Take postings out wherever they stand, because they end unsent. Also the head that is then looked at, if any.

    What stood aside for a head that goes comes to the front, as in :func:`leave`.
    """
    queue, aside = list(lane.get("queue") or []), list(lane.get("aside") or [])
    if head(lane) in posting_keys:
        queue, aside = [*aside, *queue], []
    queue, aside = ([key for key in keys_ if key not in posting_keys] for keys_ in (queue, aside))
    return _rewrite(lane, queue, aside, now), (queue[0] if queue else None)


def withdraw(lane: Item, posting_key: str, now: datetime) -> Change:
    """Take a posting out wherever it stands, because a person ended it unsent; the next is looked at at once.

    What stood aside for a head that goes comes to the front, as in :func:`leave`.
    """
    queue, aside = list(lane.get("queue") or []), list(lane.get("aside") or [])
    if head(lane) == posting_key:
        queue, aside = [*aside, *queue[1:]], []
    else:
        queue, aside = ([key for key in keys_ if key != posting_key] for keys_ in (queue, aside))
    return _rewrite(lane, queue, aside, now, **(due(lane["pk"], now) if queue else {}))
