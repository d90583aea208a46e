"""Business Central, one company of one environment: API v2.0 below ``/companies({id})``.

On the wire it is Business Central: a client-credentials token, ``$filter`` by one equality, ``$expand``, entity tags
that PATCH and DELETE must show, drafts that a bound action posts (204, and the number changes while the id stays), a
posting range, payment journals whose lines are gone once posted and leave general ledger entries, its own tax by the
line's tax code, error bodies with its codes, webhook subscriptions (``businesscentral_hooks``).

Simplifications: one tax rate a code, rounded by line; the ledger currency alone in payments; two entries a payment; no
dimensions; an id given on create is refused as read-only, as its page of sales invoices declares.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

from infra.local.sandbox.agenda import Agenda, Clock
from infra.local.sandbox.books import Entry, rounded, to_minor
from infra.local.sandbox.businesscentral_hooks import Subscriptions
from infra.local.sandbox.described import BUSINESS_CENTRAL
from infra.local.sandbox.edmx import metadata
from infra.local.sandbox.system import Deliver, Ground, System
from infra.local.sandbox.wire import Json, Reply, Request

TOKEN_PATH = "/oauth2/v2.0/token"
TOKEN_LIFE = 3599
SCOPE = "https://api.businesscentral.dynamics.com/.default"
COMPANY = re.compile(r"/companies\(([^)]*)\)(/.*)")
SUBSCRIPTION = re.compile(r"/subscriptions(?:\('([^']*)'\))?")
ENTITY = re.compile(r"/(\w+)(?:\(([^)]*)\))?(/Microsoft\.NAV\.\w+)?")
FILTER = re.compile(r"(\w+) eq '((?:[^']|'')*)'")
#: Percent by tax code, and general ledger accounts by id.
TAXES = {"NY-TAX": Decimal("8.875"), "CA-TAX": Decimal("7.25"), "NOTAX": Decimal(0)}
ACCOUNTS = {"b0f1a2c3-44e3-ea11-bb43-000d3a2feca1": "10100"}
ITEMS = frozenset({"PRO", "SEAT", "SETUP", "USAGE", "SUPPORT", "CREDIT"})
CUSTOMER = frozenset({"number", "displayName", "type", "addressLine1", "addressLine2", "city", "state", "country",
                      "postalCode", "phoneNumber", "email", "taxRegistrationNumber", "currencyCode",
                      "paymentTermsId", "blocked"})  # fmt: skip
LINE = frozenset({"lineType", "lineObjectNumber", "description", "quantity", "unitPrice", "taxCode"})
#: Of each document: its lines, its date, the fields that may be written, the kind in a book.
DOCUMENTS: dict[str, tuple[str, str, frozenset[str], str]] = {
    "salesInvoices": ("salesInvoiceLines", "invoiceDate", frozenset({
        "externalDocumentNumber", "invoiceDate", "postingDate", "dueDate", "customerId", "currencyCode",
        "customerPurchaseOrderReference"}), "invoice"),
    "salesCreditMemos": ("salesCreditMemoLines", "creditMemoDate", frozenset({
        "externalDocumentNumber", "creditMemoDate", "postingDate", "customerId", "currencyCode", "invoiceId"}),
        "credit_note"),
}  # fmt: skip
PAYMENT = frozenset({"customerId", "postingDate", "documentNumber", "externalDocumentNumber", "amount",
                     "appliesToInvoiceId", "description"})  # fmt: skip


class Refused(Exception):
    """An error of Business Central: HTTP status, code, sentence."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code

    def reply(self) -> Reply:
        """As it goes over the wire."""
        return Reply.json(self.status, {"error": {"code": self.code, "message": str(self)}})


