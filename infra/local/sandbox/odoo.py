"""Odoo 19, one database with one company: partners, invoices, refunds and payments over the JSON-2 API.

On the wire it is Odoo: every call is a POST of named arguments to a model's method and a transaction of its own, ids
come back as a list, a missing value is ``false``, relations are ``[id, name]``, errors carry the class of the exception
and a traceback. Nothing is unique by reference. Posting numbers a document and adds its tax up; a date up to
``lock_date`` is moved to the day behind it without a word, as Odoo does for what it sells. The payment wizard settles
the invoice with what it posts, and a refund that names its invoice is set against it when it is posted, as far as both
are open (unless a module keeps Odoo from it: ``reconciles``); `js_assign_outstanding_line` does it by hand.

Simplifications: a tax is a rate by id, rounded by line; one company; domains are conjunctions of equalities; of an
entry's items only the receivable one is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from infra.local.sandbox.agenda import Agenda, Clock
from infra.local.sandbox.books import Entry, rounded, to_minor
from infra.local.sandbox.described import ODOO
from infra.local.sandbox.system import Ground, System
from infra.local.sandbox.wire import Json, Reply, Request

CURRENCIES = {1: "USD", 2: "EUR", 3: "GBP", 4: "JPY"}
#: How long an API key lives at most.
KEY_LIFE = timedelta(days=90)
#: Rates by the id of a tax.
TAXES = {4: Decimal("0.08875"), 5: Decimal(0)}
#: Of each model: the fields that may be written.
MODELS: dict[str, frozenset[str]] = {
    "res.partner": frozenset({"name", "ref", "email", "vat", "is_company"}),
    "account.move": frozenset({
        "move_type", "partner_id", "invoice_date", "invoice_date_due", "date", "ref", "payment_reference",
        "currency_id", "company_id", "journal_id", "invoice_line_ids", "reversed_entry_id",
    }),
    "account.payment.register": frozenset({"payment_date", "amount", "communication", "journal_id", "currency_id"}),
    "account.payment": frozenset(),
    "account.move.line": frozenset(),
}  # fmt: skip


class Refused(Exception):
    """What a method raised: the exception's class, the HTTP status that it has, the sentence."""

    def __init__(self, name: str, status: int, message: str) -> None:
        super().__init__(message)
        self.name, self.status = name, status


def user_error(message: str) -> Refused:
    """A business rule that was broken."""
    return Refused("odoo.exceptions.UserError", 422, message)


