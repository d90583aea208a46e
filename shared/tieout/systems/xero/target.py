"""Xero as a target, over the Accounting API: one call a document, whose answer shows the whole of it.

Class L: `Reference` is searchable and not unique, and Xero does not publish how soon a search sees a write nor how long
an idempotency key is remembered. So a doubtful write is always looked for first; the key (of create-once actions, made
of our reference and the bytes) stands behind that, for a resend that overtakes its own first attempt.

`summarizeErrors=true` is sent because the published default is *false*, under which a refused document comes back with
HTTP 200. Refusals inside a 200 are understood all the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from tieout.contract import Action, Budget, Echo, Finds, Found, Quiet, Rate, Reference, Wire, Work
from tieout.core.classify import Answer, Row
from tieout.core.exchange import JSON, Request, difference, judge, member, minor, read_answer
from tieout.core.parse import write_json
from tieout.core.verdicts import NeedsHuman, Uncertain, Verdict

API: Final = "/api.xro/2.0"
#: Of each kind: endpoint (and the name of its list), the field of its id, of our reference, of its number and total.
SHAPES: Final[Mapping[str, tuple[str, str, str, str, str]]] = {
    "customer": ("Contacts", "ContactID", "ContactNumber", "Name", ""),
    "invoice": ("Invoices", "InvoiceID", "Reference", "InvoiceNumber", "Total"),
    "credit_note": ("CreditNotes", "CreditNoteID", "Reference", "CreditNoteNumber", "Total"),
    "payment": ("Payments", "PaymentID", "Reference", "", "Amount"),
}
#: What lives no more: a document in one of these states is none.
DEAD: Final = frozenset({"DELETED", "VOIDED"})


class Xero:
    """Posts to and finds in one Xero organisation; holds nothing."""

    name = "xero"
    auth: Mapping[str, str] = {
        "scheme": "oauth2_refresh",
        "token_path": "/connect/token",
        "scope": "offline_access accounting.transactions accounting.contacts",
        "refresh_days": "60",
    }
    finds = Finds.LAGGING
    quiet = Quiet(client_timeout=30, longest_processing=120, search_lag=60, clock_skew=5, period=300)
    reference = Reference("TIE-", 30)
    #: Five calls at once, sixty a minute and 5,000 a day for one organisation.
    budget = Budget(concurrency=5, rates=(Rate(60, 60), Rate(5000, 86_400)))
    actions: Mapping[tuple[str, str], Action] = {
        ("customer", "upsert"): Action("xero.customer", echo=("ref",), once=False),
        ("invoice", "create"): Action("xero.invoice"),
        ("credit_note", "create"): Action("xero.credit_note"),
        ("payment", "create"): Action("xero.payment"),
    }
    verdicts: Sequence[Row] = (
        Row(400, NeedsHuman, "period_closed", says="lock date"),
        Row(200, NeedsHuman, "period_closed", says="lock date"),
        Row(503, Uncertain, "target_down"),
    )
    batches = False
    ack_due = 0

    def build(self, kind: str, action: str, ref: str, payload: Mapping[str, Any]) -> bytes:
        """One document as it will be sent and recorded, our reference in the field where it is looked for."""
        listed, _, reference, _, total = SHAPES[kind]
        body = write_json({listed: [{**payload, reference: ref}]})
        headers = {"Content-Type": JSON, "Accept": JSON}
        if self.actions[kind, action].once:
            headers["Idempotency-Key"] = f"{ref}-{hashlib.sha256(body).hexdigest()[:16]}"
        # Without unitdp a unit price of more than two decimals is rounded without a word.
        query = "summarizeErrors=true" + ("&unitdp=4" if total == "Total" else "")
        method = "PUT" if self.actions[kind, action].once else "POST"
        return Request(method, f"{API}/{listed}?{query}", body, headers).dump()

    def send(self, wire: Wire, work: Sequence[Work]) -> Sequence[Echo | None]:
        """One call; the answer holds the document with the total that Xero computed."""
        return [self._send(wire, one) for one in work]

    def _send(self, wire: Wire, work: Work) -> Echo:
        request = Request.load(work.payload)
        answer = wire.call(
            request.method, request.path, headers={**request.headers, **_tenant(wire)}, body=request.body
        )
        judge(self.verdicts, answer, error_text(answer))
        rows = _rows(read_answer(answer), work.kind)
        if len(rows) != 1 or _refused(rows[0]) or not member(rows[0], SHAPES[work.kind][1]):
            said = error_text(answer) or "no document in the answer"
            raise Uncertain("target_unclear", f"HTTP {answer.status} {said[:200]}", status=answer.status)
        return _echo(rows[0], work)

    def find(self, wire: Wire, work: Work) -> Found:
        """Look by our reference. A contact must show the fields that were sent."""
        _, _, reference, _, _ = SHAPES[work.kind]
        alive = [row for row in self._query(wire, work.kind, reference, work.ref) if row.get("Status") not in DEAD]
        if not alive:
            return Found("absent")
        if len(alive) > 1:
            return Found("ambiguous", None, "found_several", f"{len(alive)} with {work.ref}")
        echo = _echo(alive[0], work)
        action = self.actions[work.kind, work.action]
        differs = difference(action.echo, work, echo)
        if differs:
            return Found("ambiguous", echo, "target_echo_differs", differs)
        if not action.once and not _shows(alive[0], work):
            return Found("absent", echo, said="the contact is there and does not show this version")
        return Found("complete", echo)

    def look(self, wire: Wire, kind: str, facts: Mapping[str, str]) -> Sequence[Echo]:
        """Contacts with the same tax number, e-mail or name, best evidence first."""
        if kind != "customer":
            return []
        found: dict[str, Echo] = {}
        for field, fact in (("TaxNumber", "tax_id"), ("EmailAddress", "email"), ("Name", "name")):
            value = facts.get(fact, "")
            # Xero documents no way to spell a quotation mark inside a filter.
            if not value or '"' in value or "\\" in value:
                continue
            for row in self._query(wire, kind, field, value):
                if row.get("ContactStatus", "ACTIVE") == "ACTIVE":
                    ident = str(row.get("ContactID") or "")
                    found.setdefault(ident, Echo(ident, row.get("ContactNumber") or None, row.get("Name") or None))
        return list(found.values())

    def _query(self, wire: Wire, kind: str, field: str, value: str) -> list[Mapping[str, Any]]:
        listed = SHAPES[kind][0]
        where = quote(f'{field}=="{value}"', safe="")
        archived = "&includeArchived=true" if kind == "customer" else ""
        answer = wire.call("GET", f"{API}/{listed}?where={where}{archived}", headers={"Accept": JSON, **_tenant(wire)})
        judge(self.verdicts, answer, error_text(answer))
        body = read_answer(answer)
        if not isinstance(member(body, listed), list):
            raise Uncertain("target_unclear", f"HTTP {answer.status} without {listed}", status=answer.status)
        # The filter is the vendor's; that what it gave is what was asked for is ours to see.
        return [row for row in _rows(body, kind) if row.get(field) == value]


def _tenant(wire: Wire) -> Mapping[str, str]:
    """The organisation that is meant, out of the account's settings: one connection may reach several."""
    tenant = wire.settings.get("tenant_id", "")
    return {"xero-tenant-id": tenant} if tenant else {}


