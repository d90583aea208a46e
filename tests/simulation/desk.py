"""I10 without chance: every state in which something waits, every action of a person on it, every two at once.

A scene leads one posting (or one flow run) into a state, and then people act on it. The desk's function may fail at
each of its calls. Whatever comes of it must tie out, and what a person was told must be what was booked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Final

from tests.simulation import events
from tests.simulation.exhaustive import Scene, Schedule, play, schedules
from tests.simulation.history import DEAL
from tests.simulation.people import ACTIONS, People, mend, then
from tests.simulation.taken import CALM
from tests.simulation.world import Setting, World

INVOICE: Final = "invoice/stripe:acct_us:in_acct_us0/create/post/g0"


class Half:
    """Chance without chance: the middle of everything, the first of all."""

    def random(self) -> float:
        """Always the middle."""
        return 0.5

    def choice(self, things: Any) -> Any:
        """Always the first."""
        return things[0]


@dataclass(frozen=True)
class State:
    """How something comes to wait: the events, the world, what goes wrong first, when it surely waits there."""

    name: str
    kinds: tuple[str, ...]
    setting: Setting
    at: float
    state: str
    leads: tuple[tuple[str, str, int], ...] = ()
    stopped: bool = False


STATES: Final = (
    State("not yet sent", ("invoice",), CALM, 20.0, "NEW", stopped=True),
    State("waits for its parent", ("payment",), CALM, 100.0, "HELD"),
    State("waits for its parent beyond its time", ("payment",), CALM, 1500.0, "HELD"),
    State("above the limit", ("invoice", "payment"), replace(CALM, limit=1_000), 100.0, "HELD"),
    State("refused", ("invoice", "payment"), replace(CALM, refuses=(INVOICE,)), 100.0, "REFUSED"),
    State("ambiguous", ("invoice", "payment"), CALM, 1500.0, "AMBIGUOUS", (("post.wire.put", "garbled", 1),)),
    State("flow run failed", ("deal",), replace(CALM, refuses=(DEAL,)), 1500.0, "CASE"),
)  # fmt: skip


def waiting(world: World, state: State) -> dict[str, Any]:
    """The thing that people act on."""
    things = world.runs() if state.state == "CASE" else world.postings()
    found = [one for one in things if one["kind"] != "status" and one["state"] == state.state]
    assert found, f"nothing is {state.state}: {[(one['key'], one['state']) for one in world.postings()]}"
    return found[0]


def scene(state: State, name: str, does: Callable[[World, People], None]) -> Scene:
    """A history that comes to ``state``, in which people then do something."""

    def begin(world: World) -> None:
        chance: Any = Half()
        world.people = People(world, chance)
        for kind in state.kinds:
            event = events.deal(0) if kind == "deal" else events.stripe(0, kind, False)
            if kind != "deal":
                world.link(event)
            world.deliver(0.0, event)
        if state.stopped:
            lane = world.lanes["netsuite"]
            lane.concurrency = 0

            def go() -> None:
                lane.concurrency = world.setting.concurrency
                lane.pump()

            world.hub.at(state.at + 100.0, go)
        then(world, state.at, lambda people: does(world, people))

    return Scene(f"{state.name}: {name}", state.setting, begin, lambda label: label.startswith("desk."), state.leads)


def actions(state: State) -> tuple[str, ...]:
    """What is tried on a state: everything, whether it is offered there or not."""
    return ("restart",) if state.state == "CASE" else ACTIONS


def one(state: State, action: str) -> Scene:
    """One person does one thing; where the cause can be mended it was."""

    def does(world: World, people: People) -> None:
        item = waiting(world, state)
        mend(world, item)
        people.ask(item, action)

    return scene(state, action, does)


def two(state: State, first: str, second: str, gap: float, *, seen: bool) -> Scene:
    """Two people on one thing, ``gap`` seconds apart, both with the same history before them or with none."""

    def does(world: World, people: People) -> None:
        item = waiting(world, state)
        mend(world, item)
        tail = str(item["tail"]) if seen else ""
        people.ask(item, first, tail)
        key = (item["pk"], item["sk"])

        def later(people: People) -> None:
            now = next(one for one in (*world.postings(), *world.runs()) if (one["pk"], one["sk"]) == key)
            people.ask(now, second, tail)

        then(world, world.hub.now + gap, later)

    return scene(state, f"{first} and {second}, {gap:.0f} s apart", does)


def singles() -> Iterator[Scene]:
    """Each action on each state."""
    return (one(state, action) for state in STATES for action in actions(state))


def pairs() -> Iterator[Scene]:
    """Each two actions on each state: at once and one after the other, seen and unseen."""
    for state in STATES:
        for first, second in product(actions(state), repeat=2):
            for gap, seen in ((0.0, True), (0.0, False), (5.0, True), (5.0, False)):
                yield two(state, first, second, gap, seen=seen)


def enumerate_people(depth: int, depth_of_pairs: int) -> tuple[int, list[tuple[str, Schedule, list[str]]]]:
    """Play all of it with at most so many faults at the desk's calls; how many, and what broke."""
    count, bad = 0, []
    for some, most in ((singles(), depth), (pairs(), depth_of_pairs)):
        for which in some:
            for schedule in schedules(which, most):
                count += 1
                found = play(which, schedule)[1]
                if found:
                    bad.append((which.name, schedule, found))
    return count, bad


def ends(which: Scene) -> tuple[Mapping[str, str], list[str]]:
    """Without a fault: how every document ends, and how each person's wish ended. Raises where something breaks."""
    world, found = play(which, ())
    assert found == [], found
    assert world.people is not None
    states = {item["key"]: item["state"] for item in world.postings() if item["kind"] != "status"}
    states |= {f"{item['pk']}/{item['sk']}": item["state"] for item in world.runs()}
    return states, [asked.ended for asked in world.people.asked]