class Odoo(System):
    """One database. ``rows`` holds each model's records by id; ``lock_date`` is the last locked day."""

    name = "odoo"
    does = frozenset({"merged_customer"})

    def __init__(self, account: str, clock: Clock, agenda: Agenda, seed: int) -> None:
        super().__init__(account, clock, agenda, seed)
        self.api_key = self.ids.code("api key", 40)
        self.key_dies = clock().date() + KEY_LIFE
        self.database = f"{account}-prod"
        self.lock_date: date | None = None
        self.reconciles = True
        #: What our user may not, by model and operation.
        self.denied: set[tuple[str, str]] = set()
        self.rows: dict[str, dict[int, Json]] = {model: {} for model in MODELS}

    def secret(self) -> Json:
        """What the product's secret store holds for this database."""
        settings = {"database": self.database, "company": "1"}
        return {
            "base_url": self.base_url, "api_key": self.api_key, "settings": settings,
            "expires_on": self.key_dies.isoformat(),
        }  # fmt: skip

    # --- the door ----------------------------------------------------------------------------------------------

    def authorise(self, request: Request) -> Reply | None:
        """The key of a user, and the database that is meant."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or key != self.api_key:
            return _error(Refused("werkzeug.exceptions.Unauthorized", 401, "Invalid apikey"))
        if request.headers.get("x-odoo-database", self.database) != self.database:
            return _error(Refused("werkzeug.exceptions.NotFound", 404, "no such database"))
        return None

    def forget_tokens(self) -> Reply | None:
        """A key that has run out is refused once; keys live three months at most."""
        return _error(Refused("werkzeug.exceptions.Unauthorized", 401, "Invalid apikey"))

    def misbehave(self, kind: str, args: Json) -> Reply:
        """Odoo's words, and those of the proxy before it."""
        if kind == "closed_period":
            return _error(user_error(
                "You cannot add/modify entries prior to and inclusive of: Global Lock Date (10/31/2026)."))  # fmt: skip
        if kind == "ok_with_errors":
            return Reply.json(200, False)
        return Reply.html(429, "Too Many Requests")

    def customer_of(self, request: Request) -> str:
        """The partner of a new move."""
        return request.told("vals_list", "0", "partner_id") if request.path.endswith("/account.move/create") else ""

    def act(self, request: Request) -> Reply:
        """Route one authorised call: a model's method, in one transaction."""
        parts = request.segments
        if parts[:2] != ["json", "2"] or len(parts) != 4 or request.method != "POST":
            return _error(Refused("werkzeug.exceptions.NotFound", 404, "Not Found"))
        model, method = parts[2:]
        try:
            body = request.json()
            if model not in MODELS:
                raise Refused("werkzeug.exceptions.NotFound", 404, f"the model '{model}' does not exist")
            return Reply.json(200, self._method(model, method, body))
        except Refused as refused:
            return _error(refused)
        except (ValueError, TypeError, KeyError, ArithmeticError) as error:
            return _error(Refused(f"builtins.{type(error).__name__}", 500, str(error)))

    def _method(self, model: str, method: str, body: Json) -> Any:
        if method == "search_read":
            return self._search(model, body)
        if method == "fields_get":
            known = ODOO.get(model, {})
            return {name: _attributes(known[name], body) for name in sorted(known)}
        if method == "has_access":
            return (model, body["operation"]) not in self.denied
        if method == "create":
            return [self._create(model, values, body.get("context", {})) for values in body["vals_list"]]
        if method == "write":
            for ident in body["ids"]:
                self._known(model, ident)
                self._checked(model, body["vals"])
                self.rows[model][ident].update(body["vals"])
            return True
        if (model, method) == ("account.move", "action_post"):
            for ident in body["ids"]:
                self._post(self._known(model, ident))
            return False
        if (model, method) == ("account.move", "js_assign_outstanding_line"):
            [ident] = body["ids"]
            credit = self._known("account.move.line", body["line_id"])["move_id"]
            self._reconcile(self._known("account.move", ident), self.rows["account.move"][credit])
            return {"partials": []}
        if (model, method) == ("account.payment.register", "action_create_payments"):
            [ident] = body["ids"]
            return self._pay(self._known(model, ident))
        raise Refused("werkzeug.exceptions.NotFound", 404, f"the method '{method}' does not exist")

    # --- records -----------------------------------------------------------------------------------------------

    def _search(self, model: str, body: Json) -> list[Json]:
        found = []
        for row in self.rows[model].values():
            if model == "res.partner" and str(row["id"]) in self.aside:
                continue
            if all(
                operator == "=" and _plain(row.get(field, False)) == value for field, operator, value in body["domain"]
            ):
                found.append({"id": row["id"], **{name: row.get(name, False) for name in body["fields"]}})
        return found[: body.get("limit", 80)]

    def _checked(self, model: str, values: Json) -> None:
        unknown = set(values) - MODELS[model]
        if unknown:
            raise Refused("builtins.ValueError", 422, f"Invalid field '{min(unknown)}' on model '{model}'")

    def _create(self, model: str, values: Json, context: Json) -> int:
        self._checked(model, values)
        ident = self._next()
        row = {"id": ident, **values}
        if model == "res.partner" and not values.get("name"):
            raise Refused("odoo.exceptions.ValidationError", 422, "Contacts require a name")
        if model == "account.move":
            row |= self._lines(values) | {"state": "draft", "name": "/", "payment_state": "not_paid"}
            row |= {"currency_id": [values["currency_id"], CURRENCIES[values["currency_id"]]]}
            self._known("res.partner", values["partner_id"])
        if model == "account.payment.register":
            [invoice] = context["active_ids"]
            row |= {"invoice": self._known("account.move", invoice)["id"]}
        self.rows[model][ident] = row
        return ident

    def _known(self, model: str, ident: Any) -> Json:
        if ident not in self.rows[model] or (model == "res.partner" and str(ident) in self.aside):
            raise Refused(
                "odoo.exceptions.MissingError", 404, f"Record does not exist or has been deleted. ({model}({ident},))"
            )
        return self.rows[model][ident]

    def _lines(self, values: Json) -> Json:
        """Totals as Odoo adds them up: tax by line, from the rates of its own taxes."""
        currency = CURRENCIES[values["currency_id"]]
        net = tax = Decimal(0)
        for _, _, line in values["invoice_line_ids"]:
            amount = rounded(Decimal(line["quantity"]) * Decimal(line["price_unit"]), currency)
            [[_, _, taxes]] = [line["tax_ids"][0]]
            net += amount
            tax += sum((rounded(amount * TAXES[one], currency) for one in taxes), Decimal(0))
        return {"amount_untaxed": net, "amount_tax": tax, "amount_total": net + tax, "amount_residual": net + tax}

    def _post(self, row: Json) -> None:
        if row["state"] != "draft":
            raise user_error("The entry must be in draft.")
        day = date.fromisoformat(str(row["date"]))
        if self.lock_date is not None and day <= self.lock_date:
            row["date"] = (self.lock_date + timedelta(days=1)).isoformat()
        kind = {"out_invoice": "INV", "out_refund": "RINV"}[row["move_type"]]
        row |= {"state": "posted", "name": f"{kind}/{str(row['date'])[:4]}/{row['id']:05d}"}
        item = {"id": self._next(), "move_id": row["id"], "account_type": "asset_receivable", "reconciled": False}
        self.rows["account.move.line"][item["id"]] = item
        reversed_entry = self.rows["account.move"].get(row.get("reversed_entry_id") or 0)
        if reversed_entry is not None and reversed_entry["state"] == "posted" and self.reconciles:
            self._reconcile(reversed_entry, row)

    def _reconcile(self, invoice: Json, credit: Json) -> None:
        """Set a refund against an invoice, as far as both are open."""
        amount = min(invoice["amount_residual"], credit["amount_residual"])
        for row in (invoice, credit):
            self._settled(row, amount)

    def _settled(self, row: Json, amount: Decimal) -> None:
        row["amount_residual"] -= amount
        row["payment_state"] = "paid" if row["amount_residual"] == 0 else "partial" if amount else row["payment_state"]
        for item in self.rows["account.move.line"].values():
            if item["move_id"] == row["id"]:
                item["reconciled"] = row["amount_residual"] == 0

    def _next(self) -> int:
        """The next id: one row of numbers for all models keeps them apart for a reader."""
        return sum(len(rows) for rows in self.rows.values()) + 1

    def _pay(self, wizard: Json) -> Json:
        """Post a payment and settle the invoice with it."""
        invoice = self.rows["account.move"][wizard["invoice"]]
        amount = Decimal(wizard["amount"])
        if invoice["state"] != "posted" or invoice["amount_residual"] <= 0:
            raise user_error(
                "You can't register a payment because there is nothing left to pay on the selected journal items."
            )
        ident = self._next()
        currency = CURRENCIES[wizard["currency_id"]]
        self.rows["account.payment"][ident] = {
            "id": ident, "name": f"PBNK1/{ident:05d}", "memo": wizard["communication"], "amount": amount,
            "state": "paid", "date": wizard["payment_date"], "currency_id": [wizard["currency_id"], currency],
            "company_id": 1, "invoice": invoice["id"],
        }  # fmt: skip
        self._settled(invoice, min(amount, invoice["amount_residual"]))
        return {"type": "ir.actions.act_window", "res_model": "account.payment", "res_id": ident}

    # --- the book ----------------------------------------------------------------------------------------------

    def book(self) -> list[Entry]:
        """What is in its books (drafts are not), and its partners."""
        return [
            self._entry(model, row) for model in ("res.partner", "account.move", "account.payment")
            for row in self.rows[model].values() if row.get("state") != "draft"
        ]  # fmt: skip

    def _entry(self, model: str, row: Json) -> Entry:
        if model == "res.partner":
            return Entry(
                self.name, self.account, str(row.get("ref") or ""), "customer", str(row["id"]), "", 0, "", "active"
            )
        kind = {"out_invoice": "invoice", "out_refund": "credit_note"}.get(row.get("move_type", ""), "payment")
        currency = row["currency_id"][1]
        total: Decimal = row["amount"] if kind == "payment" else row["amount_total"]
        parent = self.rows["account.move"].get(row.get("invoice") or row.get("reversed_entry_id") or 0, {})
        return Entry(
            self.name, self.account, str(row.get("ref") or row.get("memo") or ""), kind, str(row["id"]), currency,
            to_minor(total, currency), "", str(row.get("payment_state") or row["state"]), str(parent.get("ref") or ""),
        )  # fmt: skip


def _attributes(known: tuple[str, bool], body: Json) -> Json:
    """What is asked for of one field."""
    shown = {"type": known[0], "required": known[1]}
    return {name: value for name, value in shown.items() if name in body.get("attributes", shown)}


def _plain(value: Any) -> Any:
    """A value as a domain compares it: a relation by its id."""
    return value[0] if isinstance(value, list) else value


def _error(refused: Refused) -> Reply:
    said: Mapping[str, Any] = {
        "name": refused.name, "message": str(refused), "arguments": [str(refused)], "context": {},
        "debug": f"Traceback (most recent call last):\n...\n{refused.name}: {refused}\n",
    }  # fmt: skip
    return Reply.json(refused.status, said)


def stand(ground: Ground) -> Odoo:
    """The sandbox of this system, found by the server."""
    return Odoo("acme", ground.clock, ground.agenda, ground.seed)
