"""QuickBooks Online as a target: customers, invoices, credit memos and payments over the Accounting API (v3).

Class L: no vendor word says how soon a query shows what was written, nor how long a ``requestid`` is remembered. Our
reference stands in the private note, which no query can filter by, so a document is looked for among those of its
customer and day.

A credit memo is applied by a payment of nothing that names it and its invoice, over what is open of the two. One that
is made and not applied although both are open is half of what was asked for; it is always looked for before it is sent.
A void changes the invoice where it stands, and takes its amounts away.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote

from tieout.contract import Action, Budget, Echo, Finds, Found, Quiet, Rate, Reference, Wire, Work
from tieout.core.classify import Answer, Row
from tieout.core.exchange import JSON, Request, behind, difference, judge, member, minor, read_answer
from tieout.core.parse import write_json
from tieout.core.verdicts import NeedsHuman, TryAgain, Uncertain, Verdict

MINOR: Final = "minorversion=75"
HEADERS: Final[Mapping[str, str]] = {"Content-Type": JSON, "Accept": JSON}
LINKED: Final = "LinkedTxn"
#: Of each kind: the entity, the path it is posted to, the field of our reference and that of its number.
SHAPES: Final[Mapping[str, tuple[str, str, str, str]]] = {
    "customer": ("Customer", "/customer", "Notes", "DisplayName"),
    "invoice": ("Invoice", "/invoice", "PrivateNote", "DocNumber"),
    "credit_note": ("CreditMemo", "/creditmemo", "PrivateNote", "DocNumber"),
    "payment": ("Payment", "/payment", "PrivateNote", "PaymentRefNum"),
}
#: Rows of one page of a query, and how many pages are read before a look gives up.
PAGE, PAGES = 1000, 20


class QuickBooks:
    """Posts to and finds in one QuickBooks company; holds nothing."""

    name = "quickbooks"
    auth: Mapping[str, str] = {
        "scheme": "oauth2_refresh",
        "token_path": "/oauth2/v1/tokens/bearer",
        "scope": "com.intuit.quickbooks.accounting",
        "refresh_days": "100",
        "authorize_url": "https://appcenter.intuit.com/connect/oauth2",
        "company": "realmId",
    }
    finds = Finds.LAGGING
    quiet = Quiet(client_timeout=30, longest_processing=120, search_lag=60, clock_skew=5, period=300)
    #: A payment's reference number takes 21 characters.
    reference = Reference("T-", 21)
    #: 500 calls a minute for a company, ten a second for a company and an app.
    budget = Budget(concurrency=5, rates=(Rate(10, 1), Rate(500, 60)))
    actions: Mapping[tuple[str, str], Action] = {
        ("customer", "upsert"): Action("quickbooks.customer", echo=("ref",), once=False),
        ("invoice", "create"): Action("quickbooks.invoice", undo="void"),
        ("invoice", "void"): Action("quickbooks.invoice_void", once=False),
        ("credit_note", "create"): Action("quickbooks.credit_note"),
        ("payment", "create"): Action("quickbooks.payment"),
    }
    verdicts: Sequence[Row] = (
        Row(400, NeedsHuman, "period_closed", says="6210 "),
        # Somebody changed the customer between our read and our write: nothing was written.
        Row(400, TryAgain, "target_conflict", says="5010 "),
        Row(400, NeedsHuman, "target_reference_missing", says="2500 "),
        Row(400, NeedsHuman, "target_reference_missing", says="610 "),
        Row(503, Uncertain, "target_down"),
    )
    batches = False
    ack_due = 0

    def build(self, kind: str, action: str, ref: str, payload: Mapping[str, Any]) -> bytes:
        """One entity as it will be sent and recorded, our reference in its note."""
        _, path, note, number = SHAPES[kind]
        if action == "void":
            text = write_json(payload)
            return Request("POST", f"{path}?operation=void&{_once(ref, text)}{MINOR}", text, HEADERS).dump()
        body = {**payload, note: ref, **({number: ref} if kind == "payment" else {})}
        text = write_json(body)
        once = _once(ref, text) if self.actions[kind, action].once else ""
        return Request("POST", f"{path}?{once}{MINOR}", text, HEADERS).dump()

    def send(self, wire: Wire, work: Sequence[Work]) -> Sequence[Echo | None]:
        """One call, whose answer holds the entity with the total that QuickBooks computed; a customer is read first."""
        return [self._send(wire, one) for one in work]

    def _send(self, wire: Wire, work: Work) -> Echo:
        request = Request.load(work.payload)
        if work.action == "void":
            return self._void(wire, work, request)
        if invoice := _credited(work):
            return self._credit(wire, work, request, invoice)
        body = self._customer(wire, work, request.body) if work.kind == "customer" else request.body
        return _echo(self._written(wire, work.kind, request.path, body), work)

    def _written(self, wire: Wire, kind: str, path: str, body: bytes) -> Mapping[str, Any]:
        """The entity that the answer to a write shows."""
        answer = wire.call("POST", path, headers=HEADERS, body=body)
        judge(self.verdicts, answer, error_text(answer))
        row = member(read_answer(answer), SHAPES[kind][0])
        if not isinstance(row, Mapping) or not row.get("Id"):
            said = error_text(answer) or "no entity in the answer"
            raise Uncertain("target_unclear", f"HTTP {answer.status} {said[:200]}", status=answer.status)
        return row

    def _void(self, wire: Wire, work: Work, request: Request) -> Echo:
        """The invoice at its version, where it is the one that was booked; one of another total is left as it is.

        QuickBooks would void one that is paid, and leave the payment to the customer's credit: that is a person's.
        """
        row = self._one(wire, work.kind, str(_sent(work).get("Id")))
        if not row:
            raise NeedsHuman("target_no_such_thing", "nothing to void", target=self.name, said=str(_sent(work)))
        if not _is_void(row):
            echo = replace(_echo(row, work), ref=work.ref)
            if difference(self.actions[work.kind, work.action].echo, work, echo):
                return echo
            if row.get("Balance") != row.get("TotalAmt"):
                said = f"something is applied to invoice {row.get('DocNumber') or echo.remote}"
                raise NeedsHuman("target_refused", "QuickBooks would set it free", target=self.name, said=said)
            body = write_json({**_sent(work), "SyncToken": row.get("SyncToken")})
            row = self._written(wire, work.kind, request.path, body)
        if not _is_void(row):
            raise Uncertain("target_unclear", "the invoice is not void after its void", status=200)
        return _voided(row, work)

    def _credit(self, wire: Wire, work: Work, request: Request, invoice: str) -> Echo:
        """A credit memo that is there already or is made, and applied."""
        there = self._there(wire, work)
        if len(there) > 1:
            raise Uncertain("target_duplicate", f"{len(there)} with {work.ref}")
        body = write_json({name: value for name, value in _sent(work).items() if name != LINKED})
        row = there[0] if there else self._written(wire, work.kind, request.path, body)
        echo = _echo(row, work)
        if not difference(self.actions[work.kind, work.action].echo, work, echo):
            with behind("applying it", written=not there):
                if (amount := self._unapplied(wire, echo.remote, invoice)) is not None:
                    self._apply(wire, work, echo.remote, invoice, amount)
        return echo

    def _unapplied(self, wire: Wire, memo: str, invoice: str) -> Decimal | None:
        """How much of a credit memo is to be applied to its invoice: what is open of both. ``None`` where nothing is,
        and where their currencies differ: it then stands on account."""
        rows = [self._one(wire, "credit_note", memo), self._one(wire, "invoice", invoice)]
        if not rows[1] or member(rows[0], "CurrencyRef", "value") != member(rows[1], "CurrencyRef", "value"):
            return None
        amounts = [row.get("Balance") for row in rows]
        known = [Decimal(one) for one in amounts if isinstance(one, int | Decimal) and not isinstance(one, bool)]
        if len(known) != len(amounts):
            raise Uncertain("target_unclear", "credit memo or invoice do not show what is open", status=200)
        return min(known) if min(known) > 0 else None

    def _apply(self, wire: Wire, work: Work, memo: str, invoice: str, amount: Decimal) -> None:
        """A payment of nothing over both; QuickBooks itself refuses more than is open."""
        sent = _sent(work)
        _, path, note, number = SHAPES["payment"]
        named = ((invoice, "Invoice"), (memo, "CreditMemo"))
        body = write_json({
            **{name: sent[name] for name in ("CustomerRef", "TxnDate", "CurrencyRef") if name in sent},
            "TotalAmt": 0, note: work.ref, number: work.ref,
            "Line": [{"Amount": amount, LINKED: [{"TxnId": ident, "TxnType": what}]} for ident, what in named],
        })  # fmt: skip
        self._written(wire, "payment", f"{path}?{_once(work.ref, body)}{MINOR}", body)

    def _one(self, wire: Wire, kind: str, ident: str) -> Mapping[str, Any]:
        """A document by its own id; empty where there is none."""
        answer = wire.call("GET", f"{SHAPES[kind][1]}/{quote(ident, safe='')}", headers={"Accept": JSON})
        text = error_text(answer)
        if answer.status == 404 or text.startswith("610 "):
            return {}
        judge(self.verdicts, answer, text)
        row = member(read_answer(answer), SHAPES[kind][0])
        if not isinstance(row, Mapping) or row.get("Id") != ident:
            raise Uncertain("target_unclear", f"HTTP {answer.status} without {kind} {ident}", status=answer.status)
        return row

    def _customer(self, wire: Wire, work: Work, body: bytes) -> bytes:
        """The customer as it is to be written: new, or over the one that carries our reference, at its version."""
        there = self._known(wire, work)
        if not there:
            return body
        if len(there) > 1:
            raise NeedsHuman("found_several", target=self.name, said=f"{len(there)} with {work.ref}")
        sent: Mapping[str, Any] = read_answer(Answer(0, body=body))
        return write_json({**sent, "Id": there[0]["Id"], "SyncToken": there[0].get("SyncToken"), "sparse": True})

    def _known(self, wire: Wire, work: Work) -> list[Mapping[str, Any]]:
        """Customers that carry our reference: under the name we know, else among all, for a name may have changed."""
        name = str(_sent(work).get("DisplayName", ""))
        for where in (f"DisplayName = '{_quoted(name)}' and Active in (true, false)", "Active in (true, false)"):
            found = [row for row in self._query(wire, "customer", where) if row.get("Notes") == work.ref]
            if found:
                return found
        return []

    def find(self, wire: Wire, work: Work) -> Found:
        """Look for our reference among the documents of the customer's day; a customer must show what was sent."""
        if work.action == "void":
            row = self._one(wire, work.kind, str(_sent(work).get("Id")))
            if not row or _is_void(row):
                return Found("complete", _voided(row, work)) if row else Found("absent")
            differs = difference(
                self.actions[work.kind, work.action].echo, work, echo := replace(_echo(row, work), ref=work.ref)
            )
            return Found("ambiguous", echo, "target_echo_differs", differs) if differs else Found("absent")
        rows = self._known(wire, work) if work.kind == "customer" else self._there(wire, work)
        if not rows:
            return Found("absent")
        if len(rows) > 1:
            return Found("ambiguous", None, "found_several", f"{len(rows)} with {work.ref}")
        echo = _echo(rows[0], work)
        action = self.actions[work.kind, work.action]
        differs = difference(action.echo, work, echo)
        if differs:
            return Found("ambiguous", echo, "target_echo_differs", differs)
        if not action.once and not _shows(rows[0], _sent(work)):
            return Found("absent", echo, said="the customer is there and does not show this version")
        invoice = _credited(work)
        half = bool(invoice) and self._unapplied(wire, echo.remote, invoice) is not None
        return Found("partial" if half else "complete", echo)

    def _there(self, wire: Wire, work: Work) -> list[Mapping[str, Any]]:
        """What carries our reference among the documents of the customer's day."""
        sent = _sent(work)
        customer, day = member(sent, "CustomerRef", "value"), sent.get("TxnDate")
        where = f"CustomerRef = '{_quoted(str(customer))}' and TxnDate = '{_quoted(str(day))}'"
        return [row for row in self._query(wire, work.kind, where) if row.get("PrivateNote") == work.ref]

    def look(self, wire: Wire, kind: str, facts: Mapping[str, str]) -> Sequence[Echo]:
        """Active customers with the same name or e-mail, best evidence first (tax numbers cannot be asked for)."""
        if kind != "customer":
            return []
        found: dict[str, Echo] = {}
        for field, fact in (("PrimaryEmailAddr", "email"), ("DisplayName", "name")):
            value = facts.get(fact, "")
            for row in self._query(wire, kind, f"{field} = '{_quoted(value)}'") if value else ():
                shown = member(row, field, "Address") if field == "PrimaryEmailAddr" else row.get(field)
                ident = str(row.get("Id") or "")
                if ident and shown == value:
                    found.setdefault(ident, Echo(ident, row.get("Notes") or None, row.get("DisplayName") or None))
        return list(found.values())

    def _query(self, wire: Wire, kind: str, where: str) -> Iterator[Mapping[str, Any]]:
        entity = SHAPES[kind][0]
        for page in range(PAGES):
            text = f"select * from {entity} where {where} startposition {page * PAGE + 1} maxresults {PAGE}"
            answer = wire.call("GET", f"/query?query={quote(text, safe='')}&{MINOR}", headers={"Accept": JSON})
            judge(self.verdicts, answer, error_text(answer))
            given = member(read_answer(answer), "QueryResponse")
            if not isinstance(given, Mapping):
                raise Uncertain("target_unclear", f"HTTP {answer.status} without rows", status=answer.status)
            listed = given.get(entity, [])
            rows = [row for row in listed if isinstance(row, Mapping)] if isinstance(listed, list) else []
            yield from rows
            if len(rows) < PAGE:
                return
        raise Uncertain("target_unclear", f"more than {PAGE * PAGES} rows", status=200)


