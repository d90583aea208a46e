"""Chargebee, one site: customers and subscriptions of API v2, product catalog 2.0.

On the wire it is Chargebee: the API key as the user of Basic authentication, forms whose lists go by column
(``subscription_items[item_price_id][0]``), ids that the caller may choose and that are taken once (``duplicate_entry``)
``chargebee-idempotency-key`` (the same answer again, 422 for other parameters), unknown parameters refused, errors with
``api_error_code``, metadata as a JSON text in and an object out, ``resource_version`` in milliseconds.

Simplifications: a deleted customer is shown with ``deleted`` (its subscriptions are cancelled); nothing is invoiced.
What happens on the site by itself is one of the captured events (``chargebee_events.py``).
"""

from __future__ import annotations

import base64
import json
from typing import Any

from infra.local.sandbox.agenda import Agenda, Clock
from infra.local.sandbox.books import Entry
from infra.local.sandbox.chargebee_events import Events
from infra.local.sandbox.system import Deliver, Ground, System
from infra.local.sandbox.wire import Json, Reply, Request

#: Parameters that each call takes.
CUSTOMER = frozenset({
    "id", "company", "email", "phone", "first_name", "last_name", "preferred_currency_code", "vat_number",
    "auto_collection", "net_term_days", "billing_address", "meta_data",
})  # fmt: skip
SUBSCRIPTION = frozenset({
    "id", "auto_collection", "net_term_days", "start_date", "subscription_items", "meta_data", "po_number",
})  # fmt: skip
CANCEL = frozenset({"end_of_term", "cancel_option", "cancel_reason_code"})
#: Item prices that the site has, with their currency.
ITEM_PRICES = {"pro-USD-Monthly": "USD", "seat-USD-Monthly": "USD", "pro-EUR-Monthly": "EUR"}


class Refused(Exception):
    """An error answer: HTTP status, type, code, sentence and parameter."""

    def __init__(self, status: int, kind: str, code: str, message: str, param: str = "") -> None:
        super().__init__(message)
        self.reply = Reply.json(status, {
            "message": message, "type": kind, "api_error_code": code, "http_status_code": status, "error_msg": message,
            **({"param": param} if param else {}),
        })  # fmt: skip


