"""A short quote-to-cash story, played on the local world: what happens, what became of each event, and the tie-out.

Two deals are won and two customers onboarded, one per legal entity, one ERP each. Three invoices in two currencies, a
payment that arrives before its invoice, a credit note, a duplicate delivery, a time-out after the ERP had committed,
and an invoice with a tax code nobody has mapped.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from io import StringIO
from typing import IO, Any, Protocol

from rich.console import Console
from rich.table import Table

from infra.local.clock import WorldClock
from infra.local.sandbox import Fault, Line, Sandboxes, Stripe, When
from infra.local.sandbox.webhooks import Attempt
from infra.local.template import Made
from infra.local.world import World
from tieout.aws.ledger import DynamoLedger
from tieout.core import ledger as states
from tieout.core.keys import Key
from tieout.core.ledger import instant
from tieout.core.problems import problem
from tieout.work import ask, tie
from tieout.work.tie import Difference, Tie

#: Anything that has not come to rest after this long is a failure of the story.
PATIENCE = timedelta(hours=6)


class Stage(Protocol):
    """What a story is played on: the local world, or the stack that `infra.acceptance` has deployed."""

    @property
    def clock(self) -> WorldClock: ...
    @property
    def sandboxes(self) -> Any: ...
    @property
    def resources(self) -> Mapping[str, Made]: ...
    def client(self, service: str) -> Any: ...
    def run(self, limit: timedelta) -> datetime | None: ...


@dataclass
class Scene:
    """One thing that happens: a sentence for the person, and what it does to the sandboxes."""

    says: str
    does: Callable[[], None]


@dataclass
class Story:
    """The story on one stage."""

    world: Stage
    scenes: list[Scene] = field(default_factory=list)
    customers: dict[str, str] = field(default_factory=dict)
    invoices: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def sandboxes(self) -> Sandboxes:
        """The outside systems."""
        assert isinstance(self.world.sandboxes, Sandboxes)
        return self.world.sandboxes

    def billing(self, account: str) -> Stripe:
        """One of the two Stripe accounts."""
        return self.sandboxes.stripe[account]

    def __post_init__(self) -> None:
        say = self.scenes.append
        say(Scene("Northwind (US) and Müller (DE) sign: two deals are won in Salesforce", self.win))
        say(Scene("Northwind is billed $12,000.00 plus tax; NetSuite commits and then drops the line", self.bill_us))
        say(Scene("Müller is billed €3,820.00 plus VAT by the German company, on the legacy ERP", self.bill_de))
        say(Scene("Northwind pays; the payment's event arrives before the invoice's", self.pay_early))
        say(Scene("Stripe delivers Northwind's first invoice a second time", self.duplicate))
        say(Scene("Müller gets a credit note of €200.00", self.credit))
        say(Scene("Müller is billed with a French tax that nobody has mapped", self.bill_unmapped))

    # --- scenes
    def win(self) -> None:
        """Both seeded opportunities are won."""
        for opportunity in self.sandboxes.salesforce.opportunities():
            self.sandboxes.salesforce.close_won(opportunity["Id"])

    def customer(self, account: str) -> str:
        """The customer that onboarding made in a Stripe account."""
        return next(iter(self.billing(account).tables["customers"]))

    def bill_us(self) -> None:
        """The ERP commits, then the connection breaks."""
        self.sandboxes.faults.add(Fault("commit_then_drop", r"PUT /netsuite/acme/.*/invoice/"))
        line = Line(12_000, 100, "prod_pro", "Pro, 100 seats", tax_rate="txr_us_ny_8875")
        self.invoices["us"] = self.billing("acct_us").finalize_invoice(self.customer("acct_us"), [line])

    def bill_de(self) -> None:
        """The same event, another company, another ERP."""
        line = Line(9_550, 40, "prod_pro", "Pro, 40 Plätze", tax_rate="txr_de_vat_19")
        self.invoices["de"] = self.billing("acct_de").finalize_invoice(self.customer("acct_de"), [line])

    def pay_early(self) -> None:
        """A second US invoice whose event is held back until its payment's has arrived."""
        billing = self.billing("acct_us")
        line = Line(4_900, 1, "prod_support", "Support", tax_rate="txr_us_exempt")
        self.invoices["late"] = billing.finalize_invoice(self.customer("acct_us"), [line], when=When(delay=90))
        billing.pay(self.invoices["late"]["id"])

    def duplicate(self) -> None:
        """The same event again, signed anew."""
        billing = self.billing("acct_us")
        event = next(e for e in billing.events("invoice.finalized") if _about(e) == self.invoices["us"]["id"])
        billing.send(event["id"])

    def credit(self) -> None:
        """Part of the German invoice is credited."""
        self.billing("acct_de").credit(self.invoices["de"]["id"], net=20_000)

    def bill_unmapped(self) -> None:
        """Holds, with a sentence, and blocks nothing else."""
        billing = self.billing("acct_de")
        billing.add_tax_rate("FR-VAT-20", "20.0", "TVA")
        line = Line(10_000, 1, "prod_setup", "Onboarding in Lyon", tax_rate="FR-VAT-20")
        self.invoices["fr"] = billing.finalize_invoice(self.customer("acct_de"), [line])

    # --- playing
    def play(self) -> Iterator[Scene]:
        """Each scene after it has come to rest."""
        for scene in self.scenes:
            scene.does()
            self.world.run(limit=PATIENCE)
            yield scene


