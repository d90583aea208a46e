"""The ledger on DynamoDB. Decision 0001 lists its keys and indexes.

One write is one call: a single item goes by PutItem or UpdateItem, several by TransactWriteItems. Reads that decide
anything are strongly consistent and by primary key; the indexes only say where to look.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import islice
from typing import Any, Final

from boto3.dynamodb.types import Binary, TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from tieout.core import ledger as states
from tieout.core.keys import Key
from tieout.core.verdicts import TryAgain
from tieout.core.writes import Change, Check, Item, Put, Refused, Write

_SERIALIZE: Final = TypeSerializer()
_DESERIALIZE: Final = TypeDeserializer()
_CONFLICTS: Final = ("TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded")
_TRIES: Final = 6
_PER_READ: Final = 100


def encode(value: Any) -> Any:
    """A value as DynamoDB's typed JSON."""
    return _SERIALIZE.serialize(value)


def _plain(value: Any) -> Any:
    match value:
        case Decimal():
            return int(value)
        case Binary():
            return bytes(value.value)  # type: ignore[attr-defined]
        case dict():
            return {name: _plain(one) for name, one in value.items()}
        case list():
            return [_plain(one) for one in value]
    return value


def decode(item: Any) -> Item:
    """An item out of DynamoDB's typed JSON: integers and bytes, no Decimal and no Binary."""
    return {name: _plain(_DESERIALIZE.deserialize(value)) for name, value in item.items()}


