"""Tryton before the law: documents of the mapping examples, each with its party there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.integration.systems.law import ExampleRig
from tieout.contract import Work
from tieout.core.money import Currency, Money


class Case(ExampleRig):
    name = "tryton"
    nothing = b"[]"

    @staticmethod
    def error(text: str) -> Any:
        """A refusal in its shape."""
        return {"status": 400, "message": text, "description": ""}

    @classmethod
    def before(cls, path: str) -> bytes:
        """What Tryton derives is there already: addresses, periods, countries."""
        derived = ("party.address", "account.period", "country.country")
        return b'[{"id": 1}]' if any(model in path for model in derived) else b"[]"

    def parents(self, kind: str, action: str, mark: str) -> Mapping[str, Any]:
        """A party with its address."""
        if kind == "customer":
            return {}
        party = self.post(self.make("customer", "upsert")).remote
        if kind == "payment":
            return {"credit": {**self.payload(kind, action)["credit"], "party": party}}
        return {"party": party}

    def amount(self, minor: int, mark: str) -> Work | None:
        """One line at its net, without tax."""
        value = Money(minor, Currency.of(self.currency)).decimal
        line = {**self.payload("invoice", "create")["lines"][0], "unit_price": value}
        return self.make(
            "invoice", "create", mark, minor, lines=[line], taxes=[], **self.parents("invoice", "create", mark)
        )
