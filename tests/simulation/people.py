"""People at the desk: what they ask of postings and failed runs, at any instant, two at once, and what they were told.

Each person acts once and under a name of their own, so that every line of a history that a person wrote can be held
against what that person was told, both ways. Who is told *done* has exactly one line; who is refused has none; whose
call died may have one.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tests.simulation.hub import AwsError, Worker
from tieout.core.verdicts import TryAgain
from tieout.work import settle

if TYPE_CHECKING:
    from tests.simulation.world import World

Item = dict[str, Any]
WHY: Final = "the simulation asks for it"
#: The desk's function gives up after so many seconds, as template.yaml says.
TIMEOUT: Final = 29.0
ACTIONS: Final = ("retry", "release", "approve", "look", "cancel")
SECOND: Final = ("agree", "decline")
#: What a person may be told instead of *done*, and nothing else but that AWS did not answer.
REFUSALS: Final = ("NotThere", "BadQuestion", "Moved", "NotAllowed")
FINAL: Final = ("POSTED", "SUPERSEDED", "COMPENSATED", "DONE")


@dataclass
class Asked:
    """What one person wanted, and how it ended: ``done``, the refusal's name, ``unheard`` (AWS failed, or it died)."""

    by: str
    action: str
    what: str
    #: The history that the person saw; empty for as it stands.
    seen: str
    at: float
    ended: str = "unheard"
    said: str = ""
    #: The package of the release whose desk it was.
    desk: str = ""


class People:
    """Everybody who sits at the desk in one history."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self.world, self.rng = world, rng
        self.asked: list[Asked] = []

    def come(self, when: float) -> None:
        """One visit: somebody (or two at once) looks at what is open then, and acts on it."""
        self.world.coming += 1

        def arrives() -> None:
            self.world.coming -= 1
            things = self._open()
            if things:
                self._visit(self.rng.choice(things))

        self.world.hub.at(when, arrives)

    def _open(self) -> list[Item]:
        found = [item for item in (*self.world.postings(), *self.world.runs()) if item["state"] not in FINAL]
        # What is a person's to settle is what people mostly look at.
        cases = [item for item in found if item["state"] in ("REFUSED", "AMBIGUOUS", "CASE") or item.get("wish")]
        return sorted(cases if cases and self.rng.random() < 0.6 else found, key=lambda item: str(item["pk"]))

    def _visit(self, item: Item) -> None:
        if self.rng.random() < 0.6:
            mend(self.world, item)
        for _ in range(2 if self.rng.random() < 0.4 else 1):
            seen = item["tail"] if self.rng.random() < 0.5 else ""
            self.ask(item, self._choice(item), seen)

    def _choice(self, item: Item) -> str:
        if item["what"] == "run":
            return "restart"
        offered = [name for name in settle.offered(item) if name in (*ACTIONS, *SECOND)]
        if offered and self.rng.random() < 0.85:
            return self.rng.choice(offered)
        return self.rng.choice((*ACTIONS, *SECOND))

    def ask(self, item: Item, action: str, seen: str = "", by: str = "") -> Asked:
        """Have one person do one thing now. Where a second person must agree, one comes by some time later."""
        number = len(self.asked) + 1
        seen = "" if action in ("restart", "decline") else seen
        one = Asked(by or f"person{number}", action, named(item), seen, self.world.hub.now)
        self.asked.append(one)

        def done(outcome: str, value: Any) -> None:
            if outcome == "ok":
                one.ended = "done"
                if value.get("wish"):
                    self._second(one.what)
            elif outcome == "error" and not isinstance(value, AwsError | TryAgain):
                name = type(value).__name__
                one.ended = name if name in REFUSALS else f"stumbled: {name}"
                one.said = str(value)

        self.world.hub.spawn("desk", lambda worker: act(self.world, worker, one), done, self._limit())
        return one

    def _limit(self) -> float | None:
        return None if self.world.setting.hostile else TIMEOUT

    def _second(self, key: str) -> None:
        """Somebody else comes by, in seconds or in minutes, and mostly agrees; now and then two come at once."""
        self.world.coming += 1
        chance = self.rng.random
        answers = ["agree" if chance() < 0.8 else "decline" for _ in range(2 if chance() < 0.2 else 1)]

        def arrives() -> None:
            self.world.coming -= 1
            for answer in answers:
                item = next(one for one in self.world.postings() if one["key"] == key)
                asker = (item.get("wish") or {}).get("by", "")
                self.ask(item, answer, by=asker if chance() < 0.1 and answer == "agree" else "")

        self.world.hub.at(self.world.hub.now + 1 + chance() * 120, arrives)


def named(item: Item) -> str:
    """As an action names what it is about."""
    return str(item["key"]) if item["what"] == "posting" else f"{str(item['pk']).removeprefix('F#')}/{item['sk']}"


def act(world: World, worker: Worker, one: Asked) -> Item:
    """One call of the desk's API."""
    code = world.code(worker)
    one.desk = code.package
    ports = world.ports(worker, code.package)
    books, now, token = ports.ledger, ports.now(), ports.token()
    match one.action:
        case "restart":
            return dict(code.restart.restart(books, one.what, WHY, one.by, now, token))
        case "agree":
            return dict(code.settle.agree(books, one.what, one.by, now, token, one.seen))
        case "decline":
            return dict(code.settle.decline(books, one.what, one.by, WHY, now, token))
        case name:
            wish = code.settle.Wish(one.what, name, WHY, one.seen)
            return dict(code.settle.settle(books, wish, one.by, now, token))


