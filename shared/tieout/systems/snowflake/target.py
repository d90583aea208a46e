"""Snowflake as a target, over its SQL API: one ``MERGE`` a document, by source, object and version.

The statement is always the same text, and every value is bound, so that nothing in a document is ever SQL. It inserts
where the document is not there and does nothing where it is: twice is one, whoever sends it. The request id, made of
our reference and the bytes, lets Snowflake know a resubmission again (``retry=true``), which spares the second run.

Class S: the table is the search, and consistent. A statement that is not done when the API answers (202) goes on under
a handle; the posting is delivered, and the handle is asked later. A statement ends by its own time-out, which is part
of the quiet period: what is not there behind it is not coming.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from urllib.parse import quote

from tieout.contract import Action, Budget, Echo, Finds, Found, Quiet, Reference, Wire, Work
from tieout.core.classify import Answer, Row
from tieout.core.exchange import JSON, Request, difference, judge, member, read_answer
from tieout.core.money import Money
from tieout.core.parse import write_json
from tieout.core.verdicts import NeedsHuman, Uncertain, Verdict

API: Final = "/api/v2/statements"
HEADERS: Final = {"Content-Type": JSON, "Accept": JSON}
TABLE: Final = "TIEOUT_DOCUMENTS"
#: Seconds that a statement may run; it is cancelled then, and has done nothing.
RUNS_MOST: Final = 60
#: Columns in the order of their binds, each with how a text becomes its type.
COLUMNS: Final[Mapping[str, str]] = {
    "REF": "?", "SOURCE": "?", "ACCOUNT": "?", "KIND": "?", "ACTION": "?", "OBJECT_ID": "?",
    "VERSION": "TO_NUMBER(?)", "ENTITY": "?", "NUMBER": "?", "CUSTOMER_ID": "?", "PARENT_ID": "?", "CURRENCY": "?",
    "AMOUNT": "TO_DECIMAL(?, 38, 9)", "NET": "TO_DECIMAL(?, 38, 9)", "TAX": "TO_DECIMAL(?, 38, 9)",
    "EVENT_TIME": "TO_TIMESTAMP_NTZ(?)", "DOCUMENT_DATE": "TO_DATE(?)", "POSTING_DATE": "TO_DATE(?)",
    "POSTING_PERIOD": "?", "BOOKED_AT": "?", "BOOKED_AS": "?", "LINES": "PARSE_JSON(?)",
}  # fmt: skip
KEY: Final = ("SOURCE", "ACCOUNT", "KIND", "ACTION", "OBJECT_ID", "VERSION")
MERGE: Final = (
    f"MERGE INTO {TABLE} t USING (SELECT {', '.join(f'{cast} AS {name}' for name, cast in COLUMNS.items())}) s "
    f"ON {' AND '.join(f't.{name} = s.{name}' for name in KEY)} "
    f"WHEN NOT MATCHED THEN INSERT ({', '.join(COLUMNS)}, LOADED_AT) "
    f"VALUES ({', '.join(f's.{name}' for name in COLUMNS)}, SYSDATE())"
)
#: Our reference is the document's, whatever was done to which state of it.
SEARCH: Final = ("REF", "ACTION", "VERSION")
SELECT: Final = (
    f"SELECT REF, CURRENCY, AMOUNT FROM {TABLE} WHERE {' AND '.join(f'{name} = {COLUMNS[name]}' for name in SEARCH)}"
)


class Snowflake:
    """Loads documents into one Snowflake account; holds nothing."""

    name = "snowflake"
    auth: Mapping[str, str] = {
        "scheme": "keypair_jwt",
        "account": "account_identifier",
        "user": "user",
        "header": "X-Snowflake-Authorization-Token-Type",
        "header_value": "KEYPAIR_JWT",
    }
    finds = Finds.SEARCHABLE
    quiet = Quiet(client_timeout=50, longest_processing=RUNS_MOST + 60, search_lag=0, clock_skew=5, period=300)
    reference = Reference("TIE-", 30)
    #: Snowflake publishes no figure; its own concurrency level of a warehouse is eight.
    budget = Budget(concurrency=8)
    actions: Mapping[tuple[str, str], Action] = {
        ("invoice", "create"): Action("snowflake.invoice", once=False),
        ("invoice", "void"): Action("snowflake.invoice", once=False),
        ("credit_note", "create"): Action("snowflake.credit_note", once=False),
        ("credit_note", "void"): Action("snowflake.credit_note", once=False),
        ("payment", "create"): Action("snowflake.payment", once=False),
    }
    verdicts: Sequence[Row] = (
        Row(422, NeedsHuman, "target_forbidden", says="insufficient privileges"),
        Row(422, NeedsHuman, "target_no_such_thing", says="does not exist or not authorized"),
        Row(503, Uncertain, "target_down"),
    )
    batches = False
    ack_due = 900

    def build(self, kind: str, action: str, ref: str, payload: Mapping[str, Any]) -> bytes:
        """The statement as it will be sent and recorded: constant text, bound values."""
        row = {**payload, "REF": ref, "KIND": kind, "ACTION": action}
        if strange := set(row) - set(COLUMNS):
            raise ValueError(f"no such columns: {', '.join(sorted(strange))}")
        body = statement(MERGE, [_text(row.get(name)) for name in COLUMNS])
        # Our reference is one of the bound values, so the bytes are of this document alone.
        request_id = uuid.UUID(bytes=hashlib.sha256(body).digest()[:16], version=4)
        return Request("POST", f"{API}?requestId={request_id}&retry=true", body, HEADERS).dump()

    def send(self, wire: Wire, work: Sequence[Work]) -> Sequence[Echo | None]:
        """One statement, and one look at the row, because the answer only counts."""
        return [self._send(wire, one) for one in work]

    def _send(self, wire: Wire, work: Work) -> Echo:
        request = Request.load(work.payload)
        answer = wire.call(request.method, request.path, headers=request.headers, body=request.body)
        judge(self.verdicts, answer, error_text(answer))
        shown = read_answer(answer)
        handle = member(shown, "statementHandle")
        if not isinstance(handle, str) or not handle:
            raise Uncertain("target_unclear", f"HTTP {answer.status} without a handle", status=answer.status)
        if answer.status == 202:
            return Echo(handle, later=True)
        try:
            echoes = self._rows(wire, work)
        except Verdict as lost:
            raise Uncertain("target_unclear", f"read-back: {lost}", status=answer.status) from lost
        if len(echoes) != 1:
            raise Uncertain("target_unclear", f"read-back finds {len(echoes)} rows", status=answer.status)
        return echoes[0]

    def find(self, wire: Wire, work: Work) -> Found:
        """Look for the row; where it is not there and a job was taken, ask what became of the job."""
        echoes = self._rows(wire, work)
        if len(echoes) > 1:
            return Found("ambiguous", None, "found_several", f"{len(echoes)} with {work.ref}")
        if echoes:
            differs = difference(self.actions[work.kind, work.action].echo, work, echoes[0])
            if differs:
                return Found("ambiguous", echoes[0], "target_echo_differs", differs)
            return Found("complete", echoes[0])
        return self._job(wire, work.batch) if work.batch else Found("absent")

    def _job(self, wire: Wire, handle: str) -> Found:
        answer = wire.call("GET", f"{API}/{quote(handle, safe='')}", headers={"Accept": JSON})
        if answer.status == 202:
            return Found("pending")
        if answer.status in (408, 422):
            return Found("refused", None, "record_rejected", error_text(answer)[:200])
        if answer.status == 404:  # Snowflake forgets a handle after a day
            return Found("absent", said="the job is forgotten, and its row is not there")
        judge(self.verdicts, answer, error_text(answer))
        return Found("absent", said="the job is done, and its row is not there")

    def look(self, wire: Wire, kind: str, facts: Mapping[str, str]) -> Sequence[Echo]:
        """Nothing to look for: it holds what we loaded, and nothing of its own."""
        return []

    def _rows(self, wire: Wire, work: Work) -> list[Echo]:
        bound = member(read_answer(Answer(0, body=Request.load(work.payload).body)), "bindings")
        places = {name: str(place) for place, name in enumerate(COLUMNS, start=1)}
        body = statement(SELECT, [member(bound, places[name], "value") for name in SEARCH])
        answer = wire.call("POST", API, headers=HEADERS, body=body)
        judge(self.verdicts, answer, error_text(answer))
        rows = member(read_answer(answer), "data")
        if answer.status == 202 or not isinstance(rows, list):
            raise Uncertain("target_unclear", f"HTTP {answer.status} without rows", status=answer.status)
        return [_echo(row, work) for row in rows]


def statement(text: str, values: Sequence[str | None]) -> bytes:
    """The body of one statement: constant text, and its values bound as text."""
    bindings = {str(place): {"type": "TEXT", "value": value} for place, value in enumerate(values, start=1)}
    return write_json({"statement": text, "timeout": RUNS_MOST, "bindings": bindings})


def _text(value: Any) -> str | None:
    """A value as it is bound: text, exact decimals as text, lists as JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, list | Mapping):
        return write_json(value).decode()
    return str(value)


def _echo(row: Any, work: Work) -> Echo:
    """A row of the table: Snowflake shows everything as text."""
    if not isinstance(row, list) or len(row) != 3:
        raise Uncertain("target_unclear", "a row of another shape")
    ref, currency, amount = row
    total: int | None
    try:
        total = Money.from_decimal(Decimal(str(amount)), work.currency or "").minor
    except (NeedsHuman, InvalidOperation):
        total = None
    return Echo(str(ref), str(ref), None, str(currency) if currency else None, total)


def error_text(answer: Answer) -> str:
    """Code, SQL state and sentence of an error; empty where the answer holds none."""
    if answer.status < 400:
        return ""
    try:
        body = read_answer(answer)
    except Verdict:
        return ""
    return " ".join(str(said) for name in ("code", "sqlState", "message") if (said := member(body, name)))


TARGET = Snowflake()
