"""The legacy ERP as a target: batches of records on a file drop, acknowledged by file minutes later.

``out/{batch}-{company}.csv`` is written once and never changed (``.txt`` in columns of fixed width: `dialects`)::

    H,TIEOUT,1,{batch}-{company},{created},{company}
    D,{line},{reference},{kind},{action},{customer},{document no},{document date},{posting date},{currency},
      {net},{tax},{gross},{parent reference},{text}
    T,{count},{sum of gross},{first 16 hex of SHA-256 over all D lines}

``in/{batch}-{company}.ack.csv`` answers each record with ``A`` (booked, under the ERP's own number) or ``R``
(rejected, with a code). Amounts are minor units. Class S: the file and its acknowledgement are the search, and
consistent. Text cells are escaped, because people open such files in a spreadsheet, where ``=…`` would run.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tieout.contract import Action, Budget, Echo, Finds, Found, Quiet, Reference, Wire, Work
from tieout.core.classify import Row
from tieout.core.parse import read_any, write_json
from tieout.core.verdicts import NeedsHuman, Uncertain, Verdict
from tieout.systems.legacy.dialects import DIALECTS, DOCUMENT_NO, Dialect, chosen

#: Cells of a record after the line number, as a mapping names them.
CELLS: Final = (
    "ref",
    "kind",
    "action",
    "customer_ref",
    "document_no",
    "document_date",
    "posting_date",
    "currency",
    "net",
    "tax",
    "gross",
    "parent_ref",
    "text",
)
NUMBERS: Final = frozenset({"net", "tax", "gross"})
GROSS: Final = CELLS.index("gross")
#: Our actions in the ERP's words.
WORDS: Final = {"upsert": "upsert", "create": "create", "void": "void", "undo": "void"}
#: Reject codes of the ERP that say more than *rejected*.
REJECTS: Final = {
    "PERIOD_CLOSED": "period_closed",
    "UNKNOWN_CUSTOMER": "target_reference_missing",
    "UNKNOWN_PARENT": "target_reference_missing",
}
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
TEXT_MOST: Final = 120


class Legacy:
    """Writes batches to and reads acknowledgements from one drop; holds nothing."""

    name = "legacy"
    auth: Mapping[str, str] = {"scheme": "drop"}
    finds = Finds.SEARCHABLE
    quiet = Quiet(client_timeout=10, longest_processing=0, search_lag=0, clock_skew=5, period=90)
    reference = Reference("TIE-", 30)
    budget = Budget(concurrency=2)
    actions: Mapping[tuple[str, str], Action] = {
        ("customer", "upsert"): Action("legacy.customer", echo=("ref",), once=False, undo="undo"),
        ("customer", "undo"): Action("legacy.customer", echo=("ref",), once=False),
        ("invoice", "create"): Action("legacy.invoice", undo="void"),
        ("invoice", "void"): Action("legacy.invoice_void", dated=True),
        ("credit_note", "create"): Action("legacy.credit_note"),
        ("payment", "create"): Action("legacy.payment"),
    }
    verdicts: Sequence[Row] = ()
    batches = True
    ack_due = 3600

    def build(self, kind: str, action: str, ref: str, payload: Mapping[str, Any]) -> bytes:
        """The cells of one record, as a JSON list; they get their line number when the batch is written."""
        codes = " ".join(sorted({str(line["tax_code"]) for line in payload.get("lines", ())}))
        text = " ".join(part for part in (str(payload.get("text", "")), codes and f"TAX {codes}") if part)
        record = {**payload, "ref": ref, "kind": kind, "action": WORDS[action], "text": text}
        return write_json([_cell(name, record.get(name)) for name in CELLS])

    def send(self, wire: Wire, work: Sequence[Work]) -> Sequence[Echo | None]:
        """Write each company's file once; all records are then delivered, to be acknowledged later."""
        files: dict[str, list[Work]] = {}
        for one in work:
            files.setdefault(_stem(one), []).append(one)
        for number, (stem, records) in enumerate(files.items()):
            try:
                _write(wire, stem, records)
            except Uncertain:
                raise
            except Verdict as verdict:
                if number == 0:
                    raise
                # Nothing of this file was written, but the files before it were: none may be sent again unseen.
                raise Uncertain("target_lost", f"{stem}: {verdict}") from verdict
        return [None] * len(work)

    def find(self, wire: Wire, work: Work) -> Found:
        """What the acknowledgement says about the record; without one, whether the batch was written."""
        written = _written(wire, _stem(work)) if work.batch else None
        if written is None or not any(cells[2:3] == [work.ref] for cells in _records(*written)):
            return Found("absent")
        dialect = written[1]
        answers = _acknowledged(wire.get(f"in/{_stem(work)}.ack.{dialect.ending}"), dialect)
        if answers is None:
            return Found("pending")
        cells = answers.get(work.ref) or answers.get("")
        if cells is None:
            return Found("ambiguous", code="target_unclear", said="the acknowledgement passes over the record")
        return _accepted(cells, work) if cells[0] == "A" else _rejected(cells)

    def look(self, wire: Wire, kind: str, facts: Mapping[str, str]) -> Sequence[Echo]:
        """Nothing: the ERP cannot be asked. It knows a customer again by our reference."""
        return []


