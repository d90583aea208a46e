"""Intake: every delivery ends as an event item with one outcome, whatever arrives."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests.toy import EVENTS, Stage, stage
from tieout.contract import Read
from tieout.core import ledger
from tieout.core.keys import Key
from tieout.core.writes import Item
from tieout.work import intake, raw
from tieout.work.ports import Message, Send


@pytest.fixture
def on() -> Iterator[Stage]:
    with stage() as made:
        yield made


def events(on: Stage) -> list[Item]:
    return [item for item in on.world.ledger.items.values() if item.get("what") == "event"]


def deliver_raw(on: Stage, body: bytes, name: str = "d_1") -> None:
    envelope = {
        "v": 1, "source": "stripe", "account": "acct_us", "received_at": "2026-11-20T12:00:00.000Z",
        "delivery": name, "body_b64": base64.b64encode(body).decode(),
    }  # fmt: skip
    assert intake.intake([Message(f"m.{name}", envelope)], on.world.ports()) == []


def test_an_event_makes_one_posting_in_its_lane_and_is_sent(on: Stage) -> None:
    on.take(on.event("invoice.finalized", id="in_1"))
    (event,) = events(on)
    posting = on.one("invoice")
    assert event["state"] == ledger.MADE
    assert event["postings"] == [posting["key"]]
    assert posting["target"] == "netsuite:acme"
    assert on.lane(posting)["queue"] == [posting["key"]]
    assert [send.posting for send in on.world.queues.sent] == [posting["key"]]
    assert on.world.ledger.find("in_1")


def test_the_raw_bytes_are_in_the_vault_untouched(on: Stage) -> None:
    event = on.event("invoice.finalized", id="in_1")
    on.take(event)
    (item,) = events(on)
    assert json.loads(raw.raw(on.world.vault, item["vault"])) == event


def test_the_entity_decides_the_target(on: Stage) -> None:
    on.take(on.event("invoice.finalized", id="in_1"), account="acct_de")
    assert on.one("invoice")["target"] == "legacy:acme"


def test_twenty_deliveries_of_one_event_are_one_event_and_one_posting(on: Stage) -> None:
    event = on.event("invoice.finalized", id="in_1")
    for _ in range(20):
        on.take(event)
    (item,) = events(on)
    assert item["deliveries"] == 20
    assert len(on.postings("invoice")) == 1


def test_the_queue_handing_over_a_message_twice_is_no_second_delivery(on: Stage) -> None:
    event = on.event("invoice.finalized", id="in_1")
    on.take(event, message="same")
    on.take(event, message="same")
    assert events(on)[0]["deliveries"] == 1


def test_a_delivery_counter_in_the_body_does_not_make_it_another_event(on: Stage) -> None:
    event = on.event("invoice.finalized", id="in_1")
    on.take(event | {"pending_webhooks": 3})
    on.take(event | {"pending_webhooks": 1})
    assert [item["state"] for item in events(on)] == [ledger.MADE]


def test_a_duplicate_whose_posting_is_still_new_is_sent_again(on: Stage) -> None:
    event = on.event("invoice.finalized", id="in_1")
    on.take(event)
    lost = on.world.queues.take()
    on.take(event)
    assert [send.posting for send in on.world.queues.sent] == [lost[0].posting]
    assert on.world.queues.sent[0].sends != lost[0].sends


def test_the_same_event_id_with_another_body_is_a_case_beside_the_original(on: Stage) -> None:
    on.take(on.event("invoice.finalized", id="in_1"))
    before = dict(events(on)[0])
    on.take(on.event("invoice.finalized", id="in_1", total=99))
    original, conflict = sorted(events(on), key=lambda item: str(item["sk"]))
    assert original == before
    assert (conflict["state"], conflict["code"]) == (ledger.CASE, "event_conflict")
    assert conflict["due"]
    assert len(on.postings("invoice")) == 1


def test_another_event_about_the_same_document_is_a_duplicate(on: Stage) -> None:
    event = on.event("invoice.finalized", id="in_1")
    on.take(event)
    on.take(event | {"id": "evt_other"})
    assert sorted(item["state"] for item in events(on)) == [ledger.DUPLICATE, ledger.MADE]


def test_another_event_with_other_money_under_the_same_key_is_a_case(on: Stage) -> None:
    event = on.event("invoice.finalized", id="in_1")
    on.take(event)
    other = on.event("invoice.finalized", id="in_1", number="OTHER-1") | {"id": "evt_other"}
    on.take(other)
    case = next(item for item in events(on) if item["event_id"] == "evt_other")
    assert (case["state"], case["code"]) == (ledger.CASE, "document_conflict")


def test_an_unknown_type_is_ignored_and_said_so(on: Stage) -> None:
    on.take(on.event("invoice.finalized") | {"type": "made.up"})
    assert [(item["state"], item["code"]) for item in events(on)] == [(ledger.IGNORED, "unknown_type")]


def test_an_event_about_an_object_that_we_created_links_ids_and_posts_nothing(on: Stage) -> None:
    on.take(on.event("customer.created", id="cus_7", metadata={"tieout_ref": "TIE-OURS"}))
    assert [(item["state"], item["code"]) for item in events(on)] == [(ledger.IGNORED, "echo")]
    assert on.postings() == []
    assert on.world.ledger.items[Key("X#customer#stripe:acct_us:cus_7")]["echoed"]


def test_an_older_version_that_arrives_later_is_old_news(on: Stage) -> None:
    newer = on.event("customer.created", id="cus_7") | {"id": "evt_2", "created": 1_800_000_200}
    older = on.event("customer.created", id="cus_7") | {"id": "evt_1", "created": 1_800_000_100}
    on.take(newer)
    on.take(older)
    outcome = {item["event_id"]: item["state"] for item in events(on)}
    assert outcome == {"evt_2": ledger.MADE, "evt_1": ledger.OLD_NEWS}
    assert len(on.postings("customer")) == 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "bad_json"),
        (b'{"id": "evt_1", "amount": 1, "amount": 99}', "bad_json"),
        (b'{"id": "evt_1", "n": NaN}', "bad_json"),
        (b'{"id": "evt_1", "n": 1e2000000}', "bad_json"),
        ("{}".encode("utf-16"), "bad_json"),
        (b'{"id": "evt\\u0000"}', "bad_json"),
        (b"[" * 5000 + b"]" * 5000, "bad_json"),
        (b"[]", "bad_json"),
        (b'{"id": "evt_1", "type": 7}', "wrong_shape"),
    ],
    ids=["cut", "double key", "NaN", "huge exponent", "UTF-16", "NUL", "deep", "a list", "wrong type"],
)
def test_what_cannot_be_read_is_a_case_that_points_at_its_bytes(on: Stage, body: bytes, code: str) -> None:
    deliver_raw(on, body)
    (event,) = events(on)
    assert (event["state"], event["code"]) == (ledger.CASE, code)
    assert raw.raw(on.world.vault, event["vault"]) == body
    assert event["case"]["owner"]


def test_a_source_account_without_an_entity_is_a_case(on: Stage) -> None:
    on.take(on.event("invoice.finalized", id="in_1"), account="acct_nobody")
    assert [(item["state"], item["code"]) for item in events(on)] == [(ledger.CASE, "unknown_entity")]


def test_lines_that_do_not_add_up_are_a_case_and_not_a_posting(on: Stage) -> None:
    event = on.event("invoice.finalized", id="in_1")
    event["data"]["object"]["lines"]["data"][0]["amount"] += 1
    on.take(event)
    assert [(item["state"], item["code"]) for item in events(on)] == [(ledger.CASE, "totals_do_not_add_up")]
    assert on.postings() == []


def test_a_lost_send_is_found_by_its_due_time(on: Stage) -> None:
    on.link("cus_1")
    on.take(on.event("invoice.finalized", id="in_1", customer="cus_1"))
    on.world.queues.take()
    on.probe(seconds=61)
    assert [send.posting for send in on.world.queues.sent] == [on.one("invoice")["key"]]
    on.settle()
    assert on.one("invoice")["state"] == ledger.POSTED


def test_an_onboarding_starts_a_machine_named_by_its_hash_and_again_when_the_start_was_lost(on: Stage) -> None:
    body = (EVENTS / "salesforce/opportunity.closed_won.json").read_bytes()
    envelope = {
        "v": 1, "source": "salesforce", "account": "acme", "received_at": "2026-11-20T12:00:00.000Z",
        "delivery": "d", "body_b64": base64.b64encode(body).decode(),
    }  # fmt: skip
    assert intake.intake([Message("m", envelope)], on.world.ports()) == []
    (name,) = on.world.machines.started
    assert name.startswith("customer-onboarding-")
    assert len(name) == len("customer-onboarding-") + 32
    on.world.machines.started.clear()
    assert on.probe(seconds=61)["flow started again"] == 1
    assert list(on.world.machines.started) == [name]


def test_a_message_that_is_no_envelope_is_returned(on: Stage) -> None:
    assert intake.intake([Message("m", {"unreadable": "x"})], on.world.ports()) == ["m"]


def test_a_send_survives_its_own_message(on: Stage) -> None:
    on.take(on.event("invoice.finalized", id="in_1"))
    send = Send.of(on.one("invoice"))
    assert send.body()["reads"] == on.one("invoice")["reads"]


def test_a_delivery_that_breaks_the_code_does_not_take_its_batch_with_it(
    on: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = intake.understand

    def bug(arrival: intake.Arrival, read: Read, batch: intake.Batch) -> intake.Taken:
        if read.object_id == "in_1":
            raise ZeroDivisionError
        return real(arrival, read, batch)

    monkeypatch.setattr(intake, "understand", bug)
    messages = []
    for number in (1, 2):
        event = on.event("invoice.finalized", id=f"in_{number}", number=f"INV-{number}") | {"id": f"evt_{number}"}
        body = base64.b64encode(json.dumps(event).encode()).decode()
        envelope = {
            "v": 1, "source": "stripe", "account": "acct_us", "received_at": "2026-11-20T12:00:00.000Z",
            "delivery": f"d{number}", "body_b64": body,
        }  # fmt: skip
        messages.append(Message(f"m{number}", envelope))
    assert intake.intake(messages, on.world.ports()) == ["m1"]
    assert [item["event_id"] for item in events(on)] == ["evt_2"]


def test_a_field_that_nobody_knows_is_noted_by_its_path_and_changes_nothing_else(on: Stage) -> None:
    plain = on.event("invoice.finalized", id="in_1")
    on.take(plain)
    before = on.one("invoice")
    with stage() as other:
        strange = on.event("invoice.finalized", id="in_1") | {"brand_new": "s3cret"}
        about = strange["data"]["object"]
        about["lines"]["data"][0]["loyalty"] = {"points": "s3cret"}
        about["metadata"]["anything"] = "the customer's own"
        other.take(strange)
        (event,) = events(other)
        assert event["state"] == ledger.MADE
        assert event["drift"] == ["event.brand_new", "object.lines.data[].loyalty"]
        assert "s3cret" not in json.dumps(event, default=str)
        assert other.one("invoice")["fingerprint"] == before["fingerprint"]
    assert "drift" not in events(on)[0]


def test_a_member_that_is_missing_deep_inside_makes_a_case_and_no_crash(on: Stage) -> None:
    event = on.event("invoice.finalized", id="in_1")
    del event["data"]["object"]["lines"]["data"][0]["amount"]
    on.take(event)
    assert [(item["state"], item["code"]) for item in events(on)] == [(ledger.CASE, "wrong_shape")]


def test_an_event_of_several_is_known_again_in_other_company() -> None:
    first, second = {"eventId": 1, "attemptNumber": 0}, {"eventId": 2}
    when = datetime(2026, 11, 20, tzinfo=UTC)
    prints = set()
    for body, alone in (([first], first), ([second, {**first, "attemptNumber": 3}], {**first, "attemptNumber": 3})):
        arrival = intake.Arrival(Message("m", {}), "hubspot", "1", "d", "", json.dumps(body).encode())
        prints.add(intake._fingerprint(arrival, Read("e", "deal.creation", "o", alone, when, alone=alone)))
    assert len(prints) == 1
