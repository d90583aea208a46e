"""Probes of SQS. Those that speak of delivery run on the simulation's queue too, through the four verbs of `Box`."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any, Final, Protocol

from tests.conformance.dynamo import outcome
from tests.conformance.engines import Aws
from tests.simulation.hub import Fate, Hub
from tests.simulation.model import Letter, Queue

VISIBILITY: Final = 1  # seconds; on MiniStack they are real
PAST: Final = 1.2


@dataclass(frozen=True)
class Got:
    """A message as a consumer holds it."""

    id: str
    body: str
    receives: int
    receipt: Any


class Box(Protocol):
    """A queue with visibility time-out of a second and dead letters after two receives."""

    def send(self, body: str, group: str = "g", dedup: str = "") -> None:
        """Sends one message; ``dedup`` is the body where it is empty."""

    def receive(self, most: int = 10) -> list[Got]:
        """What is to be had now."""

    def delete(self, got: Got) -> None:
        """Deletes by the receipt of that receive; a refusal is silent."""

    def wait(self, seconds: float) -> object:
        """Lets the engine's time pass."""

    def dead(self) -> list[Got]:
        """What is in the dead-letter queue."""


class SqsBox:
    """The verbs through SQS's API."""

    def __init__(self, aws: Aws, fifo: bool) -> None:
        self.aws, self.sqs, self.fifo, self.wait = aws, aws.sqs, fifo, aws.wait
        name, end = uuid.uuid4().hex, ".fifo" if fifo else ""
        kind = {"FifoQueue": "true"} if fifo else {}
        self.letters = self.sqs.create_queue(QueueName=f"{name}-dead{end}", Attributes=kind)["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=self.letters, AttributeNames=["QueueArn"])["Attributes"][
            "QueueArn"
        ]
        redrive = f'{{"deadLetterTargetArn": "{arn}", "maxReceiveCount": 2}}'
        given = {"VisibilityTimeout": str(VISIBILITY), "MaximumMessageSize": "1048576", "RedrivePolicy": redrive}
        self.url = self.sqs.create_queue(QueueName=f"{name}{end}", Attributes=kind | given)["QueueUrl"]

    def send(self, body: str, group: str = "g", dedup: str = "") -> Any:
        more = {"MessageGroupId": group, "MessageDeduplicationId": dedup or body} if self.fifo else {}
        return self.sqs.send_message(QueueUrl=self.url, MessageBody=body, **more)

    def receive(self, most: int = 10) -> list[Got]:
        return self._from(self.url, most)

    def dead(self) -> list[Got]:
        return self._from(self.letters, 10)

    def _from(self, url: str, most: int) -> list[Got]:
        answer = self.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=most, MessageSystemAttributeNames=["All"], WaitTimeSeconds=0
        )
        return [
            Got(m["MessageId"], m["Body"], int(m["Attributes"]["ApproximateReceiveCount"]), m["ReceiptHandle"])
            for m in answer.get("Messages", [])
        ]

    def delete(self, got: Got) -> None:
        outcome(lambda: self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=got.receipt))


class Calm:
    """Fates of a world in which nothing goes wrong."""

    def draw(self, n: int, label: str, kinds: tuple[str, ...], now: float) -> Fate:
        return Fate()


class ModelBox:
    """The verbs on the simulation's queue, whose mapping takes nothing by itself (concurrency 0)."""

    def __init__(self, fifo: bool) -> None:
        self.hub = Hub(Calm())
        grave = self._queue("dead", False, None)
        self.queue, self.grave = self._queue("probe", fifo, grave), grave

    def _queue(self, name: str, fifo: bool, dead: Queue | None) -> Queue:
        return Queue(
            self.hub, name, lambda worker, messages: [], 1.0, VISIBILITY, fifo, concurrency=0, most=2, dead=dead
        )

    def send(self, body: str, group: str = "g", dedup: str = "") -> None:
        self.queue.put({"body": body}, group, dedup or body)

    def receive(self, most: int = 10) -> list[Got]:
        self.queue.batch = most
        return [_got(letter) for letter in self.queue._take()]

    def dead(self) -> list[Got]:
        return [_got(letter) for letter in self.grave._take()]

    def delete(self, got: Got) -> None:
        letter, receipt = got.receipt
        self.queue._settle([(letter, receipt)], [])

    def wait(self, seconds: float) -> None:
        self.hub.now += seconds


def _got(letter: Letter) -> Got:
    return Got(letter.id, str(letter.body["body"]), letter.receives, (letter, letter.receipt))


def _bodies(got: list[Got]) -> str:
    return ",".join(one.body for one in got) or "nothing"