def _stem(work: Work) -> str:
    """Name of the file that holds a record: a file is one batch of one company."""
    return f"{work.batch}-{work.entity}"


def _write(wire: Wire, stem: str, work: Sequence[Work]) -> None:
    dialect = chosen(wire.settings)
    body = _file(stem, work, dialect)
    for other in DIALECTS.values():
        # The account's format was changed since: the batch is there, and must not go out again in another spelling.
        lies = wire.get(f"out/{stem}.{other.ending}") if other is not dialect else None
        if lies is not None and _records(lies, other) == _records(body, dialect):
            return
        if lies is not None:
            raise Uncertain("target_conflict", f"{stem} is there with other records")
    name = f"out/{stem}.{dialect.ending}"
    if not wire.put_once(name, body) and _records(wire.get(name) or b"", dialect) != _records(body, dialect):
        raise Uncertain("target_conflict", f"{name} is there with other records")


def _written(wire: Wire, stem: str) -> tuple[bytes, Dialect] | None:
    """The batch as it lies there, in whichever dialect it was written; the account's own is looked for first."""
    own = chosen(wire.settings)
    for dialect in (own, *(one for one in DIALECTS.values() if one is not own)):
        content = wire.get(f"out/{stem}.{dialect.ending}")
        if content is not None:
            return content, dialect
    return None


def _accepted(cells: list[str], work: Work) -> Found:
    echo = Echo(cells[3], cells[2], cells[3], cells[4] or None, int(cells[5]))
    if work.total is not None and (echo.currency, echo.total) != (work.currency, work.total):
        said = f"{echo.total} {echo.currency} for {work.total} {work.currency}"
        return Found("ambiguous", echo, "target_echo_differs", said)
    return Found("complete", echo)


def _rejected(cells: list[str]) -> Found:
    code, text = cells[3], cells[4]
    if code in ("DUPLICATE", "DUPLICATE_BATCH"):
        # It is booked, by another file than this one: a person looks which.
        return Found("ambiguous", None, "target_duplicate", f"{code} {text}")
    return Found("refused", None, REJECTS.get(code, "record_rejected"), f"{code} {text}")


def _cell(name: str, value: Any) -> str:
    """One cell: amounts as integers, everything else as text that no spreadsheet runs and that stays on its line."""
    if name in NUMBERS:
        if type(value) is not int:
            raise NeedsHuman("bad_amount", f"{name} is no whole number of minor units")
        return str(value)
    text = _CONTROLS.sub(" ", "" if value is None else str(value)).strip()
    if name == "document_no" and len(text) > DOCUMENT_NO:
        raise NeedsHuman("number_too_long", f"{len(text)} characters", number=text[:64], most=str(DOCUMENT_NO))
    text = text[: TEXT_MOST - 1]
    return "'" + text if text[:1] in ("=", "+", "-", "@") else text


def _file(batch: str, work: Sequence[Work], dialect: Dialect) -> bytes:
    records = [read_any(one.payload) for one in work]
    lines = [dialect.line(["D", str(number), *cells], "out") for number, cells in enumerate(records, start=1)]
    total = sum(int(cells[GROSS]) for cells in records)
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
    head = dialect.line(["H", "TIEOUT", "1", batch, f"{work[0].now:%Y-%m-%dT%H:%M:%SZ}", work[0].entity], "out")
    tail = dialect.line(["T", str(len(lines)), str(total), digest], "out")
    return "\n".join([head, *lines, tail, ""]).encode()


def _records(content: bytes, dialect: Dialect) -> list[list[str]]:
    """The D lines of a batch, taken apart: what makes two files the same (the header carries a time)."""
    return [cells for cells in dialect.rows(content, "out") if cells[:1] == ["D"]]


def _acknowledged(content: bytes | None, dialect: Dialect) -> dict[str, list[str]] | None:
    """Answer lines by reference; ``None`` while there is no whole acknowledgement (a cut one says nothing).

    A file refused as a whole is one ``R`` line with line number 0 and no reference.
    """
    if content is None:
        return None
    try:
        rows = dialect.rows(content, "in")
    except csv.Error:
        return None
    answers = [cells for cells in rows if (cells[:1] == ["A"] and len(cells) == 6) or _is_reject(cells)]
    accepted = sum(cells[0] == "A" for cells in answers)
    tail = rows[-1] if rows else []
    if tail != ["T", str(accepted), str(len(answers) - accepted)] or rows[0][:3] != ["H", "LEGACY", "1"]:
        return None
    if not all(re.fullmatch(r"-?\d{1,18}", cells[5]) for cells in answers if cells[0] == "A"):
        return None
    return {cells[2]: cells for cells in answers}


def _is_reject(cells: list[str]) -> bool:
    return cells[:1] == ["R"] and len(cells) == 5


TARGET = Legacy()
