"""What a newer release wrote is left to it, as it is: two releases run side by side in a deploy and in a rollback."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from tests.toy import Stage, stage
from tieout.core import keys, lanes, ledger
from tieout.core.keys import Key
from tieout.core.verdicts import TryAgain
from tieout.core.writes import Item
from tieout.work import ask, broker, probe, steps
from tieout.work.commit import View
from tieout.work.ports import Message
from tieout.work.settle import Moved, Wish, settle

NEXT = ledger.SCHEMA + 1


@pytest.fixture
def on() -> Iterator[Stage]:
    with stage() as made:
        invoice = made.event("invoice.finalized")
        made.link(invoice["data"]["object"]["customer"])
        made.take(invoice)
        yield made


def items(on: Stage) -> dict[Key, Item]:
    return deepcopy(on.world.ledger.items)


def newer(on: Stage, what: str) -> Item:
    """The posting or its lane, as a newer release has written it."""
    item = on.one("invoice") if what == "posting" else on.lane(on.one("invoice"))
    item["v"] = NEXT
    return item


def arrived(on: Stage, type: str) -> Item:
    """The only event of a type."""
    (item,) = [one for one in on.world.ledger.items.values() if one.get("what") == "event" and one["type"] == type]
    return item


@pytest.mark.parametrize("what", ["posting", "lane"])
def test_nothing_is_sent_from_a_posting_or_lane_of_a_newer_release(on: Stage, what: str) -> None:
    newer(on, what)
    before = items(on)
    on.settle()
    assert on.targets["netsuite"].calls == 0
    assert items(on) == before


def test_probe_leaves_what_a_newer_release_wrote_due_and_goes_on_with_the_rest(on: Stage) -> None:
    newer(on, "posting")
    before = on.one("invoice") | {}
    done = on.probe(minutes=5)
    assert done["left to a newer release"] == 1
    assert done["lane woken"] == 1
    assert on.one("invoice") == before


def test_an_event_does_not_join_a_lane_of_a_newer_release_but_waits_for_it(on: Stage) -> None:
    on.settle()
    lane = newer(on, "lane")
    before = dict(lane)
    on.take(on.event("invoice.paid"))
    event = arrived(on, "invoice.paid")
    assert (event["state"], event["code"], event["waits"]) == (ledger.WAITING, "newer_release", "release")
    assert on.world.ledger.items[Key(lane["pk"])] == before
    assert on.postings("payment") == []
    shown = ask.event(on.world.ledger, event["pk"].removeprefix("E#"), on.world.time)
    assert "newer release" in shown.status
    assert on.probe(minutes=1)["still waits for its release"] == 1
    assert on.postings("payment") == []
    lane["v"] = ledger.SCHEMA  # as if this were the newer release
    assert on.probe(minutes=11)["joined after its wait"] == 1
    on.settle()
    assert arrived(on, "invoice.paid")["state"] == ledger.MADE
    assert [payment["state"] for payment in on.postings("payment")] == [ledger.POSTED]


def test_an_event_that_waits_for_a_release_that_was_rolled_back_is_a_case_after_an_hour(on: Stage) -> None:
    on.settle()
    lane = newer(on, "lane")
    on.take(on.event("invoice.paid"))
    on.probe(minutes=61)
    event = arrived(on, "invoice.paid")
    assert (event["state"], event["code"], event["case"]["owner"]) == (ledger.CASE, "release_late", "integration")
    lane["v"] = ledger.SCHEMA
    on.probe(minutes=11)
    event = arrived(on, "invoice.paid")
    assert (event["state"], "case" in event, "waits" in event) == (ledger.MADE, False, False)


def test_what_a_newer_release_wrote_waits_on_for_room_and_stands_before_nobody(on: Stage) -> None:
    world, target = on.world, "netsuite:acme"
    first = on.one("invoice")
    first |= {"v": NEXT, "state": ledger.HELD, **ledger.waiting(first)}
    on.take(on.event("invoice.finalized", id="in_two") | {"id": "evt_two"})
    other = next(item for item in on.postings("invoice") if item["key"] != first["key"])
    other |= {"state": ledger.HELD, **ledger.waiting(other)}
    before = dict(first)
    view: View = {}
    sends = broker.let_go(world.ports(), view, target)
    assert [send.posting for send in sends] == [other["key"]]
    assert first == before
    budget = view[keys.budget_item(target)] or {}
    assert budget["waits"] == first["due"]


def test_an_answer_is_left_in_doubt_where_a_newer_release_has_joined_the_lane_during_the_call(
    on: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = on.targets["netsuite"]
    send = target.send

    def joined(wire: Any, work: Any) -> Any:
        lane = on.lane(on.one("invoice"))
        lane |= {"v": NEXT, "rev": lane["rev"] + 1}
        return send(wire, work)

    monkeypatch.setattr(target, "send", joined)
    on.settle()
    invoice = on.one("invoice")
    assert (invoice["state"], invoice["code"]) == (ledger.IN_DOUBT, "newer_release")
    monkeypatch.undo()
    on.lane(invoice)["v"] = ledger.SCHEMA
    on.probe(minutes=10)
    on.settle()
    assert on.one("invoice")["state"] == ledger.POSTED
    assert target.order.count("invoice.create") == 1


def test_a_known_event_of_a_newer_release_is_not_judged_by_this_one(on: Stage) -> None:
    event = next(item for item in on.world.ledger.items.values() if item.get("what") == "event")
    event["v"] = NEXT
    before = items(on)
    with pytest.raises(AssertionError):
        on.take(on.event("invoice.finalized"), message="again")
    assert items(on) == before


def test_a_dead_letter_does_not_touch_a_posting_of_a_newer_release(on: Stage) -> None:
    posting = newer(on, "posting")
    before = dict(posting)
    assert probe.dead([Message("d1", {"posting": posting["key"]})], on.world.ports()) == []
    assert on.one("invoice") == before


def test_a_person_is_told_that_a_newer_release_has_it(on: Stage) -> None:
    posting = newer(on, "posting")
    wish = Wish(posting["key"], "cancel", "it was entered by hand")
    with pytest.raises(Moved, match="newer release"):
        settle(on.world.ledger, wish, "anna", on.world.time, "t")


def test_a_step_of_a_newer_releases_run_is_tried_again_by_its_machine(on: Stage) -> None:
    key = Key("F#customer-onboarding#x/v1", "r0001")
    on.world.ledger.items[key] = {"pk": key.pk, "sk": key.sk, "what": "run", "v": NEXT, "state": "NEW"}
    with pytest.raises(TryAgain, match="newer_release"):
        steps.step({"run": list(key), "step": "validate"}, on.world.ports())


def test_no_move_and_no_rewrite_is_made_of_a_newer_releases_item(on: Stage) -> None:
    posting, lane = newer(on, "posting"), newer(on, "lane")
    with pytest.raises(TryAgain, match="newer_release"):
        ledger.move(posting, ledger.HELD, on.world.time, "w", "t", due_at=on.world.time)
    with pytest.raises(TryAgain, match="newer_release"):
        lanes.leave(lane, posting["key"], on.world.time)
    with pytest.raises(TryAgain, match="newer_release"):
        lanes.hold_head(lane, posting["key"], 1)


def test_probe_does_not_stay_with_a_target_at_which_only_a_newer_releases_posting_waits(on: Stage) -> None:
    posting = on.one("invoice")
    posting |= {"v": NEXT, "state": ledger.HELD, **ledger.waiting(posting)}
    key = keys.budget_item("netsuite:acme")
    on.world.ledger.items[key] = {
        "pk": key.pk, "sk": key.sk, "what": "budget", "waits": posting["due"], "rev": 1,
        **ledger.due(key.pk, on.world.time),
    }  # fmt: skip
    ports, pauses = on.world.ports(), list[float]()

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        assert len(pauses) < 20, "it stays for good"
        on.world.later(seconds=seconds)

    object.__setattr__(ports, "pause", pause)
    assert probe.probe(ports)["waits for room"] == 0
    assert len(pauses) <= 1
    assert on.world.ledger.items[key]["waits"] == posting["due"]


def test_a_booking_whose_crm_lane_a_newer_release_has_written_is_left_in_doubt_and_not_to_its_lease(on: Stage) -> None:
    lane = keys.lane_item(f"status:stripe:acct_us:invoice.{on.one('invoice')['source_id']}")
    on.world.ledger.items[lane] = {
        "pk": lane.pk, "sk": lane.sk, "what": "lane", "v": NEXT, "queue": [], "aside": [], "waiting": 0, "next": 1,
        "rev": 1,
    }  # fmt: skip
    before = dict(on.world.ledger.items[lane])
    on.settle()
    assert (on.one("invoice")["state"], on.one("invoice")["code"]) == (ledger.IN_DOUBT, "newer_release")
    assert on.world.ledger.items[lane] == before


def test_a_delivery_is_not_counted_on_an_event_that_a_newer_release_takes_up_meanwhile(on: Stage) -> None:
    event = arrived(on, "invoice.finalized")
    key, write = Key(event["pk"], event["sk"]), on.world.ledger.write

    def taken_up(writes: Any) -> None:
        if [one.key for one in writes] == [key]:  # the count: between its reading and its write
            on.world.ledger.items[key] |= {"v": NEXT, "token": "theirs"}
        write(writes)

    on.world.ledger.write = taken_up  # type: ignore[method-assign]
    with pytest.raises(AssertionError):  # intake names the message as failed: it comes again
        on.take(on.event("invoice.finalized"), message="again")
    assert on.world.ledger.items[key]["deliveries"] == 1
