"""SQS as AWS keeps its promises, put under moto's own API where moto does not (reliability.md 4.2).

moto keeps the queues and speaks the protocol; what decides delivery is replaced: order inside a FIFO group after
a partial failure, de-duplication for five minutes even after a delete, receipt handles that stop working when
the message was handed out again, growing sequence numbers, sizes in bytes, redrive, retention, and world time.
"""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from copy import deepcopy
from typing import Any
from unittest.mock import patch

from moto.sqs import models as sqs
from moto.sqs.exceptions import InvalidParameterValue, ReceiptHandleIsInvalid, SQSException

from infra.local.clock import WorldClock
from infra.local.template import ACCOUNT, REGION

DEDUPLICATION_SECONDS = 300
_REFUSED = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Queues:
    """Delivery decisions for every queue of the world.

    ``duplicates`` is the share of deletes on standard queues that do not stick, so that the message is delivered
    again; ``shuffled`` is the share of receives on standard queues that ignore order. Both are seeded.
    """

    def __init__(self, clock: WorldClock, lock: threading.RLock, rng: random.Random, waits: bool) -> None:
        self._clock, self._lock, self._rng, self.waits = clock, lock, rng, waits
        self.duplicates = 0.0
        self.shuffled = 0.0
        self._sequence = 0
        self._seen: dict[tuple[str, str, str], tuple[float, sqs.Message]] = {}

    def install(self, stack: ExitStack) -> None:
        """Puts these rules under moto until the stack is closed."""
        self._send = sqs.SQSBackend.send_message
        swap: list[tuple[Any, str, Any]] = [
            (sqs, "unix_time", self._clock.epoch),
            (sqs, "unix_time_millis", self._clock.epoch_ms),
            (sqs.Message, "visible", property(self._visible)),
            (sqs.Queue, "add_message", _append),
            (sqs.SQSBackend, "send_message", _method(self.send)),
            (sqs.SQSBackend, "receive_message", _method(self.receive)),
            (sqs.SQSBackend, "delete_message", _method(self.delete)),
            (sqs.SQSBackend, "change_message_visibility", _method(self.change_visibility)),
        ]
        for owner, name, value in swap:
            stack.enter_context(patch.object(owner, name, value))

    def _visible(self, message: sqs.Message) -> bool:
        return self._clock.epoch_ms() >= message.visible_at

    def send(self, backend: sqs.SQSBackend, queue_name: str, message_body: str, *rest: Any, **more: Any) -> sqs.Message:
        with self._lock:
            queue = backend.get_queue(queue_name)
            _check_content(queue, message_body, more.get("message_attributes") or (rest[0] if rest else None))
            key = self._deduplication_key(queue, message_body, more)
            if key and (seen := self._seen.get(key)) and self._clock.epoch() - seen[0] < DEDUPLICATION_SECONDS:
                return seen[1]
            message = self._send(backend, queue_name, message_body, *rest, **more)
            if key:
                self._sequence += 1
                message.sequence_number = f"{18850000000000000000 + self._sequence * 256:020d}"
                self._seen[key] = (self._clock.epoch(), message)
            return message

    def _deduplication_key(self, queue: sqs.Queue, body: str, more: dict[str, Any]) -> tuple[str, str, str] | None:
        if not queue.fifo_queue:
            return None
        scope = queue.deduplication_scope  # type: ignore[attr-defined]
        group = str(more.get("group_id") or "") if scope == "messageGroup" else ""
        return (queue.name, group, str(more.get("deduplication_id") or f"content {body}"))

    def receive(
        self, backend: sqs.SQSBackend, queue_name: str, count: int, wait_seconds_timeout: int,
        visibility_timeout: int, message_attribute_names: list[str] | None = None,
    ) -> list[sqs.Message]:  # fmt: skip
        until = time.monotonic() + (wait_seconds_timeout if self.waits else 0)
        while True:  # a long poll holds no lock while it waits
            with self._lock:
                found = self._take(backend.get_queue(queue_name), count, visibility_timeout)
            if found or time.monotonic() >= until:
                break
            time.sleep(0.02)
        copies = [deepcopy(message) for message in found]
        for message in copies:
            sqs._filter_message_attributes(message, message_attribute_names or [])
        return copies

    def _take(self, queue: sqs.Queue, count: int, visibility: int) -> list[sqs.Message]:
        self._expire(queue)
        taken: list[sqs.Message] = []
        for message in list(self._deliverable(queue)):
            if len(taken) == count:
                break
            message.mark_received(visibility_timeout=visibility)
            taken.append(message)
        return taken

    def _deliverable(self, queue: sqs.Queue) -> Iterator[sqs.Message]:
        """Messages that may be handed out now, in order; what was tried too often goes to the dead letters."""
        blocked: set[str] = set()
        policy = queue.redrive_policy if queue.dead_letter_queue else None
        most = policy["maxReceiveCount"] if policy else None
        candidates = list(queue._messages)
        if not queue.fifo_queue and self._rng.random() < self.shuffled:
            self._rng.shuffle(candidates)
        for message in candidates:
            group = message.group_id or ""
            if queue.fifo_queue and group in blocked:
                continue
            if not message.visible or message.delayed:
                blocked.add(group)  # in flight: nothing behind it in its group
                continue
            if most is not None and message.approximate_receive_count >= most:
                queue._messages.remove(message)
                assert queue.dead_letter_queue is not None
                queue.dead_letter_queue._messages.append(message)
                message.receipt_handle, message.visible_at = None, 0.0
                if queue.fifo_queue:
                    message.sent_timestamp = int(self._clock.epoch_ms())  # type: ignore[assignment]
                continue
            yield message

    def _expire(self, queue: sqs.Queue) -> None:
        oldest = self._clock.epoch_ms() - queue.message_retention_period * 1000  # type: ignore[attr-defined]
        queue._messages = [message for message in queue._messages if int(message.sent_timestamp or 0) > oldest]  # type: ignore[redundant-expr]

    def delete(self, backend: sqs.SQSBackend, queue_name: str, receipt_handle: str) -> None:
        with self._lock:
            queue = backend.get_queue(queue_name)
            if receipt_handle in queue.deleted_messages:
                return
            message = _holding(queue, receipt_handle)
            current = message.receipt_handle == receipt_handle
            if queue.fifo_queue and (not current or message.visible):
                raise InvalidParameterValue(f"Value {receipt_handle} for parameter ReceiptHandle is invalid. "
                                            "Reason: The receipt handle has expired.")  # fmt: skip
            if not current:
                return  # a standard queue says yes and deletes nothing: it was handed out again since
            if not queue.fifo_queue and self._rng.random() < self.duplicates:
                message.visible_at = 0.0  # at least once: this delete did not stick
                return
            queue._messages.remove(message)
            queue.deleted_messages.update(handle for handle in message.all_receipt_handles if handle)

    def change_visibility(
        self, backend: sqs.SQSBackend, queue_name: str, receipt_handle: str, visibility_timeout: int
    ) -> None:
        with self._lock:
            message = _holding(backend.get_queue(queue_name), receipt_handle)
            if message.receipt_handle != receipt_handle or message.visible:
                raise SQSException("MessageNotInflight", "The specified message isn't in flight.")
            first = message.approximate_first_receive_timestamp or 0
            if self._clock.epoch_ms() + int(visibility_timeout) * 1000 - first > 43_200_000:
                raise InvalidParameterValue(
                    "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]"
                )
            message.change_visibility(visibility_timeout)

    def all(self) -> dict[str, sqs.Queue]:
        """Queues by name."""
        return sqs.sqs_backends[ACCOUNT][REGION].queues

    def ready(self, name: str) -> bool:
        """Whether the queue would hand something out now, or move it to its dead letters."""
        with self._lock:
            queue = self.all()[name]
            self._expire(queue)
            blocked: set[str] = set()
            for message in queue._messages:
                waiting = not message.visible or message.delayed
                if not waiting and not (queue.fifo_queue and message.group_id in blocked):
                    return True
                blocked.add(message.group_id or "")
            return False

    def next_due(self, names: set[str]) -> float | None:
        """World epoch in seconds at which a message of these queues becomes visible, or none will."""
        now = self._clock.epoch_ms()
        with self._lock:
            moments = [
                moment
                for name in names
                for message in self.all()[name]._messages
                if (moment := max(message.visible_at, message.delayed_until)) > now
            ]
        return min(moments) / 1000 if moments else None


def _method(function: Callable[..., Any]) -> Callable[..., Any]:
    """A plain function, so that patching a class with it binds the backend as first argument."""
    return lambda backend, *rest, **more: function(backend, *rest, **more)


def _append(queue: sqs.Queue, message: sqs.Message) -> None:
    queue._messages.append(message)


def _holding(queue: sqs.Queue, receipt_handle: str) -> sqs.Message:
    for message in queue._messages:
        if message.had_receipt_handle(receipt_handle):
            return message
    raise ReceiptHandleIsInvalid


def _check_content(queue: sqs.Queue, body: str, attributes: dict[str, Any] | None) -> None:
    if refused := _REFUSED.search(body):
        raise SQSException("InvalidMessageContents", f"Invalid character U+{ord(refused.group()):04X} in the message.")
    size = len(body.encode("utf-8"))
    for name, value in (attributes or {}).items():
        size += len(name) + len(value.get("DataType", ""))
        size += len(value.get("StringValue", "").encode()) + len(value.get("BinaryValue", b""))
    limit = queue.maximum_message_size  # type: ignore[attr-defined]
    if size > limit:
        raise InvalidParameterValue(
            f"One or more parameters are invalid. Reason: Message must be shorter than {limit} bytes."
        )
