"""The queues and their mappings keep AWS's promises where moto does not (reliability.md 4.2)."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.local.functions import Function, Outcome
from infra.local.world import World
from tests.integration.local.toybox import depth, lane, seen, send


def take(world: World, queue: str, count: int = 10) -> list[dict[str, Any]]:
    url = world.resources[queue].ref
    answer = world.client("sqs").receive_message(
        QueueUrl=url, MaxNumberOfMessages=count, MessageSystemAttributeNames=["All"]
    )
    return list(answer.get("Messages", []))


def test_a_partial_failure_returns_only_after_the_visibility_timeout_and_deletes_the_others(world: World) -> None:
    for body in ("one", "fail", "three"):
        send(world, "Plain", body)
    world.pump()
    assert sorted(seen(world)) == ["one", "three"]
    assert depth(world, "Plain") == 1
    world.advance(29)
    world.pump()
    assert seen(world).count("fail") == 0
    world.advance(2)
    world.pump()
    assert seen(world)[-1] == "fail"
    assert depth(world, "Plain") == 0


@pytest.mark.parametrize("bad", ["raise", "stranger"])
def test_an_exception_or_an_unknown_id_fails_the_whole_batch(world: World, bad: str) -> None:
    for body in ("one", bad):
        send(world, "Plain", body)
    world.pump()
    assert depth(world, "Plain") == 2


def test_what_fails_too_often_goes_to_the_dead_letters_with_its_id(world: World) -> None:
    sent = send(world, "Plain", "poison")
    world.run()
    assert depth(world, "Plain") == 0
    (dead,) = take(world, "Dead")
    assert (dead["MessageId"], dead["Body"]) == (sent["MessageId"], "poison")
    assert world.runtime.invocations["WorkFunction"] == 3


def test_order_inside_a_group_survives_a_partial_failure(world: World) -> None:
    lane(world, "a", "a0", "fail-a1", "a2")
    lane(world, "b", "b0", "b1")
    world.run()
    order = seen(world)
    assert [body for body in order if "a" in body] == ["a0", "fail-a1", "a2"]
    assert order.index("b1") < order.index("fail-a1")  # the other group did not wait


def test_a_group_is_blocked_while_one_of_its_messages_is_in_flight(world: World) -> None:
    lane(world, "a", "a0", "a1")
    lane(world, "b", "b0")
    assert [message["Body"] for message in take(world, "Lane", 1)] == ["a0"]
    assert [message["Body"] for message in take(world, "Lane")] == ["b0"]


def test_a_deduplication_id_counts_for_five_minutes_even_after_the_delete(world: World) -> None:
    first = send(world, "Lane", "x", MessageGroupId="g", MessageDeduplicationId="d")
    world.pump()
    again = send(world, "Lane", "x", MessageGroupId="g", MessageDeduplicationId="d")
    other = send(world, "Lane", "x", MessageGroupId="h", MessageDeduplicationId="d")
    assert again["MessageId"] == first["MessageId"] != other["MessageId"]
    assert other["SequenceNumber"] > first["SequenceNumber"]
    world.pump()
    world.advance(301)
    assert send(world, "Lane", "x", MessageGroupId="g", MessageDeduplicationId="d")["MessageId"] != first["MessageId"]
    assert seen(world) == ["x", "x"]


def test_an_expired_receipt_handle_deletes_nothing(world: World) -> None:
    lane(world, "a", "a0")
    send(world, "Dead", "plain")
    sqs, fifo, plain = world.client("sqs"), world.resources["Lane"].ref, world.resources["Dead"].ref
    (old,) = take(world, "Lane")
    (old_plain,) = take(world, "Dead")
    world.advance(31)
    assert take(world, "Lane")
    assert take(world, "Dead")
    with pytest.raises(ClientError, match="expired"):
        sqs.delete_message(QueueUrl=fifo, ReceiptHandle=old["ReceiptHandle"])
    sqs.delete_message(QueueUrl=plain, ReceiptHandle=old_plain["ReceiptHandle"])  # AWS says yes here
    assert (depth(world, "Lane"), depth(world, "Dead")) == (1, 1)


def test_size_is_counted_in_bytes_and_refused_characters_are_refused(world: World) -> None:
    with pytest.raises(ClientError, match="must be shorter"):
        send(world, "Plain", "€" * 400_000)
    with pytest.raises(ClientError) as refused:
        send(world, "Plain", "a\x00b")
    assert refused.value.response["Error"]["Code"].endswith("InvalidMessageContents")


def test_visibility_can_only_be_changed_while_in_flight(world: World) -> None:
    send(world, "Dead", "x")
    (message,) = take(world, "Dead")
    change = {"QueueUrl": world.resources["Dead"].ref, "ReceiptHandle": message["ReceiptHandle"]}
    change["VisibilityTimeout"] = 0
    world.client("sqs").change_message_visibility(**change)
    assert len(take(world, "Dead")) == 1
    with pytest.raises(ClientError):
        world.client("sqs").change_message_visibility(**change)


def test_what_is_older_than_the_retention_is_gone_and_younger_is_not(world: World) -> None:
    send(world, "Dead", "old")
    world.advance(3 * 86400)
    send(world, "Dead", "young")
    world.advance(2 * 86400)
    assert [message["Body"] for message in take(world, "Dead")] == ["young"]


def test_duplicates_on_standard_queues_are_injected_by_seed(world: World) -> None:
    world.queues.duplicates = 0.5
    for number in range(20):
        send(world, "Plain", str(number))
    world.run()
    assert len(set(seen(world))) == 20 < len(seen(world))


def test_a_record_looks_like_the_one_lambda_gets(world: World) -> None:
    caught: list[Any] = []

    def catch(function: Function, event: Any) -> Outcome:
        caught.append(event)
        return Outcome()

    world.runtime.invoke = catch  # type: ignore[method-assign]
    lane(world, "a", "a0")
    world.pump()
    (record,) = caught[0]["Records"]
    assert set(record) == {
        "messageId", "receiptHandle", "body", "attributes", "messageAttributes", "md5OfBody", "eventSource",
        "eventSourceARN", "awsRegion",
    }  # fmt: skip
    assert set(record["attributes"]) == {
        "ApproximateReceiveCount", "SentTimestamp", "SequenceNumber", "MessageGroupId", "SenderId",
        "MessageDeduplicationId", "ApproximateFirstReceiveTimestamp",
    }  # fmt: skip
    assert record["attributes"]["SentTimestamp"] == str(int(world.clock.epoch_ms()))
    assert record["eventSourceARN"].endswith("tieout-local-Lane.fifo")
