"""The soak: a target that is away for hours while events come at fifty a second, in virtual time.

``python -m tests.simulation soak`` plays 1,080,000 events; ``--scale 0.1`` plays six hours as well, with a tenth of the
events and of the limits. Invoices and their payments share lanes; every booking tells the CRM, whose budget counts too.
What must hold is in `_judge`.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from typing import Final
from unittest.mock import patch

from tests.simulation import budgets, events, fast, world
from tests.simulation.hub import Fate
from tests.simulation.world import Setting, World, targets_of
from tieout.contract import Budget, Rate
from tieout.core import keys

#: Events a second, and seconds of the outage.
PACE: Final = 50
OUTAGE: Final = 6 * 3600
#: A payment comes so many lanes after its invoice.
BEHIND: Final = 500
#: Calls a second that the ERP allows, over windows of so many seconds; calls at once of ERP and CRM.
LIMIT, WINDOW = 100, 300
ERP_SLOTS, CRM_SLOTS = 25, 10
#: How long the world may take after the outage, in seconds of virtual time.
PATIENCE: Final = 12 * 3600.0


class Outage:
    """Every call takes its time; while the outage lasts, the ERP's are lost at first and refused later."""

    def __init__(self, until: float, probe: float) -> None:
        self.until = until
        #: Whether the call that begins goes to the ERP: its boundary's name does not say.
        self.erp: Callable[[], bool] = lambda: True
        rng = random.Random("soak")
        # No two calls take the same time: workers in step with each other would meet at every write.
        self.calm = cycle([Fate("", 0.005 + 0.01 * rng.random()) for _ in range(997)])
        self.put = cycle([Fate("", 0.1 + 0.1 * rng.random()) for _ in range(499)])
        self.told = cycle([Fate("", 0.02 + 0.02 * rng.random()) for _ in range(499)])
        #: A ledger this much slower for probe stands for a table with so much more in it.
        self.slow = cycle([Fate("", probe * (0.005 + 0.01 * rng.random())) for _ in range(499)])
        self.lost, self.down = Fate("lost_request", 0.15), Fate("down", 0.15)

    def draw(self, n: int, label: str, kinds: tuple[str, ...], now: float) -> Fate:
        """The fate of one call; the CRM's wire has no outage."""
        if label.startswith("probe.ledger"):
            return next(self.slow)
        if ".wire." not in label:
            return next(self.calm)
        if not self.erp():
            return next(self.told)
        if now < self.until:
            return self.lost if now < self.until / 6 else self.down
        return next(self.put)


@dataclass
class Figures:
    """What a soak came to."""

    events: int
    outage: float
    erp: Budget
    limit: float
    began: float = 0.0
    backlog: int = 0
    drained: float = 0.0
    rested: float = 0.0
    most_at_once: dict[str, int] = field(default_factory=dict)
    most_in_window: int = 0
    dead: int = 0
    crossings: int = 0
    cpu: float = 0.0
    most_open: int = 0
    lines: int = 0
    resent: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def took(self) -> float:
        """Seconds from the first good answer after the outage to the last document booked."""
        return self.drained - self.began

    @property
    def allowed(self) -> float:
        """1.1 times the backlog over the limit."""
        return 1.1 * self.backlog / self.limit

    def __str__(self) -> str:
        return (
            f"{self.events} events in {self.outage:.0f} s of outage, backlog {self.backlog} documents\n"
            f"drained in {self.took:.0f} s after the first good answer ({self.began - self.outage:.0f} s after the "
            f"outage ended), allowed {self.allowed:.0f} s; at rest {self.rested - self.outage:.0f} s after the outage\n"
            f"calls at once, at most: {self.most_at_once}; ERP calls in any {self.erp.rates[0].seconds} s, at most: "
            f"{self.most_in_window} of {self.erp.rates[0].calls}\n"
            f"dead letters {self.dead}, requests resent {self.resent}, history lines checked {self.lines}, open at "
            f"once at most {self.most_open}\n"
            f"{self.crossings} calls of ports, {self.cpu:.0f} s of CPU\n"
            f"{len(self.wrong)} violations {self.wrong[:5]}"
        )


def play(scale: float = 1.0, tell: Callable[[str], None] = lambda line: None, probe: float = 1.0) -> Figures:
    """Play a soak of that share of six hours to its end; ``probe`` says how much slower its ledger is for probe."""
    began_cpu = time.process_time()
    outage, pace = float(OUTAGE), PACE * scale
    total = int(pace * outage)
    fates = Outage(outage, probe)
    erp = Budget(max(2, round(ERP_SLOTS * scale)), (Rate(round(LIMIT * WINDOW * scale), WINDOW),), calls=1)
    setting = Setting(
        concurrency=erp.concurrency + 1, batch=10, reads_back=False, budget=erp.concurrency, rates=erp.rates
    )
    with (
        patch.object(world, "Hub", fast.LeanHub), patch.object(world, "Table", fast.LeanTable),
        patch.object(world, "Queue", fast.LeanQueue), patch.object(world, "SimTarget", fast.LeanTarget),
    ):  # fmt: skip
        here = World(fates, setting)
    with patch.object(world, "SimTarget", fast.LeanTarget), targets_of(here), fast.templated(), _collecting_the_young():
        figures = Figures(total, outage, erp, LIMIT * scale)
        _run(here, fates, figures, scale, tell)
        here.hub.close()
    figures.cpu = time.process_time() - began_cpu
    return figures


@contextmanager
def _collecting_the_young() -> Iterator[None]:
    """With a collector of cycles that looks at what is young: else it walks a million postings again and again.

    Not without one: what an invocation leaves behind is full of cycles, 30 GB of them in a whole soak.
    """
    was = gc.get_threshold()
    gc.set_threshold(100_000, 50, 1_000_000)
    try:
        yield
    finally:
        gc.set_threshold(*was)
        gc.collect()


