"""Business Central before the law: documents of the mapping examples, each with its customer and its invoice there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.integration.systems.law import ExampleRig
from tieout.contract import Work
from tieout.core.money import Money


class Case(ExampleRig):
    name = "businesscentral"
    nothing = b'{"value": []}'

    @staticmethod
    def error(text: str) -> Any:
        """A refusal in its shape."""
        return {"error": {"code": text, "message": text}}

    def parents(self, kind: str, action: str, mark: str) -> Mapping[str, Any]:
        """A customer for a document, an invoice too for what is applied to one."""
        if kind == "customer":
            if action == "undo":
                self.post(self.make("customer", "upsert", mark))
            return {}
        more = {"customerId": self.post(self.make("customer", "upsert")).remote}
        if (kind, action) == ("invoice", "create"):
            return more
        invoice = self.post(self.work("invoice", "create", f"{mark} of {kind} {action}")).remote
        return {**more, "appliesToInvoiceId" if kind == "payment" else "invoiceId": invoice}

    def amount(self, minor: int, mark: str) -> Work | None:
        """One line at its net, of a tax code without tax."""
        value = Money(minor, self.currency).decimal  # type: ignore[arg-type]
        line = {**self.payload("invoice", "create")["salesInvoiceLines"][0], "unitPrice": value, "taxCode": "NOTAX"}
        return self.make(
            "invoice", "create", mark, minor, salesInvoiceLines=[line], **self.parents("invoice", "create", mark)
        )

    def decisive(self, work: Work) -> str:
        """An undo changes the record that it has looked for."""
        return r"PATCH .*/customers\(" if work.action == "undo" else super().decisive(work)
