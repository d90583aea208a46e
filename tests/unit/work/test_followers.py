"""What follows of itself: off without a route, written with what it follows, and never in the way of the books."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.routed import routed
from tests.toy import Stage, refuses, stage
from tieout import flows
from tieout.core import keys, ledger
from tieout.core.documents import Ticket
from tieout.core.keys import Key
from tieout.core.lookup import Row, Table
from tieout.core.routing import Route
from tieout.core.verdicts import NeedsHuman
from tieout.core.writes import Item
from tieout.work import ask, make, render, settle

CUSTOMER = "cus_1"
SUPPORT = Route("support", "zendesk", "acme", entity="US01")


@pytest.fixture
def on() -> Iterator[Stage]:
    with stage() as made:
        made.link(CUSTOMER)
        yield made


def invoice(on: Stage, number: int = 1) -> None:
    fields = {"id": f"in_{number}", "customer": CUSTOMER, "number": f"INV-{number}"}
    on.take(on.event("invoice.finalized", **fields) | {"id": f"evt_{number}"})


def refused(on: Stage, times: int = 1) -> Item:
    on.targets["netsuite"].trouble += [refuses(NeedsHuman("target_refused", said="no such item"))] * times
    invoice(on)
    on.settle()
    return on.one("invoice")


def retry(on: Stage, posting: Item) -> None:
    wish = settle.Wish(posting["key"], "retry", "the item is there now")
    settle.settle(on.world.ledger, wish, "anna", on.world.ports().now(), "t1")
    on.probe(seconds=1)
    on.settle()


def test_without_a_route_a_refusal_makes_no_ticket_and_nothing_of_it_is_on_the_posting(on: Stage) -> None:
    posting = refused(on)
    assert posting["state"] == ledger.REFUSED
    assert on.postings("ticket") == []
    assert not {"support", "tickets", "then"} & set(posting)


def test_a_refusal_makes_one_ticket_with_the_sentence_and_whose_it_is(on: Stage) -> None:
    with routed(SUPPORT):
        posting = refused(on)
        ticket = on.one("ticket")
        assert (ticket["state"], ticket["target"], ticket["action"]) == (ledger.POSTED, "zendesk:acme", "create")
        assert ticket["lane"] == "ticket:stripe:acct_us:invoice.in_1.create.g0"
        assert posting["tickets"] == 1
        assert ticket["event"] == posting["event"]


def test_the_ticket_says_what_happened_and_names_no_customer(on: Stage) -> None:
    with routed(SUPPORT):
        on.targets["netsuite"].trouble.append(refuses(NeedsHuman("target_refused", said="no such item")))
        invoice(on)
        on.post()
        doc = make.unpack(on.one("ticket"))
        assert isinstance(doc, Ticket)
        assert doc.body
        assert doc.subject == "Invoice INV-1 is not in the books"
        assert "no such item" in doc.body
        assert doc.state == "open"
        assert (doc.about_kind, doc.about_id) == ("invoice", "in_1")


def test_a_second_refusal_and_the_end_change_the_same_ticket_in_order(on: Stage) -> None:
    with routed(SUPPORT):
        posting = refused(on, times=2)
        retry(on, posting)
        assert on.one("invoice")["state"] == ledger.REFUSED
        retry(on, on.one("invoice"))
        assert on.one("invoice")["state"] == ledger.POSTED
        assert on.targets["zendesk"].order == ["ticket.create", "ticket.update", "ticket.update"]
        assert len({item["ref"] for item in on.postings("ticket")}) == 1, "one ticket"
        assert {item["state"] for item in on.postings("ticket")} == {ledger.POSTED}


def test_what_was_never_refused_tells_support_nothing(on: Stage) -> None:
    with routed(SUPPORT):
        invoice(on)
        on.settle()
        assert on.one("invoice")["state"] == ledger.POSTED
        assert on.postings("ticket") == []


def test_a_ticket_is_filed_under_the_customer_where_support_knows_it(on: Stage) -> None:
    with routed(SUPPORT):
        link = keys.link_item("customer", f"stripe:acct_us:{CUSTOMER}")
        on.world.ledger.items[link]["at:zendesk:acme"] = "9001"
        refused(on)
        assert list(link) in on.one("ticket")["reads"]


def test_support_that_is_down_holds_no_invoice_back(on: Stage) -> None:
    with routed(SUPPORT):
        on.targets["zendesk"].trouble += [refuses(NeedsHuman("target_forbidden"))] * 3
        refused(on)
        invoice(on, 2)
        on.settle()
        states = {item["source_id"]: item["state"] for item in on.postings("invoice")}
        assert states == {"in_1": ledger.REFUSED, "in_2": ledger.POSTED}
        assert on.one("ticket")["state"] == ledger.REFUSED


def test_a_route_is_of_one_entity_only(on: Stage) -> None:
    with routed(Route("support", "zendesk", "acme", entity="DE01")):
        refused(on)
        assert on.postings("ticket") == []


def test_an_accepted_customer_is_followed_by_its_standing_at_support(on: Stage) -> None:
    with routed(SUPPORT):
        on.take(on.event("customer.created", id="cus_9") | {"id": "evt_c"})
        on.settle()
        (follower,) = [item for item in on.postings("customer") if item["step"] == "support"]
        (first,) = [item for item in on.postings("customer") if item["step"] == "post"]
        assert (follower["state"], follower["after"]) == (ledger.POSTED, first["key"])
        assert follower["lane"] == "support-" + first["lane"]
        link = on.world.ledger.items[keys.link_item("customer", "stripe:acct_us:cus_9")]
        assert link["at:zendesk:acme"] == follower["remote"]


def test_a_customer_follows_into_the_crm_unless_it_comes_from_that_very_account(on: Stage) -> None:
    with routed(Route("accounts", "salesforce", "acme")):
        on.take(on.event("customer.created", id="cus_9") | {"id": "evt_c"})
        known = {"tieout_ref": None, "canonical_id": "salesforce:acme:001"}
        on.take(on.event("customer.created", id="cus_8", metadata=known) | {"id": "evt_d"})
        on.settle()
        told = [(item["source_id"], item["state"]) for item in on.postings("customer") if item["step"] == "accounts"]
        assert told == [("cus_9", ledger.POSTED)]
        assert len([item for item in on.postings("customer") if item["step"] == "post"]) == 2


def test_a_follower_is_written_with_the_acceptance_and_not_before(on: Stage) -> None:
    with routed(SUPPORT):
        on.targets["netsuite"].trouble.append(refuses(NeedsHuman("target_refused")))
        on.take(on.event("customer.created", id="cus_9") | {"id": "evt_c"})
        on.settle()
        assert [item["step"] for item in on.postings("customer")] == ["post"]
        retry(on, on.one("customer"))
        assert sorted(item["step"] for item in on.postings("customer")) == ["post", "support"]


def test_a_route_to_a_system_that_cannot_do_it_stops_the_event_and_not_the_booking(on: Stage) -> None:
    with routed(SUPPORT):
        on.targets["zendesk"].actions = {}
        on.take(on.event("customer.created", id="cus_9") | {"id": "evt_c"})
        event = on.world.ledger.items[Key("E#stripe:acct_us:evt_c")]
        assert (event["state"], event["code"]) == (ledger.CASE, "route_unable")


def test_a_load_stands_in_no_lane_and_reads_only_the_acceptance(on: Stage) -> None:
    with routed(Route("warehouse", "snowflake", "acme", entity="US01")):
        invoice(on)
        on.settle()
        (load,) = [item for item in on.postings("invoice") if item["step"] == "load"]
        (booked,) = [item for item in on.postings("invoice") if item["step"] == "post"]
        assert load["state"] == ledger.POSTED
        assert "lane" not in load
        assert load["reads"] == [list(keys.posting_item(booked["key"]))]


def test_a_tax_that_waits_for_a_person_holds_up_its_own_lane_only(on: Stage) -> None:
    with routed(Route("tax", "avalara", "acme", entity="US01"), Route("warehouse", "snowflake", "acme")):
        on.targets["avalara"].trouble.append(refuses(NeedsHuman("target_refused")))
        invoice(on)
        on.settle()
        on.take(on.event("invoice.voided", id="in_1", customer=CUSTOMER, number="INV-1") | {"id": "evt_v"})
        on.settle()
        states = {(item["step"], item["action"]): item["state"] for item in on.postings("invoice")}
        assert states == {
            ("post", "create"): ledger.POSTED, ("post", "void"): ledger.POSTED,
            ("load", "create"): ledger.POSTED, ("load", "void"): ledger.POSTED,
            ("tax", "create"): ledger.REFUSED, ("tax", "void"): ledger.NEW,
        }  # fmt: skip


def test_an_amount_and_a_period_that_were_let_through_are_not_asked_about_again(on: Stage) -> None:
    with routed(Route("warehouse", "snowflake", "acme")):
        invoice(on)
        on.settle()
        (load,) = [item for item in on.postings("invoice") if item["step"] == "load"]
        ports = on.world.ports()
        assert "posting_date" not in load
        low = Table("limits", [Row("*", {"value": 1})], owner="x", version="1")
        with routed(limits=low):
            assert render.rules(ports, {**load, "after": ""}).limit == 1
            assert render.rules(ports, load).limit is None


def test_whatever_the_books_take_is_loaded_and_its_refusal_is_told_from_whichever_source_it_came() -> None:
    booked = [flow for flow in flows.FLOWS if flow.makes in ("invoice", "credit_note", "payment")]
    assert len(booked) > 6
    for flow in booked:
        (step,) = flow.steps
        loads = [(one.kind, one.action) for one in flow.then if one.role == "warehouse"]
        assert loads == [(step.kind, step.action)], flow.name
        assert flow.support == "support", flow.name


def test_the_desk_counts_a_document_once_whatever_follows_it(on: Stage) -> None:
    with routed(Route("warehouse", "snowflake", "acme"), Route("tax", "avalara", "acme")):
        invoice(on)
        on.settle()
        lines = [ask.read_line(item, on.world.ports().now()) for item in on.postings("invoice")]
        assert len(lines) == 3
        summed = ask.total_of(lines)
        assert (summed.count, [one.minor for one in summed.money]) == (3, [on.postings("invoice")[0]["total"]])


def test_every_step_that_follows_has_a_name_of_its_own_in_its_flow() -> None:
    for flow in flows.FLOWS:
        names = [step.name for step in (*flow.steps, *flow.then)]
        assert len(names) == len(set(names)), flow.name
        posts = {step.name for step in flow.steps if step.does == "post"}
        assert not posts & ask.FOLLOWERS, f"{flow.name}: the desk knows a follower by its step's name"
