"""Environments die at AWS and target calls; afterwards everything ties out.

A crash is an exception that nothing in the product can catch: the call before or after it is the last thing the
environment did, and the next one starts with nothing in memory. Every single place, with a real SIGKILL, is the matter
of `tests.e2e.test_process_death`; here several crashes meet in one story, file drop and second legal entity included.
"""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from contextlib import redirect_stdout

import pytest

from infra.local import story
from infra.local.functions import Crash
from tests.e2e.scene import Scene, scene
from tieout.core import ledger

#: How many calls of the story are counted before a seed picks those at which an environment dies.
CALLS = 700
CRASHES = 4


class Reaper:
    """Kills the environment at the n-th boundary it passes, for each n chosen; remembers where that was."""

    def __init__(self, at: set[int]) -> None:
        self.at, self.passed, self.killed = at, 0, list[str]()

    def __call__(self, where: str) -> None:
        self.passed += 1
        if self.passed in self.at:
            self.killed.append(where)
            raise Crash(where)


def play(on: Scene, boundary: Callable[[str], None] | None) -> None:
    told = story.Story(on.world)
    on.world.boundary = boundary
    for one in told.scenes:
        one.does()
        on.settle()
    on.world.boundary = None
    with redirect_stdout(io.StringIO()):
        on.world.run(limit=story.PATIENCE)


@pytest.mark.parametrize("seed", range(3))
def test_crashes_at_random_calls_of_the_story_lose_and_double_nothing(seed: int) -> None:
    chosen = random.Random(seed)
    reaper = Reaper(set(chosen.sample(range(1, CALLS), CRASHES)))
    with scene(seed, customer=False) as on:
        play(on, reaper)
        end = on.ending()
        assert reaper.killed, "the seed killed nobody; the story has become shorter than CALLS"
        assert [*end.tie.differences, *end.differences] == [], f"after dying at {reaper.killed}"
        counts = {row.name: row.count for row in end.tie.rows}
        assert counts["open"] == 1, f"only the unmapped tax is open, after dying at {reaper.killed}: {end.cases}"
        assert counts["posted"] == 7


GAPS = {
    "between the ledger write and the send": "before intake sqs.SendMessageBatch",
    "between booking and the next of the lane": "before post sqs.SendMessageBatch",
    "right after the ledger write of intake": "after intake dynamodb.TransactWriteItems",
    "right after the claim": "after post dynamodb.TransactWriteItems",
    "after the target committed": "after post http.PUT:netsuite",
    "before the target saw anything": "before post http.PUT:netsuite",
    "after the vault, before the ledger": "after intake s3.PutObject",
    "after the inbox took the event, before the answer": "after receive sqs.SendMessage",
}


@pytest.mark.parametrize("gap", GAPS)
def test_a_crash_in_a_gap_is_found_and_finished(gap: str) -> None:
    struck: list[str] = []

    def once(where: str) -> None:
        if where == GAPS[gap] and not struck:
            struck.append(where)
            raise Crash(where)

    with scene(3) as on:
        on.world.boundary = once
        invoice = on.bill()
        on.stripe.pay(invoice["id"])
        on.settle()
        on.world.boundary = None
        assert struck == [GAPS[gap]]
        states = {item["key"].split("/")[0]: item["state"] for item in on.items("posting")}
        assert states == {"invoice": ledger.POSTED, "payment": ledger.POSTED, "status": ledger.POSTED}
        assert len(on.in_netsuite()) == 1
        assert len(on.in_netsuite("payment")) == 1
        assert len([row for row in on.sandboxes.salesforce.statuses() if row["Status__c"] == "accepted"]) == 2
        assert on.differences() == []


def test_a_crash_is_a_real_crash() -> None:
    """The guard of this file: without probe, the same gap leaves the invoice unsent for good."""

    def always(where: str) -> None:
        if where == GAPS["between the ledger write and the send"] or where.startswith("before probe"):
            raise Crash(where)

    with scene(3) as on:
        on.world.boundary = always
        on.bill()
        with redirect_stdout(io.StringIO()):
            for _ in range(5):
                on.world.pump()
                on.world.advance(400)
        assert [item["state"] for item in on.postings()] == [ledger.NEW]
        assert on.in_netsuite() == []
        on.world.boundary = None
        on.settle()
        assert [item["state"] for item in on.postings()] == [ledger.POSTED]
