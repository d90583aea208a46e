"""Stripe, one account: the parts of its API that an integration calls, and the billing that happens by itself.

On the wire it is Stripe: bearer or basic authentication, form-encoded bracketed bodies, ids with prefixes, cursor
lists, search that lags a minute behind, ``Idempotency-Key`` (same answer again, 400 for other parameters, 409 while
the first call runs, forgotten after 24 hours), ``{"error": {...}}`` bodies, unknown parameters refused.

Billing is done by helper methods (``finalize_invoice``, ``pay``, ``void``, ``credit``; of its ``balance``, ``pay_out``,
``dispute``, ``refund`` and how they end), which keep the books and send signed events. One thing is left out on
purpose: a new subscription makes no invoice by itself, so that a story decides when money moves.
"""

from __future__ import annotations

import base64
import copy
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from infra.local.sandbox import stripe_objects as objects
from infra.local.sandbox.agenda import Agenda, Clock
from infra.local.sandbox.books import Entry
from infra.local.sandbox.stripe_balance import Balance
from infra.local.sandbox.stripe_objects import Line, listing
from infra.local.sandbox.system import System
from infra.local.sandbox.webhooks import NOW, Courier, Send, When, hmac_hex
from infra.local.sandbox.wire import Json, Reply, Request, dumps, parse_form

ENTITIES = {"acct_us": ("US01", "US", "Acme Inc", "usd"), "acct_de": ("DE01", "DE", "Acme GmbH", "eur")}
ENABLED = frozenset({
    "invoice.finalized", "invoice.paid", "invoice.voided", "credit_note.created", "credit_note.voided",
    "customer.created", "customer.updated", "payout.paid", "payout.failed", "charge.dispute.created",
    "charge.dispute.funds_withdrawn", "charge.dispute.funds_reinstated", "charge.dispute.closed", "refund.created",
    "refund.updated", "refund.failed",
})  # fmt: skip
RETRIES = (60, 300, 1800, 7200, 18000, 36000)
KEY_LIFE = timedelta(hours=24)
SEARCH_LAG = 60
MONTH = 30 * 86400
# where a customer that an integration created carries the integration's own reference
REFERENCES = ("tieout_key", "tieout_ref", "external_ref", "reference")
TAX_RATES: dict[str, list[tuple[str, str, str, str | None]]] = {
    "US": [("txr_us_ny_8875", "Sales Tax", "8.875", "NY"), ("txr_us_ca_725", "Sales Tax", "7.25", "CA"),
           ("txr_us_exempt", "Exempt", "0", None)],
    "DE": [("txr_de_vat_19", "VAT", "19", None), ("txr_de_vat_7", "VAT", "7", None),
           ("txr_de_reverse", "Reverse charge", "0", None)],
}  # fmt: skip
# product id, name, item number (metadata.sku), lookup key of its price, price in minor units
PRODUCTS = [
    ("prod_pro", "Pro plan", "sku-pro", "PRO", 10000), ("prod_seat", "Seats", "sku-seat", "SEAT", 2500),
    ("prod_setup", "Set-up", "sku-setup", "SETUP", 50000), ("prod_usage", "Usage", "sku-usage", "USAGE", 12),
    ("prod_support", "Support", "sku-support", "SUPPORT", 30000),
]  # fmt: skip


class Refused(Exception):
    """An error answer of the API."""

    def __init__(self, status: int, kind: str, message: str, code: str = "", param: str = "") -> None:
        super().__init__(message)
        error: Json = {"type": kind, "message": message}
        if code:
            error |= {"code": code, "doc_url": f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}"}
        if param:
            error["param"] = param
        self.status = status
        self.body: Json = {"error": error}


def invalid(message: str, code: str = "", param: str = "", status: int = 400) -> Refused:
    """``invalid_request_error``."""
    return Refused(status, "invalid_request_error", message, code, param)


@dataclass
class Kept:
    """An answer kept under an idempotency key."""

    fingerprint: tuple[str, str, bytes]
    at: datetime
    reply: Reply
    request_id: str


