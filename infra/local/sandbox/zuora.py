"""Zuora, one tenant: accounts, invoices, credit memos and payments, read by object query and told of by callout.

On the wire it is Zuora: client credentials by form, ``success: false`` under HTTP 200 with an eight-digit code whose
last two digits say of what sort, related objects only where ``expand[]`` names them, empty fields left out, callouts
with basic authentication and a ``Zuora-Request-Id`` that is new for each try. The callout's body is our documented
template. What an object query shows can lag behind the callout (``lag``, in seconds of world time). Callouts that
failed are listed page by page, with times in the tenant's own zone and without an offset.

Simplifications: one tax an item; amounts come as they are given; an object is posted when it is made.
"""

from __future__ import annotations

import base64
import copy
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

from infra.local.sandbox.agenda import Agenda, Clock
from infra.local.sandbox.books import Entry, to_minor
from infra.local.sandbox.system import Ground, System
from infra.local.sandbox.webhooks import NOW, Courier, Send, When
from infra.local.sandbox.wire import Json, Reply, Request, dumps

TOKEN_PATH = "/oauth/token"
TOKEN_LIFE = 3599
RETRIES = (60, 300, 900)
#: The tenant's zone, which nothing tells.
ZONE = ZoneInfo("America/Los_Angeles")
HISTORY = "/v1/notification-history/callout"
#: The merge field that names the object of an event.
FIELDS = {"AccountCreated": "<Account.ID>", "InvoicePosted": "<Invoice.ID>", "CreditMemoPosted": "<CreditMemo.ID>",
          "PaymentProcessed": "<Payment.ID>"}  # fmt: skip
NUMBERS = {"InvoicePosted": 1110, "PaymentProcessed": 2120}
#: Of each list of the object query: what may be expanded, and the kind in a book.
LISTS: dict[str, tuple[frozenset[str], str]] = {
    "accounts": (frozenset({"billto", "soldto"}), "customer"),
    "invoices": (frozenset({"account", "invoiceitems"}), "invoice"),
    "credit-memos": (frozenset({"account", "creditmemoitems"}), "credit_note"),
    "payments": (frozenset({"account", "paymentapplications"}), "payment"),
}


@dataclass(frozen=True)
class Item:
    """One charge of an invoice; amounts are decimals in text, without tax and the tax."""

    sku: str
    amount: str
    tax: str
    tax_code: str = "DE-VAT-19"