def _about(event: dict[str, Any]) -> str:
    return str(event["data"]["object"]["id"])


def ledger_of(world: Stage) -> DynamoLedger:
    """The ledger of a stage, read from outside its functions."""
    return DynamoLedger(world.client("dynamodb"), world.resources["Ledger"].ref)


def dues(world: World) -> Callable[[], datetime | None]:
    """When something in the ledger of a local world will next move by itself."""

    def earliest() -> datetime | None:
        rows = world.rows(world.resources["Ledger"].ref, "due", *MOVES)
        return first_due(rows, {run.name for run in world.machines.executions.values() if run.status == "RUNNING"})

    return earliest


#: What `first_due` reads of a row beside its due time.
MOVES = ("what", "state", "code", "execution")


def first_due(rows: Iterable[Mapping[str, str]], running: Collection[str]) -> datetime | None:
    """When the first of a ledger's open rows will move by itself, given the executions that run.

    What waits for a person does not, nor does what waits for something that has a due time of its own: a lane for its
    head, a run for the machine that runs it.
    """

    def moves(row: Mapping[str, str]) -> bool:
        if is_case(row) or "state" not in row:
            return False
        return row["what"] != "run" or row["state"] == "NEW" or row["execution"] not in running

    return min((instant(row["due"]) for row in rows if moves(row)), default=None)


def is_case(row: Mapping[str, Any]) -> bool:
    """Whether an open row waits for a person."""
    return row.get("state") in (states.CASE, states.REFUSED, states.AMBIGUOUS) or (
        bool(row.get("code")) and problem(row["code"]).case
    )


def books(world: Stage) -> list[tie.Entry]:
    """The sandboxes' own books, as the tie-out compares them with the ledger."""
    assert isinstance(world.sandboxes, Sandboxes)
    return [
        tie.Entry(f"{one.system}:{one.account}", one.external_ref, one.kind, one.currency, one.total_minor)
        for one in world.sandboxes.books()
    ]


def attempts(world: Stage) -> list[Attempt]:
    """Every delivery that a sender tried, as the senders themselves noted them."""
    assert isinstance(world.sandboxes, Sandboxes)
    return [attempt for courier in world.sandboxes.couriers for attempt in courier.attempts]


@dataclass
class Ending:
    """How a story ended: what became of each event, the tie-out, and how the targets' books compare."""

    events: list[dict[str, str]]
    tie: Tie
    differences: list[Difference]
    cases: list[dict[str, str]]
    refused: list[str]

    @property
    def ties_out(self) -> bool:
        """Every event got in and is accounted for, and every target's book agrees with the ledger."""
        return self.tie.balanced and not self.differences and not self.refused


def ending(world: Stage, since: datetime, besides: int = 0) -> Ending:
    """Read the books after a story that began at ``since``; ``besides`` were acknowledged to other senders."""
    ledger, now = ledger_of(world), world.clock.now()
    span = tie.last_days(now, (now.date() - since.date()).days + 1)
    tried = attempts(world)
    got_in = [one.event_id for one in tried if 200 <= one.status < 300]
    outcome = tie.tie(ledger, span, len(got_in) + besides)
    differences = tie.compare(tie.booked(ledger, span), books(world))
    refused = sorted({one.event_id for one in tried} - {*got_in})
    return Ending(became(ledger, span), outcome, differences, open_cases(ledger, now), refused)


