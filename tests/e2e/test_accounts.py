"""A change of an account in the CRM reaches the ERP of a customer, by whatever way it is told, and of nobody else."""

from __future__ import annotations

from typing import Any

import pytest

from infra.local.sandbox import When
from infra.local.sandbox.chargebee import Chargebee
from infra.local.sandbox.hubspot import HubSpot
from infra.local.sandbox.salesforce import Product
from tests.e2e.scene import Scene, scene
from tests.e2e.test_partner_bus import relay, wired
from tests.e2e.test_poll import hours
from tests.routed import routed
from tieout.core import ledger
from tieout.core.routing import Route


def onboarded(on: Scene) -> str:
    """The id of an account whose deal was won and set up."""
    org = on.sandboxes.salesforce
    deal = org.opportunities()[0]
    org.close_won(deal["Id"])
    on.settle()
    (run,) = on.items("run")
    assert run["state"] == "DONE"
    return str(deal["AccountId"])


def names(on: Scene) -> list[str]:
    """Names of the customers in the ERP."""
    records = on.sandboxes.netsuite.records.values()
    return sorted(str(one.fields["companyName"]) for one in records if one.type == "customer")


def of_accounts(on: Scene) -> list[tuple[str, str]]:
    return sorted((item["state"], item.get("code", "")) for item in on.events() if item["type"] == "account.changed")


def test_a_customer_that_is_renamed_is_renamed_in_the_erp_once() -> None:
    with scene(customer=False) as on:
        account = onboarded(on)
        on.sandboxes.salesforce.change_account(account, Name="Northwind Robots, Inc.")
        on.settle()
        assert names(on) == ["Northwind Robots, Inc."]
        assert of_accounts(on) == [(ledger.MADE, "")]


def test_a_prospect_is_ignored_with_a_reason_and_one_that_is_marked_reaches_the_erp() -> None:
    with scene(customer=False) as on:
        org = on.sandboxes.salesforce
        prospect = org.add_account("Window Shopper LLC", "ap@shopper.example")["Id"]
        org.change_account(prospect, Phone="+1 212 555 0199")
        on.settle()
        assert of_accounts(on) == [(ledger.IGNORED, "not_for_us")]
        assert on.postings("customer") == []
        org.change_account(prospect, Finance_Customer__c=True, Selling_Entity__c="US01")
        on.settle()
        assert names(on) == ["Window Shopper LLC"]


def test_a_change_that_overtakes_the_onboarding_waits_for_it_and_is_not_lost() -> None:
    with scene(customer=False) as on:
        org = on.sandboxes.salesforce
        deal = org.opportunities()[0]
        org.close_won(deal["Id"])
        org.change_account(deal["AccountId"], Name="Northwind Robots, Inc.")
        on.settle()
        hours(on, 1)
        assert names(on) == ["Northwind Robots, Inc."]
        assert [item["state"] for item in on.items("run")] == ["DONE"]


def test_a_change_whose_callout_was_lost_comes_out_of_the_listing_and_a_prospect_s_does_not() -> None:
    with scene(customer=False) as on:
        hours(on, 0.2)
        account = onboarded(on)
        org = on.sandboxes.salesforce
        prospect = org.add_account("Window Shopper LLC", "ap@shopper.example")["Id"]
        for one in (account, prospect):
            org.change_account(one, When(hold=True), Phone="+1 212 555 0199")
        hours(on, 1)
        told = [(item["find"], item["state"], item["via"]) for item in on.events() if item["type"] == "account.changed"]
        assert told == [(account, ledger.MADE, "poll")]


