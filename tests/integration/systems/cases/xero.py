"""Xero before the law: a rotating token kept in memory, documents of the mapping examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.local.sandbox.xero import Xero
from tests.integration.systems.cases.rotating import Store
from tests.integration.systems.law import ExampleRig
from tieout.aws.http import HttpWire
from tieout.contract import Wire, Work
from tieout.core.money import Currency, Money


class Case(ExampleRig):
    name = "xero"
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
        """A contact for a document, an invoice for a payment."""
        if kind == "payment":
            return {"Invoice": {"InvoiceID": self.post(self.work("invoice", "create", mark)).remote}}
        if kind in ("invoice", "credit_note"):
            return {"Contact": {"ContactID": self.post(self.make("customer", "upsert")).remote}}
        return {}

    def amount(self, minor: int, mark: str) -> Work | None:
        """One line at its net, without tax."""
        value = Money(minor, Currency.of(self.currency)).decimal
        line = {**self.payload("invoice", "create")["LineItems"][0], "UnitAmount": value, "LineAmount": value,
                "TaxAmount": 0}  # fmt: skip
        more = {"LineItems": [line], "InvoiceNumber": f"NW-{mark}", **self.parents("invoice", "create", mark)}
        return self.make("invoice", "create", mark, minor, **more)
