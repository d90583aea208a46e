"""HubSpot against its sandbox: what is its own beside the law of all targets."""

from __future__ import annotations

from typing import Any

import pytest

from infra.local.sandbox import Fault
from infra.local.sandbox.hubspot import HubSpot
from tests.integration.systems.cases.hubspot import Case
from tests.integration.systems.conftest import Bench
from tieout import systems
from tieout.contract import Read, Work
from tieout.core.exchange import Request
from tieout.core.parse import write_json
from tieout.core.verdicts import NeedsHuman, TryAgain, Uncertain

UPSERT = "POST /hubspot/24881733/crm"


@pytest.fixture
def there(bench: Bench) -> Case:
    return Case(bench)


def portal(there: Case) -> HubSpot:
    return there.bench.sandboxes.of(HubSpot)


def on_a_deal(there: Case, deal: str, version: int = 1) -> Work:
    properties = {**there.payload("status", "upsert")["properties"], "tieout_version": str(version)}
    return there.make("status", "upsert", "deal", deal=deal, properties=properties)


def test_what_became_of_a_deal_is_shown_on_the_deal_and_a_look_proves_its_version(there: Case) -> None:
    deal = portal(there).add_deal()
    first, second = on_a_deal(there, deal["id"], 1), on_a_deal(there, deal["id"], 2)
    assert there.found(first) == "absent"
    assert there.post(first).remote == deal["id"]
    assert there.found(first) == "complete"
    assert there.found(second) == "absent"
    there.post(second)
    assert there.found(first) == "complete", "a newer one stands for it"
    assert deal["properties"]["tieout_status"] == "accepted"
    assert portal(there).rows["p_tieout_status"] == {}


def test_a_deal_that_is_gone_is_refused_and_its_status_is_absent(there: Case) -> None:
    work = on_a_deal(there, "404")
    with pytest.raises(NeedsHuman, match="target_no_such_thing"):
        there.target.send(there.wire, [work])
    assert there.found(work) == "absent"


def test_a_batch_that_is_half_done_under_207_is_a_refusal_in_hubspot_s_words(there: Case) -> None:
    there.bench.sandboxes.faults.add(Fault("ok_with_errors", UPSERT))
    with pytest.raises(NeedsHuman, match="VALIDATION_ERROR"):
        there.target.send(there.wire, [there.work("status", "upsert")])


@pytest.mark.parametrize("daily", [False, True])
def test_a_429_names_its_policy_and_is_tried_again(there: Case, daily: bool) -> None:
    there.bench.sandboxes.faults.add(Fault("rate_limit", UPSERT, args={"retry_after": 7, "daily": daily}))
    with pytest.raises(TryAgain, match="DAILY" if daily else "TEN_SECONDLY") as said:
        there.target.send(there.wire, [there.work("status", "upsert")])
    assert said.value.facts["after"] == "7"


def test_the_search_lags_and_is_not_asked(there: Case) -> None:
    work = there.work("status", "upsert")
    there.post(work)
    assert there.bench.find(there.wire, there.target, work).state == "complete"
    assert there.bench.sandboxes.calls("search") == []


def test_a_number_among_the_properties_is_refused_by_hubspot(there: Case) -> None:
    work = there.work("status", "upsert")
    request = Request.load(work.payload)
    body: Any = {"inputs": [{"id": work.ref, "idProperty": "tieout_key", "properties": {"tieout_version": 3}}]}
    answer = there.wire.call("POST", request.path, headers=request.headers, body=write_json(body))
    assert answer.status == 207


def test_an_answer_that_shows_another_key_is_read_back_and_never_taken(there: Case) -> None:
    work = there.work("status", "upsert")
    there.bench.sandboxes.faults.add(Fault("truncated", UPSERT))
    with pytest.raises(Uncertain):
        there.target.send(there.wire, [work])
    assert there.found(work) == "complete"


def test_a_company_that_was_merged_is_read_under_the_id_of_its_survivor(there: Case) -> None:
    company = portal(there).add("companies", {"name": "Northwind Traders Inc"})["id"]
    read = Read("e1", "company.changed", company, {"objectId": company}, there.bench.now(), thin=True)
    struck = there.bench.sandboxes.faults.add(Fault("merged_customer", f"GET .*/companies/{company}"))
    whole = systems.reader("hubspot").again(there.wire, read)
    assert struck.struck == 1
    assert whole.object["id"] != company, "another company answers now"
    assert whole.object["properties"]["hs_merged_object_ids"] == company
    assert whole.object["properties"]["name"] == "Northwind Traders Inc"
    assert whole.object_id == company, "and the event stays about the one that it told of"
