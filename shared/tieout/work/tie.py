"""Tie: received = posted + superseded + compensated + ignored + duplicate + open, by count and by money.

Every delivery that the front door acknowledged is in exactly one bucket. An event that was delivered *n* times is
*n* deliveries: its first one goes by what became of the event, the other *n - 1* are **duplicate**. What became of it:

* **ignored**: its outcome is IGNORED. It starts nothing here, and says why.
* **duplicate**: its outcome is DUPLICATE. It told again, under another event id, what was booked already.
* **superseded**: its outcome is OLD_NEWS, or all that it made was superseded before it was sent.
* **open**: its outcome is CASE or WAITING, or one of its postings (or its run) is not finished. A case is open.
* **compensated**: all is finished, and something that it made was taken back.
* **posted**: all is finished, nothing was taken back, and at least one posting is in the target's book.

The two sides come from different items: *received* from the events, the buckets from the postings and runs that they
name, so the sum can fail: a posting that is missing, or that carries other money than its event, is a difference.
Money is that of the documents, by currency, and stands beside each count; a duplicate's money is what would have been
booked twice.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from tieout import systems
from tieout.core import keys, ledger
from tieout.core.keys import Key
from tieout.core.money import Currency, Money
from tieout.core.writes import Item
from tieout.work.ports import Ledger

POSTED, SUPERSEDED, COMPENSATED, IGNORED, DUPLICATE, OPEN = BUCKETS = (
    "posted",
    "superseded",
    "compensated",
    "ignored",
    "duplicate",
    "open",
)
_OUTCOMES: Final = {
    ledger.IGNORED: IGNORED,
    ledger.DUPLICATE: DUPLICATE,
    ledger.OLD_NEWS: SUPERSEDED,
    ledger.CASE: OPEN,
    ledger.WAITING: OPEN,
}
#: Kinds whose entries in a target's book carry money.
WITH_MONEY: Final = frozenset({"invoice", "credit_note", "payment", "journal_entry"})
#: States in which the target may or may not have the document yet: neither missing nor extra.
IN_FLIGHT: Final = frozenset({ledger.SENDING, ledger.DELIVERED, ledger.IN_DOUBT, ledger.AMBIGUOUS, ledger.COMPENSATED})
#: What a book may call the reversal of an invoice, besides by its own kind: a credit for all of it, or a void line.
_VOIDS: Final = frozenset({"credit_note", "void"})
#: What a book may call a kind, besides by its own name: a CRM shows a ticket as one more status.
_SHOWN_AS: Final = {"ticket": "status"}


@dataclass(frozen=True)
class Row:
    """One line of the tie-out: a name, how many deliveries, and their documents' money by currency."""

    name: str
    count: int
    money: Sequence[Money] = ()


@dataclass(frozen=True)
class Difference:
    """Something that does not tie: what kind, about what, and both sides in words."""

    kind: str
    about: str
    said: str


@dataclass(frozen=True)
class Tie:
    """The tie-out of some days. ``accepted`` is how many deliveries the front door itself counted, where known."""

    days: Sequence[str]
    received: Row
    rows: Sequence[Row]
    differences: Sequence[Difference]
    accepted: int | None = None
    balanced: bool = False


@dataclass(frozen=True)
class Entry:
    """One document of a target's own book, as plain facts. ``target`` is ``system:account``, ``total`` minor units."""

    target: str
    ref: str
    kind: str
    currency: str
    total: int


@dataclass(frozen=True)
class Booked:
    """One posting as the comparison with a book needs it."""

    key: str
    target: str
    ref: str
    kind: str
    action: str
    state: str
    currency: str
    total: int


def last_days(now: datetime, days: int) -> list[str]:
    """The last ``days`` UTC days, today included, oldest first."""
    today = now.astimezone(UTC).date()
    return [(today - timedelta(days=back)).isoformat() for back in reversed(range(days))]


# --- source and ledger -------------------------------------------------------------------------------------------
@dataclass
class _Sums:
    count: Counter[str] = field(default_factory=Counter)
    money: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def add(self, name: str, count: int, money: Mapping[str, int]) -> None:
        self.count[name] += count
        for currency, minor in money.items():
            self.money[name][currency] += minor

    def row(self, name: str) -> Row:
        held = sorted(self.money[name].items())
        return Row(name, self.count[name], tuple(Money(minor, Currency(code)) for code, minor in held))


