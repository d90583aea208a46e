"""Business Central as a target, over API v2.0: make a draft, see that it says what was meant, post it, read it again.

Class S. Microsoft says that a `SystemId` may be given on create; its own page of sales invoices declares the id not
editable, so that nothing here rests on it. Each write is looked for first by our reference, and once more between
making and posting, so that a second draft of one reference is seen before either counts. A customer is different: its
number is our reference and the table's key, so that Business Central itself refuses a second one.

A draft is in no book. One that says what is meant is posted; one that says something else (a day that has moved since)
is deleted and made again. Customer payments are lines of a payment journal of their own, so that one bad line keeps no
other from being posted; once posted a line is gone, and its general ledger entries tell of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote

from tieout.contract import Action, Budget, Echo, Finds, Found, Quiet, Rate, Reference, Wire, Work
from tieout.core.classify import Answer, Row
from tieout.core.exchange import JSON, Request, difference, judge, member, read_answer
from tieout.core.money import Money
from tieout.core.parse import write_json
from tieout.core.verdicts import NeedsHuman, TryAgain, Uncertain, Verdict

#: Entity set of each kind and action.
SETS: Final[Mapping[tuple[str, str], str]] = {
    ("customer", "upsert"): "customers",
    ("customer", "undo"): "customers",
    ("invoice", "create"): "salesInvoices",
    ("invoice", "void"): "salesCreditMemos",
    ("credit_note", "create"): "salesCreditMemos",
    ("payment", "create"): "customerPaymentJournals",
}
DRAFT: Final = frozenset({"Draft", "In Review", "In_x0020_Review"})
POSTED: Final = frozenset({"Open", "Paid"})
#: A journal's code has ten characters: the end of our reference, which is the hash.
CODE_LENGTH: Final = 10


@dataclass(frozen=True)
class Seen:
    """One document that carries our reference: ``fits`` is false where a draft says something else than was sent."""

    ident: str
    state: str
    echo: Echo
    etag: str = ""
    fits: bool = True


class BusinessCentral:
    """Posts to and finds in one company of one environment; holds nothing."""

    name = "businesscentral"
    auth: Mapping[str, str] = {
        "scheme": "oauth2_client_credentials",
        "token_path": "/oauth2/v2.0/token",
        "scope": "https://api.businesscentral.dynamics.com/.default",
    }
    finds = Finds.SEARCHABLE
    #: An operation may run for eight minutes, and the gateway gives up at ten.
    quiet = Quiet(client_timeout=30, longest_processing=600, search_lag=0, clock_skew=5, period=720)
    #: A customer's number and a journal line's document number have twenty characters.
    reference = Reference("TIE-", 20)
    #: Of one user: five requests are worked on at once, six thousand are taken in five minutes.
    budget = Budget(concurrency=5, rates=(Rate(6000, 300),))
    actions: Mapping[tuple[str, str], Action] = {
        ("customer", "upsert"): Action("businesscentral.customer", echo=("ref",), once=False, undo="undo"),
        ("customer", "undo"): Action("businesscentral.customer_undo", echo=("ref",), once=False),
        ("invoice", "create"): Action("businesscentral.invoice", undo="void"),
        ("invoice", "void"): Action("businesscentral.invoice_void", dated=True),
        ("credit_note", "create"): Action("businesscentral.credit_note"),
        ("payment", "create"): Action("businesscentral.payment"),
    }
    verdicts: Sequence[Row] = (
        Row(409, TryAgain, "target_conflict", says="request_entitychanged"),
        Row(4, Uncertain, "target_duplicate", says="internal_entitywithsamekeyexists"),
        Row(4, NeedsHuman, "target_reference_missing", says="internal_invalidtablerelation"),
        Row(4, NeedsHuman, "target_reference_missing", says="internal_recordnotfound"),
        Row(4, Uncertain, "target_unclear", says="internal_"),
        Row(4, NeedsHuman, "period_closed", says="range of allowed posting dates"),
        Row(503, Uncertain, "target_down"),
    )
    batches = False
    ack_due = 0

    def build(self, kind: str, action: str, ref: str, payload: Mapping[str, Any]) -> bytes:
        """The create as it will be sent and recorded, below the company; our reference where it is looked for."""
        entities = SETS[kind, action]
        match kind:
            case "customer":
                body = {"number": ref, **payload}
            case "payment":
                account, line = payload["balancingAccountId"], {**payload, "documentNumber": ref}
                del line["balancingAccountId"]
                journal = {"code": ref[-CODE_LENGTH:], "displayName": ref, "balancingAccountId": account}
                body = {**journal, "customerPayments": [line]}
            case _:
                body = {"externalDocumentNumber": ref, **payload}
        method = "PATCH" if action == "undo" else "POST"
        return Request(method, f"/{entities}", write_json(body), {"Content-Type": JSON, "Accept": JSON}).dump()

    def send(self, wire: Wire, work: Sequence[Work]) -> Sequence[Echo | None]:
        """Look, make what is not there, look again, post, read back; a customer is made or changed in one call."""
        return [self._upsert(wire, one) if one.kind == "customer" else self._post(wire, one) for one in work]

    def _upsert(self, wire: Wire, work: Work) -> Echo:
        request, there = Request.load(work.payload), self._rows(wire, "customers", "number", work.ref)
        if there:
            path, headers = _at("customers", str(there[0].get("id"))), {"If-Match": str(there[0].get("@odata.etag"))}
            answer = self._call(wire, "PATCH", path, request.body, {**request.headers, **headers})
        elif work.action == "undo":
            raise NeedsHuman("target_no_such_thing", "nothing to undo", said=f"no customer {work.ref}")
        else:
            answer = self._call(wire, request.method, request.path, request.body, request.headers)
        return _document(_record(answer), work, "customers", request).echo

    def _post(self, wire: Wire, work: Work) -> Echo:
        request = Request.load(work.payload)
        seen, made = self._one(wire, work), False
        if seen is not None and seen.state == "draft" and not seen.fits:
            self._delete(wire, SETS[work.kind, work.action], seen)
            seen = None
        if seen is None:
            if work.kind == "payment":
                _in_ledger_currency(wire, work)
            _record(self._call(wire, request.method, request.path, request.body, request.headers))
            seen, made = _sure(lambda: self._one(wire, work), "read-back"), True
        if seen is None:
            raise Uncertain("target_unclear", "what was made is not there")
        if seen.state not in ("draft", "posted"):
            raise Uncertain("target_unclear", f"its status is {seen.state}")
        if seen.state == "posted" or difference(self._echoes(work), work, seen.echo):
            return seen.echo
        entities = "journals" if work.kind == "payment" else SETS[work.kind, work.action]
        try:
            self._call(wire, "POST", f"{_at(entities, seen.ident)}/Microsoft.NAV.post", b"", {"Accept": JSON})
        except Verdict as lost:
            # What is refused stays a draft, and a draft is in no book.
            if isinstance(lost, NeedsHuman) or not made:
                raise
            raise Uncertain("target_unclear", f"post: {lost}") from lost
        posted = _sure(lambda: self._again(wire, work, seen), "read-back after posting")
        if posted is None:
            raise Uncertain("target_unclear", "what was posted is not there")
        if work.kind == "payment":
            with suppress(Verdict):  # an empty journal is in nobody's way; the money is booked
                self._delete(wire, "customerPaymentJournals", seen)
        return posted.echo

    def _again(self, wire: Wire, work: Work, seen: Seen) -> Seen | None:
        """What was posted: a document keeps its id (its number changes), of a payment the ledger's entries tell."""
        if work.kind == "payment":
            return self._one(wire, work)
        entities = SETS[work.kind, work.action]
        return _document(
            _record(self._call(wire, "GET", _at(entities, seen.ident))), work, entities, Request.load(work.payload)
        )

    def find(self, wire: Wire, work: Work) -> Found:
        """Look by our reference: a draft is half of it, a customer must show the fields that were sent."""
        seen = self._seen(wire, work)
        if not seen:
            return Found("absent")
        if len(seen) > 1:
            return Found("ambiguous", None, "found_several", f"{len(seen)} with {work.ref}")
        one = seen[0]
        differs = difference(self._echoes(work), work, one.echo)
        if work.kind == "customer":
            if one.fits and not differs:
                return Found("complete", one.echo)
            return Found("absent", one.echo, said="the customer is there and does not show this version")
        if differs:
            return Found("ambiguous", one.echo, "target_echo_differs", differs)
        if one.state not in ("draft", "posted"):
            return Found("ambiguous", one.echo, "target_echo_differs", f"its status is {one.state}")
        return Found("partial" if one.state == "draft" else "complete", one.echo)

    def look(self, wire: Wire, kind: str, facts: Mapping[str, str]) -> Sequence[Echo]:
        """Customers with the same tax number, e-mail or name that are not blocked, best evidence first."""
        if kind != "customer":
            return []
        found: dict[str, Echo] = {}
        for field, fact in (("taxRegistrationNumber", "tax_id"), ("email", "email"), ("displayName", "name")):
            if value := facts.get(fact, ""):
                for row in self._rows(wire, "customers", field, value):
                    if str(row.get("blocked") or "").strip() == "":
                        ident, number = str(row.get("id") or ""), row.get("number") or None
                        found.setdefault(ident, Echo(ident, number, row.get("displayName") or None))
        return list(found.values())

    # --- looking -----------------------------------------------------------------------------------------------
    def _one(self, wire: Wire, work: Work) -> Seen | None:
        seen = self._seen(wire, work)
        if len(seen) > 1:
            raise Uncertain("target_duplicate", f"{len(seen)} with {work.ref}")
        return seen[0] if seen else None

    def _seen(self, wire: Wire, work: Work) -> list[Seen]:
        entities, request = SETS[work.kind, work.action], Request.load(work.payload)
        if work.kind == "payment":
            return self._seen_payment(wire, work, request)
        field = "number" if work.kind == "customer" else "externalDocumentNumber"
        return [_document(row, work, entities, request) for row in self._rows(wire, entities, field, work.ref)]

    def _seen_payment(self, wire: Wire, work: Work, request: Request) -> list[Seen]:
        sent = _sent(request)
        account = str(sent["balancingAccountId"]).casefold()
        entries = self._rows(wire, "generalLedgerEntries", "documentNumber", work.ref)
        into = [row for row in entries if str(row.get("accountId") or "").casefold() == account]
        if entries:
            total = _sum(row.get("debitAmount") for row in into)
            ident = str(into[0].get("id") or "") if into else ""
            return [Seen(ident, "posted", _echo(wire, work, ident, total))]
        journals = self._rows(wire, "customerPaymentJournals", "displayName", work.ref, "customerPayments")
        return [self._draft_payment(wire, work, sent, row) for row in journals]

    def _draft_payment(self, wire: Wire, work: Work, sent: Mapping[str, Any], row: Mapping[str, Any]) -> Seen:
        listed = row.get("customerPayments")
        lines = [line for line in listed if isinstance(line, Mapping)] if isinstance(listed, list) else []
        ours = [line for line in lines if line.get("documentNumber") == work.ref]
        ident = str(row.get("id") or "")
        fits = len(lines) == len(ours) == 1 and _shows(ours[0], sent["customerPayments"][0])
        total = _sum(line.get("amount") for line in ours)
        echo = _echo(wire, work, ident, None if total is None else -total)
        return Seen(ident, "draft", echo, str(row.get("@odata.etag") or ""), fits)

    def _rows(self, wire: Wire, entities: str, field: str, value: str, expand: str = "") -> list[Mapping[str, Any]]:
        wanted = quote(f"{field} eq '{value.replace(chr(39), chr(39) * 2)}'", safe="")
        more = f"&$expand={expand}" if expand else ""
        answer = self._call(wire, "GET", f"/{entities}?$filter={wanted}{more}")
        rows = member(read_answer(answer), "value")
        if not isinstance(rows, list):
            raise Uncertain("target_unclear", f"HTTP {answer.status} without a list", status=answer.status)
        # The filter is the vendor's; that what it gave is what was asked for is ours to see.
        return [row for row in rows if isinstance(row, Mapping) and row.get(field) == value]

    # --- calling -----------------------------------------------------------------------------------------------
    def _call(
        self, wire: Wire, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One judged call below the account's company."""
        company = _setting(wire, "company_id")
        answer = wire.call(method, f"/companies({company}){path}", headers=headers or {"Accept": JSON}, body=body)
        return judge(self.verdicts, answer, error_text(answer))

    def _delete(self, wire: Wire, entities: str, seen: Seen) -> None:
        self._call(wire, "DELETE", _at(entities, seen.ident), None, {"Accept": JSON, "If-Match": seen.etag})

    def _echoes(self, work: Work) -> Sequence[str]:
        return self.actions[work.kind, work.action].echo


def _sure(look: Callable[[], Seen | None], what: str) -> Seen | None:
    """A look behind a write that was taken: what goes wrong in it is no licence to write again."""
    try:
        return look()
    except Verdict as lost:
        raise Uncertain("target_unclear", f"{what}: {lost}") from lost


def _at(entities: str, ident: str) -> str:
    return f"/{entities}({quote(ident, safe='-')})"


def _setting(wire: Wire, name: str) -> str:
    value = wire.settings.get(name, "")
    if not value:
        raise TryAgain("target_credentials", f"the account's settings have no {name}", after=60)
    return value


def _in_ledger_currency(wire: Wire, work: Work) -> None:
    """A customer payment of this API carries no currency: it is one in the company's own."""
    if work.currency != _setting(wire, "currency"):
        raise NeedsHuman("currency_not_mapped", what=str(work.currency), target=TARGET.name)


def _record(answer: Answer) -> Mapping[str, Any]:
    """The record that an answer shows; a 2xx without one is uncertain."""
    shown = read_answer(answer)
    if not isinstance(shown, Mapping) or not isinstance(shown.get("id"), str):
        raise Uncertain("target_unclear", f"HTTP {answer.status} without a record", status=answer.status)
    return shown


def _document(row: Mapping[str, Any], work: Work, entities: str, request: Request) -> Seen:
    status = str(row.get("status") or "")
    state = "draft" if status in DRAFT else "posted" if status in POSTED else status
    total, currency, number = row.get("totalAmountIncludingTax"), row.get("currencyCode"), row.get("number")
    ref = number if entities == "customers" else row.get("externalDocumentNumber")
    echo = Echo(
        remote=str(row.get("id") or ""),
        ref=str(ref) if ref else None,
        number=str(number) if number else None,
        currency=str(currency) if currency else None,
        total=_minor(total, work),
    )
    return Seen(echo.remote, state, echo, str(row.get("@odata.etag") or ""), _shows(row, _sent(request)))


def _echo(wire: Wire, work: Work, ident: str, total: Decimal | None) -> Echo:
    return Echo(ident, work.ref, work.ref, _setting(wire, "currency"), _minor(total, work))


def _sent(request: Request) -> Mapping[str, Any]:
    body = read_answer(Answer(0, body=request.body))
    assert isinstance(body, Mapping)
    return body


def _shows(row: Mapping[str, Any], sent: Mapping[str, Any]) -> bool:
    """Whether a record shows each plain field that was sent; ids in either case, lines not compared."""
    return all(
        str(row.get(name)).casefold() == value.casefold() if isinstance(value, str) else row.get(name) == value
        for name, value in sent.items()
        if not isinstance(value, list | Mapping)
    )


def _sum(amounts: Iterable[Any]) -> Decimal | None:
    """The exact sum; ``None`` where one of them is no number."""
    found = [Decimal(one) if isinstance(one, int | Decimal) and not isinstance(one, bool) else None for one in amounts]
    return None if any(one is None for one in found) else sum((one for one in found if one is not None), Decimal(0))


def _minor(amount: Any, work: Work) -> int | None:
    """An amount in minor units; ``None`` where there is none, or one that our currency cannot spell."""
    if work.currency is None or isinstance(amount, bool) or not isinstance(amount, int | Decimal):
        return None
    try:
        return Money.from_decimal(Decimal(amount), work.currency).minor
    except NeedsHuman:
        return None


def error_text(answer: Answer) -> str:
    """Code and sentence of the OData error; empty where it is none."""
    if answer.status < 400:
        return ""
    try:
        error = member(read_answer(answer), "error")
    except Verdict:
        return ""
    return f"{member(error, 'code') or ''} {member(error, 'message') or ''}".strip()[:500]


TARGET = BusinessCentral()
