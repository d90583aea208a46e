"""SAP before the law: what the mapping examples make, each with its partner there; simulation is tried elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.local.sandbox.sap import Sap
from tests.integration.systems.law import ExampleRig
from tieout.contract import Wire, Work
from tieout.core.money import Money


class Case(ExampleRig):
    name = "sap"
    nothing = b'{"d": {"results": []}}'

    @staticmethod
    def error(text: str) -> Any:
        """A refusal as the journal service logs it, which is read under any status."""
        item = f"<Item><TypeID>1(X)</TypeID><SeverityCode>3</SeverityCode><Note>{text}</Note></Item>"
        return f"<e:Envelope xmlns:e='x'><e:Body><c><Log>{item}</Log></c></e:Body></e:Envelope>".encode()

    def connect(self) -> Wire:
        """Without simulation, so that one call makes the entry."""
        self.bench.sandboxes.of(Sap).simulate = "no"
        return super().connect()

    def parents(self, kind: str, action: str, mark: str) -> Mapping[str, Any]:
        """A partner for what names one."""
        if action == "undo":
            self.post(self.make("customer", "upsert", mark))
        if kind in ("customer", "journal_entry"):
            return {}
        partner = self.post(self.make("customer", "upsert")).remote
        if kind == "quote":
            return {"SoldToParty": partner}
        return {"DebtorItem": {**self.payload(kind, action)["DebtorItem"], "Debtor": partner}}

    def amount(self, minor: int, mark: str) -> Work | None:
        """Revenue and receivable over the amount, with a tax item of nothing."""
        value = Money(minor, self.currency).decimal  # type: ignore[arg-type]
        body, partner = (
            self.payload("invoice", "create"),
            self.parents("invoice", "create", mark)["DebtorItem"]["Debtor"],
        )
        amount = "AmountInTransactionCurrency"
        return self.make(
            "invoice", "create", mark, minor,
            Item=[{**body["Item"][0], amount: -value}],
            ProductTaxItem=[{**body["ProductTaxItem"][0], amount: 0, "TaxBaseAmountInTransCrcy": -value}],
            DebtorItem={**body["DebtorItem"], amount: value, "Debtor": partner},
        )  # fmt: skip

    def decisive(self, work: Work) -> str:
        """An undo changes the record that it has looked for."""
        return r"PATCH .*/A_BusinessPartner\(" if work.action == "undo" else super().decisive(work)
