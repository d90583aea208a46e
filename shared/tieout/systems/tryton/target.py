"""Tryton as a target, over its REST API: make a draft, see that it says what was meant, post it.

Class S: `reference` is searchable at once and not unique, so each write is looked for first; a budget of one call at a
time keeps two creates of one invoice apart. A party's `code` is unique, and holds our reference. Create and post are
two calls: a draft found with our reference is posted, never made again. Tryton answers 400 with a translated sentence
and no error code (our user speaks English), so the verdicts go by text.

What is posted against an invoice becomes one of its payment lines by a third call, so that Tryton takes it off what is
to pay. What is posted and open beside an open invoice is half of what was asked for, and the next send goes on with it.

A recorded request is complete but for ids that Tryton itself derives from it, as its own client does while a person
types: the party's invoice address, the period of a date, the country of a code. They are looked up when it is sent.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from tieout.contract import Action, Budget, Echo, Finds, Found, Quiet, Reference, Wire, Work
from tieout.core.classify import Answer, Row
from tieout.core.exchange import JSON, Request, behind, difference, judge, member, read_answer
from tieout.core.money import Money
from tieout.core.parse import write_json
from tieout.core.verdicts import NeedsHuman, TryAgain, Uncertain, Verdict

REST: Final = "/rest/model"


@dataclass(frozen=True)
class Shape:
    """One kind in Tryton's words: its model, the field of our reference, what is read, and the sign of its total."""

    model: str
    reference: str
    fields: tuple[str, ...]
    sign: int = 1
    posts: bool = True
    #: Its field of move lines, where it can be set against an invoice.
    lines: str = ""


_PARTY: Final = Shape(
    "party.party",
    "code",
    ("name", "code", "addresses.street", "addresses.city", "addresses.postal_code", "addresses.country.code",
     "contact_mechanisms.type", "contact_mechanisms.value"),
    posts=False,
)  # fmt: skip
_INVOICE: Final = Shape(
    "account.invoice", "reference", ("number", "state", "reference", "total_amount", "currency.code")
)
# A credit note is an invoice of a negative total: Tryton knows the two apart by nothing else.
_CREDIT: Final = replace(_INVOICE, sign=-1, lines="lines_to_pay")
SHAPES: Final[Mapping[tuple[str, str], Shape]] = {
    ("customer", "upsert"): _PARTY,
    ("invoice", "create"): _INVOICE,
    ("invoice", "void"): _CREDIT,
    ("credit_note", "create"): _CREDIT,
    ("payment", "create"): Shape(
        "account.move",
        "description",
        ("number", "state", "description", "lines.debit", "company.currency.code"),
        lines="lines",
    ),
}
#: Fields that hold one of Tryton's own ids, which are whole numbers.
IDS: Final = frozenset({"company", "party", "currency", "account", "journal", "tax", "settles"})
DATES: Final = frozenset({"invoice_date", "payment_term_date", "date"})
#: What is read of an invoice before something is set against it, and of the lines that would be.
PAYABLE: Final = ("state", "account", "amount_to_pay", "currency.code", "company.currency.code")
PAYING: Final = ("account", "credit", "reconciliation", "invoice_payment")
#: States of a document that was taken into the books.
POSTED: Final = frozenset({"posted", "paid"})


