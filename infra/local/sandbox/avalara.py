"""AvaTax, one account: transactions by company, type and code, and the resolving of addresses.

On the wire it is AvaTax: basic auth, ``createoradjust`` that gives one transaction for one code, a void that cannot be
repeated, estimates that are not kept, tax that it reckons itself by state and day where no override says otherwise,
credits as negative amounts, errors with a code and a fault, and an address that does not exist told under HTTP 200.

Simplifications: one rate a state, of which Washington's changes in November 2026; tax is rounded by line; every
product is taxable; a location code is any text; nothing is locked; an adjustment replaces, older versions are not kept.
"""

from __future__ import annotations

import base64
from datetime import date
from decimal import Decimal
from typing import Any

from infra.local.sandbox.agenda import Agenda, Clock
from infra.local.sandbox.books import Entry, rounded, to_minor
from infra.local.sandbox.system import Ground, System
from infra.local.sandbox.wire import Json, Reply, Request

API = ["api", "v2"]
#: Percent by state, from a day on.
RATES = {
    "NY": [(date.min, "8.875")], "CA": [(date.min, "7.25")], "WA": [(date.min, "6.5"), (date(2026, 11, 15), "6.8")],
}  # fmt: skip
RECORDED = {"SalesInvoice": "invoice", "ReturnInvoice": "credit_note"}
#: What may be said of a transaction, and of a line of it.
FIELDS = frozenset({
    "code", "type", "companyCode", "date", "customerCode", "currencyCode", "referenceCode", "purchaseOrderNo",
    "addresses", "lines", "commit", "taxOverride", "description",
})  # fmt: skip
LINE = frozenset({"number", "quantity", "amount", "taxCode", "itemCode", "description", "taxOverride"})
#: A town that is nowhere, so that a story can have one.
NOWHERE = "Nowhere"


class Refused(Exception):
    """A fault of the caller: AvaTax's code, a sentence, the field it is about."""

    def __init__(self, code: str, text: str, field: str = "") -> None:
        super().__init__(text)
        self.code, self.field = code, field


