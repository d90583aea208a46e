"""Real process death: a worker is killed with SIGKILL at each boundary, the next one starts with nothing, all ties out.

Each invocation is a process of its own that speaks HTTP with the world (`tests.e2e.processes`). A story is played
undisturbed first, and every place is written down at which a call leaves a process: right before it and right after it.
Then it is played again and again, in the same world and about another document each time, until a process of every
stage has died at every one of its places. The world sees no answer, as Lambda would: the sender is refused and sends
again, messages come back after their visibility time-out, a machine retries, and probe finds what nobody is working on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from infra.local.sandbox import Fault
from infra.local.sandbox.salesforce import Product
from tests.e2e.processes import Workers, workers
from tests.e2e.scene import Scene, scene
from tieout import tables
from tieout.core import keys, ledger
from tieout.core.writes import Change, Item
from tieout.work import credentials

#: System, account and kind of document.
Books = tuple[tuple[str, str, str], ...]
#: What happens; the number makes it another document.
Story = Callable[[Scene, int], None]
#: States in which nothing is left to do by itself or by a person.
RESTING = {ledger.POSTED, ledger.SUPERSEDED}


def an_invoice(on: Scene, number: int) -> None:
    on.bill(10_000 + number)


def an_invoice_in_doubt(on: Scene, number: int) -> None:
    """The ERP commits and drops the line, so that probe has to look."""
    on.sandboxes.faults.add(Fault("commit_then_drop", r"PUT /netsuite/acme/.*/invoice/"))
    on.bill(10_000 + number)


def a_new_customer(on: Scene, number: int) -> None:
    """A deal is won: a state machine of several steps."""
    crm = on.sandboxes.salesforce
    account = crm.add_account(f"Initrode {number}", f"ap{number}@initrode.example")
    lines = [Product("PRO", 1 + number, "120.00")]
    crm.close_won(crm.add_opportunity(account["Id"], f"Initrode {number}", "US01", "USD", lines)["Id"])


def have_done_their_jobs(on: Scene) -> None:
    """Polls, checks and forecasts are done for a month: they would ride along in some of probe's runs only.

    A place of the run that looks at a doubt would then be another call in another story. What they do when they die is
    shown by `test_poll.py`, `test_windows.py` and the unit tests of their verbs.
    """
    done = ledger.stamp(on.world.clock.now() + timedelta(days=30))
    accounts = credentials.accounts(tables.load())
    jobs = ["credentials", "burn", "subscriptions", *(f"poll {one}" for one in accounts)]
    on.ledger.write([Change(keys.job_item(name), set={"done": done}, upsert=True) for name in jobs])
    on.ledger.write([Change(keys.checkup_item(one), set={"at": done}, upsert=True) for one in accounts])


@contextmanager
def processes(seed: int, *, customer: bool) -> Iterator[tuple[Scene, Workers]]:
    with scene(seed, customer=customer) as on, workers(on.world) as made:
        on.sandboxes.drop = None  # nothing goes by file here, and looking into the drop at every step costs the most
        have_done_their_jobs(on)
        yield on, made


def lines_of(item: Item, segments: list[Item]) -> list[Item]:
    """The whole history of an item, with the lines that moved to segments."""
    moved = sorted((one for one in segments if one["pk"] == item["pk"]), key=lambda one: str(one["sk"]))
    return [line for one in [*moved, item] for line in one.get("history", [])]


def untied(on: Scene, count: int, books: Books) -> list[str]:
    """Whatever is not as it must be after ``count`` stories, each of which makes one document in each of the books."""
    end = on.ending()
    ours = [one for one in end.differences if on.known not in one.about]
    found = [f"difference: {one}" for one in [*end.tie.differences, *ours]]
    found += [f"still queued: {name}" for name, queue in on.world.queues.all().items() if queue._messages]
    found += [f"still running: {run.name}" for run in on.world.machines.executions.values() if run.status == "RUNNING"]
    found += [f"open: {case}" for case in end.cases]
    postings, runs, segments = on.items("posting"), on.items("run"), on.items("history")
    for item in [*postings, *runs]:
        if item["state"] not in (RESTING if item["what"] == "posting" else {"DONE"}) or "due" in item:
            found.append(f"unfinished: {item['pk']} {item['state']}")
        if ledger.chain_breaks(lines_of(item, segments), item["tail"]):
            found.append(f"broken chain: {item['pk']}")
    ends = {"MADE", "IGNORED"}  # what billing tells of our own writes starts nothing
    events = on.events()
    found += [f"event without its end: {one['pk']} {one['state']}" for one in events if one["state"] not in ends]
    made = [one for one in events if one["state"] == "MADE"]
    if len(made) != count:
        found.append(f"{len(made)} of {count} events made something")
    for system, account, kind in books:
        book = [one for one in on.sandboxes.book(system, account) if one.kind == kind and one.external_ref != on.known]
        refs = {one.external_ref for one in book}
        if not len(book) == len(refs) == count:
            found.append(f"{kind} in {system}: {len(book)}, {len(refs)} different, {count} expected")
    told = [row["Key__c"] for row in on.sandboxes.salesforce.statuses() if row["Status__c"] == "accepted"]
    if len(told) != len(set(told)) or len(told) != count:
        found.append(f"{len(told)} of {count} statuses in the CRM")
    return found


INVOICES: Books = (("netsuite", "acme", "invoice"),)
CUSTOMERS: Books = (
    ("netsuite", "acme", "customer"), ("stripe", "acct_us", "customer"), ("stripe", "acct_us", "subscription"),
)  # fmt: skip


@dataclass
class Reaping:
    """Plays stories in one world, and kills what they run on."""

    on: Scene
    made: Workers
    books: Books
    told: int = 0
    boundaries: set[tuple[str, str]] = field(default_factory=set)

    def play(self, happens: Story, plan: Mapping[str, list[int]]) -> None:
        self.made.plan = {stage: list(places) for stage, places in plan.items()}
        happens(self.on, self.told)
        self.told += 1
        self.on.settle()
        assert self.made.plan == {}, f"these stages were not killed: {self.made.plan} of {plan}"

    def kill_everywhere(self, happens: Story) -> None:
        """Every place of every stage that no story before had in the same way."""
        self.made.passed.clear()
        deaths = self.made.deaths
        self.play(happens, {})
        assert self.made.deaths == deaths
        assert untied(self.on, self.told, self.books) == [], "the story ties out when nobody dies"
        calm = {stage: places for stage, places in self.made.passed.items() if not self.known(stage, places)}
        self.made.killed.clear()
        for plan in plans(calm):
            self.play(happens, plan)
        self.kill_what_moved(happens, calm)
        self.kill_at_the_end(happens, calm)
        assert untied(self.on, self.told, self.books) == [], f"after dying at {self.made.killed}"
        every = {(stage, n, where) for stage, places in calm.items() for n, where in enumerate(places, start=1)}
        killed = set(self.made.killed)
        assert {one for one in killed if one[0] != "probe"} == {one for one in every if one[0] != "probe"}
        assert {(stage, n) for stage, n, _ in every} <= {(stage, n) for stage, n, _ in killed}
        assert {(stage, where) for stage, _, where in every} <= {(stage, where) for stage, _, where in killed}
        self.boundaries |= {(stage, where) for stage, _, where in every}

    def kill_what_moved(self, happens: Story, calm: Mapping[str, list[str]]) -> None:
        """Boundaries that no death met: probe finds what a story before left behind, and so comes to them elsewhere.

        A story in which nobody dies says where they stand, and in the next one its process dies there.
        """
        for _ in range(12):
            met = {(stage, where) for stage, _, where in self.made.killed}
            missed = {stage: next(one for one in places if (stage, one) not in met) for stage, places in calm.items()
                      if not {(stage, one) for one in places} <= met}  # fmt: skip
            if not missed:
                return
            self.made.passed.clear()
            self.play(happens, {})
            places = self.made.passed
            self.play(happens, {stage: [places[stage].index(where) + 1] for stage, where in missed.items()})

    def kill_at_the_end(self, happens: Story, calm: Mapping[str, list[str]]) -> None:
        """Places at which no process died since its run was shorter that time: once more, until one is as long."""
        for _ in range(12):
            killed = {(stage, n) for stage, n, _ in self.made.killed}
            missed = {stage: [n for n in range(1, len(places) + 1) if (stage, n) not in killed][:1]
                      for stage, places in calm.items()}  # fmt: skip
            plan = {stage: numbers for stage, numbers in missed.items() if numbers}
            if not plan:
                return
            self.play(happens, plan)

    def known(self, stage: str, places: list[str]) -> bool:
        return {(stage, where) for where in places} <= self.boundaries

    def report(self) -> str:
        stages = {stage for stage, _ in self.boundaries}
        return (f"{self.made.deaths} SIGKILLs in {len(stages)} stages at {len(self.boundaries)} boundaries, "
                f"{self.told} stories, {self.made.forks} processes")  # fmt: skip


#: Calls that leave nothing behind. Whatever goes to a target counts as a write.
READS = re.compile(r"before \w+\.(Get|BatchGet|Query|List)|after (?!http)\w+\.(Get|BatchGet|Query|List)")


def plans(calm: Mapping[str, list[str]]) -> Iterator[dict[str, list[int]]]:
    """For each round, the places at which the processes of a stage die, one after the other.

    One that dies before its first write has changed nothing, so that the next one goes the same way, and dies at a
    place behind that: two deaths for the price of one story.
    """
    columns: dict[str, tuple[list[int], list[int]]] = {}
    for stage, places in calm.items():
        write = next((n for n, where in enumerate(places, start=1) if not READS.match(where)), len(places))
        columns[stage] = list(range(1, write + 1)), list(range(write + 1, len(places) + 1))
    for row in range(max((len(column) for pair in columns.values() for column in pair), default=0)):
        plan = {stage: first[row : row + 1] + then[row : row + 1] for stage, (first, then) in columns.items()}
        yield {stage: places for stage, places in plan.items() if places}


def test_a_worker_killed_at_any_boundary_of_an_invoice_loses_and_doubles_nothing() -> None:
    with processes(3, customer=True) as (on, made):
        reaping = Reaping(on, made, INVOICES)
        reaping.kill_everywhere(an_invoice)
        reaping.kill_everywhere(an_invoice_in_doubt)
        print(reaping.report())  # noqa: T201 # the count is what is shown
        assert {stage for stage, _ in reaping.boundaries} == {
            "receive", "intake", "post invoice post", "post status tell", "probe",
        }  # fmt: skip
        assert made.deaths >= 60, f"the stages have shrunk: {reaping.report()}"


def test_a_worker_killed_at_any_boundary_of_a_state_machine_loses_and_doubles_nothing() -> None:
    with processes(3, customer=False) as (on, made):
        reaping = Reaping(on, made, CUSTOMERS)
        reaping.kill_everywhere(a_new_customer)
        print(reaping.report())  # noqa: T201 # the count is what is shown
        steps = {f"step {name}" for name in ("validate", "look", "billing", "erp", "subscribe", "tell", "done")}
        assert steps <= {stage for stage, _ in reaping.boundaries}
        assert made.deaths >= 110, f"the stages have shrunk: {reaping.report()}"