class Chargebee(System):
    """One site. ``customers`` and ``subscriptions`` hold what was made, by id."""

    name = "chargebee"

    def __init__(self, account: str, clock: Clock, agenda: Agenda, seed: int, deliver: Deliver) -> None:
        super().__init__(account, clock, agenda, seed)
        self.api_key = self.ids.next("test_", 32)
        self.events = Events(self, deliver, f"tieout:{self.ids.code('webhook password', 32)}")
        self.courier = self.events.courier
        self.customers: dict[str, Json] = {}
        self.subscriptions: dict[str, Json] = {}
        self._answered: dict[str, tuple[bytes, Reply]] = {}

    def secret(self) -> Json:
        """What the product's secret store holds for this site."""
        credentials = [self.events.credential]
        return {"base_url": self.base_url, "api_key": self.api_key, "webhook_credentials": credentials}

    # --- the door ----------------------------------------------------------------------------------------------

    def authorise(self, request: Request) -> Reply | None:
        """The API key of the site."""
        expected = "Basic " + base64.b64encode(f"{self.api_key}:".encode()).decode()
        return None if request.headers.get("authorization") == expected else self._unauthorised()

    def _unauthorised(self) -> Reply:
        return Refused(401, "invalid_request", "api_authentication_failed", "Sorry, authentication failed.").reply

    def forget_tokens(self) -> Reply | None:
        """A key that was revoked is refused once."""
        return self._unauthorised()

    def misbehave(self, kind: str, args: Json) -> Reply:
        """Chargebee's words."""
        if kind == "ok_with_errors":
            return Reply.json(200, {"message": "queued"})
        if kind == "closed_period":
            return Refused(400, "invalid_request", "invalid_state_for_request", "The books are closed.").reply
        code = "api_request_limit_exceeded"
        return Refused(429, "operation_failed", code, "Sorry, access has been blocked due to too many requests.").reply

    def act(self, request: Request) -> Reply:
        """Route one authorised call; a write under a key that was used is answered as it was."""
        parts = request.segments
        if parts == ["api", "v2", "events"] and request.method == "GET":
            return self.events.listed(request)
        if parts[:2] != ["api", "v2"] or len(parts) < 3 or parts[2] not in ("customers", "subscriptions"):
            return Refused(404, "invalid_request", "site_not_found", "Sorry, we couldn't find that resource").reply
        try:
            if request.method == "GET":
                return self._read(parts[2], parts[3:], request)
            key = request.headers.get("chargebee-idempotency-key", "")
            sent = request.line.encode() + b"\n" + request.body
            if key in self._answered:
                body, said = self._answered[key]
                if body != sent:
                    text = "The idempotency key was used with other parameters."
                    raise Refused(422, "invalid_request", "unable_to_process_request", text)
                return said.with_headers(("chargebee-idempotency-replayed", "true"))
            reply = self._write(parts[2:], request.form())
        except Refused as refused:
            return refused.reply
        if key:
            self._answered[key] = (sent, reply)
        return reply

    # --- objects -----------------------------------------------------------------------------------------------

    def _read(self, listed: str, rest: list[str], request: Request) -> Reply:
        kind = listed.removesuffix("s")
        if rest:
            return Reply.json(200, {kind: self._known(listed, rest[0])})
        wanted = request.query.get("email[is]")
        rows = [row for row in self._table(listed).values() if wanted is None or row.get("email") == wanted]
        return Reply.json(200, {"list": [{kind: row} for row in rows if not row.get("deleted")]})

    def _table(self, listed: str) -> dict[str, Json]:
        return self.customers if listed == "customers" else self.subscriptions

    def _known(self, listed: str, ident: str) -> Json:
        row = self._table(listed).get(ident)
        if row is None:
            raise Refused(404, "invalid_request", "resource_not_found", f"{ident} not found", "id")
        return row

    def _write(self, parts: list[str], form: Json) -> Reply:
        match parts:
            case ["customers"]:
                return Reply.json(200, {"customer": self._customer(form)})
            case ["customers", ident, "subscription_for_items"]:
                customer = self._known("customers", ident)
                return Reply.json(200, {"subscription": self._subscription(customer, form), "customer": customer})
            case ["customers", ident, "delete"]:
                return Reply.json(200, {"customer": self._delete(self._known("customers", ident))})
            case ["subscriptions", ident, "cancel_for_items"]:
                self._checked(form, CANCEL)
                return Reply.json(200, {"subscription": self._cancel(self._known("subscriptions", ident))})
        raise Refused(404, "invalid_request", "resource_not_found", "no such operation")

    def _checked(self, form: Json, known: frozenset[str]) -> None:
        unknown = set(form) - known
        if unknown:
            text = f"{min(unknown)} : unknown parameter"
            raise Refused(400, "invalid_request", "param_wrong_value", text, min(unknown))

    def _made(self, listed: str, form: Json, prefix: str) -> Json:
        ident = str(form.get("id") or self.ids.next(prefix, 16))
        if len(ident) > 50:
            raise Refused(400, "invalid_request", "param_wrong_value", "id : cannot be longer than 50", "id")
        if ident in self._table(listed):
            raise Refused(400, "invalid_request", "duplicate_entry", f"The value {ident} is already present.", "id")
        try:
            meta = json.loads(form.get("meta_data", "{}"))
        except ValueError:
            raise Refused(400, "invalid_request", "param_wrong_value", "meta_data : no JSON", "meta_data") from None
        row = {**form, "id": ident, "meta_data": meta, "created_at": self.epoch(), "deleted": False}
        return self._changed(row)

    def _changed(self, row: Json) -> Json:
        row |= {"updated_at": self.epoch(), "resource_version": int(self.now().timestamp() * 1000)}
        return row

    def _customer(self, form: Json) -> Json:
        self._checked(form, CUSTOMER)
        row = self._made("customers", form, "cb_")
        self.customers[row["id"]] = {**row, "object": "customer"}
        return self.customers[row["id"]]

    def _subscription(self, customer: Json, form: Json) -> Json:
        self._checked(form, SUBSCRIPTION)
        if customer["deleted"]:
            raise Refused(400, "invalid_request", "invalid_state_for_request", "The customer is deleted.")
        items = _rows(form.get("subscription_items", {}))
        if not items:
            raise Refused(400, "invalid_request", "param_wrong_value", "subscription_items : required")
        for item in items:
            if item.get("item_price_id") not in ITEM_PRICES:
                text = f"item price {item.get('item_price_id')} not found"
                raise Refused(
                    404, "invalid_request", "resource_not_found", text, "subscription_items[item_price_id][0]"
                )
        row = self._made("subscriptions", form, "cbs_")
        row |= {
            "object": "subscription", "customer_id": customer["id"], "status": "active",
            "currency_code": ITEM_PRICES[items[0]["item_price_id"]], "subscription_items": items,
        }  # fmt: skip
        self.subscriptions[row["id"]] = row
        return row

    def _delete(self, customer: Json) -> Json:
        for row in self.subscriptions.values():
            if row["customer_id"] == customer["id"] and row["status"] != "cancelled":
                self._cancel(row)
        customer["deleted"] = True
        return self._changed(customer)

    def _cancel(self, subscription: Json) -> Json:
        if subscription["status"] == "cancelled":
            text = "Subscription is already cancelled"
            raise Refused(400, "invalid_request", "invalid_state_for_request", text)
        subscription["status"] = "cancelled"
        return self._changed(subscription)

    # --- the book ----------------------------------------------------------------------------------------------

    def book(self) -> list[Entry]:
        """What it holds: customers, then subscriptions."""
        customers = [self._entry("customer", row, "", "deleted" if row["deleted"] else "active") for row in
                     self.customers.values()]  # fmt: skip
        return customers + [
            self._entry("subscription", row, row["currency_code"], row["status"]) for row in self.subscriptions.values()
        ]

    def _entry(self, kind: str, row: Json, currency: str, status: str) -> Entry:
        ref = str(row["meta_data"].get("tieout_ref", ""))
        return Entry(self.name, self.account, ref, kind, row["id"], currency, 0, "", status)


def _rows(columns: Any) -> list[Json]:
    """Rows out of a form's columns."""
    count = max((len(column) for column in columns.values()), default=0)
    return [{name: column[place] for name, column in columns.items() if place < len(column)} for place in range(count)]


def stand(ground: Ground) -> Chargebee:
    """The sandbox of this system, found by the server."""
    return Chargebee("acme-eu", ground.clock, ground.agenda, ground.seed, ground.send)
