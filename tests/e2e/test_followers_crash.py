"""Environments die while something follows the books: it is recorded, loaded and told once all the same."""

from __future__ import annotations

import io
from contextlib import redirect_stdout

import pytest

from infra.local import story
from infra.local.functions import Crash
from infra.local.sandbox.avalara import Avalara
from infra.local.sandbox.snowflake import Snowflake
from infra.local.sandbox.zendesk import Zendesk
from tests.e2e.scene import Scene, scene
from tests.e2e.test_support import refused
from tests.e2e.test_tax import PLACE
from tests.routed import routed
from tieout.core import ledger
from tieout.core.routing import Route

ROUTES = tuple(
    Route(role, system, "acme", entity="US01")
    for role, system in (("tax", "avalara"), ("warehouse", "snowflake"), ("support", "zendesk"))
)
GAPS = {
    "between a booking and what it sends": ("before post sqs.SendMessageBatch", 1),
    "right after a booking": ("after post dynamodb.TransactWriteItems", 2),
    "after AvaTax recorded": ("after post http.POST:avalara", 1),
    "before AvaTax saw anything": ("before post http.POST:avalara", 1),
    "after Snowflake ran": ("after post http.POST:snowflake", 1),
    "between Snowflake's statement and the look at its row": ("before post http.POST:snowflake", 2),
    "after Zendesk made the ticket": ("after post http.POST:zendesk", 1),
}


def end(on: Scene) -> None:
    """Until nothing moves, with everything that takes its time."""
    on.world.boundary = None
    with redirect_stdout(io.StringIO()):
        on.world.run(limit=story.PATIENCE)


@pytest.mark.parametrize("gap", GAPS)
def test_a_crash_behind_the_books_doubles_nothing_and_loses_nothing(gap: str) -> None:
    where, number = GAPS[gap]
    passed: list[str] = []

    def die(at: str) -> None:
        if at.startswith(where):
            passed.append(at)
            if len(passed) == number:
                raise Crash(at)

    with routed(*ROUTES), scene() as on:
        on.stripe.tables["customers"][on.customer]["address"] |= PLACE
        on.world.boundary = die
        on.bill()
        on.settle()
        refused(on)
        end(on)
        assert len(passed) >= number, "nobody died"
        states = {
            (item["source_id"], item["step"]): item["state"] for item in on.items("posting") if item["kind"] != "status"
        }
        assert sorted(states.values()) == [ledger.POSTED] * 4 + [ledger.REFUSED]
        assert len(on.sandboxes.of(Avalara).rows) == len(on.sandboxes.of(Snowflake).rows) == 1
        assert len(on.sandboxes.of(Zendesk).tickets) == 1
        assert on.differences() == []
