"""The checker is checked, second part: people, explanations, leaks, borders and the front door."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from tests.simulation import check, doors, events, explained, governed, people, sinks, taken
from tests.simulation.cheap import cheap
from tests.simulation.doors import Doors, Stored
from tests.simulation.people import Asked, People
from tests.simulation.taken import CALM, Calm
from tests.simulation.targets import Effect
from tests.simulation.world import Setting, World, targets_of


def played(setting: Setting = CALM, *, door: bool = False, german: bool = False, alien: bool = False) -> World:
    """An invoice and its payment, played to rest without a fault."""
    world = World(Calm(), setting)
    with cheap(), targets_of(world):
        world.people = People(world, random.Random("people"))
        if door:
            world.doors = Doors(world, random.Random("doors"))
        if alien:
            taken.plant(world, events.stripe(7, "invoice", False))
        for kind in ("invoice", "payment"):
            event = events.stripe(0, kind, german)
            world.link(event)
            world.deliver(0.0, event)
            if world.doors:
                for attack in doors.ATTACKS:
                    world.doors.attack(20.0, event, attack)
        world.hub.at(30.0, world.tick)
        assert world.hub.run(7200.0, world.rests), check.unrest(world)
        world.hub.close()
    return world


def sees(world: World, what: str) -> bool:
    return any(found.startswith(what) for found in check.check(world))


# --- I8 ----------------------------------------------------------------------------------------------------------
def test_a_status_that_is_booked_as_told_and_that_the_crm_does_not_show_is_seen() -> None:
    world = played()
    effects = world.books["salesforce:acme"].effects
    shown = next(one for one in effects if one.live and one.version)
    assert not sees(world, "I8 the CRM shows version")
    effects[effects.index(shown)] = replace(shown, version=shown.version - 1)
    assert sees(world, f"I8 the CRM shows version {shown.version - 1} of {shown.ref}, and {shown.version} is booked")


# --- I9 ----------------------------------------------------------------------------------------------------------
def test_a_calm_history_explains_itself() -> None:
    assert check.check(played()) == []


def test_a_call_that_no_line_tells_of_is_seen_and_so_is_a_line_that_nothing_explains() -> None:
    world = played()
    item = next(item for item in world.postings() if item["kind"] == "invoice")
    calls = world.books[item["target"]].calls
    number = next(n for n, (_, ref, _) in enumerate(calls) if ref == item["ref"])
    who, ref, _ = calls[number]
    calls[number] = (who, ref, "lost_answer")
    assert explained.broken(world) == [
        f"I9 {item['key']}: {who}'s call had the fate lost_answer, and its line says POSTED"
    ]
    del calls[number]
    assert explained.broken(world) == [f"I9 {item['key']}: {who} says POSTED, and called nobody"]


def test_a_lease_that_ran_out_under_an_owner_whom_nothing_befell_is_no_explanation() -> None:
    world = played()
    item = next(item for item in world.postings() if item["kind"] == "invoice")
    item["history"][2] |= {"to": "IN_DOUBT", "by": "probe99.1", "note": {"code": "target_lost"}}
    claimer = item["history"][1]["by"].partition(".")[0]
    assert f"I9 {item['key']}: probe99 says IN_DOUBT target_lost of {claimer}, who was not struck" in explained.broken(
        world
    )


def test_a_posting_that_names_an_event_which_did_not_make_it_is_seen() -> None:
    world = played()
    item = next(item for item in world.postings() if item["kind"] == "payment")
    item["event"] = next(one["event"] for one in world.postings() if one["kind"] == "invoice")
    assert sees(world, "I9")


# --- I10 ---------------------------------------------------------------------------------------------------------
def test_a_line_by_somebody_who_never_asked_is_seen() -> None:
    world = played()
    world.postings()[0]["history"][-1]["by"] = "person9"
    assert any("never asked" in found for found in people.broken(world))


def test_being_told_done_and_not_booked_or_refused_and_booked_is_seen() -> None:
    world = played()
    assert world.people is not None
    item = world.postings()[0]
    world.people.asked.append(Asked("person1", "cancel", item["key"], "", 0.0, "done"))
    assert any("it is not booked" in found for found in people.broken(world))
    world.people.asked[0].ended = "Moved"
    item["history"].append({**item["history"][-1], "by": "person1", "note": {"action": "cancel", "asked": "person0"}})
    assert any("was refused (Moved)" in found for found in people.broken(world))


def test_money_that_one_person_ended_alone_is_seen() -> None:
    world = played()
    item = next(item for item in world.postings() if item.get("total"))
    item["history"].append({**item["history"][-1], "by": "ben", "note": {"action": "cancel", "asked": "ben"}})
    assert any(found.endswith("cancel by ben alone") for found in people.broken(world))


def test_an_amount_above_the_limit_that_nobody_approved_is_seen() -> None:
    world = played()
    world.setting = replace(world.setting, limit=1_000)
    assert any("without two people" in found for found in governed.broken(world))


# --- I16 ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("sink", ["log", "exception", "message", "history"])
def test_a_name_or_a_secret_in_any_sink_is_seen(sink: str) -> None:
    world = played()
    assert sinks.broken(world) == []
    match sink:
        case "log":
            world.said.append("booked {'said': 'no such customer: Northwind Traders Inc'}")
        case "exception":
            world.hub.raised.append("KeyError 'DE89370400440532013000'")
        case "message":
            world.sent.append("{'doc': 'ap@northwind.example'}")
        case _:
            world.postings()[0]["history"][0]["note"]["why"] = "for 75 Varick Street"
    assert len(sinks.broken(world)) == 1


def test_the_canaries_are_in_the_documents_that_are_looked_for() -> None:
    invoice, deal = events.stripe(0, "invoice", False).body.decode(), events.deal(0).body.decode()
    inside = [name for name in sinks.CANARIES if name in invoice or name in deal]
    assert len(inside) == 8


# --- I17 ---------------------------------------------------------------------------------------------------------
def test_a_fenced_entitys_documents_are_cases_and_nothing_of_them_leaves() -> None:
    world = played(replace(CALM, fenced=True), german=True)
    assert check.check(world) == []
    assert {item["code"] for item in world.postings()} == {"wrong_region"}


def test_another_regions_items_stand_as_they_are_and_a_call_for_one_is_seen() -> None:
    world = played(alien=True)
    assert check.check(world) == []
    item = next(item for item in world.postings() if item["region"] == governed.ELSEWHERE)
    assert (item["state"], item["code"]) == ("REFUSED", "wrong_region")
    world.books["netsuite:acme"].looks.append(("probe1", item["ref"], "ok"))
    assert sees(world, "I17")


def test_a_document_of_a_fenced_entity_in_a_book_is_seen() -> None:
    world = played(replace(CALM, fenced=True), german=True)
    item = next(item for item in world.postings() if item["kind"] == "invoice")
    book = world.books[item["target"]]
    book.effects.append(Effect(0.0, book.name, item["ref"], "invoice", "create", "x", "EUR", 1, "L0", b""))
    assert sees(world, "I17")


# --- I18 ---------------------------------------------------------------------------------------------------------
def test_only_what_an_active_key_has_signed_comes_through_the_door() -> None:
    world = played(door=True)
    assert check.check(world) == []
    assert world.doors is not None
    assert world.doors.attacks == 2 * len(doors.ATTACKS)
    assert {one.kind for one in world.doors.stored} == {"honest"}


@pytest.mark.parametrize("kind", [kind for kind in doors.ATTACKS if kind != "stranger"])
def test_whatever_is_wrong_with_a_stored_delivery_is_seen(kind: str) -> None:
    world = played(door=True)
    assert world.doors is not None
    world.hub.now = world.doors.keys.retired + 10  # the old key counts no more
    delivery = world.doors._attack(events.stripe(0, "invoice", False), kind)
    world.doors.stored.append(Stored(world.hub.now, delivery, kind))
    assert sees(world, "I18")


def test_an_honest_sender_who_is_turned_away_and_an_acknowledged_event_that_is_nowhere_are_seen() -> None:
    world = played(door=True)
    assert world.doors is not None
    world.doors.wrong.append("an honest delivery was answered 401")
    assert sees(world, "I18")
    world.doors.acknowledged.append(events.stripe(3, "invoice", False))
    assert sees(world, "I1")
