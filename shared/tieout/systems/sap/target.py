"""SAP S/4HANA Cloud as a target: OData V2 for master data and orders, SOAP for journal entries.

Class S. SAP has no idempotency key, so that each write is looked for first by our reference: a business partner's
external number, an order's purchase order number, an entry's assignment (its document reference holds it too, but the
line item API does not know that). A billing document cannot be made from outside: invoices, credit notes and payments
are journal entries.

The look before a write of OData also brings the CSRF token and the session's cookies that the write must show; a token
that is refused is fetched once more. A journal entry is asked for in simulation first (`TestDataIndicator`), so that
what SAP would refuse is known while nothing was written. Both services can refuse under HTTP 200.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote

from tieout.contract import Action, Budget, Echo, Finds, Found, Quiet, Reference, Wire, Work
from tieout.core.classify import Answer, Row
from tieout.core.exchange import JSON, Request, difference, judge, member, read_answer
from tieout.core.money import Money
from tieout.core.parse import write_json
from tieout.core.verdicts import NeedsHuman, TryAgain, Uncertain, Verdict
from tieout.core.xml import Element
from tieout.systems.sap import journal

ODATA: Final = "/sap/opu/odata/sap"
READ: Final = {"Accept": JSON}
DECIMAL: Final = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,9})?")


@dataclass(frozen=True)
class Shape:
    """One OData entity set: service, set, the field of our reference, its key, its currency and total."""

    service: str
    entities: str
    reference: str
    key: str
    currency: str = ""
    total: str = ""
    expand: str = ""


PARTNER = Shape("API_BUSINESS_PARTNER", "A_BusinessPartner", "BusinessPartnerIDByExtSystem", "BusinessPartner",
                expand="to_BusinessPartnerAddress")  # fmt: skip
ORDER = Shape("API_SALES_ORDER_SRV", "A_SalesOrder", "PurchaseOrderByCustomer", "SalesOrder", "TransactionCurrency",
              "TotalNetAmount")  # fmt: skip
#: The leading ledger; a parallel one holds the same document again.
LEDGER: Final = "0L"
LINES: Final = f"{ODATA}/API_GLACCOUNTLINEITEM/GLAccountLineItem"
SHAPES: Final[Mapping[str, Shape]] = {"customer": PARTNER, "quote": ORDER}


@dataclass(frozen=True)
class Session:
    """What a write must show: the token, and the cookies it was given with."""

    token: str
    cookies: str

    def headers(self) -> dict[str, str]:
        """As headers; without a token SAP answers 403, which is how one learns that it wants one."""
        cookies = {"Cookie": self.cookies} if self.cookies else {}
        return {**cookies, "X-CSRF-Token": self.token} if self.token else cookies


class Sap:
    """Posts to and finds in one S/4HANA Cloud tenant; holds nothing."""

    name = "sap"
    #: A communication user; or a client whose token endpoint (``token_url``) the secret names, which is another host's;
    #: or the key of an API management in front of the tenant, which has the communication user itself.
    auth: Mapping[str, str] = {
        "scheme": "basic", "user": "user", "password": "password",
        "or": "oauth2_client_credentials header_key", "token_path": "/oauth/token", "client_auth": "basic",
        "header": "APIKey", "field": "api_key",
    }  # fmt: skip
    finds = Finds.SEARCHABLE
    #: SAP publishes no longest run of a request; its gateways give up after some minutes.
    quiet = Quiet(client_timeout=30, longest_processing=600, search_lag=0, clock_skew=5, period=720)
    #: The document reference has sixteen upper-case letters: one of prefix and 75 bits of hash.
    reference = Reference("T", 16)
    #: SAP publishes no limit; four calls at once leave a tenant its people.
    budget = Budget(concurrency=4)
    actions: Mapping[tuple[str, str], Action] = {
        ("customer", "upsert"): Action("sap.customer", echo=("ref",), once=False, undo="undo"),
        ("customer", "undo"): Action("sap.customer_undo", echo=("ref",), once=False),
        ("quote", "create"): Action("sap.sales_order"),
        ("invoice", "create"): Action("sap.invoice", undo="void"),
        ("invoice", "void"): Action("sap.invoice_void", dated=True),
        ("credit_note", "create"): Action("sap.credit_note"),
        ("payment", "create"): Action("sap.payment"),
        ("journal_entry", "create"): Action("sap.journal_entry"),
    }
    verdicts: Sequence[Row] = (
        Row(403, TryAgain, "target_credentials", says="csrf"),
        Row(412, TryAgain, "target_conflict"),
        Row(4, TryAgain, "target_conflict", says="being processed by"),
        Row(4, TryAgain, "target_conflict", says="locked by"),
        Row(4, Uncertain, "target_duplicate", says="already exists"),
        Row(4, NeedsHuman, "period_closed", says="is not open"),
        Row(200, TryAgain, "target_conflict", says="being processed by"),
        Row(200, TryAgain, "target_conflict", says="locked by"),
        Row(200, NeedsHuman, "period_closed", says="is not open"),
        Row(200, NeedsHuman, "target_reference_missing", says="is not defined in"),
        Row(200, NeedsHuman, "target_refused", says=journal.REFUSAL),
        Row(503, Uncertain, "target_down"),
    )
    batches = False
    ack_due = 0

    def build(self, kind: str, action: str, ref: str, payload: Mapping[str, Any]) -> bytes:
        """The create as it will be sent and recorded. Raises ``NeedsHuman('journal_unbalanced')``."""
        shape = SHAPES.get(kind)
        if shape is None:
            return Request("POST", journal.PATH, journal.envelope(ref, payload), journal.HEADERS).dump()
        body = {shape.reference: ref, **(_partner(payload) if (kind, action) == ("customer", "upsert") else payload)}
        path = f"{ODATA}/{shape.service}/{shape.entities}"
        return Request(
            "PATCH" if action == "undo" else "POST", path, write_json(body), {"Content-Type": JSON, **READ}
        ).dump()

    def send(self, wire: Wire, work: Sequence[Work]) -> Sequence[Echo | None]:
        """Look, write what is not there, and read back what the answer does not show."""
        return [self._odata(wire, one) if one.kind in SHAPES else self._journal(wire, one) for one in work]

    # --- OData -------------------------------------------------------------------------------------------------
    def _odata(self, wire: Wire, work: Work) -> Echo:
        shape, request = SHAPES[work.kind], Request.load(work.payload)
        rows, session = self._find_rows(wire, shape, work.ref)
        if len(rows) > 1:
            raise Uncertain("target_duplicate", f"{len(rows)} with {work.ref}")
        if not rows and work.action == "undo":
            raise NeedsHuman("target_no_such_thing", "nothing to undo", said=f"no partner {work.ref}")
        if not rows:
            answer = self._write(wire, shape, "POST", request.path, request.body, {}, session)
            made = member(read_answer(answer), "d")
            if not isinstance(made, Mapping) or not made.get(shape.key):
                raise Uncertain("target_unclear", f"HTTP {answer.status} without a record", status=answer.status)
            return _echo(made, shape, work)
        if work.kind == "customer":
            written = False
            for path, tag, change in _changes(rows[0], request):
                try:
                    self._write(wire, shape, "PATCH", path, write_json(change), {"If-Match": tag}, session)
                except Verdict as lost:
                    if written and not isinstance(lost, NeedsHuman):
                        raise Uncertain("target_unclear", f"a part is changed: {lost}") from lost
                    raise
                written = True
        return _echo(rows[0], shape, work)

    def _write(
        self, wire: Wire, shape: Shape, method: str, path: str, body: bytes, more: Mapping[str, str], session: Session
    ) -> Answer:
        """One write under a session; a token that is refused proves that nothing was done, and is fetched once more."""
        headers = {"Content-Type": JSON, **READ, **more}
        answer = wire.call(method, path, headers={**headers, **session.headers()}, body=body)
        if _token_refused(answer):
            again = wire.call("GET", f"{ODATA}/{shape.service}/", headers={**READ, "X-CSRF-Token": "Fetch"})
            judge(self.verdicts, again, error_text(again))
            answer = wire.call(method, path, headers={**headers, **_session(again).headers()}, body=body)
        text = error_text(answer)
        return judge(self.verdicts, answer, f"{text} CSRF" if _token_refused(answer) else text)

    def _find_rows(self, wire: Wire, shape: Shape, ref: str) -> tuple[list[Mapping[str, Any]], Session]:
        """What carries our reference, and the session that the answer opened."""
        path = f"{ODATA}/{shape.service}/{shape.entities}?$filter={_equals(shape.reference, ref)}"
        if shape.expand:
            path += f"&$expand={shape.expand}"
        answer = wire.call("GET", path, headers={**READ, "X-CSRF-Token": "Fetch"})
        return [row for row in self._results(answer) if row.get(shape.reference) == ref], _session(answer)

    def _results(self, answer: Answer) -> list[Mapping[str, Any]]:
        """The rows of an answer. Raises a verdict; a page of more is uncertain, because it says half."""
        judge(self.verdicts, answer, error_text(answer))
        shown = member(read_answer(answer), "d")
        rows = member(shown, "results")
        if not isinstance(rows, list) or member(shown, "__next"):
            raise Uncertain("target_unclear", f"HTTP {answer.status} without a whole list", status=answer.status)
        return [row for row in rows if isinstance(row, Mapping)]

    # --- journal entries ---------------------------------------------------------------------------------------
    def _journal(self, wire: Wire, work: Work) -> Echo:
        there = self._entries(wire, work)
        if len(there) > 1:
            raise Uncertain("target_duplicate", f"{len(there)} with {work.ref}")
        if there:
            return there[0]
        request = Request.load(work.payload)
        if wire.settings.get("simulate") != "no":
            self._simulate(wire, request)
        confirmation = self._posted(wire, request.body, request)
        made = journal.document(confirmation)
        if made is None:
            raise Uncertain("target_unclear", "a confirmation without a document")
        company, number, year = made
        wanted = {"CompanyCode": company, "AccountingDocument": number, "FiscalYear": year, "Ledger": LEDGER}
        try:
            shown = _documents(self._line_items(wire, wanted), work)
        except Verdict as lost:
            # It was taken; only the look at it failed. That is no licence to post it again.
            raise Uncertain("target_unclear", f"read-back: {lost}") from lost
        if len(shown) != 1:
            raise Uncertain("target_unclear", "what was posted is not there")
        return shown[0]

    def _simulate(self, wire: Wire, request: Request) -> None:
        """Ask for the same without writing. A simulation whose outcome nobody knows has written nothing either."""
        assert request.body.count(journal.REAL) == 1, "the indicator stands once, in the message header"
        try:
            self._posted(wire, request.body.replace(journal.REAL, journal.TEST), request)
        except Uncertain as lost:
            raise TryAgain("target_unreachable", f"simulation: {lost}") from lost

    def _posted(self, wire: Wire, body: bytes, request: Request) -> Element:
        """The confirmation of a request that no log item refused."""
        answer = wire.call("POST", request.path, headers=request.headers, body=body)
        judge(self.verdicts, answer, error_text(answer))
        try:
            return journal.read_confirmation(answer)
        except ValueError as error:
            raise Uncertain("target_unclear", f"HTTP {answer.status}, {error}", status=answer.status) from None

    def _entries(self, wire: Wire, work: Work) -> list[Echo]:
        """The documents whose items carry our reference, each with the larger side of those items.

        Of an invoice that is the customer's item, its gross: tax items carry no assignment.
        """
        return _documents(self._line_items(wire, {"AssignmentReference": work.ref, "Ledger": LEDGER}), work)

    def _line_items(self, wire: Wire, wanted: Mapping[str, str]) -> list[Mapping[str, Any]]:
        terms = "%20and%20".join(_equals(name, value) for name, value in wanted.items())
        rows = self._results(wire.call("GET", f"{LINES}?$filter={terms}", headers=READ))
        return [row for row in rows if all(row.get(name) == value for name, value in wanted.items())]

    # --- looking -----------------------------------------------------------------------------------------------
    def find(self, wire: Wire, work: Work) -> Found:
        """Look by our reference; a partner must show the names and the address that were sent."""
        shape = SHAPES.get(work.kind)
        rows = self._find_rows(wire, shape, work.ref)[0] if shape else []
        echoes = [_echo(row, shape, work) for row in rows] if shape else self._entries(wire, work)
        if not echoes:
            return Found("absent")
        if len(echoes) > 1:
            return Found("ambiguous", None, "found_several", f"{len(echoes)} with {work.ref}")
        differs = difference(self.actions[work.kind, work.action].echo, work, echoes[0])
        if differs:
            return Found("ambiguous", echoes[0], "target_echo_differs", differs)
        if work.kind == "customer" and _changes(rows[0], Request.load(work.payload)):
            return Found("absent", echoes[0], said="the partner is there and does not show this version")
        return Found("complete", echoes[0])

    def look(self, wire: Wire, kind: str, facts: Mapping[str, str]) -> Sequence[Echo]:
        """Partners of the same first name part (forty letters) that are neither blocked nor archived."""
        name = facts.get("name", "")
        if kind != "customer" or not name or len(name) > 40:
            return []
        path = f"{ODATA}/{PARTNER.service}/{PARTNER.entities}?$filter={_equals('OrganizationBPName1', name)}"
        rows = self._results(wire.call("GET", path, headers=READ))
        return [
            Echo(str(row["BusinessPartner"]), row.get(PARTNER.reference) or None, row.get("OrganizationBPName1"))
            for row in rows
            if row.get("BusinessPartner") and row.get("OrganizationBPName1") == name
            and row.get("IsMarkedForArchiving") is not True and row.get("BusinessPartnerIsBlocked") is not True
        ]  # fmt: skip


def _partner(payload: Mapping[str, Any]) -> dict[str, Any]:
    """A partner's payload with its parts where the service wants them: roles, address, tax number, company."""
    parts = {name: payload[name] for name in ("Address", "TaxNumber", "Company") if payload.get(name)}
    body: dict[str, Any] = {name: value for name, value in payload.items() if name not in parts}
    body["to_BusinessPartnerRole"] = {"results": [{"BusinessPartnerRole": role} for role in ("FLCU00", "FLCU01")]}
    if "Address" in parts:
        body["to_BusinessPartnerAddress"] = {"results": [parts["Address"]]}
    if "TaxNumber" in parts:
        body["to_BusinessPartnerTax"] = {"results": [parts["TaxNumber"]]}
    if "Company" in parts:
        body["to_Customer"] = {"to_CustomerCompany": {"results": [parts["Company"]]}}
    return body


