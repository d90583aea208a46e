"""An accepted quote in the CRM becomes one sales order in the ERP, by whatever way it is told."""

from __future__ import annotations

from infra.local.sandbox import When
from infra.local.sandbox.salesforce import Product
from tests.e2e.scene import Scene, scene
from tests.e2e.test_poll import hours
from tieout.core import ledger

LINES = [Product("PRO", 10, "119.95"), Product("SETUP", 1, "800.00")]


def orders(on: Scene) -> list[tuple[int, str]]:
    return [(entry.total_minor, entry.currency) for entry in on.in_netsuite("quote")]


def test_a_quote_that_is_ordered_before_its_deal_is_won_waits_for_its_customer_and_is_ordered_once() -> None:
    with scene(customer=False) as on:
        org = on.sandboxes.salesforce
        deal = org.opportunities()[0]["Id"]
        quote = org.add_quote(deal, LINES)
        org.agree(quote)
        on.settle()
        (posting,) = on.postings("quote")
        assert (posting["state"], posting["code"]) == (ledger.HELD, "customer_late")
        org.close_won(deal)
        on.settle()
        hours(on, 1)
        (posting,) = on.postings("quote")
        assert (posting["state"], posting["total"]) == (ledger.POSTED, 199950)
        assert orders(on) == [(199950, "USD")]
        (status,) = [row for row in org.statuses() if quote["Name"] in row["Sentence__c"]]
        assert status["Status__c"] == "accepted"
        assert on.differences() == []


def test_a_quote_whose_callout_was_lost_comes_out_of_the_listing_and_later_edits_order_nothing_again() -> None:
    with scene(customer=False) as on:
        hours(on, 0.2)
        org = on.sandboxes.salesforce
        deal = org.opportunities()[0]["Id"]
        org.close_won(deal)
        on.settle()
        quote = org.add_quote(deal, LINES)
        org.agree(quote, When(hold=True))
        hours(on, 1)
        assert orders(on) == [(199950, "USD")]
        org.agree(quote, SBQQ__PaymentTerms__c="Net 60")
        on.settle()
        hours(on, 1)
        assert orders(on) == [(199950, "USD")]
        assert {item["state"] for item in on.events() if item["type"] == "quote.accepted"} == {
            ledger.MADE, ledger.DUPLICATE,
        }  # fmt: skip


def test_a_quote_that_changes_after_it_was_ordered_is_a_case_beside_the_order() -> None:
    with scene(customer=False) as on:
        org = on.sandboxes.salesforce
        deal = org.opportunities()[0]["Id"]
        org.close_won(deal)
        quote = org.add_quote(deal, LINES)
        org.agree(quote)
        on.settle()
        org.agree(quote, SBQQ__ExpirationDate__c="2028-01-31")
        on.settle()
        assert orders(on) == [(199950, "USD")]
        told = [item for item in on.events() if item["type"] == "quote.accepted"]
        assert sorted((item["state"], item.get("code", "")) for item in told) == [
            (ledger.CASE, "document_conflict"), (ledger.MADE, ""),
        ]  # fmt: skip


def test_a_quote_of_an_entity_without_a_route_for_orders_is_a_case() -> None:
    with scene(customer=False) as on:
        org = on.sandboxes.salesforce
        deal = next(one for one in org.opportunities() if one["Selling_Entity__c"] == "DE01")["Id"]
        org.agree(org.add_quote(deal, LINES))
        on.settle()
        (event,) = [item for item in on.events() if item["type"] == "quote.accepted"]
        assert (event["state"], event["code"]) == (ledger.CASE, "no_route")
