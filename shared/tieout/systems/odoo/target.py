"""Odoo as a target, over its JSON-2 API (19 and later): partners, invoices, their voids, credit notes and payments.

Class S: our reference is searchable at once and not unique, so each write is looked for first. A call is one
transaction, so a document is made as a draft and posted by a second call: a draft that carries our reference is posted,
never made again. Posting moves a date behind the lock date to the first open day without a word, so the date is
compared beside reference, currency and total. Posting a refund sets it against the invoice that it names, as far as
that is open; where a module keeps Odoo from it, the refund is half of what was asked for, and the next send does it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from tieout.contract import Action, Budget, Echo, Finds, Found, Quiet, Reference, Wire, Work
from tieout.core.classify import Answer, Row
from tieout.core.exchange import JSON, Request, behind, difference, judge, member, minor, read_answer
from tieout.core.parse import write_json
from tieout.core.verdicts import NeedsHuman, TryAgain, Uncertain, Verdict

API: Final = "/json/2"
#: One invoice is paid by Odoo's own wizard: it posts the payment and settles the invoice in one transaction.
WIZARD: Final = "account.payment.register"
ENTRY: Final = "account.move"


@dataclass(frozen=True)
class Shape:
    """One kind in Odoo's words: its model, the field of our reference, the field of its total, what is dead."""

    model: str
    reference: str
    total: str = "amount_total"
    dead: tuple[str, ...] = ("cancel",)

    @property
    def fields(self) -> list[str]:
        """What is read of a document."""
        more = ["amount_residual"] if self.model == ENTRY else []
        return ["name", self.reference, "state", "date", "currency_id", self.total, *more]


SHAPES: Final[Mapping[str, Shape]] = {
    "customer": Shape("res.partner", "ref"),
    "invoice": Shape(ENTRY, "ref"),
    "credit_note": Shape(ENTRY, "ref"),
    "payment": Shape("account.payment", "memo", "amount", ("canceled", "rejected")),
}


