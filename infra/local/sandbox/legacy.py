"""The legacy ERP: it takes batches of records on a file drop and answers with a file, minutes later.

It reads ``legacy/{account}/out/*.csv`` and ``*.txt`` (the same in columns of fixed width: ``legacy_columns.py``),
checks header, count, control total and hash, waits (``delay`` seconds of world time), books what it can and writes
``legacy/{account}/in/{batch}.ack.csv`` (or ``.txt``): one ``A`` or ``R`` line for each record. A file that does not
hold together is refused whole: one ``R`` line with line number 0 and nothing booked. It never books an external
reference twice: the second one is a reject ``DUPLICATE`` that names the document.

It tells of its own accord too (``tell``): numbered files of payments and customers in ``in/``, in either spelling,
under a name that ends with ``.part`` until they are whole.

Reject codes: ``DUPLICATE``, ``UNKNOWN_CUSTOMER``, ``UNKNOWN_PARENT``, ``PERIOD_CLOSED``, ``BAD_AMOUNT``, ``BAD_DATE``,
``BAD_CURRENCY``, ``BAD_KIND``, ``BAD_ACTION``, ``BAD_RECORD``; for the whole file ``BAD_FILE`` and
``DUPLICATE_BATCH``.
"""

from __future__ import annotations

import csv
import hashlib
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol

from infra.local.sandbox.agenda import Agenda, Clock
from infra.local.sandbox.books import Entry
from infra.local.sandbox.faults import Fault, Faults
from infra.local.sandbox.legacy_columns import spell, take_apart, tell
from infra.local.sandbox.wire import Json

DELAY = 120
KINDS = {"invoice": "RE", "credit_note": "GU", "payment": "ZE", "customer": "DB"}
ACTIONS = {"create", "update", "upsert", "void"}
CURRENCIES = {"EUR", "USD", "GBP", "CHF"}


class Drop(Protocol):
    """The file drop as the ERP sees it."""

    def list(self, prefix: str) -> Iterable[str]:
        """Keys that begin with a prefix."""

    def get(self, key: str) -> bytes:
        """Content of a file; raises KeyError if it is gone."""

    def put(self, key: str, body: bytes) -> None:
        """Write a file."""


@dataclass(frozen=True)
class Row:
    """One ``D`` line, taken apart. Amounts in minor units."""

    line: int
    external_ref: str
    kind: str
    action: str
    customer_ref: str
    document_no: str
    document_date: date
    posting_date: date
    currency: str
    net: int
    tax: int
    gross: int
    parent_ref: str
    text: str


@dataclass
class Booked:
    """A document of the ERP."""

    id: str
    row: Row
    company: str
    status: str = "open"


@dataclass
class Verdict:
    """What an acknowledgement will say about one line."""

    line: int
    external_ref: str
    booked: Booked | None = None
    code: str = ""
    text: str = ""


@dataclass(frozen=True)
class Batch:
    """A file that holds together. ``rows`` are rows, or the reject of a line that is not a record."""

    name: str
    company: str
    rows: tuple[Row | Verdict, ...] = field(default_factory=tuple)