class Zuora(System):
    """One tenant. ``lag`` is how many seconds an object query shows an older state, or none, after a change."""

    name = "zuora"

    def __init__(self, account: str, clock: Clock, agenda: Agenda, seed: int, send: Send) -> None:
        super().__init__(account, clock, agenda, seed)
        self.client_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"zuora/{seed}/{account}"))
        self.client_secret = self.ids.code("client secret", 40)
        self.callout_credentials = ["tieout:" + self.ids.code("callout password", 24)]
        self.courier = Courier(agenda, send, f"/hooks/zuora/{account}", RETRIES)
        self.lag = 0
        self.bodies: dict[str, bytes] = {}
        #: Each callout: when its first try is due, its name, its type, and what its merge fields hold.
        self.told: list[tuple[datetime, str, str, Json]] = []
        self._rows: dict[str, dict[str, list[tuple[datetime, Json | None]]]] = {name: {} for name in LISTS}
        self._tokens: dict[str, datetime] = {}
        #: Lists that our user may not read.
        self.denied: set[str] = set()

    def secret(self) -> Json:
        """What the product's secret store holds for this tenant."""
        return {
            "base_url": self.base_url, "client_id": self.client_id, "client_secret": self.client_secret,
            "callout_credentials": list(self.callout_credentials),
        }  # fmt: skip

    # --- the door ----------------------------------------------------------------------------------------------

    def authorise(self, request: Request) -> Reply | None:
        """A token that has not ended."""
        if request.path == TOKEN_PATH:
            return None
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        until = self._tokens.get(token)
        if scheme.lower() != "bearer" or until is None or until <= self.now():
            return Reply.json(401, {"message": "Authentication error"})
        return None

    def forget_tokens(self) -> Reply | None:
        """Every token is void."""
        self._tokens.clear()
        return None

    def misbehave(self, kind: str, args: Json) -> Reply:
        """Zuora's words."""
        if kind == "concurrency_429":
            return Reply.json(429, _no(50000070, "The tenant's concurrent request limit is exceeded"))
        if kind == "rate_limit":
            return Reply.json(429, _no(50000070, "Request exceeded limit"))
        if kind == "closed_period":
            return Reply.json(200, _no(53100030, "The accounting period is closed"))
        return Reply.json(200, _no(53100050, "Locking contention, please try again"))

    def act(self, request: Request) -> Reply:
        """Route one authorised call."""
        if request.path == TOKEN_PATH:
            return self._token(request)
        parts = request.segments
        if len(parts) == 3 and parts[0] == "object-query" and parts[1] in LISTS and request.method == "GET":
            return self._query(parts[1], parts[2], request)
        if len(parts) == 2 and parts[0] == "object-query" and parts[1] in LISTS and request.method == "GET":
            if parts[1] in self.denied:
                return Reply.json(403, {"code": "40300010", "message": f"No permission to read {parts[1]}"})
            rows = [row for key in self._rows[parts[1]] if (row := self.shown(parts[1], key)) is not None]
            return Reply.json(200, {"data": rows[: int(request.query.get("pageSize", 10))]})
        if request.path == HISTORY and request.method == "GET":
            return self._history(request)
        return Reply.json(404, {"code": "404", "message": "The requested resource could not be found"})

    def _history(self, request: Request) -> Reply:
        """The callouts that failed, oldest first; one that was never tried counts as failed on its way."""
        asked = dict(parse_qsl(request.raw_query))
        size, page = int(asked.get("pageSize", 20)), int(asked.get("page", 1))
        if size > 40:
            return Reply.json(200, _no(53100020, "pageSize must not exceed 40"))
        rows = [row for row in self._failed() if asked["startTime"] <= row["createTime"] <= asked["endTime"]]
        shown = rows[(page - 1) * size : page * size]
        answer: Json = {"success": True, "calloutHistories": shown}
        if len(rows) > page * size:
            answer["nextPage"] = f"{self.base_url}{HISTORY}?page={page + 1}&pageSize={size}"
        return Reply.json(200, answer)

    def _failed(self) -> list[Json]:
        tried: dict[str, list[tuple[datetime, int]]] = {}
        for attempt in self.courier.attempts:
            tried.setdefault(attempt.event_id, []).append((attempt.at, attempt.status))
        return [
            {"attemptedNum": number, "createTime": at.astimezone(ZONE).strftime("%Y-%m-%dT%H:%M:%S"),
             "eventCategory": NUMBERS.get(kind, f"user.notification:{kind}"), "eventContext": context,
             "notification": kind, "requestMethod": "POST", "requestUrl": "https://hooks.example/zuora",
             "responseCode": status}
            for due, name, kind, context in self.told if due <= self.now()
            for number, (at, status) in enumerate(tried.get(name, [(due, -2000)]), start=1) if not 200 <= status < 300
        ]  # fmt: skip

    def _token(self, request: Request) -> Reply:
        form = request.form()
        if form.get("grant_type") != "client_credentials" or (form.get("client_id"), form.get("client_secret")) != (
            self.client_id, self.client_secret,
        ):  # fmt: skip
            return Reply.json(401, {"reason": "Invalid client id", "message": "Authentication error"})
        token = self.ids.next("token", 32)
        self._tokens[token] = self.now() + timedelta(seconds=TOKEN_LIFE)
        return Reply.json(200, {"access_token": token, "token_type": "bearer", "expires_in": TOKEN_LIFE,
                                "scope": "service.usage.delete", "jti": token})  # fmt: skip

    def _query(self, name: str, key: str, request: Request) -> Reply:
        row = self.shown(name, key)
        if row is None:
            return Reply.json(404, {"code": "40000040", "message": f"No {name} with the key {key}"})
        asked = {one.casefold() for one in _several(request, "expand[]")}
        known = LISTS[name][0]
        if asked - known:
            return Reply.json(400, {"code": "40000020", "message": f"Cannot expand {sorted(asked - known)}"})
        return Reply.json(200, {
            field: value for field, value in row.items()
            if value is not None and (field.casefold() in asked or not isinstance(value, (dict, list)))
        })  # fmt: skip

    def shown(self, name: str, key: str) -> Json | None:
        """An object as the query shows it now: its newest state that is older than the lag."""
        seen = [row for at, row in self._rows[name].get(key, []) if at + timedelta(seconds=self.lag) <= self.now()]
        return seen[-1] if seen else None

    # --- what people do in the tenant --------------------------------------------------------------------------

    def _save(self, name: str, row: Json) -> Json:
        with self.lock:
            ident = str(row.setdefault("id", self.ids.next("8ad0", 28).lower()))
            stamped = {**row, "updatedDate": self.now().strftime("%Y-%m-%dT%H:%M:%S+00:00")}
            self._rows[name].setdefault(ident, []).append((self.now(), copy.deepcopy(stamped)))
            return stamped

    def add_account(self, name: str, country: str = "DE", when: When = NOW) -> Json:
        """A customer's account with its bill-to contact, and the callout about it."""
        row = self._save("accounts", {
            "accountNumber": "A" + self.ids.next("A", 7), "name": name, "currency": "EUR", "paymentTerm": "Net 30",
            "status": "Active",
            "billTo": {"address1": "Hafenstraße 12", "city": "Hamburg", "postalCode": "20457", "country": country,
                       "workEmail": "rechnung@falken.example"},
        })  # fmt: skip
        self.call_out("AccountCreated", row, str(row["accountNumber"]), row, when)
        return row

    def post_invoice(self, account: Json, items: Sequence[Item], when: When = NOW) -> Json:
        """A posted invoice, and the callout about it."""
        net = sum((Decimal(item.amount) for item in items), Decimal(0))
        tax = sum((Decimal(item.tax) for item in items), Decimal(0))
        day = self.now().date().isoformat()
        row = self._save("invoices", {
            "accountId": account["id"], "account": {"id": account["id"], "name": account["name"]},
            "invoiceNumber": "INV" + self.ids.next("I", 8), "invoiceDate": day, "dueDate": None, "status": "Posted",
            "currency": account["currency"], "amount": net + tax, "amountWithoutTax": net, "taxAmount": tax,
            "invoiceItems": [
                {"id": self.ids.next("8ad1", 28).lower(), "sKU": item.sku, "chargeName": item.sku,
                 "chargeAmount": Decimal(item.amount), "taxAmount": Decimal(item.tax), "taxCode": item.tax_code,
                 "quantity": 1, "unitPrice": Decimal(item.amount), "taxMode": "TaxExclusive"}
                for item in items
            ],
        })  # fmt: skip
        self.call_out("InvoicePosted", row, str(row["invoiceNumber"]), account, when)
        return row

    def pay(self, account: Json, invoice: Json, when: When = NOW) -> Json:
        """A processed payment of a whole invoice, and the callout about it."""
        row = self._save("payments", {
            "accountId": account["id"], "paymentNumber": "P-" + self.ids.next("P", 8), "status": "Processed",
            "effectiveDate": self.now().date().isoformat(), "currency": invoice["currency"],
            "amount": invoice["amount"], "unappliedAmount": Decimal(0), "referenceId": "SEPA-1",
            "paymentApplications": [{"id": "x", "invoiceId": invoice["id"], "applyAmount": invoice["amount"]}],
        })  # fmt: skip
        self.call_out("PaymentProcessed", row, str(row["paymentNumber"]), account, when)
        return row

    def delete(self, name: str, ident: str) -> None:
        """The object is gone; nobody is told."""
        with self.lock:
            self._rows[name][ident].append((self.now(), None))

    def call_out(self, kind: str, row: Json, number: str, account: Json, when: When = NOW) -> str:
        """Tell of a row by our template; returns what the callout is known by."""
        body: Json = {
            "v": 1, "eventType": kind, "objectId": row["id"], "updatedDate": row["updatedDate"], "number": number,
            "accountNumber": account["accountNumber"], "currency": row["currency"],
        }  # fmt: skip
        name = f"{kind}:{row['id']}:{row['updatedDate']}"
        self.bodies[name] = dumps(body).encode()
        due = self.now() + timedelta(seconds=when.delay)
        happened = self.now() + timedelta(seconds=1)  # an event has a time of its own, not its object's
        context: Json = {
            "<Event.Category>": kind, "<Event.Timestamp>": happened.strftime("%Y-%m-%dT%H:%M:%S.000+0000"),
            "<Object.ID>": row["id"], FIELDS[kind]: row["id"], "<Account.Number>": account["accountNumber"],
        }  # fmt: skip
        self.told.append((due, name, kind, context))
        self.courier.post(name, self.bodies[name], self.sign, when)
        return name

    def sign(self, body: bytes) -> dict[str, str]:
        """Headers of one try: the first credential, and an id of the try."""
        user = base64.b64encode(self.callout_credentials[0].encode()).decode()
        return {"Content-Type": "application/json", "Authorization": f"Basic {user}",
                "Zuora-Request-Id": self.ids.next("request", 16)}  # fmt: skip

    # --- the book ----------------------------------------------------------------------------------------------

    def book(self) -> list[Entry]:
        """Everything that is there, at its newest."""
        with self.lock:
            return [
                self._entry(kind, row)
                for name, (_, kind) in LISTS.items()
                for states in self._rows[name].values()
                if (row := states[-1][1]) is not None
            ]

    def _entry(self, kind: str, row: Json) -> Entry:
        amount: Any = row.get("amount", Decimal(0)) if kind != "customer" else Decimal(0)
        currency = str(row["currency"]) if kind != "customer" else ""
        total = to_minor(amount, currency) if currency else 0
        return Entry(self.name, self.account, str(row["id"]), kind, str(row["id"]), currency, total, "",
                     str(row.get("status", "")))  # fmt: skip


def _several(request: Request, name: str) -> list[str]:
    """Every value of a parameter that is said more than once."""
    return [value for key, value in parse_qsl(request.raw_query) if key == name]


def _no(code: int, message: str) -> Json:
    return {"success": False, "processId": "CBCFED6580B4E076", "reasons": [{"code": code, "message": message}]}


def stand(ground: Ground) -> Zuora:
    """The sandbox of this system, found by the server."""
    return Zuora("acme-eu", ground.clock, ground.agenda, ground.seed, ground.send)
