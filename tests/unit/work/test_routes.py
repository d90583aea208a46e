"""A route back into the books that a document came from; those to who cannot do it: `tests/e2e/test_routes.py`."""

from __future__ import annotations

from tests.routed import routed
from tests.toy import stage
from tieout.core import ledger
from tieout.core.problems import PROBLEMS
from tieout.core.routing import Route


def test_a_document_of_the_books_is_not_led_back_into_the_account_that_it_came_from() -> None:
    with stage() as on, routed(Route("erp", "stripe", "acct_us", entity="US01", kind="invoice")):
        on.link("cus_1")
        on.take(on.event("invoice.finalized", id="in_1", customer="cus_1", number="INV-1"))
        on.settle()
        (event,) = (item for item in on.world.ledger.items.values() if item.get("what") == "event")
        assert (event["state"], event["code"]) == (ledger.CASE, "route_to_source")
        said = PROBLEMS["route_to_source"].say(event["facts"])
        assert said == "The route leads invoice of US01 back to stripe:acct_us, which it came from."
        assert on.postings() == []
