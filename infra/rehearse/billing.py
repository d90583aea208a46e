"""What Stripe tells of one customer's business: the captured events of `events/`, about other objects, signed anew."""

from __future__ import annotations

import copy
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

EVENTS = Path("events/stripe")


@dataclass
class Billing:
    """One Stripe account of one entity, in one year, selling with one tax rate. ``bodies`` keeps what it told."""

    entity: str
    account: str
    currency: str
    country: str
    rate: str
    per_mille: int
    year: int
    secret: str
    bodies: dict[str, bytes] = field(default_factory=dict)

    def at(self, month: int, day: int) -> int:
        """Noon of a day of the year, as Stripe spells it."""
        return int(datetime(self.year, month, day, 12, tzinfo=UTC).timestamp())

    def customer(self, name: str) -> bytes:
        """``customer.created``."""
        about = self._object("customer.created")
        about |= {"id": self.id("cus", name), "name": f"{name} of {self.entity}", "email": f"ap@{name.lower()}.example"}
        about["address"] |= {"country": self.country, "state": None}
        return self._event("customer.created", name, about, self.at(1, 5))

    def invoice(self, name: str, customer: str, net: int, month: int, day: int, rate: str = "") -> bytes:
        """``invoice.finalized``: one line, taxed at ``rate`` (the account's own where none is said)."""
        about = self._invoice(name, customer, net, self.at(month, day), rate or self.rate)
        return self._event("invoice.finalized", name, about, self.at(month, day))

    def paid(self, name: str, customer: str, net: int, month: int, day: int, on: tuple[int, int]) -> bytes:
        """``invoice.paid``, of an invoice of that day, on another."""
        about = self._invoice(name, customer, net, self.at(month, day), self.rate)
        about |= {"status": "paid", "amount_paid": about["total"], "amount_remaining": 0}
        about["status_transitions"]["paid_at"] = self.at(*on)
        return self._event("invoice.paid", name, about, self.at(*on))

    def voided(self, name: str, customer: str, net: int, month: int, day: int, on: tuple[int, int]) -> bytes:
        """``invoice.voided``, of an invoice of that day, on another."""
        about = self._invoice(name, customer, net, self.at(month, day), self.rate)
        about["status"] = "void"
        about["status_transitions"]["voided_at"] = self.at(*on)
        return self._event("invoice.voided", name, about, self.at(*on))

    def credit(self, name: str, invoice: str, customer: str, net: int, month: int, day: int) -> bytes:
        """``credit_note.created``: part of an invoice is taken back."""
        about, moment, tax = self._object("credit_note.created"), self.at(month, day), self.tax(net)
        about |= {
            "id": self.id("cn", name), "number": f"{self.entity}-{name}", "customer": self.id("cus", customer),
            "invoice": self.id("in", invoice), "created": moment, "effective_at": moment,
            "currency": self.currency.lower(), "amount": net + tax,
        }  # fmt: skip
        self._money(about, net, self.rate, self.id("cnli", name))
        about["lines"]["data"][0] |= {"tax_rates": [], "description": name}
        return self._event("credit_note.created", name, about, moment)

    def tax(self, net: int) -> int:
        """Tax on an amount, in minor units."""
        return (net * self.per_mille + 50_000) // 100_000

    def id(self, kind: str, name: str) -> str:
        """The id of an object of that name."""
        return f"{kind}_{hashlib.sha256(f'{self.entity}/{name}'.encode()).hexdigest()[:20]}"

    def signed(self, body: bytes, now: datetime) -> dict[str, str]:
        """Headers of a delivery that is made now."""
        stamp = int(now.timestamp())
        seal = hmac.new(self.secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
        return {"content-type": "application/json", "stripe-signature": f"t={stamp},v1={seal}"}

    def _invoice(self, name: str, customer: str, net: int, moment: int, rate: str) -> dict[str, Any]:
        about, gross = self._object("invoice.finalized"), net + self.tax(net)
        about |= {
            "id": self.id("in", name), "number": f"{self.entity}-{name}", "customer": self.id("cus", customer),
            "currency": self.currency.lower(), "created": moment, "effective_at": moment, "due_date": None,
            "amount_due": gross, "amount_remaining": gross, "metadata": {},
        }  # fmt: skip
        about["status_transitions"]["finalized_at"] = moment
        self._money(about, net, rate, self.id("il", name))
        about["lines"]["data"][0] |= {
            "description": name,
            "quantity": 1,
            "quantity_decimal": "1",
            "invoice": about["id"],
        }
        about["lines"]["data"][0]["pricing"]["unit_amount_decimal"] = str(net)
        return about

    def _money(self, about: dict[str, Any], net: int, rate: str, line: str) -> None:
        """One line and its tax, on the line and on the whole."""
        tax = {**about["total_taxes"][0], "amount": self.tax(net), "taxable_amount": net}
        tax["tax_rate_details"] = {"tax_rate": rate}
        about |= dict.fromkeys(("subtotal", "subtotal_excluding_tax", "total_excluding_tax"), net)
        about |= {"total": net + self.tax(net), "total_taxes": [tax]}
        first = {**about["lines"]["data"][0], "id": line, "amount": net, "currency": self.currency.lower()}
        about["lines"]["data"] = [first | {"subtotal": net, "taxes": [copy.deepcopy(tax)]}]

    def _object(self, type_: str) -> dict[str, Any]:
        captured: Mapping[str, Any] = json.loads((EVENTS / f"{type_}.json").read_bytes())
        return dict(captured["data"]["object"])

    def _event(self, type_: str, name: str, about: Mapping[str, Any], moment: int) -> bytes:
        event = json.loads((EVENTS / f"{type_}.json").read_bytes())
        event |= {"id": self.id("evt", f"{type_}/{name}"), "created": moment, "data": {"object": about}}
        self.bodies[event["id"]] = json.dumps(event).encode()
        return self.bodies[event["id"]]
