"""HubSpot as a target: what became of a deal on the deal itself, and a record of our own object for any other document.

``POST …/p_tieout_status/batch/upsert`` by the property ``tieout_key``, which the customer declares unique: class U. A
deal is changed in place by its id. Everything is text on the wire. A batch may be half done under HTTP 207; ours has
one member, and its error is read as the 4xx that it should have been. ``tieout_version`` is the state sequence, and
``find`` proves it by reading the very object: the search lags behind and is not asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from tieout.contract import Action, Budget, Echo, Finds, Found, Quiet, Rate, Reference, Wire, Work
from tieout.core.classify import Answer, Row
from tieout.core.exchange import JSON, Request, judge, member, read_answer
from tieout.core.parse import write_json
from tieout.core.verdicts import NeedsHuman, TryAgain, Uncertain, Verdict

CRM: Final = "/crm/v3/objects"
#: The object that the customer adds, in the short form that a token's own portal understands.
STATUSES: Final = f"{CRM}/p_tieout_status"
KEY: Final = "tieout_key"
HEADERS: Final = {"Content-Type": JSON, "Accept": JSON}
SHOWN: Final = f"properties={KEY},tieout_version"


class HubSpot:
    """Writes statuses of one HubSpot portal; holds nothing."""

    name = "hubspot"
    auth: Mapping[str, str] = {"scheme": "bearer_key", "field": "access_token"}
    finds = Finds.UNIQUE
    quiet = Quiet(client_timeout=20, longest_processing=80, search_lag=0, clock_skew=5, period=180)
    reference = Reference("TIE-", 30)
    #: What the smallest plan gives a private app.
    budget = Budget(concurrency=10, rates=(Rate(100, 10),))
    actions: Mapping[tuple[str, str], Action] = {
        ("status", "upsert"): Action("hubspot.status", echo=("ref",), once=False),
    }
    verdicts: Sequence[Row] = (
        Row(423, TryAgain, "target_conflict", retry_after=True),
        Row(477, TryAgain, "target_down", retry_after=True),
        Row(400, NeedsHuman, "target_no_such_thing", says="object_not_found"),
        Row(400, NeedsHuman, "target_refused", says="property_doesnt_exist"),
        Row(400, TryAgain, "target_busy", says="rate_limit"),
        Row(503, Uncertain, "target_down"),
    )
    batches = False
    ack_due = 0

    def build(self, kind: str, action: str, ref: str, payload: Mapping[str, Any]) -> bytes:
        """The update or the upsert of one, as it will be sent and recorded."""
        properties = {**payload["properties"], KEY: ref}
        if payload.get("deal"):
            path = f"{CRM}/deals/{quote(str(payload['deal']), safe='')}"
            return Request("PATCH", path, write_json({"properties": properties}), HEADERS).dump()
        one = {"id": ref, "idProperty": KEY, "properties": properties}
        return Request("POST", f"{STATUSES}/batch/upsert", write_json({"inputs": [one]}), HEADERS).dump()

    def send(self, wire: Wire, work: Sequence[Work]) -> Sequence[Echo | None]:
        """One call; the answer shows the object with our key, or is read back."""
        return [self._send(wire, one) for one in work]

    def _send(self, wire: Wire, work: Work) -> Echo:
        request = Request.load(work.payload)
        answer = wire.call(request.method, request.path, headers=request.headers, body=request.body)
        judge(self.verdicts, answer, error_text(answer))
        shown = read_answer(answer)
        if member(shown, "errors"):
            # A 2xx that says no is read by the table as the 4xx that it should have been.
            judge(self.verdicts, Answer(400), _errors(shown))
        rows = member(shown, "results")
        row = rows[0] if isinstance(rows, list) and len(rows) == 1 else shown
        if isinstance(member(row, "id"), str) and member(row, "properties", KEY) == work.ref:
            return _echo(row)
        try:
            row = self._read(wire, work)
        except Verdict as lost:
            raise Uncertain("target_unclear", f"read-back: {lost}", status=answer.status) from lost
        if not isinstance(member(row, "id"), str):
            raise Uncertain("target_unclear", "read-back finds no object", status=answer.status)
        return _echo(row)

    def _read(self, wire: Wire, work: Work) -> Any:
        request = Request.load(work.payload)
        own = f"{STATUSES}/{work.ref}?idProperty={KEY}&{SHOWN}"
        answer = wire.call("GET", f"{request.path}?{SHOWN}" if request.method == "PATCH" else own)
        if answer.status == 404:
            return None
        judge(self.verdicts, answer, error_text(answer))
        return read_answer(answer)

    def find(self, wire: Wire, work: Work) -> Found:
        """Look at the object; landed means showing our key, and our version or a newer one."""
        row = self._read(wire, work)
        if row is None or member(row, "properties", KEY) != work.ref:
            return Found("absent")
        there, ours = _version(member(row, "properties", "tieout_version")), _version(_sent(work))
        if there < ours:
            return Found("absent", _echo(row), said=f"shows version {there}, not {ours}")
        return Found("complete", _echo(row))

    def look(self, wire: Wire, kind: str, facts: Mapping[str, str]) -> Sequence[Echo]:
        """Nothing to look for: a status has no other name than our key."""
        return []


def _sent(work: Work) -> Any:
    body = read_answer(Answer(0, body=Request.load(work.payload).body))
    inputs = member(body, "inputs")
    return member(inputs[0] if isinstance(inputs, list) else body, "properties", "tieout_version")


def _version(text: Any) -> int:
    return int(text) if isinstance(text, str) and text.isascii() and text.isdigit() else -1


def error_text(answer: Answer) -> str:
    """Category, policy and sentence of HubSpot's error body, each of them optional; empty where it is none."""
    if answer.status < 400:
        return ""
    try:
        shown = read_answer(answer)
    except Verdict:
        return ""
    names = ("category", "errorType", "policyName", "message")
    return " ".join(str(member(shown, name)) for name in names if member(shown, name))


def _errors(shown: Any) -> str:
    return "; ".join(
        f"{member(one, 'category') or ''} {member(one, 'message') or ''}".strip() for one in member(shown, "errors")
    )


def _echo(row: Any) -> Echo:
    return Echo(str(member(row, "id") or ""), member(row, "properties", KEY))


TARGET = HubSpot()
