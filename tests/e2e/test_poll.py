"""A webhook that never came is found in the source's own list, through the deployed regime."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from datetime import timedelta
from unittest.mock import patch

import pytest

from infra.local.sandbox import Fault, Line, When
from infra.local.sandbox.chargebee import Chargebee
from infra.local.sandbox.hubspot import HubSpot
from infra.local.sandbox.zuora import Item, Zuora
from tests.e2e.scene import Scene, scene
from tieout.core import ledger
from tieout.work import poll

NEVER = When(hold=True)
HOOK = "HOOK /hooks/stripe/acct_us"
LIST = "GET /stripe/acct_us/v1/events"


def hours(on: Scene, count: float) -> None:
    """World time passes, with the probe's minute every five."""
    for _ in range(int(count * 12)):
        on.world.advance(timedelta(minutes=5))
        with redirect_stdout(io.StringIO()):
            outcome = on.world.invoke("probe", {})
        assert not outcome.failed, outcome
        on.settle()


def test_an_invoice_whose_webhook_was_lost_reaches_the_erp_and_nothing_is_there_twice() -> None:
    with scene() as on:
        hours(on, 0.2)
        told = on.bill()
        struck = on.sandboxes.faults.add(Fault("webhook_lost", HOOK))
        lost = on.bill()
        hours(on, 1)
        assert struck.struck == 1
        assert {item["source_id"]: item["state"] for item in on.postings()} == {
            told["id"]: ledger.POSTED, lost["id"]: ledger.POSTED,
        }  # fmt: skip
        by_way = {item["find"]: item.get("via", "") for item in on.events() if item["type"] == "invoice.finalized"}
        assert by_way == {told["id"]: "", lost["id"]: "poll"}
        assert len(on.in_netsuite()) == 2


def test_an_invoice_whose_webhook_comes_late_and_behind_its_payment_s_is_in_the_erp_before_it() -> None:
    with scene() as on:
        began = on.world.clock.now()
        struck = on.sandboxes.faults.add(Fault("webhook_late", HOOK, args={"seconds": 240}))
        on.stripe.pay(on.bill()["id"])
        on.settle()
        assert struck.struck == 1
        came = {item["type"]: item["received"] for item in on.events()}
        assert came["invoice.paid"] < came["invoice.finalized"]
        assert on.world.clock.now() - began >= timedelta(seconds=240)
        assert [len(on.in_netsuite(kind)) for kind in ("invoice", "payment")] == [1, 1]
        assert {item["state"] for kind in ("invoice", "payment") for item in on.postings(kind)} == {ledger.POSTED}
        assert on.differences() == []


@pytest.mark.parametrize("kind", ["unavailable", "truncated", "rate_limit", "drop_before"])
def test_a_page_that_fails_is_asked_for_again(kind: str) -> None:
    with scene() as on:
        hours(on, 0.2)
        fault = on.sandboxes.faults.add(Fault(kind, LIST, times=2, args={"seconds": 1500}))
        lost = [on.bill(when=NEVER) for _ in range(3)]
        hours(on, 1.5)
        assert fault.struck
        assert {item["source_id"] for item in on.postings()} == {invoice["id"] for invoice in lost}


def test_a_late_webhook_after_the_list_is_no_conflict_though_the_list_writes_it_otherwise() -> None:
    with scene() as on:
        on.stripe.account_version = "2024-04-10"
        hours(on, 0.2)
        invoice = on.bill(when=NEVER)
        hours(on, 1)
        on.stripe.send(on.event_of(invoice))
        on.settle()
        (event,) = [item for item in on.events() if item["type"] == "invoice.finalized"]
        assert (event["state"], event["via"], event["deliveries"]) == (ledger.MADE, "poll", 2)
        assert len(on.in_netsuite()) == 1


def test_an_invoice_of_more_lines_than_an_event_shows_is_whole_in_the_erp() -> None:
    with scene() as on:
        lines = [Line(1000 + number, 1, "prod_pro", "Pro", tax_rate="txr_us_exempt") for number in range(130)]
        invoice = on.stripe.finalize_invoice(on.customer, lines)
        on.settle()
        (event,) = [item for item in on.events() if item["type"] == "invoice.finalized"]
        assert event["reread"]
        (posting,) = on.postings()
        assert (posting["state"], posting["total"]) == (ledger.POSTED, invoice["total"])
        assert [entry.total_minor for entry in on.in_netsuite()] == [invoice["total"]]
        assert len(on.sandboxes.calls("GET /stripe/acct_us/v1/invoices/.*/lines")) == 2


