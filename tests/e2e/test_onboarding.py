"""Customer onboarding: a state machine whose steps are postings, undone in reverse order when one is refused."""

from __future__ import annotations

import pytest

from tests.e2e.scene import Scene, scene
from tieout.core import ledger


def win(on: Scene, entity: str = "US01") -> str:
    rows = on.sandboxes.salesforce.opportunities()
    row = next(row for row in rows if row["Selling_Entity__c"] == entity)
    on.sandboxes.salesforce.close_won(row["Id"])
    on.settle()
    return str(row["Id"])


def test_a_refusal_by_the_erp_takes_back_what_billing_has_and_says_so_in_the_crm() -> None:
    with scene(customer=False) as on:
        refuse_customers(on)
        win(on)
        (run,) = on.items("run")
        states = {(item["kind"], item["action"], item["step"]): item["state"] for item in on.items("posting")}
        assert (run["state"], run["code"]) == ("CASE", "step_failed")
        assert states["customer", "create", "billing"] == ledger.COMPENSATED
        assert states["customer", "undo", "billing"] == ledger.POSTED
        assert states["customer", "upsert", "erp"] == ledger.SUPERSEDED
        assert ("subscription", "create", "subscribe") not in states
        live = [
            one for one in on.sandboxes.book("stripe", "acct_us") if one.kind == "customer" and one.status == "active"
        ]
        assert live == []
        (status,) = [row for row in on.sandboxes.salesforce.statuses() if row["Status__c"] == "rejected"]
        assert "revenue-ops has it" in status["Sentence__c"]
        (event,) = [item for item in on.events() if item["type"] == "opportunity.closed_won"]
        assert event["run"] == run["pk"]
        assert on.differences() == []


def refuse_customers(on: Scene) -> None:
    """The ERP refuses every customer of the company for good: its subsidiary is not set up there."""
    on.sandboxes.netsuite.masters["subsidiary"].clear()


@pytest.mark.parametrize("entity", ["US01", "DE01"])
def test_an_interrupted_machine_goes_on_where_it_was(entity: str) -> None:
    """Every answer to the machine is lost once; probe repeats it."""
    from infra.local.functions import Crash

    struck: set[str] = set()

    def once(where: str) -> None:
        if "SendTaskSuccess" in where and where.startswith("before") and len(struck) < 3:
            struck.add(f"{where}{len(struck)}")
            raise Crash(where)

    with scene(customer=False) as on:
        on.world.boundary = once
        win(on, entity)
        on.world.boundary = None
        on.settle()
        assert struck
        (run,) = on.items("run")
        assert run["state"] == "DONE"
        assert on.differences() == []


def test_an_existing_customer_of_the_erp_is_linked_and_not_made_again() -> None:
    with scene(customer=False) as on:
        from tieout import systems

        opportunity = next(row for row in on.sandboxes.salesforce.opportunities() if row["Selling_Entity__c"] == "US01")
        canonical = f"salesforce:acme:{opportunity['AccountId']}"
        ref = systems.target("netsuite").reference.of(f"customer/{canonical}")
        on.sandboxes.netsuite.add_customer(ref, "Northwind Robotics, Inc.", "US01")
        win(on)
        (run,) = on.items("run")
        assert run["state"] == "DONE"
        assert len(on.in_netsuite("customer")) == 1
        steps = {item["step"] for item in on.items("posting")}
        assert "erp" not in steps


def test_an_incomplete_deal_stops_at_validation_with_a_case() -> None:
    with scene(customer=False) as on:
        account = next(iter(on.sandboxes.salesforce.rows["Account"].values()))
        account["Billing_Email__c"] = None
        win(on)
        (run,) = on.items("run")
        assert (run["state"], run["code"]) == ("CASE", "step_failed")
        assert "e-mail" in run["facts"]["said"]
        assert [item for item in on.items("posting") if item["kind"] != "status"] == []