def became(ledger: DynamoLedger, days: list[str]) -> list[dict[str, str]]:
    """One line an event: what it was and what became of it."""
    keys = [Key(row["pk"], row["sk"]) for day in days for row in ledger.day(day) if row["what"] == "event"]
    events = ledger.read(keys)
    return [_line(ledger, events[key]) for key in keys]


def _line(ledger: DynamoLedger, event: dict[str, Any]) -> dict[str, str]:
    made = [Key(f"P#{name}") for name in event.get("postings", [])]
    made += [Key(event["run"], "r0001")] if event.get("run") else []
    found = ledger.read(made) if made else {}
    ends = [f"{_where(item)} {states.SHOWN.get(item['state'], item['state'].lower())}" for item in found.values()]
    said = problem(event["code"]).say(event.get("facts", {})) if event.get("code") else ""
    return {
        "event": event["event_id"],
        "type": event["type"],
        "about": event.get("find", ""),
        "deliveries": str(event.get("deliveries", 1)),
        "outcome": event["state"],
        "became": "; ".join(ends) or said,
    }


def _where(item: dict[str, Any]) -> str:
    if item["what"] == "run":
        return f"{item['flow']}:"
    number = item.get("remote_number") or item.get("remote") or ""
    return f"{item['target']} {number}".strip() + ":"


def open_cases(ledger: DynamoLedger, now: datetime) -> list[dict[str, str]]:
    """The open cases, each with its sentence."""
    return [
        {"code": cause.code, "sentence": one.sentence, "owner": one.owner, "about": one.line.key}
        for cause in ask.cases(ledger, now)
        for one in cause.cases
    ]


def play(world: World, name: str = "main", *, as_json: bool = False) -> bool:
    """Play the story with progress on the terminal, print what became of everything; whether it all ties out.

    Raises ``ValueError`` for a story that does not exist.
    """
    if name != "main":
        raise ValueError(f"there is no story {name!r}; there is «main», and «none» to start empty")
    console = terminal(sys.stderr if as_json else sys.stdout)
    world.dues = dues(world)
    end = perform(world, console)
    if as_json:
        print(json.dumps({"story": name, "ties_out": end.ties_out, **asdict(end)}, default=str))
    else:
        show(end, console)
    return end.ties_out


def terminal(file: IO[str]) -> Console:
    """Where a story is told."""
    console = Console(file=file, highlight=False)
    if not console.is_terminal:
        console.width = 130  # a log file has no edge to wrap at
    return console


def perform(world: Stage, console: Console) -> Ending:
    """Play every scene with progress on the terminal, and read the books at the end."""
    since = began = world.clock.now()
    story = Story(world)
    for number, scene in enumerate(_quietly(story, StringIO()), start=1):
        took = world.clock.now() - began
        began = world.clock.now()
        console.print(f"  [bold]{number}/{len(story.scenes)}[/] {scene.says}  [dim]({_span(took)} of world time)[/]")
    return ending(world, since)


def _quietly(story: Story, logs: StringIO) -> Iterator[Scene]:
    """Each scene, with the functions' own log lines kept off the terminal."""
    scenes = story.play()
    while True:
        with redirect_stdout(logs):
            scene = next(scenes, None)
        if scene is None:
            return
        yield scene


def _span(took: timedelta) -> str:
    return re.sub(r"\..*", "", str(took))


def show(end: Ending, console: Console) -> None:
    """The ending as tables."""
    table = Table("event", "about", "sent", "outcome", "what became of it", title="Every event", title_justify="left")
    for line in end.events:
        table.add_row(line["type"], line["about"], line["deliveries"], line["outcome"], line["became"])
    console.print(table)
    tied = Table("", "count", "money", title="Tie-out: received = the rest", title_justify="left")
    tied.add_row("received", str(end.tie.received.count), _money(end.tie.received), style="bold")
    for row in end.tie.rows:
        tied.add_row(row.name, str(row.count), _money(row))
    console.print(tied)
    for one in end.cases:
        console.print(f"  open case [bold]{one['code']}[/]: {one['sentence']} ({one['owner']})")
    for event in end.refused:
        console.print(f"  [bold red]refused[/] {event}: its sender never got an acknowledgement")
    for difference in [*end.tie.differences, *end.differences]:
        console.print(f"  [bold red]difference[/] {difference.kind}: {difference.about}: {difference.said}")
    word = "[bold green]Everything ties out.[/]" if end.ties_out else "[bold red]It does not tie out.[/]"
    console.print(f"{word} The targets' own books were compared with the ledger, document by document.")


def _money(row: tie.Row) -> str:
    return "  ".join(str(one) for one in row.money)