def _changes(row: Mapping[str, Any], request: Request) -> list[tuple[str, str, dict[str, Any]]]:
    """What a partner shows otherwise than was sent: path, entity tag and fields of each part that must change.

    A field that is not sent is left as it is. Roles, company, mail and tax number are written when it is made.
    """
    sent = read_answer(Answer(0, body=request.body))
    ident = str(row.get("BusinessPartner") or "")
    key = _key(ident)
    found = [(f"{PARTNER.entities}('{key}')", row, _plain(sent))]
    wanted = member(sent, "to_BusinessPartnerAddress", "results")
    shown = member(row, "to_BusinessPartnerAddress", "results")
    if isinstance(wanted, list) and isinstance(shown, list) and shown and isinstance(shown[0], Mapping):
        place = f"A_BusinessPartnerAddress(BusinessPartner='{key}',AddressID='{_key(str(shown[0].get('AddressID')))}')"
        found.append((place, shown[0], _plain(wanted[0])))
    return [
        (f"{ODATA}/{PARTNER.service}/{place}", str(member(there, "__metadata", "etag") or "*"), differing)
        for place, there, fields in found
        if (differing := {name: value for name, value in fields.items() if there.get(name) != value})
    ]


def _plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if not isinstance(value, list | Mapping)}


def _key(text: str) -> str:
    return quote(text.replace("'", "''"), safe="")


