"""NetSuite, one account: SuiteTalk REST records, transforms and SuiteQL.

On the wire it is NetSuite: token by signed assertion, 204 with a ``Location`` and no body after a write, upsert by
``PUT .../eid:{externalId}``, sublists that merge by line unless ``?replace=`` is given (so a resent upsert without it
doubles its lines), unknown fields refused only with ``X-NetSuite-PropertyNameValidation: Error``, references that
must exist, totals that NetSuite computes itself, an account-wide limit of calls at once, closed periods, errors with
``o:errorDetails``.

Simplifications: legacy tax (a tax code per line, ``tax1Amt`` overrides), a void is a PATCH of ``status`` to ``V``
(a real account voids in its own ways), SuiteQL shows totals unsigned, no custom scripts run, no asynchronous mode.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from infra.local.sandbox.agenda import Agenda, Clock
from infra.local.sandbox.books import Entry, rounded, to_minor
from infra.local.sandbox.netsuite_auth import TOKEN_PATH, Tokens
from infra.local.sandbox.netsuite_fields import APPLY_LINE, ITEM_LINE, RECORDS, kinds_of
from infra.local.sandbox.netsuite_fields_orders import JOURNAL_LINE
from infra.local.sandbox.netsuite_journal import shown_lines, understand
from infra.local.sandbox.netsuite_masters import masters
from infra.local.sandbox.system import System
from infra.local.sandbox.wire import Condition, Json, Reply, Request, matches, parse_select

RESOURCE = "application/vnd.oracle.resource+json; type="
RFC = "https://www.w3.org/Protocols/rfc2616/rfc2616-sec10.html#sec10.4."
TITLES = {400: ("1", "Bad Request"), 401: ("2", "Unauthorized"), 403: ("4", "Forbidden"), 404: ("5", "Not Found"),
          405: ("6", "Method Not Allowed")}  # fmt: skip
CONCURRENCY = 5  # calls at once of a sandbox account
EXTERNAL_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")
CUSTOM = re.compile(r"cust(body|entity|col|item|record|event)[a-z0-9_]*")
TRANSACTIONS = {
    "invoice": "CustInvc",
    "creditMemo": "CustCred",
    "customerPayment": "CustPymt",
    "salesOrder": "SalesOrd",
    "journalEntry": "Journal",
}
STATUSES = {
    "A": "Open",
    "B": "Paid In Full",
    "V": "Voided",
    "C": "Deposited",
    "P": "Pending Fulfillment",
    "G": "Approved for Posting",
}
#: Columns of SuiteQL that are moments; without TO_CHAR it shows their day alone.
MOMENTS = frozenset({"datecreated", "createddate", "lastmodifieddate"})
#: What a state is called in a book.
BOOKED = {"A": "open", "B": "paid", "C": "deposited", "V": "voided", "P": "pending", "G": "posted"}
ENTRY_KINDS = {"customer": "customer", "invoice": "invoice", "creditMemo": "credit_note",
               "customerPayment": "payment", "salesOrder": "quote", "journalEntry": "journal_entry"}  # fmt: skip
REFERENCES = {"subsidiary": "subsidiary", "currency": "currency", "terms": "term", "taxCode": "taxCode",
              "item": "item", "account": "account", "arAcct": "account", "entity": "customer",
              "customer": "customer", "createdFrom": "transaction", "doc": "transaction",
              "department": "department", "class": "class", "location": "location"}  # fmt: skip


#: Of each kind of value: what the catalogue says of it. Of sublists and lists of choices it shows no plain type here.
SCHEMAS: dict[str, Json] = {
    "string": {"type": "string"}, "date": {"type": "string", "format": "date"}, "boolean": {"type": "boolean"},
    "number": {"type": "number", "format": "float"}, "integer": {"type": "integer", "format": "int64"},
    "reference": {"type": "object"}, "other": {},
}  # fmt: skip


def _sorted(record: dict[str, str]) -> list[tuple[str, str]]:
    return sorted(kinds_of(record).items())


class Refused(Exception):
    """An error answer: status, code, sentence and the path of the field."""

    def __init__(self, detail: str, code: str = "USER_ERROR", path: str = "", status: int = 400) -> None:
        super().__init__(detail)
        self.status, self.detail, self.code, self.path = status, detail, code, path

    def reply(self) -> Reply:
        """As JSON of type error."""
        number, title = TITLES[self.status]
        one = {"detail": self.detail, "o:errorCode": self.code}
        if self.path:
            one["o:errorPath"] = self.path
        body = {"type": RFC + number, "title": title, "status": self.status, "o:errorDetails": [one]}
        return Reply.json(self.status, body, kind=RESOURCE + "error")


@dataclass
class Record:
    """A stored record: its fields as they were understood, sublists by name."""

    type: str
    id: str
    external_id: str = ""
    fields: Json = field(default_factory=dict)
    items: list[Json] = field(default_factory=list)
    lines: list[Json] = field(default_factory=list)  # of a journal entry
    applies: dict[str, Decimal] = field(default_factory=dict)  # internal id of the invoice: amount
    total: Decimal = Decimal(0)
    tax: Decimal = Decimal(0)
    voided: bool = False
    created: str = ""
    modified: str = ""

    def ref(self, name: str) -> str:
        """Internal id that a reference field holds, or empty."""
        return str(self.fields.get(name, {}).get("id", ""))


class NetSuite(System):
    """One account. ``closed`` holds closed periods as ``YYYY-MM``; ``limit`` is the number of calls at once.

    ``share`` is what of it is allocated to our integration; only an ``administrator`` is told.

    SuiteQL tells time by the clock on the wall of ``zone``, gives at most ``page`` rows at once, shows a record
    ``unseen`` until its instant only from then on (it was saved then and committed late), and calls ``after_query``
    behind each query, so that a list can be moved under its reader.
    """

    name = "netsuite"
    does = frozenset({"archived_customer", "merged_customer"})

    def __init__(self, account: str, clock: Clock, agenda: Agenda, seed: int) -> None:
        super().__init__(account, clock, agenda, seed)
        self.account_id = account.upper() + "_SB1"
        self.tokens = Tokens(clock, self.ids)
        self.certificate_id, self.private_key = self.tokens.make_certificate()
        self.limit = CONCURRENCY
        self.share = 0
        self.administrator = True
        self.closed: set[str] = set()
        self.zone = ZoneInfo("America/New_York")
        self.page = 1000
        self.unseen: dict[str, datetime] = {}
        self.after_query: Callable[[], None] = lambda: None
        self.callout_secret = self.ids.next("callout_", 32)
        self.masters = masters()
        self.records: dict[str, Record] = {}
        self.dropped_fields: list[str] = []
        self.most_at_once = 0
        self._at_once = 0
        self._next_id = 1000
        self._numbers: dict[str, int] = {}

    def secret(self) -> Json:
        """What the product's secret store holds for this account."""
        return {
            "base_url": self.base_url, "account_id": self.account_id, "client_id": self.tokens.client_id,
            "certificate_id": self.certificate_id, "private_key": self.private_key,
            "callout_secrets": [self.callout_secret], "settings": {"time_zone": self.zone.key},
        }  # fmt: skip

    def secret_of_tba(self) -> Json:
        """The same of an account that is reached by token-based authentication."""
        told = self.tokens
        return {
            "base_url": self.base_url, "consumer_key": told.consumer_key, "consumer_secret": told.consumer_secret,
            "token_id": told.token_id, "token_secret": told.token_secret, "realm": self.account_id,
        }  # fmt: skip

    # --- the door ----------------------------------------------------------------------------------------------

    @contextmanager
    def admitted(self, request: Request) -> Iterator[Reply | None]:
        """Count calls at once over the whole account; the token endpoint is not counted."""
        if request.path == TOKEN_PATH:
            yield None
            return
        with self.lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            over = self._at_once > self.limit
        try:
            yield self.misbehave("concurrency_429", {}) if over else None
        finally:
            with self.lock:
                self._at_once -= 1

    def authorise(self, request: Request) -> Reply | None:
        """A bearer token that is not older than an hour, or a signature over this request."""
        header = request.headers.get("authorization", "")
        if request.path == TOKEN_PATH or self.tokens.accepts(header):
            return None
        url = self.base_url + request.path + (f"?{request.raw_query}" if request.raw_query else "")
        if header.startswith("OAuth ") and self.tokens.accepts_signed(header, request.method, url, self.account_id):
            return None
        text = (
            "Invalid login attempt. For more details, see the Login Audit Trail in the NetSuite UI at Setup > "
            "Users/Roles > User Management > View Login Audit Trail."
        )
        reply = Refused(text, "INVALID_LOGIN", status=401).reply()
        return reply.with_headers(("WWW-Authenticate", 'Bearer error="invalid_token"'))

    def forget_tokens(self) -> Reply | None:
        """Every token out is void."""
        self.tokens.valid.clear()
        return None

    def misbehave(self, kind: str, args: Json) -> Reply:
        """NetSuite's words."""
        if kind == "closed_period":
            return _closed_period("this").reply()
        if kind == "ok_with_errors":
            inside = Refused("An unexpected error occurred.", "UNEXPECTED_ERROR").reply()
            return Reply(200, inside.body, inside.headers)
        one = {"detail": "Concurrent request limit exceeded. Request blocked.",
               "o:errorCode": "CONCURRENCY_LIMIT_EXCEEDED"}  # fmt: skip
        body = {"type": "https://www.rfc-editor.org/rfc/rfc6585#section-4", "title": "Too Many Requests",
                "status": 429, "o:errorDetails": [one]}  # fmt: skip
        return Reply.json(429, body, kind=RESOURCE + "error")

    def customer_of(self, request: Request) -> str:
        """The customer that a write names as an invoice's entity, or as a payment's customer."""
        if request.method not in ("PUT", "POST", "PATCH") or "/record/v1/" not in request.path:
            return ""
        value = next((one for one in (self._party(request, name) for name in ("entity", "customer")) if one), {})
        found = self._lookup("customer", value) if value else None
        return str(found["id"]) if found else ""

    @staticmethod
    def _party(request: Request, name: str) -> Json:
        """How a body names somebody, by our id or by theirs."""
        return {by: said for by in ("id", "externalId") if (said := request.told(name, by))}

    def act(self, request: Request) -> Reply:
        """Route one authorised call."""
        try:
            if request.path == TOKEN_PATH:
                return self.tokens.issue(request.form(), self.base_url + TOKEN_PATH)
            parts = request.segments
            if parts[:4] == ["services", "rest", "query", "v1"] and parts[4:] == ["suiteql"]:
                return self._suiteql(request)
            if parts == ["services", "rest", "system", "v1", "governanceLimits"]:
                return self._governance()
            if parts[:5] == ["services", "rest", "record", "v1", "metadata-catalog"] and parts[5:]:
                return self._catalogue(parts[5])
            if parts[:4] != ["services", "rest", "record", "v1"] or len(parts) < 5 or parts[4] not in RECORDS:
                raise Refused("The requested resource does not exist.", "INVALID_METHOD", status=404)
            return self._record_call(request, parts[4], parts[5:])
        except Refused as refused:
            return refused.reply()
        except ValueError as error:
            return Refused(f"Invalid JSON body: {error}", "INVALID_CONTENT").reply()

    def _governance(self) -> Reply:
        """What the account allows at once, ``share`` of it to this integration alone; for administrators."""
        if not self.administrator:
            raise Refused("Permission Violation: you need administrator access.", "INSUFFICIENT_PERMISSION", status=403)
        body: Json = {
            "accountConcurrencyLimit": self.limit,
            "accountUnallocatedConcurrencyLimit": self.limit - self.share,
            "integrationLimitType": "integrationSpecific" if self.share else "accountLimit",
        }
        return Reply.json(200, body | ({"integrationConcurrencyLimit": self.share} if self.share else {}))

    def _catalogue(self, kind: str) -> Reply:
        """The account's own description of a record type, as JSON Schema."""
        if kind not in RECORDS:
            raise Refused("The requested resource does not exist.", "INVALID_METHOD", status=404)
        known = {name: {"title": name, "nullable": True, **SCHEMAS[what]} for name, what in _sorted(RECORDS[kind])}
        return Reply.json(200, {"type": "object", "properties": known}, kind="application/schema+json")

    def _record_call(self, request: Request, kind: str, rest: list[str]) -> Reply:
        if not rest:
            calls: dict[str, Callable[[], Reply]] = {
                "POST": lambda: self._create(request, kind), "GET": lambda: self._list(request, kind),
            }  # fmt: skip
        elif len(rest) == 1:
            calls = {
                "GET": lambda: self._get(request, kind, rest[0]), "PUT": lambda: self._upsert(request, kind, rest[0]),
                "PATCH": lambda: self._update(request, self._at(kind, rest[0])),
                "DELETE": lambda: self._delete(kind, rest[0]),
            }  # fmt: skip
        elif len(rest) == 3 and rest[1] == "!transform" and kind == "invoice":
            calls = {"POST": lambda: self._transform(request, self._at(kind, rest[0]), rest[2])}
        else:
            calls = {}
        if request.method not in calls:
            text = f"This operation is not allowed for a {kind} record."
            raise Refused(text, "INVALID_METHOD", status=405 if calls else 404)
        return calls[request.method]()

    # --- reading and finding -----------------------------------------------------------------------------------

    def find(self, kind: str, external_id: str) -> Record | None:
        """The record of a type that carries an external id."""
        return next((r for r in self.records.values() if r.type == kind and r.external_id == external_id), None)

    def _at(self, kind: str, ident: str) -> Record:
        record = self.find(kind, ident.removeprefix("eid:")) if ident.startswith("eid:") else self.records.get(ident)
        if record is None or record.type != kind:
            text = "The record instance does not exist. Provide a valid record instance ID."
            raise Refused(text, "NONEXISTENT_ID", status=404)
        return record

    def _url(self, record: Record) -> str:
        return f"{self.base_url}/services/rest/record/v1/{record.type}/{record.id}"

    def _get(self, request: Request, kind: str, ident: str) -> Reply:
        shown = self.show(self._at(kind, ident), request.query.get("expandSubResources") == "true")
        if "fields" in request.query:
            wanted = {"links", "id", *request.query["fields"].split(",")}
            shown = {name: value for name, value in shown.items() if name in wanted}
        return Reply.json(200, shown, kind=RESOURCE + "singular")

    def show(self, record: Record, expand: bool = False) -> Json:
        """A record as GET shows it; sublists are links unless expanded."""
        url = self._url(record)
        shown: Json = {"links": [{"rel": "self", "href": url}], "id": record.id, **record.fields}
        if record.external_id:
            shown["externalId"] = record.external_id
        shown |= {"lastModifiedDate": record.modified}
        if record.type == "customer":
            return shown | {"dateCreated": record.created, "balance": self._balance(record)}
        code = self._status(record)
        if record.type == "journalEntry":
            lines = self._sublist(url + "/line", shown_lines(record.lines), expand)
            return shown | {"createdDate": record.created, "line": lines}
        shown |= {
            "createdDate": record.created, "total": self._shown_total(record),
            "status": {"id": code, "refName": self._status_name(record, code)},
        }  # fmt: skip
        if record.type in {"invoice", "creditMemo", "salesOrder"}:
            shown |= {"subtotal": record.total - record.tax, "taxTotal": record.tax}
            shown["item"] = self._sublist(url + "/item", record.items, expand)
        if record.type == "invoice":
            shown["amountRemaining"] = self.remaining(record)
        elif record.type != "salesOrder":
            applied = sum(record.applies.values(), Decimal(0))
            shown |= {"applied": applied, "unapplied": record.total - applied}
            shown["apply"] = self._sublist(url + "/apply", self._apply_lines(record), expand)
        return shown

    def _sublist(self, url: str, rows: list[Json], expand: bool) -> Json:
        links = [{"rel": "self", "href": url}]
        if not expand:
            return {"links": links}
        return {"links": links, "items": rows, "count": len(rows), "hasMore": False, "offset": 0,
                "totalResults": len(rows)}  # fmt: skip

    def _apply_lines(self, record: Record) -> list[Json]:
        return [
            {"line": n, "apply": True, "amount": amount, "doc": {"id": doc}, "refNum": self._number_of(doc)}
            for n, (doc, amount) in enumerate(record.applies.items(), 1)
        ]

    def _number_of(self, ident: str) -> str:
        return str(self.records[ident].fields.get("tranId", "")) if ident in self.records else ""

    def remaining(self, invoice: Record, but: Record | None = None) -> Decimal:
        """What is still open on an invoice, leaving one applying record out of account."""
        if invoice.voided:
            return Decimal(0)
        applied = [
            r.applies.get(invoice.id, Decimal(0)) for r in self.records.values() if r is not but and not r.voided
        ]
        return invoice.total - sum(applied, Decimal(0))

    def _balance(self, customer: Record) -> Decimal:
        mine = [r for r in self.records.values() if r.type == "invoice" and r.ref("entity") == customer.id]
        return sum((self.remaining(r) for r in mine), Decimal(0))

    def _status(self, record: Record) -> str:
        if record.voided:
            return "V"
        if record.type == "invoice":
            return "A" if self.remaining(record) > 0 else "B"
        if record.type in {"salesOrder", "journalEntry"}:
            return "P" if record.type == "salesOrder" else "G"
        if record.type == "creditMemo":
            return "A" if sum(record.applies.values(), Decimal(0)) < record.total else "B"
        return "C"

    def _status_name(self, record: Record, code: str) -> str:
        return "Fully Applied" if record.type == "creditMemo" and code == "B" else STATUSES[code]

    def _shown_total(self, record: Record) -> Decimal:
        return Decimal(0) if record.voided else record.total

    def _list(self, request: Request, kind: str) -> Reply:
        if "q" in request.query:
            raise Refused("This sandbox lists only; search with SuiteQL.", "INVALID_PARAMETER", "q")
        rows = [
            {"links": [{"rel": "self", "href": self._url(r)}], "id": r.id}
            for r in self.records.values()
            if r.type == kind
        ]
        return self._collection(request, rows)

    def _collection(self, request: Request, rows: list[Json], most: int = 1000) -> Reply:
        limit, offset = min(int(request.query.get("limit", 1000)), most), int(request.query.get("offset", 0))
        if not 1 <= limit <= 1000 or offset % limit:
            raise Refused("Provide a limit of 1 to 1000 and an offset divisible by it.", "INVALID_PARAMETER")
        page = rows[offset : offset + limit]
        body = {"links": [], "count": len(page), "hasMore": len(rows) > offset + limit, "items": page,
                "offset": offset, "totalResults": len(rows)}  # fmt: skip
        return Reply.json(200, body, kind=RESOURCE + "collection")

    # --- writing -----------------------------------------------------------------------------------------------

    def _written(self, record: Record) -> Reply:
        return Reply(204, b"", (("Location", self._url(record)),))

    def _create(self, request: Request, kind: str) -> Reply:
        body = self._body(request, kind)
        external_id = body.get("externalId", "")
        if external_id and self.find(kind, external_id):
            text = "Error while accessing a resource. This record already exists."
            raise Refused(text, "USER_ERROR", "externalId")
        return self._written(self._store(Record(kind, ""), body, set()))

    def _upsert(self, request: Request, kind: str, ident: str) -> Reply:
        if not ident.startswith("eid:"):
            raise Refused("PUT needs an external id in the address.", "INVALID_METHOD", status=405)
        external_id = ident.removeprefix("eid:")
        body = {"externalId": external_id, **self._body(request, kind)}
        if body["externalId"] != external_id:
            raise Refused("The external ID differs from the one in the address.", "INVALID_CONTENT", "externalId")
        record = self.find(kind, external_id) or Record(kind, "")
        return self._written(self._store(record, body, _replaced(request)))

    def _update(self, request: Request, record: Record) -> Reply:
        body = self._body(request, record.type)
        status = body.pop("status", None)
        if (status.get("id") if isinstance(status, dict) else status) == "V":
            self._void(record)
        if body:
            self._store(record, body, _replaced(request))
        return self._written(record)

    def _void(self, record: Record) -> None:
        self._open_period(record)
        if record.type == "invoice" and self.remaining(record) != record.total:
            raise Refused("Error while accessing a resource. This transaction has payments or credits applied.")
        record.voided = True
        record.modified = self._stamp()

    def _delete(self, kind: str, ident: str) -> Reply:
        record = self._at(kind, ident)
        self._open_period(record)
        if any(record.id in {r.ref("entity"), r.ref("customer"), *r.applies} for r in self.records.values()):
            text = "This record cannot be deleted because it has dependent records."
            raise Refused(text, "THIS_RECORD_CANNOT_BE_DELETED_BECAUSE_IT_HAS_DEPENDENT_RECORDS")
        del self.records[record.id]
        return Reply(204)

    def _body(self, request: Request, kind: str) -> Json:
        body = request.json() if request.body else {}
        if not isinstance(body, dict):
            raise Refused("The body must be an object.", "INVALID_CONTENT")
        strict = request.headers.get("x-netsuite-propertynamevalidation", "Warning").lower() == "error"
        return self._checked(body, kinds_of(RECORDS[kind]), strict, "")

    def _checked(self, body: Json, kinds: Mapping[str, str], strict: bool, path: str) -> Json:
        """Known fields of the right kind; unknown ones are refused, or dropped with no word to the caller."""
        kept: Json = {}
        for name, value in body.items():
            place = f"{path}{name}"
            if name in kinds or CUSTOM.fullmatch(name):
                _check_value(kinds.get(name, "other"), value, place)
                kept[name] = value
            elif strict:
                raise Refused(f"Error while accessing a resource. Unknown field: {name}.", "INVALID_CONTENT", place)
            else:
                self.dropped_fields.append(place)
        for sublist, table in (("item", ITEM_LINE), ("apply", APPLY_LINE), ("line", JOURNAL_LINE)):
            rows = kept.get(sublist)
            if isinstance(rows, dict) and kinds.get(sublist) == "other":
                inner = kinds_of(table)
                kept[sublist] = [
                    self._checked(row, inner, strict, f"{path}{sublist}.items[{n}].")
                    for n, row in enumerate(rows.get("items", []))
                ]
        return kept

    def _store(self, record: Record, body: Json, replaced: set[str]) -> Record:
        """Understand everything first, on a copy; then the record is the copy."""
        draft = Record(record.type, record.id, record.external_id, dict(record.fields),
                       [dict(row) for row in record.items], [dict(row) for row in record.lines],
                       dict(record.applies), created=record.created, voided=record.voided)  # fmt: skip
        external_id = str(body.get("externalId", record.external_id))
        if external_id and not EXTERNAL_ID.fullmatch(external_id):
            text = f"Invalid external ID {external_id}. Use letters, digits, underscores and hyphens."
            raise Refused(text, "INVALID_CONTENT", "externalId")
        draft.external_id = external_id
        kinds = kinds_of(RECORDS[record.type])
        for name, value in body.items():
            if kinds.get(name) == "reference":
                draft.fields[name] = self._reference(name, value, name)
            elif name not in {
                "id",
                "links",
                "externalId",
                "item",
                "apply",
                "line",
                "status",
                "total",
                "amountRemaining",
            }:
                draft.fields[name] = value
        if record.id:
            self._open_period(record)
        self._complete(draft, body, replaced)
        if not draft.id:
            self._next_id += 1
            draft.id, draft.created = str(self._next_id), self._stamp()
            self._number(draft)
        draft.modified = self._stamp()
        self.records[draft.id] = draft
        return draft

    def _number(self, draft: Record) -> None:
        prefix = {
            "customer": "CUST",
            "invoice": "INV",
            "creditMemo": "CM",
            "customerPayment": "PYMT",
            "salesOrder": "SO",
            "journalEntry": "JE",
        }[draft.type]
        self._numbers[prefix] = self._numbers.get(prefix, 0) + 1
        name = "entityId" if draft.type == "customer" else "tranId"
        draft.fields.setdefault(name, f"{prefix}{self._numbers[prefix]:05d}")

    def _stamp(self) -> str:
        return self.now().strftime("%Y-%m-%dT%H:%M:%SZ")

    def _complete(self, draft: Record, body: Json, replaced: set[str]) -> None:
        if draft.type == "customer":
            self._complete_customer(draft)
            return
        draft.fields.setdefault("tranDate", self.now().date().isoformat())
        if draft.type == "journalEntry":
            self._complete_journal(draft, body)
            return
        party = "customer" if draft.type == "customerPayment" else "entity"
        customer = self.records.get(draft.ref(party))
        if customer is None:
            raise _missing("Customer", party)
        if customer.id in self.aside and party in body:
            raise _bad_key("entity", customer.id, path=party)
        self._belongs(draft, customer)
        self._open_period(draft)
        if "item" in body:
            draft.items = self._merged_items(draft, body["item"], "item" in replaced)
        if draft.type == "customerPayment":
            self._complete_payment(draft, body, replaced)
            return
        if not draft.items:
            raise _missing("Items", "item")
        draft.tax = sum((row["tax1Amt"] for row in draft.items), Decimal(0))
        draft.total = sum((row["amount"] for row in draft.items), Decimal(0)) + draft.tax
        if draft.type == "creditMemo":
            self._apply(draft, body, "apply" in replaced)

    def _complete_customer(self, draft: Record) -> None:
        fields = draft.fields
        fields.setdefault("isPerson", "companyName" not in fields)
        for name, label in (("firstName", "First Name"), ("lastName", "Last Name")) if fields["isPerson"] else (
            ("companyName", "Company Name"),
        ):  # fmt: skip
            if not fields.get(name):
                raise _missing(label, name)
        if not draft.ref("subsidiary"):
            raise _missing("Primary Subsidiary", "subsidiary")
        same = fields.get("entityId")
        if same and any(
            r.type == "customer" and r.id != draft.id and r.fields.get("entityId") == same
            for r in self.records.values()
        ):
            raise Refused("Error while accessing a resource. This entity already exists.")

    def _complete_journal(self, draft: Record, body: Json) -> None:
        """Lines as a whole (no REST write merges a journal's); debits must equal credits."""
        for name in ("subsidiary", "currency"):
            if not draft.ref(name):
                raise _missing(name.capitalize(), name)
        self._open_period(draft)
        if "line" in body:
            draft.lines, draft.total, wrong = understand(body["line"], self._reference)
            if wrong:
                raise Refused(wrong, "USER_ERROR", "line")
        if not draft.lines:
            raise _missing("Lines", "line")

    def _belongs(self, draft: Record, customer: Record) -> None:
        """Subsidiary and currency must be the customer's; both default to the customer's own."""
        own = customer.fields.get("subsidiary", {})
        draft.fields.setdefault("subsidiary", own)
        if draft.ref("subsidiary") != own.get("id"):
            raise _bad_key("subsidiary", draft.ref("subsidiary"), f" for entity {customer.id}")
        money = customer.fields.get("currency") or self._reference("currency", {"id": "1"}, "currency")
        draft.fields.setdefault("currency", money)
        listed = customer.fields.get("currencyList", {}).get("items", [])
        allowed = {str(row.get("currency", {}).get("id")) for row in listed}
        if customer.ref("currency") and draft.ref("currency") not in {customer.ref("currency"), *allowed}:
            raise _bad_key("currency", draft.ref("currency"), f" for customer {customer.id}")

    def currency_of(self, record: Record) -> str:
        """ISO code of a transaction's currency."""
        return next((m.name for m in self.masters["currency"] if m.id == record.ref("currency")), "")

    def _open_period(self, record: Record) -> None:
        posted = str(record.fields.get("tranDate", ""))
        if record.type != "customer" and posted[:7] in self.closed:
            raise _closed_period(posted[:7])

    def close_period(self, month: str) -> None:
        """Close a month, ``YYYY-MM``. Raises ValueError for anything else."""
        date.fromisoformat(f"{month}-01")
        self.closed.add(month)

    # --- references and lines ----------------------------------------------------------------------------------

    def _reference(self, name: str, value: Json, path: str) -> Json:
        table = REFERENCES.get(name)
        if table is None:
            return value
        found = self._lookup(table, value)
        if found is not None:
            return found
        if "id" in value:
            text = "Error while accessing resource: You have entered an Invalid Field Value "
            text += f"{value['id']} for the following field: {name}"
            raise Refused(text, "INVALID_CONTENT", path)
        raise _bad_key(name, str(value.get("externalId", value.get("refName"))), path=path)

    def _lookup(self, table: str, value: Json) -> Json | None:
        if table in {"customer", "transaction"}:
            for record in self.records.values():
                if (record.type == "customer") == (table == "customer") and (
                    record.id == str(value.get("id")) or value.get("externalId") == (record.external_id or None)
                ):
                    name = record.fields.get("companyName", record.fields.get("tranId", record.id))
                    return {"id": record.id, "refName": str(name)}
            return None
        for row in self.masters[table]:
            if (
                row.id == str(value.get("id"))
                or value.get("externalId") == row.external_id
                or ("id" not in value and value.get("refName") == row.name)
            ):
                return {"id": row.id, "refName": row.name}
        return None

    def _merged_items(self, draft: Record, rows: list[Json], replace: bool) -> list[Json]:
        merged = {} if replace else {row["line"]: row for row in draft.items}
        currency = self.currency_of(draft)
        for n, row in enumerate(rows):
            number = row.get("line") or max(merged, default=0) + 1
            before = {k: v for k, v in merged.get(number, {}).items() if k not in _derived(row)}
            merged[number] = self._item_line({**before, **row, "line": number}, currency, f"item.items[{n}]")
        return [merged[number] for number in sorted(merged)]

    def _item_line(self, row: Json, currency: str, path: str) -> Json:
        line: Json = {
            name: self._reference(name, value, f"{path}.{name}") if name in {"item", "taxCode"} else value
            for name, value in row.items()
            if value is not None
        }
        if "item" not in line:
            raise _missing("Item", f"{path}.item")
        if "amount" not in line and "rate" not in line:
            raise _missing("Amount", f"{path}.amount")
        quantity = Decimal(line.setdefault("quantity", 1))
        amount = Decimal(line["amount"]) if "amount" in line else quantity * Decimal(line["rate"])
        line["amount"] = rounded(amount, currency)
        rate = next((m.rate for m in self.masters["taxCode"] if m.id == line.get("taxCode", {}).get("id")), None)
        if rate is None and "tax1Amt" in line:
            raise _missing("Tax Code", f"{path}.taxCode")
        computed = line["amount"] * Decimal(rate or 0) / 100
        line["tax1Amt"] = rounded(Decimal(line.get("tax1Amt", computed)), currency)
        gross = line["amount"] + line["tax1Amt"]
        if "grossAmt" in line and Decimal(line["grossAmt"]) != gross:
            raise Refused("Gross amount must equal amount plus tax.", "USER_ERROR", f"{path}.grossAmt")
        return line | {"taxRate1": Decimal(rate or 0), "grossAmt": gross}

    def _complete_payment(self, draft: Record, body: Json, replaced: set[str]) -> None:
        self._apply(draft, body, "apply" in replaced)
        applied = sum(draft.applies.values(), Decimal(0))
        draft.total = Decimal(draft.fields.get("payment", applied))
        draft.fields["payment"] = draft.total
        if draft.total <= 0:
            raise _missing("Payment Amount", "payment")
        if applied > draft.total:
            raise Refused("The amount applied is greater than the payment.", "USER_ERROR", "apply")

    def _apply(self, draft: Record, body: Json, replace: bool) -> None:
        if replace:
            draft.applies = {}
        for n, row in enumerate(body.get("apply", [])):
            path = f"apply.items[{n}]"
            ident = self._reference("doc", row.get("doc", {}), f"{path}.doc")["id"]
            if row.get("apply") is False:
                draft.applies.pop(ident, None)
                continue
            invoice = self.records[ident]
            owner = draft.ref("customer") or draft.ref("entity")
            if invoice.type != "invoice" or invoice.ref("entity") != owner or invoice.voided:
                raise Refused("The document to apply to is not an open invoice of this customer.", path=path)
            left = self.remaining(invoice, self.records.get(draft.id))
            amount = Decimal(row.get("amount", left))
            if amount <= 0 or amount > left:
                raise Refused(f"You cannot apply more than the amount remaining ({left}).", path=f"{path}.amount")
            draft.applies[ident] = amount
        if draft.type == "creditMemo" and sum(draft.applies.values(), Decimal(0)) > draft.total:
            raise Refused("The amount applied is greater than the credit.", "USER_ERROR", "apply")

    def _transform(self, request: Request, invoice: Record, to: str) -> Reply:
        if to not in {"customerPayment", "creditMemo"}:
            raise Refused(f"An invoice cannot become a {to}.", "INVALID_METHOD", status=404)
        if invoice.voided:
            raise Refused("Error while accessing a resource. The invoice is voided.")
        body = self._body(request, to)
        external_id = body.get("externalId", "")
        if external_id and self.find(to, external_id):
            raise Refused("Error while accessing a resource. This record already exists.", path="externalId")
        party = "customer" if to == "customerPayment" else "entity"
        body |= {party: {"id": invoice.ref("entity")}, "currency": {"id": invoice.ref("currency")}}
        draft = Record(to, "")
        left = self.remaining(invoice)
        if to == "creditMemo":
            body.setdefault("item", [_copied(row) for row in invoice.items])
            body["createdFrom"] = {"id": invoice.id}
            total = self._total_of(body["item"], invoice)
            left = min(left, total)
        else:
            left = min(left, Decimal(body.get("payment", left)))
        if "apply" not in body and left > 0:
            body["apply"] = [{"doc": {"id": invoice.id}, "apply": True, "amount": left}]
        return self._written(self._store(draft, body, set()))

    def _total_of(self, rows: list[Json], invoice: Record) -> Decimal:
        currency = self.currency_of(invoice)
        lines = [self._item_line(row, currency, f"item.items[{n}]") for n, row in enumerate(rows)]
        return sum((line["grossAmt"] for line in lines), Decimal(0))

    # --- SuiteQL -----------------------------------------------------------------------------------------------

    def _suiteql(self, request: Request) -> Reply:
        if request.method != "POST":
            raise Refused("SuiteQL takes POST.", "INVALID_METHOD", status=405)
        if "transient" not in request.headers.get("prefer", ""):
            raise Refused("The required request header 'Prefer' is missing or not 'transient'.", "INVALID_HEADER")
        body = request.json()
        query = body.get("q") if isinstance(body, dict) else None
        if not isinstance(query, str):
            raise Refused("The body needs a query as 'q'.", "INVALID_CONTENT", "q")
        try:
            reply = self._collection(request, self._query(query), most=self.page)
            self.after_query()
            return reply
        except ValueError as error:
            text = f"Invalid search query. Detailed unprocessed description follows. {error}"
            raise Refused(text, "INVALID_PARAMETER", "q") from None

    def _query(self, text: str) -> list[Json]:
        select = parse_select(text)
        rows = self._rows(select.table.lower())
        columns = [_column(name) for name in select.columns]
        for condition in select.where:
            values = tuple(_literal(value) for value in condition.values)
            plain = Condition(_column(condition.column), condition.operator, values)
            if rows and plain.column not in rows[0]:
                raise ValueError(f"Unknown identifier '{plain.column}'")
            rows = [row for row in rows if matches(_counted(row) if plain.column == "id" else row, plain)]
        if select.order:
            order = _column(select.order)
            rows.sort(key=lambda row: int(row["id"]) if order == "id" else str(row.get(order)))
            rows = rows[::-1] if select.descending else rows
        return [_shown_row(row, columns, select.names) for row in rows]

    def _rows(self, table: str) -> list[Json]:
        shown = [one for one in self.records.values() if self.unseen.get(one.id, self.now()) <= self.now()]
        if table == "customer":
            return [self._customer_row(r) for r in shown if r.type == "customer"]
        if table == "transaction":
            return [self._transaction_row(r) for r in shown if r.type in TRANSACTIONS]
        raise ValueError(f"Record '{table}' was not found.")

    def _wall(self, stamp: str) -> str:
        """A moment as SuiteQL tells it: what clocks of the user's zone show, without saying which of two hours."""
        return datetime.fromisoformat(stamp).astimezone(self.zone).strftime("%Y-%m-%dT%H:%M:%S")

    def _customer_row(self, record: Record) -> Json:
        text = record.fields.get
        return {
            "id": record.id, "externalid": record.external_id or None, "entityid": text("entityId"),
            "companyname": text("companyName"), "email": text("email"), "firstname": text("firstName"),
            "lastname": text("lastName"), "subsidiary": record.ref("subsidiary") or None,
            "currency": record.ref("currency") or None, "isinactive": "T" if text("isInactive") else "F",
            "vatregnumber": text("vatRegNumber"), "datecreated": self._wall(record.created),
            "lastmodifieddate": self._wall(record.modified),
        }  # fmt: skip

    def _transaction_row(self, record: Record) -> Json:
        text = record.fields.get
        left = self.remaining(record) if record.type == "invoice" else Decimal(0)
        total = self._shown_total(record)
        return {
            "id": record.id, "externalid": record.external_id or None, "tranid": text("tranId"),
            "type": TRANSACTIONS[record.type], "recordtype": record.type.lower(),
            "entity": record.ref("entity") or record.ref("customer"), "currency": record.ref("currency"),
            "subsidiary": record.ref("subsidiary"), "foreigntotal": total, "total": total,
            "foreignamountunpaid": left, "foreignamountpaid": total - left, "memo": text("memo"),
            "otherrefnum": text("otherRefNum"), "trandate": text("tranDate"), "status": self._status(record),
            "voided": "T" if record.voided else "F", "createddate": self._wall(record.created),
            "lastmodifieddate": self._wall(record.modified),
        }  # fmt: skip

    # --- the book ----------------------------------------------------------------------------------------------

    def book(self) -> list[Entry]:
        """Customers, invoices, credit memos and payments. A voided document keeps its total and says so."""
        with self.lock:
            return [self._entry(record) for record in self.records.values()]

    def _entry(self, record: Record) -> Entry:
        entity = next(m.external_id for m in self.masters["subsidiary"] if m.id == record.ref("subsidiary"))
        if record.type == "customer":
            status = "inactive" if record.fields.get("isInactive") else "active"
            return Entry(self.name, self.account, record.external_id, "customer", record.id, "", 0, entity, status)
        status = BOOKED[self._status(record)]
        if record.type == "creditMemo" and status == "paid":
            status = "applied"
        parent = next((self.records[doc].external_id for doc in record.applies if doc in self.records), "")
        if not parent and record.ref("createdFrom") in self.records:
            parent = self.records[record.ref("createdFrom")].external_id
        currency = self.currency_of(record)
        return Entry(
            self.name, self.account, record.external_id, ENTRY_KINDS[record.type], record.id, currency,
            to_minor(record.total, currency), entity, status, parent,
        )  # fmt: skip

    # --- people at work in NetSuite --------------------------------------------------------------------------------

    def open_customer(self, entity: str, **fields: Any) -> Record:
        """Somebody enters a customer; ``entity`` is the external id of its subsidiary."""
        with self.lock:
            body = {"isPerson": False, "subsidiary": {"externalId": entity}, "currency": {"refName": "USD"}, **fields}
            return self._store(Record("customer", ""), body, set())

    def change(self, record: Record, **fields: Any) -> Record:
        """Somebody changes a record and saves it."""
        with self.lock:
            return self._store(self.records[record.id], fields, set())

    def receive_payment(self, invoice: Record, amount: str, **fields: Any) -> Record:
        """Somebody enters a payment of an invoice that came to the bank."""
        with self.lock:
            body = {
                "customer": {"id": invoice.ref("entity")}, "currency": {"id": invoice.ref("currency")},
                "payment": Decimal(amount), "autoApply": False,
                "apply": [{"doc": {"id": invoice.id}, "apply": True, "amount": Decimal(amount)}], **fields,
            }  # fmt: skip
            return self._store(Record("customerPayment", ""), body, set())

    def save_slowly(self, record: Record, seconds: int) -> Record:
        """What was saved now is seen only when its long transaction is committed."""
        self.unseen[record.id] = self.now() + timedelta(seconds=seconds)
        return record

    def add_customer(self, external_id: str, name: str, entity: str, currency: str = "USD") -> Record:
        """A customer that was there before; ``entity`` is the external id of its subsidiary."""
        with self.lock:
            body = {"externalId": external_id, "companyName": name, "isPerson": False,
                    "subsidiary": {"externalId": entity}, "currency": {"refName": currency}}  # fmt: skip
            return self._store(Record("customer", ""), body, set())


