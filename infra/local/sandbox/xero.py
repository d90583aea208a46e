"""Xero, one organisation: contacts, invoices, credit notes and payments over the Accounting API.

On the wire it is Xero: a refresh token that each use replaces, ``xero-tenant-id``, lists in and lists out, an
idempotency key that answers again what it answered, ``where`` filters, totals that Xero adds up itself, an invoice
number that is unique among sales invoices, a lock date, refusals as ``ValidationException`` with HTTP 400, or inside a
200 where ``summarizeErrors=true`` is not said. A credit note is allocated to an invoice of its contact by a call of its
own, up to what is open of both, and is paid once nothing remains; an invoice without payments and credits can be
voided, and keeps its total. A contact that is archived, by itself or because it was merged into another, takes no new
invoice and no new credit note, keeps its number, and is listed only where ``includeArchived`` is said.

Simplifications: one tax per line, as sent; ``where`` knows one equality; no overpayments; an allocation is never taken
back; an archived contact can still be edited; the sentences of refused allocations and voids are not Xero's own.
"""

from __future__ import annotations

import re
import uuid
from datetime import date, datetime
from decimal import Decimal

from infra.local.sandbox.agenda import Agenda, Clock
from infra.local.sandbox.books import Entry, rounded, to_minor
from infra.local.sandbox.rotating import CONSENT_PATH, Rotating
from infra.local.sandbox.system import Ground, System
from infra.local.sandbox.wire import Json, Reply, Request, member

API = ["api.xro", "2.0"]
TOKEN_PATH = "/connect/token"
TOKEN_LIFE = 1800
#: What Xero says of a document for a contact that was archived.
ARCHIVED = ("The contact with the specified contact details has been archived. The contact must be un-archived before "
            "creating new invoices or credit notes.")  # fmt: skip
WHERE = re.compile(r'(\w+)=="([^"\\]*)"')
#: Of each list: the field of its id, the fields that may be written, and the kind in a book.
LISTS: dict[str, tuple[str, frozenset[str], str]] = {
    "Contacts": ("ContactID", frozenset({"ContactID", "ContactNumber", "Name", "EmailAddress", "TaxNumber",
                 "AccountNumber", "DefaultCurrency", "Addresses", "Phones"}), "customer"),
    "Invoices": ("InvoiceID", frozenset({"Type", "Status", "Contact", "Date", "DueDate", "InvoiceNumber", "Reference",
                 "CurrencyCode", "LineAmountTypes", "LineItems"}), "invoice"),
    "CreditNotes": ("CreditNoteID", frozenset({"Type", "Status", "Contact", "Date", "CreditNoteNumber", "Reference",
                    "CurrencyCode", "LineAmountTypes", "LineItems"}), "credit_note"),
    "Payments": ("PaymentID", frozenset({"Invoice", "Account", "Date", "Amount", "Reference"}), "payment"),
}  # fmt: skip


class Refused(Exception):
    """A validation error: one sentence, as Xero words it."""


