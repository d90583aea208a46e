"""The posting protocol on toy targets: what becomes of a posting, whatever the target does."""

from __future__ import annotations

from collections.abc import Iterator
from unittest.mock import patch

import pytest

from tests.toy import Stage, commits_and_drops, refuses, stage
from tieout.contract import Echo, Found, Work
from tieout.core import ledger
from tieout.core.keys import Key
from tieout.core.ledger import chain_breaks
from tieout.core.verdicts import NeedsHuman, NotYet, TryAgain, Uncertain
from tieout.work import probe
from tieout.work.ports import Message
from tieout.work.settle import Wish, settle

CUSTOMER = "cus_1"
#: 10 December 2025, noon in New York: a year whose periods are locked.
LAST_YEAR = 1_765_386_000


@pytest.fixture
def on() -> Iterator[Stage]:
    with stage() as made:
        made.link(CUSTOMER)
        yield made


def invoice(on: Stage, number: int = 1) -> None:
    on.take(
        on.event("invoice.finalized", id=f"in_{number}", customer=CUSTOMER, number=f"INV-{number}")
        | {"id": f"evt_{number}"}
    )


def paid(on: Stage, number: int = 1) -> None:
    on.take(on.event("invoice.paid", id=f"in_{number}", customer=CUSTOMER) | {"id": f"evt_p{number}"})


def test_an_invoice_is_posted_once_and_the_crm_is_told(on: Stage) -> None:
    invoice(on)
    on.settle()
    posting = on.one("invoice")
    assert posting["state"] == ledger.POSTED
    assert posting["remote"] == "id1"
    assert [line["to"] for line in posting["history"]] == ["NEW", "SENDING", "POSTED"]
    assert chain_breaks(posting["history"], posting["tail"]) == []
    assert "due" not in posting
    assert "doc" not in posting
    assert "payload" not in posting
    assert ["net and tax = gross", posting["total"], posting["total"]] in posting["proof"]
    assert len(on.targets["netsuite"].book) == 1
    status = on.one("status")
    assert status["state"] == ledger.POSTED
    assert status["target"] == "salesforce:acme"
    assert "due" not in on.lane(posting)


def test_two_calls_a_record_and_two_a_batch_on_the_clean_path(on: Stage) -> None:
    for number in range(1, 10):
        invoice(on, number)
    on.world.ledger.calls.clear()
    sends = len(on.world.queues.sent)
    on.post()
    assert sends == 9
    assert on.world.ledger.calls.count("read") == 1
    assert on.world.ledger.calls.count("write") == 2 * 9


def test_the_slot_of_the_budget_is_given_back_with_the_last_booking(on: Stage) -> None:
    for number in (1, 2):
        invoice(on, number)
    on.post()
    assert on.world.ledger.items[Key("B#netsuite:acme")]["leases"] == {}


def test_a_batch_waits_when_all_slots_are_taken(on: Stage) -> None:
    key = Key("B#netsuite:acme")
    on.world.ledger.items[key] = {
        "pk": key.pk, "sk": "-", "rev": 1, "leases": {"x": "2026-11-20T13:00:00.000Z", "y": "2026-11-20T13:00:00.000Z"},
    }  # fmt: skip
    invoice(on)
    on.settle()
    posting = on.one("invoice")
    assert (posting["state"], posting["code"]) == (ledger.HELD, "budget_spent")
    assert on.targets["netsuite"].calls == 0
    on.probe(hours=2)
    on.settle()
    assert on.one("invoice")["state"] == ledger.POSTED


def test_a_commit_whose_answer_is_lost_is_adopted_after_the_quiet_period(on: Stage) -> None:
    on.targets["netsuite"].trouble.append(commits_and_drops)
    invoice(on)
    on.settle()
    assert on.one("invoice")["state"] == ledger.IN_DOUBT
    calls = on.targets["netsuite"].calls
    on.probe(seconds=190)
    assert on.targets["netsuite"].calls == calls, "nothing is looked at inside the quiet period"
    assert on.probe(seconds=20)["adopted"] == 1
    on.settle()
    posting = on.one("invoice")
    assert posting["state"] == ledger.POSTED
    assert len(on.targets["netsuite"].book) == 1
    assert on.targets["netsuite"].order == ["invoice.create"]