def _once(ref: str, body: bytes) -> str:
    """The parameter by which QuickBooks answers again what it answered."""
    return f"requestid={ref}-{hashlib.sha256(body).hexdigest()[:16]}&"


def _credited(work: Work) -> str:
    """The invoice that was recorded with a credit memo; empty where there is none."""
    linked = _sent(work).get(LINKED) if work.kind == "credit_note" else None
    return str(member(linked[0], "TxnId") or "") if isinstance(linked, list) and linked else ""


def _is_void(row: Mapping[str, Any]) -> bool:
    """Whether an invoice is void: it stays, without amounts, and its note says so."""
    return row.get("TotalAmt") == 0 and str(row.get("PrivateNote") or "").startswith("Voided")


def _voided(row: Mapping[str, Any], work: Work) -> Echo:
    """An invoice that is void. That it was the one that was meant its id says, and all of its total is taken back."""
    return replace(_echo(row, work), ref=work.ref, total=work.total)


def _quoted(text: str) -> str:
    """A text inside the query language's quotation marks."""
    return text.replace("\\", "\\\\").replace("'", "\\'")


def _sent(work: Work) -> Mapping[str, Any]:
    """What was recorded to be sent."""
    body: Mapping[str, Any] = read_answer(Answer(0, body=Request.load(work.payload).body))
    return body