def _known(one: Asked) -> bool:
    """What seed 180 found and this release mended: the desk of the release before it does it still."""
    return one.desk == "tieout_before" and one.action == "decline" and "SENDING -> SENDING" in one.said


def mend(world: World, item: Item) -> None:
    """The cause of a case is mended at the target: what it refused it takes now, what it booked wrongly it corrects."""
    for book in world.books.values():
        book.refuses -= {item.get("key", ""), *item.get("done", ())}
        for one in book.effects:
            if item.get("ref") == one.ref and item.get("key") in book.garbled and not one.mended and one.total:
                one.total, one.mended = one.total - 100, True


# --- what must hold of it ----------------------------------------------------------------------------------------
def cancelled(world: World) -> set[str]:
    """Postings that people ended unsent, by their own word: asked for by one, and agreed to where money hangs on it."""
    if world.people is None:
        return set()
    names = {one.by for one in world.people.asked if one.action in ("cancel", "agree")}
    ends = {}
    for item in world.postings():
        last = item["history"][-1]
        if item["state"] == "SUPERSEDED" and last.get("note", {}).get("action") == "cancel" and last["by"] in names:
            ends[item["key"]] = last
    return set(ends)


def broken(world: World) -> list[str]:
    """I10: people's lines and what people were told agree, one of two wins, nobody alone ends money."""
    if world.people is None:
        return []
    asked = world.people.asked
    lines: dict[tuple[str, str], list[Item]] = {}
    for item in (*world.postings(), *world.runs()):
        for line in world.lines(item):
            # A restart begins the next run with a line of whoever asked for it, beside the one that closes the old run.
            if line["by"].startswith("person") and "before" not in line.get("note", {}):
                lines.setdefault((line["by"], named(item)), []).append(line)
    known = {(one.by, one.what) for one in asked}
    found = [f"I10 {by} wrote on {what} and never asked" for by, what in lines if (by, what) not in known]
    for one in asked:
        mine = [line for line in lines.get((one.by, one.what), []) if _is(line, one)]
        if one.ended.startswith("stumbled") and not _known(one):
            found.append(f"I10 the desk stumbled over {one.action} of {one.what}: {one.ended} {one.said}")
        elif one.ended in REFUSALS and mine:
            found.append(f"I10 {one.by} was refused ({one.ended}) and {one.action} of {one.what} is booked")
        found += [
            f"I10 {one.by} did {one.action} of {one.what} on a history that nobody saw so"
            for line in mine if one.seen and line["prev"] != one.seen
        ]  # fmt: skip
        if one.ended == "done" and len(mine) > 1:
            found.append(f"I10 {one.by}'s {one.action} of {one.what} is booked {len(mine)} times")
        if one.ended == "done" and not mine and one.by not in _unheard(asked):
            found.append(f"I10 {one.by} was told that {one.action} of {one.what} is done, and it is not booked")
    return found + list(_alone(world))


def _unheard(asked: list[Asked]) -> set[str]:
    return {one.by for one in asked if one.ended == "unheard"}


def _is(line: Item, one: Asked) -> bool:
    note = line.get("note", {})
    if one.action in SECOND:
        return "asked" in note and ("declined" in note) == (one.action == "decline")
    return one.action in (note.get("action"), note.get("wish"))


def _alone(world: World) -> Iterator[str]:
    """Ending or approving money takes two people, and both names stand in the line."""
    for item in world.postings():
        for line in world.lines(item) if item.get("total") else ():
            note = line.get("note", {})
            if note.get("action") in ("cancel", "approve") and note.get("asked") in (None, line["by"]):
                yield f"I10 {item['key']}: {note['action']} by {line['by']} alone"


def then(world: World, when: float, does: Callable[[People], None]) -> None:
    """Have people do something at an instant: what scripted scenes are made of."""
    assert world.people is not None
    people = world.people
    world.coming += 1

    def arrives() -> None:
        world.coming -= 1
        does(people)

    world.hub.at(when, arrives)
