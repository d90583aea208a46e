"""What lands in a dead-letter queue is booked, never dropped; and an invoice that is voided is reversed."""

from __future__ import annotations

import pytest

from infra.local.functions import Crash
from tests.e2e.scene import scene
from tieout.core import ledger


def test_an_event_on_which_intake_dies_every_time_is_taken_in_from_the_dead_letter_queue() -> None:
    deaths: list[str] = []

    def deadly(where: str) -> None:
        if where == "before intake dynamodb.TransactWriteItems":
            deaths.append(where)
            raise Crash(where)

    with scene() as on:
        on.world.boundary = deadly
        on.bill()
        on.settle()
        assert len(deaths) == 5
        (event,) = on.events()
        assert event["state"] == ledger.MADE
        on.world.boundary = None
        on.settle()
        assert [item["state"] for item in on.postings()] == [ledger.POSTED]
        assert on.differences() == []


@pytest.mark.parametrize("body", ["no JSON at all", '{"v": 1}', '{"v":1,"source":"stripe","body_b64":"%%%"}'])
def test_a_message_that_nobody_understands_is_a_case(body: str) -> None:
    with scene() as on:
        inbox = next(m.queue for m in on.world.mappings if m.queue.lower().endswith("inbox"))
        url = on.world.client("sqs").get_queue_url(QueueName=inbox)["QueueUrl"]
        on.world.client("sqs").send_message(QueueUrl=url, MessageBody=body)
        on.settle()
        (event,) = on.events()
        assert (event["state"], event["code"]) == (ledger.CASE, "dead_letter")
        assert event["vault"]
        assert event["case"]["owner"]


def test_a_voided_invoice_is_reversed_in_the_erp_and_the_crm_is_told_last_of_the_reversal() -> None:
    with scene() as on:
        invoice = on.bill()
        on.settle()
        on.stripe.void(invoice["id"])
        on.settle()
        actions = {item["action"]: item["state"] for item in on.postings()}
        assert actions == {"create": ledger.POSTED, "void": ledger.POSTED}
        (reversal,) = on.in_netsuite("credit_note")
        assert reversal.total_minor == invoice["total"]
        (status,) = on.sandboxes.salesforce.statuses()
        assert "was reversed in finance" in status["Sentence__c"]
        assert on.differences() == []


def test_a_void_that_arrives_before_its_invoice_waits_for_it() -> None:
    from infra.local.sandbox import When

    with scene() as on:
        invoice = on.bill(when=When(delay=120))
        on.stripe.void(invoice["id"])
        on.settle()
        assert {item["action"]: item["state"] for item in on.postings()} == {
            "create": ledger.POSTED,
            "void": ledger.POSTED,
        }
        assert on.differences() == []
