"""Probes of DynamoDB: each does one thing and says in a few words what came of it."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from botocore.exceptions import ClientError

from tests.conformance.engines import Aws

TABLE: Final = "conformance"
THREADS: Final = 8
ROUNDS: Final = 10
KB: Final = 1024


def make_table(aws: Aws, name: str = TABLE) -> None:
    """A table with the ledger's keys and its due index."""
    names = ("pk", "sk", "due_shard", "due")
    aws.dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": one, "AttributeType": "S"} for one in names],
        KeySchema=_schema("pk", "sk"),
        GlobalSecondaryIndexes=[
            {"IndexName": "due", "KeySchema": _schema("due_shard", "due"), "Projection": {"ProjectionType": "ALL"}}
        ],
    )


def _schema(hash_key: str, range_key: str) -> list[dict[str, str]]:
    return [{"AttributeName": hash_key, "KeyType": "HASH"}, {"AttributeName": range_key, "KeyType": "RANGE"}]


def outcome(call: Callable[[], Any], else_: str = "accepted") -> str:
    """The error's code, or ``else_`` where there is none."""
    try:
        call()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return else_


class Row:
    """One item of the probe's own, reached by short words."""

    def __init__(self, aws: Aws, pk: str | None = None) -> None:
        self.db, self.pk = aws.dynamodb, pk or uuid.uuid4().hex

    def key(self, sk: str = "-") -> dict[str, Any]:
        return {"pk": {"S": self.pk}, "sk": {"S": sk}}

    def put(self, sk: str = "-", more: dict[str, Any] | None = None, **values: Any) -> Any:
        return self.db.put_item(TableName=TABLE, Item=self.key(sk) | values, **(more or {}))

    def get(self, sk: str = "-") -> dict[str, Any]:
        answer = self.db.get_item(TableName=TABLE, Key=self.key(sk), ConsistentRead=True)
        item: dict[str, Any] = answer.get("Item", {})
        return item

    def update(self, expression: str, values: dict[str, Any] | None = None, **more: Any) -> Any:
        if values:
            more["ExpressionAttributeValues"] = values
        return self.db.update_item(TableName=TABLE, Key=self.key(), UpdateExpression=expression, **more)

    def query(self, **more: Any) -> Any:
        more = {"KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": {":p": {"S": self.pk}}} | more
        return self.db.query(TableName=TABLE, **more)

    def transact(self, *items: dict[str, Any], **more: Any) -> Any:
        return self.db.transact_write_items(TransactItems=list(items), **more)

    def new(self, sk: str = "-", **values: Any) -> dict[str, Any]:
        return {"Put": {"TableName": TABLE, "Item": self.key(sk) | values, "ConditionExpression": ABSENT}}

    def count(self) -> int:
        return len(self.query(ConsistentRead=True)["Items"])


ABSENT: Final = "attribute_not_exists(pk)"
IF_NEW: Final = {"ConditionExpression": ABSENT}


def _at_once(work: Callable[[int], Any]) -> list[Any]:
    gate = threading.Barrier(THREADS)

    def run(number: int) -> Any:
        gate.wait()
        return work(number)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(run, range(THREADS)))


# --- conditional writes ----------------------------------------------------------------------------------------------
def second_put(aws: Aws) -> str:
    row = Row(aws)
    row.put(more=IF_NEW)
    return outcome(lambda: row.put(more=IF_NEW))


