"""The events of the simulation: the captured ones with ids changed and amounts multiplied, made once and kept."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from tieout.core import keys

HOME: Final = Path(__file__).resolve().parents[2] / "events"
AMOUNTS: Final = frozenset({
    "amount", "amount_due", "amount_paid", "amount_remaining", "subtotal", "subtotal_excluding_tax", "taxable_amount",
    "total", "total_excluding_tax", "pre_payment_amount",
})  # fmt: skip
KINDS: Final = {
    "invoice": "invoice.finalized", "payment": "invoice.paid", "credit_note": "credit_note.created",
    "void": "invoice.voided",
}  # fmt: skip


@dataclass(frozen=True)
class Event:
    """One event of a source, as the sender and an auditor know it, beside the bytes."""

    source: str
    account: str
    kind: str
    action: str
    #: What the document is about, as its payload says it in the target.
    about: str
    #: The source's object.
    object: str
    lane: str
    currency: str
    total: int
    body: bytes

    def envelope(self) -> dict[str, Any]:
        """The inbox message that the front door makes of it."""
        return {
            "v": 1, "source": self.source, "account": self.account, "received_at": "2026-11-20T12:00:00.000Z",
            "delivery": keys.delivery_id(self.source, self.account, self.body),
            "body_b64": base64.b64encode(self.body).decode(),
        }  # fmt: skip


@cache
def _captured(name: str) -> str:
    return (HOME / f"stripe/{name}.json").read_text()


def _change(value: Any, change: Callable[[str, Any], Any], name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _change(inner, change, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [_change(inner, change, name) for inner in value]
    return change(name, value)


@cache
def stripe(lane: int, kind: str, german: bool, again: bool = False) -> Event:
    """One event of a lane: its invoice, payment, credit note or void; ``again`` is the producer's resend of it."""
    whole = json.loads(_captured("credit_note.created" if kind == "credit_note" else "invoice.finalized"))
    account = "acct_de" if german else "acct_us"
    invoice = f"in_{account}{lane}"
    factor = lane + 1
    currency, tax = ("eur", "txr_de_vat_19") if german else ("usd", "txr_us_ny_8875")

    def change(name: str, value: Any) -> Any:
        if name in AMOUNTS and type(value) is int:
            return value * factor
        return {"currency": currency, "tax_rate": tax, "customer": f"cus_{account}{lane}"}.get(name, value)

    whole = _change(whole, change)
    whole["type"] = KINDS[kind]
    whole["id"] = f"evt_{account}{lane}{kind}{'_again' if again else ''}"
    thing = whole["data"]["object"]
    if kind == "credit_note":
        thing |= {"id": f"cn_{account}{lane}", "invoice": invoice, "number": f"CN-{account}-{lane}"}
        for line in thing["lines"]["data"]:
            line["tax_rates"] = []
    else:
        thing |= {"id": invoice, "number": f"NO-{account}-{lane}"}
        for number, line in enumerate(thing["lines"]["data"]):
            line |= {"id": f"il_{account}{lane}{number}", "invoice": invoice}
    if kind == "payment":
        paid = whole["created"] + 3600
        thing |= {"amount_paid": thing["total"], "amount_remaining": 0, "status": "paid"}
        thing["status_transitions"] |= {"paid_at": paid}
    if kind == "void":
        thing |= {"status": "void"}
        thing["status_transitions"] |= {"voided_at": whole["created"] + 7200}
    thing["metadata"] = {**thing.get("metadata", {}), "payer_iban": "DE89370400440532013000"}
    about = {"payment": f"{invoice}:paid", "credit_note": thing["id"]}.get(kind, invoice)
    if kind == "void" and german:
        about = thing["number"]  # the legacy ERP's record of a void names the invoice by its number
    return Event(
        "stripe", account, "invoice" if kind == "void" else kind, "void" if kind == "void" else "create", about,
        thing["id"], invoice, currency.upper(), int(thing["total"]), json.dumps(whole).encode(),
    )  # fmt: skip


@cache
def deal(number: int) -> Event:
    """A won deal, which is onboarded in several steps."""
    whole = json.loads((HOME / "salesforce/opportunity.closed_won.json").read_text())
    whole["event_id"] = f"00000000-0000-0000-0000-00000000000{number}"
    whole["opportunity"] |= {"Id": f"006RM00000000000{number}"}
    whole["opportunity"]["Account"] |= {"Id": f"001RM00000000000{number}"}
    return Event(
        "salesforce", "00D_acme", "opportunity", "onboard", whole["opportunity"]["Id"], whole["opportunity"]["Id"],
        f"deal{number}", "USD", 200000, json.dumps(whole).encode(),
    )  # fmt: skip