class Tryton:
    """Posts to and finds in one company of a Tryton database; holds nothing."""

    name = "tryton"
    auth: Mapping[str, str] = {"scheme": "bearer_key", "field": "key"}
    finds = Finds.SEARCHABLE
    quiet = Quiet(client_timeout=30, longest_processing=120, search_lag=0, clock_skew=5, period=240)
    reference = Reference("TIE-", 30)
    #: One: two posts at once may take one number (SQLite) or lock each other out (PostgreSQL).
    budget = Budget(concurrency=1)
    actions: Mapping[tuple[str, str], Action] = {
        ("customer", "upsert"): Action("tryton.customer", echo=("ref",), once=False),
        ("invoice", "create"): Action("tryton.invoice", undo="void"),
        ("invoice", "void"): Action("tryton.invoice_void", dated=True),
        ("credit_note", "create"): Action("tryton.credit_note"),
        ("payment", "create"): Action("tryton.payment"),
    }
    verdicts: Sequence[Row] = (
        Row(400, NeedsHuman, "period_closed", says="you must reopen the period"),
        Row(400, NeedsHuman, "period_closed", says="you must reopen the fiscal year"),
        Row(400, NeedsHuman, "period_closed", says="you must create a period"),
        Row(400, NeedsHuman, "period_closed", says="you must create a fiscal year"),
        Row(400, Uncertain, "target_duplicate", says="must be unique"),
        Row(400, NeedsHuman, "target_forbidden", says="you are not allowed to access"),
        # A number that another transaction is drawing (PostgreSQL): this one was rolled back.
        Row(503, TryAgain, "target_busy", says="could not obtain lock"),
        Row(503, Uncertain, "target_down"),
    )
    batches = False
    ack_due = 0

    def build(self, kind: str, action: str, ref: str, payload: Mapping[str, Any]) -> bytes:
        """The record as it will be made and recorded, our reference in the field where it is looked for."""
        shape = SHAPES[kind, action]
        body = write_json({**_record(payload, shape.sign), shape.reference: ref})
        return Request("POST", f"{REST}/{shape.model}?{_fields(shape)}", body, {"Content-Type": JSON}).dump()

    def send(self, wire: Wire, work: Sequence[Work]) -> Sequence[Echo | None]:
        """Look, make what is not there, and post it; a draft that says something else is shown and left a draft."""
        return [self._send(wire, one) for one in work]

    def _send(self, wire: Wire, work: Work) -> Echo:
        shown, fresh = self._booked(wire, work)
        echo = _echo(shown, work)
        if member(shown, "state") in POSTED and not difference(_echoed(work), work, echo):
            with behind("setting against its invoice", written=fresh):
                if (pays := self._unsettled(wire, work, echo.remote)) is not None:
                    self._settle(wire, pays)
        return echo

    def _booked(self, wire: Wire, work: Work) -> tuple[Any, bool]:
        """The record as far as it got, and whether this call wrote anything of it."""
        shape, request = _shape(work), Request.load(work.payload)
        there = self._query(wire, work)
        if len(there) > 1:
            raise Uncertain("target_duplicate", f"{len(there)} with {work.ref}")
        written = False
        if there and shape.posts:
            shown: Any = there[0]
        else:
            body = self._completed(wire, _sent(work))
            method, path = "POST", request.path
            if there:
                method, path, body = "PUT", _at(shape, there[0]), _in_place(body, shape, there[0])
            headers = {**request.headers, **_company(wire)}
            shown, written = self._taken(wire.call(method, path, headers=headers, body=write_json(body))), True
        echo = _echo(shown, work)
        if not shape.posts or member(shown, "state") != "draft" or difference(_echoed(work), work, echo):
            return shown, written
        if written and len(self._again(wire, work)) > 1:
            # Somebody made one in the same moment. Who comes second sees both: never two in a book.
            raise Uncertain("target_duplicate", f"several with {work.ref}")
        path = f"{REST}/{shape.model}/{member(shown, 'id')}/post?{_fields(shape)}"
        try:
            answer = wire.call("POST", path, headers={"Content-Type": JSON, **_company(wire)}, body=b"{}")
            return self._taken(answer), True
        except NeedsHuman:
            # A refused post leaves a draft, which is in no book; unless it was refused because it is posted already.
            rows = self._again(wire, work)
            if len(rows) != 1 or rows[0].get("state") not in POSTED:
                raise
            return rows[0], written
        except Verdict as lost:
            if not written:
                raise
            raise Uncertain("target_unclear", f"post: {lost}") from lost

    def _unsettled(self, wire: Wire, work: Work, ident: str) -> tuple[int, list[int]] | None:
        """The invoice that a posted document is to be set against and its lines; ``None`` where there is nothing to do.

        That is so where somebody has set it against anything, where nothing is open of the invoice, or less than a line
        of the document: Tryton does not split a line. It then stands on account. So does one in a foreign currency.
        """
        invoice, shape = _sent(work).get("settles"), _shape(work)
        if not isinstance(invoice, int):
            return None
        rows = self._search(wire, _INVOICE.model, [["id", "=", invoice]], _asked(PAYABLE))
        if not rows or rows[0].get("state") != "posted":
            return None
        open_, company = _decimal(rows[0].get("amount_to_pay")), member(rows[0], "company", "currency", "code")
        ours = self._search(wire, shape.model, [["id", "=", int(ident)]], _asked(PAYING, f"{shape.lines}."))
        lines = {
            line["id"]: line for one in ours for line in one.get(shape.lines) or ()
            if isinstance(member(line, "id"), int) and line.get("account") == rows[0].get("account")
        }  # fmt: skip
        if any(line.get("reconciliation") or line.get("invoice_payment") for line in lines.values()):
            return None
        paid = sum((_decimal(line.get("credit")) or Decimal(0) for line in lines.values()), Decimal(0))
        if not paid or open_ is None or paid > open_ or member(rows[0], "currency", "code") != company:
            return None
        return invoice, list(lines)

    def _settle(self, wire: Wire, pays: tuple[int, list[int]]) -> None:
        """Make lines payment lines of an invoice; Tryton itself refuses more than is open, and a line of another's."""
        invoice, lines = pays
        headers, body = {"Content-Type": JSON, **_company(wire)}, write_json({"payment_lines": [["add", lines]]})
        answer = wire.call("PUT", f"{REST}/{_INVOICE.model}/{invoice}?f=payment_lines", headers=headers, body=body)
        shown = member(self._taken(answer), "payment_lines")
        if not isinstance(shown, list) or not set(lines) <= {one for one in shown if isinstance(one, int)}:
            raise Uncertain("target_unclear", f"invoice {invoice} does not show its payment lines")

    def _again(self, wire: Wire, work: Work) -> list[Mapping[str, Any]]:
        """What is there behind a write; a look that fails leaves it in doubt."""
        try:
            return self._query(wire, work)
        except Verdict as lost:
            raise Uncertain("target_unclear", f"looked again: {lost}") from lost

    def _completed(self, wire: Wire, body: dict[str, Any]) -> dict[str, Any]:
        """The body with the ids that Tryton derives; nothing was written yet where one is missing."""
        if (settles := body.pop("settles", None)) is not None:
            there = [["id", "=", settles], ["company", "=", body["company"]]]
            invoice = self._one(wire, _INVOICE.model, there, f"invoice {settles}")
            if "date" in body:
                body["origin"] = f"{_INVOICE.model},{invoice}"  # as Tryton's own payment of an invoice says of its move
        if "party" in body and "invoice_date" in body:
            mine = [["party", "=", body["party"]]]
            body["invoice_address"] = self._one(wire, "party.address", mine, f"an address of party {body['party']}")
        if "date" in body:
            period = [["company", "=", body["company"]], ["type", "=", "standard"], ["state", "=", "open"],
                      ["start_date", "<=", body["date"]], ["end_date", ">=", body["date"]]]  # fmt: skip
            body["period"] = self._one(wire, "account.period", period, "", "period_closed")
        for _, rows in body.get("addresses", ()):
            for row in rows:
                if code := row.get("country"):
                    row["country"] = self._one(wire, "country.country", [["code", "=", code]], f"country {code}")
        return body

    def _one(self, wire: Wire, model: str, domain: list[Any], what: str, code: str = "target_reference_missing") -> int:
        rows = self._search(wire, model, domain, "f=id")
        if not rows:
            raise NeedsHuman(code, f"Tryton shows none: {what or model}", said=what)
        return min(int(row["id"]) for row in rows)

    def _taken(self, answer: Answer) -> Any:
        """The record that an answer shows. Raises a verdict; a 2xx without one is uncertain."""
        judge(self.verdicts, answer, error_text(answer))
        shown = read_answer(answer)
        if not isinstance(member(shown, "id"), int):
            raise Uncertain("target_unclear", f"HTTP {answer.status} without a record", status=answer.status)
        return shown

    def find(self, wire: Wire, work: Work) -> Found:
        """Look by our reference: a draft is half of it, a party must show the fields that were sent."""
        there = self._query(wire, work)
        if not there:
            return Found("absent")
        if len(there) > 1:
            return Found("ambiguous", None, "found_several", f"{len(there)} with {work.ref}")
        echo = _echo(there[0], work)
        differs = difference(_echoed(work), work, echo)
        if differs:
            return Found("ambiguous", echo, "target_echo_differs", differs)
        if _shape(work).posts:
            half = there[0].get("state") not in POSTED or self._unsettled(wire, work, echo.remote) is not None
            return Found("partial" if half else "complete", echo)
        if not _shows(there[0], _sent(work)):
            return Found("absent", echo, said="the party is there and does not show this version")
        return Found("complete", echo)

    def look(self, wire: Wire, kind: str, facts: Mapping[str, str]) -> Sequence[Echo]:
        """Parties with the same tax number or name, best evidence first."""
        if kind != "customer":
            return []
        found: dict[str, Echo] = {}
        for column, fact in (("identifiers.code", "tax_id"), ("name", "name")):
            if value := facts.get(fact, ""):
                for row in self._search(wire, _PARTY.model, [[column, "=", value]], _fields(_PARTY)):
                    found.setdefault(str(row["id"]), Echo(str(row["id"]), row.get("code") or None, row.get("name")))
        return list(found.values())

    def _query(self, wire: Wire, work: Work) -> list[Mapping[str, Any]]:
        """What carries our reference and is alive. The company stands in the filter: the context alone does not."""
        shape = _shape(work)
        domain: list[Any] = [[shape.reference, "=", work.ref]]
        if shape.posts:
            domain.append(["company", "=", int(wire.settings["company"])])
        rows = self._search(wire, shape.model, domain, _fields(shape))
        return [row for row in rows if row.get(shape.reference) == work.ref and row.get("state") != "cancelled"]

    def _search(self, wire: Wire, model: str, domain: list[Any], fields: str) -> list[Mapping[str, Any]]:
        wanted = urlsafe_b64encode(write_json(domain)).decode()
        answer = wire.call("GET", f"{REST}/{model}?d={wanted}&s=10&{fields}", headers=_company(wire))
        judge(self.verdicts, answer, error_text(answer))
        rows = read_answer(answer)
        if not isinstance(rows, list):
            raise Uncertain("target_unclear", f"HTTP {answer.status} without a list", status=answer.status)
        return [row for row in rows if isinstance(row, Mapping) and isinstance(row.get("id"), int)]