class Stripe(System):
    """One Stripe account. ``enabled_events`` are those its webhook endpoint listens to."""

    name = "stripe"
    does = frozenset({"search_lag"})

    def __init__(self, account: str, clock: Clock, agenda: Agenda, seed: int, send: Send) -> None:
        super().__init__(account, clock, agenda, seed)
        self.entity, self.country, self.company, self.currency = ENTITIES[account]
        self.api_key = "sk_test_" + self.ids.code("api key", 24)
        self.webhook_secrets = ["whsec_" + self.ids.code("webhook secret", 32)]
        self.enabled_events = set(ENABLED)
        #: The account's API version, where it is another than the endpoint's: lists show events in it.
        self.account_version = ""
        self.courier = Courier(agenda, send, f"/hooks/stripe/{account}", RETRIES)
        self.tables: dict[str, dict[str, Json]] = {
            name: {} for name in ("customers", "products", "prices", "subscriptions", "subscription_items",
                                  "invoices", "credit_notes", "tax_rates", "events", "invoice_payments",
                                  "balance_transactions", "payouts", "disputes", "refunds")
        }  # fmt: skip
        self.balance = Balance(self)
        self._kept: dict[str, Kept] = {}
        self._running: set[str] = set()
        self._visible: dict[str, datetime] = {}
        self._numbers = 0
        self._seed_catalogue()

    def _seed_catalogue(self) -> None:
        created = self.epoch()
        for ident, name, percentage, state in TAX_RATES[self.country]:
            self.tables["tax_rates"][ident] = objects.tax_rate(ident, created, name, percentage, self.country, state)
        for ident, name, sku, key, amount in PRODUCTS:
            price = f"price_{ident.removeprefix('prod_')}_{self.currency}"
            self.tables["products"][ident] = objects.product(ident, created, name, sku)
            self.tables["prices"][price] = objects.price(price, created, ident, self.currency, amount, key)

    def secret(self) -> Json:
        """What the product's secret store holds for this account."""
        return {"base_url": self.base_url, "api_key": self.api_key, "webhook_secrets": list(self.webhook_secrets)}

    # --- the API -----------------------------------------------------------------------------------------------

    def authorise(self, request: Request) -> Reply | None:
        """Bearer key, or basic with the key as user."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                given = base64.b64decode(given).decode().partition(":")[0]
            except ValueError:
                given = ""
        if not given:
            return self._error(invalid("You did not provide an API key.", status=401))
        if given != self.api_key:
            return self._error(invalid(f"Invalid API Key provided: {given[:8]}****", status=401))
        return None

    def forget_tokens(self) -> Reply | None:
        """Keys do not go stale by themselves; Stripe says 401 when one was rolled."""
        return self._error(invalid("Expired API Key provided.", "api_key_expired", status=401))

    def misbehave(self, kind: str, args: Json) -> Reply:
        """Stripe's words."""
        if kind in {"rate_limit", "concurrency_429"}:
            code = "rate_limit" if kind == "rate_limit" else "lock_timeout"
            reply = self._error(invalid("Request rate limit exceeded.", code, status=429))
            return reply.with_headers(("Stripe-Should-Retry", "true"))
        if kind == "closed_period":
            return self._error(invalid("This invoice can no longer be changed.", "invoice_not_editable"))
        return Reply.json(200, {"error": {"type": "api_error", "message": "An unknown error occurred."}})

    def process(self, request: Request) -> Reply:
        """Do the work, once for each idempotency key."""
        request_id = self.ids.next("req_", 14)
        reply = self._once(request, request_id) if request.method == "POST" else self._work(request)
        return reply.with_headers(("Request-Id", request_id), ("Stripe-Version", objects.API_VERSION))

    def _once(self, request: Request, request_id: str) -> Reply:
        key = request.headers.get("idempotency-key", "")
        if not key:
            return self._work(request)
        fingerprint = (request.method, request.path, request.body)
        with self.lock:
            answer = self._known(key, fingerprint)
            if answer is not None:
                return answer
            self._running.add(key)
        try:
            reply = self._work(request)
        finally:
            with self.lock:
                self._running.discard(key)
        if not 400 <= reply.status < 500:
            self._kept[key] = Kept(fingerprint, self.now(), reply, request_id)
        return reply.with_headers(("Idempotency-Key", key), ("Original-Request", request_id))

    def _known(self, key: str, fingerprint: tuple[str, str, bytes]) -> Reply | None:
        if len(key) > 255:
            return self._error(Refused(400, "idempotency_error", "Idempotency keys have at most 255 characters."))
        if key in self._running:
            text = "There is currently another in-progress request using this Idempotent Key."
            refused = Refused(409, "idempotency_error", text, "idempotency_key_in_use")
            return self._error(refused).with_headers(("Stripe-Should-Retry", "true"))
        kept = self._kept.get(key)
        if kept is None or kept.at + KEY_LIFE < self.now():
            return None
        if kept.fingerprint != fingerprint:
            text = (
                "Keys for idempotent requests can only be used with the same parameters they were first used "
                f"with. Try using a key other than '{key}' if you meant to execute a different request."
            )
            return self._error(Refused(400, "idempotency_error", text))
        return kept.reply.with_headers(
            ("Idempotent-Replayed", "true"), ("Idempotency-Key", key), ("Original-Request", kept.request_id)
        )

    def _work(self, request: Request) -> Reply:
        request.pause()
        with self.lock:
            return self.act(request)

    def _error(self, refused: Refused) -> Reply:
        return Reply.json(refused.status, refused.body)

    def searches(self, request: Request) -> bool:
        """A call of the search."""
        return request.method == "GET" and request.path.endswith("/search")

    def act(self, request: Request) -> Reply:
        """Route one authorised call."""
        try:
            parts = request.segments
            if len(parts) < 2 or parts[0] != "v1":
                raise self._unknown_url(request)
            form = request.form() if request.method == "POST" else parse_form(request.raw_query)
            return Reply.json(200, self._route(request, parts[1], parts[2:], form))
        except Refused as refused:
            return self._error(refused)
        except ValueError as error:
            return self._error(invalid(f"Invalid request body: {error}"))

    def _unknown_url(self, request: Request) -> Refused:
        text = f"Unrecognized request URL ({request.method}: {request.path})."
        return invalid(text, "unknown_url", status=404)

    def _route(self, request: Request, table: str, rest: list[str], form: Json) -> Json:
        if table not in self.tables:
            raise self._unknown_url(request)
        key = request.headers.get("idempotency-key")
        verbs: dict[tuple[str, str], Callable[[], Json]] = {
            ("POST", "customers"): lambda: self._create_customer(form, key),
            ("POST", "subscriptions"): lambda: self._create_subscription(form, key),
        }
        if not rest and (request.method, table) in verbs:
            return verbs[request.method, table]()
        if request.method == "GET" and rest == ["search"] and table in {"customers", "subscriptions", "invoices"}:
            return self._search(table, form, request.lag)
        if request.method == "GET" and not rest and table == "invoice_payments":
            return self.balance.paid_by(form)
        if request.method == "GET" and not rest:
            return self._list(table, form)
        if request.method == "GET" and len(rest) == 2 and rest[1] == "lines":
            lines = self._get(table, rest[0])["lines"]
            return self._page(lines["url"], lines["data"], form)
        if len(rest) != 1:
            raise self._unknown_url(request)
        return self._one(request, table, rest[0], form)

    def _one(self, request: Request, table: str, ident: str, form: Json) -> Json:
        found = self._get(table, ident)
        if request.method == "GET":
            return self.balance.shown(found) if table == "payouts" else found
        if request.method == "POST" and table == "customers":
            return self._fill_customer(found, form)
        if request.method == "POST" and table == "subscriptions":
            return self._change_subscription(found, form)
        if request.method == "DELETE" and table == "customers":
            found.clear()
            found |= {"id": ident, "object": "customer", "deleted": True}
            return found
        if request.method == "DELETE" and table == "subscriptions":
            return self._cancel(found)
        raise self._unknown_url(request)

    def _get(self, table: str, ident: str) -> Json:
        try:
            return self.tables[table][ident]
        except KeyError:
            what = table.removesuffix("s").replace("_", " ")
            raise invalid(f"No such {what}: '{ident}'", "resource_missing", "id", 404) from None

    def _list(self, table: str, form: Json) -> Json:
        rows = [row for row in reversed(self.tables[table].values()) if not row.get("deleted")]
        for name in ("email", "customer", "status", "type", "active", "product", "currency", "invoice", "price"):
            if name in form and not (table == "subscriptions" and form[name] == "all"):
                rows = [row for row in rows if str(row.get(name)).lower() == str(form[name]).lower()]
        if "payout" in form:
            rows = self._paid_out(form["payout"])
        if "types" in form:
            if len(form["types"]) > 20:
                raise invalid("Too many types.", "parameter_invalid", "types")
            rows = [row for row in rows if row["type"] in form["types"]]
        if table == "events" and self.account_version:
            rows = [row | {"api_version": self.account_version} for row in rows]
        if "lookup_keys" in form:
            rows = [row for row in rows if row.get("lookup_key") in form["lookup_keys"]]
        for bound, limit in form["created"].items() if isinstance(form.get("created"), dict) else ():
            rows = [row for row in rows if _within(row["created"], bound, int(limit))]
        return self._page(f"/v1/{table}", rows, form)

    def _paid_out(self, payout: str) -> list[Json]:
        rows = self.balance.rows_of(payout)
        if rows is None:
            raise invalid("Balance transaction history can only be filtered on automatic payouts.", "", "payout")
        return rows

    def _page(self, url: str, rows: list[Json], form: Json) -> Json:
        size = int(form.get("limit", 10))
        if not 1 <= size <= 100:
            raise invalid("This value must be between 1 and 100 (inclusive).", "parameter_invalid_integer", "limit")
        names = [row["id"] for row in rows]
        if "starting_after" in form:
            rows = rows[names.index(form["starting_after"]) + 1 :] if form["starting_after"] in names else []
        if "ending_before" in form and form["ending_before"] in names:
            rows = rows[: names.index(form["ending_before"])][-size:]
        return listing(url, rows[:size], len(rows) > size)

    def _search(self, table: str, form: Json, lag: float) -> Json:
        """Search sees an object only ``SEARCH_LAG`` seconds of world time after it was made, and ``lag`` more."""
        clauses = _clauses(str(form.get("query", "")))
        now = self.now()
        seen = now - timedelta(seconds=lag)
        rows = [
            row
            for row in reversed(self.tables[table].values())
            if not row.get("deleted") and self._visible.get(row["id"], seen) <= seen
            and all(_found(row, field, key, text) for field, key, text in clauses)
        ]  # fmt: skip
        page = listing(f"/v1/{table}/search", rows[: int(form.get("limit", 10))])
        return page | {"object": "search_result", "next_page": None, "total_count": len(rows)}

    def _touch(self, row: Json) -> Json:
        self._visible.setdefault(row["id"], self.now() + timedelta(seconds=SEARCH_LAG))
        return row

    def _create_customer(self, form: Json, key: str | None) -> Json:
        row = objects.customer(self.ids.next("cus_", 14), self.epoch(), self.ids.code("prefix", 8).upper())
        self._fill_customer(row, form)
        self.tables["customers"][row["id"]] = row
        self.emit("customer.created", row, key=key)
        return row

    def _fill_customer(self, row: Json, form: Json) -> Json:
        _only(form, objects.CUSTOMER_FIELDS)
        email = form.get("email", "")
        if email and not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", email):
            raise invalid(f"Invalid email address: {email}", "email_invalid", "email")
        for name in ("email", "name", "phone", "description", "tax_exempt", "invoice_prefix"):
            if name in form:
                row[name] = form[name] or None
        if "address" in form:
            row["address"] = objects.empty_address() | dict(form["address"] or {})
        if "preferred_locales" in form:
            row["preferred_locales"] = form["preferred_locales"] or []
        _merge_metadata(row, form)
        return self._touch(row)

    def _create_subscription(self, form: Json, key: str | None) -> Json:
        _only(form, objects.SUBSCRIPTION_FIELDS)
        if "customer" not in form:
            raise invalid("Missing required param: customer.", "parameter_missing", "customer")
        buyer = self._get("customers", form["customer"])
        if buyer.get("deleted"):
            raise invalid(f"No such customer: '{form['customer']}'", "resource_missing", "customer", 400)
        wanted = form.get("items") or []
        if not isinstance(wanted, list) or not wanted:
            raise invalid("Missing required param: items.", "parameter_missing", "items")
        created, ident = self.epoch(), self.ids.next("sub_", 24)
        items = [self._subscription_item(ident, created, wish, n) for n, wish in enumerate(wanted)]
        row = objects.subscription(ident, created, buyer["id"], items[0]["price"]["currency"], items)
        self._fill_subscription(row, form)
        self.tables["subscriptions"][ident] = row
        self.emit("customer.subscription.created", row, key=key)
        return row

    def _subscription_item(self, ident: str, created: int, wish: Json, place: int) -> Json:
        price = self.tables["prices"].get(str(wish.get("price")))
        if price is None:
            raise invalid(f"No such price: '{wish.get('price')}'", "resource_missing", f"items[{place}][price]")
        if price["recurring"] is None:
            text = "The price specified is set to `type=one_time` but this field only accepts recurring prices."
            raise invalid(text, "", f"items[{place}][price]")
        quantity = _integer(wish.get("quantity", "1"), f"items[{place}][quantity]")
        name = self.ids.next("si_", 14)
        item = objects.subscription_item(name, ident, created, created + MONTH, price, quantity)
        item["metadata"] = dict(wish.get("metadata") or {})
        self.tables["subscription_items"][name] = item
        return item

    def _fill_subscription(self, row: Json, form: Json) -> None:
        for name in ("collection_method", "description"):
            if name in form:
                row[name] = form[name] or None
        if "days_until_due" in form:
            row["days_until_due"] = _integer(form["days_until_due"], "days_until_due")
        if row["collection_method"] == "send_invoice" and row["days_until_due"] is None:
            text = "When `collection_method` is `send_invoice`, `days_until_due` is required."
            raise invalid(text, "parameter_missing", "days_until_due")
        if "cancel_at_period_end" in form:
            row["cancel_at_period_end"] = form["cancel_at_period_end"] == "true"
        _merge_metadata(row, form)
        self._touch(row)

    def _change_subscription(self, row: Json, form: Json) -> Json:
        _only(form, objects.SUBSCRIPTION_FIELDS)
        if row["status"] == "canceled":
            raise invalid("A canceled subscription can only update its cancellation_details and metadata.")
        self._fill_subscription(row, form)
        self.emit("customer.subscription.updated", row)
        return row

    def fall_behind(self, ident: str, when: When = NOW) -> Json:
        """The last invoice of a subscription is not paid in time; event ``customer.subscription.updated``."""
        with self.lock:
            row = self._known_row("subscriptions", ident)
            row["status"] = "past_due"
            self.emit("customer.subscription.updated", row, when)
            return copy.deepcopy(row)

    def _cancel(self, row: Json) -> Json:
        if row["status"] == "canceled":
            raise invalid(f"No such subscription: '{row['id']}'", "resource_missing", "id", 404)
        row |= {"status": "canceled", "canceled_at": self.epoch(), "ended_at": self.epoch()}
        self.emit("customer.subscription.deleted", row)
        return row

    # --- billing, as it happens inside Stripe ------------------------------------------------------------------

    def add_customer(self, name: str, email: str, metadata: Mapping[str, str] | None = None,
                     address: Mapping[str, str] | None = None, when: When = NOW) -> Json:  # fmt: skip
        """A customer that a person created in the dashboard."""
        with self.lock:
            row = objects.customer(self.ids.next("cus_", 14), self.epoch(), self.ids.code(name, 8).upper())
            row |= {"name": name, "email": email, "metadata": dict(metadata or {})}
            row["address"] = objects.empty_address() | dict(address or {"country": self.country})
            self.tables["customers"][row["id"]] = self._touch(row)
            self.emit("customer.created", row, when)
            return row

    def change_customer(self, ident: str, when: When = NOW, **values: object) -> Json:
        """What a buyer changes in the customer portal, or a person in the dashboard."""
        with self.lock:
            row = self._get("customers", ident)
            before = {name: row[name] for name in values if row.get(name) != values[name]}
            row |= values
            self._touch(row)
            self.emit("customer.updated", row, when, before=before)
            return row

    def add_tax_rate(self, ident: str, percentage: str, name: str = "Special tax", state: str | None = None) -> Json:
        """A tax rate somebody added without telling finance; ``percentage`` is a decimal in text."""
        row = objects.tax_rate(ident, self.epoch(), name, percentage, self.country, state)
        self.tables["tax_rates"][ident] = row
        return row

    def add_price(self, ident: str, product: str, currency: str, unit_amount: int, key: str | None = None) -> Json:
        """A price in minor units of ``currency``."""
        self._get("products", product)
        self.tables["prices"][ident] = objects.price(ident, self.epoch(), product, currency, unit_amount, key)
        return self.tables["prices"][ident]

    def finalize_invoice(self, customer: str, lines: Sequence[Line], currency: str | None = None,
                         subscription: str | None = None, metadata: Mapping[str, str] | None = None,
                         days_until_due: int = 30, when: When = NOW) -> Json:  # fmt: skip
        """Bill a customer now: an open invoice with its number, and the event ``invoice.finalized``.

        Raises ValueError for an unknown customer, product or tax rate.
        """
        with self.lock:
            money = (currency or self.currency).lower()
            ident, now = self.ids.next("in_1", 23), self.epoch()
            buyer = self._known_row("customers", customer)
            items = [self._invoice_line(ident, money, line, subscription, now) for line in lines]
            row = objects.invoice(ident, now, money, buyer, items, _summed(items))
            self._numbers += 1
            row |= {
                "account_country": self.country, "account_name": self.company, "metadata": dict(metadata or {}),
                "number": f"{buyer['invoice_prefix']}-{self._numbers:04d}",
                "due_date": now + days_until_due * 86400,
            }  # fmt: skip
            if subscription:
                of = self._known_row("subscriptions", subscription)
                of["latest_invoice"] = ident
                details = {"metadata": dict(of["metadata"]), "subscription": subscription}
                row["parent"] = {
                    "quote_details": None, "subscription_details": details, "type": "subscription_details",
                }  # fmt: skip
                row["billing_reason"] = "subscription_cycle"
            self.tables["invoices"][ident] = self._touch(row)
            self.emit("invoice.finalized", row, when)
            return copy.deepcopy(row)

    def _invoice_line(self, invoice: str, currency: str, line: Line, subscription: str | None, now: int) -> Json:
        self._known_row("products", line.product)
        taxes = []
        if line.tax_rate is not None:
            percentage = self._known_row("tax_rates", line.tax_rate)["percentage"]
            amount = objects.tax_of(line.amount, percentage) if line.tax is None else line.tax
            taxes = [objects.tax_amount(line.tax_rate, line.amount, amount, percentage)]
        price = next((p["id"] for p in self.tables["prices"].values() if p["product"] == line.product), "price_adhoc")
        item = self.ids.next("ii_", 24)
        if subscription:
            wanted = self._known_row("subscriptions", subscription)["items"]["data"]
            item = next((i["id"] for i in wanted if i["price"]["product"] == line.product), wanted[0]["id"])
        return objects.invoice_line(
            self.ids.next("il_1", 23), invoice, currency, line, taxes, item=item, subscription=subscription,
            price=price, start=now, end=now + MONTH,
        )  # fmt: skip

    def _known_row(self, table: str, ident: str) -> Json:
        if ident not in self.tables[table]:
            raise ValueError(f"{self.account} has no {table.removesuffix('s')} {ident!r}")
        return self.tables[table][ident]

    def pay(self, invoice: str, when: When = NOW) -> Json:
        """The customer pays all that is left; event ``invoice.paid``. Raises ValueError if it is not open."""
        with self.lock:
            row = self._open(invoice)
            now = self.epoch()
            row |= {"status": "paid", "amount_paid": row["amount_remaining"], "amount_remaining": 0}
            row |= {"attempted": True, "attempt_count": 1}
            row["status_transitions"] = row["status_transitions"] | {"paid_at": now}
            if row["amount_paid"]:
                self.balance.charged(row)
            self.emit("invoice.paid", row, when)
            return copy.deepcopy(row)

    def void(self, invoice: str, when: When = NOW) -> Json:
        """Void an open invoice; event ``invoice.voided``. Raises ValueError if it is not open."""
        with self.lock:
            row = self._open(invoice)
            row["status"] = "void"
            row["status_transitions"] = row["status_transitions"] | {"voided_at": self.epoch()}
            self.emit("invoice.voided", row, when)
            return copy.deepcopy(row)

    def _open(self, invoice: str) -> Json:
        row = self._known_row("invoices", invoice)
        if row["status"] != "open":
            raise ValueError(f"invoice {invoice} is {row['status']}, not open")
        return row

    def credit(self, invoice: str, net: int | None = None, reason: str = "order_change",
               metadata: Mapping[str, str] | None = None, when: When = NOW) -> Json:  # fmt: skip
        """Credit an invoice: all of it, or ``net`` minor units of its lines from the first on, with their tax.

        Sends ``credit_note.created``. Raises ValueError if it is void or less than ``net`` is left.
        """
        with self.lock:
            row = self._known_row("invoices", invoice)
            if row["status"] == "void" or (net is not None and not 0 < net <= row["subtotal"]):
                raise ValueError(f"invoice {invoice} ({row['status']}) cannot be credited by {net}")
            lines = self._credit_lines(row, row["subtotal"] if net is None else net)
            paid = row["status"] == "paid"
            note = objects.credit_note(self.ids.next("cn_1", 23), self.epoch(), row, lines, _summed(lines), paid)
            count = sum(1 for other in self.tables["credit_notes"].values() if other["invoice"] == invoice) + 1
            note |= {"number": f"{row['number']}-CN-{count:02d}", "reason": reason, "metadata": dict(metadata or {})}
            if not paid and note["total"] > row["amount_remaining"]:
                raise ValueError(f"invoice {invoice} has only {row['amount_remaining']} left")
            self.tables["credit_notes"][note["id"]] = self._touch(note)
            self._lower(row, note["total"], paid)
            self.emit("credit_note.created", note, when)
            return copy.deepcopy(note)

    def void_credit(self, note: str, when: When = NOW) -> Json:
        """Void a credit note of an open invoice; event ``credit_note.voided``. Raises ValueError where Stripe refuses.

        Stripe voids only what was credited before the payment, and only while the invoice is open.
        """
        with self.lock:
            row = self._known_row("credit_notes", note)
            invoice = self._open(row["invoice"])
            if row["status"] != "issued" or row["type"] != "pre_payment":
                raise ValueError(f"credit note {note} is {row['status']} and of the type {row['type']}")
            row |= {"status": "void", "voided_at": self.epoch()}
            invoice["pre_payment_credit_notes_amount"] -= row["total"]
            invoice["amount_due"] += row["total"]
            invoice["amount_remaining"] += row["total"]
            self.emit("credit_note.voided", row, when)
            return copy.deepcopy(row)

    def _credit_lines(self, row: Json, net: int) -> list[Json]:
        lines = []
        for line in row["lines"]["data"]:
            part = min(net, line["amount"])
            if part <= 0:
                continue
            net -= part
            taxes, rates = [], []
            for tax in line["taxes"]:
                rate = self.tables["tax_rates"][tax["tax_rate_details"]["tax_rate"]]
                whole = part == line["amount"]
                amount = tax["amount"] if whole else objects.tax_of(part, Decimal(rate["percentage"]))
                taxes.append(objects.tax_amount(rate["id"], part, amount, rate["percentage"]))
                rates.append(rate)
            lines.append(objects.credit_note_line(self.ids.next("cnli_1", 23), line, part, taxes, rates))
        return lines

    def _lower(self, row: Json, total: int, paid: bool) -> None:
        if paid:
            row["post_payment_credit_notes_amount"] += total
            return
        row["pre_payment_credit_notes_amount"] += total
        row["amount_due"] -= total
        row["amount_remaining"] -= total
        if row["amount_remaining"] == 0:
            row["status"] = "paid"
            row["status_transitions"] = row["status_transitions"] | {"paid_at": self.epoch()}

    # --- events ------------------------------------------------------------------------------------------------

    def emit(self, kind: str, about: Json, when: When = NOW, key: str | None = None,
             before: Json | None = None) -> Json:  # fmt: skip
        """Record an event with a snapshot of its object and send it if the endpoint listens to its type."""
        request = {"id": self.ids.next("req_", 14) if key else None, "idempotency_key": key}
        event: Json = {
            "id": self.ids.next("evt_1", 23), "object": "event", "api_version": objects.API_VERSION,
            "created": self.epoch(), "data": {"object": objects.shown(about)}, "livemode": False,
            "pending_webhooks": 1, "request": request, "type": kind,
        }  # fmt: skip
        if before is not None:
            event["data"]["previous_attributes"] = before
        self.tables["events"][event["id"]] = event
        if kind in self.enabled_events:
            self.send(event["id"], when)
        return event

    def events(self, kind: str | None = None) -> list[Json]:
        """All events so far, oldest first, or those of one type."""
        return [event for event in self.tables["events"].values() if kind in {None, event["type"]}]

    def send(self, event_id: str, when: When = NOW) -> None:
        """Send an event (again)."""
        self.courier.post(event_id, self.body_of(event_id), self.sign, when)

    def body_of(self, event_id: str) -> bytes:
        """The bytes of an event as they go over the wire, the same each time."""
        return dumps(self.tables["events"][event_id]).encode()

    def sign(self, body: bytes) -> dict[str, str]:
        """Headers of a delivery now: one ``v1`` for each active secret, and a ``v0`` to be ignored."""
        stamp = self.epoch()
        signed = b"%d." % stamp + body
        parts = [f"t={stamp}", *(f"v1={hmac_hex(secret, signed)}" for secret in self.webhook_secrets)]
        parts.append(f"v0={hmac_hex('test', signed)}")
        return {
            "Content-Type": "application/json; charset=utf-8", "Stripe-Signature": ",".join(parts),
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        }  # fmt: skip

    # --- the book ----------------------------------------------------------------------------------------------

    def book(self) -> list[Entry]:
        """Customers, subscriptions, invoices, payments and credit notes, in minor units."""
        with self.lock:
            entries = [
                self._entry(_reference(row), "customer", row["id"], "", 0, "active")
                for row in self.tables["customers"].values()
                if not row.get("deleted")
            ]
            for row in self.tables["subscriptions"].values():
                entries.append(self._entry(_reference(row), "subscription", row["id"], "", 0, row["status"]))
            for row in self.tables["invoices"].values():
                entries.append(
                    self._entry(row["number"], "invoice", row["id"], row["currency"], row["total"], row["status"])
                )
                if row["amount_paid"]:
                    entries.append(
                        self._entry(row["id"], "payment", f"{row['id']}/payment", row["currency"],
                                    row["amount_paid"], "paid", row["id"])
                    )  # fmt: skip
            for row in self.tables["credit_notes"].values():
                entries.append(
                    self._entry(row["number"], "credit_note", row["id"], row["currency"], row["total"],
                                row["status"], row["invoice"])
                )  # fmt: skip
            return entries

    def _entry(self, ref: str, kind: str, ident: str, currency: str, total: int, status: str,
               parent: str = "") -> Entry:  # fmt: skip
        return Entry(self.name, self.account, ref, kind, ident, currency.upper(), total, self.entity, status, parent)