class Rejected(Exception):
    """A record or a file that is refused: code and sentence."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


class Legacy:
    """One account of the ERP. ``delay`` is how long it takes, ``closed`` holds closed months, ``YYYY-MM``."""

    name = "legacy"

    def __init__(self, account: str, clock: Clock, agenda: Agenda, faults: Faults) -> None:
        self.account = account
        self.clock = clock
        self.agenda = agenda
        self.faults = faults
        self.delay = DELAY
        self.closed: set[str] = set()
        self.customers: set[str] = set()
        self.drop: Drop | None = None
        self.documents: dict[str, Booked] = {}
        self.batches: dict[str, str] = {}
        self.told: dict[str, int] = {}  # the last number of each stream
        self._seen: set[str] = set()
        self._lock = threading.RLock()
        self._numbers = 0

    def secret(self) -> Json:
        """Nothing: who may write to the drop is a matter of the bucket."""
        return {}

    def add_customer(self, ref: str) -> None:
        """A customer that was there before."""
        self.customers.add(ref)

    def close_period(self, month: str) -> None:
        """Close a month, ``YYYY-MM``. Raises ValueError for anything else."""
        date.fromisoformat(f"{month}-01")
        self.closed.add(month)

    # --- files -------------------------------------------------------------------------------------------------

    def waiting(self) -> bool:
        """Whether a file lies in the drop that was not looked at yet."""
        keys = self.drop.list(f"legacy/{self.account}/out/") if self.drop else ()
        return any(key.endswith(tuple(SPELLINGS)) and key not in self._seen for key in keys)

    def look(self) -> None:
        """Pick up new files; each is processed after the delay."""
        if self.drop is None:
            return
        prefix = f"legacy/{self.account}/out/"
        for key in sorted(self.drop.list(prefix)):
            with self._lock:
                if key in self._seen or not key.endswith(tuple(SPELLINGS)):
                    continue
                self._seen.add(key)
            self._pick_up(key)

    def _pick_up(self, key: str) -> None:
        fault = self.faults.take(f"DROP /{key}")
        if fault is not None and fault.kind == "drop_before":
            return
        wait = self.delay
        if fault is not None and fault.kind == "late_commit":
            wait += int(fault.number("seconds", 600))
        self.agenda.after(wait, lambda: self._process(key, fault))

    def _process(self, key: str, fault: Fault | None) -> None:
        if self.drop is None:
            return
        stem, ending = key.rpartition("/")[2][:-4], key[-4:]
        with self._lock:
            try:
                batch = self.read(self.drop.get(key), stem, ending)
                verdicts = [self._book(row, batch.company) for row in batch.rows]
                name = batch.name
                self.batches[name] = key
            except Rejected as refused:
                name, verdicts = stem, [Verdict(0, "", None, refused.code, refused.text)]
            except KeyError:
                return
            answer = self._acknowledgement(name, verdicts, ending)
        if fault is not None and fault.kind == "commit_then_drop":
            return
        if fault is not None and fault.kind == "truncated":
            answer = answer[: len(answer) // 2]
        self.drop.put(f"legacy/{self.account}/in/{stem}.ack{ending}", answer)

    def read(self, content: bytes, stem: str, ending: str = ".csv") -> Batch:
        """Read a file. Raises Rejected when header, trailer, count, control total or hash do not hold."""
        try:
            lines = content.decode("utf-8").removesuffix("\n").split("\n")
        except UnicodeDecodeError:
            raise Rejected("BAD_FILE", "not UTF-8") from None
        if len(lines) < 2:
            raise Rejected("BAD_FILE", "header or trailer is missing")
        apart = SPELLINGS[ending][0]
        head, records, tail = apart(lines[0]), lines[1:-1], apart(lines[-1])
        if len(head) != 6 or head[:3] != ["H", "TIEOUT", "1"] or not head[3]:
            raise Rejected("BAD_FILE", "the header is not H,TIEOUT,1,batch,created,company")
        if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", head[4]):
            raise Rejected("BAD_FILE", "the header's time is not YYYY-MM-DDTHH:MM:SSZ")
        if head[3] != stem:
            raise Rejected("BAD_FILE", f"batch {head[3]} came in a file called {stem}")
        if head[3] in self.batches:
            raise Rejected("DUPLICATE_BATCH", f"batch {head[3]} was processed before")
        _check_totals(records, tail, apart)
        return Batch(head[3], head[5], tuple(_row(apart(text), n) for n, text in enumerate(records, 1)))

    def _acknowledgement(self, name: str, verdicts: list[Verdict], ending: str) -> bytes:
        lines = [["H", "LEGACY", "1", name, self.clock().strftime("%Y-%m-%dT%H:%M:%SZ")]]
        for verdict in verdicts:
            number, booked = str(verdict.line), verdict.booked
            if booked is not None:
                row = booked.row
                gross = str(row.gross)
                lines.append(["A", number, verdict.external_ref, booked.id, row.currency, gross])
            else:
                lines.append(["R", number, verdict.external_ref, verdict.code, verdict.text])
        accepted = sum(verdict.booked is not None for verdict in verdicts)
        lines.append(["T", str(accepted), str(len(verdicts) - accepted)])
        spell = SPELLINGS[ending][1]
        return ("\n".join(spell(cells) for cells in lines) + "\n").encode()

    # --- files in which it tells -----------------------------------------------------------------------------------

    def tell(
        self, stream: str, records: Sequence[Sequence[str]], company: str = "DE01", ending: str = ".csv",
        number: int = 0, spoil: str = "", name: str = "",
    ) -> str:  # fmt: skip
        """Drop a file of records (each without its line number); its key. ``number`` repeats one that was given.

        ``spoil`` makes its trailer wrong: ``count``, ``total`` or ``hash``. Faults of its key: ``drop_before`` (it is
        never seen, and its number is gone), ``truncated`` (half of it), ``late_commit`` (a ``.part`` for ``seconds``).
        """
        with self._lock:
            number = number or self.told.get(stream, 0) + 1
            self.told[stream] = max(number, self.told.get(stream, 0))
        content = self._file(stream, number, records, company, ending, spoil)
        key = f"legacy/{self.account}/in/{name or f'{stream}-{number:06d}'}{ending}"
        fault = self.faults.take(f"DROP /{key}")
        if fault is not None and fault.kind == "drop_before":
            return key
        if fault is not None and fault.kind == "truncated":
            content = content[: len(content) // 2]
        if fault is not None and fault.kind == "late_commit":
            self._drop(key + ".part", content[: len(content) // 2])
            self.agenda.after(int(fault.number("seconds", 600)), lambda: self._drop(key, content))
            return key
        self._drop(key, content)
        return key

    def _drop(self, key: str, content: bytes) -> None:
        if self.drop is not None:
            self.drop.put(key, content)

    def _file(
        self, stream: str, number: int, records: Sequence[Sequence[str]], company: str, ending: str, spoil: str
    ) -> bytes:
        spelled = _line if ending == ".csv" else tell
        made = self.clock().strftime("%Y-%m-%dT%H:%M:%SZ")
        lines = [spelled([one[0], str(place), *one[1:]]) for place, one in enumerate(records, 1)]
        total = sum(int(one[4]) for one in records if one[0] == "P" and len(one) > 4 and _whole([one[4]]))
        digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
        tail = ["T", str(len(lines) + (spoil == "count")), str(total + (spoil == "total")),
                "0" * 16 if spoil == "hash" else digest]  # fmt: skip
        head = ["H", "LEGACY", "2", stream, str(number), made, company]
        return ("\n".join([spelled(head), *lines, spelled(tail)]) + "\n").encode()

    # --- records -----------------------------------------------------------------------------------------------

    def _book(self, row: Row | Verdict, company: str) -> Verdict:
        if isinstance(row, Verdict):
            return row
        try:
            return Verdict(row.line, row.external_ref, self._accepted(row, company))
        except Rejected as refused:
            return Verdict(row.line, row.external_ref, None, refused.code, refused.text)

    def _accepted(self, row: Row, company: str) -> Booked:
        before = self.documents.get(row.external_ref)
        if before is not None and (row.kind != "customer" or row.action == "create"):
            raise Rejected("DUPLICATE", f"{row.external_ref} is booked as {before.id}")
        if row.kind == "customer":
            return self._customer(row, company, before)
        if row.customer_ref not in self.customers:
            raise Rejected("UNKNOWN_CUSTOMER", f"no customer {row.customer_ref}")
        if row.posting_date.isoformat()[:7] in self.closed:
            raise Rejected("PERIOD_CLOSED", f"posting period {row.posting_date.isoformat()[:7]} is closed")
        if row.gross != row.net + row.tax:
            raise Rejected("BAD_AMOUNT", f"gross {row.gross} is not net {row.net} plus tax {row.tax}")
        if row.action == "void":
            self._parent(row).status = "voided"
        elif row.parent_ref or row.kind == "payment":
            self._settle(self._parent(row), row)
        return self._put(row, company, before)

    def _customer(self, row: Row, company: str, before: Booked | None) -> Booked:
        names = {row.customer_ref, row.external_ref} - {""}
        if row.action == "void":
            if before is None:
                raise Rejected("UNKNOWN_CUSTOMER", f"no customer {row.external_ref}")
            self.customers -= names
            before.status = "inactive"
            return before
        self.customers |= names
        return self._put(row, company, before)

    def _parent(self, row: Row) -> Booked:
        parent = self.documents.get(row.parent_ref)
        if parent is None:
            raise Rejected("UNKNOWN_PARENT", f"no document {row.parent_ref or '(none named)'}")
        return parent

    def _settle(self, parent: Booked, row: Row) -> None:
        settled = sum(
            abs(other.row.gross)
            for other in self.documents.values()
            if other.row.parent_ref == parent.row.external_ref and other.row.action != "void"
        )
        if settled + abs(row.gross) >= abs(parent.row.gross):
            parent.status = "paid"

    def _put(self, row: Row, company: str, before: Booked | None) -> Booked:
        if before is None:
            self._numbers += 1
        ident = before.id if before else f"{KINDS[row.kind]}{self.clock().year}{self._numbers:06d}"
        status = "active" if row.kind == "customer" else "booked"
        if row.kind == "invoice" and row.action != "void":
            status = "open"
        self.documents[row.external_ref] = Booked(ident, row, company, status)
        return self.documents[row.external_ref]

    def book(self) -> list[Entry]:
        """What is booked, in minor units. A void line is an entry of its own with kind ``void``."""
        with self._lock:
            return [
                Entry(self.name, self.account, ref, "void" if one.row.action == "void" else one.row.kind, one.id,
                      "" if one.row.kind == "customer" else one.row.currency, one.row.gross, one.company, one.status,
                      one.row.parent_ref)
                for ref, one in self.documents.items()
            ]  # fmt: skip


def _cells(text: str) -> list[str]:
    return next(csv.reader([text]), [])


def _line(cells: list[str]) -> str:
    return ",".join('"' + cell.replace('"', '""') + '"' if re.search('[",\n]', cell) else cell for cell in cells)


#: How a file is taken apart and an answer is spelled, by the ending of its name.
SPELLINGS: dict[str, tuple[Callable[[str], list[str]], Callable[[list[str]], str]]] = {
    ".csv": (_cells, _line), ".txt": (take_apart, spell),
}  # fmt: skip


def _check_totals(records: list[str], tail: list[str], apart: Callable[[str], list[str]]) -> None:
    if len(tail) != 4 or tail[0] != "T":
        raise Rejected("BAD_FILE", "the trailer is not T,count,total,hash")
    if tail[1] != str(len(records)):
        raise Rejected("BAD_FILE", f"the trailer counts {tail[1]} records, the file has {len(records)}")
    digest = hashlib.sha256("\n".join(records).encode()).hexdigest()[:16]
    if tail[3] != digest:
        raise Rejected("BAD_FILE", f"the hash of the records is {digest}, the trailer says {tail[3]}")
    total = sum(int(cells[12]) for text in records if _whole((cells := apart(text))[12:13]))
    if tail[2] != str(total):
        raise Rejected("BAD_FILE", f"the control total is {total}, the trailer says {tail[2]}")


def _whole(cells: list[str]) -> bool:
    return bool(cells) and re.fullmatch(r"-?\d+", cells[0]) is not None


def _row(cells: list[str], place: int) -> Row | Verdict:
    """A record, or its reject when it cannot be read."""
    ref = cells[2] if len(cells) > 2 else ""
    number = int(cells[1]) if _whole(cells[1:2]) else place
    try:
        return _parsed(cells)
    except Rejected as refused:
        return Verdict(number, ref, None, refused.code, refused.text)


def _parsed(cells: list[str]) -> Row:
    if len(cells) != 15 or cells[0] != "D" or not _whole(cells[1:2]) or not cells[2]:
        raise Rejected("BAD_RECORD", "not D,line,external ref,... with 15 cells")
    if cells[3] == "customer":  # a customer has no dates and no money
        blanks = {7: "1970-01-01", 8: "1970-01-01", 10: "0", 11: "0", 12: "0"}
        cells = [cell or blanks.get(n, "") for n, cell in enumerate(cells)]
    checks: list[tuple[str, str, Callable[[], bool]]] = [
        ("BAD_KIND", cells[3], lambda: cells[3] in KINDS),
        ("BAD_ACTION", cells[4], lambda: cells[4] in ACTIONS),
        ("BAD_CURRENCY", cells[9], lambda: cells[9] in CURRENCIES or (cells[3] == "customer" and not cells[9])),
        ("BAD_AMOUNT", ",".join(cells[10:13]), lambda: all(_whole([cell]) for cell in cells[10:13])),
        ("BAD_DATE", ",".join(cells[7:9]), lambda: all(_is_date(cell) for cell in cells[7:9])),
    ]
    for code, shown, fine in checks:
        if not fine():
            raise Rejected(code, f"{shown!r} is not understood")
    return Row(
        int(cells[1]), cells[2], cells[3], cells[4], cells[5], cells[6], date.fromisoformat(cells[7]),
        date.fromisoformat(cells[8]), cells[9], int(cells[10]), int(cells[11]), int(cells[12]), cells[13], cells[14],
    )  # fmt: skip


def _is_date(text: str) -> bool:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
