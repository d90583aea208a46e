"""Event source mappings: what Lambda's pollers do between a queue and a function.

A batch that failed stays invisible until its visibility time-out; a partial answer deletes the others; an answer
that cannot be trusted fails the whole batch (AWS: "Reporting batch item failures for Amazon SQS").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from infra.local.functions import Function, Outcome, Runtime
from infra.local.template import ACCOUNT, REGION


@dataclass
class Mapping:
    """One queue feeding one function."""

    queue: str
    function: Function
    batch_size: int
    reports_failures: bool
    enabled: bool = True


class Pollers:
    """Runs the mappings, one batch at a time."""

    def __init__(self, runtime: Runtime, sqs: Any) -> None:
        self._runtime, self._sqs = runtime, sqs
        self.mappings: list[Mapping] = []

    def poll(self, mapping: Mapping) -> bool:
        """Takes one batch and hands it over; False when nothing was there to take."""
        messages = self._receive(mapping)
        if not messages:
            return False
        event = {"Records": [_record(message, mapping.queue) for message in messages]}
        outcome = self._runtime.invoke(mapping.function, event)
        failed = _failed(mapping, outcome, [message["MessageId"] for message in messages])
        done = [message for message in messages if message["MessageId"] not in failed]
        self._delete(mapping.queue, done)
        return True

    def _receive(self, mapping: Mapping) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while len(found) < mapping.batch_size:
            answer = self._sqs.receive_message(
                QueueUrl=queue_url(mapping.queue),
                MaxNumberOfMessages=min(10, mapping.batch_size - len(found)),
                MessageSystemAttributeNames=["All"],
                MessageAttributeNames=["All"],
            )
            if not answer.get("Messages"):
                break
            found += answer["Messages"]
        return found

    def _delete(self, queue: str, messages: list[dict[str, Any]]) -> None:
        for start in range(0, len(messages), 10):
            entries = [
                {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
                for number, message in enumerate(messages[start : start + 10])
            ]
            self._sqs.delete_message_batch(QueueUrl=queue_url(queue), Entries=entries)


def _failed(mapping: Mapping, outcome: Outcome, ids: list[str]) -> set[str]:
    """Message ids that stay in the queue."""
    if outcome.failed:
        return set(ids)
    if not mapping.reports_failures or outcome.value is None or outcome.value == {}:
        return set()
    failures = outcome.value.get("batchItemFailures", []) if isinstance(outcome.value, dict) else False
    if failures is None:
        return set()
    if not isinstance(failures, list):
        return set(ids)
    named = [item.get("itemIdentifier") if isinstance(item, dict) else None for item in failures]
    trusted = all(isinstance(name, str) and name in ids for name in named)
    return {str(name) for name in named} if trusted else set(ids)


def queue_arn(name: str) -> str:
    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"


def queue_url(name: str) -> str:
    return f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}"


def _record(message: dict[str, Any], queue: str) -> dict[str, Any]:
    attributes = {
        name: {
            "stringValue": value.get("StringValue"), "binaryValue": value.get("BinaryValue"),
            "stringListValues": [], "binaryListValues": [], "dataType": value["DataType"],
        }
        for name, value in message.get("MessageAttributes", {}).items()
    }  # fmt: skip
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": dict(message["Attributes"]),
        "messageAttributes": attributes,
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn(queue),
        "awsRegion": REGION,
    }