def _closed_period(month: str) -> Refused:
    return Refused(
        f"Error while accessing a resource. The posting period ({month}) is closed. You cannot enter or change a "
        "transaction in a closed period.",
        path="tranDate",
    )


def _missing(label: str, path: str) -> Refused:
    return Refused(f"Error while accessing a resource. Please enter value(s) for: {label}.", "USER_ERROR", path)


def _bad_key(name: str, value: str, context: str = "", path: str = "") -> Refused:
    return Refused(f"Invalid {name} reference key {value}{context}.", "INVALID_KEY_OR_REF", path or name)


def _check_value(kind: str, value: Any, path: str) -> None:
    number = isinstance(value, (int, Decimal)) and not isinstance(value, bool)
    fine = (
        value is None
        or kind == "other"
        or (kind == "string" and isinstance(value, str))
        or (kind == "date" and isinstance(value, str) and bool(re.fullmatch(r"\d{4}-\d{2}-\d{2}", value)))
        or (kind == "number" and number)
        or (kind == "integer" and number and value == int(value))
        or (kind == "boolean" and isinstance(value, bool))
        or (kind == "reference" and isinstance(value, dict) and bool({"id", "externalId", "refName"} & {*value}))
    )
    if not fine:
        text = f"Error while accessing a resource. Invalid value for {path}: expected a {kind}."
        raise Refused(text, "INVALID_CONTENT", path)


