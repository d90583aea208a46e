"""Which changes of customers reach finance: of those that the books know or expect, and of those that are marked."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from tests.toy import Stage, stage
from tieout.contract import Read
from tieout.core import keys, ledger
from tieout.work import intake, make, reread
from tieout.work.ports import Message

IDENT = "001RM000cy2zDQJYA2"
WHO = f"salesforce:acme:{IDENT}"
LINK = keys.link_item("customer", WHO)
AT = "at:netsuite:acme"


@pytest.fixture
def on() -> Iterator[Stage]:
    with stage() as made:
        yield made


def change(on: Stage, version: int = 1_793_955_600_000, name: str = "Bluebird", **more: Any) -> dict[str, Any]:
    """Intake of one change of the account; what became of the event."""
    on.count += 1
    stamp = f"2026-11-06T09:00:{on.count:02d}.000+0000"
    body = json.dumps({"v": 1, "event_id": f"e{on.count}", "type": "account.changed", "commit_number": on.count,
                       "account": {"Id": IDENT, "SystemModstamp": stamp}}).encode()  # fmt: skip
    shown = {"Id": IDENT, "Name": name, "SystemModstamp": stamp, "Billing_Email__c": more.pop("email", None)}

    def again(wanted: Any, ports: Any, *, waiting: bool = False) -> reread.Found:
        (one,) = wanted
        facts = {"entity": None, "claimed": False, **more}
        whole = Read(one.read.event_id, one.read.type, IDENT, shown, one.read.occurred, version, **facts)
        return {one.event: reread.Whole(whole, "vault")}

    envelope = {
        "v": 1, "source": "salesforce", "account": "acme", "received_at": "2026-11-20T12:00:00.000Z",
        "delivery": keys.delivery_id("salesforce", "acme", body), "body_b64": base64.b64encode(body).decode(),
    }  # fmt: skip
    with patch.object(reread, "again", again):
        assert intake.intake([Message(f"m{on.count}", envelope)], on.world.ports()) == []
    return dict(on.world.ledger.items[keys.event("salesforce", "acme", f"e{on.count}")])


def link(on: Stage, **facts: str) -> None:
    on.world.ledger.items[LINK] = {"pk": LINK.pk, "sk": LINK.sk, "what": "link", **facts}


def posted(on: Stage) -> list[Any]:
    return [(item["state"], item.get("code")) for item in on.postings("customer")]


def test_a_prospect_is_ignored_with_its_reason_and_nothing_is_made(on: Stage) -> None:
    event = change(on, entity="US01")
    assert (event["state"], event["code"]) == (ledger.IGNORED, "not_for_us")
    assert "no customer in the books" in event["facts"]["reason"]
    assert on.postings() == []


def test_a_prospect_that_was_ignored_keeps_no_place_so_that_its_win_is_no_old_news(on: Stage) -> None:
    change(on, entity="US01")
    link(on, canonical=WHO, **{AT: "501", "of:US01": "E#x"})
    assert change(on)["state"] == ledger.MADE


def test_an_account_that_is_marked_for_finance_is_posted_though_the_books_do_not_know_it(on: Stage) -> None:
    assert change(on, entity="US01", claimed=True)["state"] == ledger.MADE
    on.settle()
    (posting,) = on.postings("customer")
    assert (posting["state"], posting["entity"], posting["target"]) == (ledger.POSTED, "US01", "netsuite:acme")
    assert on.world.ledger.items[LINK][AT] == posting["remote"]


def test_a_marked_account_that_names_no_entity_is_a_case(on: Stage) -> None:
    event = change(on, claimed=True)
    assert (event["state"], event["code"]) == (ledger.CASE, "unknown_entity")


def test_a_customer_of_the_books_is_posted_to_the_erp_of_who_sells_to_it(on: Stage) -> None:
    link(on, canonical=WHO, **{AT: "501", "of:US01": "E#x"})
    change(on)
    on.settle()
    (posting,) = on.postings("customer")
    assert (posting["state"], posting["entity"]) == (ledger.POSTED, "US01")


def test_two_entities_that_sell_to_it_are_not_guessed_between_unless_the_account_names_one(on: Stage) -> None:
    link(on, canonical=WHO, **{AT: "501", "of:US01": "E#x", "of:DE01": "E#y"})
    event = change(on)
    assert (event["state"], event["code"]) == (ledger.CASE, "customer_incomplete")
    assert "DE01 and US01" in event["facts"]["what"]
    assert change(on, entity="US01")["state"] == ledger.MADE


def test_a_customer_on_its_way_waits_for_onboarding_and_blocks_nothing_of_it(on: Stage) -> None:
    link(on, **{"of:US01": "E#x"})
    change(on)
    on.settle()
    (posting,) = on.postings("customer")
    assert (posting["state"], posting["code"]) == (ledger.HELD, "customer_not_linked")
    assert posting["lane"] == f"account:{WHO}"
    on.world.ledger.items[LINK] |= {"canonical": WHO, AT: "501"}
    on.probe(hours=1)
    on.settle()
    assert posted(on) == [(ledger.POSTED, None)]


def test_a_customer_that_the_erp_had_before_us_is_a_case_and_never_made_twice(on: Stage) -> None:
    link(on, canonical=WHO, **{AT: "77", "found:netsuite:acme": "77", "of:US01": "E#x"})
    change(on)
    on.settle()
    assert posted(on) == [(ledger.REFUSED, "customer_not_ours")]
    assert on.targets["netsuite"].book == {}


def test_an_account_is_the_customer_that_the_books_know_by_another_name(on: Stage) -> None:
    link(on, canonical="stripe:acct_us:cus_1", **{AT: "501", "of:US01": "E#x"})
    change(on)
    (posting,) = on.postings("customer")
    assert posting["party"] == "stripe:acct_us:cus_1"
    assert posting["ref"] == on.targets["netsuite"].reference.of("customer/stripe:acct_us:cus_1")


def test_an_older_state_is_old_news_and_the_same_state_told_another_way_a_duplicate(on: Stage) -> None:
    link(on, canonical=WHO, **{AT: "501", "of:US01": "E#x"})
    states = [change(on, version=version)["state"] for version in (20, 10, 20, 30)]
    assert states == [ledger.MADE, ledger.OLD_NEWS, ledger.DUPLICATE, ledger.MADE]


def test_the_win_of_a_deal_says_in_the_same_write_that_its_customer_is_expected(on: Stage) -> None:
    body = (Path(__file__).parents[3] / "events/salesforce/opportunity.closed_won.json").read_bytes()
    envelope = {
        "v": 1, "source": "salesforce", "account": "acme", "received_at": "2026-11-20T12:00:00.000Z",
        "delivery": "d", "body_b64": base64.b64encode(body).decode(),
    }  # fmt: skip
    assert intake.intake([Message("m", envelope)], on.world.ports()) == []
    found = on.world.ledger.items[LINK]
    assert found["of:US01"].startswith("E#")
    assert AT not in found


# --- whose word holds --------------------------------------------------------------------------------------------
BILLED = "stripe:acct_us:cus_1"
PORTAL = keys.link_item("customer", BILLED)


def portal_event(on: Stage, type_: str, **values: Any) -> dict[str, Any]:
    event = on.event(type_, id="cus_1")
    event["data"]["object"] |= values
    return event | {"id": f"evt_{on.count}"}


def in_the_portal(on: Stage, seconds: int = 0, **values: Any) -> dict[str, Any]:
    """Intake of a change of customer ``cus_1`` in the billing portal; what became of the event."""
    on.count += 1
    event = portal_event(on, "customer.updated", **values) | {"created": 1_793_633_400 + seconds}
    found = {"name": "Bluebird", **values, "id": "cus_1"}

    def again(wanted: Any, ports: Any, *, waiting: bool = False) -> reread.Found:
        return {
            one.event: reread.Whole(replace(one.read, object={**one.read.object, **found}, thin=False), "vault")
            for one in wanted
        }

    with patch.object(reread, "again", again):
        on.take(event)
    return dict(on.world.ledger.items[keys.event("stripe", "acct_us", event["id"])])


def onboarded(on: Stage, **facts: str) -> None:
    """A customer of the CRM's that is in billing and in the ERP."""
    at = {"canonical": WHO, AT: "501", "at:stripe:acct_us": "cus_1", "of:US01": "E#x", **facts}
    link(on, **at)
    on.world.ledger.items[PORTAL] = {"pk": PORTAL.pk, "sk": PORTAL.sk, "what": "link", **at}


