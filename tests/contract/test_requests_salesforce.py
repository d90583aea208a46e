"""What Salesforce is asked, and what it relays, against its own description."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from infra.accept import examples, outcome
from tests.contract.test_requests import CONTRACTS, load
from tieout import systems
from tieout.systems.salesforce.quotes import PROFILES
from tieout.systems.salesforce.reader import ACCOUNT, DEAL, LINE, MARKS, WON

pytestmark = pytest.mark.skipif(
    not CONTRACTS.is_dir(), reason=f"no vendor contracts at {CONTRACTS}: set CONTRACTS_DIR to run these tests"
)
#: Fields that an org has by a setting of its own: several currencies, and the picklists of states and countries.
BY_SETTING = {"CurrencyIsoCode", "BillingStateCode", "BillingCountryCode"}


def fields(name: str) -> set[str]:
    schemas = load("salesforce/openapi.v59.subset.json")["components"]["schemas"]
    return set(schemas[f"{name}SObject"]["properties"])


@pytest.mark.parametrize(("name", "asked"), [("Opportunity", DEAL), ("Account", ACCOUNT), ("OpportunityLineItem", LINE),
                                             ("Opportunity", WON), ("Account", MARKS)])  # fmt: skip
def test_every_standard_field_that_is_asked_for_exists(name: str, asked: tuple[str, ...]) -> None:
    assert {one for one in asked if not one.endswith("__c")} - BY_SETTING <= fields(name)


@pytest.mark.parametrize(
    ("name", "asked"), [("Order", PROFILES["orders"].head), ("OrderItem", PROFILES["orders"].line)]
)
def test_every_field_of_an_order_that_a_profile_names_exists(name: str, asked: Mapping[str, str]) -> None:
    assert {one for one in asked.values() if "." not in one} - BY_SETTING <= fields(name)


def test_every_standard_field_of_an_account_that_is_written_exists() -> None:
    made = [outcome(one) for one in examples() if one.mapping == "salesforce.customer"]
    written = {name for one in made for name in one.get("makes", {})}
    assert {"Name", "BillingCity"} <= written
    assert {one for one in written if not one.endswith("__c")} - BY_SETTING <= fields("Account")


def test_a_planted_mistake_is_seen() -> None:
    assert not {"LastStageChange"} <= fields("Opportunity")


@pytest.mark.parametrize(
    ("sample", "type_", "thin"),
    [("cdc.opportunity.closed_won", "opportunity.closed_won", True),
     ("cdc.account.gap_update", "account.changed", True), ("cdc.gap_overflow", "orderitem.gap_overflow", False)],
)  # fmt: skip
def test_the_published_change_events_are_read(sample: str, type_: str, thin: bool) -> None:
    [read] = systems.source("salesforce").read((CONTRACTS / f"salesforce/samples/{sample}.json").read_bytes())
    assert (read.type, read.thin) == (type_, thin)


def test_what_the_event_relay_puts_on_the_bus_is_read_and_known_by_its_id() -> None:
    relayed = json.loads((CONTRACTS / "salesforce/samples/eventbridge.event_relay.cdc.json").read_text("utf-8"))
    detail = relayed["event"]["detail"]
    [read] = systems.source("salesforce").read(json.dumps(detail).encode())
    assert read.event_id == f"{detail['id']}:006RM000001aBcDYAU"
    assert relayed["event"]["source"].startswith("aws.partner/salesforce.com/")
