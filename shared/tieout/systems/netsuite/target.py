"""NetSuite as a target, over SuiteTalk REST: ``PUT record/v1/{type}/eid:{external id}``, then one read-back.

Class U: a synchronous PUT on an external id is NetSuite's own idempotent write (its idempotency header is ignored on
synchronous calls), and external ids are unique per record type, so that the same bytes twice are one record. Lines
are replaced (``replace=``), never merged, else a resend would double them. REST has no *void*: an invoice is taken
back by a credit memo over its whole amount, applied to it, under a reference of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tieout.contract import Action, Budget, Echo, Finds, Found, Quiet, Reference, Wire, Work
from tieout.core.classify import Answer, Row
from tieout.core.exchange import JSON, Request, difference, judge, member, minor, read_answer
from tieout.core.parse import write_json
from tieout.core.verdicts import NeedsHuman, TryAgain, Uncertain, Verdict

RECORDS: Final = "/services/rest/record/v1"
SUITEQL: Final = "/services/rest/query/v1/suiteql"
GOVERNANCE: Final = "/services/rest/system/v1/governanceLimits"
#: Which of the limits is ours, by the type of limit that NetSuite says we have.
SHARES: Final[Mapping[str, str]] = {
    "integrationSpecific": "integrationConcurrencyLimit",
    "accountLimit": "accountUnallocatedConcurrencyLimit",
}
#: Record type of each kind and action, and the sublists that a write replaces as a whole.
TYPES: Final[Mapping[tuple[str, str], tuple[str, str]]] = {
    ("customer", "upsert"): ("customer", "addressBook"),
    ("customer", "undo"): ("customer", ""),
    ("invoice", "create"): ("invoice", "item"),
    ("invoice", "void"): ("creditMemo", "item,apply"),
    ("credit_note", "create"): ("creditMemo", "item,apply"),
    ("payment", "create"): ("customerPayment", "apply"),
    ("quote", "create"): ("salesOrder", "item"),
    ("journal_entry", "create"): ("journalEntry", "line"),
}
#: Without it NetSuite may drop a field that it does not know, with a warning in a header.
HEADERS: Final = {"Content-Type": JSON, "Accept": JSON, "X-NetSuite-PropertyNameValidation": "Error"}


class NetSuite:
    """Posts to and finds in one NetSuite account; holds nothing."""

    name = "netsuite"
    auth: Mapping[str, str] = {
        "scheme": "oauth2_jwt_assertion",
        "token_path": "/services/rest/auth/oauth2/v1/token",
        "scope": "rest_webservices",
        "algorithm": "ES256",
        # Token-based authentication, for an account that is not moved yet: Oracle takes it until its sunset of TBA.
        "or": "oauth1",
    }
    finds = Finds.UNIQUE
    quiet = Quiet(client_timeout=30, longest_processing=120, search_lag=0, clock_skew=5, period=240)
    #: External ids take letters, digits, ``_`` and ``-``; a ``|`` breaks REST.
    reference = Reference("TIE-", 30)
    budget = Budget(concurrency=5)
    actions: Mapping[tuple[str, str], Action] = {
        ("customer", "upsert"): Action("netsuite.customer", echo=("ref",), once=False, undo="undo"),
        ("customer", "undo"): Action("netsuite.customer_undo", echo=("ref",), once=False),
        ("invoice", "create"): Action("netsuite.invoice", undo="void"),
        ("invoice", "void"): Action("netsuite.invoice_void", dated=True),
        ("credit_note", "create"): Action("netsuite.credit_note"),
        ("payment", "create"): Action("netsuite.payment"),
        ("quote", "create"): Action("netsuite.sales_order"),
        ("journal_entry", "create"): Action("netsuite.journal_entry"),
    }
    verdicts: Sequence[Row] = (
        Row(400, TryAgain, "target_busy", says="concurrency_limit_exceeded", retry_after=True),
        Row(400, TryAgain, "target_busy", says="sss_request_limit_exceeded", retry_after=True),
        Row(400, TryAgain, "target_conflict", says="rcrd_has_been_changed"),
        Row(400, TryAgain, "target_conflict", says="record has been changed"),
        Row(400, Uncertain, "target_duplicate", says="dup_rcrd"),
        Row(400, Uncertain, "target_duplicate", says="already exists"),
        Row(400, NeedsHuman, "period_closed", says="closed period"),
        Row(400, NeedsHuman, "period_closed", says="period is closed"),
        Row(400, NeedsHuman, "period_closed", says="period_closed"),
        Row(400, NeedsHuman, "target_reference_missing", says="invalid_key_or_ref"),
        Row(400, NeedsHuman, "target_reference_missing", says="invalid reference"),
        Row(503, Uncertain, "target_down"),
    )
    batches = False
    ack_due = 0

    def build(self, kind: str, action: str, ref: str, payload: Mapping[str, Any]) -> bytes:
        """The upsert by external id as it will be sent and recorded."""
        record, replaced = TYPES[kind, action]
        method = "PATCH" if action == "undo" else "PUT"
        query = f"?replace={replaced}" if replaced else ""
        return Request(method, f"{RECORDS}/{record}/eid:{ref}{query}", write_json(payload), HEADERS).dump()

    def send(self, wire: Wire, work: Sequence[Work]) -> Sequence[Echo | None]:
        """One write and one read-back; NetSuite answers a write with 204 and an address, no more."""
        return [self._send(wire, one) for one in work]

    def _send(self, wire: Wire, work: Work) -> Echo:
        request = Request.load(work.payload)
        answer = wire.call(request.method, request.path, headers=request.headers, body=request.body)
        judge(self.verdicts, answer, error_text(answer))
        record = _record_type(work)
        try:
            shown = read_answer(answer) or self._read(wire, _address(record, _located(answer, work.ref)))
        except Verdict as lost:
            # The write was taken; only the look at it failed. That is no licence to write it again.
            raise Uncertain("target_unclear", f"read-back: {lost}", status=answer.status) from lost
        if not isinstance(member(shown, "id"), str | int):
            # Nothing there, or a 2xx whose body is an error: neither says whether it was written.
            raise Uncertain("target_unclear", f"no record in the answer: {_details(shown)}", status=answer.status)
        return _echo(shown, work, request)

    def _read(self, wire: Wire, path: str) -> Any:
        """The record at ``path``; ``None`` where there is none."""
        answer = wire.call("GET", path, headers={"Accept": JSON})
        if answer.status == 404:
            return None
        judge(self.verdicts, answer, error_text(answer))
        return read_answer(answer)

    def find(self, wire: Wire, work: Work) -> Found:
        """Look by external id. What changes in place must show the fields that were sent."""
        request = Request.load(work.payload)
        shown = self._read(wire, _address(_record_type(work), f"eid:{work.ref}"))
        if shown is None:
            return Found("absent")
        echo = _echo(shown, work, request)
        action = self.actions[work.kind, work.action]
        differs = difference(action.echo, work, echo)
        if differs:
            return Found("ambiguous", echo, "target_echo_differs", differs)
        if not action.once and not _shows(shown, request):
            return Found("absent", echo, said="the record is there and does not show this version")
        return Found("complete", echo)

    def look(self, wire: Wire, kind: str, facts: Mapping[str, str]) -> Sequence[Echo]:
        """Customers with the same tax number, e-mail or name, best evidence first; by SuiteQL."""
        if kind != "customer":
            return []
        found: dict[str, Echo] = {}
        for column, fact in (("vatregnumber", "tax_id"), ("email", "email"), ("companyname", "name")):
            value = facts.get(fact, "")
            if value and "\\" not in value:
                for echo in self._query(wire, column, value):
                    found.setdefault(echo.remote, echo)
        return list(found.values())

    def allows(self, wire: Wire) -> int | None:
        """The account's own limit of calls at once: this integration's share, or what no integration has for itself.

        NetSuite answers an administrator's role only; an internal application is shown no limit.
        """
        answer = wire.call("GET", GOVERNANCE, headers={"Accept": JSON})
        judge(self.verdicts, answer, error_text(answer))
        shown = read_answer(answer)
        limit = member(shown, SHARES.get(str(member(shown, "integrationLimitType")), ""))
        return limit if isinstance(limit, int) and limit > 0 else None

    def _query(self, wire: Wire, column: str, value: str) -> list[Echo]:
        text = value.replace("'", "''")
        query = f"SELECT id, externalid, entityid FROM customer WHERE {column} = '{text}' AND isinactive = 'F'"
        answer = wire.call(
            "POST",
            f"{SUITEQL}?limit=10",
            headers={"Content-Type": JSON, "Accept": JSON, "Prefer": "transient"},
            body=write_json({"q": query}),
        )
        judge(self.verdicts, answer, error_text(answer))
        rows = member(read_answer(answer), "items") or []
        return [
            Echo(str(row["id"]), row.get("externalid") or None, row.get("entityid") or None)
            for row in rows
            if isinstance(row, Mapping) and row.get("id")
        ]


def error_text(answer: Answer) -> str:
    """Codes and sentences of NetSuite's error body (``o:errorDetails``); empty where it is none."""
    if answer.status < 400:
        return ""
    try:
        body = read_answer(answer)
    except Verdict:
        return ""
    return _details(body)


