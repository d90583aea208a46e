"""Salesforce, one org: the CRM that tells us of won opportunities and shows people what became of them.

On the wire it is Salesforce: client credentials without ``expires_in``, a session that ends, upsert by external id
(201, then 200), errors as a JSON array, ``Sforce-Limit-Info``, SOQL. Winning an opportunity sends what the Flow of
our package sends: an HTTP callout with a signature over time stamp and body.
"""

from __future__ import annotations

import base64
import hashlib
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from infra.local.sandbox.agenda import Agenda, Clock
from infra.local.sandbox.books import Entry, to_minor
from infra.local.sandbox.described import SALESFORCE, SALESFORCE_MUST, SALESFORCE_OWN
from infra.local.sandbox.netsuite_auth import key_pair, split_token, verified
from infra.local.sandbox.system import System
from infra.local.sandbox.webhooks import NOW, Courier, Send, When, hmac_hex
from infra.local.sandbox.wire import Json, Reply, Request, Select, dumps, matches, parse_select

VERSION = "v67.0"
BEARER_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
#: Whom an assertion must be for, and how many seconds it may live.
AUDIENCE, ASSERTION_LIFE = "https://login.salesforce.com", 180
SESSION = 7200  # seconds; an org's setting, and not told to the client
DAILY_CALLS = 100_000
RETRIES = (60, 300, 900)  # the fault path of the Flow
ORG = "00D_acme"

# fields by object: kind and greatest length
OBJECTS: dict[str, dict[str, tuple[str, int]]] = {
    "Account": {
        "Id": ("id", 18), "Name": ("text", 255), "BillingStreet": ("text", 255), "BillingCity": ("text", 40),
        "BillingPostalCode": ("text", 20), "BillingStateCode": ("text", 10), "BillingCountryCode": ("text", 10),
        "Tax_Id__c": ("text", 40), "Billing_Email__c": ("text", 80), "Payment_Terms__c": ("text", 20),
        "Phone": ("text", 40), "Selling_Entity__c": ("text", 10), "Finance_Customer__c": ("boolean", 0),
        "SystemModstamp": ("datetime", 28), "TieoutKey__c": ("text", 255), "CreatedById": ("id", 18),
        "LastModifiedById": ("id", 18),
    },
    "Opportunity": {
        "Id": ("id", 18), "Name": ("text", 120), "StageName": ("text", 40), "IsWon": ("boolean", 0),
        "CloseDate": ("date", 10), "CurrencyIsoCode": ("text", 3), "Amount": ("number", 18),
        "Selling_Entity__c": ("text", 10), "SystemModstamp": ("datetime", 28), "AccountId": ("id", 18),
        "LastStageChangeDate": ("datetime", 28),
    },
    "OpportunityLineItem": {
        "Id": ("id", 18), "OpportunityId": ("id", 18), "ProductCode": ("text", 255), "Quantity": ("number", 18),
        "UnitPrice": ("number", 18), "TotalPrice": ("number", 18),
    },
    "SBQQ__Quote__c": {
        "Id": ("id", 18), "Name": ("text", 80), "SBQQ__Account__c": ("id", 18), "SBQQ__Opportunity2__c": ("id", 18),
        "SBQQ__NetAmount__c": ("number", 18), "SBQQ__ExpirationDate__c": ("date", 10),
        "SBQQ__PaymentTerms__c": ("text", 255), "SBQQ__Ordered__c": ("boolean", 0), "SBQQ__Type__c": ("text", 255),
        "CurrencyIsoCode": ("text", 3), "CreatedDate": ("datetime", 28), "SystemModstamp": ("datetime", 28),
    },
    "SBQQ__QuoteLine__c": {
        "Id": ("id", 18), "SBQQ__Quote__c": ("id", 18), "SBQQ__ProductCode__c": ("text", 255),
        "SBQQ__ProductName__c": ("text", 255), "SBQQ__Quantity__c": ("number", 18),
        "SBQQ__ListPrice__c": ("number", 18), "SBQQ__NetTotal__c": ("number", 18),
        "SBQQ__BillingFrequency__c": ("text", 255), "SBQQ__StartDate__c": ("date", 10),
        "SBQQ__EndDate__c": ("date", 10), "SBQQ__Optional__c": ("boolean", 0),
    },
    "Quote": {
        "Id": ("id", 18), "QuoteNumber": ("text", 30), "AccountId": ("id", 18), "OpportunityId": ("id", 18),
        "TotalPrice": ("number", 18), "ExpirationDate": ("date", 10), "Status": ("text", 40),
        "CurrencyIsoCode": ("text", 3), "CreatedDate": ("datetime", 28), "SystemModstamp": ("datetime", 28),
    },
    "QuoteLineItem": {
        "Id": ("id", 18), "QuoteId": ("id", 18), "Product2Id": ("id", 18), "Quantity": ("number", 18),
        "ListPrice": ("number", 18), "TotalPrice": ("number", 18), "BillingFrequency": ("text", 255),
        "StartDate": ("date", 10), "EndDate": ("date", 10),
    },
    "Order": {
        "Id": ("id", 18), "OrderNumber": ("text", 30), "AccountId": ("id", 18), "TotalAmount": ("number", 18),
        "StatusCode": ("text", 40), "IsReductionOrder": ("boolean", 0), "CurrencyIsoCode": ("text", 3),
        "CreatedDate": ("datetime", 28), "SystemModstamp": ("datetime", 28),
    },
    "OrderItem": {
        "Id": ("id", 18), "OrderId": ("id", 18), "Product2Id": ("id", 18), "Quantity": ("number", 18),
        "ListPrice": ("number", 18), "TotalPrice": ("number", 18), "ServiceDate": ("date", 10),
        "EndDate": ("date", 10),
    },
    "Product2": {"Id": ("id", 18), "Name": ("text", 255), "ProductCode": ("text", 255)},
    "Tieout_Status__c": {
        "Id": ("id", 18), "Key__c": ("text", 255), "Account_Ref__c": ("text", 255), "Document__c": ("text", 255),
        "Status__c": ("text", 40), "Sentence__c": ("text", 1000), "Version__c": ("number", 18),
        "Updated_At__c": ("datetime", 28),
    },
}  # fmt: skip
#: What the Flow of our package puts into a callout about a deal.
TOLD = ("Id", "Name", "BillingStreet", "BillingCity", "BillingPostalCode", "BillingStateCode", "BillingCountryCode",
        "Tax_Id__c", "Billing_Email__c", "Payment_Terms__c")  # fmt: skip
