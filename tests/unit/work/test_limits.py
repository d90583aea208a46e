"""An amount above the limit waits, with a case, until a second person has approved it; then it is posted once."""

from __future__ import annotations

from collections.abc import Iterator
from unittest.mock import patch

import pytest

from tests.toy import Stage, stage
from tieout import tables
from tieout.core import ledger
from tieout.core.overrides import Override
from tieout.work.settle import NotAllowed, Wish, agree, offered, settle

CUSTOMER = "cus_1"


@pytest.fixture
def on() -> Iterator[Stage]:
    """A stage on which an invoice of the American company over one cent is above the limit."""
    with stage() as made:
        made.link(CUSTOMER)
        low = Override(
            "c1", "limits", "invoice:USD", {"value": 1}, made.world.ports().now().date(), entity="US01", why="a test"
        )
        changed = tables.load().overlaid([low])
        with patch.object(tables, "load", lambda: changed):
            yield made


def bill(on: Stage) -> None:
    on.take(on.event("invoice.finalized", id="in_1", customer=CUSTOMER, number="INV-1") | {"id": "evt_1"})
    on.settle()


def test_above_the_limit_it_is_held_with_a_case_and_goes_nowhere(on: Stage) -> None:
    bill(on)
    posting = on.one("invoice")
    assert (posting["state"], posting["code"]) == (ledger.HELD, "above_limit")
    assert posting["case"]["owner"] == "finance-ops"
    assert posting["hold"]["limit"] == "1"
    on.probe(minutes=10)
    on.settle()
    assert on.one("invoice")["state"] == ledger.HELD
    assert not on.targets["netsuite"].book


def act(on: Stage, action: str, by: str) -> None:
    wish = Wish(on.one("invoice")["key"], action, "compared with the contract")
    settle(on.world.ledger, wish, by, on.world.time, on.world.ports().token())


def agreed(on: Stage, by: str) -> None:
    agree(on.world.ledger, on.one("invoice")["key"], by, on.world.time, on.world.ports().token())


def test_once_two_people_have_approved_it_it_is_posted_once(on: Stage) -> None:
    bill(on)
    assert "approve" in offered(on.one("invoice"))
    act(on, "approve", "anna")
    on.probe(minutes=10)
    on.settle()
    assert on.one("invoice")["state"] == ledger.HELD, "one person alone approves nothing"
    with pytest.raises(NotAllowed):
        agreed(on, "anna")
    agreed(on, "ben")
    approved = on.one("invoice")["approved"]
    assert (approved["asked"], approved["by"], approved["total"]) == ("anna", "ben", on.one("invoice")["total"])
    on.probe(minutes=10)
    on.settle()
    posting = on.one("invoice")
    assert posting["state"] == ledger.POSTED
    assert [line["note"]["action"] for line in posting["history"] if "action" in line.get("note", {})] == ["approve"]
    assert len(on.targets["netsuite"].book) == 1


def test_a_release_alone_lets_no_amount_through(on: Stage) -> None:
    bill(on)
    act(on, "release", "anna")
    on.probe(minutes=10)
    on.settle()
    assert (on.one("invoice")["state"], on.one("invoice")["code"]) == (ledger.HELD, "above_limit")


def test_what_waits_for_something_else_takes_no_approval(on: Stage) -> None:
    bill(on)
    assert "approve" not in offered(on.one("invoice") | {"code": "period_closed"})