def _details(body: Any) -> str:
    details = member(body, "o:errorDetails")
    parts = [
        f"{detail.get('o:errorCode', '')} {detail.get('detail', '')}".strip()
        for detail in (details if isinstance(details, list) else [])
        if isinstance(detail, Mapping)
    ]
    return "; ".join(parts) or str(member(body, "title") or "")


def _record_type(work: Work) -> str:
    return TYPES[work.kind, work.action][0]


def _address(record: str, ident: str) -> str:
    """Where a record is read: with its lines, where only they tell its total."""
    return f"{RECORDS}/{record}/{ident}" + ("?expandSubResources=true" if record == "journalEntry" else "")


def _located(answer: Answer, ref: str) -> str:
    """The new record's id out of ``Location``; its external id where there is none."""
    ident = answer.headers.get("location", "").split("?")[0].rstrip("/").rpartition("/")[2]
    return ident if ident.isascii() and ident.isdigit() else f"eid:{ref}"


def _echo(shown: Any, work: Work, request: Request) -> Echo:
    sent = read_answer(Answer(0, body=request.body))
    number = member(shown, "tranId") or member(shown, "entityId")
    return Echo(
        remote=str(member(shown, "id") or ""),
        ref=member(shown, "externalId"),
        number=str(number) if number else None,
        currency=_currency(shown, sent, work),
        total=_total(shown, work),
    )