class Avalara(System):
    """One account; ``rows`` holds the recorded transactions by company, type and code."""

    name = "avalara"

    def __init__(self, account: str, clock: Clock, agenda: Agenda, seed: int) -> None:
        super().__init__(account, clock, agenda, seed)
        self.account_id = "20" + self.ids.code("account", 8)
        self.license_key = self.ids.code("license", 16)
        self.companies = {"ACME-US"}
        self.rows: dict[tuple[str, str, str], Json] = {}
        self.asked = 0
        self._next = 9_000_000

    def secret(self) -> Json:
        """What the product's secret store holds for this account."""
        return {"base_url": self.base_url, "account_id": self.account_id, "license_key": self.license_key}

    # --- the door ----------------------------------------------------------------------------------------------

    def authorise(self, request: Request) -> Reply | None:
        """Account and licence key."""
        wanted = base64.b64encode(f"{self.account_id}:{self.license_key}".encode()).decode()
        if request.headers.get("authorization") == f"Basic {wanted}":
            return None
        return _error(401, "AuthenticationException", "Authentication failed.")

    def forget_tokens(self) -> Reply | None:
        """There are no tokens that end; what AvaTax says of a licence key that was reset."""
        return _error(401, "AuthenticationException", "Authentication failed.")

    def misbehave(self, kind: str, args: Json) -> Reply:
        """AvaTax's words."""
        if kind == "ok_with_errors":
            return Reply.json(200, {"messages": [{"summary": "The tax could not be calculated", "severity": "Error"}]})
        if kind == "closed_period":
            return _error(400, "CannotModifyLockedTransaction", "This transaction is locked and cannot be modified.")
        return _error(429, "TooManyRequests", "Too many requests")

    def act(self, request: Request) -> Reply:
        """Route one authorised call."""
        parts = request.segments
        if parts[:2] != API:
            return _error(404, "EntityNotFoundError", "Not found")
        if not request.headers.get("x-avalara-client"):
            return _error(400, "MissingHeader", "X-Avalara-Client is missing")
        try:
            match request.method, parts[2:]:
                case "POST", ["transactions", "create"]:
                    return self._create(request.json())
                case "POST", ["transactions", "createoradjust"]:
                    return self._create(request.json()["createTransactionModel"])
                case "POST", ["addresses", "resolve"]:
                    return self._resolve(request.json())
                case "GET", ["companies"]:
                    codes = sorted({company for company, _, _ in self.rows})
                    return Reply.json(
                        200, {"@recordsetCount": len(codes), "value": [{"companyCode": one} for one in codes]}
                    )
                case "GET", ["companies", company, "transactions", code]:
                    return Reply.json(200, self._row(company, code, request))
                case "POST", ["companies", company, "transactions", code, "void"]:
                    return self._void(self._row(company, code, request), request.json())
        except Refused as refused:
            status = 404 if refused.code == "EntityNotFoundError" else 400
            return _error(status, refused.code, str(refused), refused.field)
        except (ValueError, KeyError, TypeError) as error:
            return _error(400, "JsonFormatError", f"cannot be read: {error}")
        return _error(404, "EntityNotFoundError", "Not found")

    # --- transactions ------------------------------------------------------------------------------------------

    def _row(self, company: str, code: str, request: Request) -> Json:
        row = self.rows.get((company, request.query.get("documentType", "SalesInvoice"), code))
        if row is None:
            raise Refused("EntityNotFoundError", f"Document with ID '{company}:{code}' not found.")
        return row

    def _create(self, sent: Json) -> Reply:
        """An order is reckoned and forgotten; everything else is recorded under its code."""
        if strange := set(sent) - FIELDS:
            raise Refused("UnknownField", f"unknown to the sandbox: {', '.join(sorted(strange))}")
        if sent["companyCode"] not in self.companies:
            raise Refused("CompanyNotFoundError", f"Company not found: {sent['companyCode']}")
        kind = str(sent["type"])
        recorded = kind != "SalesOrder"
        if recorded and (kind not in RECORDED or not sent.get("code") or len(sent["code"]) > 50):
            raise Refused("ValueRequiredError", "a recorded transaction needs a type and a code", "Code")
        taxed = self._taxed(sent)
        key = (str(sent["companyCode"]), kind, str(sent.get("code", "")))
        there = self.rows.get(key) if recorded else None
        if there is not None and there["status"] == "Cancelled":
            raise Refused("DocStatusError", "Document is cancelled and cannot be adjusted", "DocStatus")
        status = "Committed" if recorded and sent.get("commit") else "Saved" if recorded else "Temporary"
        row = {
            "id": there["id"] if there else self._ident(), "code": sent.get("code", ""), "type": kind,
            "status": status, "companyId": 1, "date": sent["date"], "currencyCode": sent["currencyCode"],
            "customerCode": sent["customerCode"], "referenceCode": sent.get("referenceCode"),
            "version": there["version"] + 1 if there else 1, **taxed,
        }  # fmt: skip
        if recorded:
            self.rows[key] = row
        else:
            self.asked += 1
        return Reply.json(201, row)

    def _ident(self) -> int:
        self._next += 1
        return self._next

    def _taxed(self, sent: Json) -> Json:
        """Net and tax, added up line by line."""
        override = sent.get("taxOverride") or {}
        day = date.fromisoformat(str(override["taxDate"] if override.get("type") == "TaxDate" else sent["date"]))
        place = sent["addresses"]["shipTo"]
        if not place.get("country") or not (place.get("postalCode") or place.get("region")):
            raise Refused("InsufficientAddressError", "The address is incomplete", "Address")
        rate = next(
            (Decimal(r) for start, r in reversed(RATES.get(place.get("region"), [])) if start <= day), Decimal(0)
        )
        net = tax = Decimal(0)
        for line in sent["lines"]:
            if strange := set(line) - LINE:
                raise Refused("UnknownField", f"unknown to the sandbox: {', '.join(sorted(strange))}")
            amount, said = Decimal(line["amount"]), line.get("taxOverride") or {}
            net += amount
            if said.get("type") == "TaxAmount":
                tax += Decimal(said["taxAmount"])
            else:
                tax += rounded(amount * rate / 100, sent["currencyCode"])
        return {"totalAmount": net, "totalTax": tax, "totalTaxable": net, "taxDate": day.isoformat(),
                "region": place.get("region"), "country": place["country"]}  # fmt: skip

    def _void(self, row: Json, sent: Json) -> Reply:
        if sent.get("code") != "DocVoided":
            raise Refused("ValueRequiredError", "a reason code is needed", "Code")
        if row["status"] == "Cancelled":
            raise Refused("DocStatusError", "Document is already cancelled", "DocStatus")
        row["status"] = "Cancelled"
        return Reply.json(200, row)

    def _resolve(self, sent: Json) -> Reply:
        shown: Json = {"address": sent, "validatedAddresses": [sent], "resolutionQuality": "Rooftop"}
        if sent.get("city") == NOWHERE or not sent.get("line1"):
            text = "The address is not deliverable."
            shown |= {"validatedAddresses": [], "resolutionQuality": "NotCoded", "messages": [
                {"summary": text, "details": "", "refersTo": "Address", "severity": "Error"},
            ]}  # fmt: skip
        return Reply.json(200, shown)

    def book(self) -> list[Entry]:
        """What was recorded, void or not; a credit counts up, as our documents count it."""
        return [self._entry(row) for row in self.rows.values()]

    def _entry(self, row: Json) -> Entry:
        sign = -1 if row["type"] == "ReturnInvoice" else 1
        gross = to_minor(sign * (row["totalAmount"] + row["totalTax"]), row["currencyCode"])
        return Entry(
            self.name, self.account, row["code"], RECORDED[row["type"]], str(row["id"]), row["currencyCode"], gross, "",
            str(row["status"]).lower(), str(row["referenceCode"] or ""),
        )  # fmt: skip


def _error(status: int, code: str, text: str, field: str = "") -> Reply:
    detail: Any = {"code": code, "number": 300, "message": text, "description": text, "faultCode": "Client",
                   "refersTo": field, "severity": "Error"}  # fmt: skip
    return Reply.json(status, {"error": {"code": code, "message": text, "target": "HttpRequest", "details": [detail]}})


def stand(ground: Ground) -> Avalara:
    """The sandbox of this system, found by the server."""
    return Avalara("acme", ground.clock, ground.agenda, ground.seed)