def test_a_lost_request_is_proven_absent_and_sent_again(on: Stage) -> None:
    on.targets["netsuite"].trouble.append(refuses(Uncertain("target_lost")))
    invoice(on)
    on.settle()
    assert on.probe(seconds=210)["proven absent, sent again"] == 1
    on.settle()
    assert on.one("invoice")["state"] == ledger.POSTED
    assert len(on.targets["netsuite"].book) == 1


def test_what_is_half_done_is_sent_again_for_the_target_to_go_on_with(on: Stage) -> None:
    toy = on.targets["netsuite"]
    toy.trouble.append(refuses(Uncertain("target_lost")))
    invoice(on)
    on.settle()
    toy.find = lambda wire, work: Found("partial", said="a draft")  # type: ignore[method-assign]
    assert on.probe(seconds=210)["half done, sent again"] == 1
    on.settle()
    posting = on.one("invoice")
    assert (posting["state"], posting["attempts"]) == (ledger.POSTED, 2)
    assert [line["note"]["found"] for line in posting["history"] if "found" in line.get("note", {})] == ["partial"]


def test_a_target_that_shows_its_refusal_at_a_look_is_refused_and_holds_nobody_up(on: Stage) -> None:
    toy = on.targets["netsuite"]
    toy.trouble.append(refuses(Uncertain("target_lost")))
    invoice(on)
    on.settle()
    toy.find = lambda wire, work: Found("refused", code="record_rejected", said="no such item")  # type: ignore[method-assign]
    assert on.probe(seconds=210)["refused by the target"] == 1
    assert (on.one("invoice")["state"], on.one("invoice")["code"]) == (ledger.REFUSED, "record_rejected")


def test_one_poison_item_does_not_hide_what_is_due_behind_it(on: Stage) -> None:
    toy = on.targets["netsuite"]
    toy.trouble += [refuses(Uncertain("target_lost")), refuses(Uncertain("target_lost"))]
    invoice(on, 1)
    invoice(on, 2)
    on.settle()
    looks = iter([ValueError("poison")])
    plain = toy.find

    def find(wire: object, work: Work) -> Found:
        for error in looks:
            raise error
        return plain(wire, work)  # type: ignore[arg-type]

    toy.find = find  # type: ignore[method-assign]
    done = on.probe(seconds=210)
    assert (done["failed"], done["proven absent, sent again"]) == (1, 1)


def test_another_document_under_our_reference_is_a_case_and_nothing_is_sent_again(on: Stage) -> None:
    invoice(on)
    toy = on.targets["netsuite"]
    toy.trouble.append(lambda toy, work: type(toy.commit(work))("id1", work.ref, "N1", work.currency, 1))
    on.settle()
    assert (on.one("invoice")["state"], on.one("invoice")["code"]) == (ledger.IN_DOUBT, "target_echo_differs")


@pytest.mark.parametrize(
    ("verdict", "state"),
    [
        (TryAgain("target_busy", after=30), ledger.NEW),
        (NotYet("period_closed", period="2026-01", gate="period"), ledger.HELD),
        (NeedsHuman("target_refused", said="no"), ledger.REFUSED),
        (Uncertain("target_timeout"), ledger.IN_DOUBT),
    ],
    ids=lambda value: getattr(value, "code", value),
)
def test_a_failed_call_is_booked_by_its_verdict_and_due_again(
    on: Stage, verdict: TryAgain | NotYet | NeedsHuman | Uncertain, state: str
) -> None:
    on.targets["netsuite"].trouble.append(refuses(verdict))
    invoice(on)
    on.settle()
    posting = on.one("invoice")
    assert (posting["state"], posting["code"]) == (state, verdict.code)
    assert posting["due"] > ledger.stamp(on.world.time)


def test_a_pause_that_the_target_asks_for_holds_everybody(on: Stage) -> None:
    on.targets["netsuite"].trouble.append(refuses(TryAgain("target_busy", after=300)))
    invoice(on, 1)
    on.settle()
    invoice(on, 2)
    on.settle()
    held = next(posting for posting in on.postings("invoice") if posting["source_id"] == "in_2")
    assert (held["state"], held["code"]) == (ledger.HELD, "target_paused")
    assert on.targets["netsuite"].calls == 1
    on.probe(seconds=400)
    on.settle()
    assert {posting["state"] for posting in on.postings("invoice")} == {ledger.POSTED}