@pytest.mark.parametrize("kind", ["UPDATE", "GAP_UPDATE"])
def test_a_change_event_over_the_partner_bus_and_the_callout_of_the_same_change_are_one(kind: str) -> None:
    with wired() as on:
        account = onboarded(on)
        org = on.sandboxes.salesforce
        org.change_account(account, Name="Northwind Robots, Inc.")
        relay(on, "relay", "aws.partner/salesforce.com/00D/0YL", "AccountChangeEvent",
              org.change_event(account, kind=kind, fields=("Name",), entity="Account"))  # fmt: skip
        on.settle()
        assert of_accounts(on) == [(ledger.DUPLICATE, ""), (ledger.MADE, "")]
        assert "Northwind Robots, Inc." in names(on)


def test_a_customer_that_the_erp_had_before_us_is_not_made_twice_by_a_change() -> None:
    with scene(customer=False) as on:
        on.sandboxes.netsuite.add_customer("OLD-1", "Northwind Robotics, Inc.", "US01")
        account = onboarded(on)
        on.sandboxes.salesforce.change_account(account, Name="Northwind Robots, Inc.")
        on.settle()
        (posting,) = [item for item in on.postings("customer") if item["flow"] == "salesforce-account"]
        assert (posting["state"], posting["code"]) == (ledger.REFUSED, "customer_not_ours")
        assert names(on) == ["Northwind Robotics, Inc."]


def test_a_second_deal_that_finds_our_own_record_does_not_call_it_somebody_else_s() -> None:
    with scene(customer=False) as on:
        account = onboarded(on)
        org = on.sandboxes.salesforce
        org.close_won(org.add_opportunity(account, "More seats", "US01", "USD", [Product("SEAT", 5, "25.00")])["Id"])
        on.settle()
        org.change_account(account, Name="Northwind Robots, Inc.")
        on.settle()
        assert of_accounts(on) == [(ledger.MADE, "")]
        assert names(on) == ["Northwind Robots, Inc."]


# --- HubSpot -------------------------------------------------------------------------------------------------------
def test_a_company_of_hubspot_that_is_a_customer_is_renamed_in_the_erp_and_a_prospect_is_ignored() -> None:
    with scene(customer=False) as on:
        portal = on.sandboxes.of(HubSpot)
        deal = portal.add_deal()
        company = deal["associations"]["companies"][0]["id"]
        prospect = portal.add("companies", {"name": "Window Shopper LLC"})["id"]
        portal.win(deal)
        on.settle()
        portal.change_company(company, name="Northwind Robots Inc", city="Brooklyn")
        portal.change_company(prospect, phone="+1 212 555 0199")
        portal.change_company(company, numberofemployees="7")
        on.settle()
        assert names(on) == ["Northwind Robots Inc"]
        told = {(item["type"], item["find"], item["state"]) for item in on.events() if "company" in item["type"]}
        assert told == {
            ("company.changed", company, ledger.MADE), ("company.changed", company, ledger.DUPLICATE),
            ("company.changed", prospect, ledger.IGNORED),
            ("company.propertyChange.numberofemployees", company, ledger.IGNORED),
        }  # fmt: skip
        portal.change_company(prospect, finance_customer="true", selling_entity="US01")
        on.settle()
        assert names(on) == ["Northwind Robots Inc", "Window Shopper LLC"]


# --- told by billing -----------------------------------------------------------------------------------------------
def of_the_portal(on: Scene) -> list[tuple[str, str, str]]:
    events = [item for item in on.events() if item["type"].startswith("customer.updated")]
    return [
        (item["type"], item["state"], item.get("code", "")) for item in sorted(events, key=lambda one: one["event_id"])
    ]


def erp_customer(on: Scene) -> dict[str, Any]:
    (record,) = [one for one in on.sandboxes.netsuite.records.values() if one.type == "customer"]
    return dict(record.fields)


