"""The story of `make run`, played in process: every event ties out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from infra.local import story
from tests.e2e.scene import Scene, scene
from tieout.core import ledger
from tieout.core.ledger import chain_breaks


@pytest.fixture(scope="module")
def played() -> Iterator[tuple[Scene, story.Story]]:
    with scene(customer=False) as on:
        told = story.Story(on.world)
        for one in told.scenes:
            one.does()
            on.settle()
        yield on, told


Played = tuple[Scene, story.Story]


def test_everything_ties_out(played: Played) -> None:
    on, _ = played
    end = on.ending()
    assert end.tie.differences == ()
    assert end.differences == []
    counts = {row.name: row.count for row in end.tie.rows}
    assert counts == {"posted": 7, "superseded": 0, "compensated": 0, "ignored": 2, "duplicate": 1, "open": 1}


def test_the_invoice_that_the_erp_committed_without_answering_is_there_once_and_was_adopted(played: Played) -> None:
    on, told = played
    (posting,) = [item for item in on.postings() if item["source_id"] == told.invoices["us"]["id"]]
    notes = [line.get("note", {}).get("found") for line in posting["history"]]
    assert posting["state"] == ledger.POSTED
    assert "adopted" in notes
    assert sum(entry.external_ref == posting["ref"] for entry in on.in_netsuite()) == 1
    assert posting["total"] == told.invoices["us"]["total"]


def test_two_entities_are_on_two_erps_in_two_currencies(played: Played) -> None:
    on, _ = played
    placed = {(item["entity"], item["target"], item["currency"]) for item in on.postings()}
    assert placed == {("US01", "netsuite:acme", "USD"), ("DE01", "legacy:acme", "EUR")}


def test_the_payment_waited_for_its_invoice_and_followed_it(played: Played) -> None:
    on, _ = played
    (payment,) = on.postings("payment")
    codes = [line.get("note", {}).get("code") for line in payment["history"]]
    assert "parent_missing" in codes
    assert payment["state"] == ledger.POSTED
    (booked,) = on.in_netsuite("payment")
    assert booked.parent_ref in {entry.external_ref for entry in on.in_netsuite()}


def test_the_unmapped_tax_is_the_one_open_case_and_says_what_to_do(played: Played) -> None:
    on, _ = played
    (case,) = on.ending().cases
    assert case["code"] == "tax_code_not_mapped"
    assert "FR-VAT-20" in case["sentence"]
    assert case["owner"] == "finance-ops"


def test_the_crm_is_told_of_every_document_in_a_sentence(played: Played) -> None:
    on, _ = played
    said = on.sandboxes.salesforce.statuses()
    assert Counter(row["Status__c"] for row in said) == {"accepted": 7, "held": 1}
    assert all(row["Sentence__c"].endswith(".") for row in said)


def test_onboarding_linked_the_customer_in_every_system(played: Played) -> None:
    on, _ = played
    links = [item for item in on.items("link") if item["pk"].startswith("X#customer#salesforce:")]
    known = sorted(sorted(name for name in item if name.startswith("at:")) for item in links)
    assert known == [["at:legacy:acme", "at:stripe:acct_de"], ["at:netsuite:acme", "at:stripe:acct_us"]]


def test_every_history_chain_is_whole_and_holds_no_name_or_address(played: Played) -> None:
    on, _ = played
    postings = on.items("posting")
    assert len(postings) > 10
    for item in postings:
        assert chain_breaks(item["history"], item["tail"]) == []
        assert "Northwind" not in str(item["history"])
        assert ".example" not in str(item["history"]), "no e-mail address"


def test_nothing_is_left_in_a_queue_and_no_function_failed(played: Played) -> None:
    on, _ = played
    assert on.world.errors == []
    assert on.world.dropped == []
    left: dict[str, Any] = {name: queue._messages for name, queue in on.world.queues.all().items() if queue._messages}
    assert left == {}