def test_a_payment_before_its_invoice_stands_aside_and_follows_it(on: Stage) -> None:
    paid(on)
    on.settle()
    payment = on.one("payment")
    assert (payment["state"], payment["code"]) == (ledger.HELD, "parent_missing")
    assert on.lane(payment)["aside"] == [payment["key"]]
    invoice(on)
    on.settle()
    assert on.targets["netsuite"].order == ["invoice.create", "payment.create"]
    assert on.one("payment")["state"] == ledger.POSTED


def test_a_parent_that_never_comes_opens_a_case(on: Stage) -> None:
    paid(on)
    on.settle()
    on.probe(minutes=20)
    assert on.one("payment")["code"] == "parent_late"
    assert on.one("payment")["case"]["owner"] == "finance-ops"


def test_a_held_posting_blocks_what_stands_behind_it_and_nothing_else(on: Stage) -> None:
    on.targets["netsuite"].trouble.append(refuses(NeedsHuman("target_refused", said="no")))
    invoice(on, 1)
    on.settle()
    paid(on, 1)
    invoice(on, 2)
    on.settle()
    states = {
        posting["key"].split("/")[1]: posting["state"] for posting in on.postings() if posting["kind"] != "status"
    }
    assert states == {
        "stripe:acct_us:in_1": ledger.REFUSED,
        "stripe:acct_us:in_2": ledger.POSTED,
        "stripe:acct_us:in_1%3Apaid": ledger.NEW,
    }


def test_an_unknown_customer_holds_its_invoice_until_it_is_known(on: Stage) -> None:
    on.take(on.event("invoice.finalized", id="in_9", customer="cus_new") | {"id": "evt_9"})
    on.settle()
    posting = on.one("invoice")
    assert (posting["state"], posting["code"]) == (ledger.HELD, "customer_not_linked")
    on.link("cus_new")
    on.probe(minutes=5)
    on.settle()
    assert on.one("invoice")["state"] == ledger.POSTED


def test_a_call_is_not_started_without_the_time_to_finish_it(on: Stage) -> None:
    invoice(on)
    on.world.remaining = 12.0
    on.settle()
    assert on.targets["netsuite"].calls == 0
    assert on.one("invoice")["code"] == "deadline_near"


def test_a_lease_that_ran_out_is_in_doubt_and_never_simply_sent_again(on: Stage) -> None:
    invoice(on)

    class Died(BaseException):
        pass

    def die(toy: object, work: object) -> None:
        raise Died

    on.targets["netsuite"].trouble.append(die)
    with pytest.raises(Died):
        on.post()
    assert on.one("invoice")["state"] == ledger.SENDING
    assert on.probe(seconds=71)["in doubt"] == 1
    assert on.probe(seconds=210)["proven absent, sent again"] == 1
    on.settle()
    assert on.one("invoice")["state"] == ledger.POSTED


def test_a_zombie_changes_nothing(on: Stage) -> None:
    """A worker that wakes after its lease ran out finds the posting moved on: its booking is refused."""
    invoice(on)

    def outlive_the_lease(toy: object, work: object) -> None:
        on.world.later(seconds=100)
        on.probe()
        raise NeedsHuman("target_refused", said="too late")

    on.targets["netsuite"].trouble.append(outlive_the_lease)
    on.post()
    assert on.one("invoice")["state"] == ledger.IN_DOUBT
    assert any(what == "fenced_after_call" for what, _ in on.world.logged)


def test_two_workers_on_one_lane_post_in_order_and_once(on: Stage) -> None:
    invoice(on)
    paid(on)
    sends = on.world.queues.take()
    on.world.queues.sent = [*reversed(sends), *sends]
    on.settle()
    assert on.targets["netsuite"].order == ["invoice.create", "payment.create"]


def test_a_message_for_a_finished_posting_is_a_no_op(on: Stage) -> None:
    invoice(on)
    sends = list(on.world.queues.sent)
    on.settle()
    calls = on.targets["netsuite"].calls
    on.world.queues.sent = sends
    on.post()
    assert on.targets["netsuite"].calls == calls


