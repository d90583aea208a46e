"""One contract, two ledgers: what DynamoDB (on moto) does, the fake in memory does as well."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from moto import mock_aws

from tests.fakes import MemoryLedger
from tieout.aws.ledger import DynamoLedger
from tieout.core.keys import Key
from tieout.core.ledger import due
from tieout.core.writes import Change, Check, Put, Refused
from tieout.work.ports import Ledger

TABLE = "ledger"


def make_table(client: Any) -> None:
    names = ("pk", "sk", "due_shard", "due", "day", "at", "find")
    index = {"due": ("due_shard", "due"), "day": ("day", "at"), "find": ("find", "pk")}
    client.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in names],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": name,
                "KeySchema": [{"AttributeName": h, "KeyType": "HASH"}, {"AttributeName": r, "KeyType": "RANGE"}],
                "Projection": {"ProjectionType": "ALL"},
            }
            for name, (h, r) in index.items()
        ],
    )


@pytest.fixture(params=["memory", "dynamodb"])
def ledger(request: pytest.FixtureRequest) -> Iterator[Ledger]:
    if request.param == "memory":
        yield MemoryLedger()
        return
    with mock_aws():
        client = boto3.client("dynamodb", region_name="us-east-1")
        make_table(client)
        yield DynamoLedger(client, TABLE, pause=lambda seconds: None)


A, B = Key("A"), Key("B")


def item(key: Key, **values: Any) -> dict[str, Any]:
    return {"pk": key.pk, "sk": key.sk, **values}


def test_a_put_is_read_back_with_integers_bytes_lists_and_maps(ledger: Ledger) -> None:
    whole = item(A, n=12345678901234567, raw=b"\x00\xff", many=[1, "x", {"y": 2}], on=True)
    ledger.write([Put(whole)])
    assert ledger.read([A, B]) == {A: whole}


def test_a_second_put_is_refused_and_shows_what_is_there(ledger: Ledger) -> None:
    ledger.write([Put(item(A, n=1))])
    with pytest.raises(Refused) as refused:
        ledger.write([Put(item(A, n=2))])
    assert refused.value.seen == (item(A, n=1),)


def test_one_refused_condition_refuses_the_whole_list(ledger: Ledger) -> None:
    ledger.write([Put(item(A, n=1))])
    with pytest.raises(Refused) as refused:
        ledger.write([Put(item(B, n=1)), Change(A, set={"n": 2}, when={"n": 7})])
    assert refused.value.failed == (False, True)
    assert refused.value.seen[1] == item(A, n=1)
    assert B not in ledger.read([A, B])


def test_a_change_sets_removes_counts_and_appends_at_once(ledger: Ledger) -> None:
    ledger.write([Put(item(A, n=1, gone="x", many=["a"], count=4))])
    ledger.write([Change(A, set={"n": 2}, remove=["gone"], add={"count": 3}, append={"many": ["b"], "new": ["c"]})])
    assert ledger.read([A])[A] == item(A, n=2, many=["a", "b"], count=7, new=["c"])


def test_an_upsert_makes_the_item_and_a_plain_change_does_not(ledger: Ledger) -> None:
    with pytest.raises(Refused):
        ledger.write([Change(A, set={"n": 1})])
    ledger.write([Change(A, set={"n": 1}, append={"queue": ["x"]}, add={"rev": 1}, upsert=True)])
    assert ledger.read([A])[A] == item(A, n=1, queue=["x"], rev=1)


def test_the_head_of_a_list_can_be_a_condition(ledger: Ledger) -> None:
    ledger.write([Put(item(A, queue=["first", "second"]))])
    ledger.write([Change(A, set={"ok": 1}, when={"queue[0]": "first"})])
    with pytest.raises(Refused):
        ledger.write([Change(A, set={"ok": 2}, when={"queue[0]": "second"})])


def test_an_absent_attribute_and_an_empty_list_have_no_head(ledger: Ledger) -> None:
    ledger.write([Put(item(A, queue=[]))])
    ledger.write([Change(A, set={"ok": 1}, when={"queue[0]": None, "never": None})])
    assert ledger.read([A])[A]["ok"] == 1


def test_below_holds_for_less_and_for_absent_only(ledger: Ledger) -> None:
    ledger.write([Change(A, set={"version": 5}, below={"version": 5}, upsert=True)])
    ledger.write([Change(A, set={"version": 6}, below={"version": 6}, upsert=True)])
    for stale in (6, 5):
        with pytest.raises(Refused) as refused:
            ledger.write([Change(A, set={"version": stale}, below={"version": stale}, upsert=True)])
        assert refused.value.seen[0] == item(A, version=6)


def test_a_check_writes_nothing_and_can_refuse(ledger: Ledger) -> None:
    ledger.write([Put(item(A, state="NEW"))])
    ledger.write([Check(A, when={"state": "NEW"}), Put(item(B))])
    with pytest.raises(Refused):
        ledger.write([Check(A, when={"state": "OLD"}), Change(B, set={"n": 1})])
    assert ledger.read([A, B]) == {A: item(A, state="NEW"), B: item(B)}


def test_due_items_come_earliest_first_over_all_shards(ledger: Ledger) -> None:
    for number in (3, 1, 2, 9):
        ledger.write([Put(item(Key(f"K{number}"), due_shard=f"D#{number % 4}", due=f"2026-01-0{number}"))])
    assert [row["pk"] for row in ledger.due("2026-01-05")] == ["K1", "K2", "K3"]
    assert len(list(ledger.open())) == 4


def test_a_budget_comes_before_everything_else_that_is_due(ledger: Ledger) -> None:
    ledger.write([Put(item(Key("K1"), due_shard="D#1", due="2026-01-01"))])
    budget = Key("B#erp:a")
    ledger.write([Put(item(budget, what="budget", **due(budget.pk, datetime(2026, 1, 3, tzinfo=UTC))))])
    assert [row["pk"] for row in ledger.due("2026-01-05")] == ["B#erp:a", "K1"]
    assert [row["pk"] for row in ledger.due("2026-01-05", 1)] == ["B#erp:a"]
    assert ledger.due("2026-01-02")[0]["pk"] == "K1"
    assert len(list(ledger.open())) == 2


def test_what_waits_for_room_lies_in_its_targets_partition_in_order_and_is_open_too(ledger: Ledger) -> None:
    ledger.write([Put(item(Key("B#erp:a"), what="budget", due_shard="D#1", due="2026-01-03"))])
    for number in (3, 1, 2):
        ledger.write([Put(item(Key(f"K{number}"), due_shard="W#erp:a", due=f"2026-01-0{number}"))])
    ledger.write([Put(item(Key("K9"), due_shard="W#erp:b", due="2026-01-01"))])
    assert [row["pk"] for row in ledger.waiting("erp:a", 2)] == ["K1", "K2"]
    assert [row["pk"] for row in ledger.due("2026-01-05")] == ["B#erp:a"]
    assert {row["pk"] for row in ledger.open()} >= {"B#erp:a", "K1", "K2", "K3"}


def test_things_are_found_by_object_id_and_by_alias(ledger: Ledger) -> None:
    ledger.write([Put(item(A, find="in_1")), Put(item(Key("A#inv-7", "A"), to="A"))])
    assert ledger.find("in_1") == [A]
    assert ledger.find(" INV-7 ") == [A]


def test_a_hundred_and_thirty_items_are_read_in_one_go(ledger: Ledger) -> None:
    wanted = [Key(f"K{number}") for number in range(130)]
    for start in range(0, 130, 50):
        ledger.write([Put(item(key)) for key in wanted[start : start + 50]])
    assert len(ledger.read(wanted)) == 130
