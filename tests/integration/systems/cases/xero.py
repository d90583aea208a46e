"""Xero before the law: a rotating token kept in memory, documents of the mapping examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from infra.local.sandbox import Sandboxes
from infra.local.sandbox.books import to_minor
from infra.local.sandbox.xero import Xero
from tests.integration.systems.cases.rotating import Store
from tests.integration.systems.law import ExampleRig
from tieout.aws.http import HttpWire
from tieout.contract import Wire, Work
from tieout.core.money import Currency, Money


class Case(ExampleRig):
    name = "xero"
    applies: ClassVar = {("credit_note", "create"): "PUT .*/CreditNotes/[^/]+/Allocations$"}
    nothing = b'{"Contacts": [], "Invoices": [], "CreditNotes": [], "Payments": []}'

    @staticmethod
    def error(text: str) -> Any:
        """A refusal in its shape."""
        return {"Type": "ValidationException", "Elements": [{"ValidationErrors": [{"Message": text}]}]}

    def connect(self) -> Wire:
        """With a store: its refresh token changes at each use."""
        self.store = Store()
        return HttpWire(
            self.target, self.account, self.bench.sandboxes.of(Xero).secret, self.bench.now, tokens=self.store
        )

    def parents(self, kind: str, action: str, mark: str) -> Mapping[str, Any]:
        """A contact for an invoice, that and the invoice for what is applied to one."""
        if kind == "customer":
            return {}
        contact = {"Contact": {"ContactID": self.post(self.make("customer", "upsert")).remote}}
        if (kind, action) == ("invoice", "create"):
            return contact
        ident = self.post(self.work("invoice", "create", f"{mark} made before")).remote
        if kind == "credit_note":
            allocation = {**self.payload(kind, action)["Allocations"][0], "Invoice": {"InvoiceID": ident}}
            return {**contact, "Allocations": [allocation]}
        return {"InvoiceID": ident} if action == "void" else {"Invoice": {"InvoiceID": ident}}

    @classmethod
    def owed_in(cls, sandboxes: Sandboxes) -> Mapping[str, int]:
        """What is open of each invoice."""
        there = sandboxes.of(Xero)
        return {row["Reference"]: to_minor(there.due(row), cls.currency) for row in there.rows["Invoices"].values()}

    def amount(self, minor: int, mark: str) -> Work | None:
        """One line at its net, without tax."""
        value = Money(minor, Currency.of(self.currency)).decimal
        line = {**self.payload("invoice", "create")["LineItems"][0], "UnitAmount": value, "LineAmount": value,
                "TaxAmount": 0}  # fmt: skip
        more = {"LineItems": [line], "InvoiceNumber": f"NW-{mark}", **self.parents("invoice", "create", mark)}
        return self.make("invoice", "create", mark, minor, **more)
