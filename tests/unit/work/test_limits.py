"""An amount above the limit waits, with a case, until a second person has approved it; then it is posted once."""

from __future__ import annotations

from collections.abc import Iterator
from unittest.mock import patch

import pytest

from tests.toy import Stage, stage
from tieout import tables
from tieout.core import ledger
from tieout.core.keys import Key
from tieout.core.overrides import Override

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


def test_once_approved_it_is_posted_once(on: Stage) -> None:
    bill(on)
    posting = on.one("invoice")
    kept = on.world.ledger.items[Key(posting["pk"], posting["sk"])]
    kept["approved"] = {"by": "ben", "at": posting["updated"], "why": "compared with the contract"}
    on.probe(minutes=10)
    on.settle()
    assert on.one("invoice")["state"] == ledger.POSTED
    assert len(on.targets["netsuite"].book) == 1
