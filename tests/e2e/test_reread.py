"""Callouts of Zuora through the deployed regime: thin events become documents, whatever the tenant does meanwhile."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from typing import Any

import pytest

from infra.local.sandbox import Fault, When
from infra.local.sandbox.hubspot import HubSpot
from infra.local.sandbox.zuora import Item, Zuora
from tests.e2e.scene import Scene, scene
from tieout.core import ledger

QUERY = "GET /zuora/acme-eu/object-query"


def billed(on: Scene) -> tuple[Zuora, Any, Any]:
    """An account, an invoice of it and its payment: three callouts."""
    tenant = on.sandboxes.of(Zuora)
    account = tenant.add_account("Falken Logistik GmbH")
    invoice = tenant.post_invoice(account, [Item("SKU-PRO", "250.00", "47.50"), Item("SKU-SETUP", "200.00", "38.00")])
    tenant.pay(account, invoice)
    return tenant, account, invoice


def ends(on: Scene) -> dict[str, str]:
    """What the ERP of the German company has of it, by kind."""
    book = on.sandboxes.book("legacy", "acme")
    return {entry.kind: f"{entry.total_minor} {entry.currency}".strip() for entry in book}


def test_an_account_its_invoice_and_its_payment_reach_the_erp_to_the_cent() -> None:
    with scene() as on:
        billed(on)
        on.settle()
        assert {item["state"] for item in on.events() if item["source"] == "zuora"} == {ledger.MADE}
        assert ends(on) == {"customer": "0", "invoice": "53550 EUR", "payment": "53550 EUR"}
        # The checks of the account list a page of each kind; what is read again is asked for by its id.
        assert len([call for call in on.sandboxes.calls(QUERY) if call.path.count("/") == 3]) == 3


@pytest.mark.parametrize(
    "fault",
    [
        Fault("unavailable", QUERY, args={"seconds": 1200}),
        Fault("rate_limit", QUERY, times=2, args={"retry_after": 90}),
        Fault("ok_with_errors", QUERY, times=3),
        Fault("truncated", QUERY, times=2),
        Fault("drop_before", QUERY, times=3),
        Fault("stale_token", QUERY, times=2),
        Fault("webhook_twice", "HOOK /hooks/zuora"),
    ],
    ids=lambda fault: fault.kind,
)
def test_whatever_the_tenant_does_meanwhile_each_document_is_there_once(fault: Fault) -> None:
    with scene() as on:
        on.sandboxes.faults.add(fault)
        billed(on)
        on.settle()
        assert fault.struck
        assert {item["state"] for item in on.events() if item["source"] == "zuora"} == {ledger.MADE}
        assert ends(on) == {"customer": "0", "invoice": "53550 EUR", "payment": "53550 EUR"}


def test_what_an_object_query_shows_late_is_waited_for() -> None:
    with scene() as on:
        on.sandboxes.of(Zuora).lag = 300
        billed(on)
        on.settle()
        assert {item["state"] for item in on.events() if item["source"] == "zuora"} == {ledger.MADE}
        assert ends(on)["invoice"] == "53550 EUR"


def test_an_invoice_that_is_deleted_before_it_is_read_is_a_case_that_says_so() -> None:
    with scene() as on:
        tenant = on.sandboxes.of(Zuora)
        account = tenant.add_account("Falken Logistik GmbH")
        invoice = tenant.post_invoice(account, [Item("SKU-PRO", "1.00", "0.19")])
        tenant.delete("invoices", invoice["id"])
        on.settle()
        on.world.advance(1200)
        on.settle()
        (gone,) = [item for item in on.events() if item["state"] == ledger.CASE]
        assert (gone["code"], gone["facts"]["target"]) == ("source_gone", "zuora:acme-eu")
        assert gone["case"]["owner"] == "finance-ops"


def test_a_deal_that_is_won_in_hubspot_is_onboarded_once_whatever_else_is_told_of_it() -> None:
    with scene() as on:
        portal = on.sandboxes.of(HubSpot)
        deal = portal.add_deal()
        portal.win(deal, When(times=2))
        on.settle()
        portal.tell(deal, ("amount", "dealstage"))
        on.settle()
        (run,) = [item for item in on.items("run") if item["flow"] == "hubspot-onboarding"]
        assert (run["state"], run["entity"], run["total"]) == ("DONE", "US01", 1_200_000), run
        customers = [item for item in on.postings("customer") if item["source"] == "hubspot"]
        assert {(item["target"], item["state"]) for item in customers} >= {("netsuite:acme", ledger.POSTED)}
        states = sorted(item["state"] for item in on.events() if item["source"] == "hubspot")
        assert states.count(ledger.MADE) == 1
        assert ledger.CASE not in states


def test_a_deal_that_lacks_its_company_is_a_case_and_goes_on_once_it_is_completed() -> None:
    with scene() as on:
        portal = on.sandboxes.of(HubSpot)
        deal = portal.add_deal(selling_entity=None)
        portal.win(deal)
        on.settle()
        (case,) = [item for item in on.events() if item["state"] == ledger.CASE]
        assert (case["code"], case["owner_team"]) == ("deal_incomplete", "revenue-ops")
        portal._write(deal, {"selling_entity": "US01"})
        on.world.advance(1200)
        with redirect_stdout(io.StringIO()):
            on.world.invoke("probe", {})
        on.settle()
        assert [item["state"] for item in on.events() if item["source"] == "hubspot"].count(ledger.MADE) == 1
