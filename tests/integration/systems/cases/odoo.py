"""Odoo before the law: documents of the mapping examples, each with its partner and its invoice there.

Odoo sets a refund against its invoice in the transaction that posts it. The call of its own is for where a module keeps
it from that, which is what `settles` has the sandbox do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from infra.local.sandbox import Sandboxes
from infra.local.sandbox.books import to_minor
from infra.local.sandbox.odoo import Odoo
from tests.integration.systems.law import ExampleRig
from tieout.contract import Work
from tieout.core.money import Currency, Money


class Case(ExampleRig):
    name = "odoo"
    nothing = b"[]"
    applies: ClassVar = {
        ("invoice", "void"): "POST .*/js_assign_outstanding_line$",
        ("credit_note", "create"): "POST .*/js_assign_outstanding_line$",
    }

    @staticmethod
    def error(text: str) -> Any:
        """A refusal in its shape."""
        return {"name": "odoo.exceptions.UserError", "message": text, "arguments": [text], "context": {}, "debug": ""}

    @staticmethod
    def reads(method: str, path: str) -> bool:
        """Every call is a POST; what looks is a method of that name."""
        return path.endswith("/search_read")

    def decisive(self, work: Work) -> str:
        """Of a payment, the call that lets the wizard make it: opening the wizard books nothing."""
        return "POST .*/action_create_payments$" if work.kind == "payment" else super().decisive(work)

    def parents(self, kind: str, action: str, mark: str) -> Mapping[str, Any]:
        """A partner for an invoice, that and the invoice for what is set against it."""
        if kind == "customer":
            return {}
        party = {"partner_id": self.post(self.make("customer", "upsert")).remote}
        if (kind, action) == ("invoice", "create"):
            return party
        invoice = self.post(self.work("invoice", "create", f"{mark} made before")).remote
        return {"invoice_id": invoice} if kind == "payment" else {**party, "reversed_entry_id": invoice}

    def settles(self, kind: str, action: str, mark: str = "") -> Work:
        """See :class:`ExampleRig`; nothing is set against anything by posting it."""
        self.alone(self.bench.sandboxes)
        return super().settles(kind, action, mark)

    @classmethod
    def alone(cls, sandboxes: Sandboxes) -> None:
        """Posting a refund sets it against nothing any more: a module keeps Odoo from it."""
        sandboxes.of(Odoo).reconciles = False

    @classmethod
    def owed_in(cls, sandboxes: Sandboxes) -> Mapping[str, int]:
        """What is open of each invoice."""
        rows = sandboxes.of(Odoo).rows["account.move"].values()
        invoices = [row for row in rows if row["move_type"] == "out_invoice"]
        return {row["ref"]: to_minor(row["amount_residual"], cls.currency) for row in invoices}

    def amount(self, minor: int, mark: str) -> Work | None:
        """One line at its net, of a tax that is none."""
        value = Money(minor, Currency.of(self.currency)).decimal
        line = {**self.payload("invoice", "create")["invoice_line_ids"][0], "price_unit": value, "tax_ids": "5"}
        more = {"invoice_line_ids": [line], **self.parents("invoice", "create", mark)}
        return self.make("invoice", "create", mark, minor, **more)
