"""What the simulation has found, each as the smallest test that shows it."""

from __future__ import annotations

from datetime import timedelta
from unittest.mock import patch

import pytest

from tests.toy import stage
from tieout.core import ledger
from tieout.core.keys import Key
from tieout.core.writes import Put
from tieout.work import book, make, post, probe, steps
from tieout.work.commit import Fenced
from tieout.work.ports import Send


def test_a_void_tells_the_crm_after_its_invoice_and_not_in_its_place() -> None:
    """Seeds 28 and 38: both postings counted their own history lines, so that their statuses took the same key."""
    with stage() as on:
        invoice = on.event("invoice.finalized")
        customer = invoice["data"]["object"]["customer"]
        on.link(customer)
        on.take(invoice)
        on.settle()
        void = on.event("invoice.finalized", status="void")
        void["type"], void["id"] = "invoice.voided", "evt_void"
        void["data"]["object"]["status_transitions"]["voided_at"] = void["created"]
        on.take(void)
        on.settle()
        assert [item["state"] for item in on.postings("invoice")] == [ledger.POSTED, ledger.POSTED]
        told = [item["version"] for item in on.postings("status")]
        assert len(told) == 2
        assert told == sorted(told)


def test_a_step_asked_again_about_a_finished_posting_is_answered_though_the_first_answer_is_lost() -> None:
    """Seed 381: the new token was written on a posting that was not due any more, so nobody repeated its answer."""
    with stage() as on:
        invoice = on.event("invoice.finalized")
        on.link(invoice["data"]["object"]["customer"])
        on.take(invoice)
        on.settle()
        posting = on.one("invoice")
        again = make.Made(Put(posting), None, Send.of(posting))
        with (
            patch.object(on.world.machines, "answer", side_effect=RuntimeError("throttled")),
            pytest.raises(RuntimeError, match="throttled"),
        ):
            steps._join(again, "second", on.world.ports())
        on.probe(minutes=2)
        assert [(how, token) for how, token, _ in on.world.machines.told] == [("answer", "second")]


def test_answering_an_older_token_leaves_the_newer_one_owed() -> None:
    with stage() as on:
        invoice = on.event("invoice.finalized")
        on.link(invoice["data"]["object"]["customer"])
        on.take(invoice)
        on.settle()
        posting = on.one("invoice")
        again = make.Made(Put(posting), None, Send.of(posting))
        with patch.object(steps, "answer"):
            steps._join(again, "newer", on.world.ports())
        book.answer(on.world.ports(), {**posting, "task_token": "older"})
        assert on.one("invoice")["task_token"] == "newer"


def test_a_probe_that_slept_does_not_put_a_finished_posting_back_into_its_lane() -> None:
    """Seed 797: the place in the lane was written apart from the posting, by a probe that knew the posting as held."""
    with stage() as on:
        on.link(on.event("invoice.finalized")["data"]["object"]["customer"])
        on.take(on.event("invoice.paid"))
        on.settle()
        asleep = post.Batch(on.world.ports())
        held = dict(on.one("payment"))
        asleep.view[Key(held["pk"], held["sk"])] = dict(held)
        on.take(on.event("invoice.finalized"))
        on.settle()
        assert on.one("payment")["state"] == ledger.POSTED
        asleep.read([Key(f"L#{held['lane']}")])
        with pytest.raises(Fenced):
            probe._aside(asleep, held)
        assert on.lane(held)["queue"] == []


def test_a_held_posting_that_became_the_head_while_it_was_put_off_is_woken_by_its_lane() -> None:
    """Seed 10969: whoever finished the head woke it, the message was lost, and it was due six hours later."""
    with stage() as on:
        invoice = on.event("invoice.finalized")
        on.link(invoice["data"]["object"]["customer"])
        on.take(invoice)
        on.take(on.event("invoice.paid"))
        on.world.queues.take()
        payment = on.one("payment")
        payment |= {"state": ledger.HELD, "code": "ledger_contended", "facts": {}, "hold": {}}
        on.probe(minutes=2)  # it stands behind its invoice and is put off for hours; the invoice is sent again
        assert on.one("payment")["due"] > ledger.stamp(on.world.time + timedelta(hours=5))
        on.post()
        assert on.one("invoice")["state"] == ledger.POSTED
        on.world.queues.take()  # the message that wakes the payment, which nobody ever sees
        assert on.one("payment")["state"] == ledger.HELD
        assert on.probe(minutes=2)["lane woken"] >= 1  # and that of the status
        on.settle()
        assert on.one("payment")["state"] == ledger.POSTED