def _shape(work: Work) -> Shape:
    return SHAPES[work.kind, work.action]


def _record(payload: Mapping[str, Any], sign: int) -> dict[str, Any]:
    """A mapped payload as Tryton spells it: ids, dates, exact amounts, rows to create, the sign of a credit."""
    record: dict[str, Any] = {}
    sides = [payload[side] for side in ("debit", "credit") if isinstance(payload.get(side), Mapping)]
    if sides:  # a move, whose two sides are its lines
        payload = {
            **{name: value for name, value in payload.items() if name not in ("debit", "credit")},
            "lines": sides,
        }
    for name, value in payload.items():
        match value:
            case list():
                rows = [_record(row, sign) for row in value]
                # A line about whose tax the source says nothing has no tax row.
                record[name] = [["create", [row for row in rows if name != "taxes" or "amount" in row]]]
            case Decimal():
                turned = sign if name in ("base", "amount") else 1
                record[name] = {"__class__": "Decimal", "decimal": format(value * turned, "f")}
            case _ if name in IDS:
                record[name] = int(value)
            case _ if name in DATES:
                day = date.fromisoformat(str(value))
                record[name] = {"__class__": "date", "year": day.year, "month": day.month, "day": day.day}
            case _:
                record[name] = value * sign if name == "quantity" else value
    return record


