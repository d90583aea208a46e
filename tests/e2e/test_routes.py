"""Routes that an installation got wrong, through the real handlers."""

from __future__ import annotations

import pytest

from tests.e2e.scene import scene
from tests.routed import routed
from tieout.core import ledger
from tieout.core.routing import Route
from tieout.work import ask


@pytest.mark.parametrize(("role", "system"), [("erp", "zendesk"), ("warehouse", "hubspot")])
def test_a_route_to_a_system_that_cannot_do_it_is_an_engineer_s_case_with_its_money(role: str, system: str) -> None:
    with routed(Route(role, system, "acme", entity="US01", kind="invoice")), scene() as on:
        invoice = on.bill()
        on.settle()
        assert [item["state"] for item in on.events() if item["type"] == "invoice.finalized"] == [ledger.CASE]
        (cause,) = ask.cases(on.ledger, on.world.clock.now())
        (case,) = cause.cases
        assert (cause.code, case.owner) == ("route_unable", "integration")
        assert case.sentence == (
            f"The route leads to {system}:acme, which cannot create a document of the kind invoice."
        )
        assert [money.minor for money in cause.sum.money] == [invoice["total"]]
        assert on.postings() == []
        assert on.in_netsuite() == []
        assert on.differences() == []


def test_a_question_to_a_system_that_cannot_be_asked_is_a_case_before_anything_is_made() -> None:
    with routed(Route("tax", "netsuite", "acme", entity="US01")), scene(customer=False) as on:
        org = on.sandboxes.salesforce
        deal = next(one for one in org.opportunities() if one["Selling_Entity__c"] == "US01")["Id"]
        org.close_won(deal)
        on.settle()
        (cause,) = ask.cases(on.ledger, on.world.clock.now())
        assert cause.code == "step_failed"
        assert cause.cases[0].sentence == "Step tax of customer-onboarding failed: route_unable."
        assert on.postings("customer") == []
        assert on.differences() == []