def _reference(row: Json) -> str:
    return next((row["metadata"][name] for name in REFERENCES if name in row["metadata"]), "")


def _summed(lines: list[Json]) -> list[Json]:
    """Taxes of all lines, one entry for each rate, in the order of their first appearance."""
    total: dict[str, Json] = {}
    for tax in (tax for line in lines for tax in line["taxes"]):
        rate = tax["tax_rate_details"]["tax_rate"]
        if rate in total:
            total[rate]["amount"] += tax["amount"]
            total[rate]["taxable_amount"] += tax["taxable_amount"]
        else:
            total[rate] = dict(tax)
    return list(total.values())


def _only(form: Json, allowed: frozenset[str]) -> None:
    for name in form:
        if name not in allowed:
            raise invalid(f"Received unknown parameter: {name}", "parameter_unknown", name)


def _merge_metadata(row: Json, form: Json) -> None:
    given = form.get("metadata")
    if given == "":
        row["metadata"] = {}
    for name, value in given.items() if isinstance(given, dict) else ():
        if len(name) > 40 or len(value) > 500:
            raise invalid(f"Metadata {name[:40]} is too long.", "", f"metadata[{name}]")
        if value == "":
            row["metadata"].pop(name, None)
        else:
            row["metadata"][name] = value


def _integer(text: str, param: str) -> int:
    if not re.fullmatch(r"-?\d+", str(text)):
        raise invalid(f"Invalid integer: {text}", "parameter_invalid_integer", param)
    return int(text)


def _within(created: int, bound: str, limit: int) -> bool:
    return {"gt": created > limit, "gte": created >= limit, "lt": created < limit, "lte": created <= limit}[bound]


CLAUSE = re.compile(
    r"""\s*(?P<field>\w+)(?:\[(?P<q>['"])(?P<key>[^'"]+)(?P=q)\])?\s*:\s*(?P<p>['"])(?P<text>.*?)(?P=p)\s*"""
)


def _clauses(query: str) -> list[tuple[str, str | None, str]]:
    """``field:'x'`` and ``metadata['k']:'v'`` joined by AND."""
    found = []
    for part in re.split(r"\s+AND\s+", query.strip()):
        match = CLAUSE.fullmatch(part)
        if match is None:
            raise invalid(f"We were unable to parse your search query: {query}", "", "query")
        found.append((match["field"], match["key"], match["text"]))
    return found


def _found(row: Json, field: str, key: str | None, text: str) -> bool:
    value = row.get(field)
    if key is not None:
        return isinstance(value, dict) and value.get(key) == text
    return str(value).lower() == text.lower()