def _in_place(body: dict[str, Any], shape: Shape, row: Mapping[str, Any]) -> dict[str, Any]:
    """A body for a party that is there: its first address, and its first contact of that type, are written over.

    Its code is left out: Tryton lets nobody write it again, not even as it is.
    """
    changed = {name: value for name, value in body.items() if name != shape.reference}
    for name in ("addresses", "contact_mechanisms"):
        if name in body:
            known = row.get(name) or []
            changed[name] = [
                ["write", [same["id"]], one] if (same := _same(known, one)) else ["create", [one]]
                for _, rows in body[name]
                for one in rows
            ]
    return changed


def _same(known: Sequence[Any], row: Mapping[str, Any]) -> Mapping[str, Any] | None:
    alike = [one for one in known if isinstance(one, Mapping) and one.get("type") == row.get("type")]
    return min(alike, key=lambda one: int(one["id"]), default=None)


def _shows(row: Mapping[str, Any], sent: Mapping[str, Any]) -> bool:
    """Whether a party shows each field that was sent, in one of its addresses and contacts."""
    for name, value in sent.items():
        if not isinstance(value, list):
            if row.get(name) != value:
                return False
            continue
        shown = row.get(name) or []
        for _, rows in value:
            if not all(any(_alike(one, wanted) for one in shown) for wanted in rows):
                return False
    return True


