"""probe: schedule → in doubt, held, due: look, release, escalate; dead letters → booked."""

from __future__ import annotations

from typing import Any

from tieout.aws import wiring
from tieout.work.probe import dead, probe


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """One run of the schedule, or one batch from a dead-letter queue."""
    ports = wiring.environment().ports(context)
    if "Records" in event:
        return wiring.failures(dead(wiring.messages(event), ports))
    done = probe(ports)
    wiring.count("probe", done)
    return dict(done)