class _Expression:
    """Names and values of one expression; every name goes through a placeholder, so none is a reserved word."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.values: dict[str, Any] = {}

    def name(self, path: str) -> str:
        bare, bracket, rest = path.partition("[")
        place = f"#n{len(self.names)}"
        known = {name: key for key, name in self.names.items()}
        place = known.get(bare, place)
        self.names[place] = bare
        return place + bracket + rest

    def value(self, value: Any) -> str:
        place = f":v{len(self.values)}"
        self.values[place] = encode(value)
        return place

    def condition(self, write: Write) -> str:
        if isinstance(write, Put):
            return f"attribute_not_exists({self.name('pk')})"
        parts = []
        if isinstance(write, Change) and not write.upsert:
            parts.append(f"attribute_exists({self.name('pk')})")
        for path, want in write.when.items():
            name = self.name(path)
            parts.append(f"attribute_not_exists({name})" if want is None else f"{name} = {self.value(want)}")
        if isinstance(write, Change):
            for path, limit in write.below.items():
                name = self.name(path)
                parts.append(f"(attribute_not_exists({name}) OR {name} < {self.value(limit)})")
        return " AND ".join(parts)

    def update(self, change: Change) -> str:
        sets = [f"{self.name(name)} = {self.value(value)}" for name, value in change.set.items()]
        for name, values in change.append.items():
            place = self.name(name)
            sets.append(f"{place} = list_append(if_not_exists({place}, {self.value([])}), {self.value(list(values))})")
        parts = [f"SET {', '.join(sets)}"] if sets else []
        if change.remove:
            parts.append("REMOVE " + ", ".join(self.name(name) for name in change.remove))
        if change.add:
            parts.append("ADD " + ", ".join(f"{self.name(n)} {self.value(step)}" for n, step in change.add.items()))
        return " ".join(parts)

    def given(self) -> dict[str, Any]:
        filled: dict[str, Any] = {}
        if self.names:
            filled["ExpressionAttributeNames"] = self.names
        if self.values:
            filled["ExpressionAttributeValues"] = self.values
        return filled


def _key(key: Key) -> dict[str, Any]:
    return {"pk": {"S": key.pk}, "sk": {"S": key.sk}}


class DynamoLedger:
    """The ledger table behind the ``Ledger`` port."""

    def __init__(self, client: Any, table: str, pause: Callable[[float], None] = time.sleep) -> None:
        self._client = client
        self._table = table
        self._pause = pause

    # --- writing
    def _action(self, write: Write) -> tuple[str, dict[str, Any]]:
        expression = _Expression()
        request: dict[str, Any]
        common: dict[str, Any] = {"TableName": self._table, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
        if isinstance(write, Put):
            name, request = "Put", {"Item": {field: encode(value) for field, value in write.item.items()}}
        elif isinstance(write, Check):
            name, request = "ConditionCheck", {"Key": _key(write.key)}
        else:
            name, request = "Update", {"Key": _key(write.key), "UpdateExpression": expression.update(write)}
        condition = expression.condition(write)
        if condition:
            request["ConditionExpression"] = condition
        return name, common | request | expression.given()

    def write(self, writes: Sequence[Write]) -> None:
        """All or nothing; see the port."""
        actions = [self._action(write) for write in writes]
        for attempt in range(_TRIES):
            try:
                self._send(actions)
                return
            except ClientError as error:
                refusal = self._refusal(writes, error)
                if refusal is not None:
                    raise refusal from None
            self._pause(0.02 * 2**attempt)
        raise TryAgain("ledger_contended", "conflicts on the same items six times in a row")

    def _send(self, actions: Sequence[tuple[str, dict[str, Any]]]) -> None:
        if len(actions) > 1 or actions[0][0] == "ConditionCheck":
            self._client.transact_write_items(TransactItems=[{name: request} for name, request in actions])
        elif actions[0][0] == "Put":
            self._client.put_item(**actions[0][1])
        else:
            self._client.update_item(**actions[0][1])

    def _refusal(self, writes: Sequence[Write], error: ClientError) -> Refused | None:
        """What a refused write found; ``None`` where only a conflict or throttling stood in the way."""
        code = error.response.get("Error", {}).get("Code", "")
        if code == "ConditionalCheckFailedException":
            found = error.response.get("Item")
            seen = decode(found) if found else self.read([writes[0].key]).get(writes[0].key)
            return Refused([True], [seen])
        if code in ("TransactionConflictException", "TransactionInProgressException"):
            return None
        if code != "TransactionCanceledException":
            raise error
        reasons: list[dict[str, Any]] = error.response.get("CancellationReasons", [])  # type: ignore[assignment]
        failed = [reason.get("Code") == "ConditionalCheckFailed" for reason in reasons]
        if not any(failed):
            if any(reason.get("Code") in _CONFLICTS for reason in reasons):
                return None
            raise error
        given = [decode(reason["Item"]) if reason.get("Item") else None for reason in reasons]
        blind = [w.key for w, no, item in zip(writes, failed, given, strict=True) if no and item is None]
        # An item that the answer does not show is read back; absent there as well, it really is.
        read = self.read(blind) if blind else {}
        seen_all = [
            item or (read.get(w.key) if no else None) for w, no, item in zip(writes, failed, given, strict=True)
        ]
        return Refused(failed, seen_all)

    # --- reading
    def read(self, keys: Iterable[Key]) -> dict[Key, Item]:
        """Strongly consistent; see the port."""
        wanted = list(dict.fromkeys(keys))
        found: dict[Key, Item] = {}
        for start in range(0, len(wanted), _PER_READ):
            asked: list[dict[str, Any]] = [_key(key) for key in wanted[start : start + _PER_READ]]
            for attempt in range(_TRIES):
                request = {self._table: {"Keys": asked, "ConsistentRead": True}}
                answer = self._client.batch_get_item(RequestItems=request)
                for raw in answer["Responses"].get(self._table, []):
                    item = decode(raw)
                    found[Key(item["pk"], item["sk"])] = item
                asked = answer.get("UnprocessedKeys", {}).get(self._table, {}).get("Keys", [])
                if not asked:
                    break
                self._pause(0.05 * 2**attempt)
            if asked:
                # Never "assume not present": what could not be read is unknown.
                raise TryAgain("ledger_contended", f"{len(asked)} items could not be read")
        return found

    def _pages(self, **request: Any) -> Iterator[Item]:
        start: dict[str, Any] = {}
        while True:
            answer = self._client.query(TableName=self._table, **request, **start)
            yield from (decode(raw) for raw in answer["Items"])
            if "LastEvaluatedKey" not in answer:
                return
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def due(self, until: str, limit: int = 200) -> list[Item]:
        """Rows of the due index; see the port."""
        found: dict[str, list[Item]] = {}
        for shard in states.SHARDS:
            answer = self._client.query(
                TableName=self._table,
                IndexName="due",
                KeyConditionExpression="due_shard = :shard AND due <= :until",
                ExpressionAttributeValues={":shard": {"S": shard}, ":until": {"S": until}},
                Limit=limit,
            )
            found[shard] = [decode(raw) for raw in answer["Items"]]
        first = found.pop(states.SHARDS[0])
        rest = sorted((row for rows in found.values() for row in rows), key=lambda row: str(row["due"]))
        return [*first, *rest][:limit]

    def waiting(self, target: str, limit: int) -> list[Item]:
        """Rows of one target's wait partition; see the port."""
        return list(islice(self._shard(states.wait_shard(target), Limit=limit), limit))

    def open(self) -> Iterator[Item]:
        """Every row of the due index; see the port. Wherever something waits, the target's budget is due."""
        for shard in states.SHARDS:
            for row in self._shard(shard):
                yield row
                if row.get("what") == "budget":
                    yield from self._shard(states.wait_shard(row["pk"].removeprefix("B#")))

    def _shard(self, shard: str, **more: Any) -> Iterator[Item]:
        return self._pages(
            IndexName="due",
            KeyConditionExpression="due_shard = :shard",
            ExpressionAttributeValues={":shard": {"S": shard}},
            **more,
        )

    def day(self, day: str) -> Iterator[Item]:
        """Rows of one day; see the port."""
        yield from self._pages(
            IndexName="day",
            KeyConditionExpression="#d = :day",
            ExpressionAttributeNames={"#d": "day"},
            ExpressionAttributeValues={":day": {"S": day}},
        )

    def find(self, name: str) -> list[Key]:
        """By any name; see the port."""
        by_id = self._pages(
            IndexName="find",
            KeyConditionExpression="#f = :name",
            ExpressionAttributeNames={"#f": "find"},
            ExpressionAttributeValues={":name": {"S": name.strip()}},
        )
        found = [Key(row["pk"], row["sk"]) for row in by_id]
        found += [Key(item["to"]) for item in self.family(f"A#{name.strip().casefold()}")]
        return list(dict.fromkeys(found))

    def family(self, pk: str) -> list[Item]:
        """One partition; see the port."""
        return list(
            self._pages(
                KeyConditionExpression="pk = :pk",
                ExpressionAttributeValues={":pk": {"S": pk}},
                ConsistentRead=True,
            )
        )