#: Child relationships, as a query inside a query names them: their table, and its field for the parent.
CHILDREN = {("Account", "Opportunities"): ("Opportunity", "AccountId")}
INNER = re.compile(r",\s*\((SELECT [^()]+)\)")
#: A query that reads one account by its id.
ACCOUNT = re.compile(r"FROM Account WHERE Id = '(\w+)'")
KEYS = {"Account": "001", "Opportunity": "006", "OpportunityLineItem": "00k", "Tieout_Status__c": "a0T",
        "SBQQ__Quote__c": "a0Q", "SBQQ__QuoteLine__c": "a0L", "Quote": "0Q0", "QuoteLineItem": "0QL", "Order": "801",
        "OrderItem": "802", "Product2": "01t"}  # fmt: skip
#: Relationships from a record up to another, as a query names them: its table, and our field that holds its id.
PARENTS = {
    "Account": ("Account", "AccountId"), "Opportunity": ("Opportunity", "OpportunityId"),
    "Product2": ("Product2", "Product2Id"), "SBQQ__Account__r": ("Account", "SBQQ__Account__c"),
    "SBQQ__Opportunity2__r": ("Opportunity", "SBQQ__Opportunity2__c"),
}  # fmt: skip
EXTERNAL = {"Tieout_Status__c": {"Key__c"}, "Account": {"TieoutKey__c"}}
#: The user that our client runs as, and a person.
API_USER, PERSON = "005RM000002lfm5YAA", "005RM000003pqr7YAA"


@dataclass(frozen=True)
class Product:
    """One line of an opportunity; ``unit_price`` is a decimal in text."""

    code: str
    quantity: int
    unit_price: str


class Refused(Exception):
    """An error answer: a JSON array with one error."""

    def __init__(self, status: int, code: str, message: str, *fields: str) -> None:
        super().__init__(message)
        self.status = status
        self.error: Json = {"message": message, "errorCode": code}
        if fields:
            self.error["fields"] = list(fields)

    def reply(self) -> Reply:
        """As JSON."""
        return Reply.json(self.status, [self.error], kind="application/json;charset=UTF-8")


def long_id(short: str) -> str:
    """The 18-character form of a 15-character id: three letters tell which characters are capitals."""
    suffix = ""
    for start in (0, 5, 10):
        bits = sum(1 << n for n, letter in enumerate(short[start : start + 5]) if letter.isupper())
        suffix += "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"[bits]
    return short + suffix


