"""The world as a whole: its template, its time, its counters, and what a crash leaves behind."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from infra.local.clock import WorldClock
from infra.local.functions import Crash
from infra.local.make import NotEmulated
from infra.local.world import NotSettled, World
from tests.integration.local.toybox import START, TOY, depth, seen, send


def test_a_type_that_is_not_emulated_is_named(world: World) -> None:
    assert world.not_emulated == ["AWS::SNS::Topic Topic"]


def test_a_property_that_is_not_emulated_stops_the_start(tmp_path: Path) -> None:
    text = "Resources: {Q: {Type: AWS::SQS::Queue, Properties: {Colour: red}}}"
    (tmp_path / "t.yaml").write_text(f"Transform: AWS::Serverless-2016-10-31\n{text}\n")
    with pytest.raises(NotEmulated, match="Q: Colour"), World(tmp_path / "t.yaml"):
        pass


def test_conditions_and_parameters_decide_what_is_made() -> None:
    with World(TOY) as toy:
        assert "OnlyInProd" not in toy.resources
    with World(TOY, parameters={"Stage": "prod"}) as prod:
        assert "OnlyInProd" in prod.resources
        assert prod.function("WorkFunction").environment["STAGE"] == "prod-eu-central-1"


def test_a_crash_leaves_the_message_and_takes_the_warm_state(world: World) -> None:
    crashes = iter([True])

    def break_once(call: str) -> None:
        if call == "after WorkFunction dynamodb.UpdateItem" and next(crashes, False):
            raise Crash(call)

    assert world.invoke("WorkFunction", {"do": "warm"}).value == 1
    world.boundary = break_once
    send(world, "Plain", "x")
    world.pump()
    assert (seen(world), depth(world, "Plain")) == (["warm", "x"], 1)
    assert world.errors[-1][2].died
    assert world.invoke("WorkFunction", {"do": "warm"}).value == 1  # a fresh environment
    world.run()
    assert seen(world).count("x") == 2
    assert depth(world, "Plain") == 0


def test_a_dead_environment_makes_no_more_calls_even_from_a_finally(world: World, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "import boto3\n"
        "WHERE = {'LocationConstraint': 'eu-central-1'}\n"
        "def handler(event, context):\n"
        "    s3 = boto3.client('s3')\n"
        "    try:\n        s3.list_buckets()\n"
        "    except BaseException:\n        pass\n"
        "    finally:\n        s3.create_bucket(Bucket='ghost', CreateBucketConfiguration=WHERE)\n"
    )
    world.function("WorkFunction").folder = tmp_path

    def die(call: str) -> None:
        raise Crash(call)

    world.boundary = die
    assert world.invoke("WorkFunction", {}).died
    assert world.client("s3").list_buckets()["Buckets"] == []


def test_calls_are_counted_by_function_and_operation(world: World) -> None:
    send(world, "Plain", "one")
    send(world, "Plain", "two")
    world.pump()
    assert world.calls == {("WorkFunction", "dynamodb.UpdateItem"): 2}


def test_a_schedule_only_runs_when_the_ledger_says_that_something_is_due(world: World) -> None:
    due: list[datetime] = []
    world.dues = lambda: due[0] if due else None
    world.advance(timedelta(hours=1))
    world.pump()
    assert seen(world) == []
    due.append(world.clock.now() + timedelta(minutes=10))
    world.run(until=lambda: seen(world) != [])
    assert seen(world) == ["Scheduled Event"]
    assert timedelta(0) <= world.clock.now() - due[0] <= timedelta(minutes=1)


def test_a_world_that_never_settles_says_what_is_still_moving(world: World) -> None:
    world.dues = world.clock.now
    with pytest.raises(NotSettled, match="WorkFunction"):
        world.run(most=5)


def test_an_asynchronous_invocation_is_retried_twice_and_then_kept_as_dropped(world: World) -> None:
    world.function("WorkFunction").folder = Path("nowhere")
    events = world.client("events")
    events.put_events(Entries=[{"Source": "toy", "DetailType": "news", "Detail": "{}", "EventBusName": "toy-bus"}])
    events.put_events(Entries=[{"Source": "other", "DetailType": "news", "Detail": "{}", "EventBusName": "toy-bus"}])
    world.run()
    assert world.runtime.invocations["WorkFunction"] == 3
    ((name, event, outcome),) = world.dropped
    assert (name, event["source"], outcome.error_type) == ("WorkFunction", "toy", "FileNotFoundError")


def test_a_rule_delivers_from_the_bus_to_a_function(world: World) -> None:
    entry = {"Source": "toy", "DetailType": "news", "Detail": json.dumps({"a": 1}), "EventBusName": "toy-bus"}
    world.client("events").put_events(Entries=[entry])
    world.pump()
    assert seen(world) == ["news"]


def test_the_same_seed_makes_the_same_history() -> None:
    histories = []
    for _ in range(2):
        with World(TOY, clock=WorldClock("jump", START), seed=7) as world:
            world.queues.shuffled = 1.0
            ids = [send(world, "Plain", str(number))["MessageId"] for number in range(12)]
            world.run()
            histories.append((ids, seen(world), world.clock.now()))
    assert histories[0] == histories[1]
    assert histories[0][1] != sorted(histories[0][1], key=int)


def test_a_handler_that_takes_too_long_is_a_timeout(world: World) -> None:
    world.boundary = lambda call: world.advance(6) if call.startswith("after") else None
    outcome = world.invoke("WorkFunction", {"do": "x"})
    assert (outcome.error_type, outcome.died) == ("Sandbox.Timedout", True)


# --- DynamoDB: what moto alone would let pass (reliability.md 4.1)


def test_a_rolled_back_transaction_takes_no_strangers_write_with_it(world: World) -> None:
    dynamodb, acknowledged = world.client("dynamodb"), list[str]()
    table = "tieout-local-Table"

    def write(worker: int) -> None:
        for number in range(30):
            dynamodb.put_item(TableName=table, Item={"pk": {"S": f"{worker}-{number}"}})
            acknowledged.append(f"{worker}-{number}")

    def roll_back() -> None:
        missing = {"TableName": table, "Key": {"pk": {"S": "none"}}, "ConditionExpression": "attribute_exists(pk)"}
        put = {"TableName": table, "Item": {"pk": {"S": "never"}}}
        for _ in range(60):
            with pytest.raises(ClientError, match="TransactionCanceled"):  # client.exceptions is racy at first use
                dynamodb.transact_write_items(TransactItems=[{"Put": put}, {"ConditionCheck": missing}])

    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # without the lock moto loses about a third of the writes
    try:
        with ThreadPoolExecutor(6) as pool:
            jobs = [pool.submit(write, worker) for worker in range(3)] + [pool.submit(roll_back) for _ in range(3)]
            for job in jobs:
                job.result()
    finally:
        sys.setswitchinterval(usual)
    kept = {item["pk"]["S"] for item in dynamodb.scan(TableName=table)["Items"]}
    assert kept == set(acknowledged)
    assert len(kept) == 90


def test_a_client_request_token_makes_a_transaction_happen_once(world: World) -> None:
    def add(amount: str, token: str) -> None:
        update = {
            "TableName": "tieout-local-Table", "Key": {"pk": {"S": "sum"}}, "UpdateExpression": "ADD n :one",
            "ExpressionAttributeValues": {":one": {"N": amount}},
        }  # fmt: skip
        world.client("dynamodb").transact_write_items(TransactItems=[{"Update": update}], ClientRequestToken=token)

    add("1", "t1")
    add("1", "t1")
    with pytest.raises(world.client("dynamodb").exceptions.IdempotentParameterMismatchException):
        add("2", "t1")
    world.advance(601)
    add("1", "t1")
    item = world.client("dynamodb").get_item(TableName="tieout-local-Table", Key={"pk": {"S": "sum"}})["Item"]
    assert item["n"]["N"] == "2"


@pytest.mark.parametrize("transacted", [False, True])
def test_a_value_that_no_expression_uses_is_refused_as_on_aws(world: World, transacted: bool) -> None:
    dynamodb = world.client("dynamodb")
    put = {
        "TableName": "tieout-local-Table", "Item": {"pk": {"S": "x"}}, "ConditionExpression": "n = :a",
        "ExpressionAttributeValues": {":a": {"N": "1"}, ":b": {"N": "1"}},
    }  # fmt: skip
    with pytest.raises(ClientError, match="unused in expressions"):
        dynamodb.transact_write_items(TransactItems=[{"Put": put}]) if transacted else dynamodb.put_item(**put)
