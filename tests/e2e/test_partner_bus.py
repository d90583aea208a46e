"""What partners put on a bus of their own reaches the inbox by a rule, and goes on as any other event."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from infra.local import story
from infra.local.world import World
from tests.e2e.scene import Scene
from tieout.core import ledger

BUSES = {
    "SalesforceBus": "relay", "SalesforceBusAccount": "acme", "StripeBus": "destination", "StripeBusAccount": "acct_us",
}  # fmt: skip


@contextmanager
def wired() -> Iterator[Scene]:
    """A stack with both buses."""
    with World(clock="jump", sandboxes=True, parameters=BUSES) as world:
        books = story.ledger_of(world)
        world.dues = story.dues(world)
        made = Scene(world, books, world.clock.now())
        made.know_a_customer()
        yield made


def relay(on: Scene, bus: str, source: str, kind: str, detail: Mapping[str, Any]) -> None:
    """What a partner does."""
    entry = {"EventBusName": bus, "Source": source, "DetailType": kind, "Detail": json.dumps(detail)}
    on.world.client("events").put_events(Entries=[entry])


def test_a_change_event_wins_a_deal_once_whatever_else_tells_of_it() -> None:
    with wired() as on:
        org = on.sandboxes.salesforce
        deal = org.opportunities()[0]["Id"]
        org.close_won(deal)
        on.settle()
        for kind in ("UPDATE", "GAP_UPDATE"):
            relay(on, "relay", "aws.partner/salesforce.com/00D/0YL", "OpportunityChangeEvent",
                  org.change_event(deal, kind=kind))  # fmt: skip
        on.settle()
        runs = [item for item in on.items("run") if item["flow"] == "customer-onboarding"]
        assert len(runs) == 1
        states = sorted(item["state"] for item in on.events() if item["source"] == "salesforce")
        assert states == [ledger.DUPLICATE, ledger.DUPLICATE, ledger.MADE]


def test_a_deal_that_only_change_data_capture_tells_of_is_onboarded() -> None:
    with wired() as on:
        org = on.sandboxes.salesforce
        deal = org.opportunities()[0]
        org.rows["Opportunity"][deal["Id"]] |= {"StageName": "Closed Won", "IsWon": True}
        relay(on, "relay", "aws.partner/salesforce.com/00D/0YL", "OpportunityChangeEvent",
              org.change_event(deal["Id"], org.opportunities()[1]["Id"]))  # fmt: skip
        on.settle()
        (run,) = [item for item in on.items("run") if item["flow"] == "customer-onboarding"]
        assert run["state"] == "DONE"
        assert sorted(item["state"] for item in on.events() if item["source"] == "salesforce") == [
            ledger.IGNORED, ledger.MADE,
        ]  # fmt: skip


def test_an_invoice_that_comes_by_webhook_and_over_the_bus_is_one() -> None:
    with wired() as on:
        invoice = on.bill()
        event = next(one for one in on.stripe.events("invoice.finalized"))
        relay(on, "destination", "aws.partner/stripe.com/ed_1", "invoice.finalized", event)
        on.settle()
        (item,) = [one for one in on.events() if one["type"] == "invoice.finalized"]
        assert (item["state"], item["deliveries"]) == (ledger.MADE, 2)
        assert [entry.total_minor for entry in on.in_netsuite()] == [invoice["total"]]