def _run(here: World, fates: Outage, figures: Figures, scale: float, tell: Callable[[str], None]) -> None:
    erp, crm = here.targets["netsuite"], here.targets["salesforce"]
    crm.budget = Budget(max(2, round(CRM_SLOTS * scale)))
    here.lanes["salesforce"].concurrency = crm.budget.concurrency
    here.said = fast.Forgetful()
    total, pace, behind = figures.events, PACE * scale, max(5, round(BEHIND * scale))
    fates.erp = lambda: fast.LeanTarget.called is erp
    link = keys.link_item("customer", "stripe:acct_us:cus_acct_us0")
    here.table.items[link] = {
        "pk": link.pk, "sk": link.sk, "canonical": "salesforce:acme:1", "rev": 1, "at:netsuite:acme": "501",
    }  # fmt: skip
    expected: dict[tuple[str, int], int] = {}
    state = {"sent": 0}
    hub, book, told, table = here.hub, erp.book, crm.book, here.table
    assert isinstance(book, fast.LeanBook)
    assert isinstance(told, fast.LeanBook)
    assert isinstance(table, fast.LeanTable)

    def arrives() -> None:
        number = state["sent"]
        lane, paid = divmod(number, 2)
        kind, lane = (
            ("payment", lane - behind) if paid and lane >= behind else ("invoice", lane if not paid else total + lane)
        )
        expected[kind, lane % fast.AMOUNTS] = expected.get((kind, lane % fast.AMOUNTS), 0) + 1
        here.inbox.put(fast.envelope(kind, lane))
        state["sent"] += 1
        if state["sent"] < total:
            hub.at(state["sent"] / pace, arrives)

    def watch() -> None:
        done = len(book.refs)
        if done and not figures.began:
            figures.began, figures.backlog = hub.now, total
        if done == total and not figures.drained:
            figures.drained = hub.now
        hub.at(hub.now + 1.0, watch)

    def progress() -> None:
        waits = ", ".join(f"{len(rows)} in {shard}" for shard, rows in table.waits.items())
        tell(f"{hub.now / 3600:5.2f} h: {state['sent']} sent, {len(book.refs)} booked, {len(told.refs)} told, {waits}")
        hub.at(hub.now + 600.0, progress)

    def rests() -> bool:
        if not figures.drained or table.open or len(told.refs) < total:
            return False
        return all(queue.quiet for queue in here.queues) and not here.probing

    hub.at(0.0, arrives)
    hub.at(1.0, watch)
    hub.at(30.0, here.tick)
    hub.at(600.0, progress)
    came = hub.run(figures.outage + PATIENCE, rests)
    figures.rested = hub.now
    figures.wrong += [] if came else [f"I14 not at rest {PATIENCE:.0f} s after the outage: {table.open} open"]
    _judge(here, figures, expected)


def _judge(here: World, figures: Figures, expected: dict[tuple[str, int], int]) -> None:
    """What must hold: nothing lost or double, sums, order, limits in any window, no dead letter, drained in time."""
    erp, crm, table = here.books["netsuite:acme"], here.books["salesforce:acme"], here.table
    assert isinstance(erp, fast.LeanBook)
    assert isinstance(crm, fast.LeanBook)
    assert isinstance(table, fast.LeanTable)
    wrong = figures.wrong
    figures.most_at_once = {name: book.most_flying for name, book in here.books.items() if book.most_flying}
    figures.most_in_window = budgets.most_in(sorted(erp.reached.times), WINDOW)  # type: ignore[attr-defined]
    figures.dead = sum(getattr(queue, "buried", 0) for queue in here.queues)
    figures.crossings, figures.most_open, figures.lines = here.hub.crossings, table.most_open, table.lines
    figures.resent = erp.resent
    counted = {
        kind: sum(count for (one, _), count in expected.items() if one == kind) for kind in ("invoice", "payment")
    }
    if dict(erp.kinds) != counted:
        wrong.append(f"I1 the book has {dict(erp.kinds)}, received were {counted}")
    for kind in counted:
        wanted = sum(events.stripe(first, kind, False).total * n for (one, first), n in expected.items() if one == kind)
        if erp.sums[kind, "USD"] != wanted:
            wrong.append(f"I5 {kind}s add up to {erp.sums[kind, 'USD']}, received were {wanted}")
    posted = table.final["netsuite:acme", "POSTED"]
    if posted != figures.events or len(table.final) != 2:
        wrong.append(f"I3 the ledger ended as {dict(table.final)}")
    if len(crm.refs) != figures.events:
        wrong.append(f"I1 the CRM was told of {len(crm.refs)}")
    wrong += [f"I4 {erp.out_of_order} payments before their invoices"] if erp.out_of_order else []
    wrong += [f"I5 sent with two contents: {erp.changed[:3]}"] if erp.changed else []
    wrong += table.wrong[:5]
    wrong += [f"{figures.dead} dead letters"] if figures.dead else []
    for name, budget in (("netsuite:acme", figures.erp), ("salesforce:acme", here.targets["salesforce"].budget)):
        if here.books[name].most_flying > budget.concurrency:
            wrong.append(f"I12 {name}: {here.books[name].most_flying} calls at once")
    if figures.most_in_window > figures.erp.rates[0].calls:
        wrong.append(f"I12 {figures.most_in_window} calls in a window")
    if not figures.drained or figures.took > figures.allowed:
        wrong.append(f"drained in {figures.took:.0f} s, allowed {figures.allowed:.0f}")
