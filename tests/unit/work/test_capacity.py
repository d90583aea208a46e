"""Capacity through the verbs: a target that is busy, silent, and back again, on toy targets."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.toy import Stage, refuses, stage
from tieout.core import ledger
from tieout.core.keys import Key
from tieout.core.verdicts import TryAgain, Uncertain
from tieout.core.writes import Item
from tieout.work import post, probe
from tieout.work.ports import Message

KEY = Key("B#netsuite:acme")


@pytest.fixture
def on() -> Iterator[Stage]:
    with stage() as made:
        made.link("cus_1")
        yield made


def invoices(on: Stage, *numbers: int) -> None:
    for number in numbers:
        event = on.event("invoice.finalized", id=f"in_{number}", customer="cus_1", number=f"INV-{number}")
        on.take(event | {"id": f"evt_{number}"})


def budget(on: Stage) -> Item:
    return on.world.ledger.items[KEY]


def test_a_429_halves_the_limit_pauses_the_account_and_good_answers_raise_it_again(on: Stage) -> None:
    on.targets["netsuite"].trouble.append(refuses(TryAgain("target_busy", after=999_999)))
    invoices(on, 1, 2, 3)
    on.post()
    assert on.targets["netsuite"].calls == 1, "the rest of the batch waits out the pause"
    assert (budget(on)["limit"], budget(on)["leases"]) == (1, {})
    assert ledger.instant(budget(on)["paused_until"]) - on.world.time == timedelta(seconds=900), "capped"
    on.probe(hours=2)
    on.settle()
    assert {posting["state"] for posting in on.postings("invoice")} == {ledger.POSTED}
    assert budget(on)["limit"] == 2
    assert len(on.targets["netsuite"].book) == 3


def test_two_batches_do_not_pass_a_limit_that_was_halved(on: Stage) -> None:
    on.world.ledger.items[KEY] = {
        "pk": KEY.pk, "sk": KEY.sk, "rev": 1, "limit": 1, "leases": {"other": "2026-11-20T13:00:00.000Z"},
    }  # fmt: skip
    invoices(on, 1)
    on.post()
    assert (on.one("invoice")["state"], on.one("invoice")["code"]) == (ledger.HELD, "budget_spent")
    assert on.targets["netsuite"].calls == 0


def test_a_silent_target_is_left_alone_after_five_calls_then_tried_by_one_batch(on: Stage) -> None:
    toy = on.targets["netsuite"]
    toy.trouble += [refuses(Uncertain("target_lost"))] * 5
    invoices(on, *range(1, 10))
    on.post()
    assert toy.calls == 5
    assert (budget(on)["trips"], budget(on)["failures"]) == (1, 0)
    held = [posting for posting in on.postings("invoice") if posting["state"] == ledger.HELD]
    assert {posting["code"] for posting in held} == {"target_paused"}
    assert len(held) == 4

    on.world.later(minutes=1)
    for posting in held:
        on.world.ledger.items[Key(posting["pk"], posting["sk"])]["released"] = ledger.stamp(on.world.time)
    seen: list[str] = []

    def within(toy: object, work: object) -> None:
        # While the trial's call is under way, another worker comes with the next posting: it must wait.
        toy_calls = on.targets["netsuite"].calls
        body = {"posting": held[1]["key"], "target": held[1]["target"], "lane": held[1]["lane"], "sends": 9}
        post.post([Message("other", body)], on.world.ports())
        assert on.targets["netsuite"].calls == toy_calls
        seen.append(on.world.ledger.items[Key(held[1]["pk"], held[1]["sk"])]["code"])
        raise Uncertain("target_lost")

    toy.trouble.append(within)
    body = {"posting": held[0]["key"], "target": held[0]["target"], "lane": held[0]["lane"], "sends": 9}
    post.post([Message("first", body)], on.world.ports())
    assert seen == ["target_paused"]
    assert (budget(on)["trips"], budget(on)["trial"]) == (2, {})
    paused = ledger.instant(budget(on)["paused_until"]) - on.world.time
    assert paused == timedelta(seconds=20), "the trial failed: twice the pause"

    for _ in range(4):
        on.probe(minutes=10)
        on.settle()
    assert {posting["state"] for posting in on.postings("invoice")} == {ledger.POSTED}
    assert (budget(on)["trips"], budget(on)["trial"], budget(on)["leases"]) == (0, {}, {})
    assert len(toy.book) == 9


def test_a_target_that_says_it_is_down_is_silent_too_and_its_answers_say_nothing_of_the_time_a_posting_needs(
    on: Stage,
) -> None:
    """Found by the soak: NetSuite's 503 counted as a good answer, closed the breaker and taught it a slow posting."""
    toy = on.targets["netsuite"]
    toy.trouble += [refuses(Uncertain("target_down"))] * 5
    invoices(on, *range(1, 9))
    on.post()
    assert (toy.calls, budget(on)["trips"]) == (5, 1)
    assert "ms" not in budget(on)


def test_probe_works_through_all_pages_of_what_is_due_and_stops_when_its_time_is_over(on: Stage) -> None:
    invoices(on, *range(1, 8))
    on.world.queues.take()
    on.world.later(hours=1)
    on.world.remaining = probe.MARGIN - 1
    assert probe.probe(on.world.ports(), limit=3)["sent again"] == 0
    on.world.remaining = 900.0
    done = probe.probe(on.world.ports(), limit=3)
    assert done["sent again"] == 7
    assert {send.posting for send in on.world.queues.take()} == {posting["key"] for posting in on.postings("invoice")}


def test_probe_ends_although_the_index_lists_for_ever_what_it_has_looked_at(on: Stage) -> None:
    invoices(on, 1, 2, 3)
    on.world.later(hours=1)
    stale = on.world.ledger.due("~", 3)
    on.world.ledger.due = lambda until, limit=200: stale[:limit]  # type: ignore[method-assign]
    assert sum(probe.probe(on.world.ports(), limit=3).values()) == 3
