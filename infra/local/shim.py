"""Where moto's other services could make a test lie: one lock, DynamoDB's request rules, world time.

Without the lock moto lets two conditional writes win and a roll-back undo a stranger's write (reliability.md 4.1).
"""

from __future__ import annotations

import copy
import json
import re
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, ClassVar
from unittest.mock import patch

from moto.core.responses import ActionResult
from moto.dynamodb import models as dynamodb
from moto.dynamodb.exceptions import MockValidationException
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table
from moto.dynamodb.responses import DynamoHandler
from moto.events import models as events
from moto.s3 import models as s3

from infra.local.clock import WorldClock

TOKEN_SECONDS = 600
TRANSACTION_BYTES = 4 * 1024 * 1024
_PLACEHOLDER = re.compile(r":[A-Za-z0-9_]+")


class DynamoShim:
    """Serial writes, `ClientRequestToken` and the refusals that moto forgets."""

    def __init__(self, clock: WorldClock, lock: threading.RLock) -> None:
        self._clock, self._lock = clock, lock
        self._tokens: dict[str, tuple[float, str]] = {}

    def install(self, stack: ExitStack) -> None:
        """Puts these rules under moto until the stack is closed."""
        call, transact = DynamoHandler.call_action, DynamoHandler.transact_write_items

        def locked(handler: DynamoHandler) -> Any:
            with self._lock:
                return call(handler)

        def once(handler: DynamoHandler) -> ActionResult:
            return self._transact(handler, transact)

        stack.enter_context(patch.object(DynamoHandler, "call_action", locked))
        stack.enter_context(patch.object(DynamoHandler, "transact_write_items", once))
        stack.enter_context(patch.object(dynamodb, "copy", _Copies()))
        for name in ("put_item", "update_item", "delete_item", "query", "scan"):
            stack.enter_context(patch.object(DynamoHandler, name, _checked(getattr(DynamoHandler, name))))

    def _transact(self, handler: DynamoHandler, transact: Callable[[DynamoHandler], ActionResult]) -> ActionResult:
        items = handler.body["TransactItems"]
        text = json.dumps(items, sort_keys=True, default=repr)
        if len(text) > TRANSACTION_BYTES:
            raise MockValidationException("Transaction request cannot be larger than 4 MB")
        for item in items:
            for action in item.values():
                _refuse_unused(action)
        token = handler.body.get("ClientRequestToken")
        now = self._clock.epoch()
        if token and token in self._tokens and now - self._tokens[token][0] < TOKEN_SECONDS:
            if self._tokens[token][1] != text:
                raise _mismatch()
            return ActionResult({})
        _Copies.touched = [_key_of(action) for item in items for action in item.values()]
        result = transact(handler)
        if token:
            self._tokens[token] = (now, text)
        return result


class _Copies:
    """moto's back-up of the table before a transaction, without the items that the transaction does not touch.

    moto copies the whole table deeply for each transaction, which makes a ledger of some hundred items unusably slow.
    """

    touched: ClassVar[list[dict[str, Any]]] = []
    copy = staticmethod(copy.copy)

    def deepcopy(self, value: Any) -> Any:
        if not isinstance(value, Table):
            return copy.deepcopy(value)
        twin = copy.copy(value)
        twin.items = copy.copy(value.items)
        for name, row in value.items.items():
            twin.items[name] = dict(row) if value.range_key_attr else row
        for key in self.touched:
            name = DynamoType(key[value.hash_key_attr])
            if name not in value.items:
                continue
            if not value.range_key_attr:
                twin.items[name] = copy.deepcopy(value.items[name])
            elif (place := DynamoType(key[value.range_key_attr])) in value.items[name]:
                twin.items[name][place] = copy.deepcopy(value.items[name][place])
        return twin


def _key_of(action: dict[str, Any]) -> dict[str, Any]:
    key: dict[str, Any] = action.get("Key") or action["Item"]
    return key


def _mismatch() -> Exception:
    from moto.core.exceptions import JsonRESTError

    return JsonRESTError(
        "com.amazonaws.dynamodb#IdempotentParameterMismatchException",
        "The request uses the same client token as a previous, but non-identical request.",
    )


def _checked(method: Callable[..., Any]) -> Callable[..., Any]:
    def check(handler: DynamoHandler) -> Any:
        _refuse_unused(handler.body)
        return method(handler)

    return check


def _refuse_unused(body: dict[str, Any]) -> None:
    """AWS refuses a value that no expression uses; moto mostly accepts it."""
    text = " ".join(str(value) for key, value in body.items() if key.endswith("Expression"))
    if unused := set(body.get("ExpressionAttributeValues") or {}) - set(_PLACEHOLDER.findall(text)):
        names = ", ".join(sorted(unused))
        raise MockValidationException(
            f"Value provided in ExpressionAttributeValues unused in expressions: keys: {{{names}}}"
        )


def install_world_time(stack: ExitStack, clock: WorldClock) -> None:
    """Gives S3 and EventBridge the world's time."""
    stack.enter_context(patch.object(s3, "utcnow", lambda: clock.now().replace(tzinfo=None)))
    stack.enter_context(patch.object(events, "unix_time", lambda *_: clock.epoch()))
