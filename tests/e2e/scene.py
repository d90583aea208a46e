"""A local world with a customer that is known everywhere, so that a test can go straight to its invoice."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from infra.local import story
from infra.local.sandbox import Line, Sandboxes, Stripe, When
from infra.local.world import World
from tieout import systems
from tieout.aws.ledger import DynamoLedger
from tieout.core import keys
from tieout.core.writes import Item, Put
from tieout.work import tie

CUSTOMER = "salesforce:acme:001TEST"


@dataclass
class Scene:
    """One world, its ledger, and the shortest way to an invoice in it."""

    world: World
    ledger: DynamoLedger
    since: datetime
    customer: str = ""
    known: str = "nobody"
    acknowledged: int = 0

    @property
    def sandboxes(self) -> Sandboxes:
        assert isinstance(self.world.sandboxes, Sandboxes)
        return self.world.sandboxes

    @property
    def stripe(self) -> Stripe:
        return self.sandboxes.stripe["acct_us"]

    def know_a_customer(self) -> None:
        """As if onboarding had been long ago."""
        ref = systems.target("netsuite").reference.of(f"customer/{CUSTOMER}")
        ours = {"tieout_ref": systems.target("stripe").reference.of(f"customer/{CUSTOMER}"), "canonical_id": CUSTOMER}
        row = self.stripe.add_customer("Initech", "ap@initech.example", ours, when=When(hold=True))
        self.known = ref
        remote = self.sandboxes.netsuite.add_customer(ref, "Initech", "US01").id
        self.customer = row["id"]
        key = keys.link_item("customer", f"stripe:acct_us:{row['id']}")
        first = keys.link_item("customer", CUSTOMER)
        at = {"at:netsuite:acme": str(remote), "at:stripe:acct_us": row["id"]}
        link = {"what": "link", "canonical": CUSTOMER, **at}
        self.ledger.write([Put({"pk": one.pk, "sk": one.sk, **link}) for one in (first, key)])

    def bill(self, amount: int = 10_000, when: When | None = None) -> dict[str, Any]:
        """An invoice of one line; its event is on its way."""
        line = Line(amount, 1, "prod_pro", "Pro", tax_rate="txr_us_exempt")
        return self.stripe.finalize_invoice(self.customer, [line], when=when or When())

    def event_of(self, invoice: dict[str, Any]) -> str:
        """The id of the event that told of an invoice."""
        found = [e for e in self.stripe.events("invoice.finalized") if e["data"]["object"]["id"] == invoice["id"]]
        return str(found[0]["id"])

    def signed(self, body: bytes) -> dict[str, str]:
        """Headers with a right signature."""
        return {"Stripe-Signature": self.stripe.sign(body)["Stripe-Signature"]}

    def settle(self) -> None:
        """Until nothing moves by itself any more; the functions' log lines are kept off the terminal."""
        with redirect_stdout(io.StringIO()):
            self.world.run(limit=story.PATIENCE)

    def hook(self, body: bytes, headers: dict[str, str] | None = None, account: str = "acct_us") -> Any:
        """One delivery to the front door."""
        sent = {"content-type": "application/json", **(self.signed(body) if headers is None else headers)}
        with redirect_stdout(io.StringIO()):
            answer = self.world.http("POST", f"/hooks/stripe/{account}", sent, body)
        self.acknowledged += 200 <= answer.status < 300
        return answer

    def postings(self, kind: str = "invoice") -> list[Item]:
        """All postings of a kind, by key."""
        return sorted(
            (item for item in self.items("posting") if item["kind"] == kind), key=lambda item: str(item["key"])
        )

    def items(self, what: str) -> list[Item]:
        """All ledger items of a sort."""
        found = self.world.client("dynamodb").scan(TableName=self.world.resources["Ledger"].ref)["Items"]
        from tieout.aws.ledger import decode

        return [item for item in map(decode, found) if item.get("what") == what]

    def events(self) -> list[Item]:
        """All event items."""
        return self.items("event")

    def in_netsuite(self, kind: str = "invoice") -> list[Any]:
        """What the ERP's own book holds."""
        return [entry for entry in self.sandboxes.book("netsuite", "acme") if entry.kind == kind]

    def ending(self) -> story.Ending:
        """The tie-out."""
        return story.ending(self.world, self.since, self.acknowledged)

    def differences(self) -> list[tie.Difference]:
        """Whatever does not tie out, but for the customer that was there before."""
        end = self.ending()
        return [*end.tie.differences, *(one for one in end.differences if self.known not in one.about)]


@contextmanager
def scene(seed: int = 0, *, customer: bool = True) -> Iterator[Scene]:
    """A fresh world on world time that jumps."""
    with World(clock="jump", seed=seed, sandboxes=True) as world:
        ledger = story.ledger_of(world)
        world.dues = story.dues(world)
        made = Scene(world, ledger, world.clock.now())
        if customer:
            made.know_a_customer()
        yield made


def body_of(event: dict[str, Any]) -> bytes:
    """An event as it is sent."""
    return json.dumps(event).encode()
