"""Tryton 8.2, one company: parties, customer invoices and moves over its REST API.

On the wire it is Tryton: a bearer key, the company in ``X-Tryton-Context``, base64 domains, fields asked for with
``f`` (dots reach into records), dates and decimals spelled as ``{"__class__": …}``, refusals as HTTP 400 with a
sentence and no code, pages of HTML for a wrong key (401), a method that is not there (403) or an unknown field (500).
A party's code is unique and an invoice's reference is not; creating makes a draft, posting gives it a number; numbers
follow dates; a closed period refuses the post, and a date in the future or a payment date in the past is asked about,
which over REST is a refusal too. A receivable line becomes a payment line of one invoice, never over its total, and
what is to pay of that invoice is less by it; reconciling is not reachable over REST (:meth:`Tryton.reconcile` is a
person who does it). The sentences are those of the real server, which `make rehearse` runs.

Simplifications: one company and currency; no products, payment terms or computed taxes (a tax row is taken as it is
sent, as the real server takes a manual one); domains are conjunctions; nothing is cancelled or deleted.
"""

from __future__ import annotations

import base64
import calendar
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

from infra.local.sandbox.agenda import Agenda, Clock
from infra.local.sandbox.books import Entry, rounded, to_minor
from infra.local.sandbox.system import Ground, System
from infra.local.sandbox.wire import Json, Reply, Request, loads

COMPANY = {"id": 1, "name": "Acme Inc", "currency": 1}
#: What must be there of each model, by the name that a person sees, and all else that may be.
REQUIRED = {
    "party.party": {},
    "account.invoice": {"type": "Type", "company": "Company", "party": "Party", "invoice_address": "Invoice Address",
                        "currency": "Currency", "account": "Account"},
    "account.move": {"company": "Company", "period": "Period", "journal": "Journal", "date": "Effective Date"},
}  # fmt: skip
OPTIONAL = {
    "party.party": {"name", "code", "addresses", "contact_mechanisms", "active"},
    "account.invoice": {"journal", "invoice_date", "payment_term_date", "reference", "description", "lines", "taxes"},
    "account.move": {"description", "lines", "origin"},
}
TITLES = {"party.party": "Party", "account.invoice": "Account Invoice", "account.move": "Account Move"}
#: The field of a record that a list of ours belongs to, and the model of its rows.
ROWS = {"addresses": "party.address", "contact_mechanisms": "party.contact_mechanism",
        "lines_to_pay": "account.move.line", "payment_lines": "account.move.line"}  # fmt: skip
YEARS = range(2024, 2029)


class Refused(Exception):
    """A validation error: one sentence, as Tryton words it."""


class Broken(Exception):
    """A mistake of the caller that Tryton answers with a page of its web server."""

    def __init__(self, status: int, title: str) -> None:
        super().__init__(title)
        self.status, self.title = status, title