def test_a_newer_status_supersedes_an_older_one(on: Stage) -> None:
    on.targets["netsuite"].trouble.append(refuses(NeedsHuman("target_refused", said="no")))
    invoice(on)
    on.post()
    refused = on.one("invoice")
    on.world.queues.take()  # the messages of both statuses are delayed
    item = on.world.ledger.items[Key(refused["pk"])]
    item |= {"state": ledger.NEW}
    on.world.queues.sent = []
    from tieout.work.ports import Send

    on.world.queues.send([Send.of(item)])
    on.post()
    on.probe(minutes=3)
    on.settle()
    on.probe(minutes=3)
    on.settle()
    assert sorted(posting["state"] for posting in on.postings("status")) == [ledger.POSTED, ledger.SUPERSEDED]


def test_a_batch_target_is_sent_once_and_acknowledged_later(on: Stage) -> None:
    on.link(CUSTOMER, "acct_de", "legacy:acme")
    for number in (1, 2):
        event = on.event("invoice.finalized", id=f"in_{number}", customer=CUSTOMER, number=f"INV-{number}")
        on.take(event | {"id": f"evt_{number}"}, account="acct_de")
    on.settle()
    legacy = on.targets["legacy"]
    assert legacy.calls == 1
    assert {posting["state"] for posting in on.postings("invoice")} == {ledger.DELIVERED}
    assert on.probe(seconds=70)["awaits acknowledgement"] == 2
    first, second = on.postings("invoice")
    legacy.acks[first["ref"]] = Found("complete", Echo("D1", first["ref"], "D1", first["currency"], first["total"]))
    legacy.acks[second["ref"]] = Found("refused", code="record_rejected", said="unknown customer")
    on.probe(seconds=70)
    assert [posting["state"] for posting in on.postings("invoice")] == [ledger.POSTED, ledger.REFUSED]


def test_a_missing_acknowledgement_opens_a_case(on: Stage) -> None:
    on.link(CUSTOMER, "acct_de", "legacy:acme")
    on.take(on.event("invoice.finalized", id="in_1", customer=CUSTOMER) | {"id": "evt_1"}, account="acct_de")
    on.settle()
    on.probe(seconds=700)
    posting = on.one("invoice")
    assert (posting["state"], posting["code"]) == (ledger.DELIVERED, "ack_missing")


def test_a_posting_that_breaks_the_code_does_not_take_its_batch_with_it(on: Stage) -> None:
    from tieout.work import post
    from tieout.work.ports import Message

    def bug(toy: object, work: object) -> None:
        raise ZeroDivisionError

    on.targets["netsuite"].trouble.append(bug)
    for number in (1, 2):
        invoice(on, number)
    sends = on.world.queues.take()
    messages = [Message(f"s{number}", send.body()) for number, send in enumerate(sends)]
    assert post.post(messages, on.world.ports()) == ["s0"]
    assert {item["source_id"]: item["state"] for item in on.postings("invoice")} == {
        "in_1": ledger.SENDING,
        "in_2": ledger.POSTED,
    }


def test_a_late_payment_is_redated_to_the_next_open_period_and_says_why(on: Stage) -> None:
    invoice(on)
    on.settle()
    event = on.event("invoice.paid", id="in_1", customer=CUSTOMER)
    event["data"]["object"]["status_transitions"]["paid_at"] = LAST_YEAR
    on.take(event | {"id": "evt_p1"})
    on.settle()
    payment = on.one("payment")
    assert payment["state"] == ledger.POSTED
    assert (payment["original_posting_date"], payment["posting_date"]) == ("2025-12-10", "2026-01-01")
    (claim,) = [line["note"] for line in payment["history"] if line["to"] == ledger.SENDING]
    assert claim["redated"] == "2026-01-01"
    assert claim["late"] == "period_locked"


def test_a_late_invoice_whose_tax_is_filed_waits_for_a_person(on: Stage) -> None:
    event = on.event("invoice.finalized", id="in_1", customer=CUSTOMER, effective_at=LAST_YEAR, created=LAST_YEAR)
    event["data"]["object"]["status_transitions"]["finalized_at"] = LAST_YEAR
    on.take(event | {"id": "evt_1"})
    on.settle()
    posting = on.one("invoice")
    assert (posting["state"], posting["code"]) == (ledger.HELD, "late_document")
    assert posting["case"]["owner"] == "finance-ops"
    assert on.targets["netsuite"].calls == 0


