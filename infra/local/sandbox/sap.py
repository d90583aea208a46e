"""SAP S/4HANA Cloud, one tenant: business partners and sales orders over OData V2, journal entries over SOAP.

On the wire it is SAP: basic authentication, a CSRF token that a write must show together with the session cookies that
came with it, entity tags for changes, ``d`` and ``results``, decimals as strings, dates as ``/Date(ms)/``, field
lengths, error codes such as ``R1/144``, a journal service that answers HTTP 200 and refuses in its log, simulation by
``TestDataIndicator``, entries that must balance in each currency and whose debit/credit indicator must go with the
sign, posting periods, line items in the leading ledger and again in a parallel one.

Simplifications: ``$filter`` knows equalities joined by ``and``; ``$expand`` one level; one currency an entry; a
partner's number is its customer's; nothing is cleared; the fiscal year is the calendar's.
"""

from __future__ import annotations

import base64
import re
from collections import defaultdict
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

from infra.local.sandbox.agenda import Agenda, Clock
from infra.local.sandbox.books import Entry, rounded, to_minor
from infra.local.sandbox.described import SAP
from infra.local.sandbox.edmx import metadata
from infra.local.sandbox.system import Ground, System
from infra.local.sandbox.wire import Json, Reply, Request

ODATA = re.compile(r"/sap/opu/odata/sap/(\w+)/(?:(\w+)(?:\(([^)]*)\))?)?")
METADATA = re.compile(r"/sap/opu/odata/sap/(\w+)/\$metadata")
TERM = re.compile(r"(\w+) eq '((?:[^']|'')*)'")
SOAP_PATH = "/sap/bc/srt/scs_ext/sap/journalentrycreaterequestconfi"
ACTION = "http://sap.com/xi/SAPSCORE/SFIN/JournalEntryCreateRequestConfirmation_In/JournalEntryCreateRequestConfirmation_InRequest"
REQUEST = "{http://sap.com/xi/SAPSCORE/SFIN}JournalEntryBulkCreateRequest"
SESSION = "SAP_SESSIONID_XYZ_100"
SESSION_LIFE = 1800
TOKEN_PATH, TOKEN_LIFE = "/oauth/token", 3600
SERVICES = {
    "API_BUSINESS_PARTNER": ("A_BusinessPartner", "A_BusinessPartnerAddress"),
    "API_SALES_ORDER_SRV": ("A_SalesOrder",),
    "API_GLACCOUNTLINEITEM": ("GLAccountLineItem",),
}
LENGTHS = {"OrganizationBPName1": 40, "OrganizationBPName2": 40, "BusinessPartnerIDByExtSystem": 20, "CityName": 40,
           "PostalCode": 10, "StreetName": 60, "StreetSuffixName": 40, "Region": 3, "Country": 3, "Language": 2,
           "PurchaseOrderByCustomer": 35, "SalesOrderItemText": 40, "BusinessPartnerCategory": 1,
           "EmailAddress": 241}  # fmt: skip
COMPANIES = frozenset({"1710", "1010"})
ACCOUNTS = frozenset({"12100000", "11001000", "41000000", "21800000", "22000000", "65150000", "72010000", "65901000",
                      "12610000", "21610000", "12630000", "12640000", "12650000", "65150010", "65560000"})  # fmt: skip
MATERIALS = frozenset({"SUB-PRO", "SUB-SEAT", "SRV-SETUP", "SUB-USAGE", "SRV-SUPPORT"})