def _replaced(request: Request) -> set[str]:
    return {name for name in request.query.get("replace", "").split(",") if name}


def _derived(row: Json) -> set[str]:
    """Amounts that NetSuite computes anew when what they come from is sent."""
    if {"amount", "rate", "quantity", "taxCode", "tax1Amt"} & row.keys():
        fresh = {"tax1Amt", "grossAmt", "taxRate1"}
        return fresh | {"amount"} if {"rate", "quantity"} & row.keys() else fresh
    return set()


def _copied(row: Json) -> Json:
    return {name: value for name, value in row.items() if name not in {"line", "grossAmt", "taxRate1"}}


def _column(name: str) -> str:
    """The column of a name, or the one whose text ``TO_CHAR(column, '...')`` is."""
    spelled = re.match(r"(?i)to_char\(\s*([\w.]+)", name)
    return (spelled[1] if spelled else name).lower().rpartition(".")[2]


def _literal(value: str) -> str:
    """``TO_DATE('2026-11-01', ...)`` stands for its date; all else for itself."""
    match = re.match(r"(?i)to_(?:date|timestamp)\('([^']*)'", value)
    return match[1].replace(" ", "T") if match else value


def _counted(row: Json) -> Json:
    """A row whose id is compared as the number that it is."""
    return row | {"id": int(row["id"])}


def _shown_row(row: Json, columns: list[str], names: tuple[str, ...]) -> Json:
    if columns == ["*"]:
        columns, names = list(row), tuple(row)
    shown: Json = {"links": []}
    for column, name in zip(columns, names, strict=True):
        if column not in row:
            raise ValueError(f"Unknown identifier '{column}'")
        value = row[column]
        if value is not None:  # SuiteQL leaves nulls out and shows everything as text
            spelled = name != column and column in MOMENTS
            shown[_column(name)] = str(value).replace("T", " ") if spelled else _text(column, value)
    return shown


def _text(column: str, value: Any) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    if column == "trandate" or column in MOMENTS:
        day = date.fromisoformat(str(value)[:10])
        return f"{day.month}/{day.day}/{day.year}"
    return str(value)
