"""Probes of Lambda's pollers: a queue feeds `handler`, and what dies tells what the poller made of its answer."""

from __future__ import annotations

import uuid
from typing import Any, Final

from tests.conformance.engines import Aws
from tests.conformance.handler import handler
from tests.conformance.letters import VISIBILITY, Calm
from tests.simulation.hub import Hub
from tests.simulation.model import Queue
from tieout.work.ports import Message

_LOOKS: Final = 40


def died(aws: Aws | None, *bodies: str) -> str:
    """The dead letters of one batch, where a message dies after it was received in vain once."""
    return ",".join(sorted(_in_the_model(bodies) if aws is None else _on_sqs(aws, bodies))) or "nothing"


def _on_sqs(aws: Aws, bodies: tuple[str, ...]) -> list[str]:
    name = uuid.uuid4().hex
    dead = aws.sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
    arn = aws.sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = f'{{"deadLetterTargetArn": "{arn}", "maxReceiveCount": 1}}'
    given = {"VisibilityTimeout": str(VISIBILITY), "RedrivePolicy": redrive}
    url = aws.sqs.create_queue(QueueName=name, Attributes=given)["QueueUrl"]
    entries = [{"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies)]
    aws.sqs.send_message_batch(QueueUrl=url, Entries=entries)
    aws.feed(name)
    for _ in range(_LOOKS):
        aws.wait(VISIBILITY / 2)
        if not _waiting(aws.sqs, url):
            break
    answer = aws.sqs.receive_message(QueueUrl=dead, MaxNumberOfMessages=10)
    return [message["Body"] for message in answer.get("Messages", [])]


def _waiting(sqs: Any, url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    return sum(int(one) for one in sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values())


def _in_the_model(bodies: tuple[str, ...]) -> list[str]:
    hub = Hub(Calm())

    def work(_: Any, messages: list[Message]) -> list[str]:
        records = [{"messageId": one.id, "body": one.body["body"]} for one in messages]
        failures = handler({"Records": records}, None)["batchItemFailures"]
        return [one["itemIdentifier"] for one in failures]

    grave = Queue(hub, "dead", lambda worker, messages: [], 1.0, VISIBILITY, concurrency=0)
    queue = Queue(hub, "probe", work, 1.0, VISIBILITY, concurrency=1, most=1, dead=grave)
    for body in bodies:
        queue.put({"body": body})
    hub.run(60, lambda: queue.quiet)
    hub.close()
    return [str(letter.body["body"]) for letter in grave.letters]