def test_a_buyer_s_change_in_the_portal_reaches_the_erp_and_the_crm_s_word_of_it_is_left_out() -> None:
    with scene(customer=False) as on:
        account = onboarded(on)
        (buyer,) = on.stripe.tables["customers"]
        on.stripe.change_customer(buyer, email="payables@northwind.example")
        on.settle()
        on.stripe.change_customer(buyer, balance=-500)
        on.sandboxes.salesforce.change_account(
            account, Name="Northwind Robots, Inc.", Billing_Email__c="old@northwind.example"
        )
        on.settle()
        assert erp_customer(on)["email"] == "payables@northwind.example"
        assert names(on) == ["Northwind Robots, Inc."]
        assert sorted(of_the_portal(on)) == [
            ("customer.updated", ledger.MADE, ""), ("customer.updated.unseen", ledger.IGNORED, "unknown_type"),
        ]  # fmt: skip
        assert on.differences() == []


def test_a_buyer_who_calls_itself_otherwise_than_the_crm_is_a_case_and_the_erp_keeps_the_name() -> None:
    with scene(customer=False) as on:
        onboarded(on)
        (buyer,) = on.stripe.tables["customers"]
        before = names(on)
        on.stripe.change_customer(buyer, name="Northwind Holdings")
        on.settle()
        assert of_the_portal(on) == [("customer.updated", ledger.CASE, "not_its_owner")]
        assert names(on) == before


def test_a_customer_that_billing_made_and_changed_is_made_and_changed_in_the_erp_and_a_deleted_one_is_left() -> None:
    with scene(customer=False) as on:
        buyer = on.stripe.add_customer("Initech Inc", "ap@initech.example")["id"]
        on.stripe.change_customer(buyer, name="Initech Group Inc")
        on.settle()
        assert names(on) == ["Initech Group Inc"]
        on.stripe.change_customer(buyer, phone="+1 212 555 0100")
        on.stripe.tables["customers"][buyer]["deleted"] = True
        on.settle()
        told = [(state, code) for _, state, code in of_the_portal(on)]
        assert sorted(told) == [(ledger.IGNORED, "not_for_us"), (ledger.MADE, "")]


def test_a_customer_of_chargebee_that_changes_reaches_the_legacy_erp_once_more() -> None:
    with scene(customer=False) as on:
        site = on.sandboxes.of(Chargebee).events
        born = site.occur("customer_created")["content"]["customer"]
        on.settle()
        site.occur(
            "customer_changed", id=born["id"], resource_version=born["resource_version"] + 1000, company="Falken AG"
        )
        on.settle()
        assert sorted((item["type"], item["state"]) for item in on.events()) == [
            ("customer_changed", ledger.MADE), ("customer_created", ledger.MADE),
        ]  # fmt: skip
        assert len({item["ref"] for item in on.postings("customer")}) == 1


# --- written to Salesforce -----------------------------------------------------------------------------------------
ACCOUNTS = Route("accounts", "salesforce", "acme")


def written(on: Scene) -> list[dict[str, Any]]:
    return [row for row in on.sandboxes.salesforce.rows["Account"].values() if row.get("TieoutKey__c")]


def test_a_customer_made_in_billing_becomes_an_account_whose_own_event_is_an_echo_and_a_person_s_edit_is_not() -> None:
    with routed(ACCOUNTS), scene(customer=False) as on:
        on.stripe.add_customer("Initech Inc", "ap@initech.example")
        on.settle()
        (account,) = written(on)
        assert (account["Name"], account["Selling_Entity__c"]) == ("Initech Inc", "US01")
        assert of_accounts(on) == [(ledger.IGNORED, "echo")]
        on.sandboxes.salesforce.change_account(account["Id"], Name="Initech Group Inc")
        on.settle()
        assert of_accounts(on) == [(ledger.IGNORED, "echo"), (ledger.MADE, "")]
        assert names(on) == ["Initech Group Inc"]
        assert len(written(on)) == 1
        assert on.differences() == []


def test_a_customer_that_comes_from_the_org_is_not_written_back_to_it_and_without_a_row_nobody_is() -> None:
    with routed(ACCOUNTS), scene(customer=False) as on:
        onboarded(on)
        assert written(on) == []
    with scene(customer=False) as on:
        on.stripe.add_customer("Initech Inc", "ap@initech.example")
        on.settle()
        assert written(on) == []
