"""Agreed quotes in each profile, read from the sandbox over HTTP into the one document that an ERP posts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from infra.local.sandbox.salesforce import Product, Salesforce
from tests.integration.systems.conftest import Bench
from tieout import systems
from tieout.aws.http import HttpWire
from tieout.contract import Read, Span
from tieout.core import documents
from tieout.core.documents import Quote
from tieout.core.verdicts import Ignore, NeedsHuman
from tieout.work import render

LINES = [Product("PRO", 10, "119.95"), Product("SETUP", 1, "800.00")]
every_profile = pytest.mark.parametrize("profile", ["cpq", "revenue_cloud", "orders"])


class Org:
    """The sandbox, and a wire to it by the settings of a profile."""

    def __init__(self, bench: Bench, profile: str) -> None:
        self.there = bench.sandboxes.of(Salesforce)
        self.there.quotes = self.profile = profile
        secret = self.there.secret()
        self.wire = HttpWire(systems.reader("salesforce"), "acme", lambda: secret, bench.now)
        (deal, *_) = self.there.opportunities()
        self.there.rows["Account"][deal["AccountId"]]["Selling_Entity__c"] = "US01"
        self.deal = deal

    def quote(self, **changes: Any) -> dict[str, Any]:
        return self.there.add_quote(self.deal["Id"], LINES, self.profile, **changes)

    def told(self, quote: Mapping[str, Any]) -> Read:
        return Read("e", "quote.accepted", quote["Id"], {}, self.there.now(), None, thin=True)

    def read(self, quote: Mapping[str, Any]) -> Read:
        return systems.reader("salesforce").again(self.wire, self.told(quote))


@every_profile
def test_an_agreed_quote_is_the_same_document_in_every_profile_and_adds_up(bench: Bench, profile: str) -> None:
    org = Org(bench, profile)
    quote = org.quote()
    org.there.agree(quote)
    doc = render.document("salesforce.quote", org.read(quote), "salesforce", "acme")
    documents.prove_totals(doc)
    assert isinstance(doc, Quote)
    assert (doc.amount.minor, doc.entity, doc.customer_id) == (199950, "US01", org.deal["AccountId"])
    assert [(line.product_id, line.net.minor) for line in doc.lines] == [("PRO", 119950), ("SETUP", 80000)]
    assert doc.number.startswith("Q-")


@every_profile
def test_a_quote_that_nobody_agreed_to_is_ignored(bench: Bench, profile: str) -> None:
    org = Org(bench, profile)
    with pytest.raises(Ignore, match="not_for_us"):
        org.read(org.quote())


@pytest.mark.parametrize(("profile", "change"), [
    ("cpq", {"SBQQ__Type__c": "Amendment"}), ("orders", {"IsReductionOrder": True}),
])  # fmt: skip
def test_what_changes_an_earlier_order_is_a_case(bench: Bench, profile: str, change: Mapping[str, Any]) -> None:
    org = Org(bench, profile)
    quote = org.quote(**change)
    org.there.agree(quote)
    with pytest.raises(NeedsHuman, match="quote_amends"):
        org.read(quote)


@every_profile
def test_the_listing_finds_what_was_agreed_and_nothing_else(bench: Bench, profile: str) -> None:
    org = Org(bench, profile)
    agreed, _open = org.quote(), org.quote()
    org.there.agree(agreed)
    now = org.there.now()
    span = Span(now - timedelta(minutes=1), now + timedelta(minutes=1), ("quote.accepted",))
    page = systems.lister("salesforce").listed(org.wire, span, "quotes")
    [read] = systems.source("salesforce").read(page.bodies[0])
    assert (read.object_id, read.type) == (agreed["Id"], "quote.accepted")


def test_a_sum_that_is_not_that_of_its_lines_is_never_posted(bench: Bench) -> None:
    org = Org(bench, "cpq")
    quote = org.quote(SBQQ__NetAmount__c=1)
    org.there.agree(quote)
    doc = render.document("salesforce.quote", org.read(quote), "salesforce", "acme")
    with pytest.raises(NeedsHuman):
        documents.prove_totals(doc)
