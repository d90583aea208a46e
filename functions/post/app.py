"""post: lane queue, or a step of a state machine → posted once."""

from __future__ import annotations

from typing import Any

from tieout.aws import start, wiring
from tieout.work.post import post
from tieout.work.steps import step

start.over()


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """One batch from a lane queue, or one step that a state machine asks for."""
    ports = wiring.environment().ports(context)
    if "step" in event:
        return step(event, ports)
    arrived = wiring.messages(event)
    failed = post(arrived, ports)
    wiring.count("post", {"worked": len(arrived) - len(failed), "again": len(failed)})
    return wiring.failures(failed)