def tie(books: Ledger, days: Iterable[str], accepted: int | None = None) -> Tie:
    """The tie-out of what was received on ``days`` (YYYY-MM-DD, UTC)."""
    wanted = list(days)
    sums, differences = _Sums(), list[Difference]()
    events = list(_events(books, wanted))
    made = books.read(_made(events))
    for event in events:
        bucket, money, wrong = _became(event, made)
        differences += wrong
        first, again = _money(event), max(int(event.get("deliveries", 1)) - 1, 0)
        sums.add("received", 1 + again, {currency: minor * (1 + again) for currency, minor in first.items()})
        if again:
            sums.add(DUPLICATE, again, {currency: minor * again for currency, minor in first.items()})
        if bucket:
            sums.add(bucket, 1, money)
    received, rows = sums.row("received"), [sums.row(name) for name in BUCKETS]
    differences += _balance(received, rows, accepted)
    return Tie(tuple(wanted), received, tuple(rows), tuple(differences), accepted, balanced=not differences)


def _events(books: Ledger, days: Sequence[str]) -> Iterator[Item]:
    """The event items of the days: what they made is only on the item, not in the index."""
    for day in days:
        found = [Key(row["pk"], row["sk"]) for row in books.day(day) if row.get("what") == "event"]
        items = books.read(found)
        yield from (items[key] for key in found if key in items)


def _made(events: Sequence[Item]) -> list[Key]:
    wanted = [keys.posting_item(key) for event in events for key in event.get("postings", ())]
    return wanted + [_run_key(event) for event in events if event.get("run")]


def _run_key(event: Item) -> Key:
    return Key(str(event["run"]), "r0001")


def _money(item: Item) -> dict[str, int]:
    return {str(item["currency"]): int(item["total"])} if item.get("currency") and "total" in item else {}


def _became(event: Item, made: Mapping[Key, Item]) -> tuple[str, dict[str, int], list[Difference]]:
    """The bucket of an event's first delivery, the money that goes with it, and what is wrong with it."""
    outcome, about = str(event["state"]), str(event["pk"])[2:]
    if outcome in _OUTCOMES:
        return _OUTCOMES[outcome], _money(event), []
    wanted = _made([event])
    found = [made[key] for key in wanted if key in made]
    missing = [Difference("missing", about, f"{key.pk[2:]} is not in the ledger") for key in wanted if key not in made]
    if missing or not found:
        return "", {}, missing or [Difference("missing", about, "it says that it made something, and names nothing")]
    money: Counter[str] = Counter()
    for item in found:
        money.update(_money(item))
    return _bucket([_end(item) for item in found]), dict(money), []


def _end(item: Item) -> str:
    """How a posting or run has ended; OPEN where it has not."""
    state = str(item["state"])
    if item["what"] == "run":
        return {"DONE": POSTED, "COMPENSATED": COMPENSATED}.get(state, OPEN)
    return state.casefold() if state in ledger.TERMINAL else OPEN


def _bucket(ends: Sequence[str]) -> str:
    return next((name for name in (OPEN, COMPENSATED, POSTED) if name in ends), SUPERSEDED)


def _balance(received: Row, rows: Sequence[Row], accepted: int | None) -> Iterator[Difference]:
    summed = sum(row.count for row in rows)
    if received.count != summed:
        yield Difference("count", "deliveries", f"{received.count} received, {summed} accounted for")
    if accepted is not None and accepted > received.count:
        # Fewer is no loss: a delivery can be on the inbox although its sender never heard of it.
        yield Difference("count", "front door", f"{accepted} acknowledged, {received.count} in the ledger")
    booked: Counter[str] = Counter()
    for row in rows:
        booked.update({str(one.currency): one.minor for one in row.money})
    arrived = Counter({str(one.currency): one.minor for one in received.money})
    for currency in sorted(booked.keys() | arrived.keys()):
        if booked[currency] != arrived[currency]:
            there, here = Money.of(arrived[currency], currency), Money.of(booked[currency], currency)
            yield Difference("money", currency, f"{there} received, {here} accounted for")