def _alike(shown: Any, wanted: Mapping[str, Any]) -> bool:
    return all(
        (member(shown, name, "code") if name == "country" else member(shown, name)) == value
        for name, value in wanted.items()
    )


def _company(wire: Wire) -> Mapping[str, str]:
    context = {"company": int(wire.settings["company"]), "language": "en"}
    return {"X-Tryton-Context": urlsafe_b64encode(write_json(context)).decode()}


def _fields(shape: Shape) -> str:
    return _asked(shape.fields)


def _asked(fields: Sequence[str], below: str = "") -> str:
    return "&".join(f"f={below}{name}" for name in fields)


def _sent(work: Work) -> dict[str, Any]:
    """The recorded body."""
    body: dict[str, Any] = read_answer(Answer(0, body=Request.load(work.payload).body))
    return body


def _at(shape: Shape, row: Mapping[str, Any]) -> str:
    return f"{REST}/{shape.model}/{row['id']}?{_fields(shape)}"


def _echoed(work: Work) -> Sequence[str]:
    return TARGET.actions[work.kind, work.action].echo


def error_text(answer: Answer) -> str:
    """The sentence of a refusal, cut: a domain error carries a dump of the record of some 60 KB."""
    if answer.status < 400:
        return ""
    try:
        body = read_answer(answer)
    except Verdict:
        return answer.body[:500].decode("utf-8", "replace")  # a page of its web server
    return f"{member(body, 'message') or ''} {member(body, 'description') or ''}".strip()[:500]


def _echo(row: Any, work: Work) -> Echo:
    shape = _shape(work)
    if work.kind == "payment":
        lines = member(row, "lines")
        amounts = [_decimal(member(line, "debit")) for line in lines] if isinstance(lines, list) else [None]
        total = None if any(amount is None for amount in amounts) else sum((a for a in amounts if a), Decimal(0))
        currency = member(row, "company", "currency", "code")
    else:
        total, currency = _decimal(member(row, "total_amount")), member(row, "currency", "code")
    number = member(row, "number")
    return Echo(
        remote=str(member(row, "id") or ""),
        ref=member(row, shape.reference),
        number=str(number) if number else None,
        currency=str(currency) if currency else None,
        total=None if total is None else _minor(total * shape.sign, work),
    )


def _decimal(value: Any) -> Decimal | None:
    """A Decimal as Tryton spells it: ``{"__class__": "Decimal", "decimal": "12.00"}``."""
    spelled = member(value, "decimal")
    try:
        return Decimal(spelled) if isinstance(spelled, str) else None
    except InvalidOperation:
        return None


def _minor(amount: Decimal, work: Work) -> int | None:
    """An amount in minor units; ``None`` where our currency cannot spell it."""
    if work.currency is None or not amount.is_finite():
        return None
    try:
        return Money.from_decimal(amount, work.currency).minor
    except NeedsHuman:
        return None


TARGET = Tryton()
