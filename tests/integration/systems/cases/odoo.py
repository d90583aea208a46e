"""Odoo before the law: documents of the mapping examples, each with its partner and its invoice there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.integration.systems.law import ExampleRig
from tieout.contract import Work
from tieout.core.money import Currency, Money


class Case(ExampleRig):
    name = "odoo"
    nothing = b"[]"

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
        """A partner for a document, an invoice for a payment."""
        if kind == "payment":
            return {"invoice_id": self.post(self.work("invoice", "create", f"{mark} paid")).remote}
        if kind in ("invoice", "credit_note"):
            return {"partner_id": self.post(self.make("customer", "upsert")).remote}
        return {}

    def amount(self, minor: int, mark: str) -> Work | None:
        """One line at its net, of a tax that is none."""
        value = Money(minor, Currency.of(self.currency)).decimal
        line = {**self.payload("invoice", "create")["invoice_line_ids"][0], "price_unit": value, "tax_ids": "5"}
        more = {"invoice_line_ids": [line], **self.parents("invoice", "create", mark)}
        return self.make("invoice", "create", mark, minor, **more)
