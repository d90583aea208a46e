"""Targets of class B, which cannot be asked: what they were called for once is never sent again by the machine.

Whoever lost its answer, or died before anybody booked it, leaves a posting that only a person can settle: AMBIGUOUS, a
case with an owner. The product's word for that is accepted only where its history shows a claim that ended in doubt.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tests.simulation.world import World
from tieout.contract import Finds

#: Fates after which a request certainly did not reach the book: the only ones after which it may be sent again.
NOT_SENT: Final = frozenset({"unreachable", "busy", "expired", "refused"})


def unsure(world: World) -> set[str]:
    """Postings of a blind target that were claimed, came to doubt, and are a person's case now."""
    if world.setting.erp is not Finds.BLIND:
        return set()
    return {item["key"] for item in world.postings() if item["target"] == "netsuite:acme" and _doubted(item)}


def _doubted(item: Mapping[str, Any]) -> bool:
    # Who says no to a wish leaves a line and moves nothing.
    steps = [(line["from"], line["to"]) for line in item.get("history", ()) if line["from"] != line["to"]]
    ended = steps[-2:] == [("SENDING", "IN_DOUBT"), ("IN_DOUBT", "AMBIGUOUS")]
    return item["state"] == "AMBIGUOUS" and item.get("code") == "cannot_look" and ended


def broken(world: World) -> list[str]:
    """Doubt that the machine settled by itself, and requests that were sent again though the first may have landed."""
    if world.setting.erp is not Finds.BLIND:
        return []
    found = []
    for item in world.postings():
        if item["target"] == "netsuite:acme":
            left = {line["to"] for line in item.get("history", ()) if line["from"] == "IN_DOUBT"} - {"AMBIGUOUS"}
            found += [f"I6 {item['key']}: doubt about a blind target became {to}" for to in sorted(left)]
    reached: set[str] = set()
    for _, ref, fate in world.books["netsuite:acme"].calls:
        if ref in reached:
            found.append(f"I2 {ref} was sent to a blind target again, though it may have arrived")
        if fate not in NOT_SENT:
            reached.add(ref)
    return found