class BusinessCentral(System):
    """One company. Postings dated up to ``closed_until`` are refused; ``rows`` holds each entity set by id."""

    name = "businesscentral"
    does = frozenset({"archived_customer", "merged_customer"})

    def __init__(self, account: str, clock: Clock, agenda: Agenda, seed: int, send: Deliver) -> None:
        super().__init__(account, clock, agenda, seed)
        self.subscriptions = Subscriptions(clock, agenda, self.ids, send)
        self.client_state = self.ids.code("client state", 40)
        self.client_id = self.ids.code("client id", 32)
        self.client_secret = self.ids.code("client secret", 40)
        self.company_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"businesscentral/{seed}/{account}"))
        self.currency = "USD"
        self.closed_until: date | None = None
        names = ("customers", *DOCUMENTS, "customerPaymentJournals", "generalLedgerEntries", "payments")
        self.rows: dict[str, dict[str, Json]] = {name: {} for name in names}
        self._tokens: dict[str, datetime] = {}

    def secret(self) -> Json:
        """What the product's secret store holds for this company."""
        return {
            "base_url": self.base_url, "client_id": self.client_id, "client_secret": self.client_secret,
            "client_states": [self.client_state],
            "settings": {"company_id": self.company_id, "currency": self.currency},
        }  # fmt: skip

    # --- the door ----------------------------------------------------------------------------------------------

    def authorise(self, request: Request) -> Reply | None:
        """A bearer token that has not ended."""
        if request.path == TOKEN_PATH:
            return None
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        until = self._tokens.get(token)
        if scheme.lower() == "bearer" and until is not None and until > self.now():
            return None
        said = {
            "code": "Authentication_InvalidCredentials",
            "message": "The server has rejected the client credentials",
        }
        return Reply.json(401, {"error": said})

    def forget_tokens(self) -> Reply | None:
        """Every access token is void."""
        self._tokens.clear()
        return None

    def misbehave(self, kind: str, args: Json) -> Reply:
        """Business Central's words."""
        if kind == "closed_period":
            return _closed("2026-10-31").reply()
        if kind == "ok_with_errors":
            said = {"code": "Application_DialogException", "message": "The document was not created"}
            return Reply.json(200, {"error": said})
        said = {
            "code": "Application_TooManyRequests",
            "message": "Too many requests reached. Actual (101). Maximum (100).",
        }
        return Reply.json(429, {"error": said})

    def customer_of(self, request: Request) -> str:
        """The customer of a new document, or of the first payment of a new journal."""
        if request.method != "POST":
            return ""
        return (request.told("customerId") or request.told("customerPayments", "0", "customerId")).lower()

    def act(self, request: Request) -> Reply:
        """Route one authorised call."""
        if request.path == TOKEN_PATH:
            return self._token(request)
        if unquote(request.path) == "/$metadata":
            return metadata("4.0", "Microsoft.NAV", BUSINESS_CENTRAL)
        if asked := SUBSCRIPTION.fullmatch(unquote(request.path)):
            return self._subscription(request, asked[1])
        company = COMPANY.fullmatch(unquote(request.path))
        parts = ENTITY.fullmatch(company[2]) if company else None
        if company is None or parts is None or (parts[1] not in self.rows and parts[1] != "journals"):
            return Refused(404, "BadRequest_NotFound", "Resource not found for the segment").reply()
        if company[1] != self.company_id:
            return Refused(404, "Internal_CompanyNotFound", "Cannot find the company").reply()
        try:
            return self._do(request, parts[1], parts[2], parts[3] or "")
        except Refused as refused:
            return refused.reply()

    def _token(self, request: Request) -> Reply:
        form = request.form()
        known = (form.get("client_id"), form.get("client_secret"), form.get("grant_type"), form.get("scope"))
        if known != (self.client_id, self.client_secret, "client_credentials", SCOPE):
            return Reply.json(401, {"error": "invalid_client"})
        token = self.ids.next("eyJ0eXAiOi.", 64)
        self._tokens[token] = self.now() + timedelta(seconds=TOKEN_LIFE)
        return Reply.json(200, {"token_type": "Bearer", "expires_in": TOKEN_LIFE, "access_token": token})

    def _subscription(self, request: Request, ident: str | None) -> Reply:
        rows = self.subscriptions.rows
        if request.method == "GET" and ident is None:
            return Reply.json(200, {"value": [self.subscriptions.shown(row) for row in self.subscriptions.live()]})
        if ident is not None and ident not in rows:
            return Refused(404, "Internal_RecordNotFound", f"Subscription {ident} does not exist.").reply()
        if (request.method, ident is None) not in (("POST", True), ("PATCH", False)):
            return Refused(400, "BadRequest_MethodNotAllowed", f"'{request.method}' requests are not allowed").reply()
        if ident is not None and request.headers.get("if-match") not in ("*", f'W/"{rows[ident]["rev"]}"'):
            return Refused(409, "Request_EntityChanged", "Another user has already changed the record.").reply()
        made = self.subscriptions.put(_body(request), ident)
        if made is None:
            return Refused(400, "BadRequest", "The notification URL did not return the validation token.").reply()
        return Reply.json(201 if ident is None else 200, made)

    def open_card(self, **fields: Any) -> Json:
        """A customer that a person opens, with whatever the card shows."""
        with self.lock:
            return self._create("customers", {"number": f"C{10000 + len(self.rows['customers'])}", **fields})

    def _do(self, request: Request, entities: str, ident: str | None, action: str) -> Reply:
        if action:
            if request.method != "POST" or action != "/Microsoft.NAV.post":
                raise Refused(400, "BadRequest_MethodNotImplemented", "Entity does not support bound actions")
            self._post(entities, str(ident))
            return Reply(204)
        if request.method == "GET" and ident is None:
            return Reply.json(200, {"value": self._filtered(entities, request.query)})
        if request.method == "GET":
            return Reply.json(200, self._shown(entities, self._row(entities, str(ident)), request.query))
        if request.method == "POST" and ident is None:
            return Reply.json(201, self._shown(entities, self._create(entities, _body(request)), {}))
        row = self._row(entities, str(ident))
        tag = request.headers.get("if-match")
        if tag is None:
            raise Refused(400, "BadRequest_InvalidToken", "Could not validate the client concurrency token")
        if tag not in ("*", _tag(row)):
            raise Refused(409, "Request_EntityChanged", "Another user has already changed the record.")
        if request.method == "DELETE":
            del self.rows[entities][row["id"]]
            return Reply(204)
        if request.method != "PATCH" or entities != "customers":
            raise Refused(400, "BadRequest_MethodNotAllowed", f"'{request.method}' requests are not allowed")
        changes = self._known(_body(request), CUSTOMER)
        row.update(changes, rev=row["rev"] + 1, lastModifiedDateTime=self._stamp())
        return Reply.json(200, self._shown(entities, row, {}))

    # --- reading -----------------------------------------------------------------------------------------------

    def _row(self, entities: str, ident: str) -> Json:
        try:
            return self.rows[entities][ident.lower()]
        except KeyError:
            raise Refused(404, "Internal_RecordNotFound", f"{entities} {ident} does not exist.") from None

    def _filtered(self, entities: str, query: Mapping[str, str]) -> list[Json]:
        if "$filter" not in query:
            top = int(query.get("$top", 20_000))
            return [self._shown(entities, row, query) for row in list(self.rows[entities].values())[:top]]
        wanted = FILTER.fullmatch(query.get("$filter", ""))
        if wanted is None:
            raise Refused(400, "BadRequest_NotFound", "Bad Request - Error in query syntax")
        field, value = wanted[1], wanted[2].replace("''", "'")
        found = [row for row in self.rows[entities].values() if str(row.get(field, "")) == value]
        return [self._shown(entities, row, query) for row in found]

    def _shown(self, entities: str, row: Json, query: Mapping[str, str]) -> Json:
        """A record as it is shown: its tag, its defaults, what is expanded; lines only where they are asked for."""
        hidden = {"rev", "salesInvoiceLines", "salesCreditMemoLines"}
        shown = {name: value for name, value in row.items() if name not in hidden}
        if query.get("$expand") != "customerPayments":
            shown.pop("customerPayments", None)
        return {"@odata.etag": _tag(row), **shown}

    # --- writing -----------------------------------------------------------------------------------------------

    def _create(self, entities: str, sent: Json) -> Json:
        match entities:
            case "customers":
                row = self._customer(sent)
            case "customerPaymentJournals":
                row = self._journal(sent)
            case "salesInvoices" | "salesCreditMemos":
                row = self._document(entities, sent)
            case _:
                raise Refused(400, "BadRequest_MethodNotAllowed", f"'POST' requests for '{entities}' are not allowed")
        row |= {"id": self._id(), "rev": 1, "lastModifiedDateTime": self._stamp()}
        self.rows[entities][row["id"]] = row
        self.subscriptions.tell(self.company_id, entities, row["id"], "created", self._stamp())
        return row

    def _customer(self, sent: Json) -> Json:
        number = str(sent.get("number") or "")
        if any(row["number"] == number for row in self.rows["customers"].values()):
            text = f"The record in table Customer already exists. Identification fields and values: No.='{number}'"
            raise Refused(400, "Internal_EntityWithSameKeyExists", text)
        if len(number) > 20:
            raise Refused(
                400, "Application_StringExceededLength", "The length of the string is more than 20 characters"
            )
        return {"currencyCode": self.currency, "blocked": " ", **self._known(sent, CUSTOMER)}

    def _document(self, entities: str, sent: Json) -> Json:
        """A draft with its lines, added up with the tax of each line's code."""
        lines_name, _, fields, _ = DOCUMENTS[entities]
        head = self._known({name: value for name, value in sent.items() if name != lines_name}, fields)
        self._customer_of(head)
        if head.get("invoiceId"):
            self._row("salesInvoices", head["invoiceId"])
        net = tax = Decimal(0)
        lines = [self._known(line, LINE) for line in sent.get(lines_name, [])]
        currency = str(head.get("currencyCode") or self.currency)
        for line in lines:
            if line.get("lineObjectNumber") not in ITEMS:
                text = f"The field No. of table Sales Line contains a value ({line.get('lineObjectNumber')}) not found"
                raise Refused(400, "Internal_InvalidTableRelation", text)
            if line.get("taxCode") not in TAXES:
                text = f"The field Tax Group Code contains a value ({line.get('taxCode')}) that cannot be found"
                raise Refused(400, "Internal_InvalidTableRelation", text)
            amount = rounded(Decimal(line["quantity"]) * Decimal(line["unitPrice"]), currency)
            net, tax = net + amount, tax + rounded(amount * TAXES[line["taxCode"]] / 100, currency)
        return {
            "number": f"1{len(self.rows[entities]):05d}", **head, "currencyCode": currency, "status": "Draft",
            lines_name: lines, "totalAmountExcludingTax": net, "totalTaxAmount": tax,
            "totalAmountIncludingTax": net + tax,
        }  # fmt: skip

    def _journal(self, sent: Json) -> Json:
        head = {name: value for name, value in sent.items() if name != "customerPayments"}
        head = self._known(head, frozenset({"code", "displayName", "balancingAccountId"}))
        if len(str(head.get("code", ""))) > 10:
            raise Refused(
                400, "Application_StringExceededLength", "The length of the string is more than 10 characters"
            )
        if any(row["code"] == head["code"] for row in self.rows["customerPaymentJournals"].values()):
            raise Refused(400, "Internal_EntityWithSameKeyExists", "The Gen. Journal Batch already exists.")
        if str(head.get("balancingAccountId")).lower() not in ACCOUNTS:
            raise Refused(400, "Internal_RecordNotFound", "The G/L Account does not exist.")
        lines = [self._known(line, PAYMENT) for line in sent.get("customerPayments", [])]
        for line in lines:
            self._customer_of(line)
            if len(line["documentNumber"]) > 20:
                raise Refused(400, "Application_StringExceededLength", "more than 20 characters")
            if Decimal(line["amount"]) > 0:
                raise Refused(400, "Application_DialogException", 'The "amount" should be a negative number.')
            if line.get("appliesToInvoiceId"):
                self._applicable(line)
        return {**head, "customerPayments": lines}

    def _applicable(self, line: Json) -> Json:
        invoice = self.rows["salesInvoices"].get(str(line["appliesToInvoiceId"]).lower())
        if invoice is None or invoice["status"] == "Draft":
            text = 'The "appliesToInvoiceId" should be the ID of an Open, Paid, Corrective, or Canceled Invoice.'
            raise Refused(400, "Application_DialogException", text)
        return invoice

    def _customer_of(self, sent: Json) -> Json:
        found = self.rows["customers"].get(str(sent.get("customerId")).lower())
        aside = self.aside.get(found["id"]) if found else None
        if found is not None and aside == "archived_customer":
            text = f"You cannot create this type of document when Customer {found['number']} is blocked with type All."
            raise Refused(400, "Application_DialogException", text)
        if found is None or aside:
            raise Refused(400, "Application_DialogException", 'The "customerId" does not match to a Customer.')
        return found

    def _known(self, sent: Json, fields: frozenset[str]) -> Json:
        """What may be written; an id is read-only, what is unknown is no property."""
        if "id" in sent:
            raise Refused(400, "BadRequest_InvalidOperation", "Control 'id' is read-only.")
        if strange := set(sent) - fields:
            text = f"The property '{min(strange)}' does not exist on type"
            raise Refused(400, "BadRequest", text)
        return dict(sent)

    def _post(self, entities: str, ident: str) -> None:
        """Post a draft, or every line of a journal."""
        if entities == "journals":
            return self._post_journal(self._row("customerPaymentJournals", ident))
        row = self._row(entities, ident)
        if row.get("status") != "Draft":
            raise Refused(400, "Application_DialogException", "The action can be applied to a draft invoice only.")
        self._open(str(row["postingDate"]))
        if not row[DOCUMENTS[entities][0]]:
            raise Refused(400, "Application_DialogException", "There is nothing to post.")
        number = f"PS-{row['number']}"
        row.update(status="Open", number=number, rev=row["rev"] + 1, lastModifiedDateTime=self._stamp())
        if entities == "salesCreditMemos" and row.get("invoiceId"):
            self._settle(row["invoiceId"])
        return None

    def _post_journal(self, journal: Json) -> None:
        if not journal["customerPayments"]:
            raise Refused(400, "Application_DialogException", "There is nothing to post.")
        for line in journal["customerPayments"]:
            self._open(str(line["postingDate"]))
        receivables = str(uuid.uuid5(uuid.NAMESPACE_URL, "receivables"))
        for line in journal["customerPayments"]:
            amount = -Decimal(line["amount"])
            bank = str(journal["balancingAccountId"]).lower()
            for account, debit, credit in ((bank, amount, 0), (receivables, 0, amount)):
                ident = self._id()
                self.rows["generalLedgerEntries"][ident] = {
                    "id": ident, "rev": 1, "entryNumber": len(self.rows["generalLedgerEntries"]) + 1,
                    "postingDate": line["postingDate"], "documentNumber": line["documentNumber"],
                    "documentType": "Payment", "accountId": account, "accountNumber": ACCOUNTS.get(account, "11000"),
                    "debitAmount": Decimal(debit),
                    "creditAmount": Decimal(credit),
                }  # fmt: skip
            self.rows["payments"][line["documentNumber"]] = {**line, "amount": amount}
            if line.get("appliesToInvoiceId"):
                self._settle(line["appliesToInvoiceId"])
        journal["customerPayments"] = []

    def _settle(self, invoice_id: str) -> None:
        """Paid once payments and credit memos that apply to it reach its total."""
        invoice = self._row("salesInvoices", invoice_id)
        paid = sum(
            (one["amount"] for one in self.rows["payments"].values()
             if str(one.get("appliesToInvoiceId")).lower() == invoice["id"]), Decimal(0),
        )  # fmt: skip
        memos = self.rows["salesCreditMemos"].values()
        credited = sum(
            (one["totalAmountIncludingTax"] for one in memos
             if str(one.get("invoiceId")).lower() == invoice["id"] and one["status"] != "Draft"), Decimal(0),
        )  # fmt: skip
        if paid + credited >= invoice["totalAmountIncludingTax"]:
            invoice["status"] = "Paid"

    def _open(self, day: str) -> None:
        if self.closed_until is not None and date.fromisoformat(day) <= self.closed_until:
            raise _closed(day)

    def _id(self) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, self.ids.next("row", 32)))

    def _stamp(self) -> str:
        return self.now().strftime("%Y-%m-%dT%H:%M:%S.000Z")

    # --- the book ----------------------------------------------------------------------------------------------

    def book(self) -> list[Entry]:
        """What it holds, exactly; drafts and unposted journals with their status."""
        found = [
            self._entry(
                "customer", row, str(row["number"]), "", Decimal(0), "blocked" if row["blocked"].strip() else "active"
            )
            for row in self.rows["customers"].values()
        ]
        for entities, (_, _, _, kind) in DOCUMENTS.items():
            for row in self.rows[entities].values():
                parent = self.rows["salesInvoices"].get(str(row.get("invoiceId")).lower(), {})
                found.append(self._entry(
                    kind, row, str(row.get("externalDocumentNumber", "")), str(row["currencyCode"]),
                    row["totalAmountIncludingTax"], str(row["status"]).lower(),
                    str(parent.get("externalDocumentNumber", "")),
                ))  # fmt: skip
        for line in self.rows["payments"].values():
            parent = self.rows["salesInvoices"].get(str(line.get("appliesToInvoiceId")).lower(), {})
            found.append(self._entry(
                "payment", {"id": line["documentNumber"]}, line["documentNumber"], self.currency, line["amount"],
                "posted", str(parent.get("externalDocumentNumber", "")),
            ))  # fmt: skip
        return found

    def _entry(
        self, kind: str, row: Json, ref: str, currency: str, total: Decimal, status: str, parent: str = ""
    ) -> Entry:
        minor = to_minor(total, currency) if currency else 0
        return Entry(self.name, self.account, ref, kind, str(row["id"]), currency, minor, "", status, parent)


def _closed(day: str) -> Refused:
    text = f"Posting Date is not within your range of allowed posting dates in Sales Header. {day}"
    return Refused(400, "Application_DialogException", text)


def _tag(row: Json) -> str:
    return f'W/"JzQ0O{row["id"][:8]};{row["rev"]}\'"'


def _body(request: Request) -> Any:
    try:
        return request.json()
    except ValueError as error:
        raise Refused(400, "BadRequest", f"Invalid Request Body: {error}") from None


def stand(ground: Ground) -> BusinessCentral:
    """The sandbox of this system, found by the server."""
    return BusinessCentral("acme", ground.clock, ground.agenda, ground.seed, ground.send)