class Refused(Exception):
    """An error of the gateway: HTTP status, message class and number, sentence."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code

    def reply(self) -> Reply:
        """As OData V2 says it."""
        inner = {"transactionid": "D9A4A6E0", "errordetails": []}
        said = {"code": self.code, "message": {"lang": "en", "value": str(self)}, "innererror": inner}
        return Reply.json(self.status, {"error": said})


class Sap(System):
    """One tenant. Entries dated up to ``closed_until`` are refused; while ``locked`` somebody works on all records."""

    name = "sap"
    does = frozenset({"archived_customer"})

    def __init__(self, account: str, clock: Clock, agenda: Agenda, seed: int) -> None:
        super().__init__(account, clock, agenda, seed)
        self.user, self.password = "TIEOUT_COMM", self.ids.code("password", 24)
        self.closed_until: date | None = None
        self.simulate = "yes"
        self.locked = False
        #: Whether the communication arrangement of the journal service is there (SAP_COM_0002).
        self.journals = True
        self.client_id, self.client_secret = self.ids.code("client id", 20), self.ids.code("client secret", 40)
        #: The key of an API management in front of the tenant.
        self.api_key = self.ids.code("api key", 32)
        self.tokens: dict[str, datetime] = {}
        self.sessions: dict[str, tuple[str, datetime]] = {}
        self.partners: dict[str, Json] = {}
        self.orders: dict[str, Json] = {}
        self.documents: dict[str, Json] = {}
        self.lines: list[Json] = []

    def secret(self) -> Json:
        """What the product's secret store holds for this tenant."""
        return {
            "base_url": self.base_url, "user": self.user, "password": self.password,
            "settings": {"simulate": self.simulate},
        }  # fmt: skip

    # --- the door ----------------------------------------------------------------------------------------------

    def authorise(self, request: Request) -> Reply | None:
        """The communication user's password, a token of the client that has not ended, or the gateway's key."""
        if request.path == TOKEN_PATH:
            return None
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme == "Basic" and given == _pair(self.user, self.password):
            return None
        if request.headers.get("apikey") == self.api_key:
            return None
        if scheme == "Bearer" and self.tokens.get(given, self.now()) > self.now():
            return None
        return Reply.html(401, "Anmeldung fehlgeschlagen")

    def forget_tokens(self) -> Reply | None:
        """Tokens are void; a user whose password is right can be refused all the same."""
        self.tokens.clear()
        return Reply.html(401, "Anmeldung fehlgeschlagen")

    def forget_sessions(self) -> None:
        """As when a call reaches another application server, which knows no session of the first."""
        self.sessions.clear()

    def misbehave(self, kind: str, args: Json) -> Reply:
        """SAP's words."""
        if kind == "closed_period":
            return _confirmed(
                None, [("201(F5)", "3", "Period 010/2026 is not open for account type S and G/L 41000000")]
            )
        if kind == "ok_with_errors":
            return Refused(200, "R1/144", "Business partner already exists").reply()
        return Reply.html(429, "Too Many Requests")

    def customer_of(self, request: Request) -> str:
        """The debtor of an entry."""
        found = re.search(rb"<Debtor>([^<]+)</Debtor>", request.body) if request.path == SOAP_PATH else None
        return found[1].decode() if found else ""

    def act(self, request: Request) -> Reply:
        """Route one authorised call."""
        if request.path == TOKEN_PATH:
            return self._token(request)
        if request.path == SOAP_PATH:
            return self._soap(request) if self.journals else Reply.html(403, "Forbidden")
        described = METADATA.fullmatch(unquote(request.path))
        if described is not None and described[1] in SAP:
            return metadata("1.0", described[1], SAP[described[1]])
        parts = ODATA.fullmatch(unquote(request.path))
        if parts is None or parts[1] not in SERVICES or (parts[2] and parts[2] not in SERVICES[parts[1]]):
            return Refused(404, "/IWFND/MED/170", "No service found").reply()
        try:
            return self._odata(request, parts[2], parts[3])
        except Refused as refused:
            return refused.reply()

    def _token(self, request: Request) -> Reply:
        given = request.headers.get("authorization", "").removeprefix("Basic ")
        if given != _pair(self.client_id, self.client_secret) or request.form() != {"grant_type": "client_credentials"}:
            return Reply.json(401, {"error": "invalid_client"})
        token = self.ids.next("eyJ4NXQi.", 48)
        self.tokens[token] = self.now() + timedelta(seconds=TOKEN_LIFE)
        return Reply.json(200, {"access_token": token, "token_type": "Bearer", "expires_in": TOKEN_LIFE})

    # --- OData -------------------------------------------------------------------------------------------------

    def _odata(self, request: Request, entities: str | None, key: str | None) -> Reply:
        if request.method == "GET":
            shown = {"EntitySets": []} if entities is None else {"results": self._filtered(entities, request.query)}
            reply = Reply.json(200, {"d": shown})
            return self._opened(reply) if request.headers.get("x-csrf-token", "").lower() == "fetch" else reply
        if not self._session_holds(request):
            said = Refused(403, "/IWFND/CM_CONSUMER/101", "CSRF token validation failed").reply()
            return said.with_headers(("x-csrf-token", "Required"))
        if self.locked:
            raise Refused(400, "R1/042", "Business partner is currently being processed by user MILLER")
        if request.method == "POST" and key is None:
            return Reply.json(201, {"d": self._created(str(entities), _body(request))})
        if request.method not in ("PATCH", "MERGE"):
            raise Refused(405, "005056A509B11EE1B9A8FEC11C21578E", "Method not allowed")
        return self._changed(str(entities), str(key), request)

    def _opened(self, reply: Reply) -> Reply:
        """A session: its cookie and its token, and a cookie about something else whose date has a comma."""
        cookie, token = self.ids.next("session", 32), self.ids.next("token", 24)
        self.sessions[cookie] = (token, self.now() + timedelta(seconds=SESSION_LIFE))
        return reply.with_headers(
            ("x-csrf-token", token),
            ("Set-Cookie", "sap-usercontext=sap-client=100; path=/; expires=Wed, 31 Dec 2036 23:59:59 GMT"),
            ("Set-Cookie", f"{SESSION}={cookie}; path=/; secure; HttpOnly"),
        )

    def _session_holds(self, request: Request) -> bool:
        cookies = dict(one.strip().partition("=")[::2] for one in request.headers.get("cookie", "").split(";"))
        token, until = self.sessions.get(cookies.get(SESSION, ""), ("", self.now()))
        return bool(token) and request.headers.get("x-csrf-token") == token and until > self.now()

    def _filtered(self, entities: str, query: Mapping[str, str]) -> list[Json]:
        terms = [TERM.fullmatch(one) for one in query["$filter"].split(" and ")] if "$filter" in query else []
        if any(one is None for one in terms):
            raise Refused(400, "005056A509B11ED1B9BF9F46AC8102B2", "Invalid token detected at position 0")
        wanted = [(one[1], one[2].replace("''", "'")) for one in terms if one]
        rows = {"A_BusinessPartner": list(self.partners.values()), "A_SalesOrder": list(self.orders.values()),
                "GLAccountLineItem": self.lines}.get(entities, [])  # fmt: skip
        found = [row for row in rows if all(str(row.get(name, "")) == value for name, value in wanted)]
        return [self._shown(row, query.get("$expand", "")) for row in found[: int(query.get("$top", 5000))]]

    def _shown(self, row: Json, expand: str) -> Json:
        """A record with its tag; what is not expanded is only named."""
        shown = {"__metadata": {"etag": _tag(row), "type": "x"}} | {k: v for k, v in row.items() if k != "rev"}
        for name, value in row.items():
            if name.startswith("to_") and name != expand:
                shown[name] = {"__deferred": {"uri": name}}
            elif name.startswith("to_"):
                shown[name] = {"results": [self._shown(one, "") for one in value["results"]]}
        return shown

    def _created(self, entities: str, sent: Json) -> Json:
        _lengths(sent)
        if entities == "A_SalesOrder":
            return self._order(sent)
        if entities != "A_BusinessPartner":
            raise Refused(405, "005056A509B11EE1B9A8FEC11C21578E", "Method not allowed")
        ref = sent.get("BusinessPartnerIDByExtSystem")
        if not sent.get("OrganizationBPName1"):
            raise Refused(400, "R11/401", "Enter a name for the organization")
        company = sent.get("to_Customer", {}).get("to_CustomerCompany", {}).get("results", [{}])[0]
        if company and company.get("ReconciliationAccount") not in ACCOUNTS:
            raise Refused(400, "F2/111", "Reconciliation account is not defined in chart of accounts")
        number = str(17100001 + len(self.partners))
        addresses = [{**one, "BusinessPartner": number, "AddressID": str(20000 + len(self.partners)), "rev": 1}
                     for one in sent.get("to_BusinessPartnerAddress", {}).get("results", [])]  # fmt: skip
        row = {**sent, "BusinessPartner": number, "Customer": number, "BusinessPartnerIDByExtSystem": ref, "rev": 1,
               "CreationDate": _v2_day(self.now().date()), "IsMarkedForArchiving": False,
               "to_BusinessPartnerAddress": {"results": addresses}}  # fmt: skip
        self.partners[number] = row
        return self._shown(row, "")

    def _changed(self, entities: str, key: str, request: Request) -> Reply:
        keys = dict(re.findall(r"(?:(\w+)=)?'([^']*)'", key))
        partner = self.partners.get(str(keys.get("BusinessPartner", keys.get("", ""))))
        if partner is None:
            raise Refused(404, "/IWBEP/CM_MGW_RT/020", "Resource not found")
        row = partner
        if entities == "A_BusinessPartnerAddress":
            row = next(
                one for one in partner["to_BusinessPartnerAddress"]["results"] if one["AddressID"] == keys["AddressID"]
            )
        tag = request.headers.get("if-match")
        if tag is None:
            raise Refused(428, "/IWFND/CM_BEC/026", "Precondition required")
        if tag != _tag(row):
            raise Refused(412, "/IWBEP/CM_MGW_RT/100", "Precondition failed")
        sent = _body(request)
        _lengths(sent)
        row.update(sent, rev=row["rev"] + 1)
        return Reply(204)

    def _order(self, sent: Json) -> Json:
        if sent.get("SoldToParty") not in self.partners:
            raise Refused(400, "V1/321", f"Sold-to party {sent.get('SoldToParty')} does not exist")
        net = Decimal(0)
        for item in sent.get("to_Item", {}).get("results", []):
            if item.get("Material") not in MATERIALS:
                raise Refused(400, "V1/382", f"Material {item.get('Material')} is not defined for sales org.")
            for price in item.get("to_PricingElement", {}).get("results", []):
                rate, per = Decimal(price["ConditionRateValue"]), Decimal(price["ConditionQuantity"])
                net += rounded(rate * Decimal(item["RequestedQuantity"]) / per, sent["TransactionCurrency"])
        number = str(1 + len(self.orders))
        row = {**sent, "SalesOrder": number, "TotalNetAmount": format(net, "f"), "rev": 1,
               "SalesOrderDate": _v2_day(self.now().date())}  # fmt: skip
        self.orders[number] = row
        return self._shown(row, "")

    # --- SOAP --------------------------------------------------------------------------------------------------

    def _soap(self, request: Request) -> Reply:
        if request.headers.get("soapaction", "").strip('"') != ACTION:
            return _fault("Web service processing error: SOAP action is not known")
        try:
            root = ElementTree.fromstring(request.body)
            bulk = next(iter(root.iter(REQUEST)))
        except (ElementTree.ParseError, StopIteration):
            return _fault("Web service processing error; more details in the web service error log")
        testing = bulk.findtext("MessageHeader/TestDataIndicator") == "true"
        entry = bulk.find("JournalEntryCreateRequest/JournalEntry")
        if entry is None:
            return _fault("Conversion error: element JournalEntry missing")
        log = self._faulty(entry)
        if log:
            return _confirmed(None, [("609(RW)", "3", "Error in document: BKPFF $ 0M4SMVI"), *log])
        if testing:
            return _confirmed(None, [("614(RW)", "1", "Document check - no errors: BKPFF $ 0M4SMVI")])
        return self._booked(entry)

    def _faulty(self, entry: ElementTree.Element) -> list[tuple[str, str, str]]:
        """What is wrong with an entry, as log items of severity 3."""
        found: list[tuple[str, str, str]] = []
        company, day = entry.findtext("CompanyCode", ""), entry.findtext("PostingDate", "")
        if self.locked:
            found.append(("042(F5)", "3", "Account is currently being processed by user MILLER"))
        if company not in COMPANIES:
            found.append(("165(F5)", "3", f"Company code {company} does not exist"))
        if self.closed_until is not None and date.fromisoformat(day) <= self.closed_until:
            found.append(("201(F5)", "3", f"Period {day[5:7].zfill(3)}/{day[:4]} is not open for account type S"))
        if len(entry.findtext("DocumentReferenceID", "")) > 16:
            found.append(("001(GLE)", "3", "The reference is longer than 16 characters"))
        balance: dict[str, Decimal] = defaultdict(Decimal)
        for item in _items(entry):
            amount, currency, side = _amount(item)
            balance[currency] += amount
            if (side == "S") != (amount >= 0) and amount:
                found.append(("002(GLE)", "3", f"Debit/credit indicator {side} does not go with {amount}"))
            account, debtor = item.findtext("GLAccount"), item.findtext("Debtor")
            if account is not None and account not in ACCOUNTS:
                found.append(("506(F5)", "3", f"G/L account {account} is not defined in chart of accounts YCOA"))
            if debtor is not None and debtor not in self.partners:
                found.append(("102(F5)", "3", f"Customer {debtor} is not defined in company code {company}"))
            elif debtor in self.aside:
                # of this message only the sentence is known, not its number
                found.append(("000(F5)", "3", f"Customer {debtor} is blocked for posting in company code {company}"))
        found += [
            ("702(F5)", "3", f"Balance in transaction currency: {left} {unit}")
            for unit, left in balance.items()
            if left
        ]
        return found

    def _booked(self, entry: ElementTree.Element) -> Reply:
        company, day = entry.findtext("CompanyCode", ""), entry.findtext("PostingDate", "")
        number, year = f"{100000001 + len(self.documents):010d}", day[:4]
        rows = []
        for place, item in enumerate(_items(entry), 1):
            amount, currency, side = _amount(item)
            debtor = item.findtext("Debtor")
            rows.append({
                "ID": f"{number}{place}", "CompanyCode": company, "AccountingDocument": number, "FiscalYear": year,
                "LedgerGLLineItem": f"{place:06d}", "AccountingDocumentType": entry.findtext("AccountingDocumentType"),
                "GLAccount": item.findtext("GLAccount") or ("12100000" if debtor else "22000000"),
                "Customer": debtor or "", "FinancialAccountType": "D" if debtor else "S", "DebitCreditCode": side,
                "AmountInTransactionCurrency": format(amount, "f"), "TransactionCurrency": currency,
                "AssignmentReference": item.findtext("AssignmentReference") or "",
                "PostingDate": _v2_day(date.fromisoformat(day)), "IsReversed": False, "rev": 1,
            })  # fmt: skip
        for ledger in ("0L", "2L"):
            self.lines += [{**row, "SourceLedger": ledger, "Ledger": ledger} for row in rows]
        self.documents[number] = {
            "ref": entry.findtext("DocumentReferenceID", ""), "type": entry.findtext("AccountingDocumentType", ""),
            "company": company, "rows": rows,
        }  # fmt: skip
        said = f"Document posted successfully: BKPFF {number}{company}{year} 0M4SMVI"
        return _confirmed((number, company, year), [("605(RW)", "1", said)])

    # --- the book ----------------------------------------------------------------------------------------------

    def book(self) -> list[Entry]:
        """What it holds, exactly: partners, orders, and each entry with the larger of its two sides."""
        found = [
            Entry(self.name, self.account, str(row["BusinessPartnerIDByExtSystem"]), "customer", number, "", 0, "",
                  "blocked" if row.get("BusinessPartnerIsBlocked") else f"active {row['rev']}".removesuffix(" 1"))
            for number, row in self.partners.items()
        ]  # fmt: skip
        for number, row in self.orders.items():
            net = to_minor(Decimal(row["TotalNetAmount"]), row["TransactionCurrency"])
            found.append(Entry(self.name, self.account, row["PurchaseOrderByCustomer"], "quote", number,
                               row["TransactionCurrency"], net, "", "open"))  # fmt: skip
        kinds = {"DR": "invoice", "DG": "credit_note", "DZ": "payment"}
        for number, one in self.documents.items():
            amounts = [Decimal(row["AmountInTransactionCurrency"]) for row in one["rows"]]
            currency = one["rows"][0]["TransactionCurrency"]
            total = to_minor(sum((a for a in amounts if a > 0), Decimal(0)), currency)
            found.append(Entry(self.name, self.account, one["ref"], kinds.get(one["type"], "journal_entry"), number,
                               currency, total, one["company"], "posted"))  # fmt: skip
        return found