class Xero(System):
    """One organisation. Documents dated up to ``lock_date`` are refused; ``rows`` holds each list by id."""

    name = "xero"
    does = frozenset({"archived_customer", "merged_customer", "search_lag"})

    def __init__(self, account: str, clock: Clock, agenda: Agenda, seed: int) -> None:
        super().__init__(account, clock, agenda, seed)
        scope = "offline_access accounting.transactions accounting.contacts"
        self.tokens = Rotating(self.ids, self.now, TOKEN_LIFE, scope)
        self.tenant_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"xero/{seed}/{account}"))
        self.lock_date: date | None = None
        self.rows: dict[str, dict[str, Json]] = {name: {} for name in LISTS}
        self._answered: dict[str, tuple[bytes, Reply]] = {}

    def secret(self) -> Json:
        """What the product's secret store holds for this organisation, as a person wrote it."""
        return {
            "base_url": self.base_url, "client_id": self.tokens.client_id,
            "client_secret": self.tokens.client_secret, "refresh_token": self.tokens.first_refresh,
            "settings": {"tenant_id": self.tenant_id},
        }  # fmt: skip

    # --- the door ----------------------------------------------------------------------------------------------

    def authorise(self, request: Request) -> Reply | None:
        """A token that has not ended, and the organisation that is meant."""
        if request.path in (TOKEN_PATH, CONSENT_PATH):
            return None
        if not self.tokens.valid(request):
            return Reply.json(401, {"Title": "Unauthorized", "Status": 401, "Detail": "TokenExpired: token expired"})
        if request.headers.get("xero-tenant-id") != self.tenant_id:
            return Reply.json(403, {"Title": "Forbidden", "Status": 403, "Detail": "AuthenticationUnsuccessful"})
        return None

    def forget_tokens(self) -> Reply | None:
        """Every access token is void; the refresh token is not."""
        self.tokens.forget()
        return None

    def misbehave(self, kind: str, args: Json) -> Reply:
        """Xero's words."""
        text = "The document date cannot be before the end of year lock date, currently set at 31-Oct-2026"
        if kind == "closed_period":
            return _exception({}, text)
        if kind == "ok_with_errors":
            row = {"HasErrors": True, "ValidationErrors": [{"Message": "The TaxType field is mandatory"}],
                   "StatusAttributeString": "ERROR"}  # fmt: skip
            return Reply.json(200, {"Status": "OK", **{name: [row] for name in LISTS}})
        problem = "concurrent" if kind == "concurrency_429" else "minute"
        return Reply(429, b"", (("X-Rate-Limit-Problem", problem),))

    def customer_of(self, request: Request) -> str:
        """The contact of a new invoice or credit note."""
        listed = (request.segments or [""])[-1]
        new = request.method in ("PUT", "POST") and listed in ("Invoices", "CreditNotes")
        return request.told(listed, "0", "Contact", "ContactID") if new else ""

    def searches(self, request: Request) -> bool:
        """A list under a filter."""
        return request.method == "GET" and "where" in request.query

    def act(self, request: Request) -> Reply:
        """Route one authorised call."""
        if request.path == TOKEN_PATH:
            return self.tokens.exchange(request)
        if request.path == CONSENT_PATH:
            return self.tokens.consent(request)
        parts = request.segments
        one = len(parts) == 4 and parts[2] in ("Invoices", "CreditNotes")
        allocating = len(parts) == 5 and (parts[2], parts[4]) == ("CreditNotes", "Allocations")
        if parts[:2] != API or len(parts) < 3 or parts[2] not in LISTS or not (len(parts) == 3 or one or allocating):
            return Reply.json(404, {"Title": "Not Found", "Status": 404, "Detail": "The resource cannot be found"})
        if len(parts) > 3 and parts[3] not in self.rows[parts[2]]:
            return Reply.json(404, {"Title": "Not Found", "Status": 404, "Detail": "The resource cannot be found"})
        if request.method == "GET" and one:
            return Reply.json(200, {"Status": "OK", parts[2]: [self._shown(parts[2], self.rows[parts[2]][parts[3]])]})
        if request.method == "GET" and not allocating:
            return self._find(request, parts[2])
        if request.method not in (("POST",) if one else ("PUT",) if allocating else ("PUT", "POST")):
            return Reply.json(405, {"Title": "Method Not Allowed", "Status": 405})
        key = request.headers.get("idempotency-key", "")
        if len(key) > 128:
            return _exception({}, "Idempotency Key must not exceed 128 characters")
        if key in self._answered:
            body, said = self._answered[key]
            return said if body == request.body else _exception({}, "Idempotency Key was used for another request")
        reply = self._changed(request, parts) if one or allocating else self._write(request, parts[2])
        if key:
            self._answered[key] = (request.body, reply)
        return reply

    # --- reading and writing -----------------------------------------------------------------------------------

    def _find(self, request: Request, listed: str) -> Reply:
        archived = listed != "Contacts" or request.query.get("includeArchived") == "true"
        held = [
            row for ident, row in self.rows[listed].items()
            if self.indexed(ident, request) and (archived or ident not in self.aside)
        ]  # fmt: skip
        if "where" not in request.query:
            rows = [self._shown(listed, row) for row in held]
            left = (("X-MinLimit-Remaining", "59"), ("X-DayLimit-Remaining", "4999"))
            return Reply.json(200, {"Status": "OK", listed: rows[: int(request.query.get("pageSize", 100))]}, *left)
        where = WHERE.fullmatch(request.query.get("where", ""))
        if where is None:
            return _exception({}, "QueryParseException: the filter is not understood")
        field, value = where.groups()
        found = [self._shown(listed, row) for row in held if row.get(field) == value]
        return Reply.json(200, {"Status": "OK", listed: found})

    def _write(self, request: Request, listed: str) -> Reply:
        try:
            body = request.json()
            [sent] = body[listed]
        except (ValueError, TypeError, KeyError) as error:
            return _exception({}, f"The request is no list of one: {error}")
        unknown = set(sent) - LISTS[listed][1]
        try:
            if unknown:
                raise Refused(f"unknown to the sandbox: {', '.join(sorted(unknown))}")
            row = self._contact(sent) if listed == "Contacts" else self._document(listed, sent)
        except Refused as refused:
            if request.query.get("summarizeErrors") == "true":
                return _exception(sent, str(refused))
            errors = {"HasErrors": True, "ValidationErrors": [{"Message": str(refused)}]}
            return Reply.json(200, {"Status": "OK", listed: [{**sent, **errors, "StatusAttributeString": "ERROR"}]})
        return Reply.json(200, {"Status": "OK", listed: [self._shown(listed, row)]})

    def _changed(self, request: Request, parts: list[str]) -> Reply:
        """A void of an invoice, or an allocation of a credit note."""
        row, listed = self.rows[parts[2]][parts[3]], parts[-1] if parts[-1] == "Allocations" else parts[2]
        try:
            [sent] = request.json()[listed]
            if listed == "Allocations":
                shown = self._allocate(row, sent)
            else:
                self._void(parts[2], row, sent)
                shown = self._shown(parts[2], row)
        except Refused as refused:
            return _exception({}, str(refused))
        except (ValueError, TypeError, KeyError) as error:
            return _exception({}, f"The request is no list of one: {error}")
        return Reply.json(200, {"Status": "OK", listed: [shown]})

    def _void(self, listed: str, row: Json, sent: Json) -> None:
        if listed != "Invoices" or sent != {"InvoiceID": row["InvoiceID"], "Status": "VOIDED"}:
            raise Refused(f"unknown to the sandbox: {', '.join(sorted(sent))}")
        if row["Status"] != "AUTHORISED" or self.due(row) != row["Total"]:
            raise Refused("Invoice not of valid status for modification")
        self._dated(row)
        row["Status"] = "VOIDED"

    def _allocate(self, note: Json, sent: Json) -> Json:
        invoice = self.rows["Invoices"].get(str(member(sent, "Invoice", "InvoiceID")))
        if invoice is None or invoice["Status"] != "AUTHORISED" or note["Status"] != "AUTHORISED":
            raise Refused("Invoice could not be found, or is not of valid status for an allocation")
        amount = Decimal(sent["Amount"])
        if not 0 < amount <= min(self.due(invoice), self.remaining(note)) or invoice["Contact"] != note["Contact"]:
            raise Refused("The allocation amount exceeds what is outstanding")
        self._dated(sent)
        made = {"AllocationID": self._id(), "Amount": amount, "Date": sent["Date"], "Invoice": sent["Invoice"]}
        note.setdefault("Allocations", []).append(made)
        return made

    def due(self, invoice: Json) -> Decimal:
        """What is open of an invoice: its total less payments and allocated credits."""
        credits = [one["Amount"] for note in self.rows["CreditNotes"].values() for one in note.get("Allocations", [])
                   if one["Invoice"]["InvoiceID"] == invoice["InvoiceID"]]  # fmt: skip
        total: Decimal = invoice["Total"]
        return total - self.paid(invoice) - sum(credits, Decimal(0))

    @staticmethod
    def remaining(note: Json) -> Decimal:
        """What of a credit note is not allocated."""
        total: Decimal = note["Total"]
        return total - sum((one["Amount"] for one in note.get("Allocations", [])), Decimal(0))

    def _contact(self, sent: Json) -> Json:
        """Created or updated by contact number; a name belongs to one contact."""
        if not sent.get("Name"):
            raise Refused("The Contact Name must be specified.")
        number = sent.get("ContactNumber")
        rows = self.rows["Contacts"]
        there = next((row for row in rows.values() if number and row.get("ContactNumber") == number), None)
        if any(row["Name"] == sent["Name"] and row is not there for row in rows.values()):
            raise Refused("The contact name must be unique across all active contacts.")
        if there is None:
            there = {"ContactID": self._id(), "ContactStatus": "ACTIVE"}
            rows[there["ContactID"]] = there
            self.born[there["ContactID"]] = self.now()
        there.update(sent)
        return there

    def _document(self, listed: str, sent: Json) -> Json:
        self._dated(sent)
        row = self._payment(sent) if listed == "Payments" else self._lines(listed, sent)
        ident = self._id()
        self.rows[listed][ident] = {LISTS[listed][0]: ident, **row}
        self.born[ident] = self.now()
        return self.rows[listed][ident]

    def _id(self) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, self.ids.next("row", 32)))

    def _dated(self, sent: Json) -> None:
        try:
            day = date.fromisoformat(str(sent.get("Date")))
        except ValueError:
            raise Refused("The Date field is not a date") from None
        if self.lock_date is not None and day <= self.lock_date:
            text = f"{self.lock_date:%d-%b-%Y}"
            raise Refused(f"The document date cannot be before the end of year lock date, currently set at {text}")

    def _lines(self, listed: str, sent: Json) -> Json:
        """A document with lines, added up by Xero: tax is taken as it is sent, never made up."""
        if member(sent, "Contact", "ContactID") not in self.rows["Contacts"]:
            raise Refused("The Contact could not be found")
        if member(sent, "Contact", "ContactID") in self.aside:
            raise Refused(ARCHIVED)
        if listed == "Invoices":
            if not sent.get("DueDate"):
                raise Refused("The DueDate field is mandatory")
            number = sent.get("InvoiceNumber")
            if any(row.get("InvoiceNumber") == number for row in self.rows["Invoices"].values()):
                raise Refused("Invoice # must be unique.")
        net = tax = Decimal(0)
        for line in sent.get("LineItems", []):
            if not line.get("TaxType"):
                raise Refused("The TaxType field is mandatory")
            amount = Decimal(line["LineAmount"])
            counted = rounded(Decimal(line["Quantity"]) * Decimal(line["UnitAmount"]), sent["CurrencyCode"])
            if amount != counted:
                raise Refused(f"The line total {amount} does not match the expected line total {counted}")
            net, tax = net + amount, tax + Decimal(line.get("TaxAmount", 0))
        return {**sent, "SubTotal": net, "TotalTax": tax, "Total": net + tax}

    def _payment(self, sent: Json) -> Json:
        invoice = self.rows["Invoices"].get(str(member(sent, "Invoice", "InvoiceID")))
        if invoice is None:
            raise Refused("Invoice could not be found")
        if Decimal(sent["Amount"]) > self.due(invoice) or invoice["Status"] != "AUTHORISED":
            raise Refused("Payment amount exceeds the amount outstanding on this document")
        return {**sent, "Status": "AUTHORISED", "Amount": Decimal(sent["Amount"])}

    def paid(self, invoice: Json) -> Decimal:
        """What was paid on an invoice."""
        rows = self.rows["Payments"].values()
        return sum((one["Amount"] for one in rows if one["Invoice"]["InvoiceID"] == invoice["InvoiceID"]), Decimal(0))

    def _shown(self, listed: str, row: Json) -> Json:
        """A row as Xero shows it: dates in its own spelling, a payment with its invoice's currency."""
        shown = dict(row)
        if aside := self.aside.get(row["ContactID"]) if listed == "Contacts" else None:
            shown["ContactStatus"] = "ARCHIVED"
            if aside == "merged_customer":
                shown["MergedToContactID"] = str(uuid.uuid5(uuid.NAMESPACE_URL, row["ContactID"]))
        for name in ("Date", "DueDate"):
            if name in shown:
                midnight = datetime.fromisoformat(f"{shown[name]}T00:00:00+00:00")
                shown[name] = f"/Date({int(midnight.timestamp())}000+0000)/"
        if listed == "Invoices":
            void = row["Status"] == "VOIDED"
            shown |= {"AmountDue": Decimal(0) if void else self.due(row), "AmountPaid": self.paid(row)}
            shown["Status"] = row["Status"] if void or self.due(row) else "PAID"
        if listed == "CreditNotes":
            shown |= {"RemainingCredit": self.remaining(row), "Allocations": row.get("Allocations", [])}
            shown["Status"] = row["Status"] if self.remaining(row) else "PAID"
        if listed == "Payments":
            invoice = self.rows["Invoices"][row["Invoice"]["InvoiceID"]]
            shown["Invoice"] = {name: invoice[name] for name in ("InvoiceID", "InvoiceNumber", "CurrencyCode")}
        return shown

    # --- the book ----------------------------------------------------------------------------------------------

    def book(self) -> list[Entry]:
        """What it holds, exactly."""
        return [self._entry(listed, row) for listed in LISTS for row in self.rows[listed].values()]

    def _entry(self, listed: str, row: Json) -> Entry:
        ident, _, kind = LISTS[listed]
        parent = self.rows["Invoices"].get(str(member(row, "Invoice", "InvoiceID")), {})
        currency = str(row.get("CurrencyCode") or parent.get("CurrencyCode") or "")
        total: Decimal = row.get("Total") or row.get("Amount") or Decimal(0)
        status = str(row.get("Status") or row.get("ContactStatus"))
        if listed == "Invoices" and status != "VOIDED" and self.due(row) == 0:
            status = "PAID"
        return Entry(
            self.name, self.account, str(row.get("Reference") or row.get("ContactNumber") or ""), kind, row[ident],
            currency, to_minor(total, currency) if currency else 0, "", status.lower(), parent.get("Reference", ""),
        )  # fmt: skip


def _exception(row: Json, *sentences: str) -> Reply:
    element = {**row, "ValidationErrors": [{"Message": sentence} for sentence in sentences]}
    return Reply.json(400, {
        "ErrorNumber": 10, "Type": "ValidationException", "Message": "A validation exception occurred",
        "Elements": [element],
    })  # fmt: skip


def stand(ground: Ground) -> Xero:
    """The sandbox of this system, found by the server."""
    return Xero("acme", ground.clock, ground.agenda, ground.seed)
