"""How a subscription stands reaches the CRM, in order, whatever order its events come in."""

from __future__ import annotations

from typing import Any

from infra.local.sandbox import When
from tests.e2e.scene import Scene, scene
from tieout.core import ledger

TYPES = {"customer.subscription.updated", "customer.subscription.deleted"}


def subscribed(on: Scene) -> str:
    """A subscription that onboarding made, at an endpoint that listens to what becomes of it."""
    on.stripe.enabled_events |= TYPES
    form = {"customer": on.customer, "items": [{"price": "price_pro_usd"}],
            "metadata": {"tieout_ref": "OURS-1", "opportunity_id": "006RM1"}}  # fmt: skip
    return str(on.stripe._create_subscription(form, None)["id"])


def told(on: Scene) -> list[str]:
    """What became of its events."""
    return sorted(item["state"] for item in on.events() if item["type"] in TYPES)


def shown(on: Scene) -> list[tuple[str, str]]:
    """What the CRM shows of it."""
    rows: list[dict[str, Any]] = list(on.sandboxes.salesforce.statuses())
    return [(row["Status__c"], row["Sentence__c"]) for row in rows]


def test_a_subscription_that_falls_behind_and_is_cancelled_is_told_to_the_crm() -> None:
    with scene() as on:
        ident = subscribed(on)
        on.stripe.fall_behind(ident)
        on.settle()
        assert told(on) == [ledger.MADE]
        assert shown(on) == [("held", f"Subscription {ident} is behind: its last invoice is not paid.")]
        with on.stripe.lock:
            on.stripe._cancel(on.stripe.tables["subscriptions"][ident])
        on.settle()
        [(status, sentence)] = shown(on)
        assert (status, sentence.partition(".")[0]) == ("compensated", f"Subscription {ident} is cancelled")
        assert on.differences() == []


def test_older_news_of_a_subscription_that_comes_late_changes_nothing() -> None:
    with scene() as on:
        ident = subscribed(on)
        on.stripe.fall_behind(ident, When(delay=600, times=2))
        on.world.advance(5)
        with on.stripe.lock:
            on.stripe._cancel(on.stripe.tables["subscriptions"][ident])
        on.settle()
        assert [status for status, _ in shown(on)] == ["compensated"]
        assert told(on) == [ledger.MADE, ledger.OLD_NEWS]


def test_changes_of_one_second_end_with_the_last_of_them() -> None:
    with scene() as on:
        ident = subscribed(on)
        with on.stripe.lock:
            on.stripe._cancel(on.stripe.tables["subscriptions"][ident])
            on.stripe.emit("customer.subscription.updated", on.stripe.tables["subscriptions"][ident])
        on.settle()
        assert [status for status, _ in shown(on)] == ["compensated"]