def _pair(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def _items(entry: ElementTree.Element) -> list[ElementTree.Element]:
    return [item for kind in ("Item", "DebtorItem", "ProductTaxItem") for item in entry.findall(kind)]


def _amount(item: ElementTree.Element) -> tuple[Decimal, str, str]:
    said = item.find("AmountInTransactionCurrency")
    assert said is not None
    return Decimal(said.text or "0"), said.get("currencyCode", ""), item.findtext("DebitCreditCode", "")


def _confirmed(made: tuple[str, str, str] | None, log: list[tuple[str, str, str]]) -> Reply:
    """The confirmation, HTTP 200 whatever it says; without a document its number is blank and its year zeros."""
    number, company, year = made or (" ", " ", "0000")
    most = max(severity for _, severity, _ in log)
    items = "".join(
        f"<Item><TypeID>{kind}</TypeID><SeverityCode>{severity}</SeverityCode><Note>{note}</Note></Item>"
        for kind, severity, note in log
    )
    document = (
        f"<AccountingDocument>{number}</AccountingDocument><CompanyCode>{company}</CompanyCode>"
        f"<FiscalYear>{year}</FiscalYear>"
    )
    inner = (
        "<MessageHeader><CreationDateTime>2026-11-23T12:00:00.0Z</CreationDateTime></MessageHeader>"
        "<ConfirmationInterfaceOrignName/><JournalEntryCreateConfirmation><MessageHeader>"
        "<CreationDateTime>2026-11-23T12:00:00.0Z</CreationDateTime></MessageHeader>"
        f"<JournalEntryCreateConfirmation>{document}</JournalEntryCreateConfirmation>"
        f"<Log><MaximumLogItemSeverityCode>{most}</MaximumLogItemSeverityCode>{items}</Log>"
        "</JournalEntryCreateConfirmation><Log/>"
    )
    name = 'n0:JournalEntryBulkCreateConfirmation xmlns:n0="http://sap.com/xi/SAPSCORE/SFIN"'
    return _soap(200, f"<{name}>{inner}</n0:JournalEntryBulkCreateConfirmation>")


def _fault(text: str) -> Reply:
    return _soap(
        500, f"<soap-env:Fault><faultcode>soap-env:Server</faultcode><faultstring>{text}</faultstring></soap-env:Fault>"
    )


def _soap(status: int, inner: str) -> Reply:
    body = (
        '<soap-env:Envelope xmlns:soap-env="http://schemas.xmlsoap.org/soap/envelope/"><soap-env:Header/>'
        f"<soap-env:Body>{inner}</soap-env:Body></soap-env:Envelope>"
    )
    return Reply(status, body.encode(), (("Content-Type", "text/xml; charset=utf-8"),))


def _lengths(sent: Any) -> None:
    """Refuse a text that is longer than its field, wherever it stands."""
    for name, value in sent.items() if isinstance(sent, Mapping) else ():
        if isinstance(value, str) and len(value) > LENGTHS.get(name, 1000):
            text = f"Property '{name}' has invalid length; at most {LENGTHS[name]} characters"
            raise Refused(400, "005056A509B11EE1B9A8FEC11C23378E", text)
        for one in value if isinstance(value, list) else [value]:
            _lengths(one)


def _tag(row: Json) -> str:
    return f"W/\"datetimeoffset'2026-11-23T12%3A00%3A{row['rev']:02d}Z'\""


def _v2_day(day: date) -> str:
    return f"/Date({(day - date(1970, 1, 1)).days * 86_400_000})/"


def _body(request: Request) -> Any:
    try:
        return request.json()
    except ValueError:
        raise Refused(400, "005056A509B11ED1B9BF9F46AC8102B2", "Malformed request body") from None


def stand(ground: Ground) -> Sap:
    """The sandbox of this system, found by the server."""
    return Sap("acme", ground.clock, ground.agenda, ground.seed)