def refused_put_shows_item(aws: Aws) -> str:
    row = Row(aws)
    row.put(n={"N": "1"})
    try:
        row.put(more={**IF_NEW, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"})
    except ClientError as error:
        return "shown" if error.response.get("Item", {}).get("n") == {"N": "1"} else "not shown"  # type: ignore[attr-defined]
    return "accepted"


def one_winner(aws: Aws) -> str:
    most = 0
    for _ in range(ROUNDS):
        row = Row(aws)
        answers = _at_once(lambda number, row=row: outcome(lambda: row.put(more=IF_NEW, by={"N": str(number)})))  # type: ignore[misc]
        most = max(most, answers.count("accepted"))
    return f"{most} winner"


def atomic_add(aws: Aws) -> str:
    row = Row(aws)
    for _ in range(ROUNDS):
        _at_once(lambda number: row.update("ADD n :one", {":one": {"N": "1"}}))
    return f"{row.get()['n']['N']} of {THREADS * ROUNDS}"


def optimistic_lock(aws: Aws) -> str:
    row = Row(aws)
    row.put(v={"N": "0"})

    def raise_version(number: int) -> int:
        seen = int(row.get()["v"]["N"])
        values = {":old": {"N": str(seen)}, ":new": {"N": str(seen + 1)}}
        return int(outcome(lambda: row.update("SET v = :new", values, ConditionExpression="v = :old")) == "accepted")

    won = sum(sum(_at_once(raise_version)) for _ in range(ROUNDS))
    return "none lost" if won == int(row.get()["v"]["N"]) else f"{won} won, version {row.get()['v']['N']}"


def absent_is_not_less(aws: Aws) -> str:
    row = Row(aws)
    row.put()
    return outcome(lambda: row.update("SET b = :x", {":x": {"N": "1"}}, ConditionExpression="a < :x"))


def true_is_not_one(aws: Aws) -> str:
    row = Row(aws)
    row.put(a={"BOOL": True})
    return outcome(lambda: row.update("SET b = :x", {":x": {"N": "1"}}, ConditionExpression="a = :x"))


def update_makes_item(aws: Aws) -> str:
    row = Row(aws)
    row.update("ADD n :one SET l = list_append(if_not_exists(l, :none), :new)",
               {":one": {"N": "2"}, ":none": {"L": []}, ":new": {"L": [{"S": "x"}]}})  # fmt: skip
    item = row.get()
    return f"n={item['n']['N']} l={len(item['l']['L'])}"


# --- transactions ----------------------------------------------------------------------------------------------------
def all_or_nothing(aws: Aws) -> str:
    row = Row(aws)
    row.put("b")
    code = outcome(lambda: row.transact(row.new("a"), row.new("b")))
    return f"{code}, {row.count()} item"


def reasons_in_order(aws: Aws) -> str:
    row = Row(aws)
    row.put("b")
    try:
        row.transact(row.new("a"), row.new("b"))
    except ClientError as error:
        return ",".join(str(one.get("Code")) for one in error.response.get("CancellationReasons", []))
    return "accepted"


def reason_shows_item(aws: Aws) -> str:
    row = Row(aws)
    row.put("b", n={"N": "7"})
    refused = row.new("b")
    refused["Put"]["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
    try:
        row.transact(row.new("a"), refused)
    except ClientError as error:
        item = error.response["CancellationReasons"][1].get("Item", {})
        return "shown" if item.get("n") == {"N": "7"} else "not shown"
    return "accepted"


def same_item_twice(aws: Aws) -> str:
    row = Row(aws)
    return outcome(lambda: row.transact(row.new("a"), row.new("a")))


def hundred_and_one(aws: Aws) -> str:
    row = Row(aws)
    few = outcome(lambda: row.transact(*(row.new(str(n)) for n in range(100))))
    return f"100 {few}, 101 " + outcome(lambda: row.transact(*(row.new(f"x{n}") for n in range(101))))


def four_megabytes(aws: Aws) -> str:
    row, text = Row(aws), {"S": "x" * (390 * KB)}
    return outcome(lambda: row.transact(*(row.new(str(n), t=text) for n in range(12))))


def _add(row: Row, step: str) -> dict[str, Any]:
    change = {"TableName": TABLE, "Key": row.key(), "UpdateExpression": "ADD n :s"}
    return {"Update": change | {"ExpressionAttributeValues": {":s": {"N": step}}}}


def token_repeated(aws: Aws) -> str:
    row, token = Row(aws), uuid.uuid4().hex
    for _ in range(2):
        row.transact(_add(row, "1"), ClientRequestToken=token)
    return f"n={row.get()['n']['N']}"


def token_for_another(aws: Aws) -> str:
    row, token = Row(aws), uuid.uuid4().hex
    row.transact(_add(row, "1"), ClientRequestToken=token)
    return outcome(lambda: row.transact(_add(row, "2"), ClientRequestToken=token))


def check_on_absent(aws: Aws) -> str:
    row = Row(aws)
    check = {"ConditionCheck": {"TableName": TABLE, "Key": row.key("a"), "ConditionExpression": ABSENT}}
    return outcome(lambda: row.transact(check, row.new("b")))


# --- sizes, numbers, words -------------------------------------------------------------------------------------------
def item_size(aws: Aws) -> str:
    row = Row(aws)
    fits = outcome(lambda: row.put(t={"S": "x" * (400 * KB - 60)}))
    return f"under {fits}, over " + outcome(lambda: row.put(t={"S": "x" * (400 * KB)}))


def subtraction(aws: Aws) -> str:
    row = Row(aws)
    row.put(v={"N": "100.30"})
    row.update("SET v = v - :x", {":x": {"N": "100.20"}})
    return str(row.get()["v"]["N"])


def normalised(aws: Aws) -> str:
    row = Row(aws)
    row.put(v={"N": "1.00"})
    return str(row.get()["v"]["N"])


def digits(aws: Aws) -> str:
    row = Row(aws)
    fits = outcome(lambda: row.put(v={"N": "9" * 38}))
    return f"38 {fits}, 39 " + outcome(lambda: row.put(v={"N": "9" * 39}))


def reserved_word(aws: Aws) -> str:
    row = Row(aws)
    return outcome(lambda: row.update("SET status = :x", {":x": {"N": "1"}}))


def unused_value(aws: Aws) -> str:
    row = Row(aws)
    return outcome(lambda: row.update("SET a = :x", {":x": {"N": "1"}, ":y": {"N": "2"}}))


def unused_name(aws: Aws) -> str:
    row = Row(aws)
    return outcome(lambda: row.update("SET a = :x", {":x": {"N": "1"}}, ExpressionAttributeNames={"#b": "b"}))


def overlapping_paths(aws: Aws) -> str:
    row = Row(aws)
    return outcome(lambda: row.update("SET a = :x REMOVE a", {":x": {"N": "1"}}))


def key_changed(aws: Aws) -> str:
    row = Row(aws)
    return outcome(lambda: row.update("SET sk = :x", {":x": {"S": "other"}}))


def empty_key(aws: Aws) -> str:
    row = Row(aws)
    plain = outcome(lambda: row.put(t={"S": ""}))
    return f"attribute {plain}, key " + outcome(lambda: row.put(""))


# --- reads and the index ---------------------------------------------------------------------------------------------
def _in_index(aws: Aws, shard: str) -> int:
    answer = aws.dynamodb.query(
        TableName=TABLE,
        IndexName="due",
        KeyConditionExpression="due_shard = :s",
        ExpressionAttributeValues={":s": {"S": shard}},
    )
    return len(answer["Items"])


def sparse_index(aws: Aws) -> str:
    row, shard = Row(aws), uuid.uuid4().hex
    row.put("half", due_shard={"S": shard})
    row.put("whole", due_shard={"S": shard}, due={"S": "2026"})
    before = _in_index(aws, shard)
    row.put("whole")
    return f"{before} then {_in_index(aws, shard)}"


def index_key_type(aws: Aws) -> str:
    row = Row(aws)
    return outcome(lambda: row.put(due_shard={"N": "1"}, due={"S": "2026"}))


def index_key_empty(aws: Aws) -> str:
    row = Row(aws)
    return outcome(lambda: row.put(due_shard={"S": ""}, due={"S": "2026"}))


def consistent_index(aws: Aws) -> str:
    return outcome(
        lambda: aws.dynamodb.query(
            TableName=TABLE,
            IndexName="due",
            ConsistentRead=True,
            KeyConditionExpression="due_shard = :s",
            ExpressionAttributeValues={":s": {"S": "x"}},
        )
    )


def one_megabyte_page(aws: Aws) -> str:
    row = Row(aws)
    for number in range(5):
        row.put(str(number), t={"S": "x" * (300 * KB)})
    answer = row.query()
    return "cut, with a key to go on" if "LastEvaluatedKey" in answer and len(answer["Items"]) < 5 else "whole"


def byte_order(aws: Aws) -> str:
    row = Row(aws)
    for word in ("\U0001f600", "a", "\uff5e", "Z"):
        row.put(word)
    return " ".join(f"{ord(item['sk']['S']):X}" for item in row.query()["Items"])


def batch_get_twice(aws: Aws) -> str:
    row = Row(aws)
    request = {TABLE: {"Keys": [row.key(), row.key()]}}
    return outcome(lambda: row.db.batch_get_item(RequestItems=request))


def batch_get_many(aws: Aws) -> str:
    row = Row(aws)
    request = {TABLE: {"Keys": [row.key(str(number)) for number in range(101)]}}
    return outcome(lambda: row.db.batch_get_item(RequestItems=request))
