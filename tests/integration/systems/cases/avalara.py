"""AvaTax before the law: an invoice for its void, a credit on its own code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.integration.systems.law import ExampleRig
from tieout.contract import Work
from tieout.core.money import Currency, Money


class Case(ExampleRig):
    name = "avalara"

    @staticmethod
    def error(text: str) -> Any:
        """A refusal in its shape: who is at fault stands in a field of its own."""
        fault = text.removeprefix("fault ").capitalize() if text.startswith("fault ") else "Client"
        return {"error": {"code": "GetTaxError", "message": text, "details": [{"faultCode": fault}]}}

    def parents(self, kind: str, action: str, mark: str) -> Mapping[str, Any]:
        """Nothing but what a void takes back."""
        if action == "void":
            self.post(self.work(kind, "create", mark))
        return {}

    def amount(self, minor: int, mark: str) -> Work | None:
        """One line without tax."""
        line = self.payload("invoice", "create")["lines"][0]
        value = Money(minor, Currency.of(self.currency)).decimal
        return self.make("invoice", "create", mark, minor, tax=0, lines=[{**line, "amount": value, "tax": 0}])

    def reckoned(self, minor: int, **change: Any) -> Work:
        """An invoice whose tax AvaTax reckons, and which says ``minor`` in all."""
        return replace(self.make("invoice", "create", "r", minor, engine="tax", **change), total=minor)