def error_text(answer: Answer) -> str:
    """Code and sentence of each error, ``6210 Account Period Closed: ...``; empty where the answer holds none."""
    try:
        body = read_answer(answer)
    except Verdict:
        return ""
    errors = member(body, "Fault", "Error")
    return "; ".join(
        f"{member(error, 'code') or 0} {member(error, 'Message') or ''}: {member(error, 'Detail') or ''}"
        for error in (errors if isinstance(errors, list) else [])
    )


def _echo(row: Mapping[str, Any], work: Work) -> Echo:
    _, _, note, number = SHAPES[work.kind]
    currency, total = member(row, "CurrencyRef", "value"), row.get("TotalAmt")
    return Echo(
        remote=str(row.get("Id") or ""),
        ref=row.get(note),
        number=str(row[number]) if row.get(number) else None,
        currency=str(currency) if currency else None,
        total=minor(total, work.currency),
    )


def _shows(row: Mapping[str, Any], sent: Mapping[str, Any]) -> bool:
    """Whether the customer shows each field that was sent, and each member of what is a group."""
    return all(
        _shows(shown, value) if isinstance(value, Mapping) and isinstance(shown := row.get(name), Mapping)
        else row.get(name) == value
        for name, value in sent.items()
    )  # fmt: skip


TARGET = QuickBooks()
