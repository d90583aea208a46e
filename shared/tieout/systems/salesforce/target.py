"""Salesforce as a target: one status record for each document (support's tickets included), and customers as accounts.

``PATCH …/sobjects/Tieout_Status__c/Key__c/{reference}``, and ``…/Account/TieoutKey__c/{reference}`` for a customer that
was made elsewhere; both fields are External ID and Unique, else concurrent upserts duplicate. Class U by that key. They
change in place: a status's ``Version__c`` is the state sequence, an account must show the fields that were sent, and
``find`` proves it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from tieout.contract import Action, Budget, Echo, Finds, Found, Quiet, Reference, Wire, Work
from tieout.core.classify import Answer, Row
from tieout.core.exchange import JSON, Request, judge, member, read_answer
from tieout.core.parse import write_json
from tieout.core.verdicts import NeedsHuman, TryAgain, Uncertain, Verdict

#: Pinned; Salesforce keeps a version for years.
DATA: Final = "/services/data/v67.0"
OBJECT: Final = f"{DATA}/sobjects/Tieout_Status__c/Key__c"
ACCOUNT: Final = f"{DATA}/sobjects/Account/TieoutKey__c"


class Salesforce:
    """Writes status records and accounts of one Salesforce org; holds nothing."""

    name = "salesforce"
    auth: Mapping[str, str] = {
        "scheme": "oauth2_client_credentials",
        "token_path": "/services/oauth2/token",
        # By a certificate instead of a secret; of a sandbox org the secret's own `audience` is test.salesforce.com.
        "or": "oauth2_jwt_bearer",
        "algorithm": "RS256",
        "audience": "https://login.salesforce.com",
        "assertion_life": "180",
    }
    finds = Finds.UNIQUE
    quiet = Quiet(client_timeout=20, longest_processing=120, search_lag=0, clock_skew=5, period=210)
    #: No dot in it: values that end like a top-level domain can answer 404.
    reference = Reference("TIE-", 30)
    budget = Budget(concurrency=10)
    actions: Mapping[tuple[str, str], Action] = {
        ("status", "upsert"): Action("salesforce.status", echo=("ref",), once=False),
        ("ticket", "upsert"): Action("salesforce.ticket", echo=("ref",), once=False),
        ("customer", "upsert"): Action("salesforce.customer", echo=("ref",), once=False),
    }
    verdicts: Sequence[Row] = (
        Row(300, NeedsHuman, "found_several"),
        Row(403, TryAgain, "target_busy", says="request_limit_exceeded", retry_after=True),
        Row(400, TryAgain, "target_conflict", says="unable_to_lock_row"),
        Row(400, Uncertain, "target_duplicate", says="duplicate_value"),
        Row(400, NeedsHuman, "target_no_such_thing", says="entity_is_deleted"),
        Row(400, NeedsHuman, "target_reference_missing", says="invalid_cross_reference_key"),
        Row(503, Uncertain, "target_down"),
    )
    batches = False
    ack_due = 0

    def build(self, kind: str, action: str, ref: str, payload: Mapping[str, Any]) -> bytes:
        """The upsert as it will be sent and recorded. The key is in the path and must not be in the body."""
        address = ACCOUNT if kind == "customer" else OBJECT
        return Request("PATCH", f"{address}/{ref}", write_json(payload), {"Content-Type": JSON}).dump()

    def send(self, wire: Wire, work: Sequence[Work]) -> Sequence[Echo | None]:
        """One upsert; its answer names the record. An empty answer is read back."""
        return [self._send(wire, one) for one in work]

    def _send(self, wire: Wire, work: Work) -> Echo:
        request = Request.load(work.payload)
        answer = wire.call(request.method, request.path, headers=request.headers, body=request.body)
        judge(self.verdicts, answer, error_text(answer))
        shown = read_answer(answer)
        if isinstance(shown, list) or member(shown, "success") is False:
            # A 2xx that says no is read by the table as the 4xx that it should have been.
            judge(self.verdicts, Answer(400), _errors(shown))
        if isinstance(member(shown, "id"), str) and member(shown, "success") is True:
            return Echo(str(member(shown, "id")), work.ref)  # the answer about the key that was addressed
        try:
            row = self._read(wire, request.path)
        except Verdict as lost:
            raise Uncertain("target_unclear", f"read-back: {lost}", status=answer.status) from lost
        if not isinstance(member(row, "Id"), str):
            raise Uncertain("target_unclear", "read-back finds no record", status=answer.status)
        return _echo(row)

    def _read(self, wire: Wire, path: str) -> Any:
        answer = wire.call("GET", path)
        if answer.status == 404:
            return None
        judge(self.verdicts, answer, error_text(answer))
        return read_answer(answer)

    def find(self, wire: Wire, work: Work) -> Found:
        """Look by our key; landed means showing our version or a newer one, of an account every field that was sent."""
        request = Request.load(work.payload)
        row = self._read(wire, request.path)
        if row is None:
            return Found("absent")
        if work.kind == "customer":
            sent: Mapping[str, Any] = read_answer(Answer(0, body=request.body))
            differs = sorted(name for name, value in sent.items() if member(row, name) != value)
            return Found("absent", _echo(row), said=f"shows another {differs[0]}") if differs else _complete(row)
        there, ours = member(row, "Version__c"), member(read_answer(Answer(0, body=request.body)), "Version__c")
        if there is None or there < ours:
            return Found("absent", _echo(row), said=f"shows version {there}, not {ours}")
        return _complete(row)

    def look(self, wire: Wire, kind: str, facts: Mapping[str, str]) -> Sequence[Echo]:
        """Accounts with the same tax id, e-mail or name, best evidence first; a status has no name but our key."""
        if kind != "customer":
            return []
        found: dict[str, Echo] = {}
        for field, fact in (("Tax_Id__c", "tax_id"), ("Billing_Email__c", "email"), ("Name", "name")):
            value = facts.get(fact, "")
            if not value:
                continue
            literal = value.replace("\\", "\\\\").replace("'", "\\'")
            soql = f"SELECT Id, TieoutKey__c FROM Account WHERE {field} = '{literal}' LIMIT 10"
            answer = wire.call("GET", f"{DATA}/query?{urlencode({'q': soql})}")
            judge(self.verdicts, answer, error_text(answer))
            rows = member(read_answer(answer), "records")
            if not isinstance(rows, list):
                raise Uncertain("target_unclear", "a search without records", status=answer.status)
            for row in rows:
                found.setdefault(str(member(row, "Id")), _echo(row))
        return list(found.values())


def error_text(answer: Answer) -> str:
    """Codes and sentences of Salesforce's error body, which is a list; empty where it is none."""
    if answer.status < 300:
        return ""
    try:
        return _errors(read_answer(answer))
    except Verdict:
        return ""


def _errors(body: Any) -> str:
    errors = body if isinstance(body, list) else member(body, "errors") or []
    return "; ".join(
        f"{error.get('errorCode') or error.get('statusCode') or ''} {error.get('message', '')}".strip()
        for error in errors
        if isinstance(error, Mapping)
    )


def _echo(row: Any) -> Echo:
    return Echo(str(member(row, "Id") or ""), member(row, "Key__c") or member(row, "TieoutKey__c"))


def _complete(row: Any) -> Found:
    return Found("complete", _echo(row))


TARGET = Salesforce()