def test_an_index_that_lags_does_not_cut_the_quiet_period_short(on: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seed 1588: only the item says when it is due."""
    on.targets["netsuite"].trouble.append(refuses(Uncertain("target_lost")))
    invoice(on)
    on.settle()
    posting = on.one("invoice")
    assert posting["state"] == ledger.IN_DOUBT
    rows = [{"pk": posting["pk"], "sk": posting["sk"], "due": ledger.stamp(on.world.time)}]
    monkeypatch.setattr(on.world.ledger, "due", lambda now, limit: rows)
    assert not on.probe(seconds=1)
    assert on.one("invoice")["state"] == ledger.IN_DOUBT


# --- what ends its process ---------------------------------------------------------------------------------------
def attempt(on: Stage, *, dies: bool) -> str:
    """One attempt at the invoice, which ends with its process, and what probe does until the next; its state then."""

    class Ended(BaseException):
        pass

    def end(toy: object, work: object) -> None:
        raise Ended

    if dies:
        on.targets["netsuite"].trouble.append(end)
    try:
        on.settle()
    except Ended:
        on.world.queues.sent.clear()
    on.probe(minutes=10)
    on.probe(minutes=10)
    return str(on.one("invoice")["state"])


def test_a_document_whose_every_call_ends_its_process_is_a_case_and_a_retry_begins_anew(on: Stage) -> None:
    invoice(on)
    for _ in range(probe.MOST_LAPSES - 1):
        assert attempt(on, dies=True) == ledger.NEW
    assert attempt(on, dies=True) == ledger.REFUSED
    posting = on.one("invoice")
    assert (posting["code"], posting["facts"]["times"]) == ("ends_its_process", str(probe.MOST_LAPSES))
    assert not on.targets["netsuite"].book
    settle(on.world.ledger, Wish(posting["key"], "retry", "more memory"), "anna", on.world.time, "t")
    on.probe(minutes=1)
    assert attempt(on, dies=True) == ledger.NEW
    assert attempt(on, dies=False) == ledger.POSTED


def test_an_answer_between_two_ends_begins_the_count_anew(on: Stage) -> None:
    invoice(on)
    for _ in range(probe.MOST_LAPSES - 1):
        attempt(on, dies=True)
    on.targets["netsuite"].trouble.append(refuses(Uncertain("target_lost")))
    assert attempt(on, dies=False) == ledger.NEW
    assert "lapses" not in on.one("invoice")
    assert attempt(on, dies=True) == ledger.NEW


# --- dead letters ------------------------------------------------------------------------------------------------
def test_a_dead_letter_that_fails_again_is_tried_before_a_person_gets_it(
    on: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tieout.work.intake.intake", lambda messages, ports: [one.id for one in messages])
    body = {"v": 1, "source": "stripe", "account": "acct_us", "delivery": "d_1", "body_b64": "e30="}

    def dead(receives: int) -> list[str]:
        return probe.dead([Message("m1", body, receives)], on.world.ports())

    def cases() -> list[str]:
        return [item["code"] for item in on.world.ledger.items.values() if item.get("what") == "event"]

    assert [dead(receives) for receives in range(1, probe.BURY_AT)] == [["m1"]] * (probe.BURY_AT - 1)
    assert cases() == []
    assert dead(probe.BURY_AT) == []
    assert cases() == ["dead_letter"]


def test_a_lanes_dead_letter_is_never_made_a_case_of_its_own(on: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def throttled(keys: object) -> None:
        raise RuntimeError("throttled")

    monkeypatch.setattr(on.world.ledger, "read", throttled)
    message = Message("m1", {"posting": "invoice/x/create/post/g0"}, receives=9)
    assert probe.dead([message], on.world.ports()) == ["m1"]
    assert not [item for item in on.world.ledger.items.values() if item.get("what") == "event"]


def test_a_mistake_in_our_own_rules_is_a_case_at_once_and_a_retry_renders_again(on: Stage) -> None:
    invoice(on)
    with patch("tieout.work.render.render", side_effect=TypeError("unsupported operand")):
        on.settle()
    posting = on.one("invoice")
    assert (posting["state"], posting["code"], posting["facts"]["error"]) == (
        ledger.REFUSED, "not_rendered", "TypeError",
    )  # fmt: skip
    assert on.targets["netsuite"].calls == 0
    settle(on.world.ledger, Wish(posting["key"], "retry", "the mapping was corrected"), "anna", on.world.time, "t")
    on.probe(minutes=1)
    on.settle()
    assert on.one("invoice")["state"] == ledger.POSTED
