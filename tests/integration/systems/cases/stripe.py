"""Stripe before the law: a customer and a subscription of the captured deal."""

from __future__ import annotations

import dataclasses
from typing import Any

from tests.integration.systems.conftest import buyer, deal
from tests.integration.systems.law import Rig
from tieout.contract import Work
from tieout.core.rules import onboarding


class Case(Rig):
    name = "stripe"
    gone_is_done = True
    account = "acct_us"
    nothing = b'{"object": "list", "data": [], "has_more": false}'

    @staticmethod
    def error(text: str) -> Any:
        """A refusal in its shape."""
        return {"error": {"type": "invalid_request_error", "code": text, "message": text}}

    def customer(self) -> Work:
        """The buyer, to be made."""
        return self.bench.work(self.target, "create", buyer(), {}, self.account)

    def facts(self) -> dict[str, Any]:
        """The buyer as mappings know it, made here first."""
        work = self.customer()
        return {"canonical": buyer().canonical_id, "ref": work.ref, "remote": self.post(work).remote}

    def subscription(self) -> Work:
        """The deal's subscription, to be made."""
        subscribed = onboarding.subscription_of(deal())
        work = self.bench.work(self.target, "create", subscribed, {"customer": self.facts()}, self.account)
        return dataclasses.replace(work, currency="USD")

    def work(self, kind: str, action: str, mark: str = "") -> Work:
        """A posting of that action; see :class:`Rig`."""
        create = self.customer if kind == "customer" else self.subscription
        if action == "create":
            return create()
        parent = {"parent": {"remote": self.post(create()).remote}}
        doc = buyer() if kind == "customer" else onboarding.subscription_of(deal())
        return self.bench.work(self.target, action, doc, parent, self.account)
