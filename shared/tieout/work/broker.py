"""The capacity broker at work: slots and tokens of one target account, the metered wire, and who waits and is let go.

Every call to a target goes through here: the writes of ``post``, and the looks of ``probe`` and of a flow's step. What
finds no room waits in the target's own partition of the due index, where nobody polls it, and is let go from there in
order of its rank, as much at a time as the budget takes until the next look.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Protocol, cast

from tieout import systems
from tieout.contract import AsksAgain, Budget, Folder, Measured, Quiet, Target, Wire
from tieout.core import capacity, keys, ledger, tokens
from tieout.core.classify import Answer
from tieout.core.keys import Key
from tieout.core.ledger import stamp
from tieout.core.verdicts import NotYet, TryAgain, Uncertain, Verdict
from tieout.core.writes import Change, Item, Refused, Write
from tieout.work.commit import View, commit, together
from tieout.work.ports import Ports, Send

#: Postings that one look lets go at most: with a look every five seconds, more than a busy account takes meanwhile.
LET_GO_MOST: Final = 1000
#: How often, and for how many seconds at a time, a batch waits for a slot; with less time left it does not.
SLOT_WAITS, SLOT_WAIT, ENOUGH = 2, 1.0, 45.0
#: A budget's due time is only written where it would come this much too late: probe comes once a minute.
SLACK: Final = timedelta(seconds=60)
#: How soon a budget is looked at where nothing waits; where something does, by the very next run of probe.
IDLE_AGAIN: Final = timedelta(minutes=5)
#: How long what an account said of its own limit holds.
MEASURED_FOR: Final = timedelta(hours=1)
#: The gates whose hold is a wait for room at the target.
ROOM: Final = frozenset({"budget", "breaker"})


class Budgeted(Protocol):
    """What is called within a budget: a target, or a source that is asked."""

    budget: Budget
    quiet: Quiet


@dataclass
class Slots:
    """One worker's share of the budget of one target account: a slot and tokens, given back with the last booking.

    ``good`` counts answers, ``used`` the instants of answered calls, ``handled`` postings that were called for and
    ``returned`` those that had been let go, of which the budget item has not been told yet.
    """

    target: str
    system: Budgeted
    owner: str
    held: bool = False
    good: int = 0
    tokens: int = 0
    used: list[datetime] = field(default_factory=list)
    handled: int = 0
    returned: int = 0
    began: datetime | None = None
    granted: int = 0
    #: Whether it has ever had a slot: who found no room does not call others in.
    got_through: bool = False
    waited: bool = False
    #: Whether an answer did not come, so that its time says nothing of what a posting needs.
    spoiled: bool = False

    @property
    def key(self) -> Key:
        """The budget item."""
        return keys.budget_item(self.target)

    def take(self, view: View, now: datetime, lease: timedelta, records: int = 1) -> list[Write]:
        """The write that takes a slot, and tokens for up to ``records`` postings; empty where both are there.

        Raises ``NotYet``: ``budget_spent`` (none is free) or ``target_paused``. :meth:`taken` after it has landed.
        """
        budget, values = view.get(self.key) or {}, dict[str, Any]()
        self.granted = 0
        if not self.held:
            values |= capacity.admit(budget, self.target, self.owner, now, now + lease)
            leases = capacity.live(budget.get("leases"), now)
            if len(leases) >= capacity.limit(budget, self.system.budget.concurrency):
                raise NotYet("budget_spent", gate="budget", target=self.target)
            values["leases"] = leases | {self.owner: stamp(now + lease)}
            if "due" not in budget:
                values |= ledger.due(self.key.pk, now + IDLE_AGAIN)
        values |= self._tokens(budget, now, lease, records)
        return [self._write(budget, values)] if values else []

    def _tokens(self, budget: Item, now: datetime, lease: timedelta, records: int) -> dict[str, Any]:
        mine = self.system.budget
        skew = self.system.quiet.clock_skew
        free = tokens.free(budget, mine.rates, skew, now)
        least = min([mine.calls, *(rate.calls for rate in mine.rates)])
        if free is None or self.tokens >= least:
            return {}
        if free < least - self.tokens:
            until = tokens.again(budget, mine.rates, skew, now, least)
            raise NotYet("budget_spent", gate="budget", target=self.target, until=stamp(until))
        self.granted = min(free, mine.calls * records)
        # A request that is lost may reach the target as late as the target may take: its token is out until then.
        until = now + lease + timedelta(seconds=self.system.quiet.longest_processing)
        return tokens.take(budget, mine.rates, skew, now, self.owner, self.granted, until)

    def taken(self, now: datetime) -> None:
        """The write of :meth:`take` has landed."""
        self.began = now if not self.held or self.began is None else self.began
        self.held = self.got_through = True
        self.tokens += self.granted
        self.granted = 0

    def tell(self, view: View, verdict: Verdict | None, now: datetime, *, giving: bool) -> list[Write]:
        """The write that records an answer the account itself should hear of, and gives the slot back where wanted."""
        budget = view.get(self.key) or {}
        ceiling = self.system.budget.concurrency
        values: dict[str, Any] = {}
        if giving or verdict is not None:
            values |= capacity.answered(budget, self.owner, ceiling, self.good)
        if verdict is not None:
            values |= capacity.objected({**budget, **values}, self.owner, ceiling, verdict, now)
            values |= capacity.asked_pause({**budget, **values}, verdict, now)
        if "paused_until" in values:
            values |= ledger.due(self.key.pk, ledger.instant(values["paused_until"]))
        if giving:
            values |= self._giving(budget, now)
        return [self._write(budget, values)] if values else []

    def _giving(self, budget: Item, now: datetime) -> dict[str, Any]:
        values: dict[str, Any] = {}
        if self.held:
            leases, trial = budget.get("leases", {}), budget.get("trial", {})
            values["leases"] = {who: until for who, until in leases.items() if who != self.owner}
            if self.owner in trial:
                values["trial"] = {}
            if self.system.budget.rates:
                skew = self.system.quiet.clock_skew
                values |= tokens.give_back(budget, self.system.budget.rates, skew, now, self.owner, self.used)
            if self.handled and self.began is not None and not self.spoiled:
                values |= capacity.paced(budget, now - self.began, self.handled)
        return values | capacity.came_back(budget, self.returned, now)

    def told(self, *, gave: bool) -> None:
        """The write of :meth:`tell` has landed."""
        self.good = 0
        if gave:
            self.held, self.began = False, None
            self.tokens = self.handled = self.returned = 0
            self.spoiled = False
            self.used.clear()

    def _write(self, budget: Item, values: Mapping[str, Any]) -> Change:
        return Change(
            self.key, set={"what": "budget", **values}, add={"rev": 1}, when={"rev": budget.get("rev")}, upsert=True
        )


def await_slot(ports: Ports, view: View, slots: Slots) -> None:
    """Wait a moment, once a batch, for a slot where all are taken: else all its postings would be booked as waiting."""
    waits, slots.waited = 0 if slots.waited else SLOT_WAITS, True
    for _ in range(waits):
        budget = view.get(slots.key) or {}
        now = ports.now()
        taken = len(capacity.live(budget.get("leases"), now))
        full = taken >= capacity.limit(budget, slots.system.budget.concurrency)
        if slots.held or not full or str(budget.get("paused_until", "")) > stamp(now) or ports.remaining() < ENOUGH:
            return
        ports.pause(SLOT_WAIT)
        if ports.now() <= now:
            return
        view.update(ports.ledger.read([slots.key]))


def slots_of(made: dict[str, Slots], target: str, owner: str) -> Slots:
    """The share of one worker in one account, made at its first use."""
    if target not in made:
        made[target] = Slots(target, systems.target(target.partition(":")[0]), owner)
    return made[target]


def lease_of(ports: Ports) -> timedelta:
    """How long a worker may hold what it took: until its function is certainly over."""
    return timedelta(seconds=ports.function_timeout + 10)


def give_back(ports: Ports, view: View, slots: Slots) -> None:
    """Give a slot back that no booking gave back; one that cannot be is left to expire."""
    if not slots.held and not slots.returned:
        return
    try:
        commit(ports.ledger, view, "", lambda seen: slots.tell(seen, None, ports.now(), giving=True))
    except TryAgain:
        ports.log("slot_left_to_expire", target=slots.target)
    slots.told(gave=True)


# --- the wire ----------------------------------------------------------------------------------------------------
class Metered:
    """A target's wire that spends a token for each call, right before it goes out, and asks for more if none is left.

    ``writes`` says that the calls after the first follow a write: without a token they leave its outcome unknown.
    """

    def __init__(self, ports: Ports, view: View, slots: Slots, wire: Wire, *, writes: bool) -> None:
        self.account = slots.target.partition(":")[2]
        self._ports, self._view, self._slots, self._wire = ports, view, slots, wire
        self._writes = writes
        self._calls = 0
        #: Whether a request is out whose token is not spent yet.
        self._out = False

    @property
    def settings(self) -> Mapping[str, str]:
        """The wire's settings."""
        return self._wire.settings

    def call(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        """One call, metered; see the contract."""
        with self._metered():
            if isinstance(self._wire, AsksAgain):
                self._wire.again = self._again
            return self._wire.call(method, path, headers=headers, body=body)

    def put_once(self, name: str, body: bytes) -> bool:
        """See the contract."""
        with self._metered():
            return self._wire.put_once(name, body)

    def get(self, name: str) -> bytes | None:
        """See the contract."""
        with self._metered():
            return self._wire.get(name)

    def names(self, folder: str) -> Sequence[tuple[str, datetime]]:
        """See the contract."""
        with self._metered():
            return cast("Folder", self._wire).names(folder)

    @contextmanager
    def _metered(self) -> Iterator[None]:
        if not self._slots.system.budget.rates:
            yield
            return
        self._calls += 1
        self._need_one()
        late, self._out = timedelta(), True
        try:
            yield
        except Uncertain:
            late = timedelta(seconds=self._slots.system.quiet.longest_processing)
            raise
        finally:
            if self._out:
                self._spend(late)

    def _again(self) -> None:
        """A token for the second try after a 401, which has done nothing: the first try has used its own up."""
        if self._slots.system.budget.rates:
            self._spend(timedelta())
            self._out = False
            self._need_one()
            self._out = True

    def _spend(self, late: timedelta) -> None:
        self._slots.tokens -= 1
        self._slots.used.append(self._ports.now() + late)

    def _need_one(self) -> None:
        ports, slots = self._ports, self._slots
        if slots.tokens > 0:
            return
        try:
            now = ports.now()
            commit(ports.ledger, self._view, "", lambda seen: slots.take(seen, now, lease_of(ports)))
        except (NotYet, TryAgain) as obstacle:
            if self._writes and self._calls > 1:
                raise Uncertain("target_unclear", f"no token for the read-back: {obstacle}") from obstacle
            raise
        slots.taken(ports.now())


def asking(ports: Ports, view: View, slots: Slots, target: Target) -> Wire:
    """A wire for looks at ``target``, with slot and tokens taken. Raises ``NotYet`` where there is no room now."""
    now = ports.now()
    if slots.key not in view:
        view[slots.key] = None
        view.update(ports.ledger.read([slots.key]))
    paused = str((view.get(slots.key) or {}).get("paused_until", ""))
    if paused > stamp(now):
        raise NotYet("target_paused", gate="breaker", until=paused, target=slots.target)
    if not slots.held or slots.tokens < 1:
        commit(ports.ledger, view, "", lambda seen: slots.take(seen, now, lease_of(ports)))
        slots.taken(now)
    account = slots.target.partition(":")[2]
    return Metered(ports, view, slots, ports.wire(target, account), writes=False)


def measure(ports: Ports, view: View, made: dict[str, Slots], target: str) -> None:
    """Ask the account how many calls at once it allows, once an hour, where it says so; what it says is its ceiling.

    Where it cannot be asked, or is not for us to know, what was known stands.
    """
    system, key = systems.target(target.partition(":")[0]), keys.budget_item(target)
    if not isinstance(system, Measured):
        return
    now = ports.now()
    if str((view.get(key) or {}).get("measured", "")) > stamp(now - MEASURED_FOR):
        return
    slots, allowed = slots_of(made, target, ports.owner), None
    try:
        allowed = system.allows(asking(ports, view, slots, system))
        looked(ports, view, slots, None)
    except NotYet:
        return
    except Verdict as verdict:
        ports.log("limit_not_told", target=target, code=verdict.code)
        looked(ports, view, slots, verdict)
    values = {"measured": stamp(now), **({"ceiling": allowed} if allowed else {})}

    def compose(seen: View) -> list[Write]:
        rev = (seen.get(key) or {}).get("rev")
        return [Change(key, set={"what": "budget", **values}, add={"rev": 1}, when={"rev": rev}, upsert=True)]

    commit(ports.ledger, view, "", compose)


def looked(ports: Ports, view: View, slots: Slots, verdict: Verdict | None) -> None:
    """Say how a look was answered; what is good is told when the slot is given back."""
    if verdict is None or not capacity.about_the_account(verdict):
        slots.good += 1
        return
    commit(ports.ledger, view, "", lambda seen: slots.tell(seen, verdict, ports.now(), giving=False))
    slots.told(gave=False)


def object_apart(ports: Ports, view: View, slots: Slots, verdict: Verdict | None) -> None:
    """Tell the account's trouble where its booking could not; what is good is told when the slot is given back."""
    if verdict is None or not capacity.about_the_account(verdict):
        return
    try:
        looked(ports, view, slots, verdict)
    except TryAgain:
        ports.log("answer_not_told", target=slots.target, code=verdict.code)


# --- waiting -----------------------------------------------------------------------------------------------------
def waits_for_room(verdict: Verdict) -> bool:
    """Whether a hold is a wait for room at the target."""
    return isinstance(verdict, NotYet) and verdict.facts.get("gate") in ROOM


def wait(view: View, item: Item, verdict: Verdict, now: datetime) -> list[Write]:
    """What must be written with a posting that begins to wait: its budget knows it, and is looked at in time."""
    key = keys.budget_item(item["target"])
    budget = view.get(key) or {}
    rank, values = ledger.rank(item), dict[str, Any]()
    if not budget.get("waits") or budget["waits"] > rank:
        values["waits"] = rank
    look = max(ledger.instant(verdict.facts["until"]), now) if "until" in verdict.facts else now
    if "due" not in budget or budget["due"] > stamp(look + SLACK):
        values |= ledger.due(key.pk, look)
    if not values:
        return []
    when = {"rev": budget.get("rev")}
    return [Change(key, set={"what": "budget", **values}, add={"rev": 1}, when=when, upsert=True)]


def let_go(ports: Ports, view: View, target: str) -> list[Send]:
    """Let go what the budget of ``target`` takes until the next look, by rank; the messages to send for it.

    The budget is written first: of two who would let go one wins. What is let go and lost on the way is due a minute
    later and waits again.
    """
    key = keys.budget_item(target)
    system = systems.target(target.partition(":")[0])
    budget = view.get(key) or {}
    now = ports.now()
    room = min(capacity.room(budget, system.budget, system.quiet.clock_skew, now), LET_GO_MOST)
    items, following, left = _first(ports, target, room)
    values: dict[str, Any] = {"waits": min(filter(None, (following, left)), default="")}
    values |= capacity.let_out(budget, len(items), now)
    look = now if following or items else now + IDLE_AGAIN
    paused = str(budget.get("paused_until", ""))
    values |= ledger.due(key.pk, max(look, ledger.instant(paused)) if paused > stamp(now) else look)
    change = Change(key, set={"what": "budget", **values}, add={"rev": 1}, when={"rev": budget.get("rev")}, upsert=True)
    try:
        ports.ledger.write([change])
    except Refused as refusal:
        view[key] = refusal.seen[0]
        return []
    view[key] = {**budget, "pk": key.pk, "sk": key.sk, **change.set, "rev": int(budget.get("rev", 0)) + 1}
    sends = _move_out(ports, items, now)
    if len(sends) < len(items):
        _not_out(ports, view, key, len(items) - len(sends))
    return sends


def _not_out(ports: Ports, view: View, key: Key, count: int) -> None:
    """Take back what was counted as let go and is not: another was moving the same postings out meanwhile.

    Left in the count, it would keep as much room shut until it is given up as lost.
    """

    def compose(seen: View) -> list[Write]:
        budget = seen.get(key) or {}
        values = capacity.came_back(budget, count, ports.now())
        return [Change(key, set=values, add={"rev": 1}, when={"rev": budget.get("rev")})]

    try:
        commit(ports.ledger, view, "", compose)
    except TryAgain:
        ports.log("room_left_to_expire", target=key.pk.removeprefix("B#"))


def _first(ports: Ports, target: str, room: int) -> tuple[list[Item], str, str]:
    """The first ``room`` postings that wait at ``target``, the rank of the next, and the first rank of what is left.

    What a newer release wrote is left to it, and does not stand before what this one may let go.
    """
    shard, passed, left = ledger.wait_shard(target), 0, ""
    while True:
        rows = ports.ledger.waiting(target, room + passed + 1)
        wanted = [Key(row["pk"], row["sk"]) for row in rows[: room + passed]]
        found = ports.ledger.read(wanted) if wanted else {}
        # The index lags: only the item says whether it waits still.
        waiting = [found[one] for one in wanted if one in found and found[one].get("due_shard") == shard]
        ours = [item for item in waiting if not ledger.newer(item)]
        left = next((item["due"] for item in waiting if ledger.newer(item)), "")
        following = rows[room + passed]["due"] if len(rows) > room + passed else ""
        others = len(waiting) - len(ours)
        if not following or others == passed or passed >= LET_GO_MOST:
            return ours[:room], following, left
        passed = others


def _move_out(ports: Ports, items: Sequence[Item], now: datetime) -> list[Send]:
    """Move postings out of their wait, all that still do."""
    changes = [
        Change(
            Key(item["pk"], item["sk"]),
            set={**ledger.due(item["pk"], now + ledger.RESEND_AFTER), "released": stamp(now)},
            add={"sends": 1},
            when={"state": item["state"], "tail": item["tail"], "due_shard": item["due_shard"]},
        )
        for item in items
    ]
    moved = together(ports.ledger, changes)
    sent = [item for item in items if Key(item["pk"], item["sk"]) in moved]
    return [Send.of(item | {"sends": item.get("sends", 1) + 1}) for item in sent]


def let_go_where_room(ports: Ports, view: View, made: Mapping[str, Slots]) -> list[Send]:
    """After a batch: let go what has room now, so that what waits goes on at the pace of what is done."""
    sends: list[Send] = []
    for target, slots in made.items():
        budget = view.get(slots.key) or {}
        mine = slots.system
        if (
            slots.got_through
            and budget.get("waits")
            and capacity.low(budget, mine.budget, mine.quiet.clock_skew, ports.now())
        ):
            try:
                sends += let_go(ports, view, target)
            except Verdict as obstacle:
                ports.log("not_let_go", target=target, code=obstacle.code)  # probe does it
    return sends