class Odoo:
    """Posts to and finds in one company of an Odoo database; holds nothing."""

    name = "odoo"
    auth: Mapping[str, str] = {"scheme": "bearer_key", "field": "api_key", "key_days": "90"}
    finds = Finds.SEARCHABLE
    quiet = Quiet(client_timeout=30, longest_processing=120, search_lag=0, clock_skew=5, period=240)
    reference = Reference("TIE-", 30)
    #: Nothing is published; two workers of a small installation are left to its people.
    budget = Budget(concurrency=2)
    actions: Mapping[tuple[str, str], Action] = {
        ("customer", "upsert"): Action("odoo.customer", echo=("ref",), once=False),
        ("invoice", "create"): Action("odoo.invoice", undo="void"),
        ("invoice", "void"): Action("odoo.invoice_void", dated=True),
        ("credit_note", "create"): Action("odoo.credit_note"),
        ("payment", "create"): Action("odoo.payment"),
    }
    verdicts: Sequence[Row] = (
        Row(422, NeedsHuman, "period_closed", says="lock date"),
        # A record that somebody else holds: the transaction was rolled back.
        Row(409, TryAgain, "target_conflict", says="lockerror"),
        Row(404, NeedsHuman, "target_reference_missing", says="missingerror"),
        Row(503, Uncertain, "target_down"),
    )
    batches = False
    ack_due = 0

    def build(self, kind: str, action: str, ref: str, payload: Mapping[str, Any]) -> bytes:
        """The record as it will be made, our reference in it; of a payment, the wizard that is to be opened."""
        if kind == "payment":
            values = {**_typed({k: v for k, v in payload.items() if k != "invoice_id"}), "communication": ref}
            body: dict[str, Any] = {"vals_list": [values], "context": _paying(payload["invoice_id"])}
            return _request(WIZARD, "create", body)
        return _request(SHAPES[kind].model, "create", {"vals_list": [{**_typed(payload), SHAPES[kind].reference: ref}]})

    def send(self, wire: Wire, work: Sequence[Work]) -> Sequence[Echo | None]:
        """Look, make what is not there, and post it; a draft that says something else is shown and left a draft."""
        return [self._send(wire, one) for one in work]

    def _send(self, wire: Wire, work: Work) -> Echo:
        there = self._query(wire, work)
        if len(there) > 1:
            raise Uncertain("target_duplicate", f"{len(there)} with {work.ref}")
        if work.kind == "customer":
            return self._partner(wire, work, there)
        if work.kind == "payment":
            return _echo(there[0], work) if there else self._pay(wire, work)
        if not there:
            request = Request.load(work.payload)
            made = self._call(wire, request.path, request.body)
            if not (isinstance(made, list) and len(made) == 1 and isinstance(made[0], int)):
                raise Uncertain("target_unclear", "an answer without the id that was made", status=200)
            there = self._again(wire, work)
        row = there[0]
        posted = row.get("state") == "posted"
        if row.get("state") == "draft" and not _differs(row, work):
            self._post(wire, work, row)
            row = self._again(wire, work)[0]
        if moved := _moved(row, work):
            raise Uncertain("target_echo_differs", moved, difference=moved)
        if row.get("state") == "posted":
            with behind("setting against its invoice", written=not posted):
                self._settle(wire, work, row)
        return _echo(row, work)

    def _settle(self, wire: Wire, work: Work, row: Mapping[str, Any]) -> None:
        """Set a posted refund against its invoice, where something is left of both: never more than is open."""
        if (invoice := self._unsettled(wire, work, row)) is not None:
            self._assign(wire, invoice, row)
            left = self._unsettled(wire, work, self._again(wire, work)[0])
            if left is not None:
                raise Uncertain("target_unclear", f"still open beside invoice {left}")

    def _unsettled(self, wire: Wire, work: Work, row: Mapping[str, Any]) -> int | None:
        """The id of the invoice that a posted refund is not set against although both are open; ``None`` where none."""
        invoice = _values(work).get("reversed_entry_id")
        if invoice is None or not _open(row):
            return None
        rows = self._search(wire, ENTRY, [["id", "=", invoice]], ["state", "amount_residual"])
        return invoice if any(one.get("state") == "posted" and _open(one) for one in rows) else None

    def _assign(self, wire: Wire, invoice: int, row: Mapping[str, Any]) -> None:
        """What a person does who picks an outstanding credit on an invoice."""
        domain = [["move_id", "=", row["id"]], ["account_type", "=", "asset_receivable"], ["reconciled", "=", False]]
        for line in self._search(wire, "account.move.line", domain, ["reconciled"]):
            body = {"ids": [invoice], "line_id": line["id"]}
            self._call(wire, f"{API}/{ENTRY}/js_assign_outstanding_line", write_json(body))

    def _post(self, wire: Wire, work: Work, row: Mapping[str, Any]) -> None:
        """Post a draft. A refusal leaves the draft, which is in no book."""
        body = write_json({"ids": [row["id"]]})
        try:
            self._call(wire, f"{API}/{SHAPES[work.kind].model}/action_post", body)
        except (NeedsHuman, Uncertain):
            raise
        except Verdict as lost:
            raise Uncertain("target_unclear", f"post: {lost}") from lost

    def _partner(self, wire: Wire, work: Work, there: Sequence[Mapping[str, Any]]) -> Echo:
        request = Request.load(work.payload)
        if there:
            body = {"ids": [there[0]["id"]], "vals": _values(work)}
            self._call(wire, f"{API}/res.partner/write", write_json(body))
        else:
            self._call(wire, request.path, request.body)
        return _echo(self._again(wire, work)[0], work)

    def _pay(self, wire: Wire, work: Work) -> Echo:
        """Open the wizard, which books nothing yet, and let it make the payment."""
        request = Request.load(work.payload)
        opened = read_answer(judge(self.verdicts, self._asked(wire, request.path, request.body), ""))
        if not (isinstance(opened, list) and opened and isinstance(opened[0], int)):
            raise Uncertain("target_unclear", "an answer without the id of the wizard", status=200)
        context = member(read_answer(Answer(0, body=request.body)), "context")
        self._call(
            wire, f"{API}/{WIZARD}/action_create_payments", write_json({"ids": opened[:1], "context": context})
        )  # fmt: skip
        return _echo(self._again(wire, work)[0], work)

    def _again(self, wire: Wire, work: Work) -> list[Mapping[str, Any]]:
        """The one record behind a write that was taken; whatever fails here leaves everything open."""
        try:
            there = self._query(wire, work)
        except Verdict as lost:
            raise Uncertain("target_unclear", f"read back: {lost}") from lost
        if len(there) != 1:
            raise Uncertain("target_unclear", f"{len(there)} with {work.ref} behind a write", status=200)
        return there

    def find(self, wire: Wire, work: Work) -> Found:
        """Look by our reference: a draft is half of it, a partner must show the fields that were sent."""
        there = self._query(wire, work)
        if not there:
            return Found("absent")
        if len(there) > 1:
            return Found("ambiguous", None, "found_several", f"{len(there)} with {work.ref}")
        row, echo = there[0], _echo(there[0], work)
        if work.kind == "customer":
            if any(row.get(name) != value for name, value in _values(work).items()):
                return Found("absent", echo, said="the partner is there and does not show this version")
            return Found("complete", echo)
        differs = _differs(row, work)
        if differs:
            return Found("ambiguous", echo, "target_echo_differs", differs)
        half = row.get("state") == "draft" or self._unsettled(wire, work, row) is not None
        return Found("partial" if half else "complete", echo)

    def look(self, wire: Wire, kind: str, facts: Mapping[str, str]) -> Sequence[Echo]:
        """Partners with the same tax number, e-mail or name, best evidence first."""
        if kind != "customer":
            return []
        found: dict[str, Echo] = {}
        for field, fact in (("vat", "tax_id"), ("email", "email"), ("name", "name")):
            if value := facts.get(fact, ""):
                for row in self._search(wire, "res.partner", [[field, "=", value]], ["name", "ref", field]):
                    if row.get(field) == value:
                        ident = str(row["id"])
                        found.setdefault(ident, Echo(ident, row.get("ref") or None, row.get("name") or None))
        return list(found.values())

    def _query(self, wire: Wire, work: Work) -> list[Mapping[str, Any]]:
        """What carries our reference and is alive, in the company that is meant."""
        shape = SHAPES[work.kind]
        domain: list[Any] = [[shape.reference, "=", work.ref]]
        fields = shape.fields
        if work.kind == "customer":
            fields = ["name", "ref", "email", "vat", "is_company"]
        else:
            domain.append(["company_id", "=", _whole("company", wire.settings.get("company"))])
        rows = self._search(wire, shape.model, domain, fields)
        return [row for row in rows if row.get(shape.reference) == work.ref and row.get("state") not in shape.dead]

    def _search(self, wire: Wire, model: str, domain: list[Any], fields: list[str]) -> list[Mapping[str, Any]]:
        body = write_json({"domain": domain, "fields": fields, "limit": 10})
        answer = self._asked(wire, f"{API}/{model}/search_read", body)
        judge(self.verdicts, answer, error_text(answer))
        rows = read_answer(answer)
        if not isinstance(rows, list):
            raise Uncertain("target_unclear", f"HTTP {answer.status} without a list", status=answer.status)
        return [row for row in rows if isinstance(row, Mapping) and isinstance(row.get("id"), int)]

    def _call(self, wire: Wire, path: str, body: bytes) -> Any:
        """A method that changes something; what it returns."""
        answer = self._asked(wire, path, body)
        judge(self.verdicts, answer, error_text(answer))
        return read_answer(answer)

    def _asked(self, wire: Wire, path: str, body: bytes) -> Answer:
        database = wire.settings.get("database", "")
        headers = {"Content-Type": JSON, **({"X-Odoo-Database": database} if database else {})}
        return wire.call("POST", path, headers=headers, body=body)


