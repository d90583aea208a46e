"""I9: every event is explained, from its receipt to now, and the explanation is the true one.

The books know what really befell each call, the trace what befell each worker. A line of history that says why a call
failed must name what befell it, and what befell a call must stand in the line after its claim; a lease that ran out,
only where its owner died or was struck. Faults that hurt nobody (a stall, an answer that lied about what no action has
to echo) need not be seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from tests.simulation.releases import this
from tieout.core.keys import Key
from tieout.work import ask

if TYPE_CHECKING:
    from tests.simulation.world import World

Item = Mapping[str, Any]
#: What a claim may end with before anything was done: no time left, or no token to be had.
UNCALLED: Final = frozenset({
    "deadline_near", "target_credentials", "target_unreachable", "secrets_unavailable", "ledger_contended",
})  # fmt: skip
#: Fates of a write that leave its caller nothing to tell.
CLEAN: Final = frozenset({"ok", "stall_before", "stall_after", "crash_after"})
#: What the line after a claim may say where its call had this fate.
TELLS: Final[Mapping[str, frozenset[str]]] = {
    "unreachable": frozenset({"target_unreachable"}),
    "busy": frozenset({"target_busy"}),
    "expired": UNCALLED,
    "down": frozenset({"target_down", "target_unclear"}),
    "down_committed": frozenset({"target_down", "target_unclear"}),
    "cut": frozenset({"target_unclear"}),
    "lies": frozenset({"target_echo_differs", "target_unclear"}),
    "garbled": frozenset({"target_echo_differs", "target_unclear"}),
    **dict.fromkeys(("lost_request", "lost_answer", "late", "crash_late"), frozenset({"target_lost"})),
}
#: What a line may say of a call that went well: the look at what it had made failed, or showed an older mistake.
WELL: Final = frozenset({"target_unclear", "target_echo_differs"})
#: And what it says where a newer release had joined its lane meanwhile, in a history that has one.
JOINED: Final = "newer_release"
#: Kinds whose target has to echo an amount.
MONEY: Final = frozenset({"invoice", "payment", "credit_note"})


def broken(world: World) -> list[str]:
    """Lines that nothing explains, calls that no line tells of, events that lead nowhere."""
    struck = {who for _, who, what, fault in world.hub.trace if fault or what in ("crash", "timeout", "end error")}
    found = []
    for item in world.postings():
        lines = world.lines(item)
        found += _begun(world, item, lines)
        calls = [(who, fate) for who, ref, fate in world.books[item["target"]].calls if ref == item["ref"]]
        for line, after in pairwise(lines):
            if line["to"] == "SENDING":
                found += _told(world, item, line, after, calls, struck)
    return found + _shown(world)


def _begun(world: World, item: Item, lines: Sequence[Item]) -> list[str]:
    """A posting begins with the event that it comes from, and that event was received."""
    if Key(item["pk"], item["sk"]) in world.aliens:
        return []
    event = world.table.items.get(Key(item["event"], "-"))
    if event is None or lines[0].get("note", {}).get("event") != item["event"] or lines[0]["from"]:
        return [f"I9 {item['key']} does not begin with its event"]
    made = [item["key"]] if "run" in item or item["kind"] == "status" else event.get("postings", [])
    return [] if item["key"] in made else [f"I9 {item['key']} says it comes from {item['event']}, which made {made}"]


def _told(
    world: World, item: Item, claim: Item, after: Item, calls: Sequence[tuple[str, str]], struck: set[str]
) -> list[str]:
    """Whether the line after a claim says what became of its call."""
    claimer, teller = claim["by"].partition(".")[0], after["by"].partition(".")[0]
    fates = [fate for who, fate in calls if who == claimer]
    code = after.get("note", {}).get("code", "")
    said = f"{after['to']} {code}".strip()
    if teller != claimer:
        # Where clocks are ten minutes off, a lease runs out under an owner whom nothing befell.
        good = code == "target_lost" and after["to"] == "IN_DOUBT" and (claimer in struck or world.setting.hostile)
        return [] if good else [f"I9 {item['key']}: {teller} says {said} of {claimer}, who was not struck"]
    if not fates:
        good = code in UNCALLED and after["to"] in ("NEW", "HELD")
        return [] if good else [f"I9 {item['key']}: {claimer} says {said}, and called nobody"]
    fate = fates[-1]
    if fate == "refused":
        good = after["to"] == "REFUSED"
    elif fate in CLEAN or (fate in ("lies", "garbled") and not code):
        harmless = fate != "lies" or item["kind"] not in MONEY
        joined = code == JOINED and after["to"] == "IN_DOUBT" and world.deploys is not None
        good = joined or (harmless and (code in WELL if code else after["to"] in ("POSTED", "DELIVERED")))
    else:
        good = code in TELLS[fate]
    return [] if good else [f"I9 {item['key']}: {claimer}'s call had the fate {fate}, and its line says {said}"]


class _Books:
    """The ledger as the product's own questions read it, at rest."""

    def __init__(self, world: World) -> None:
        self.items = world.table.items

    def read(self, keys: Any) -> dict[Key, Any]:
        return {key: self.items[key] for key in keys if key in self.items}

    def family(self, pk: str) -> list[Any]:
        return [item for key, item in sorted(self.items.items()) if key.pk == pk]

    def find(self, name: str) -> list[Key]:
        return []


def _shown(world: World) -> list[str]:
    """One command shows it: the product's own view of a posting holds every line and the event, and calls it whole."""
    own = [
        item for item in world.postings()
        if Key(item["pk"], item["sk"]) not in world.aliens and item["v"] <= this().schema
    ]  # fmt: skip
    if not own:
        return []
    item = max(own, key=lambda one: (len(one["history"]), one["key"]))
    books: Any = _Books(world)
    view = ask.posting(books, item["key"], world.hub.moment())
    numbers = [one.number for one in view.timeline if one.what == "history"]
    whole = view.chain_whole and sorted(numbers) == list(range(1, item["lines"] + 1))
    if not whole or not any(one.what == "event" for one in view.timeline):
        return [f"I9 the desk's view of {item['key']} shows lines {numbers} of {item['lines']}"]
    return []