def _equals(name: str, value: str) -> str:
    return quote(f"{name} eq '{value.replace(chr(39), chr(39) * 2)}'", safe="")


def _session(answer: Answer) -> Session:
    """Token and cookies of an answer; of a cookie only its name and value are sent back.

    Several cookies stand in one header, between commas; what is behind the comma of a date is no name and value.
    """
    token = answer.headers.get("x-csrf-token", "")
    cookies = [one.partition(";")[0].strip() for one in answer.headers.get("set-cookie", "").split(",")]
    known = [one for one in cookies if "=" in one]
    return Session("" if token.lower() in ("required", "fetch") else token, "; ".join(known))


def _token_refused(answer: Answer) -> bool:
    return answer.status == 403 and answer.headers.get("x-csrf-token", "").lower() == "required"


def _echo(row: Mapping[str, Any], shape: Shape, work: Work) -> Echo:
    ident = str(row.get(shape.key) or "")
    currency = str(row.get(shape.currency) or "") or None if shape.currency else None
    ref = row.get(shape.reference)
    return Echo(ident, str(ref) if ref else None, ident or None, currency, _minor(row.get(shape.total), work))


def _documents(rows: Sequence[Mapping[str, Any]], work: Work) -> list[Echo]:
    """Line items as the documents they belong to, each with the larger of its two sides."""
    by_key: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        key = (str(row.get("CompanyCode")), str(row.get("AccountingDocument")), str(row.get("FiscalYear")))
        by_key.setdefault(key, []).append(row)
    return [_document(key, lines, work) for key, lines in by_key.items()]