def _request(model: str, method: str, body: Mapping[str, Any]) -> bytes:
    return Request("POST", f"{API}/{model}/{method}", write_json(body), {"Content-Type": JSON}).dump()


def _values(work: Work) -> Mapping[str, Any]:
    """The values that were sent."""
    values: Mapping[str, Any] = member(read_answer(Answer(0, body=Request.load(work.payload).body)), "vals_list")[0]
    return values


def _open(row: Mapping[str, Any]) -> bool:
    """Whether something of an entry is not set against anything; the sum itself is Odoo's to count."""
    residual = row.get("amount_residual")
    return isinstance(residual, int | Decimal) and residual != 0


def _paying(invoice: Any) -> dict[str, Any]:
    return {"active_model": "account.move", "active_ids": [_whole("invoice_id", invoice)]}


def _typed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as Odoo types them: ids are whole numbers, lines and taxes are commands (create; set)."""
    typed: dict[str, Any] = {}
    for name, value in values.items():
        if name == "invoice_line_ids":
            typed[name] = [[0, 0, _typed(line)] for line in value]
        elif name == "tax_ids":
            typed[name] = [[6, 0, [_whole(name, value)]]]
        else:
            typed[name] = _whole(name, value) if name.endswith("_id") else value
    return typed


def _whole(name: str, value: Any) -> int:
    """An id out of the governed tables or a link. Raises ``NeedsHuman('target_no_such_thing')``."""
    text = str(value)
    if not (text.isascii() and text.isdigit()):
        raise NeedsHuman("target_no_such_thing", f"{name} is no id of Odoo", target="odoo", said=f"{name} {text[:40]}")
    return int(text)


def _differs(row: Mapping[str, Any], work: Work) -> str:
    return difference(TARGET.actions[work.kind, work.action].echo, work, _echo(row, work)) or _moved(row, work)


def _moved(row: Mapping[str, Any], work: Work) -> str:
    """How the day of the books differs from ours; empty where it does not."""
    sent = _values(work)
    day = sent.get("date") or sent.get("payment_date")
    return "" if row.get("date") == day else f"date {row.get('date')} for {day}"


def error_text(answer: Answer) -> str:
    """Class and sentence of a refusal (``odoo.exceptions.UserError: ...``), never the traceback beside it."""
    if answer.status < 400:
        return ""
    try:
        body = read_answer(answer)
    except Verdict:
        return ""
    return f"{member(body, 'name') or ''}: {member(body, 'message') or ''}"[:500]


def _echo(row: Mapping[str, Any], work: Work) -> Echo:
    shape = SHAPES[work.kind]
    currency = row.get("currency_id")
    name = row.get("name")
    return Echo(
        remote=str(row.get("id") or ""),
        ref=row.get(shape.reference) or None,
        number=str(name) if name and name != "/" else None,
        currency=str(currency[1]) if isinstance(currency, list) and len(currency) > 1 else None,
        total=minor(row.get(shape.total), work.currency),
    )


TARGET = Odoo()