def _rows(body: Any, kind: str) -> list[Mapping[str, Any]]:
    listed = member(body, SHAPES[kind][0])
    return [row for row in listed if isinstance(row, Mapping)] if isinstance(listed, list) else []


def _refused(row: Mapping[str, Any]) -> bool:
    return bool(
        row.get("ValidationErrors")
        or row.get("HasErrors") is True
        or row.get("HasValidationErrors") is True
        or row.get("StatusAttributeString") == "ERROR"
    )


def error_text(answer: Answer) -> str:
    """Sentences of the validation errors, wherever they stand; empty where the answer holds none."""
    try:
        body = read_answer(answer)
    except Verdict:
        return ""
    lists = [member(body, "Elements"), *(member(body, shape[0]) for shape in SHAPES.values())]
    errors = [
        str(member(error, "Message") or "")
        for rows in lists
        if isinstance(rows, list)
        for row in rows
        if isinstance(errors := member(row, "ValidationErrors"), list)
        for error in errors
    ]
    if answer.status < 400:
        return "; ".join(errors)
    return "; ".join(errors) or str(member(body, "Message") or member(body, "Detail") or "")


def _echo(row: Mapping[str, Any], work: Work) -> Echo:
    _, ident, reference, number, total = SHAPES[work.kind]
    holder = member(row, "Invoice") if work.kind == "payment" else row
    currency = member(holder, "CurrencyCode")
    return Echo(
        remote=str(row.get(ident) or ""),
        ref=row.get(reference),
        number=str(row[number]) if number and row.get(number) else None,
        currency=str(currency) if currency else None,
        total=minor(row.get(total), work.currency),
    )


def _shows(row: Mapping[str, Any], work: Work) -> bool:
    """Whether the contact shows each plain field that was sent (addresses are not compared)."""
    sent = _rows(read_answer(Answer(0, body=Request.load(work.payload).body)), work.kind)[0]
    return all(row.get(name) == value for name, value in sent.items() if not isinstance(value, list | Mapping))


TARGET = Xero()