class Salesforce(System):
    """One org. ``allowance`` is the number of API calls a day."""

    name = "salesforce"
    does = frozenset({"merged_customer"})

    def __init__(self, account: str, clock: Clock, agenda: Agenda, seed: int, send: Send) -> None:
        super().__init__(account, clock, agenda, seed)
        self.client_id = "3MVG9" + self.ids.code("client id", 80)
        self.client_secret = self.ids.code("client secret", 64)
        self.username = f"tieout@{account}.example"
        self.certificate, self.private_key = key_pair()
        self.callout_secrets = [self.ids.code("callout secret", 40)]
        self.courier = Courier(agenda, send, f"/hooks/salesforce/{account}", RETRIES)
        self.allowance = DAILY_CALLS
        #: Where this org keeps its quotes, as its account's settings say.
        self.quotes = "cpq"
        self.calls = 0
        #: What our user may not: a right or a field, each with its table.
        self.denied: set[tuple[str, str]] = set()
        self.rows: dict[str, dict[str, Json]] = {name: {} for name in OBJECTS}
        self.bodies: dict[str, bytes] = {}
        self._sessions: dict[str, datetime] = {}
        self._commits = 1_094_911_000_000
        self._seed_opportunities()

    def _seed_opportunities(self) -> None:
        us = self.add_account(
            "Northwind Robotics, Inc.", "ap@northwind.example", country="US", city="New York", postal_code="10013",
            street="75 Varick Street", state="NY", tax_id="12-3456789",
        )  # fmt: skip
        de = self.add_account(
            "Müller & Söhne GmbH", "buchhaltung@mueller.example", country="DE", city="Berlin", postal_code="10117",
            street="Unter den Linden 5", tax_id="DE123456789",
        )  # fmt: skip
        for row in (us, de):  # they are there since long
            row["SystemModstamp"] = self._stamp(timedelta(days=30))
        self.add_opportunity(us["Id"], "Northwind Pro rollout", "US01", "USD", [Product("PRO", 100, "120.00")])
        self.add_opportunity(de["Id"], "Müller Pro Einführung", "DE01", "EUR", [Product("PRO", 40, "95.50")])

    def secret(self) -> Json:
        """What the product's secret store holds for this org."""
        return {
            "base_url": self.base_url, "client_id": self.client_id, "client_secret": self.client_secret,
            "callout_secrets": list(self.callout_secrets), "settings": {"quotes": self.quotes, "write_accounts": "on"},
        }  # fmt: skip

    def secret_of_certificate(self) -> Json:
        """The same of an org whose connected app holds a certificate instead of a secret."""
        return {
            "base_url": self.base_url, "client_id": self.client_id, "subject": self.username,
            "private_key": self.private_key, "settings": self.secret()["settings"],
        }  # fmt: skip

    # --- the API -----------------------------------------------------------------------------------------------

    def authorise(self, request: Request) -> Reply | None:
        """A session that has not ended."""
        if request.segments == ["services", "oauth2", "token"]:
            return None
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        until = self._sessions.get(token)
        if scheme.lower() not in {"bearer", "oauth"} or until is None or until <= self.now():
            return Refused(401, "INVALID_SESSION_ID", "Session expired or invalid").reply()
        return None

    def forget_tokens(self) -> Reply | None:
        """Every session ends."""
        self._sessions.clear()
        return None

    def misbehave(self, kind: str, args: Json) -> Reply:
        """Salesforce's words. It has no 429 of its own: the daily allowance answers 403."""
        if kind in {"rate_limit", "concurrency_429"}:
            if kind == "rate_limit":
                return Refused(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.").reply()
            text = "ConcurrentPerOrgLongTxn Limit exceeded."
            return Refused(403, "REQUEST_LIMIT_EXCEEDED", text).reply()
        if kind == "closed_period":
            return Refused(400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", "The period is closed.").reply()
        error = {"statusCode": "UNABLE_TO_LOCK_ROW", "message": "unable to obtain exclusive access to this record",
                 "fields": []}  # fmt: skip
        return Reply.json(200, {"id": None, "success": False, "errors": [error]})

    def customer_of(self, request: Request) -> str:
        """The account that is read by its id."""
        found = ACCOUNT.search(request.query.get("q", ""))
        row = next((one for one in self.rows["Account"].values() if found and found[1] in one["Id"]), None)
        return str(row["Id"]) if row else ""

    def set_aside(self, kind: str, customer: str) -> None:
        """Merge an account into another that is like it, for good."""
        with self.lock:
            own = {name: value for name, value in self.rows["Account"][customer].items() if name != "Id"}
            self.merge(self.add("Account", {**own, "TieoutKey__c": None})["Id"], customer)

    def act(self, request: Request) -> Reply:
        """Route one call."""
        try:
            parts = request.segments
            if parts == ["services", "oauth2", "token"]:
                return self._token(request)
            self.calls += 1
            usage = ("Sforce-Limit-Info", f"api-usage={self.calls}/{self.allowance}")
            if self.calls > self.allowance:
                raise Refused(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
            return self._data(request, parts).with_headers(usage)
        except Refused as refused:
            return refused.reply().with_headers(("Sforce-Limit-Info", f"api-usage={self.calls}/{self.allowance}"))
        except ValueError as error:
            return Refused(400, "JSON_PARSER_ERROR", str(error)).reply()

    def _token(self, request: Request) -> Reply:
        form = request.form()
        if form.get("grant_type") == BEARER_GRANT:
            wrong = self._asserted(str(form.get("assertion", "")))
            return _oauth_error("invalid_grant", wrong) if wrong else self._session()
        if form.get("grant_type") != "client_credentials":
            return _oauth_error("unsupported_grant_type", "grant type not supported")
        if form.get("client_id", _basic(request)[0]) != self.client_id:
            return _oauth_error("invalid_client_id", "client identifier invalid")
        if form.get("client_secret", _basic(request)[1]) != self.client_secret:
            return _oauth_error("invalid_client", "invalid client credentials")
        return self._session()

    def _asserted(self, assertion: str) -> str:
        """What is wrong with a signed assertion, in Salesforce's words; empty where nothing is."""
        try:
            head, claims, signed, signature = split_token(assertion)
        except (ValueError, UnicodeDecodeError):
            return "invalid assertion"
        if head.get("alg") != "RS256" or not verified(self.certificate, "RS256", signed, signature):
            return "invalid assertion"
        left = int(claims.get("exp") or 0) - int(self.now().timestamp())
        if claims.get("iss") != self.client_id or claims.get("aud") not in (AUDIENCE, self.base_url):
            return "invalid assertion"
        if not 0 < left <= ASSERTION_LIFE:
            return "expired authorization code" if left <= 0 else "invalid assertion"
        return "" if claims.get("sub") == self.username else "user hasn't approved this consumer"

    def _session(self) -> Reply:
        token = "00DRM000000acme!" + self.ids.next("AQ", 80)
        self._sessions[token] = self.now() + timedelta(seconds=SESSION)
        return Reply.json(200, {
            "access_token": token, "signature": self.ids.code(token, 43) + "=", "scope": "api",
            "instance_url": self.base_url, "id": f"{self.base_url}/id/00DRM000000acmeAAA/005RM000002lfm5YAA",
            "token_type": "Bearer", "issued_at": str(self.epoch() * 1000),
        })  # fmt: skip

    def _data(self, request: Request, parts: list[str]) -> Reply:
        if parts[:3] != ["services", "data", VERSION]:
            raise Refused(404, "NOT_FOUND", "The requested resource does not exist")
        rest = parts[3:]
        if rest == ["query"] and request.method == "GET":
            return Reply.json(200, self._query(request.query.get("q", "")))
        if rest == ["limits"] and request.method == "GET":
            left = {"Max": self.allowance, "Remaining": self.allowance - self.calls}
            return Reply.json(200, {"DailyApiRequests": left})
        if len(rest) < 2 or rest[0] != "sobjects" or rest[1] not in OBJECTS:
            raise Refused(404, "NOT_FOUND", "The requested resource does not exist")
        if request.method == "GET" and rest[2:] in ([], ["describe"]):
            return Reply.json(200, self._described(rest[1], whole=len(rest) == 3))
        calls: dict[tuple[str, int], Callable[[], Reply]] = {
            ("POST", 2): lambda: self._create(rest[1], _fields(request)),
            ("GET", 3): lambda: self._shown(rest[1], self._by_id(rest[1], rest[2]), request),
            ("PATCH", 3): lambda: self._patch(rest[1], rest[2], _fields(request)),
            ("DELETE", 3): lambda: self._delete(rest[1], rest[2]),
            ("GET", 4): lambda: self._shown(rest[1], self._by_external(rest[1], rest[2], rest[3]), request),
            ("PATCH", 4): lambda: self._upsert(rest[1], rest[2], rest[3], _fields(request)),
        }
        try:
            call = calls[request.method, len(rest)]
        except KeyError:
            text = f"HTTP Method '{request.method}' not allowed."
            raise Refused(405, "METHOD_NOT_ALLOWED", text) from None
        return call()

    def _described(self, table: str, whole: bool) -> Json:
        """What our user sees of an object: its name, and each of its fields."""
        if not whole:
            return {"objectDescribe": {"name": table}, "recentItems": []}
        rights = {right: (table, right) not in self.denied for right in ("createable", "updateable", "queryable")}
        return {"name": table, **rights, "fields": [self._field(table, name) for name in OBJECTS[table]]}

    def _field(self, table: str, name: str) -> Json:
        kind, size = OBJECTS[table][name]
        words = {"text": "string", "number": "double", "id": "reference"}
        ours = name not in SALESFORCE_OWN and (table, name) not in self.denied
        return {
            "name": name, "type": SALESFORCE.get(name, words.get(kind, kind)),
            "length": size if kind in ("text", "id") else 0, "nillable": (table, name) not in SALESFORCE_MUST,
            "defaultedOnCreate": False, "createable": ours, "updateable": ours,
        }  # fmt: skip

    def _by_id(self, table: str, ident: str) -> Json:
        for row in self.rows[table].values():
            if ident in {row["Id"], row["Id"][:15]}:
                return row
        raise Refused(404, "NOT_FOUND", "Provided external ID field does not exist or is not accessible: " + ident)

    def _by_external(self, table: str, field: str, value: str) -> Json:
        found = self._matching(table, field, value)
        if not found:
            raise Refused(404, "NOT_FOUND", "The requested resource does not exist")
        return found[0]

    def _matching(self, table: str, field: str, value: str) -> list[Json]:
        if field not in EXTERNAL.get(table, set()):
            text = f"Provided external ID field does not exist or is not accessible: {field}"
            raise Refused(404, "NOT_FOUND", text)
        # external ids of this kind do not tell capitals apart unless the field says so
        return [row for row in self.rows[table].values() if str(row.get(field)).lower() == value.lower()]

    def _shown(self, table: str, row: Json, request: Request) -> Reply:
        wanted = request.query.get("fields", "")
        names = [name for name in wanted.split(",") if name] or list(OBJECTS[table])
        return Reply.json(200, self._record(table, row, names))

    def _record(self, table: str, row: Json, names: Sequence[str]) -> Json:
        url = f"/services/data/{VERSION}/sobjects/{table}/{row['Id']}"
        shown: Json = {"attributes": {"type": table, "url": url}}
        for name in names:
            parent, _, field = name.rpartition(".")
            holder = shown.setdefault(parent, {"attributes": {"type": parent}}) if parent else shown
            holder[field] = self._value(table, row, name)
        return shown

    def _value(self, table: str, row: Json, name: str) -> Any:
        parent, _, field = name.partition(".")
        if field and parent in PARENTS and PARENTS[parent][1] in OBJECTS[table]:
            above, holds = PARENTS[parent]
            return self._value(above, self._by_id(above, row[holds]), field) if row.get(holds) else None
        if name not in OBJECTS[table]:
            text = f"No such column '{name}' on entity '{table}'."
            raise Refused(400, "INVALID_FIELD", text)
        return row.get(name)

    def _checked(self, table: str, fields: Json) -> Json:
        for name, value in fields.items():
            if name not in OBJECTS[table] or name == "Id":
                text = f"No such column '{name}' on sobject of type {table}"
                raise Refused(400, "INVALID_FIELD", text, name)
            kind, length = OBJECTS[table][name]
            _check(kind, length, name, value)
        return fields

    def _create(self, table: str, fields: Json) -> Reply:
        self._checked(table, fields)
        for field in EXTERNAL.get(table, set()):
            same = self._matching(table, field, str(fields.get(field)))
            if fields.get(field) and same:
                text = f"duplicate value found: {field} duplicates value on record with id: {same[0]['Id']}"
                raise Refused(400, "DUPLICATE_VALUE", text, field)
        row = self.add(table, fields)
        return Reply.json(201, {"id": row["Id"], "success": True, "errors": []})

    def _patch(self, table: str, ident: str, fields: Json) -> Reply:
        row = self._by_id(table, ident)
        row |= self._checked(table, fields)
        return Reply(204)

    def _delete(self, table: str, ident: str) -> Reply:
        del self.rows[table][self._by_id(table, ident)["Id"]]
        return Reply(204)

    def _upsert(self, table: str, field: str, value: str, fields: Json) -> Reply:
        found = self._matching(table, field, value)
        if field in fields or "Id" in fields:
            text = f"The {field} field should not be specified in the sobject data."
            raise Refused(400, "INVALID_FIELD", text, field)
        self._checked(table, {**fields, field: value})
        if len(found) > 1:
            urls = [f"/services/data/{VERSION}/sobjects/{table}/{row['Id']}" for row in found]
            return Reply.json(300, urls)
        if found:
            found[0] |= fields
            self._written(table, found[0])
            answer = {"id": found[0]["Id"], "success": True, "errors": [], "created": False}
            return Reply.json(200, answer)
        row = self.add(table, {**fields, field: value})
        self._written(table, row)
        return Reply.json(201, {"id": row["Id"], "success": True, "errors": [], "created": True})

    def _written(self, table: str, row: Json) -> None:
        """What else happens when our client writes an account: its stamps, and the Flow, which tells of it too."""
        if table == "Account":
            row.setdefault("CreatedById", API_USER)
            row |= {"LastModifiedById": API_USER, "SystemModstamp": self._stamp()}
            about = {"Id": row["Id"], "SystemModstamp": row["SystemModstamp"]}
            self._call_out("account.changed", "account", about, NOW)

    def _query(self, text: str) -> Json:
        # SOQL escapes with a backslash what our small parser doubles.
        text = re.sub(r"\\(.)", lambda found: "''" if found[1] == "'" else found[1], text)
        try:
            inner = [parse_select(one) for one in INNER.findall(text)]
            select = parse_select(INNER.sub("", text))
            if select.table not in OBJECTS:
                kind = f"sObject type '{select.table}' is not supported."
                raise Refused(400, "INVALID_TYPE", kind)
            rows = list(self.rows[select.table].values())
            for where in select.where:
                rows = [
                    row for row in rows if matches({where.column: self._value(select.table, row, where.column)}, where)
                ]
        except (ValueError, ArithmeticError) as error:
            raise Refused(400, "MALFORMED_QUERY", str(error)) from None
        if select.order:
            rows.sort(key=lambda row: str(row.get(select.order)), reverse=select.descending)
        rows = rows[: select.limit]
        shown = [
            self._record(select.table, row, select.columns) | self._children(select.table, row, inner) for row in rows
        ]
        return {"totalSize": len(shown), "done": True, "records": shown}

    def _children(self, table: str, parent: Json, selects: Sequence[Select]) -> Json:
        """What queries inside a query show of a record; ``null`` where there is nothing."""
        shown: Json = {}
        for select in selects:
            if (table, select.table) not in CHILDREN:
                text = f"Didn't understand relationship '{select.table}' in FROM part of query call."
                raise Refused(400, "INVALID_TYPE", text)
            child, field = CHILDREN[table, select.table]
            rows = [row for row in self.rows[child].values() if row.get(field) == parent["Id"]]
            for where in select.where:
                rows = [row for row in rows if matches({where.column: self._value(child, row, where.column)}, where)]
            found = [self._record(child, row, select.columns) for row in rows[: select.limit]]
            shown[select.table] = {"totalSize": len(found), "done": True, "records": found} if found else None
        return shown

    # --- what people do in the CRM -----------------------------------------------------------------------------

    def add(self, table: str, fields: Mapping[str, Any]) -> Json:
        """A new row; its id fits its object."""
        with self.lock:
            prefix = KEYS[table]
            ident = long_id(self.ids.next(prefix + "RM000", 15 - len(prefix) - 5))
            self.rows[table][ident] = {"Id": ident, **fields}
            return self.rows[table][ident]

    def add_account(self, name: str, email: str, country: str = "US", city: str = "New York", street: str = "1 Main St",
                    postal_code: str = "10001", state: str | None = None, tax_id: str | None = None,
                    terms: str = "NET30") -> Json:  # fmt: skip
        """A customer in the CRM."""
        return self.add("Account", {
            "Name": name, "BillingStreet": street, "BillingCity": city, "BillingPostalCode": postal_code,
            "BillingStateCode": state, "BillingCountryCode": country, "Tax_Id__c": tax_id,
            "Billing_Email__c": email, "Payment_Terms__c": terms, "Phone": None, "Selling_Entity__c": None,
            "Finance_Customer__c": False, "SystemModstamp": self._stamp(), "CreatedById": PERSON,
            "LastModifiedById": PERSON,
        })  # fmt: skip

    def add_opportunity(self, account_id: str, name: str, entity: str, currency: str,
                        lines: Sequence[Product], close_date: str | None = None) -> Json:  # fmt: skip
        """An open opportunity; its amount is the sum of its lines."""
        amount = sum((Decimal(line.unit_price) * line.quantity for line in lines), Decimal(0))
        row = self.add("Opportunity", {
            "Name": name, "StageName": "Negotiation/Review", "IsWon": False,
            "CloseDate": close_date or self.now().date().isoformat(), "CurrencyIsoCode": currency, "Amount": amount,
            "Selling_Entity__c": entity, "SystemModstamp": self._stamp(), "AccountId": account_id,
            "LastStageChangeDate": self._stamp(),
        })  # fmt: skip
        for line in lines:
            price = Decimal(line.unit_price)
            self.add("OpportunityLineItem", {
                "OpportunityId": row["Id"], "ProductCode": line.code, "Quantity": Decimal(line.quantity),
                "UnitPrice": price, "TotalPrice": price * line.quantity,
            })  # fmt: skip
        return row

    def opportunities(self) -> list[Json]:
        """All opportunities, in the order they were made."""
        return list(self.rows["Opportunity"].values())

    def close_won(self, opportunity_id: str, when: When = NOW) -> str:
        """Win an opportunity: the Flow sends its callout. Returns the event's id; raises KeyError if unknown."""
        with self.lock:
            row = self.rows["Opportunity"][opportunity_id]
            row |= {"StageName": "Closed Won", "IsWon": True, "SystemModstamp": self._stamp(),
                    "LastStageChangeDate": self._stamp()}  # fmt: skip
            return self._call_out("opportunity.closed_won", "opportunity", self._shown_in_full(row), when)

    def merge(self, into: str, other: str) -> None:
        """Somebody merges an account into another: what hangs on it moves there, and it is deleted."""
        with self.lock:
            for row in self.rows["Opportunity"].values():
                if row["AccountId"] == other:
                    row["AccountId"] = into
            del self.rows["Account"][other]

    def change_account(self, account_id: str, when: When = NOW, **fields: Any) -> str:
        """Somebody edits an account: the Flow sends its callout. Returns the event's id; KeyError if unknown."""
        with self.lock:
            row = self.rows["Account"][account_id]
            row |= {**self._checked("Account", fields), "SystemModstamp": self._stamp(), "LastModifiedById": PERSON}
            return self._call_out(
                "account.changed", "account", {"Id": row["Id"], "SystemModstamp": self._stamp()}, when
            )

    def _call_out(self, kind: str, noun: str, about: Json, when: When) -> str:
        self._commits += 1
        digest = hashlib.sha256(self.ids.next("event", 32).encode()).digest()
        event_id = str(uuid.UUID(bytes=digest[:16], version=4))
        body = {"v": 1, "event_id": event_id, "type": kind, "commit_number": self._commits, noun: about}
        self.bodies[event_id] = dumps(body).encode()
        self.send(event_id, when)
        return event_id

    def add_quote(self, opportunity_id: str, lines: Sequence[Product], profile: str = "cpq", **changes: Any) -> Json:
        """An open quote of an opportunity, where that profile keeps it; ``changes`` are fields of the quote."""
        deal = self.rows["Opportunity"][opportunity_id]
        net = sum((Decimal(line.unit_price) * line.quantity for line in lines), Decimal(0))
        stamps = {"CurrencyIsoCode": deal["CurrencyIsoCode"], "CreatedDate": self._stamp(),
                  "SystemModstamp": self._stamp()}  # fmt: skip
        number, owner = f"Q-{len(self.rows['SBQQ__Quote__c']) + 1:05d}", deal["AccountId"]
        if profile == "cpq":
            quote = self.add("SBQQ__Quote__c", {
                "Name": number, "SBQQ__Account__c": owner, "SBQQ__Opportunity2__c": opportunity_id,
                "SBQQ__NetAmount__c": net, "SBQQ__ExpirationDate__c": "2027-12-31", "SBQQ__PaymentTerms__c": "Net 30",
                "SBQQ__Ordered__c": False, "SBQQ__Type__c": "Quote", **stamps, **changes,
            })  # fmt: skip
        elif profile == "revenue_cloud":
            quote = self.add("Quote", {
                "QuoteNumber": number, "AccountId": owner, "OpportunityId": opportunity_id, "TotalPrice": net,
                "ExpirationDate": "2027-12-31", "Status": "Draft", **stamps, **changes,
            })  # fmt: skip
        else:
            quote = self.add("Order", {
                "OrderNumber": number, "AccountId": owner, "TotalAmount": net, "StatusCode": "Draft",
                "IsReductionOrder": False, **stamps, **changes,
            })  # fmt: skip
        for line in lines:
            self._add_line(profile, quote["Id"], line)
        return quote

    def _add_line(self, profile: str, quote: str, line: Product) -> None:
        price, quantity = Decimal(line.unit_price), Decimal(line.quantity)
        if profile == "cpq":
            self.add("SBQQ__QuoteLine__c", {
                "SBQQ__Quote__c": quote, "SBQQ__ProductCode__c": line.code, "SBQQ__ProductName__c": line.code.title(),
                "SBQQ__Quantity__c": quantity, "SBQQ__ListPrice__c": price, "SBQQ__NetTotal__c": price * quantity,
                "SBQQ__BillingFrequency__c": "Monthly", "SBQQ__Optional__c": False,
            })  # fmt: skip
            return
        product = self.add("Product2", {"Name": line.code.title(), "ProductCode": line.code})
        table, parent = ("QuoteLineItem", "QuoteId") if profile == "revenue_cloud" else ("OrderItem", "OrderId")
        self.add(table, {parent: quote, "Product2Id": product["Id"], "Quantity": quantity, "ListPrice": price,
                         "TotalPrice": price * quantity})  # fmt: skip

    def agree(self, quote: Json, when: When = NOW, **changes: Any) -> str:
        """Somebody accepts, orders or activates a quote: the Flow sends its callout. Returns the event's id."""
        with self.lock:
            agreed: Json = {"SBQQ__Ordered__c": True} if "SBQQ__Ordered__c" in quote else (
                {"Status": "Accepted"} if "QuoteNumber" in quote else {"StatusCode": "Activated"})  # fmt: skip
            quote |= {**agreed, **changes, "SystemModstamp": self._stamp()}
            about = {"Id": quote["Id"], "SystemModstamp": quote["SystemModstamp"]}
            return self._call_out("quote.accepted", "quote", about, when)

    def change_event(self, *records: str, kind: str = "UPDATE", fields: Sequence[str] = ("StageName",),
                     entity: str = "Opportunity") -> Json:  # fmt: skip
        """What change data capture tells of records, as the event relay puts it on a partner bus."""
        self._commits += 1
        header = {
            "entityName": entity, "recordIds": list(records), "changeType": kind, "sequenceNumber": 1,
            "transactionKey": str(uuid.UUID(int=self._commits)), "commitTimestamp": self.epoch() * 1000,
            "commitNumber": self._commits, "changedFields": list(fields), "nulledFields": [], "diffFields": [],
        }  # fmt: skip
        return {"payload": {"ChangeEventHeader": header, "StageName": "Closed Won"}, "schemaId": "5E5O",
                "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"cdc/{self._commits}"))}  # fmt: skip

    def _shown_in_full(self, row: Json) -> Json:
        account = self._by_id("Account", row["AccountId"])
        lines = [r for r in self.rows["OpportunityLineItem"].values() if r["OpportunityId"] == row["Id"]]
        shown = {name: row[name] for name in OBJECTS["Opportunity"] if name != "AccountId"}
        shown |= {
            "Amount": str(row["Amount"]), "Account": {name: account.get(name) for name in TOLD},
            "Lines": [
                {"Id": r["Id"], "ProductCode": r["ProductCode"], "Quantity": int(r["Quantity"]),
                 "UnitPrice": str(r["UnitPrice"]), "TotalPrice": str(r["TotalPrice"])}
                for r in lines
            ],
        }  # fmt: skip
        return shown

    def send(self, event_id: str, when: When = NOW) -> None:
        """Send a callout (again)."""
        self.courier.post(event_id, self.bodies[event_id], self.sign, when)

    def sign(self, body: bytes) -> dict[str, str]:
        """Headers of a callout now; one ``v1`` for each active secret."""
        stamp = str(self.epoch())
        marks = [f"v1={hmac_hex(secret, stamp.encode() + b'.' + body)}" for secret in self.callout_secrets]
        return {"Content-Type": "application/json", "X-Tieout-Timestamp": stamp,
                "X-Tieout-Signature": ",".join(marks)}  # fmt: skip

    def _stamp(self, ago: timedelta = timedelta(0)) -> str:
        return (self.now() - ago).strftime("%Y-%m-%dT%H:%M:%S.000+0000")

    # --- the book ----------------------------------------------------------------------------------------------

    def statuses(self) -> list[Json]:
        """The status rows that people see, as they stand."""
        return list(self.rows["Tieout_Status__c"].values())

    def book(self) -> list[Entry]:
        """Status rows (by key) and opportunities (by id)."""
        with self.lock:
            entries = [
                Entry(self.name, self.account, row["TieoutKey__c"], "customer", row["Id"], "", 0,
                      str(row.get("Selling_Entity__c") or ""), "", row["Name"])
                for row in self.rows["Account"].values() if row.get("TieoutKey__c")
            ]  # fmt: skip
            entries += [
                Entry(self.name, self.account, row["Key__c"], "status", row["Id"], "", 0, "",
                      str(row.get("Status__c") or ""), str(row.get("Document__c") or ""))
                for row in self.statuses()
            ]  # fmt: skip
            for row in self.opportunities():
                money = row["CurrencyIsoCode"]
                entries.append(
                    Entry(self.name, self.account, row["Id"], "opportunity", row["Id"], money,
                          to_minor(row["Amount"], money), row["Selling_Entity__c"], row["StageName"])
                )  # fmt: skip
            return entries


def _oauth_error(code: str, text: str) -> Reply:
    return Reply.json(400, {"error": code, "error_description": text})


def _basic(request: Request) -> tuple[str, str]:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        user, _, password = base64.b64decode(given).decode().partition(":")
    except ValueError:
        return "", ""
    return user, password


def _fields(request: Request) -> Json:
    body = request.json()
    if not isinstance(body, dict):
        raise ValueError("the body must be an object")
    return body


DATETIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:?\d\d)")


def _check(kind: str, length: int, name: str, value: Any) -> None:
    if value is None:
        return
    number = isinstance(value, (int, Decimal)) and not isinstance(value, bool)
    fine = (
        (kind in {"text", "id"} and isinstance(value, str))
        or (kind == "number" and number)
        or (kind == "boolean" and isinstance(value, bool))
        or (kind == "date" and isinstance(value, str) and bool(re.fullmatch(r"\d{4}-\d\d-\d\d", value)))
        or (kind == "datetime" and isinstance(value, str) and bool(DATETIME.fullmatch(value)))
    )
    if not fine:
        raise Refused(400, "JSON_PARSER_ERROR", f"Cannot deserialize instance of {kind} from value in {name}", name)
    if kind == "text" and len(str(value)) > length:
        text = f"{name}: data value too large: {str(value)[:60]} (max length={length})"
        raise Refused(400, "STRING_TOO_LONG", text, name)
