"""The target systems: books of their own, and transports that lose, delay, refuse and lie.

A book knows nothing of our ledger. What it writes down of a document it reads out of the payload: identity, amount and
currency. Every request that reaches a target lands as many times as it reaches it, but where the target's class keeps a
reference unique.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl

from tests.simulation.hub import Fate, Hub, Worker
from tieout.contract import Action, Budget, Echo, Finds, Found, Quiet, Reference, Target, Wire, Work
from tieout.core.classify import Answer, Row
from tieout.core.exchange import Request, judge
from tieout.core.verdicts import TryAgain, Uncertain

DEATHS: Final = ("crash_before", "crash_after", "stall_before", "stall_after")
PUTS: Final = (
    *DEATHS, "unreachable", "lost_request", "lost_answer", "late", "crash_late", "busy", "down", "down_committed",
    "cut", "lies", "garbled",
)  # fmt: skip
LOOKS: Final = ("crash_before", "stall_after", "unreachable", "lost_answer", "busy", "down")
DROPS: Final = (*DEATHS, "lost_request", "lost_answer", "late", "crash_late")
CURRENCIES: Final = {"1": "USD", "4": "EUR"}


@dataclass
class Effect:
    """One document in a target's book, as the target itself understood it."""

    at: float
    target: str
    ref: str
    kind: str
    action: str
    about: str
    currency: str
    total: int | None
    remote: str
    payload: bytes
    version: int = 0
    live: bool = True
    #: Put right by a person at the target.
    mended: bool = False


class Book:
    """The book of one target account. ``unique`` where a reference is booked once whatever happens."""

    def __init__(self, hub: Hub, name: str, unique: bool, lag: float = 0.0) -> None:
        self.hub, self.name, self.unique, self.lag = hub, name, unique, lag
        self.effects: list[Effect] = []
        #: What reached the book of each reference, with what fate: the truth that evidence is compared with.
        self.calls: list[tuple[str, str, str]] = []
        #: What was only looked at: by whom, which reference, with what fate.
        self.looks: list[tuple[str, str, str]] = []
        #: Each call that was begun, writes and looks: when, and by whom.
        self.begun: list[tuple[float, Worker]] = []
        #: Each call that reached the target, whatever it asked for: when.
        self.reached: list[tuple[float, str]] = []
        self.refuses: set[str] = set()
        self.refused: set[str] = set()
        self.flying: list[Worker] = []
        #: The posting that is booked with another amount each time, where that is what is played.
        self.garbles = ""
        #: Documents that were booked with another amount than was sent.
        self.garbled: set[str] = set()
        self.most_flying = 0
        self.writing: list[Worker] = []
        self.most_writing = 0
        self.resent = 0
        self.changed: list[str] = []

    def shown(self, ref: str, now: float | None = None) -> list[Effect]:
        """Live documents under a reference; those that a lagging search already shows where ``now`` is given."""
        return [
            one for one in self.effects
            if one.ref == ref and one.live and (now is None or one.at + self.lag <= now)
        ]  # fmt: skip

    def commit(self, kind: str, action: str, ref: str, payload: bytes, once: bool) -> Effect:
        """Book what was sent: once a reference where the target keeps it unique, in place where it is an upsert."""
        body = _body(payload)
        about, currency, total, version = understand(kind, body)
        if self.unique or not once:
            known = [one for one in self.effects if one.ref == ref and one.live]
            if known:
                self.resent += 1
                if once:
                    if (known[0].currency, known[0].total) != (currency, total):
                        self.changed.append(ref)
                    return known[0]
        made = Effect(
            self.hub.now, self.name, ref, kind, action, about, currency, total, f"{self.name[:1]}{len(self.effects)}",
            payload, version,
        )  # fmt: skip
        if not once:
            for one in self.shown(ref):
                made.remote = one.remote
                one.live = False
            made.live = body.get("isInactive") is not True
        self.effects.append(made)
        return made


def _body(payload: bytes) -> Any:
    try:
        body = Request.load(payload).body
        return json.loads(body, parse_float=Decimal) if body[:1] == b"{" else {"form": body.decode()}
    except (ValueError, IndexError):
        return {}


