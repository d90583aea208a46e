"""A toy worker: what it does is what its message says; what it saw is kept in order in the table."""

from __future__ import annotations

import json
from typing import Any

import boto3

from tieout.aws.settings import read

warm = {"runs": 0}


class TryAgain(Exception):
    """For a state machine to retry."""


class NeedsHuman(Exception):
    """For a state machine to catch."""


def handler(event: dict[str, Any], context: Any) -> Any:
    warm["runs"] += 1
    if "Records" in event:
        return batch(event["Records"])
    if "detail-type" in event:
        saw(event["detail-type"])
        return None
    return step(event)


def batch(records: list[dict[str, Any]]) -> Any:
    failed: list[str] = []
    blocked: set[str | None] = set()
    for record in records:
        group, body = record["attributes"].get("MessageGroupId"), record["body"]
        if body == "raise":
            raise RuntimeError("as told")
        first = record["attributes"]["ApproximateReceiveCount"] == "1"
        if (group and group in blocked) or (first and body.startswith("fail")):
            blocked.add(group)
            failed.append(record["messageId"])
        elif body.startswith("poison"):
            failed.append(record["messageId"])
        elif body == "stranger":
            failed.append("not-a-message-of-this-batch")
        else:
            saw(body)
    return {"batchItemFailures": [{"itemIdentifier": name} for name in failed]}


def step(event: dict[str, Any]) -> Any:
    saw(event["do"])
    match event["do"]:
        case "answer":
            boto3.client("stepfunctions").send_task_success(taskToken=event["token"], output=json.dumps({"n": 1}))
        case "refuse":
            boto3.client("stepfunctions").send_task_failure(taskToken=event["token"], error="NeedsHuman", cause="no")
        case "again":
            raise TryAgain("not yet")
        case "human":
            raise NeedsHuman("broken")
        case "warm":
            return warm["runs"]
    return event.get("name")


def saw(text: str) -> None:
    boto3.client("dynamodb").update_item(
        TableName=read()["TABLE"],
        Key={"pk": {"S": "seen"}},
        UpdateExpression="SET seen = list_append(if_not_exists(seen, :none), :one)",
        ExpressionAttributeValues={":none": {"L": []}, ":one": {"L": [{"S": text}]}},
    )
