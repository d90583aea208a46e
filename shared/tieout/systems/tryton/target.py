"""Tryton as a target, over its REST API: make a draft, see that it says what was meant, post it.

Class S: `reference` is searchable at once and not unique, so each write is looked for first; a budget of one
call at a time is meant to keep two creates of one invoice apart. A party's `code` is unique, and holds our reference.
Create and post
are two calls: a draft found with our reference is posted, never made again. Tryton answers 400 with a translated
sentence and no error code (our user speaks English), so the verdicts go by text.

Not in the registry yet: there is no sandbox. `make rehearse` holds it against the real server.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from tieout.contract import Action, Budget, Echo, Finds, Found, Quiet, Reference, Wire, Work
from tieout.core.classify import Answer, Row
from tieout.core.exchange import JSON, Request, difference, judge, member, read_answer
from tieout.core.money import Money
from tieout.core.parse import write_json
from tieout.core.verdicts import NeedsHuman, Uncertain, Verdict

REST: Final = "/rest/model"


@dataclass(frozen=True)
class Shape:
    """One kind in Tryton's words: its model, the field of our reference, what is read, and the sign of its total."""

    model: str
    reference: str
    fields: tuple[str, ...]
    sign: int = 1
    posts: bool = True


SHAPES: Final[Mapping[str, Shape]] = {
    "customer": Shape("party.party", "code", ("name", "code"), posts=False),
    "invoice": Shape("account.invoice", "reference", ("number", "state", "reference", "total_amount", "currency.code")),
    # A credit note is an invoice of a negative total: Tryton knows the two apart by nothing else.
    "credit_note": Shape(
        "account.invoice", "reference", ("number", "state", "reference", "total_amount", "currency.code"), sign=-1
    ),
    "payment": Shape(
        "account.move",
        "description",
        ("number", "state", "description", "lines.debit", "company.currency.code"),
    ),
}
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
        ("invoice", "create"): Action("tryton.invoice"),
        ("credit_note", "create"): Action("tryton.credit_note"),
        ("payment", "create"): Action("tryton.payment"),
    }
    verdicts: Sequence[Row] = (
        Row(400, NeedsHuman, "period_closed", says="you must reopen the period"),
        Row(400, NeedsHuman, "period_closed", says="you must create a period"),
        Row(400, Uncertain, "target_duplicate", says="must be unique"),
        Row(400, NeedsHuman, "target_forbidden", says="you are not allowed to access"),
        Row(503, Uncertain, "target_down"),
    )
    batches = False
    ack_due = 0

    def build(self, kind: str, action: str, ref: str, payload: Mapping[str, Any]) -> bytes:
        """The record as it will be made and recorded, our reference in the field where it is looked for."""
        shape = SHAPES[kind]
        body = write_json({**payload, shape.reference: ref})
        return Request("POST", f"{REST}/{shape.model}?{_fields(shape)}", body, {"Content-Type": JSON}).dump()

    def send(self, wire: Wire, work: Sequence[Work]) -> Sequence[Echo | None]:
        """Look, make what is not there, and post it; a draft that says something else is shown and left a draft."""
        return [self._send(wire, one) for one in work]

    def _send(self, wire: Wire, work: Work) -> Echo:
        shape, request = SHAPES[work.kind], Request.load(work.payload)
        there = self._query(wire, work)
        if len(there) > 1:
            raise Uncertain("target_duplicate", f"{len(there)} with {work.ref}")
        written = False
        if there and shape.posts:
            shown: Any = there[0]
        else:
            method, path = ("PUT", _at(shape, there[0])) if there else ("POST", request.path)
            answer = wire.call(method, path, headers={**request.headers, **_company(wire)}, body=request.body)
            shown, written = self._taken(answer), True
        echo = _echo(shown, work)
        if shape.posts and member(shown, "state") == "draft" and not difference(_echoed(work), work, echo):
            path = f"{REST}/{shape.model}/{member(shown, 'id')}/post?{_fields(shape)}"
            try:
                answer = wire.call("POST", path, headers={"Content-Type": JSON, **_company(wire)}, body=b"{}")
                echo = _echo(self._taken(answer), work)
            except Verdict as lost:
                # A refused post leaves a draft, which is in no book; only what nobody can tell is in doubt.
                if isinstance(lost, NeedsHuman) or not written:
                    raise
                raise Uncertain("target_unclear", f"post: {lost}") from lost
        return echo

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
        if SHAPES[work.kind].posts:
            return Found("complete" if there[0].get("state") in POSTED else "partial", echo)
        sent = read_answer(Answer(0, body=Request.load(work.payload).body))
        if there[0].get("name") != sent.get("name"):
            return Found("absent", echo, said="the party is there and does not show this version")
        return Found("complete", echo)

    def look(self, wire: Wire, kind: str, facts: Mapping[str, str]) -> Sequence[Echo]:
        """Parties with the same tax number or name, best evidence first."""
        if kind != "customer":
            return []
        found: dict[str, Echo] = {}
        for column, fact in (("identifiers.code", "tax_id"), ("name", "name")):
            if value := facts.get(fact, ""):
                for row in self._search(wire, SHAPES[kind], [[column, "=", value]]):
                    found.setdefault(str(row["id"]), Echo(str(row["id"]), row.get("code") or None, row.get("name")))
        return list(found.values())

    def _query(self, wire: Wire, work: Work) -> list[Mapping[str, Any]]:
        """What carries our reference and is alive. The company stands in the filter: the context alone does not."""
        shape = SHAPES[work.kind]
        domain: list[Any] = [[shape.reference, "=", work.ref]]
        if shape.posts:
            domain.append(["company", "=", int(wire.settings["company"])])
        rows = self._search(wire, shape, domain)
        return [row for row in rows if row.get(shape.reference) == work.ref and row.get("state") != "cancelled"]

    def _search(self, wire: Wire, shape: Shape, domain: list[Any]) -> list[Mapping[str, Any]]:
        wanted = urlsafe_b64encode(write_json(domain)).decode()
        answer = wire.call("GET", f"{REST}/{shape.model}?d={wanted}&s=10&{_fields(shape)}", headers=_company(wire))
        judge(self.verdicts, answer, error_text(answer))
        rows = read_answer(answer)
        if not isinstance(rows, list):
            raise Uncertain("target_unclear", f"HTTP {answer.status} without a list", status=answer.status)
        return [row for row in rows if isinstance(row, Mapping) and "id" in row]


def _company(wire: Wire) -> Mapping[str, str]:
    context = {"company": int(wire.settings["company"]), "language": "en"}
    return {"X-Tryton-Context": urlsafe_b64encode(write_json(context)).decode()}


def _fields(shape: Shape) -> str:
    return "&".join(f"f={name}" for name in shape.fields)


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
        return ""
    return f"{member(body, 'message') or ''} {member(body, 'description') or ''}".strip()[:500]


def _echo(row: Any, work: Work) -> Echo:
    shape = SHAPES[work.kind]
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