def understand(kind: str, body: Any) -> tuple[str, str, int | None, int]:
    """Identity, currency, total in minor units and version, read out of a payload as its receiver would."""
    if kind == "status":
        return "", "", None, int(body["Version__c"])
    if "form" in body:
        return "", dict(parse_qsl(body["form"])).get("currency", "").upper(), None, 0
    if kind not in ("invoice", "credit_note", "payment"):
        return str(body.get("comments", "")), "", None, 0
    about = str(body["memo"]).split()[-1]
    currency = CURRENCIES[str(body["currency"]["id"])]
    if kind == "payment":
        amount = Decimal(str(body["payment"]))
    else:
        rows = body["item"]["items"]
        amount = sum((Decimal(str(row["amount"])) + Decimal(str(row.get("tax1Amt", 0))) for row in rows), Decimal(0))
    return about, currency, int(amount * 100), 0


class Signs(Protocol):
    """What puts a token on the calls of one account (`tests.simulation.tokens`)."""

    again: Callable[[], None]

    def signed(self, does: Callable[[Mapping[str, str]], Answer]) -> Answer:
        """Call with a token, and again with a newer one where the first is not taken."""

    def takes(self, headers: Mapping[str, str]) -> bool:
        """Whether the account lets a request with these headers in."""

    def expire(self) -> None:
        """Every token that is out ends now."""


