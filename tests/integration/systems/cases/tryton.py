"""Tryton before the law: documents of the mapping examples, each with its party and its invoice there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from infra.local.sandbox import Sandboxes
from infra.local.sandbox.books import to_minor
from infra.local.sandbox.tryton import Tryton
from tests.integration.systems.law import ExampleRig
from tieout.contract import Work
from tieout.core.money import Currency, Money


class Case(ExampleRig):
    name = "tryton"
    nothing = b"[]"
    applies: ClassVar = dict.fromkeys(
        (("invoice", "void"), ("credit_note", "create"), ("payment", "create")), "PUT .*/account.invoice/\\d+$"
    )

    @staticmethod
    def error(text: str) -> Any:
        """A refusal in its shape."""
        return {"status": 400, "message": text, "description": ""}

    @classmethod
    def before(cls, path: str) -> bytes:
        """What is looked up for its id is there already: addresses, periods, countries, the invoice that is paid."""
        return b'[{"id": 1}]' if path.endswith("&f=id") else b"[]"

    def parents(self, kind: str, action: str, mark: str) -> Mapping[str, Any]:
        """A party with its address, and the invoice of what is set against one."""
        if kind == "customer":
            return {}
        party = self.post(self.make("customer", "upsert")).remote
        if (kind, action) == ("invoice", "create"):
            return {"party": party}
        settles = self.post(self.work("invoice", "create", f"{mark} made before")).remote
        if kind == "payment":
            return {"credit": {**self.payload(kind, action)["credit"], "party": party}, "settles": settles}
        return {"party": party, "settles": settles}

    @classmethod
    def owed_in(cls, sandboxes: Sandboxes) -> Mapping[str, int]:
        """What is to pay of each invoice."""
        rows = sandboxes.of(Tryton).rows["account.invoice"].values()
        invoices = [row for row in rows if row["total_amount"] > 0]
        return {row["reference"]: to_minor(row["amount_to_pay"], cls.currency) for row in invoices}

    def amount(self, minor: int, mark: str) -> Work | None:
        """One line at its net, without tax."""
        value = Money(minor, Currency.of(self.currency)).decimal
        line = {**self.payload("invoice", "create")["lines"][0], "unit_price": value}
        return self.make(
            "invoice", "create", mark, minor, lines=[line], taxes=[], **self.parents("invoice", "create", mark)
        )
