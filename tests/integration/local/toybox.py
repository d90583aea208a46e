"""What the tests of the local world share: a toy template, and short words for looking and sending."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infra.local.world import World

TOY = Path(__file__).parent / "toy" / "template.yaml"
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def seen(world: World) -> list[str]:
    """What the toy worker saw, in order."""
    item = world.client("dynamodb").get_item(TableName="tieout-local-Table", Key={"pk": {"S": "seen"}}).get("Item", {})
    return [entry["S"] for entry in item.get("seen", {"L": []})["L"]]


def send(world: World, queue: str, body: str, **more: Any) -> dict[str, Any]:
    url = world.resources[queue].ref
    return dict(world.client("sqs").send_message(QueueUrl=url, MessageBody=body, **more))


def lane(world: World, group: str, *bodies: str) -> None:
    for body in bodies:
        send(world, "Lane", body, MessageGroupId=group, MessageDeduplicationId=f"{group}-{body}")


def depth(world: World, queue: str) -> int:
    return len(world.queues.all()[world.resources[queue].attributes["QueueName"]]._messages)