def last(on: Stage) -> Any:
    posting = max(on.postings("customer"), key=lambda one: one["history"][0]["at"] + one["key"])
    return make.unpack(posting)


def test_what_a_buyer_changes_in_the_portal_reaches_the_erp_under_the_identity_of_the_books(on: Stage) -> None:
    onboarded(on)
    assert in_the_portal(on, email="new@bluebird.example")["state"] == ledger.MADE
    assert last(on).email == "new@bluebird.example"
    on.settle()
    (posting,) = on.postings("customer")
    assert (posting["state"], posting["party"], posting["lane"]) == (ledger.POSTED, WHO, f"account:{BILLED}")


def test_what_is_billing_s_to_say_is_left_out_of_the_crm_s_word_and_stays_where_billing_has_no_such_customer(
    on: Stage,
) -> None:
    onboarded(on)
    change(on, email="old@bluebird.example")
    assert last(on).email is None
    assert last(on).legal_name == "Bluebird"


def test_without_billing_the_crm_s_word_holds(on: Stage) -> None:
    link(on, canonical=WHO, **{AT: "501", "of:US01": "E#x"})
    change(on, email="old@bluebird.example")
    assert last(on).email == "old@bluebird.example"


def test_another_name_than_the_crm_gave_is_a_case_and_the_same_is_none(on: Stage) -> None:
    onboarded(on)
    change(on)
    assert in_the_portal(on, email="new@bluebird.example")["state"] == ledger.MADE
    event = in_the_portal(on, 1, name="Bluebird Holding")
    assert (event["state"], event["code"]) == (ledger.CASE, "not_its_owner")
    said = {"kind": "customer's legal_name", "owner": "salesforce", "source": "stripe"}
    assert said.items() <= event["facts"].items()
    assert "Bluebird" not in str(on.world.ledger.items[LINK]), "the link holds nobody's name"