def _document(key: tuple[str, str, str], lines: Sequence[Mapping[str, Any]], work: Work) -> Echo:
    amounts = [_decimal(line.get("AmountInTransactionCurrency")) for line in lines]
    known = [one for one in amounts if one is not None]
    debit, credit = sum(one for one in known if one > 0), -sum(one for one in known if one < 0)
    currencies = {str(line.get("TransactionCurrency") or "") for line in lines}
    whole = len(known) == len(amounts)
    return Echo(
        remote="/".join(key),
        ref=work.ref if any(line.get("AssignmentReference") == work.ref for line in lines) else None,
        number=key[1],
        currency=next(iter(currencies)) if len(currencies) == 1 else None,
        total=_minor(str(max(debit, credit)), work) if whole else None,
    )


def _decimal(value: Any) -> Decimal | None:
    """A decimal as OData V2 spells it, a string; ``None`` for anything else."""
    return Decimal(value) if isinstance(value, str) and DECIMAL.fullmatch(value) else None


def _minor(value: Any, work: Work) -> int | None:
    amount = _decimal(value)
    if amount is None or work.currency is None:
        return None
    try:
        return Money.from_decimal(amount, work.currency).minor
    except NeedsHuman:
        return None


def error_text(answer: Answer) -> str:
    """What an answer refuses with: an OData error's code, sentence and details, or the grave items of a log."""
    if b"<" in answer.body[:200]:
        try:
            return journal.log_text(journal.read_confirmation(answer))
        except ValueError:
            return ""
    if answer.status < 400:
        return ""
    try:
        error = member(read_answer(answer), "error")
    except Verdict:
        return ""
    details = member(error, "innererror", "errordetails")
    more = [str(member(one, "message") or "") for one in (details if isinstance(details, list) else [])]
    said = [str(member(error, "code") or ""), str(member(error, "message", "value") or ""), *more[:5]]
    return "; ".join(dict.fromkeys(one for one in said if one))[:500]


TARGET = Sap()
