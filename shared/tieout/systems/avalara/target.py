"""AvaTax as a target, over REST v2: the tax of what the books accepted is recorded, and taken back where it was.

A transaction is known by company, type and code, and the code is our reference to the document (not to one attempt), so
that ``createoradjust`` of the same document gives one transaction and a void addresses it without asking for an id.
Class U by that; it changes in place all the same, so a doubtful write is looked at first.

Tax is reckoned once. Where the billing system did (``engine: source``), each line goes with an override of its amount
and AvaTax only records; where AvaTax does, its total must come to the document's own; where the ERP does, nothing goes.
A credit is dated back to its invoice's tax point. Two questions leave nothing behind: an estimate, and an address.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote

from tieout.contract import Action, Budget, Echo, Finds, Found, Quiet, Reference, Wire, Work
from tieout.core.classify import Answer, Row
from tieout.core.exchange import JSON, Request, difference, judge, member, read_answer
from tieout.core.money import Money
from tieout.core.parse import write_json
from tieout.core.verdicts import NeedsHuman, Uncertain, Verdict

API: Final = "/api/v2"
#: Who is calling, in the five parts that Avalara asks of every connector.
CLIENT: Final = "Tieout; 1; Tieout; 1; tieout"
HEADERS: Final = {"Content-Type": JSON, "Accept": JSON, "X-Avalara-Client": CLIENT}
TYPES: Final[Mapping[str, str]] = {"invoice": "SalesInvoice", "credit_note": "ReturnInvoice"}
BY_SOURCE: Final = "Reckoned by the billing system"
#: Countries whose addresses AvaTax resolves.
RESOLVED: Final = frozenset({"US", "CA"})


class Avalara:
    """Records transactions of one AvaTax account and asks it questions; holds nothing."""

    name = "avalara"
    auth: Mapping[str, str] = {"scheme": "basic", "user": "account_id", "password": "license_key"}
    finds = Finds.UNIQUE
    quiet = Quiet(client_timeout=30, longest_processing=120, search_lag=0, clock_skew=5, period=240)
    #: A code has at most fifty characters.
    reference = Reference("TIE-", 30)
    #: Avalara publishes no limit.
    budget = Budget(concurrency=8)
    actions: Mapping[tuple[str, str], Action] = {
        ("invoice", "create"): Action("avalara.invoice", once=False),
        ("invoice", "void"): Action("avalara.invoice_void", once=False),
        ("credit_note", "create"): Action("avalara.credit_note", once=False),
        ("credit_note", "void"): Action("avalara.credit_note_void", once=False),
    }
    asks: Mapping[tuple[str, str], str] = {("opportunity", "estimate"): "avalara.estimate"}
    verdicts: Sequence[Row] = (
        Row(4, Uncertain, "target_unclear", says="fault server"),
        Row(400, NeedsHuman, "address_not_found", says="address"),
        Row(503, Uncertain, "target_down"),
    )
    batches = False
    ack_due = 0

    def build(self, kind: str, action: str, ref: str, payload: Mapping[str, Any]) -> bytes:
        """The transaction as it will be sent and recorded; a credit's amounts are negative there."""
        if payload.get("engine") == "erp":
            raise NeedsHuman("tax_reckoned_elsewhere", kind=kind)
        if action == "void":
            company, code = quote(str(payload["companyCode"]), safe=""), quote(ref, safe="")
            path = f"{API}/companies/{company}/transactions/{code}/void?documentType={TYPES[kind]}"
            return Request("POST", path, write_json({"code": "DocVoided"}), HEADERS).dump()
        transaction = _transaction(payload, -1 if kind == "credit_note" else 1)
        body = {
            "adjustmentReason": "Other",
            "adjustmentDescription": "the same document again",
            "createTransactionModel": {**transaction, "type": TYPES[kind], "code": ref, "commit": True},
        }
        return Request("POST", f"{API}/transactions/createoradjust", write_json(body), HEADERS).dump()

    def send(self, wire: Wire, work: Sequence[Work]) -> Sequence[Echo | None]:
        """One call; the answer is the transaction as AvaTax holds it then."""
        return [self._send(wire, one) for one in work]

    def _send(self, wire: Wire, work: Work) -> Echo:
        request = Request.load(work.payload)
        answer = wire.call(request.method, request.path, headers=request.headers, body=request.body)
        try:
            judge(self.verdicts, answer, error_text(answer))
        except NeedsHuman:
            # What is void already cannot be voided, and that is no refusal of ours.
            found = self.find(wire, work) if work.action == "void" else None
            if found is None or found.state != "complete" or found.echo is None:
                raise
            return found.echo
        shown = read_answer(answer)
        if member(shown, "code") != work.ref or member(shown, "status") != _wanted(work):
            raise Uncertain("target_unclear", f"HTTP {answer.status} without our transaction", status=answer.status)
        return _echo(shown, work)

    def find(self, wire: Wire, work: Work) -> Found:
        """Look by our code: committed, or void where that was wanted."""
        request = Request.load(work.payload)
        if work.action == "void":
            path = request.path.replace("/void?", "?")
        else:
            company = member(read_answer(Answer(0, body=request.body)), "createTransactionModel", "companyCode")
            place = f"{API}/companies/{quote(str(company), safe='')}/transactions/{quote(work.ref, safe='')}"
            path = f"{place}?documentType={TYPES[work.kind]}"
        answer = wire.call("GET", path, headers={"Accept": JSON, "X-Avalara-Client": CLIENT})
        if answer.status == 404:
            return Found("absent")
        judge(self.verdicts, answer, error_text(answer))
        shown = read_answer(answer)
        if member(shown, "code") != work.ref:
            raise Uncertain("target_unclear", f"HTTP {answer.status} without our transaction", status=answer.status)
        echo, status = _echo(shown, work), member(shown, "status")
        if status != _wanted(work):
            if status == "Cancelled":  # somebody has taken back what we may have recorded
                return Found("ambiguous", echo, "target_echo_differs", "it is void there")
            return Found("absent", echo, said=f"it is {status}")
        differs = difference(self.actions[work.kind, work.action].echo, work, echo)
        return Found("ambiguous", echo, "target_echo_differs", differs) if differs else Found("complete", echo)

    def look(self, wire: Wire, kind: str, facts: Mapping[str, str]) -> Sequence[Echo]:
        """Nothing to look for: it keeps no customers for us."""
        return []

    def ask(self, wire: Wire, kind: str, question: str, payload: Mapping[str, Any]) -> Mapping[str, str]:
        """The tax of what is not sold yet: ``tax`` and ``total`` as decimals, after the address was resolved.

        A ``SalesOrder`` is not recorded, so asking leaves nothing. Raises a verdict: ``address_not_found``.
        """
        place = payload["addresses"]["shipTo"]
        if place.get("country") in RESOLVED:
            self._resolve(wire, place)
        body = write_json({**_transaction(payload, 1), "type": "SalesOrder", "commit": False})
        answer = wire.call("POST", f"{API}/transactions/create", headers=HEADERS, body=body)
        shown = read_answer(judge(self.verdicts, answer, error_text(answer)))
        tax, net = member(shown, "totalTax"), member(shown, "totalAmount")
        if not _exact(tax) or not _exact(net) or member(shown, "currencyCode") != payload["currencyCode"]:
            raise Uncertain("target_unclear", f"HTTP {answer.status} without a total", status=answer.status)
        return {"tax": str(tax), "total": str(Decimal(net) + Decimal(tax))}

    def _resolve(self, wire: Wire, place: Mapping[str, str]) -> None:
        answer = wire.call("POST", f"{API}/addresses/resolve", headers=HEADERS, body=write_json(place))
        shown = read_answer(judge(self.verdicts, answer, error_text(answer)))
        messages = member(shown, "messages")
        errors = [
            str(member(one, "summary") or "")
            for one in (messages if isinstance(messages, list) else [])
            if member(one, "severity") == "Error"
        ]
        if errors:  # said under HTTP 200
            said = "; ".join(errors)[:200]
            raise NeedsHuman("address_not_found", said, said=said)
        if not isinstance(member(shown, "validatedAddresses"), list):
            raise Uncertain("target_unclear", f"HTTP {answer.status} without an address", status=answer.status)


