"""Xero before the law: a rotating token kept in memory, documents of the mapping examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.integration.systems.law import ExampleRig
from tieout.aws.http import HttpWire
from tieout.contract import Wire, Work
from tieout.core.credentials import Pair
from tieout.core.money import Money


class Store:
    """A rotating pair kept in memory, for one process."""

    def __init__(self) -> None:
        self.pair: Pair | None = None
        self.stored: list[Pair] = []

    def read(self) -> Pair | None:
        return self.pair

    def claim(self) -> bool:
        return True

    def store(self, pair: Pair) -> None:
        self.pair = pair
        self.stored.append(pair)

    def release(self) -> None: ...


class Case(ExampleRig):
    name = "xero"

    def connect(self) -> Wire:
        """With a store: its refresh token changes at each use."""
        self.store = Store()
        return HttpWire(self.target, self.account, self.bench.sandboxes.xero.secret, self.bench.now, tokens=self.store)

    def parents(self, kind: str, action: str, mark: str) -> Mapping[str, Any]:
        """A contact for a document, an invoice for a payment."""
        if kind == "payment":
            return {"Invoice": {"InvoiceID": self.post(self.work("invoice", "create", mark)).remote}}
        if kind in ("invoice", "credit_note"):
            return {"Contact": {"ContactID": self.post(self.make("customer", "upsert")).remote}}
        return {}

    def amount(self, minor: int, mark: str) -> Work | None:
        """One line at its net, without tax."""
        value = Money(minor, self.currency).decimal  # type: ignore[arg-type]
        line = {**self.payload("invoice", "create")["LineItems"][0], "UnitAmount": value, "LineAmount": value,
                "TaxAmount": 0}  # fmt: skip
        more = {"LineItems": [line], "InvoiceNumber": f"NW-{mark}", **self.parents("invoice", "create", mark)}
        return self.make("invoice", "create", mark, minor, **more)
