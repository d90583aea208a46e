"""The warehouse behind the books, in the world on moto: what was accepted is loaded once, by either way."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from infra.local.sandbox import Fault
from infra.local.sandbox.extract import Lake
from infra.local.sandbox.snowflake import Snowflake
from tests.e2e.scene import Scene, scene
from tests.routed import routed
from tieout.core import ledger
from tieout.core.routing import Route
from tieout.core.writes import Item


def to(system: str) -> Route:
    """The row that switches it on."""
    return Route("warehouse", system, "acme", entity="US01")


def loads(on: Scene) -> list[Item]:
    """The postings at the warehouse."""
    return sorted((item for item in on.items("posting") if item["step"] == "load"), key=lambda item: str(item["key"]))


def story(on: Scene) -> None:
    """An invoice that is paid, and one that is voided."""
    paid, void = on.bill(), on.bill(20_000)
    on.settle()
    on.stripe.pay(paid["id"])
    on.stripe.void(void["id"])
    on.settle()


@pytest.mark.parametrize("system", ["snowflake", "extract"])
def test_what_the_books_accepted_is_loaded_once_and_ties_out(system: str) -> None:
    with routed(to(system)), scene() as on:
        story(on)
        done = [(item["kind"], item["action"]) for item in loads(on)]
        assert sorted(done) == [
            ("invoice", "create"), ("invoice", "create"), ("invoice", "void"), ("payment", "create"),
        ]  # fmt: skip
        assert {item["state"] for item in loads(on)} == {ledger.POSTED}
        book = on.sandboxes.book(system, "acme")
        assert sorted((one.kind, one.total_minor) for one in book) == [
            ("invoice", 10_000), ("invoice", 20_000), ("payment", 10_000),
        ]  # fmt: skip
        assert on.differences() == []


def test_a_row_says_when_it_happened_and_into_which_period_it_was_booked() -> None:
    with routed(to("snowflake")), scene() as on:
        on.bill()
        on.settle()
        [row] = on.sandboxes.of(Snowflake).rows.values()
        [posting] = [item for item in on.postings() if item["step"] == "post"]
        assert row["AMOUNT"] == Decimal("100.000000000")
        assert row["POSTING_PERIOD"] == posting["posting_date"][:7]
        assert (row["BOOKED_AT"], row["BOOKED_AS"]) == ("netsuite:acme", posting["remote"])
        assert row["EVENT_TIME"].endswith("Z")


def test_a_statement_that_goes_on_is_delivered_and_acknowledged_later() -> None:
    with routed(to("snowflake")), scene() as on:
        on.sandboxes.of(Snowflake).runs = 50
        on.bill()
        on.settle()
        [load] = loads(on)
        assert load["state"] == ledger.POSTED
        assert "DELIVERED" in [line["to"] for line in load["history"]]
        assert on.differences() == []


def test_what_snowflake_ran_without_answering_is_there_once() -> None:
    with routed(to("snowflake")), scene() as on:
        on.sandboxes.faults.add(Fault("commit_then_drop", "POST /snowflake/acme/api/v2/statements"))
        on.bill()
        on.settle()
        assert [item["state"] for item in loads(on)] == [ledger.POSTED]
        assert len(on.sandboxes.of(Snowflake).rows) == 1
        assert on.differences() == []


def test_a_job_that_fails_is_a_case_and_holds_no_book_back() -> None:
    with routed(to("snowflake")), scene() as on:
        there = on.sandboxes.of(Snowflake)
        there.broken = "Table 'TIEOUT_DOCUMENTS' does not exist or not authorized"
        invoice = on.bill()
        on.settle()
        on.stripe.pay(invoice["id"])
        on.settle()
        assert {(item["state"], item["code"]) for item in loads(on)} == {(ledger.REFUSED, "target_no_such_thing")}
        assert {item["state"] for item in on.postings("payment") if item["step"] == "post"} == {ledger.POSTED}


def test_every_manifest_holds() -> None:
    with routed(to("extract")), scene() as on:
        story(on)
        on.world.advance(timedelta(minutes=1))
        rows, wrong = on.sandboxes.of(Lake).load()
        assert (len(rows), wrong) == (4, [])


def test_without_a_row_nothing_is_loaded() -> None:
    with scene() as on:
        story(on)
        assert loads(on) == []
        assert on.sandboxes.of(Lake).load() == ({}, [])
