"""QuickBooks before the law: a rotating token kept in memory, documents of the mapping examples."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from infra.local.sandbox import Sandboxes
from infra.local.sandbox.books import to_minor
from infra.local.sandbox.quickbooks import QuickBooks
from tests.integration.systems.cases.rotating import Store
from tests.integration.systems.law import ExampleRig
from tieout.aws.http import HttpWire
from tieout.contract import Wire, Work
from tieout.core.money import Currency, Money


class Case(ExampleRig):
    name = "quickbooks"
    applies: ClassVar = {("credit_note", "create"): "POST .*/payment$"}
    nothing = b'{"QueryResponse": {}}'

    @staticmethod
    def error(text: str) -> Any:
        """A refusal in its shape."""
        return {"Fault": {"Error": [{"code": text.strip(), "Message": text}], "type": "SERVICE"}}

    @classmethod
    def before(cls, path: str) -> bytes:
        """The invoice that is to be voided is there."""
        if not path.startswith("/invoice/"):
            return cls.nothing
        row = {"Id": path.rpartition("/")[2], "SyncToken": "0", "TotalAmt": 544.38, "Balance": 544.38}
        return json.dumps({"Invoice": row | {"CurrencyRef": {"value": cls.currency}}}).encode()

    def connect(self) -> Wire:
        """With a store: its refresh token changes at each use."""
        there, self.store = self.bench.sandboxes.of(QuickBooks), Store()
        return HttpWire(self.target, self.account, there.secret, self.bench.now, tokens=self.store)

    def customer(self) -> Mapping[str, Any]:
        """A customer, posted, as documents name it."""
        return {"CustomerRef": {"value": self.post(self.make("customer", "upsert")).remote}}

    def parents(self, kind: str, action: str, mark: str) -> Mapping[str, Any]:
        """A customer for an invoice, that and the invoice for what is applied to one."""
        if kind == "customer":
            return {}
        if (kind, action) == ("invoice", "create"):
            return self.customer()
        invoice = self.post(self.work("invoice", "create", f"{mark} made before")).remote
        if action == "void":
            return {"Id": invoice}
        linked = [{"TxnId": invoice, "TxnType": "Invoice"}]
        if kind == "credit_note":
            return {**self.customer(), "LinkedTxn": linked}
        return {**self.customer(), "Line": [{**self.payload(kind, action)["Line"][0], "LinkedTxn": linked}]}

    def settles(self, kind: str, action: str, mark: str = "") -> Work:
        """See :class:`ExampleRig`; a document number is unique."""
        return self.make(kind, action, mark, DocNumber=f"CN-{mark}", **self.parents(kind, action, "settled"))

    @classmethod
    def owed_in(cls, sandboxes: Sandboxes) -> Mapping[str, int]:
        """What is open of each invoice."""
        rows = sandboxes.of(QuickBooks).rows["invoice"].values()
        return {row["PrivateNote"]: to_minor(row["Balance"], cls.currency) for row in rows}

    def amount(self, minor: int, mark: str) -> Work | None:
        """One line at its net, without tax."""
        value = Money(minor, Currency.of(self.currency)).decimal
        line = self.payload("invoice", "create")["Line"][0]
        line = {**line, "Amount": value, "SalesItemLineDetail": {**line["SalesItemLineDetail"], "UnitPrice": value}}
        more = {"Line": [line], "TxnTaxDetail": {"TotalTax": 0}, "DocNumber": f"NW-{mark}", **self.customer()}
        return self.make("invoice", "create", mark, minor, **more)
