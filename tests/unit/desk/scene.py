"""Books with something of everything in them, made by the real verbs: intake makes, book moves."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.fakes import World
from tieout.contract import Echo
from tieout.core import keys, ledger
from tieout.core.keys import Key
from tieout.core.verdicts import NeedsHuman, NotYet, Uncertain, Verdict
from tieout.core.writes import Item
from tieout.work.book import Outcome, book
from tieout.work.commit import View
from tieout.work.intake import intake
from tieout.work.ports import Message

EVENTS = Path(__file__).parents[3] / "events"
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def event_file(source: str, name: str) -> dict[str, Any]:
    """One captured event."""
    found: dict[str, Any] = json.loads((EVENTS / source / f"{name}.json").read_text(encoding="utf-8"))
    return found


class Scene:
    """A world in memory, with words for what happens to a posting."""

    def __init__(self) -> None:
        self.world = World()
        self.ledger = self.world.ledger
        self.vault = self.world.vault

    @property
    def now(self) -> datetime:
        return self.world.time

    # --- what arrives
    def deliver(self, source: str, account: str, body: bytes) -> None:
        """One delivery through the real intake."""
        message = Message(
            "m",
            {
                "v": 1,
                "source": source,
                "account": account,
                "delivery": keys.delivery_id(source, account, body),
                "received_at": ledger.stamp(self.now),
                "body_b64": base64.b64encode(body).decode(),
            },
        )
        assert intake([message], self.world.ports()) == []
        self.world.later(seconds=2)

    def stripe(self, name: str, account: str = "acct_us", suffix: str = "", **about: Any) -> str:
        """A captured Stripe event, its ids made its own by ``suffix``; the posting's key, or the event's."""
        event = event_file("stripe", name)
        text = json.dumps(event)
        for known in {event["id"], event["data"]["object"]["id"], event["data"]["object"].get("number") or "\0"}:
            text = text.replace(known, known + suffix)
        event = json.loads(text)
        event["data"]["object"].update(about)
        if "currency" in about:
            event = json.loads(json.dumps(event).replace('"usd"', f'"{about["currency"]}"'))
        body = json.dumps(event).encode()
        self.deliver("stripe", account, body)
        item = self.ledger.items[keys.event("stripe", account, event["id"])]
        made: list[str] = item.get("postings", [])
        return made[0] if made else str(item["pk"])[2:]

    # --- what becomes of it
    def item(self, key: str) -> Item:
        return self.ledger.items[keys.posting_item(key)]

    def book(self, key: str, outcome: Outcome) -> Item:
        ports, item = self.world.ports(), self.item(key)
        near = [keys.posting_item(key), *(Key(*one) for one in item.get("reads", ()))]
        near += [keys.lane_item(item["lane"])] if item.get("lane") else []
        view: View = dict.fromkeys(near)
        view.update(self.ledger.read(near))
        book(ports, view, item, outcome)
        self.world.later(seconds=3)
        return self.item(key)

    def claim(self, key: str, payload: dict[str, Any] | None = None) -> Item:
        """The first half of a post: claimed, its payload recorded."""
        import zlib

        body = json.dumps(payload or {"externalId": self.item(key)["ref"]}).encode()
        values = {"payload": zlib.compress(body), "epoch": self.item(key)["epoch"] + 1, "lease": ledger.stamp(self.now)}
        note = {"mapping": "netsuite.invoice=1;tables=4be1", "sha256": "9f" * 32}
        due = self.now.replace(microsecond=0)
        return self.book(key, Outcome(ledger.SENDING, due_at=due, set=values, note=note))

    def accept(self, key: str, remote: str = "4711", number: str | None = None) -> Item:
        """A whole post: claimed, called, booked."""
        item = self.claim(key)
        echo = Echo(remote, item["ref"], number, item.get("currency"), item.get("total"))
        return self.book(key, Outcome(ledger.POSTED, echo=echo))

    def move(self, key: str, to: str, verdict: Verdict | None = None, **values: Any) -> Item:
        """Any other booking, due in ten minutes."""
        from datetime import timedelta

        return self.book(key, Outcome(to, verdict, due_at=self.now + timedelta(minutes=10), set=values))


def full() -> Scene:
    """Something of everything: each state, three currencies, duplicates, conflicts, cases, a run, something late."""
    scene = Scene()
    scene.world.time = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
    posted = scene.stripe("invoice.finalized")
    scene.accept(posted, number="INV-US-2001")
    for item in [item for item in list(scene.ledger.items.values()) if item.get("kind") == "status"]:
        scene.accept(item["key"], remote="a05xx0000004711AAA")
    scene.stripe("invoice.finalized")  # the same event again
    scene.accept(scene.stripe("invoice.paid"), remote="4712")
    scene.stripe("customer.created")
    in_doubt = scene.stripe("invoice.finalized", suffix="B", currency="jpy")
    scene.claim(in_doubt)
    scene.move(
        in_doubt, ledger.IN_DOUBT, Uncertain("target_lost", target="netsuite:acme"), since=ledger.stamp(scene.now)
    )
    unmapped = NeedsHuman("tax_code_not_mapped", what="txr_fr_20", target="legacy:acme")
    scene.move(
        scene.stripe("invoice.voided", "acct_de"), ledger.HELD, NotYet("parent_missing", what="invoice in_1UlkX")
    )
    scene.move(scene.stripe("invoice.finalized", suffix="C"), ledger.REFUSED, unmapped)
    scene.move(scene.stripe("invoice.finalized", suffix="D"), ledger.REFUSED, unmapped)
    differs = NeedsHuman("target_echo_differs", target="netsuite:acme", difference="total: 108875 there, 108876 here")
    scene.claim(ambiguous := scene.stripe("invoice.finalized", suffix="E"))
    scene.move(ambiguous, ledger.IN_DOUBT, Uncertain("target_timeout", target="netsuite:acme"))
    scene.move(ambiguous, ledger.AMBIGUOUS, differs)
    scene.world.time = datetime(2026, 11, 20, 11, 45, tzinfo=UTC)
    scene.stripe("credit_note.created", "acct_de")
    scene.claim(scene.stripe("invoice.finalized", suffix="F"), {"tranId": "X", "amount": "<script>alert(1)</script>"})
    scene.stripe("invoice.finalized", suffix="G")
    event = event_file("stripe", "invoice.finalized")
    event["data"]["object"]["total"] = 1
    scene.deliver("stripe", "acct_us", json.dumps(event).encode())  # the same id with another body
    scene.deliver("stripe", "acct_us", b'{"id": "evt_broken"')
    scene.deliver("stripe", "acct_us", json.dumps({**event, "id": "evt_unknown", "type": "plan.created"}).encode())
    scene.deliver("salesforce", "00D_acme", json.dumps(event_file("salesforce", "opportunity.closed_won")).encode())
    scene.world.time = NOW
    return scene