class Tryton(System):
    """One database with one company. Periods that end up to ``closed_until`` are closed; ``rows`` is the database."""

    name = "tryton"

    def __init__(self, account: str, clock: Clock, agenda: Agenda, seed: int) -> None:
        super().__init__(account, clock, agenda, seed)
        self.key = self.ids.code("key", 64).lower()
        self.closed_until: date | None = None
        self.rows: dict[str, dict[int, Json]] = {
            "party.party": {}, "party.address": {}, "party.contact_mechanism": {}, "account.invoice": {},
            "account.move": {}, "account.move.line": {}, "company.company": {1: COMPANY},
            "currency.currency": {1: {"id": 1, "code": "USD"}},
            "country.country": {n: {"id": n, "code": code} for n, code in enumerate(("US", "GB", "DE"), start=1)},
            "account.period": dict(enumerate(_periods(), start=1)),
        }  # fmt: skip
        self._moves = 0
        self._numbers: dict[int, tuple[int, date, str]] = {}

    def secret(self) -> Json:
        """What the product's secret store holds for this company."""
        return {"base_url": self.base_url, "key": self.key, "settings": {"company": "1"}}

    # --- the door ----------------------------------------------------------------------------------------------

    def authorise(self, request: Request) -> Reply | None:
        """The key of a user application."""
        return None if request.headers.get("authorization") == f"Bearer {self.key}" else Reply.html(401, "Unauthorized")

    def forget_tokens(self) -> Reply | None:
        """A key is good until somebody takes it back."""
        return Reply.html(401, "Unauthorized")

    def misbehave(self, kind: str, args: Json) -> Reply:
        """Tryton's words; 429 is its answer to too many logins, and of whatever stands in front of it."""
        if kind == "closed_period":
            return _refusal('To continue, you must reopen the period "2026-01" of company "Acme Inc" for the date '
                            '"01/15/2026".')  # fmt: skip
        if kind == "ok_with_errors":
            return Reply.json(200, {"error": ["UserError", ["Something is not right.", "", None]]})
        if kind == "concurrency_429":
            return Reply.html(503, 'could not obtain lock on row in relation "ir_sequence_strict"')
        return Reply.html(429, "Too Many Requests")

    def act(self, request: Request) -> Reply:
        """Route one authorised call."""
        parts = request.segments
        try:
            if parts[:2] != ["rest", "model"] or len(parts) < 3 or parts[2] not in self.rows:
                raise Broken(404, "Not Found")
            fields = _asked(request)
            match request.method, parts[3:]:
                case "GET", []:
                    return Reply.json(200, self._search(request, parts[2], fields))
                case "POST", []:
                    return Reply.json(200, self._show(parts[2], self._create(parts[2], request.json()), fields))
                case "PUT", [ident]:
                    row = self._row(parts[2], ident)
                    self._write(parts[2], row, request.json())
                    return Reply.json(200, self._show(parts[2], row, fields))
                case "POST", [ident, "post"] if parts[2] in ("account.invoice", "account.move"):
                    row = self._row(parts[2], ident)
                    self._post(parts[2], row)
                    return Reply.json(200, self._show(parts[2], row, fields))
                case "POST", _:
                    raise Broken(403, "Forbidden")
            raise Broken(405, "Method Not Allowed")
        except Refused as refused:
            return _refusal(str(refused))
        except Broken as broken:
            return Reply.html(broken.status, broken.title)
        except (ValueError, TypeError, KeyError, ArithmeticError):
            return Reply.html(500, "Internal Server Error")

    def _row(self, model: str, ident: str) -> Json:
        row = self.rows[model].get(int(ident)) if ident.isdigit() else None
        if row is None:
            raise Broken(404, "Not Found")
        return row

    # --- reading -----------------------------------------------------------------------------------------------

    def _search(self, request: Request, model: str, fields: Sequence[str]) -> list[Json]:
        domain = loads(base64.urlsafe_b64decode(request.query["d"])) if "d" in request.query else []
        rows = [row for row in self.rows[model].values() if all(self._meets(model, row, *one) for one in domain)]
        rows.sort(key=lambda row: -int(row["id"]))
        return [self._show(model, row, fields) for row in rows[: int(request.query.get("s", len(rows)))]]

    def _meets(self, model: str, row: Json, name: str, operator: str, wanted: Any) -> bool:
        shown: Any = [row]
        for step in name.split("."):
            shown = [one.get(step) for one in shown]
            shown = [part for one in shown for part in (one if isinstance(one, list) else [one])]
        if model == "account.period" and name == "state":
            shown = [self._state(row)]
        wanted = _value(wanted)
        match operator:
            case "=":
                return wanted in shown
            case "<=":
                return any(one <= wanted for one in shown)
            case ">=":
                return any(one >= wanted for one in shown)
        raise ValueError(f"operator {operator}")

    def _state(self, period: Json) -> str:
        return "closed" if self.closed_until is not None and period["end_date"] <= self.closed_until else "open"

    def _show(self, model: str, row: Json, fields: Sequence[str]) -> Json:
        """The fields that were asked for, each record with its id and model."""
        shown: Json = {"id": row["id"], "__name__": model}
        for field in fields:
            name, _, rest = field.partition(".")
            if name not in row and name not in REQUIRED.get(model, {}) and name not in OPTIONAL.get(model, ()):
                raise Broken(500, "Internal Server Error")
            value = row.get(name)
            if not rest:
                shown[name] = [one["id"] for one in value] if isinstance(value, list) else _spelled(value)
            elif isinstance(value, list):
                known = shown.setdefault(name, [{} for _ in value])
                for one, part in zip(known, value, strict=True):
                    one |= self._show(ROWS.get(name, f"{model}.line"), part, [rest])
            else:
                there = {"currency": "currency.currency", "company": "company.company", "country": "country.country"}
                shown[name] = None if value is None else self._show(there[name], self.rows[there[name]][value], [rest])
        return shown

    # --- writing -----------------------------------------------------------------------------------------------

    def _create(self, model: str, sent: Json) -> Json:
        if model not in TITLES:
            raise Broken(403, "Forbidden")
        row: Json = {"id": len(self.rows[model]) + 1}
        self._write(model, row, sent)
        title = row.get("reference") or row.get("name") or row["id"]
        for name, label in REQUIRED[model].items():
            if row.get(name) is None:
                raise Refused(f'A value is required for field "{label}" in record "[{title}]" of "{TITLES[model]}".')
        if model != "party.party":
            row |= {"state": "draft", "number": None}
        if model == "account.move":
            row["lines"] = [self._item(one) for one in row["lines"]]
        if model == "account.invoice":
            row |= {"lines_to_pay": [], "payment_lines": [], "amount_to_pay": Decimal(0)}
            net = sum((rounded(line["quantity"] * line["unit_price"], "USD") for line in row["lines"]), Decimal(0))
            row["total_amount"] = net + sum((tax["amount"] for tax in row.get("taxes", [])), Decimal(0))
        self.rows[model][row["id"]] = row
        return row

    def _write(self, model: str, row: Json, sent: Json) -> None:
        if model == "account.invoice" and sent.keys() == {"payment_lines"}:
            self._pay(row, sent["payment_lines"])
            return
        unknown = sent.keys() - OPTIONAL[model] - REQUIRED[model].keys()
        if unknown:
            raise Broken(500, "Internal Server Error")
        changed = {name: _value(value) for name, value in sent.items() if not isinstance(value, list)}
        if "code" in changed and "id" in row and row["id"] in self.rows[model]:
            raise Refused(f'You are not allowed to modify the field "Code" in record "{row["name"]}" of "Party".')
        code = changed.get("code")
        if code and any(one.get("code") == code and one is not row for one in self.rows[model].values()):
            raise Refused("The code on party must be unique.")
        for name, orders in sent.items():
            if isinstance(orders, list):
                changed[name] = self._rows(name, list(row.get(name, [])), orders)
        row |= changed

    def _rows(self, name: str, there: list[Json], orders: Sequence[Any]) -> list[Json]:
        """A list of rows after ``["create", [...]]`` and ``["write", [ids], {...}]``."""
        for order in orders:
            match order:
                case ["create", list() as rows]:
                    there += [self._line(name, {key: _value(value) for key, value in one.items()}) for one in rows]
                case ["write", [ident], Mapping() as values]:
                    next(one for one in there if one["id"] == ident).update(values)
                case _:
                    raise ValueError(f"{name}: {order[0]}")
        return there

    def _line(self, name: str, row: Json) -> Json:
        price = row.get("unit_price")
        if isinstance(price, Decimal) and price != price.quantize(Decimal("0.0001")):
            raise Refused(f'The number of digits in the value "{price!r}" for field "Unit Price" in record "" of '
                          '"Invoice Line" exceeds the limit of "4".')  # fmt: skip
        empty: Json = {"addresses": {"street": "", "city": None, "postal_code": None, "country": None}}.get(name, {})
        if name not in ROWS:
            return {**row, "id": 0}
        kept = self.rows[ROWS[name]]
        made = {**empty, **row, "id": len(kept) + 1, "party": len(self.rows["party.party"]) + 1}
        kept[made["id"]] = made
        return made

    def _item(self, row: Json) -> Json:
        """A line of a move, as it is kept."""
        zero = Decimal(0)
        empty = {"party": None, "debit": zero, "credit": zero, "reconciliation": None, "invoice_payment": None}
        kept = self.rows["account.move.line"]
        kept[len(kept) + 1] = made = {**empty, **row, "id": len(kept) + 1}
        return made

    def _pay(self, row: Json, orders: Sequence[Any]) -> None:
        """Make lines payment lines of an invoice."""
        [[order, idents]] = orders
        if order != "add":
            raise ValueError(order)
        lines = {one["id"]: one for one in row["payment_lines"]}
        for ident in idents:
            line = self.rows["account.move.line"].get(ident)
            if line is not None and line["invoice_payment"] not in (None, row["id"]):
                raise Refused("A payment line can be linked to only one invoice.")
            if line is None or (line["account"], line["party"]) != (row["account"], row["party"]):
                raise Refused(f'The value "{ident}" for field "Payment Line" in record "(1)" of "Account Invoice - '
                              'Account Move Line" is not valid according to its domain.')  # fmt: skip
            lines[ident] = line
        if sum(line["credit"] - line["debit"] for line in lines.values()) > row["total_amount"]:
            raise Refused(f'Payment lines amount on invoice "{row["number"]} [{row["reference"]}]" can not be greater '
                          'than the invoice amount.')  # fmt: skip
        for line in lines.values():
            line["invoice_payment"] = row["id"]
        row["payment_lines"] = list(lines.values())
        self._to_pay(row)

    def _to_pay(self, row: Json) -> None:
        lines = [one for one in row["lines_to_pay"] + row["payment_lines"] if not one["reconciliation"]]
        row["amount_to_pay"] = sum((one["debit"] - one["credit"] for one in lines), Decimal(0))

    def reconcile(self, invoice: Json) -> None:
        """What a person does in Tryton's own client: reconcile an invoice that is paid, which then says so."""
        for line in invoice["lines_to_pay"] + invoice["payment_lines"]:
            line["reconciliation"] = invoice["id"]
        self._to_pay(invoice)
        invoice["state"] = "paid"

    def _post(self, model: str, row: Json) -> None:
        title = f"[{row['reference']}]" if model == "account.invoice" else str(row["id"])
        if row["state"] != "draft":
            title = f"{row['number']} {title}" if model == "account.invoice" else title
            raise Refused(f'You can not call "post" on "{title}" of "{TITLES[model]}".')
        day = row.get("invoice_date") or row.get("date") or self.now().date()
        if model == "account.move":
            if sum(line["debit"] - line["credit"] for line in row["lines"]):
                raise Refused(f'To post the move "{title}", you must balance its debits and credits.')
            self._open(day)
            self._moves += 1
            row |= {"state": "posted", "number": str(self._moves)}
            return
        if day > self.now().date():
            raise Refused(f'The invoices "{title}" have an invoice date in the future.')
        number, last, named = self._numbers.get(day.year, (0, day, ""))
        if day < last:
            raise Refused(f'To number the invoice "{title}", you must set an invoice date after "{last:%m/%d/%Y}" '
                          f'because the sequence "{day.year}" has already been used for invoice '
                          f'"{named}".')  # fmt: skip
        due = row.get("payment_term_date") or self.now().date()
        if due < self.now().date():
            raise Refused(f'The invoice "{title}" generates a payment date "{due:%m/%d/%Y}" in the past.')
        self._open(day)
        text = f"US01-{day.year}-{number + 1:06}"
        self._numbers[day.year] = (number + 1, day, f"{text} {title}")
        side, total = ("debit" if row["total_amount"] >= 0 else "credit"), row["total_amount"]
        owed = self._item({"account": row["account"], "party": row["party"], side: abs(total)})
        row |= {"state": "posted", "number": text, "lines_to_pay": [owed]}
        self._to_pay(row)

    def _open(self, day: date) -> None:
        found = [one for one in self.rows["account.period"].values() if one["start_date"] <= day <= one["end_date"]]
        if not found:
            raise Refused(f'To continue, you must create a period for the date "{day:%m/%d/%Y}" and company '
                          f'"{COMPANY["name"]}".')  # fmt: skip
        if self._state(found[0]) == "closed":
            raise Refused(f'To continue, you must reopen the period "{day:%Y-%m}" of company "{COMPANY["name"]}" for '
                          f'the date "{day:%m/%d/%Y}".')  # fmt: skip

    # --- the book ----------------------------------------------------------------------------------------------

    def book(self) -> list[Entry]:
        """What it holds, exactly; a draft is in no book."""
        return [self._entry(model, row) for model in TITLES for row in self.rows[model].values()
                if row.get("state", "posted") != "draft"]  # fmt: skip

    def _entry(self, model: str, row: Json) -> Entry:
        ref, kind, total = row.get("code"), "customer", Decimal(0)
        if model == "account.invoice":
            total = row["total_amount"]
            ref, kind = row.get("reference"), "credit_note" if total < 0 else "invoice"
        if model == "account.move":
            ref, kind, total = row.get("description"), "payment", sum((x["debit"] for x in row["lines"]), Decimal(0))
        currency = "" if kind == "customer" else "USD"
        return Entry(self.name, self.account, str(ref or ""), kind, str(row["id"]), currency,
                     to_minor(abs(total), currency) if currency else 0, "", row.get("state", ""))  # fmt: skip


