"""QuickBooks before the law: a rotating token kept in memory, documents of the mapping examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.local.sandbox.quickbooks import QuickBooks
from tests.integration.systems.cases.rotating import Store
from tests.integration.systems.law import ExampleRig
from tieout.aws.http import HttpWire
from tieout.contract import Wire, Work
from tieout.core.money import Currency, Money


class Case(ExampleRig):
    name = "quickbooks"
    nothing = b'{"QueryResponse": {}}'

    @staticmethod
    def error(text: str) -> Any:
        """A refusal in its shape."""
        return {"Fault": {"Error": [{"code": text.strip(), "Message": text}], "type": "SERVICE"}}

    def connect(self) -> Wire:
        """With a store: its refresh token changes at each use."""
        there, self.store = self.bench.sandboxes.of(QuickBooks), Store()
        return HttpWire(self.target, self.account, there.secret, self.bench.now, tokens=self.store)

    def customer(self) -> Mapping[str, Any]:
        """A customer, posted, as documents name it."""
        return {"CustomerRef": {"value": self.post(self.make("customer", "upsert")).remote}}

    def parents(self, kind: str, action: str, mark: str) -> Mapping[str, Any]:
        """A customer for a document; for a payment its invoice too."""
        if kind == "customer":
            return {}
        if kind == "payment":
            line = self.payload("payment", "create")["Line"][0]
            invoice = self.post(self.work("invoice", "create", mark)).remote
            return {**self.customer(), "Line": [{**line, "LinkedTxn": [{"TxnId": invoice, "TxnType": "Invoice"}]}]}
        return self.customer()

    def amount(self, minor: int, mark: str) -> Work | None:
        """One line at its net, without tax."""
        value = Money(minor, Currency.of(self.currency)).decimal
        line = self.payload("invoice", "create")["Line"][0]
        line = {**line, "Amount": value, "SalesItemLineDetail": {**line["SalesItemLineDetail"], "UnitPrice": value}}
        more = {"Line": [line], "TxnTaxDetail": {"TotalTax": 0}, "DocNumber": f"NW-{mark}", **self.customer()}
        return self.make("invoice", "create", mark, minor, **more)
