"""Files in which the legacy ERP tells of its own accord: what they say, whether they hold together, our receipt; pure.

``in/{any name}.csv`` (``.txt`` in columns of fixed width: `dialects`), numbered without a gap within a stream::

    H,LEGACY,2,{stream},{number},{created},{company}
    P,{line},{payment no},{date},{currency},{amount},{customer},{document no},{bank reference},{text}
    C,{line},{new or changed},{customer no},{our reference},{name},{e-mail},{tax id},{street},{city},{postal code},
      {country}
    T,{count},{sum of amounts},{first 16 hex of SHA-256 over all lines between header and trailer}

Amounts are positive minor units, lines are numbered from one. A file that is cut, or whose count, sum or hash differ,
is refused whole; a record that cannot be read is refused alone. Both are told to the ERP in a file of ours.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from tieout.core.clocks import EventInstant
from tieout.core.verdicts import NeedsHuman, Verdict
from tieout.systems.legacy.dialects import DIALECTS, DOCUMENT_NO, Dialect

#: More than this is no file of the ERP's (bytes), and more lines than this have no place in a version.
FILE_MOST: Final = 4_000_000
LINES_MOST: Final = 10_000
TELLS: Final = {f".{one.ending}": one for one in DIALECTS.values()}
STREAM: Final = re.compile(r"[A-Z0-9]{1,12}")
WHOLE: Final = re.compile(r"[0-9]{1,18}")
SIGNED: Final = re.compile(r"-?[0-9]{1,18}")
#: The cells of each record behind its line number.
CELLS: Final[Mapping[str, tuple[str, ...]]] = {
    "P": ("number", "date", "currency", "amount", "customer", "document", "bank", "text"),
    "C": ("action", "number", "ref", "name", "email", "tax_id", "street", "city", "postal_code", "country"),
}
#: The most characters that a cell may have, where the columns of a document say less than a text's.
MOST: Final[Mapping[str, int]] = {"number": 30, "document": DOCUMENT_NO, "customer": 30, "bank": 30, "ref": 30}
TEXT_MOST: Final = 120
TYPES: Final[Mapping[str, str]] = {"new": "customer.created", "changed": "customer.changed"}
PAYMENT: Final = "payment.received"


@dataclass(frozen=True)
class Record:
    """One record: its type of event, its object, and why it is refused (a code and a sentence), where it is."""

    line: int
    cells: tuple[str, ...]
    type: str
    object: Mapping[str, Any]
    code: str = ""
    reason: str = ""

    @property
    def id(self) -> str:
        """The number of what it is about; its line where it is about nothing."""
        return str(self.object.get("number") or self.line)


@dataclass(frozen=True)
class File:
    """A file that holds together."""

    stream: str
    number: int
    created: datetime
    company: str
    records: tuple[Record, ...]


def dialect_of(name: str) -> Dialect | None:
    """How a file of that name is spelled; ``None`` for what is no file in which the ERP tells (an acknowledgement, a
    file that is still being written)."""
    stem, dot, ending = name.rpartition(".")
    return None if stem.endswith(".ack") else TELLS.get((dot + ending).lower())


def read_file(name: str, content: bytes) -> File:
    """What a file says. Raises ``NeedsHuman('file_refused')`` with the reason for one that does not hold together."""
    dialect = dialect_of(name)
    if dialect is None:
        raise refused(name, "its name is not of a file that tells")
    if len(content) > FILE_MOST:
        raise refused(name, f"it has {len(content)} bytes, {FILE_MOST} are read")
    try:
        text = content.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise refused(name, "it is not UTF-8") from None
    lines = text.removesuffix("\n").split("\n")
    if not text.endswith("\n") or len(lines) < 2:
        raise refused(name, "it is cut: the last line has no end")
    head, between, tail = _apart(lines[0], dialect), lines[1:-1], _apart(lines[-1], dialect)
    stream, number, created, company = _header(name, head)
    _trailer(name, between, tail, dialect)
    records = tuple(_record(_apart(line, dialect), place) for place, line in enumerate(between, 1))
    return File(stream, number, created, company, records)


def refused(name: str, reason: str) -> NeedsHuman:
    """The verdict on a file as a whole."""
    return NeedsHuman("file_refused", reason, file=name[:120], reason=reason)


def _apart(line: str, dialect: Dialect) -> list[str]:
    try:
        return next(iter(dialect.rows(line.encode(), "tell")), [])
    except csv.Error:
        return []


def _header(name: str, head: Sequence[str]) -> tuple[str, int, datetime, str]:
    if len(head) != 7 or list(head[:3]) != ["H", "LEGACY", "2"]:
        raise refused(name, "its first line is not H,LEGACY,2,stream,number,created,company")
    stream, number, created, company = head[3:]
    if not STREAM.fullmatch(stream) or not WHOLE.fullmatch(number) or not 0 < int(number) < 10**9:
        raise refused(name, "its header has no stream or no running number")
    try:
        at = EventInstant.parse(created).value
    except Verdict:
        raise refused(name, "its header does not say when it was made (UTC)") from None
    if not company:
        raise refused(name, "its header names no company")
    return stream, int(number), at, company


def _trailer(name: str, between: Sequence[str], tail: Sequence[str], dialect: Dialect) -> None:
    if len(tail) != 4 or tail[0] != "T":
        raise refused(name, "it is cut: its last line is not T,count,total,hash")
    if tail[1] != str(len(between)):
        raise refused(name, f"its trailer counts {tail[1][:20]} records, there are {len(between)}")
    if len(between) >= LINES_MOST:
        raise refused(name, f"it has {len(between)} records, fewer than {LINES_MOST} are read")
    digest = hashlib.sha256("\n".join(between).encode()).hexdigest()[:16]
    if tail[3] != digest:
        raise refused(name, f"its records have the hash {digest}, its trailer says {tail[3][:20]}")
    cells = [_apart(line, dialect) for line in between]
    total = sum(int(one[5]) for one in cells if one[:1] == ["P"] and SIGNED.fullmatch("".join(one[5:6])))
    if tail[2] != str(total):
        raise refused(name, f"its amounts sum up to {total}, its trailer says {tail[2][:20]}")


def _record(cells: Sequence[str], place: int) -> Record:
    """One record; what cannot be read counts as a payment, because it may have been one."""
    kind = cells[0] if cells else ""
    names = CELLS.get(kind, ())
    said = dict(zip(names, cells[2:], strict=False))
    type_ = TYPES.get(said.get("action", ""), PAYMENT) if kind == "C" else PAYMENT
    code, reason = _wrong(kind, cells, said, place)
    about: dict[str, Any] = {name: value for name, value in said.items() if value} | {"kind": kind, "line": place}
    if code:
        return Record(place, tuple(cells), type_, {"kind": kind, "line": place, "refused": reason}, code, reason)
    if kind == "P":
        about["amount"] = int(said["amount"])
    return Record(place, tuple(cells), type_, about)


def _wrong(kind: str, cells: Sequence[str], said: Mapping[str, str], place: int) -> tuple[str, str]:
    """Code and sentence of what is wrong with a record; empty where nothing is."""
    if kind not in CELLS or len(cells) != len(CELLS[kind]) + 2:
        return "BAD_RECORD", "not P or C with all of its cells"
    if cells[1] != str(place):
        return "BAD_LINE", f"line {cells[1][:12]} stands at place {place}"
    if long := [name for name, value in said.items() if len(value) > MOST.get(name, TEXT_MOST)]:
        return "TOO_LONG", f"{long[0]} is longer than its column"
    if not said["number"]:
        return "BAD_NUMBER", "no number"
    if kind == "P":
        if not WHOLE.fullmatch(said["amount"]) or int(said["amount"]) == 0:
            return "BAD_AMOUNT", "no positive amount in minor units"
        if not re.fullmatch(r"[A-Z]{3}", said["currency"]):
            return "BAD_CURRENCY", "no currency code"
        if not _is_date(said["date"]):
            return "BAD_DATE", "no date"
        return ("", "") if said["customer"] else ("BAD_CUSTOMER", "no customer")
    if said["action"] not in TYPES:
        return "BAD_ACTION", "neither new nor changed"
    if said["country"] and not re.fullmatch(r"[A-Z]{2}", said["country"]):
        return "BAD_COUNTRY", "no country code"
    return ("", "") if said["name"] else ("BAD_NAME", "no name")


def _is_date(text: str) -> bool:
    try:
        return len(text) == 10 and date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


# --- what we answer --------------------------------------------------------------------------------------------------
def mark(content: bytes) -> str:
    """What a content is known again by."""
    return hashlib.sha256(content).hexdigest()[:16]


def receipt(file: File, content: bytes, dialect: Dialect) -> tuple[str, bytes]:
    """Name and content of our receipt for a file: which of its records are refused, and why.

    One name for each number of a stream, whatever the file was called: the first content under a number has it.
    """
    bad = [("R", str(one.line), one.code, one.reason) for one in file.records if one.code]
    head = ("H", "TIEOUT", "2", file.stream, str(file.number), mark(content))
    tail = ("T", str(len(file.records) - len(bad)), str(len(bad)))
    return f"out/{file.stream}-{file.number:09d}.receipt", _spelled((head, *bad, tail), dialect)


def same(before: bytes, content: bytes, dialect: Dialect) -> bool:
    """Whether a receipt that is there was given for this very content."""
    return any(cells[-1:] == [mark(content)] for one in (dialect, *DIALECTS.values()) for cells in _rows(before, one))


def refusal(name: str, reason: str, content: bytes, dialect: Dialect) -> tuple[str, bytes]:
    """Name and content of what the ERP is told of a file that is refused whole."""
    head = ("H", "TIEOUT", "2", name[:60], "0", mark(content))
    lines = (head, ("R", "0", "BAD_FILE", reason[:TEXT_MOST]), ("T", "0", "0"))
    return f"out/{mark(content)}.refused", _spelled(lines, dialect)


def _spelled(lines: Sequence[Sequence[str]], dialect: Dialect) -> bytes:
    return ("\n".join(dialect.line(cells, "receipt") for cells in lines) + "\n").encode()


def _rows(content: bytes, dialect: Dialect) -> list[list[str]]:
    try:
        return dialect.rows(content, "receipt")[:1]
    except csv.Error:
        return []