# --- delivery: every engine ------------------------------------------------------------------------------------------
def group_blocked(box: Box) -> str:
    for body in ("a1", "a2", "b1"):
        box.send(body, group=body[0])
    return f"{_bodies(box.receive(1))} then {_bodies(box.receive())}"


def order_after_failure(box: Box) -> str:
    for body in ("a0", "a1", "a2"):
        box.send(body)
    box.delete(box.receive()[0])
    box.wait(PAST)
    return _bodies(box.receive())


def swallowed_in_queue(box: Box) -> str:
    for _ in range(2):
        box.send("a")
    return _bodies(box.receive())


def swallowed_after_delete(box: Box) -> str:
    box.send("a")
    box.delete(box.receive()[0])
    box.send("a")
    return _bodies(box.receive())


def invisible(box: Box) -> str:
    box.send("a")
    first, hidden = box.receive(), box.receive()
    box.wait(PAST)
    return f"{_bodies(first)}, {_bodies(hidden)}, {_bodies(box.receive())}"


def counted(box: Box) -> str:
    box.send("a")
    first = box.receive()[0].receives
    box.wait(PAST)
    return f"{first},{box.receive()[0].receives}"


def _killed(box: Box) -> tuple[Got, list[Got]]:
    """The head received twice and not deleted, and what the third receive brings."""
    for body in ("a1", "a2"):
        box.send(body)
    head = box.receive(1)[0]
    box.wait(PAST)
    box.receive(1)
    box.wait(PAST)
    return head, box.receive(1)


def next_after_death(box: Box) -> str:
    return _bodies(_killed(box)[1])


def id_after_death(box: Box) -> str:
    head, _ = _killed(box)
    return ", ".join("same id" if one.id == head.id else "another id" for one in box.dead()) or "nothing"


def stale_receipt(box: Box) -> str:
    box.send("a")
    stale = box.receive()[0]
    box.wait(PAST)
    box.receive()
    box.delete(stale)
    box.wait(PAST)
    box.receive()  # the third receive moves it to the dead letters, if it is still there
    return "kept" if box.dead() else "deleted"


# --- the API: not in the model's vocabulary --------------------------------------------------------------------------
def prefix_while_later_in_flight(box: SqsBox) -> str:
    for body in ("a0", "a1"):
        box.send(body)
    head = box.receive()[0]
    box.sqs.change_message_visibility(QueueUrl=box.url, ReceiptHandle=head.receipt, VisibilityTimeout=0)
    return _bodies(box.receive())


def not_in_flight(box: SqsBox) -> str:
    box.send("a")
    got = box.receive()[0]
    box.wait(PAST)
    given = {"QueueUrl": box.url, "ReceiptHandle": got.receipt, "VisibilityTimeout": 5}
    code = outcome(lambda: box.sqs.change_message_visibility(**given))
    return code.rpartition(".")[2]


def too_many_bytes(box: SqsBox) -> str:
    return "accepted" if outcome(lambda: box.send("é" * 600_000)) == "accepted" else "refused"


def refused_character(box: SqsBox) -> str:
    return "accepted" if outcome(lambda: box.send("a\x00b")) == "accepted" else "refused"


def sequence_grows(box: SqsBox) -> str:
    numbers = [int(box.send(body).get("SequenceNumber") or 0) for body in ("a", "b", "c", "d")]
    return "grows" if sorted(set(numbers)) == numbers else "does not"


def eleven(box: SqsBox) -> str:
    entries = [{"Id": str(n), "MessageBody": "x"} for n in range(11)]
    return "accepted" if outcome(lambda: _batch(box, entries)) == "accepted" else "refused"


def same_entry_id(box: SqsBox) -> str:
    entries = [{"Id": "1", "MessageBody": "x"}] * 2
    return "accepted" if outcome(lambda: _batch(box, entries)) == "accepted" else "refused"


def batch_bytes(box: SqsBox) -> str:
    entries = [{"Id": str(n), "MessageBody": "x" * 700_000} for n in range(2)]
    return "accepted" if outcome(lambda: _batch(box, entries)) == "accepted" else "refused"


def _batch(box: SqsBox, entries: list[dict[str, str]]) -> Any:
    return box.sqs.send_message_batch(QueueUrl=box.url, Entries=entries)


def from_which_queue(box: SqsBox) -> str:
    box.send("a")
    for _ in range(3):
        box.receive()
        box.wait(PAST)
    answer = box.sqs.receive_message(QueueUrl=box.letters, MessageSystemAttributeNames=["All"])
    said = [message["Attributes"].get("DeadLetterQueueSourceArn") for message in answer.get("Messages", [])]
    return "said" if said and all(said) else "not said"
