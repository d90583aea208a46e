"""Xero as a target, over the Accounting API: one call a document, whose answer shows the whole of it.

Class L: `Reference` is searchable and not unique, and Xero does not publish how soon a search sees a write nor how long
an idempotency key is remembered. So a doubtful write is always looked for first; the key (of create-once actions, made
of our reference and the bytes) stands behind that, for a resend that overtakes its own first attempt.

`summarizeErrors=true` is sent because the published default is *false*, under which a refused document comes back with
HTTP 200. Refusals inside a 200 are understood all the same.

A credit note is allocated to its invoice by a second call, over what is open of the two and never more. One that is
made and not allocated although both are open is half of what was asked for: it is looked for before it is sent, always,
so that the next send goes on with it. A void changes the invoice in place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote

from tieout.contract import Action, Budget, Echo, Finds, Found, Quiet, Rate, Reference, Wire, Work
from tieout.core.classify import Answer, Row, classify
from tieout.core.exchange import JSON, Request, behind, difference, judge, member, minor, read_answer
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
ALLOCATIONS: Final = "Allocations"
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
        "authorize_url": "https://login.xero.com/identity/connect/authorize",
        "pkce": "S256",
    }
    finds = Finds.LAGGING
    quiet = Quiet(client_timeout=30, longest_processing=120, search_lag=60, clock_skew=5, period=300)
    reference = Reference("TIE-", 30)
    #: Five calls at once, sixty a minute and 5,000 a day for one organisation.
    budget = Budget(concurrency=5, rates=(Rate(60, 60), Rate(5000, 86_400)))
    actions: Mapping[tuple[str, str], Action] = {
        ("customer", "upsert"): Action("xero.customer", echo=("ref",), once=False),
        ("invoice", "create"): Action("xero.invoice", undo="void"),
        ("invoice", "void"): Action("xero.invoice_void", once=False),
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
        listed, ident, reference, _, total = SHAPES[kind]
        if action == "void":
            path, body = f"{API}/{listed}/{quote(str(payload[ident]), safe='')}", write_json({listed: [payload]})
            headers = {"Content-Type": JSON, "Accept": JSON, "Idempotency-Key": _key(ref, body)}
            return Request("POST", path, body, headers).dump()
        body = write_json({listed: [{**payload, reference: ref}]})
        headers = {"Content-Type": JSON, "Accept": JSON}
        if self.actions[kind, action].once:
            headers["Idempotency-Key"] = _key(ref, body)
        # Without unitdp a unit price of more than two decimals is rounded without a word.
        query = "summarizeErrors=true" + ("&unitdp=4" if total == "Total" else "")
        method = "PUT" if self.actions[kind, action].once else "POST"
        return Request(method, f"{API}/{listed}?{query}", body, headers).dump()

    def send(self, wire: Wire, work: Sequence[Work]) -> Sequence[Echo | None]:
        """One call; the answer holds the document with the total that Xero computed."""
        return [self._send(wire, one) for one in work]

    def _send(self, wire: Wire, work: Work) -> Echo:
        request = Request.load(work.payload)
        if work.action == "void":
            return self._void(wire, work, request)
        allocation = _allocation(work)
        there = self._alive(wire, work) if allocation else []
        if len(there) > 1:
            raise Uncertain("target_duplicate", f"{len(there)} with {work.ref}")
        row = there[0] if there else self._written(wire, work, request)
        echo = _echo(row, work)
        if allocation and not difference(self.actions[work.kind, work.action].echo, work, echo):
            with behind("allocating it", written=not there):
                self._allocate(wire, work, echo.remote, allocation)
        return echo

    def _written(self, wire: Wire, work: Work, request: Request) -> Mapping[str, Any]:
        """The document that the answer to a recorded request shows."""
        body = request.body
        if _allocation(work):  # it is a call of its own
            listed = SHAPES[work.kind][0]
            body = write_json({listed: [{name: value for name, value in _sent(work).items() if name != ALLOCATIONS}]})
        headers = {**request.headers, **_tenant(wire)}
        answer = wire.call(request.method, request.path, headers=headers, body=body)
        if self.actions[work.kind, work.action].once and self._refuses(answer):
            # Under its key it may be the refusal of an earlier day, and nothing was made under it: once more, anew.
            fresh = {**headers, "Idempotency-Key": f"{headers['Idempotency-Key']}-{work.now:%Y%m%d%H%M%S}"}
            answer = wire.call(request.method, request.path, headers=fresh, body=body)
        judge(self.verdicts, answer, error_text(answer))
        rows = _rows(read_answer(answer), work.kind)
        if len(rows) != 1 or _refused(rows[0]) or not member(rows[0], SHAPES[work.kind][1]):
            said = error_text(answer) or "no document in the answer"
            raise Uncertain("target_unclear", f"HTTP {answer.status} {said[:200]}", status=answer.status)
        return rows[0]

    def _refuses(self, answer: Answer) -> bool:
        """Whether Xero says no for good to what was sent, and not to its key."""
        said = error_text(answer)
        verdict = classify(self.verdicts, answer, said) if answer.status == 400 else None
        return isinstance(verdict, NeedsHuman) and "idempotency" not in said.casefold()

    def _void(self, wire: Wire, work: Work, request: Request) -> Echo:
        """The invoice as it shows that it is void. One that is void already Xero refuses, and so it is read then."""
        try:
            row = self._written(wire, work, request)
        except NeedsHuman:
            found = self.find(wire, work)
            if found.state != "complete" or found.echo is None:
                raise
            return found.echo
        if row.get("Status") not in DEAD:
            raise Uncertain("target_unclear", f"the invoice is {row.get('Status')} after its void", status=200)
        return _gone(row, work)

    def _unallocated(self, wire: Wire, ident: str, allocation: Mapping[str, Any]) -> Decimal | None:
        """How much of a credit note is to be allocated to its invoice; ``None`` where nothing is.

        That is so where it is allocated there already, where nothing is open of the one or the other, and where their
        currencies differ: it then stands on account.
        """
        invoice = str(member(allocation, "Invoice", "InvoiceID"))
        note, owed = self._one(wire, "credit_note", ident), self._one(wire, "invoice", invoice)
        listed = note.get(ALLOCATIONS)
        if any(member(one, "Invoice", "InvoiceID") == invoice for one in (listed if isinstance(listed, list) else ())):
            return None
        if note.get("CurrencyCode") != owed.get("CurrencyCode") or owed.get("Status") != "AUTHORISED":
            return None
        amounts = [allocation.get("Amount"), note.get("RemainingCredit"), owed.get("AmountDue")]
        known = [Decimal(one) for one in amounts if isinstance(one, int | Decimal) and not isinstance(one, bool)]
        if len(known) != len(amounts):
            raise Uncertain("target_unclear", "credit note or invoice do not show what is open", status=200)
        return min(known) if min(known) > 0 else None

    def _allocate(self, wire: Wire, work: Work, ident: str, allocation: Mapping[str, Any]) -> None:
        """Allocate what is open of both; Xero itself refuses more."""
        amount = self._unallocated(wire, ident, allocation)
        if amount is None:
            return
        body = write_json({ALLOCATIONS: [{**allocation, "Amount": amount}]})
        path = f"{API}/{SHAPES['credit_note'][0]}/{quote(ident, safe='')}/{ALLOCATIONS}?summarizeErrors=true"
        headers = {"Content-Type": JSON, "Accept": JSON, "Idempotency-Key": _key(work.ref, body), **_tenant(wire)}
        answer = wire.call("PUT", path, headers=headers, body=body)
        judge(self.verdicts, answer, error_text(answer))
        rows = member(read_answer(answer), ALLOCATIONS)
        if not isinstance(rows, list) or len(rows) != 1 or not isinstance(rows[0], Mapping) or _refused(rows[0]):
            said = error_text(answer) or "no allocation in the answer"
            raise Uncertain("target_unclear", f"HTTP {answer.status} {said[:200]}", status=answer.status)

    def _one(self, wire: Wire, kind: str, ident: str) -> Mapping[str, Any]:
        """A document by its own id, whole; empty where there is none."""
        listed, field, *_ = SHAPES[kind]
        path = f"{API}/{listed}/{quote(ident, safe='')}?unitdp=4"
        answer = wire.call("GET", path, headers={"Accept": JSON, **_tenant(wire)})
        if answer.status == 404:
            return {}
        judge(self.verdicts, answer, error_text(answer))
        body = read_answer(answer)
        if not isinstance(member(body, listed), list):
            raise Uncertain("target_unclear", f"HTTP {answer.status} without {listed}", status=answer.status)
        return next((row for row in _rows(body, kind) if row.get(field) == ident), {})

    def find(self, wire: Wire, work: Work) -> Found:
        """Look by our reference. A contact must show the fields that were sent."""
        if work.action == "void":
            row = self._one(wire, work.kind, str(_sent(work)[SHAPES[work.kind][1]]))
            if row.get("Status") not in DEAD:
                return Found("absent", said=f"the invoice is {row.get('Status', 'not there')}")
            echo = _gone(row, work)
            differs = difference(self.actions[work.kind, work.action].echo, work, echo)
            return Found(
                "ambiguous" if differs else "complete", echo, "target_echo_differs" if differs else "", differs
            )
        alive = self._alive(wire, work)
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
        allocation = _allocation(work)
        half = bool(allocation) and self._unallocated(wire, echo.remote, allocation) is not None
        return Found("partial" if half else "complete", echo)

    def _alive(self, wire: Wire, work: Work) -> list[Mapping[str, Any]]:
        """What carries our reference and lives."""
        rows = self._query(wire, work.kind, SHAPES[work.kind][2], work.ref)
        return [row for row in rows if row.get("Status") not in DEAD]

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


def _key(ref: str, body: bytes) -> str:
    return f"{ref}-{hashlib.sha256(body).hexdigest()[:16]}"


def _sent(work: Work) -> Mapping[str, Any]:
    """The recorded document."""
    return _rows(read_answer(Answer(0, body=Request.load(work.payload).body)), work.kind)[0]


def _allocation(work: Work) -> Mapping[str, Any]:
    """The allocation that was recorded with a credit note; empty where there is none."""
    recorded = _sent(work).get(ALLOCATIONS)
    return recorded[0] if isinstance(recorded, list) and recorded and isinstance(recorded[0], Mapping) else {}


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
    lists = [
        member(body, "Elements"),
        member(body, ALLOCATIONS),
        *(member(body, shape[0]) for shape in SHAPES.values()),
    ]
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


def _gone(row: Mapping[str, Any], work: Work) -> Echo:
    """An invoice that is void, which keeps its own reference and its total: that it was meant, its id says."""
    return replace(_echo(row, work), ref=work.ref)


def _shows(row: Mapping[str, Any], work: Work) -> bool:
    """Whether the contact shows each plain field that was sent (addresses are not compared)."""
    return all(row.get(name) == value for name, value in _sent(work).items() if not isinstance(value, list | Mapping))


TARGET = Xero()