class SimWire:
    """The transport of one worker to one book."""

    settings: Mapping[str, str] = {}

    def __init__(
        self, hub: Hub, worker: Worker, target: SimTarget, account: str, signs: Signs | None = None
    ) -> None:  # fmt: skip
        self.hub, self.worker, self.target, self.account, self.signs = hub, worker, target, account, signs
        self.book = target.book
        #: See `HttpWire.again`; the wire that signs is asked a second time.
        self.again: Callable[[], None] = lambda: None

    def _cross(
        self, name: str, kinds: tuple[str, ...], ref: str, log: list[tuple[str, str, str]],
        does: Callable[[Fate], Answer],
    ) -> Answer:  # fmt: skip
        """One call, with a token where the account wants one: what befell it is written down, and so is a 401."""

        def once(headers: Mapping[str, str]) -> Answer:
            def whole(fate: Fate) -> Answer:
                if fate.fault == "expired" and self.signs:
                    self.signs.expire()
                trouble = fate.fault in ("unreachable", "busy", "down")
                shut = not trouble and self.signs is not None and not self.signs.takes(headers)
                log.append((self.worker.name, ref, "expired" if shut else fate.fault or "ok"))
                if fate.fault not in ("unreachable", "lost_request"):
                    self.book.reached.append((self.hub.now + self._later(name, fate), name))
                return Answer(401) if shut else does(fate)

            more = ("expired",) if self.signs else ()
            return self.hub.cross(self.worker, f"wire.{name}", (*kinds, *more), whole)

        if self.signs is None:
            return once({})
        self.signs.again = self.again
        return self.signs.signed(once)

    def _later(self, name: str, fate: Fate) -> float:
        """How much later than it was sent a request reaches the target."""
        return self.target.late(fate.size) if name == "put" and fate.fault in ("late", "crash_late") else 0.0

    def _trouble(self, fate: Fate, retry_after: int = 30) -> Answer | None:
        """What every call may meet; ``None`` where it goes through."""
        match fate.fault:
            case "unreachable":
                raise TryAgain("target_unreachable", "no byte left us")
            case "busy":
                wait = ("", "17", "999999")[int(fate.size * 3) % 3]
                return Answer(429, {"retry-after": wait} if wait else {})
            case "down":
                return Answer(503)
        return None

    def put(self, work: Work, once: bool) -> Answer:
        """The write. What becomes of it is known to the book, and only in part to the caller."""
        book = self.book

        def commit() -> Effect:
            return book.commit(work.kind, work.action, work.ref, work.payload, once)

        def does(fate: Fate) -> Answer:
            trouble = self._trouble(fate)
            if trouble is not None:
                return trouble
            if fate.fault in ("late", "crash_late"):
                self.hub.at(self.hub.now + self.target.late(fate.size), lambda: void(commit()))
                if fate.fault == "crash_late":
                    self.hub.kill(self.worker, "crash")
                self.hub.sleep(self.worker, self.target.quiet.client_timeout)
                raise Uncertain("target_lost", "timed out")
            if fate.fault == "lost_request":
                self.hub.sleep(self.worker, self.target.quiet.client_timeout)
                raise Uncertain("target_lost", "timed out")
            if work.ref in book.refuses or work.key in book.refuses:
                book.refused.add(work.key)
                book.calls[-1] = (self.worker.name, work.ref, "refused")
                return Answer(400, {}, b"validation")
            known = book.shown(work.ref)
            made = commit()
            if (fate.fault == "garbled" or work.key == book.garbles) and once and not known and made.total:
                made.total += 100
                book.garbled.add(work.key)
            if fate.fault == "lost_answer":
                self.hub.sleep(self.worker, self.target.quiet.client_timeout)
                raise Uncertain("target_lost", "timed out")
            if fate.fault == "down_committed":
                return Answer(503 if fate.size < 0.5 else 500)
            if fate.fault == "cut":
                raise Uncertain("target_unclear", "HTTP 200, answer too long", status=200)
            shown = (made.total or 0) + 1 if fate.fault == "lies" else made.total
            return Answer(200, {"lies": fate.fault}, json.dumps([made.remote, made.ref, made.currency, shown]).encode())

        book.begun.append((self.hub.now, self.worker))
        with self._flying(writes=True):
            return self._cross("put", PUTS, work.ref, book.calls, does)

    def delete(self, ref: str, remote: str) -> Answer:
        """What was made is taken back."""

        def does(fate: Fate) -> Answer:
            self.book.calls.append((self.worker.name, ref, fate.fault or "ok"))
            self.book.reached.append((self.hub.now, "delete"))
            trouble = self._trouble(fate)
            if trouble is not None:
                return trouble
            for one in self.book.effects:
                one.live = one.live and one.remote != remote
            if fate.fault == "lost_answer":
                raise Uncertain("target_lost", "timed out")
            return Answer(200)

        self.book.begun.append((self.hub.now, self.worker))
        with self._flying():
            return self.hub.cross(self.worker, "wire.delete", (*DEATHS, *LOOKS[2:]), does)

    @contextmanager
    def _flying(self, *, writes: bool = False) -> Iterator[None]:
        """Whoever lives and waits for an answer is under way at the target."""
        book = self.book
        book.flying = [one for one in book.flying if not one.dead] + [self.worker]
        book.most_flying = max(book.most_flying, len(book.flying))
        if writes:
            book.writing = [one for one in book.writing if not one.dead] + [self.worker]
            book.most_writing = max(book.most_writing, len(book.writing))
        try:
            yield
        finally:
            book.flying = [one for one in book.flying if one is not self.worker]
            book.writing = [one for one in book.writing if one is not self.worker]

    def look(self, name: str, ref: str, consistent: bool) -> tuple[Answer, list[Effect]]:
        """A read by our reference."""

        shown: list[Effect] = []

        def does(fate: Fate) -> Answer:
            trouble = self._trouble(fate)
            if trouble is not None:
                return trouble
            if fate.fault == "lost_answer":
                self.hub.sleep(self.worker, self.target.quiet.client_timeout)
                raise Uncertain("target_lost", "timed out")
            shown[:] = self.book.shown(ref, None if consistent else self.hub.now)
            return Answer(200)

        self.book.begun.append((self.hub.now, self.worker))
        with self._flying():
            return self._cross(name, LOOKS, ref, self.book.looks, does), shown

    def call(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        """What the target was about to ask for, by the ticket that it drew: whoever counts calls stands before this."""
        return self.target.tickets.pop(path)(self)

    def put_once(self, name: str, body: bytes) -> bool:
        raise NotImplementedError

    def get(self, name: str) -> bytes | None:
        raise NotImplementedError


def void(_: object) -> None:
    """For callbacks whose answer nobody hears."""


class SimTarget:
    """A target with a real system's declarations and builder, over a book of the simulation."""

    def __init__(self, hub: Hub, real: Target, account: str, finds: Finds, *, hostile: bool, reads_back: bool) -> None:
        self.real = real
        self.name = real.name
        self.auth = real.auth
        self.finds = finds
        self.reference: Reference = real.reference
        self.budget: Budget = real.budget
        self.actions: Mapping[tuple[str, str], Action] = real.actions
        self.verdicts: Sequence[Row] = real.verdicts
        self.batches = False
        self.ack_due = 0
        self.hub, self.hostile, self.reads_back = hub, hostile, reads_back
        #: What is about to be asked for, by ticket.
        self.tickets: dict[str, Callable[[SimWire], Answer]] = {}
        self.drawn = 0
        lag = 60 if finds is Finds.LAGGING else 0
        quiet = real.quiet
        self.quiet = Quiet(quiet.client_timeout, quiet.longest_processing, lag, quiet.clock_skew, quiet.period + lag)
        self.book = Book(hub, f"{real.name}:{account}", finds is Finds.UNIQUE, lag)

    def late(self, size: float) -> float:
        """How much later a late request lands: to the edge of what is declared, and beyond it in the hostile regime."""
        most = self.quiet.client_timeout + self.quiet.longest_processing
        return size * most * 20 if self.hostile else min(most, size * most * 1.2)

    def build(self, kind: str, action: str, ref: str, payload: Mapping[str, Any]) -> bytes:
        return self.real.build(kind, action, ref, payload)

    def _call(self, wire: Wire, does: Callable[[SimWire], Answer]) -> Answer:
        """One call through whatever wire there is, so that it is counted where calls are counted."""
        self.drawn += 1
        self.tickets[str(self.drawn)] = does
        return wire.call("DO", str(self.drawn))

    def _rows(self, wire: Wire, name: str, ref: str, consistent: bool) -> list[Effect]:
        """What a read by our reference shows; raises what its answer means."""
        shown: list[Effect] = []

        def does(sim: SimWire) -> Answer:
            answer, rows = sim.look(name, ref, consistent)
            shown.extend(rows)
            return answer

        judge(self.verdicts, self._call(wire, does), "")
        return shown

    def send(self, wire: Wire, work: Sequence[Work]) -> Sequence[Echo | None]:
        return [self._send(wire, one) for one in work]

    def _send(self, wire: Wire, work: Work) -> Echo:
        action = self.actions[work.kind, work.action]
        if work.action == "undo" and self.name == "stripe":
            return self._delete(wire, work)
        answer = judge(self.verdicts, self._call(wire, lambda sim: sim.put(work, action.once)), "")
        if not self.reads_back or answer.headers.get("lies"):
            remote, ref, currency, total = json.loads(answer.body)
            return Echo(remote, ref, f"N-{remote}", currency, total)
        try:
            rows = self._rows(wire, "get", work.ref, True)
        except Exception as lost:
            raise Uncertain("target_unclear", f"read-back: {lost}", status=200) from lost
        if not rows and work.action != "undo":
            raise Uncertain("target_unclear", "no record in the answer", status=200)
        return _echo(rows[0]) if rows else Echo(json.loads(answer.body)[0], work.ref)

    def _delete(self, wire: Wire, work: Work) -> Echo:
        remote = Request.load(work.payload).path.rpartition("/")[2]
        judge(self.verdicts, self._call(wire, lambda sim: sim.delete(work.ref, remote)), "")
        return Echo(remote)

    def find(self, wire: Wire, work: Work) -> Found:
        action = self.actions[work.kind, work.action]
        if work.action == "undo":
            return self._find_gone(wire, work)
        rows = self._rows(wire, "find", work.ref, self.finds is not Finds.LAGGING)
        if not rows:
            return Found("absent")
        if len(rows) > 1:
            return Found("ambiguous", _echo(rows[0]), "found_several", f"{len(rows)} documents")
        if not action.once:
            version = understand(work.kind, _body(work.payload))[3]
            current = rows[0].version >= version if work.kind == "status" else rows[0].payload == work.payload
            return Found("complete", _echo(rows[0])) if current else Found("absent", _echo(rows[0]))
        return Found("complete", _echo(rows[0]))

    def _find_gone(self, wire: Wire, work: Work) -> Found:
        remote = Request.load(work.payload).path.rpartition("/")[2]
        self._rows(wire, "find", "", True)
        live = [one for one in self.book.effects if one.live and (one.remote == remote or one.ref == work.ref)]
        return Found("absent") if live else Found("complete", Echo(remote, work.ref))

    def look(self, wire: Wire, kind: str, facts: Mapping[str, str]) -> Sequence[Echo]:
        self._rows(wire, "look", "", True)
        return []


def _echo(one: Effect) -> Echo:
    return Echo(one.remote, one.ref, f"N-{one.remote}", one.currency or None, one.total)


# --- the file drop -----------------------------------------------------------------------------------------------
class DropBook(Book):
    """The legacy ERP: it reads each file once, some time after it was written, books every record, and answers."""

    def __init__(self, hub: Hub, name: str) -> None:
        super().__init__(hub, name, unique=False)
        self.files: dict[str, bytes] = {}
        self.delay = 120.0

    def write(self, name: str, body: bytes) -> bool:
        """A file that is there is never replaced."""
        if name in self.files:
            return False
        self.files[name] = body
        if name.startswith("out/"):
            self.hub.at(self.hub.now + self.delay, lambda: self._process(name))
        return True

    def _process(self, name: str) -> None:
        rows = [row for row in csv.reader(self.files[name].decode().splitlines()) if row[0] == "D"]
        lines = ["H,LEGACY,1,x,x"]
        for row in rows:
            about = row[6] if row[3] == "payment" else row[14].split()[1] if row[4] != "void" else row[6]
            remote = f"L{len(self.effects)}"
            self.effects.append(Effect(
                self.hub.now, self.name, row[2], row[3], row[4], about, row[9], int(row[12]), remote, b"",
            ))  # fmt: skip
            lines.append(f"A,{row[1]},{row[2]},{remote},{row[9]},{row[12]}")
        lines.append(f"T,{len(rows)},0")
        self.files[name.replace("out/", "in/").replace(".csv", ".ack.csv")] = "\n".join([*lines, ""]).encode()


class DropWire:
    """The transport of one worker to the file drop, failing as the adapter would."""

    settings: Mapping[str, str] = {}

    def __init__(self, hub: Hub, worker: Worker, book: DropBook, account: str) -> None:
        self.hub, self.worker, self.book, self.account = hub, worker, book, account

    def call(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        raise NotImplementedError

    def put_once(self, name: str, body: bytes) -> bool:
        rows = [row for row in csv.reader(body.decode().splitlines()) if row[0] == "D"]

        def does(fate: Fate) -> bool:
            self.book.calls += [(self.worker.name, row[2], fate.fault or "ok") for row in rows]
            if fate.fault in ("late", "crash_late"):
                self.hub.at(self.hub.now + min(10.0, fate.size * 12), lambda: void(self.book.write(name, body)))
                if fate.fault == "crash_late":
                    self.hub.kill(self.worker, "crash")
                self.hub.sleep(self.worker, 10)
                raise Uncertain("target_lost", "ReadTimeoutError")
            if fate.fault == "lost_request":
                raise Uncertain("target_lost", "ConnectionError")
            made = self.book.write(name, body)
            if fate.fault == "lost_answer":
                raise Uncertain("target_lost", "ReadTimeoutError")
            return made

        return self.hub.cross(self.worker, "drop.put", DROPS, does)

    def get(self, name: str) -> bytes | None:
        def does(fate: Fate) -> bytes | None:
            if fate.fault == "unreachable":
                raise TryAgain("target_unreachable", "ClientError")
            return self.book.files.get(name)

        return self.hub.cross(self.worker, "drop.get", ("crash_before", "stall_after", "unreachable"), does)


def flying(books: Mapping[str, Book]) -> Counter[str]:
    """The most calls that were under way at once, by target."""
    return Counter({name: book.most_flying for name, book in books.items()})