def test_a_customer_whose_webhook_chargebee_lost_reaches_the_legacy_erp() -> None:
    with scene() as on:
        hours(on, 0.2)
        site = on.sandboxes.of(Chargebee).events
        told = site.occur("customer_created")
        lost = site.occur("customer_created", when=NEVER)
        hours(on, 1)
        by_way = {item["event_id"]: item.get("via", "") for item in on.events() if item["source"] == "chargebee"}
        assert by_way == {told["id"]: "", lost["id"]: "poll"}
        postings = [item for item in on.postings("customer") if item["source"] == "chargebee"]
        assert [item["state"] for item in postings] == [ledger.POSTED, ledger.POSTED]


def test_a_deal_whose_callout_was_lost_is_onboarded_and_one_that_was_told_is_not_asked_for_again() -> None:
    with scene() as on:
        hours(on, 0.2)
        org = on.sandboxes.salesforce
        told, lost = (one["Id"] for one in org.opportunities())
        org.close_won(told)
        org.close_won(lost, NEVER)
        hours(on, 1)
        by_way = {item["find"]: item.get("via", "") for item in on.events() if item["source"] == "salesforce"}
        assert by_way == {told: "", lost: "poll"}
        assert {item["source_id"]: item["state"] for item in on.items("run")} == {told: "DONE", lost: "DONE"}


def test_a_deal_and_a_company_of_hubspot_whose_webhooks_were_lost_come_out_of_the_journal_once() -> None:
    account = "hubspot:24881733"
    with scene(customer=False) as on, patch.object(poll, "accounts", lambda tables: [account]):
        hours(on, 0.2)
        portal = on.sandboxes.of(HubSpot)
        deal = portal.add_deal()
        portal.win(deal, NEVER)
        hours(on, 1)
        portal.change_company(deal["associations"]["companies"][0]["id"], NEVER, name="Northwind Robots Inc")
        hours(on, 1)
        told = [item for item in on.events() if item["source"] == "hubspot"]
        assert sorted((item["type"], item["state"], item.get("via", "")) for item in told) == [
            ("company.changed", ledger.MADE, "poll"), ("deal.propertyChange.dealstage", ledger.MADE, "poll"),
        ]  # fmt: skip
        (run,) = on.items("run")
        assert run["state"] == "DONE"
        names = [one.fields["companyName"] for one in on.sandboxes.netsuite.records.values() if one.type == "customer"]
        assert names == ["Northwind Robots Inc"]
        files = len(on.sandboxes.calls("GET /hubspot/24881733/files/"))
        hours(on, 1)
        assert len(on.sandboxes.calls("GET /hubspot/24881733/files/")) == files, "what was read is not read again"


def test_callouts_that_failed_are_found_in_zuora_s_history_whatever_its_zone_and_nothing_is_there_twice() -> None:
    with scene() as on:
        hours(on, 0.2)
        tenant = on.sandboxes.of(Zuora)
        account = tenant.add_account("Falken Logistik GmbH", when=NEVER)
        told = tenant.post_invoice(account, [Item("SKU-PRO", "250.00", "47.50")])
        lost = tenant.post_invoice(account, [Item("SKU-SETUP", "200.00", "38.00")], NEVER)
        tenant.pay(account, lost, NEVER)
        hours(on, 1.5)
        by_way = {item["find"]: item.get("via", "") for item in on.events() if item["type"] == "InvoicePosted"}
        assert by_way == {told["id"]: "", lost["id"]: "poll"}
        book = sorted((entry.kind, entry.total_minor) for entry in on.sandboxes.book("legacy", "acme"))
        assert book == [("customer", 0), ("invoice", 23800), ("invoice", 29750), ("payment", 23800)]


def test_a_callout_that_failed_at_first_and_came_after_all_is_a_duplicate_of_its_own_document() -> None:
    with scene() as on:
        hours(on, 0.2)
        tenant = on.sandboxes.of(Zuora)
        account = tenant.add_account("Falken Logistik GmbH")
        on.settle()
        good = list(tenant.callout_credentials)
        tenant.callout_credentials[0] = "tieout:stale"
        tenant.post_invoice(account, [Item("SKU-PRO", "250.00", "47.50")])
        on.settle()
        assert {attempt.status for attempt in tenant.courier.attempts[1:]} == {401}
        tenant.callout_credentials[:] = good
        hours(on, 1.5)
        [(name, body)] = [one for one in tenant.bodies.items() if one[0].startswith("InvoicePosted")]
        tenant.courier.post(name, body, tenant.sign)
        on.settle()
        states = sorted(item["state"] for item in on.events() if item["type"] == "InvoicePosted")
        assert states == [ledger.DUPLICATE, ledger.MADE]
        assert [entry.kind for entry in on.sandboxes.book("legacy", "acme")].count("invoice") == 1
