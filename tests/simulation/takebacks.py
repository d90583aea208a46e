"""Documents that their source takes back: judged from the inbound log and the books, not from what the product says.

A void of what never left ends with it, and the book has nothing of the lane. A void of what has money on it is booked
only where two people agreed. What then waits behind, or comes too late, is a person's.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tests.simulation.targets import Effect
    from tests.simulation.world import World

Item = Mapping[str, Any]
#: Kinds that put money on the document above them.
#: Seconds after which what intake was about to write is written, or its worker is dead.
SURE: Final = 200.0
APPLIED: Final = ("payment", "credit_note")


def _lane(item: Item) -> str:
    return str(item.get("lane", ""))


def _effects(world: World, lane: str) -> list[Effect]:
    """What the books have, alive, of one lane's postings."""
    refs = {(item["target"], item["ref"], item["kind"]) for item in world.postings() if _lane(item) == lane}
    return [
        one for book in world.books.values() for one in book.effects
        if one.live and (one.target, one.ref, one.kind) in refs
    ]  # fmt: skip


def _voids(world: World) -> list[Item]:
    return [item for item in world.postings() if item["action"] == "void"]


def withdrawn(world: World) -> set[str]:
    """Postings that ended unsent with their void: the source voided the document, and the book has nothing of it."""
    ended: set[str] = set()
    for void in _voids(world):
        if void["state"] != "SUPERSEDED" or any(one.kind == "invoice" for one in _effects(world, _lane(void))):
            continue
        ended.add(void["key"])
        ended |= {
            item["key"] for item in world.postings()
            if _lane(item) == _lane(void) and item["action"] == "create" and item["kind"] == "invoice"
            and item["state"] == "SUPERSEDED"
        }  # fmt: skip
    return ended


def gone(world: World) -> set[str]:
    """Postings refused because the document above them ended unsent, or because its void is in the book."""
    ended = {item["key"] for item in world.postings() if item["state"] == "SUPERSEDED"}
    back = {
        _lane(void) for void in _voids(world) if any(one.ref == void["ref"] for one in _effects(world, _lane(void)))
    }
    ended |= {item["key"] for item in world.postings() if _lane(item) in back and item["kind"] == "invoice"}
    return {
        item["key"] for item in world.postings()
        if item.get("code") == "parent_gone" and item["state"] == "REFUSED"
        and any(key[0].removeprefix("P#") in ended for key in item["reads"])
    }  # fmt: skip


def held(world: World) -> set[str]:
    """Voids that wait for two people, as a case with an owner: the book has the document, and money on it."""
    found = set()
    for void in _voids(world):
        if void["state"] == "HELD" and void.get("code") == "void_of_paid" and void.get("case", {}).get("owner"):
            kinds = {one.kind for one in _effects(world, _lane(void))}
            if "invoice" in kinds and kinds & set(APPLIED):
                found.add(void["key"])
    return found


def excused(world: World) -> set[str]:
    """Postings that need not be in a book, nor what stands behind them in their lanes."""
    return withdrawn(world) | gone(world) | held(world)


def rests(world: World, posting: Item) -> bool | None:
    """Whether a void is a person's (true) or ends with its document at its next look (false); else ``None``."""
    if posting["action"] != "void":
        return None
    if posting["state"] == "HELD" and posting.get("code") == "void_of_paid":
        return "approved" not in posting
    above = [key[0] for key in posting["reads"] if key[0].startswith("P#")]
    document = next((one for one in world.postings() if one["pk"] in above), None)
    if document is None or document["state"] not in ("NEW", "HELD", "REFUSED"):
        return None
    lane = next((one for key, one in world.table.items.items() if key.pk == f"L#{_lane(posting)}"), {})
    doubted = any(line["to"] == "IN_DOUBT" for line in document["history"])
    alone = {*lane.get("queue", ()), *lane.get("aside", ())} == {posting["key"], document["key"]}
    return False if alone and not doubted else None


def broken(world: World) -> list[str]:
    """Money taken back by nobody's leave, and documents that ended with a void that never came."""
    found = []
    said = {event.object for _, event in world.inbound if event.action == "void"}
    for void in _voids(world):
        effects = _effects(world, _lane(void))
        back = [one.at for one in effects if one.ref == void["ref"]]
        money = [one.at for one in effects if one.kind in APPLIED]
        agreed = [line for line in world.lines(void) if line.get("note", {}).get("action") == "approve"]
        if back and money and min(money) < min(back) and not agreed and not _older(world):
            found.append(f"I11 {void['key']} was booked though money was on its document, and nobody agreed")
    for item in world.postings():
        last = item["history"][-1].get("note", {})
        if item["state"] == "SUPERSEDED" and item["kind"] == "invoice" and ("with" in last or "plan" in last):
            if item["source_id"] not in said:
                found.append(f"I11 {item['key']} ended unsent, and its source never voided it")
            elif any(line["to"] == "IN_DOUBT" for line in world.lines(item)):
                found.append(f"I11 {item['key']} was in doubt once and ended without a look")
    return found + ([] if world.setting.hostile else _left_behind(world))


def _older(world: World) -> bool:
    """Whether a release that has no planner yet works beside this one: it takes back whatever is voided."""
    return world.deploys is not None and world.deploys.other.package == "tieout_before"


def _left_behind(world: World) -> list[str]:
    """Documents that hung on one which ended with its void, and were there for long when it did."""
    lasts = {item["pk"]: item["history"][-1] for item in world.postings() if item["state"] == "SUPERSEDED"}
    ended = {pk: line["at"] for pk, line in lasts.items() if "with" in line.get("note", {})}
    found = []
    for item in world.postings():
        at = next((ended[key[0]] for key in item.get("reads", ()) if key[0] in ended), None)
        if (
            at
            and item["kind"] in APPLIED
            and item["state"] != "SUPERSEDED"
            and _seconds(at) - _seconds(item["opened"]) > SURE
        ):
            found.append(f"I11 {item['key']} was there when its document ended with a void")
    return found


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