def test_whom_billing_itself_has_brought_queues_behind_its_creation_and_is_nobody_else_s(on: Stage) -> None:
    on.take(portal_event(on, "customer.created", name="Bluebird") | {"created": 1_793_633_000})
    assert in_the_portal(on, name="Bluebird Holding", email="new@bluebird.example")["state"] == ledger.MADE
    assert last(on).legal_name == "Bluebird Holding"
    on.settle()
    postings = sorted(on.postings("customer"), key=lambda one: int(one["version"]))
    assert [one["lane"] for one in postings] == [f"customer:{BILLED}"] * 2
    assert [one["state"] for one in postings] == [ledger.POSTED, ledger.POSTED]


def test_a_customer_of_billing_that_nobody_has_told_of_is_none_of_finance_s(on: Stage) -> None:
    event = in_the_portal(on, email="new@bluebird.example")
    assert (event["state"], event["code"]) == (ledger.IGNORED, "not_for_us")


def test_one_whose_making_is_known_by_its_echo_only_is_who_its_metadata_says(on: Stage) -> None:
    on.world.ledger.items[PORTAL] = {"pk": PORTAL.pk, "sk": PORTAL.sk, "what": "link", "find": "cus_1"}
    in_the_portal(on, metadata={"canonical_id": WHO, "tieout_ref": "TIE-X"})
    (posting,) = on.postings("customer")
    assert (posting["party"], posting["reads"]) == (WHO, [list(LINK)])


def test_versions_of_two_sources_are_not_compared(on: Stage) -> None:
    onboarded(on)
    assert change(on, version=1_793_955_600_000)["state"] == ledger.MADE
    assert in_the_portal(on, email="new@bluebird.example")["state"] == ledger.MADE


def test_a_customer_of_billing_that_the_books_know_otherwise_is_not_made_again_when_its_creation_is_told(
    on: Stage,
) -> None:
    onboarded(on)
    on.take(portal_event(on, "customer.created", name="Bluebird"))
    on.settle()
    (posting,) = on.postings("customer")
    assert (posting["state"], posting["party"]) == (ledger.POSTED, WHO)
    assert on.world.ledger.items[PORTAL]["canonical"] == WHO