def _periods() -> list[Json]:
    return [
        {"id": n, "company": 1, "type": "standard", "name": f"{year}-{month:02}", "start_date": date(year, month, 1),
         "end_date": date(year, month, calendar.monthrange(year, month)[1])}
        for n, (year, month) in enumerate(((y, m) for y in YEARS for m in range(1, 13)), start=1)
    ]  # fmt: skip


def _asked(request: Request) -> list[str]:
    """The fields that a call asks for, ``f`` once for each."""
    return [value for name, value in parse_qsl(request.raw_query) if name == "f"]


def _value(value: Any) -> Any:
    """A date or a decimal out of Tryton's spelling; anything else as it is."""
    match value:
        case {"__class__": "date", "year": year, "month": month, "day": day}:
            return date(year, month, day)
        case {"__class__": "Decimal", "decimal": text}:
            return Decimal(text)
    return value


def _spelled(value: Any) -> Any:
    if isinstance(value, date):
        return {"__class__": "date", "year": value.year, "month": value.month, "day": value.day}
    return {"__class__": "Decimal", "decimal": str(value)} if isinstance(value, Decimal) else value


def _refusal(sentence: str) -> Reply:
    return Reply.json(400, {"status": 400, "message": sentence, "description": ""})


def stand(ground: Ground) -> Tryton:
    """The sandbox of this system, found by the server."""
    return Tryton("acme", ground.clock, ground.agenda, ground.seed)