def _transaction(payload: Mapping[str, Any], sign: int) -> dict[str, Any]:
    """The transaction without what only we know: engine and taxes become overrides, amounts get their sign."""
    ours = ("engine", "tax_date", "tax", "lines")
    found = {name: value for name, value in payload.items() if name not in ours}
    if payload.get("tax_date"):
        reason = "Tax point of the invoice" if sign < 0 else "Tax point"
        found["taxOverride"] = {"type": "TaxDate", "taxDate": payload["tax_date"], "reason": reason}
    return {**found, "lines": [_line(payload, line, sign) for line in payload["lines"]]}


def _line(payload: Mapping[str, Any], line: Mapping[str, Any], sign: int) -> dict[str, Any]:
    found = {name: value for name, value in line.items() if name != "tax"}
    found["amount"] = sign * line["amount"]
    if payload.get("engine") == "source":
        tax = line.get("tax")
        if tax is None and payload["tax"]:
            raise NeedsHuman("tax_not_by_line", line=str(line["number"]))
        found["taxOverride"] = {"type": "TaxAmount", "taxAmount": sign * (tax or 0), "reason": BY_SOURCE}
    return found


def _wanted(work: Work) -> str:
    return "Cancelled" if work.action == "void" else "Committed"


def _exact(amount: Any) -> bool:
    return isinstance(amount, int | Decimal) and not isinstance(amount, bool)


def _echo(shown: Any, work: Work) -> Echo:
    ident, currency = member(shown, "id"), member(shown, "currencyCode")
    return Echo(
        remote=str(ident) if type(ident) is int else "",
        ref=member(shown, "code"),
        number=None,
        currency=currency if isinstance(currency, str) else None,
        total=_gross(shown, work),
    )


def _gross(shown: Any, work: Work) -> int | None:
    """Net and tax in minor units, as our document counts them; ``None`` where our currency cannot spell them."""
    net, tax = member(shown, "totalAmount"), member(shown, "totalTax")
    if work.currency is None or not _exact(net) or not _exact(tax):
        return None
    try:
        minor = Money.from_decimal(Decimal(net) + Decimal(tax), work.currency).minor
    except NeedsHuman:
        return None
    return -minor if work.kind == "credit_note" else minor


def error_text(answer: Answer) -> str:
    """Codes, sentences and who is at fault (``fault server``) of AvaTax's error body; empty where it is none."""
    if answer.status < 400:
        return ""
    try:
        error = member(read_answer(answer), "error")
    except Verdict:
        return ""
    found = [member(error, "code"), member(error, "message")]
    details = member(error, "details")
    for row in details if isinstance(details, list) else []:
        found += [member(row, name) for name in ("code", "message", "description")]
        found += [f"fault {fault}"] if (fault := member(row, "faultCode")) else []
    return "; ".join(dict.fromkeys(str(one) for one in found if one))


TARGET = Avalara()