# --- ledger and target -------------------------------------------------------------------------------------------
def booked(books: Ledger, days: Iterable[str]) -> list[Booked]:
    """The postings that became final on ``days`` and all that are open, as a comparison with the books needs them.

    A void that changes the original where it stands is no document of its own: the original counts as taken back.
    """
    rows = [row for day in days for row in books.day(day)] + list(books.open())
    wanted = dict.fromkeys(Key(row["pk"], row["sk"]) for row in rows if row.get("what") == "posting")
    return [
        Booked(
            item["key"], item["target"], item["ref"], item["kind"], item["action"],
            ledger.COMPENSATED if "taken_back" in item and _in_place(item) else item["state"],
            str(item.get("currency", "")), int(item.get("total", 0)),
        )
        for item in books.read(list(wanted)).values() if item["action"] != "void" or not _in_place(item)
    ]  # fmt: skip


def _in_place(item: Item) -> bool:
    """Whether its target voids a document where it stands, and the void has no reference there."""
    actions = systems.target(item["target"].partition(":")[0]).actions
    made, void = actions.get((item["kind"], "create")), actions.get((item["kind"], "void"))
    return made is not None and void is not None and made.once and not void.once and not void.dated


def compare(postings: Iterable[Booked], entries: Iterable[Entry]) -> list[Difference]:
    """Our postings against the targets' own books: missing, extra, duplicate, and differing kind, currency or amount.

    Only entries under a reference of ours are compared; what the target has besides is its own business. What is in
    flight (sent, in doubt, taken back) is neither missing nor extra, but never twice.
    """
    ours: dict[tuple[str, str], list[Booked]] = defaultdict(list)
    for posting in postings:
        ours[posting.target, posting.ref].append(posting)
    theirs: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        if _is_ours(entry) or (entry.target, entry.ref) in ours:
            theirs[entry.target, entry.ref].append(entry)
    found: list[Difference] = []
    for name in sorted(ours.keys() | theirs.keys()):
        found += _differences(name, ours.get(name, []), theirs.get(name, []))
    return found


def _is_ours(entry: Entry) -> bool:
    system = entry.target.partition(":")[0]
    return system in systems.TARGETS and entry.ref.startswith(systems.target(system).reference.prefix)


def _differences(name: tuple[str, str], ours: Sequence[Booked], theirs: Sequence[Entry]) -> Iterator[Difference]:
    about = " ".join(name)
    standing = [one for one in ours if one.state == ledger.POSTED and one.action != "undo"]
    if len(theirs) > 1:
        yield Difference("duplicate", about, f"{len(theirs)} documents under one reference of ours")
    if standing and not theirs:
        yield Difference("missing", about, f"{standing[0].key} is booked as posted, and the target does not have it")
    if theirs and not standing and not any(one.state in IN_FLIGHT or one.action == "undo" for one in ours):
        states = ", ".join(sorted({one.state for one in ours})) or "no posting"
        yield Difference("extra", about, f"the target has a {theirs[0].kind}, and the ledger has {states}")
    if standing and theirs:
        yield from _content(about, standing[0], theirs[0])


def _content(about: str, posting: Booked, entry: Entry) -> Iterator[Difference]:
    void = posting.action == "void"
    known_as = {posting.kind, _SHOWN_AS.get(posting.kind)} | (_VOIDS if void else set())
    if entry.kind not in known_as:
        yield Difference("kind", about, f"{posting.kind} here, {entry.kind} there")
    if posting.kind not in WITH_MONEY:
        return
    if entry.currency != posting.currency:
        yield Difference("currency", about, f"{posting.currency} here, {entry.currency or 'none'} there")
        return
    # Whether a reversal is written with a minus is the target's own way.
    here, there = (abs(posting.total), abs(entry.total)) if void else (posting.total, entry.total)
    if here != there:
        said = f"{Money.of(here, posting.currency)} here, {Money.of(there, entry.currency)} there"
        yield Difference("amount", about, said)
