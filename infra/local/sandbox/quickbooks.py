"""QuickBooks Online, one company: customers, invoices, credit memos and payments over the Accounting API (v3).

On the wire it is QuickBooks: a refresh token that each use replaces, one entity in and one out under its name, a
``requestid`` that answers again what it answered, ``select`` queries with the fields that may be filtered by, a
``SyncToken`` that a stale update misses (5010), amounts that must be price times quantity, a display name that is
unique (6240), a document number that is unique where the company says so (6140), a closing date (6210), faults with
codes as text.

A payment's lines settle invoices, and name the credit memos that settle them with it; a void leaves an invoice without
amounts and its note with a word before it. A customer that is inactive is in no query that does not ask for those too,
and in no new document; one that was merged into another is gone.

Simplifications: tax is taken as the total that is sent; one currency a document; no automated sales tax; a query knows
equalities with ``and``; a void of what is paid is not played; a payment of nothing stands in no book.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from infra.local.sandbox.agenda import Agenda, Clock
from infra.local.sandbox.books import Entry, rounded, to_minor
from infra.local.sandbox.rotating import CONSENT_PATH, Rotating
from infra.local.sandbox.system import Ground, System
from infra.local.sandbox.wire import Json, Reply, Request, member

#: What QuickBooks says of a document for a customer that is inactive.
INACTIVE = ("Object Not Found : Something you're trying to use has been made inactive. Check the fields with accounts, "
            "customers, items, vendors or employees.")  # fmt: skip
TOKEN_PATH = "/oauth2/v1/tokens/bearer"
TOKEN_LIFE = 3600
QUERY = re.compile(r"select \* from (\w+) where (.+?) startposition (\d+) maxresults (\d+)", re.IGNORECASE)
EQUAL = re.compile(r"(\w+) = '((?:[^'\\]|\\.)*)'")
#: Every condition must be one of these; a name that was not quoted well ends the query's text early.
CONDITION = r"(?:\w+ = '(?:[^'\\]|\\.)*'|Active in \(true, false\))"
CONDITIONS = re.compile(rf"{CONDITION}(?: and {CONDITION})*")
#: Of each path: the entity, the kind in a book, the field of our reference, what a query may filter by.
ENTITIES: dict[str, tuple[str, str, str, frozenset[str]]] = {
    "customer": ("Customer", "customer", "Notes", frozenset({"DisplayName", "PrimaryEmailAddr"})),
    "invoice": ("Invoice", "invoice", "PrivateNote", frozenset({"CustomerRef", "TxnDate", "DocNumber"})),
    "creditmemo": ("CreditMemo", "credit_note", "PrivateNote", frozenset({"CustomerRef", "TxnDate", "DocNumber"})),
    "payment": ("Payment", "payment", "PrivateNote", frozenset({"CustomerRef", "TxnDate"})),
}


class Refused(Exception):
    """A fault: its code, its message, its detail."""

    def __init__(self, code: str, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.detail = code, message, detail or message


class QuickBooks(System):
    """One company. Documents dated up to ``closing_date`` are refused; ``rows`` holds each entity by id."""

    name = "quickbooks"
    does = frozenset({"archived_customer", "merged_customer", "search_lag"})

    def __init__(self, account: str, clock: Clock, agenda: Agenda, seed: int) -> None:
        super().__init__(account, clock, agenda, seed)
        self.tokens = Rotating(self.ids, self.now, TOKEN_LIFE, "com.intuit.quickbooks.accounting")
        self.realm = account
        self.closing_date: date | None = None
        self.unique_numbers = True
        self.rows: dict[str, dict[str, Json]] = {path: {} for path in ENTITIES}
        self._answered: dict[str, Reply] = {}

    def secret(self) -> Json:
        """What the product's secret store holds for this company, as a person wrote it."""
        return {
            "base_url": self.base_url, "client_id": self.tokens.client_id, "client_secret": self.tokens.client_secret,
            "refresh_token": self.tokens.first_refresh, "settings": {},
        }  # fmt: skip

    # --- the door ----------------------------------------------------------------------------------------------

    def authorise(self, request: Request) -> Reply | None:
        """A token that has not ended."""
        if request.path in (TOKEN_PATH, CONSENT_PATH) or self.tokens.valid(request):
            return None
        detail = "Token expired: AB01650895"
        return _fault(401, "AUTHENTICATION", Refused("3200", "message=AuthenticationFailed", detail))

    def forget_tokens(self) -> Reply | None:
        """Every access token is void; the refresh token is not."""
        self.tokens.forget()
        return None

    def misbehave(self, kind: str, args: Json) -> Reply:
        """QuickBooks' words."""
        if kind == "closed_period":
            return _fault(400, "ValidationFault", _closed())
        if kind == "ok_with_errors":
            return _fault(200, "ValidationFault", Refused("6000", "A business validation error has occurred"))
        message = "message=ThrottleExceeded; errorCode=003001; statusCode=429"
        return _fault(429, "SERVICE", Refused("3001", message))

    def customer_of(self, request: Request) -> str:
        """The customer of a new document."""
        return request.told("CustomerRef", "value") if request.method == "POST" else ""

    def searches(self, request: Request) -> bool:
        """A query."""
        return request.path == "/query"

    def act(self, request: Request) -> Reply:
        """Route one authorised call."""
        if request.path == TOKEN_PATH:
            return self.tokens.exchange(request)
        if request.path == CONSENT_PATH:
            return self.tokens.consent(request, realmId=self.realm)
        parts = request.segments
        if parts == ["query"] and request.method == "GET":
            return self._query(request.query.get("query", ""), request)
        if request.method == "GET" and len(parts) == 2 and parts[0] in ENTITIES:
            there = self.rows[parts[0]].get(parts[1])
            if there is None or self._gone(parts[0], parts[1]):
                return _fault(400, "ValidationFault", Refused("610", "Object Not Found"))
            return Reply.json(200, {ENTITIES[parts[0]][0]: there, "time": self.now().isoformat()})
        if request.method != "POST" or len(parts) != 1 or parts[0] not in ENTITIES:
            return _fault(400, "ValidationFault", Refused("500", "Unsupported Operation"))
        asked = request.query.get("requestid", "")
        if asked in self._answered:
            return self._answered[asked]
        try:
            void = request.query.get("operation") == "void"
            row = self._void(parts[0], request.json()) if void else self._write(parts[0], request.json())
        except Refused as refused:
            return _fault(400, "ValidationFault", refused)
        except (ValueError, TypeError, KeyError, ArithmeticError) as error:
            return _fault(
                400, "ValidationFault", Refused("2010", "Request has invalid or unsupported property", str(error))
            )
        reply = Reply.json(200, {ENTITIES[parts[0]][0]: row, "time": self.now().isoformat()})
        if asked:
            self._answered[asked] = reply
        return reply

    # --- reading and writing -----------------------------------------------------------------------------------

    def _gone(self, path: str, ident: str) -> bool:
        """Whether a customer was merged into another."""
        return path == "customer" and self.aside.get(ident) == "merged_customer"

    def _listed(self, path: str, asked: str, request: Request) -> list[Json]:
        """What a query may show: customers that are inactive only where it asks for them."""
        every = path != "customer" or "Active in (true, false)" in asked
        return [
            {**row, "Active": ident not in self.aside} if path == "customer" else row
            for ident, row in self.rows[path].items()
            if not self._gone(path, ident) and (every or ident not in self.aside)
            and self.indexed(f"{path}/{ident}", request)
        ]  # fmt: skip

    def _query(self, text: str, request: Request) -> Reply:
        asked = QUERY.fullmatch(text)
        path = next((path for path, shape in ENTITIES.items() if asked and shape[0] == asked.group(1)), "")
        if asked is None or not path:
            return _fault(400, "ValidationFault", Refused("4000", "Error parsing query"))
        if not CONDITIONS.fullmatch(asked.group(2)):
            return _fault(400, "ValidationFault", Refused("4000", "Error parsing query", asked.group(2)))
        wanted = {name: re.sub(r"\\(.)", r"\1", value) for name, value in EQUAL.findall(asked.group(2))}
        strange = set(wanted) - ENTITIES[path][3]
        if strange:
            detail = f"property '{min(strange)}' is not queryable"
            return _fault(400, "ValidationFault", Refused("4001", "Invalid query", detail))
        listed = self._listed(path, asked.group(2), request)
        rows = [row for row in listed if all(_shown(row, name) == wanted[name] for name in wanted)]
        start, most = int(asked.group(3)) - 1, int(asked.group(4))
        page = rows[start : start + most]
        return Reply.json(200, {"QueryResponse": {ENTITIES[path][0]: page} if page else {}, "time": "now"})

    def _write(self, path: str, sent: Json) -> Json:
        if path == "customer":
            return self._customer(sent)
        if "Id" in sent:
            raise Refused("500", "Unsupported Operation", "the sandbox changes no documents")
        self._dated(sent)
        customer = str(member(sent, "CustomerRef", "value"))
        if self.aside.get(customer) == "archived_customer":
            raise Refused("610", "Object Not Found", INACTIVE)
        if customer not in self.rows["customer"] or self._gone("customer", customer):
            raise Refused(
                "2500", "Invalid Reference Id", f"Invalid Reference Id : Names element id {customer} not found"
            )
        row = self._payment(sent) if path == "payment" else self._lines(path, sent)
        return self._keep(path, row)

    def _void(self, path: str, sent: Json) -> Json:
        """An invoice without its amounts, at its version."""
        row = self.rows[path].get(str(sent.get("Id"))) if path == "invoice" else None
        if row is None or set(sent) != {"Id", "SyncToken"}:
            raise Refused("610", "Object Not Found", f"Object Not Found : {sent.get('Id')}")
        if sent["SyncToken"] != row["SyncToken"]:
            raise Refused("5010", "Stale Object Error", "Stale Object Error : You and user were working on this.")
        self._dated(row)
        note = f"Voided - {row['PrivateNote']}"
        row.update(
            PrivateNote=note, TotalAmt=Decimal(0), Balance=Decimal(0), SyncToken=str(int(row["SyncToken"]) + 1), Line=[]
        )
        return row

    def _keep(self, path: str, row: Json) -> Json:
        ident = str(sum(len(rows) for rows in self.rows.values()) + 1)
        self.born[f"{path}/{ident}"] = self.now()
        self.rows[path][ident] = {**row, "Id": ident, "SyncToken": "0", "domain": "QBO", "sparse": False}
        return self.rows[path][ident]

    def _customer(self, sent: Json) -> Json:
        rows = self.rows["customer"]
        there = rows.get(str(sent.get("Id"))) if "Id" in sent else None
        if not sent.get("DisplayName"):
            raise Refused("6000", "A business validation error has occurred", "DisplayName is required")
        if any(row["DisplayName"] == sent["DisplayName"] and row is not there for row in rows.values()):
            raise Refused("6240", "Duplicate Name Exists Error", "The name supplied already exists. : Another customer")
        if "Id" not in sent:
            return self._keep("customer", {"Active": True, **sent})
        if there is None:
            raise Refused("610", "Object Not Found", f"Object Not Found : {sent['Id']}")
        if sent.get("SyncToken") != there["SyncToken"]:
            raise Refused("5010", "Stale Object Error", "Stale Object Error : You and user were working on this.")
        there.update({**sent, "SyncToken": str(int(there["SyncToken"]) + 1), "sparse": False})
        return there

    def _dated(self, sent: Json) -> None:
        day = date.fromisoformat(str(sent["TxnDate"]))
        if self.closing_date is not None and day <= self.closing_date:
            raise _closed()

    def _lines(self, path: str, sent: Json) -> Json:
        """A document with lines, added up by QuickBooks; the tax is the total that was sent."""
        number = str(sent.get("DocNumber") or "")
        if len(number) > 21:
            raise Refused("2050", "String length is either shorter or longer than supported", "DocNumber: 21")
        if self.unique_numbers and number and any(row.get("DocNumber") == number for row in self.rows[path].values()):
            raise Refused("6140", "Duplicate Document Number Error", "You must specify a different number.")
        net = Decimal(0)
        for line in sent["Line"]:
            detail = line["SalesItemLineDetail"]
            counted = rounded(Decimal(detail["Qty"]) * Decimal(detail["UnitPrice"]), sent["CurrencyRef"]["value"])
            if Decimal(line["Amount"]) != counted:
                raise Refused("6070", "Amount calculation incorrect in the request", "Amount is not UnitPrice * Qty")
            net += Decimal(line["Amount"])
        total = net + Decimal(member(sent, "TxnTaxDetail", "TotalTax") or 0)
        return {**sent, "TotalAmt": total, "Balance": total}

    def _payment(self, sent: Json) -> Json:
        """Applied to the invoices and credit memos that its lines name; more than a balance is refused."""
        total, settled = Decimal(sent["TotalAmt"]), Decimal(0)
        named: list[tuple[Json, Decimal]] = []
        for line in sent.get("Line", []):
            [linked] = line["LinkedTxn"]
            path, amount = (
                {"Invoice": "invoice", "CreditMemo": "creditmemo"}[linked["TxnType"]],
                Decimal(line["Amount"]),
            )
            row = self.rows[path].get(str(linked["TxnId"]))
            if row is None or row["CustomerRef"] != sent["CustomerRef"]:
                raise Refused("2500", "Invalid Reference Id", f"Invalid Reference Id : {linked['TxnType']} not found")
            if amount > row["Balance"]:
                raise Refused("6000", "A business validation error has occurred", "You can't apply more than is owed.")
            named.append((row, amount))
            settled += amount if path == "invoice" else -amount
        if settled > total:
            raise Refused("6000", "A business validation error has occurred", "The amounts do not add up.")
        for row, amount in named:
            row["Balance"] -= amount
        return {**sent, "TotalAmt": total}

    # --- the book ----------------------------------------------------------------------------------------------

    def book(self) -> list[Entry]:
        """What it holds, exactly."""
        return [
            self._entry(path, row) for path in ENTITIES for row in self.rows[path].values()
            if path != "payment" or row["TotalAmt"]
        ]  # fmt: skip

    def _entry(self, path: str, row: Json) -> Entry:
        _, kind, note, _ = ENTITIES[path]
        currency = str(member(row, "CurrencyRef", "value") or "")
        settled = member(row, "Line") if path == "payment" else None
        parent = self.rows["invoice"].get(str(settled[0]["LinkedTxn"][0]["TxnId"]), {}) if settled else {}
        status = "active" if path == "customer" else "paid" if row.get("Balance") == 0 else "open"
        status = "void" if str(row.get(note)).startswith("Voided") else status
        total = 0 if path == "customer" else to_minor(row["TotalAmt"], currency)
        return Entry(
            self.name, self.account, str(row.get(note) or ""), kind, row["Id"], currency if path != "customer" else "",
            total, "", status, str(parent.get("PrivateNote") or ""),
        )  # fmt: skip


def _shown(row: Json, name: str) -> Any:
    """The value that a query compares: of a reference its id, of an e-mail its address."""
    value = row.get(name)
    return value.get("value", value.get("Address")) if isinstance(value, Mapping) else value


def _closed() -> Refused:
    detail = "The account period has closed and the account books cannot be updated through the QBO Services API."
    return Refused("6210", "Account Period Closed, Cannot Update Through Services API", detail)


def _fault(status: int, kind: str, *refused: Refused) -> Reply:
    errors = [{"Message": one.message, "Detail": one.detail, "code": one.code, "element": ""} for one in refused]
    return Reply.json(status, {"Fault": {"Error": errors, "type": kind}, "time": "2026-11-01T00:00:00.000-08:00"})


def stand(ground: Ground) -> QuickBooks:
    """The sandbox of this system, found by the server."""
    return QuickBooks("acme", ground.clock, ground.agenda, ground.seed)
