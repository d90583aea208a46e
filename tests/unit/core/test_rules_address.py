"""Where a document is supplied, as billing systems say it, and how AvaTax spells it."""

from __future__ import annotations

from tieout.core.documents import Address
from tieout.core.rules.avalara import avalara_address
from tieout.core.rules.chargebee import chargebee_ship_to
from tieout.core.rules.stripe import stripe_ship_to
from tieout.core.rules.zendesk import whole_number, zendesk_priority

HERE = {"line1": "1 Road", "city": "Brooklyn", "state": "NY", "postal_code": "11201", "country": "US"}
THERE = {**HERE, "line1": "2 Street"}


def test_the_shipping_address_goes_before_the_customers_and_half_an_address_is_none() -> None:
    both = stripe_ship_to({"customer_address": HERE, "customer_shipping": {"address": THERE}})
    assert both is not None
    assert both.line1 == "2 Street"
    half = {"customer_address": HERE, "customer_shipping": {"address": {"country": "US"}}}
    assert stripe_ship_to(half) == stripe_ship_to({"customer_address": HERE})
    assert stripe_ship_to({"customer_address": {"country": "US"}, "customer_shipping": None}) is None
    assert stripe_ship_to({}) is None
    assert stripe_ship_to({"customer_address": {**HERE, "country": "Utopia"}}) is None


def test_chargebee_ships_where_it_says_and_else_where_it_bills() -> None:
    found = chargebee_ship_to({"billing_address": HERE, "shipping_address": {"line1": "2 Street"}})
    assert found is not None
    assert found.line1 == "1 Road"
    assert chargebee_ship_to({"billing_address": None}) is None


def test_an_address_is_spelled_the_same_from_a_document_and_from_the_ledger() -> None:
    address = Address(line1="1 Road", city="Brooklyn", region="NY", postal_code="11201", country="US")
    spelled = {"line1": "1 Road", "city": "Brooklyn", "region": "NY", "postalCode": "11201", "country": "US"}
    assert avalara_address(address) == avalara_address(address.model_dump(exclude_none=True)) == spelled
    assert avalara_address(None) is avalara_address({}) is None


def test_words_of_zendesk_that_say_nothing_give_nothing() -> None:
    assert (zendesk_priority("URGENT"), zendesk_priority("-"), zendesk_priority(None)) == ("urgent", None, None)
    assert (whole_number("9001"), whole_number("TIE"), whole_number(None)) == (9001, None, None)
