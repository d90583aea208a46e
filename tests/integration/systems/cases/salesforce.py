"""Salesforce before the law: the status of an invoice, a customer as an account."""

from __future__ import annotations

from typing import Any

from tests.integration.systems.conftest import status
from tests.integration.systems.law import Rig, example_document
from tieout.contract import Work


class Case(Rig):
    name = "salesforce"

    @staticmethod
    def error(text: str) -> Any:
        """A refusal in its shape."""
        return [{"errorCode": text.upper(), "message": text}]

    def work(self, kind: str, action: str, mark: str = "") -> Work:
        """A posting of that action; see :class:`Rig`."""
        if kind == "customer":
            doc = example_document("salesforce.customer")
            doc = doc.model_copy(update={"canonical_id": f"stripe:acct_us:cus_{mark}"}) if mark else doc
            return self.bench.work(self.target, action, doc, {})
        return self.bench.work(self.target, action, status(1), {})