def _currency(shown: Any, sent: Any, work: Work) -> str | None:
    """Our code where the record names the currency that was sent; NetSuite names currencies by id, not by code."""
    there, ours = member(shown, "currency"), member(sent, "currency")
    if not isinstance(there, Mapping):
        return None
    if any(there.get(name) is not None and there[name] == member(ours, name) for name in ("id", "externalId")):
        return work.currency
    return str(there.get("refName") or there.get("id"))


def _total(shown: Any, work: Work) -> int | None:
    """The record's total in minor units; ``None`` where it shows none, or one our currency cannot spell.

    A journal entry has no total: the sum of its debits stands for it, as it does in ours.
    """
    if work.kind == "journal_entry":
        lines = member(shown, "line", "items")
        debits = [member(line, "debit") for line in lines] if isinstance(lines, list) else []
        found = [minor(one, work.currency) for one in debits if one is not None]
        return sum(one for one in found if one is not None) if found and None not in found else None
    amount = member(shown, "total")
    return minor(member(shown, "payment") if amount is None else amount, work.currency)


def _shows(shown: Any, request: Request) -> bool:
    """Whether the record shows each plain field and each reference that was sent (sublists are not compared)."""
    sent = read_answer(Answer(0, body=request.body))
    for name, value in sent.items():
        there = member(shown, name)
        if isinstance(value, Mapping):
            known = {key: value[key] for key in ("id", "externalId") if key in value}
            if any(str(member(there, key)) != str(wanted) for key, wanted in known.items()):
                return False
        elif there != value and not (value in ("", None) and there in ("", None)):
            return False
    return True


TARGET = NetSuite()
