"""One seeded history: a swarm of faults over a handful of events, played to rest and checked."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from tests.simulation import check, coverage, doors, events, governed, releases, taken, tokens
from tests.simulation.doors import Doors
from tests.simulation.events import Event
from tests.simulation.hub import Fate
from tests.simulation.people import People
from tests.simulation.world import Setting, World, targets_of
from tieout import systems
from tieout.contract import Finds, Rate

SEEDS: Final = Path(__file__).with_name("seeds.txt")
#: How long after the last fault everything must have come to rest, in virtual seconds.
PATIENCE: Final = 3 * 3600.0
#: How long faults strike where a rotating pair of tokens must outlive them: less than the vendor's grace.
MERCY: Final = 1500.0
#: The subscription of the first deal: where it is refused, what was made for the deal is taken back.
DEAL: Final = (
    "subscription/salesforce:00D_acme:006RM000000000000/create/subscribe/"
    f"v{systems.source('salesforce').read(events.deal(0).body)[0].object_version}/g0"
)


class Swarm:
    """Draws the fate of each crossing. Each draw takes the same amount of chance, so that faults can be left out."""

    def __init__(
        self, rng: random.Random, rate: float, excluded: frozenset[str], until: float, slow: float, pause: float,
        focus: tuple[str, str, int] | None = None, without: frozenset[int] = frozenset(),
        outages: Sequence[tuple[float, float, str]] = (), leads: Sequence[tuple[str, str, int]] = (),
        times: int = 1,
    ) -> None:  # fmt: skip
        self.rng, self.rate, self.excluded, self.until = rng, rate, excluded, until
        self.slow, self.pause, self.focus, self.without = slow, pause, focus, without
        self.outages, self.leads, self.times = outages, leads, times
        self.met: Counter[str] = Counter()

    def draw(self, n: int, label: str, kinds: tuple[str, ...], now: float) -> Fate:
        """The fate of the n-th crossing."""
        chance = self.rng.random
        a, b, c, d = chance(), chance(), chance(), chance()
        latency = 0.002 + 0.05 * b + (self.slow * b * b * b if b > 0.7 else 0.0)
        fault = ""
        if now < self.until and kinds:
            if a < self.rate:
                fault = kinds[int(c * len(kinds))]
                fault = "" if fault in self.excluded else fault
            self.met[label] += 1
            for where, how, nth in self.leads:
                if label == where and nth in (0, self.met[label]):
                    fault = how
            first = self.focus[2] if self.focus else 0
            if self.focus and label == self.focus[0] and first <= self.met[label] < first + self.times:
                fault = self.focus[1] if self.focus[1] in kinds else fault
            for start, end, how in self.outages:
                if start <= now < end and how in kinds and ".wire." in label:
                    fault = how
        if n in self.without:
            fault = ""
        size = d
        if fault.startswith("stall"):
            size = d * self.pause
        elif fault in ("twice", "delayed"):
            size = d * d * 900
        return Fate(fault, latency, size)


@dataclass
class Plan:
    """What one seed stands for."""

    seed: int
    hostile: bool
    setting: Setting
    arrivals: list[tuple[float, Event]]
    swarm: Swarm
    replays: bool
    #: When people come to the desk, and the chance by which they choose.
    visits: Sequence[float] = ()
    people: random.Random | None = None
    #: Forged and stale deliveries: when, which event they abuse, and how. ``None`` where events come past the door.
    attacks: Sequence[tuple[float, Event, str]] | None = None
    #: Another release (``before`` or ``after``) that works for a while, and when how much of it.
    release: str = ""
    phases: Sequence[releases.Phase] = ()
    #: An event of which the ledger holds the items of another region.
    alien: Event | None = None


@dataclass
class Result:
    """What came of one history."""

    seed: int
    hostile: bool
    violations: list[str]
    digest: str
    struck: Counter[tuple[str, str]]
    faults: list[int]
    crossings: int
    seconds: float
    fenced: int
    trace: list[tuple[float, str, str, str]] = field(default_factory=list)
    kinds: dict[str, tuple[str, ...]] = field(default_factory=dict)
    offered: list[str] = field(default_factory=list)
    most_flying: Counter[str] = field(default_factory=Counter)
    #: What the history had beside faults: people, a front door, two releases, tokens, a fence, another region's items.
    parts: tuple[str, ...] = ()


def plan(
    seed: int, focus: tuple[str, str] | None = None, without: frozenset[int] = frozenset(), *, steered: bool = True
) -> Plan:
    """The plan of a seed: even seeds as deployed, odd ones hostile. ``steered`` leads it to a focus that is hard."""
    rng = random.Random(f"plan {seed}")
    hostile = seed % 2 == 1
    every = sorted(ALL_KINDS)
    excluded = frozenset(kind for kind in every if rng.random() < 0.4)
    rate = rng.choice((0.0, 0.02, 0.05, 0.1, 0.2))
    until = rng.choice((60.0, 600.0, 2400.0))
    outages = []
    if rng.random() < 0.12:
        length = rng.choice((60.0, 600.0, 1800.0, 1800.0, 6 * 3600.0))
        outages = [(rng.random() * 60, length, rng.choice(("busy", "down", "unreachable", "lost_request")))]
        until = max(until, length)
    skew = rng.choice((0.0, 1.0, 2.0)) if not hostile else rng.choice((0.0, 2.0, 600.0))
    dead = focus is not None and focus[0].startswith("dead")
    hard = steered and focus is not None and coverage.hard(focus[0])
    leads = coverage.LEADS.get(focus[0], ()) if focus and hard else ()
    if hard:
        until = max(until, 600.0)
    jitter = random.Random(f"jitter {seed}")
    onboard = focus is not None and _of_steps(focus[0])
    # A file target keeps no reference unique, so that its place is the regime whose delays are the declared ones.
    arrivals = _arrivals(
        rng, until, onboard=onboard, german=not hostile and (".drop." in str(focus) or rng.random() < 0.3)
    )
    refuses: tuple[str, ...] = ()
    if not hostile and rng.random() < 0.12:
        refuses = (_key(rng.choice([event for _, event in arrivals])),)
    if hard and focus is not None and focus[0] in coverage.UNDONE and not hostile:
        refuses = (DEAL,)
    erp = Finds.UNIQUE if hostile else rng.choice((Finds.UNIQUE, Finds.SEARCHABLE, Finds.LAGGING))
    reads_back = rng.random() < 0.5
    # A deal's step at a blind target waits for a person, and the history would not rest: documents only.
    deals = any(event.source == "salesforce" for _, event in arrivals)
    if not hostile and not deals and random.Random(f"blind {seed}").random() < 0.1:
        erp, reads_back = Finds.BLIND, False
    setting = Setting(
        hostile=hostile, erp=erp, reads_back=reads_back,
        concurrency=rng.choice((2, 3, 4)), batch=rng.choice((1, 3, 10)),
        most_receives=1 if dead or rng.random() < 0.03 else 5, skew=skew,
        index_lag=rng.choice((0.0, 0.0, 1.0, 30.0)), refuses=refuses, ack_delay=rng.choice((20.0, 120.0, 900.0)),
        budget=rng.choice((1, 2, 5)), jitter=jitter.random, rates=_rates(random.Random(f"rates {seed}"), focus),
    )  # fmt: skip
    slow = rng.choice((0.0, 0.5, 8.0))
    nth = 1 if hard or focus is None else rng.choice((1, 1, 2, 3))
    swarm = Swarm(
        random.Random(f"fates {seed}"), rate, excluded, until, slow=slow,
        pause=400.0 if hostile else 90.0, focus=(*focus, nth) if focus else None,
        without=without, outages=outages, leads=leads, times=coverage.times(focus[0]) if focus and hard else 1,
    )  # fmt: skip
    made = Plan(seed, hostile, setting, arrivals, swarm, replays=rng.random() < 0.25)
    return _more(made, focus, until)


def _more(made: Plan, focus: tuple[str, str] | None, until: float) -> Plan:
    """What was added to histories later, by a chance of its own, so that older seeds keep what they had."""
    rng = random.Random(f"more {made.seed}")
    label = focus[0] if focus else ""
    visits: list[float] = []
    if rng.random() < 0.3 or label.startswith("desk."):
        visits = [rng.random() * (min(until, 600.0) + 1200.0) for _ in range(rng.choice((1, 2, 4, 8)))]
    if label == "desk.ledger.make":
        visits += [300.0 * (1 + rng.random() + number) for number in range(6)]
    if rng.random() < 0.15:
        made = replace(made, arrivals=_voided(made.arrivals, rng))
    german = any(event.account == governed.FENCED_ACCOUNT for _, event in made.arrivals)
    fenced = german and ".drop." not in label and rng.random() < 0.3
    limit = 200_000 if visits and rng.random() < 0.4 else 0
    wanted = rng.random()
    scheme = "rotating" if wanted < 0.1 else "fetched" if wanted < 0.16 else ""
    if label in tokens.BOUNDARIES or (focus and focus[1] == "expired"):
        scheme = "rotating" if label in tokens.BOUNDARIES or wanted < 0.5 else "fetched"
    # Where clocks are ten minutes off and processes sleep for as long, a rotating pair dies, and only a person helps.
    scheme = "fetched" if scheme and made.hostile else scheme
    if scheme == "rotating":
        # Faults beyond the vendor's half an hour of grace may take the pair for good, and only a person helps.
        made.swarm.until = min(made.swarm.until, MERCY)
        made.swarm.outages = [(start, min(end, MERCY), how) for start, end, how in made.swarm.outages]
    life = rng.choice((90.0, 400.0, 1800.0))
    if label in tokens.BOUNDARIES:
        life = 90.0  # renewed again and again, so that what is to be struck is met again and again
    setting = replace(made.setting, fenced=fenced, limit=limit, tokens=scheme, token_life=life)
    attacks: list[tuple[float, Event, str]] | None = None
    if rng.random() < 0.25 or label.startswith("receive."):
        whom = [event for _, event in made.arrivals]
        attacks = [(rng.random() * 900, rng.choice(whom), rng.choice(doors.ATTACKS)) for _ in range(rng.randrange(9))]
    release, phases = _deploys(rng, min(until, 600.0))
    if label == "probe.ledger.make":  # what is taken in for good only once a newer release runs, or lets go of its lane
        release, phases = "after", [releases.Phase(0.0, 0.5), releases.Phase(min(until, 600.0), 1.0)]
    alien = events.stripe(7, "invoice", False) if rng.random() < 0.1 else None
    people = random.Random(f"people {made.seed}")
    return replace(
        made, setting=setting, visits=visits, people=people, alien=alien, attacks=attacks, release=release,
        phases=phases,
    )  # fmt: skip


def _deploys(rng: random.Random, until: float) -> tuple[str, list[releases.Phase]]:
    """Half the functions run the new release, then all, and then perhaps it is rolled back, and deployed again."""
    drawn = rng.random()
    release = "before" if drawn < 0.12 else "after" if drawn < 0.2 else ""
    times = sorted(rng.random() * until for _ in range(4))
    rolled_back = rng.random() < 0.6
    old = [(0.0, 1.0), (times[0], 0.5), (times[1], 0.0), *([(times[2], 1.0), (times[3], 0.0)] if rolled_back else [])]
    # Seen from the older of the two, this release is what is deployed, rolled back to and replaced again.
    new = [(0.0, 0.0), (times[0], 0.5), (times[1], 1.0), *([(times[2], 0.0), (times[3], 1.0)] if rolled_back else [])]
    return release, [releases.Phase(at, share) for at, share in (old if release == "before" else new)]


def _rates(rng: random.Random, focus: tuple[str, str] | None) -> tuple[Rate, ...]:
    """None for half of the seeds; else windows that a handful of documents fills."""
    if rng.random() < 0.5 and not (focus and focus[0] == "post.ledger.waiting"):
        return ()
    windows = ((3, 30), (4, 60), (8, 120), (20, 600))
    return tuple(Rate(*one) for one in rng.sample(windows, rng.choice((1, 1, 2))))


def _of_steps(label: str) -> bool:
    return label.startswith("step") or "machines" in label or label in coverage.UNDONE


def _key(event: Event) -> str:
    """The posting key that a target shall refuse for good."""
    about = event.about if event.kind == "payment" else event.object
    return f"{event.kind}/stripe:{event.account}:{about.replace(':', '%3A')}/{event.action}/post/g0"


def _arrivals(rng: random.Random, until: float, *, onboard: bool, german: bool) -> list[tuple[float, Event]]:
    """Five and more events in one to four lanes: doubled, delayed, in any order."""
    lanes = rng.sample(range(4), rng.choice((1, 1, 2, 2, 3, 4)))
    made: list[Event] = []
    for lane in lanes:
        here = german and rng.random() < 0.6
        kinds = ["invoice", "payment", "credit_note", *(["void"] if rng.random() < 0.3 else [])]
        made += [events.stripe(lane, kind, here) for kind in kinds if rng.random() < 0.9 or kind == "invoice"]
        if rng.random() < 0.2:
            made.append(events.stripe(lane, "invoice", here, again=True))
    while len(made) < 5:
        made.append(rng.choice(made))
    made += [rng.choice(made) for _ in range(rng.choice((0, 0, 1, 3)))]
    if onboard or rng.random() < 0.12:
        made += [events.deal(number) for number in range(rng.choice((1, 1, 2)))]
    spread = min(until, rng.choice((0.5, 5.0, 60.0, 400.0)))
    in_order = rng.random() < 0.5
    times = sorted(rng.random() * spread for _ in made)
    if not in_order:
        rng.shuffle(times)
    return list(zip(times, made, strict=True))


def _voided(arrivals: list[tuple[float, Event]], rng: random.Random) -> list[tuple[float, Event]]:
    """The first lane with an invoice holds nothing but it and its void, as a source that voids a draft has it."""
    first = next((event for _, event in arrivals if event.kind == "invoice"), None)
    if first is None:
        return arrivals
    german, number = first.account == "acct_de", int(first.lane[-1])
    kept = [(when, event) for when, event in arrivals if event.lane != first.lane or event.kind == "invoice"]
    last = max(when for when, event in kept if event.lane == first.lane)
    return [*kept, (last + rng.choice((0.0, 0.0, 1.0, 60.0)), events.stripe(number, "void", german))]


ALL_KINDS: Final = frozenset({
    "crash_before", "crash_after", "stall_before", "stall_after", "throttled", "contended", "retried", "lost",
    "partial", "unreachable", "lost_request", "lost_answer", "late", "crash_late", "busy", "down", "down_committed",
    "cut", "lies", "garbled", "twice", "delayed", "delete_lost", "missed",
})  # fmt: skip


def play(
    seed: int, focus: tuple[str, str] | None = None, without: frozenset[int] = frozenset(), *, keep: bool = False,
    steered: bool = True,
) -> Result:  # fmt: skip
    """Play one seed to rest and check it."""
    made = plan(seed, focus, without, steered=steered)
    world = World(made.swarm, made.setting)
    other = {"before": releases.before, "after": releases.after}[made.release]() if made.release else None
    if other is not None:
        world.deploys = releases.Deploys(other, made.phases, random.Random(f"deploys {seed}"))
    with targets_of(world):
        for _, event in made.arrivals:
            if event.source == "stripe":
                world.link(event)
        if made.attacks is not None:
            world.doors = Doors(world, random.Random(f"doors {seed}"))
            for when, event, kind in made.attacks:
                world.doors.attack(when, event, kind)
        for when, event in made.arrivals:
            world.deliver(when, event)
        if made.visits and made.people is not None:
            world.people = People(world, made.people)
            for when in made.visits:
                world.people.come(when)
        if made.alien is not None:
            taken.plant(world, made.alien)
        world.hub.at(30.0, world.tick)
        limit = made.swarm.until + PATIENCE
        came = world.hub.run(limit, world.rests)
        violations = [] if came else [f"I14 not at rest {PATIENCE:.0f} s after the last fault: {check.unrest(world)}"]
        violations += check.check(world)
        if came and made.replays and not violations and not check.buried(world):
            violations += _replay(world)
        world.hub.close()
    hub = world.hub
    ends = sorted(str(item["tail"]) for item in (*world.postings(), *world.runs()))
    return Result(
        seed, made.hostile, violations, hub.digest(ends), hub.struck, hub.faults, hub.crossings,
        hub.now - made.swarm.until, world.table.fenced, hub.trace if keep else [],
        hub.kinds, hub.offered if keep else [],
        Counter({name: book.most_flying for name, book in world.books.items()}), _parts(made),
    )  # fmt: skip


def _parts(made: Plan) -> tuple[str, ...]:
    there = {
        "people": made.visits, "a front door": made.attacks is not None, f"the release {made.release}": made.release,
        f"{made.setting.tokens} tokens": made.setting.tokens, "a limit": made.setting.limit,
        "a fenced entity": made.setting.fenced, "another region's items": made.alien,
    }  # fmt: skip
    return tuple(name for name, is_there in there.items() if is_there)


def kept_seeds() -> list[tuple[int, str]]:
    """Seeds that once failed, and the pair that they were focused on (``-`` for none)."""
    lines = [line.split() for line in SEEDS.read_text().splitlines() if line and not line.startswith("#")]
    return [(int(line[0]), line[1]) for line in lines]


def attempt(seed: int, focus: tuple[str, str] | None = None) -> list[str]:
    """What breaks in a seed; a checker that stumbles over what it finds has found something."""
    try:
        return play(seed, focus).violations
    except Exception as error:
        return [f"the checker stumbles: {type(error).__name__} {error}"]


def once_more(seed: int, pair: str) -> list[str]:
    """What breaks in a seed that once failed: without a focus, with the one it had then, and with today's."""
    label, _, kind = pair.partition("/")
    then = play(seed, (label, kind) if kind else None, steered=False)
    return [*play(seed).violations, *then.violations, *play(seed, coverage.focus(seed)).violations]


def _replay(world: World) -> list[str]:
    """I8: the whole inbound log once more changes neither a book nor a state."""
    before = check.state(world)
    for number, (_, event) in enumerate(list(world.inbound)):
        world.deliver(world.hub.now + 1 + number, event)
    came = world.hub.run(world.hub.now + PATIENCE, world.rests)
    after = check.state(world)
    found = [] if came else ["I8 the replay does not come to rest"]
    return found + [f"I8 the replay changed {name}" for name in before if before[name] != after[name]]


__all__ = ["ALL_KINDS", "PATIENCE", "Plan", "Result", "Swarm", "plan", "play", "replace"]
