"""probe: schedule → in doubt, held, due: look, release, escalate; dead letters → booked; credentials seen ahead."""

from __future__ import annotations

from typing import Any

from tieout.aws import wiring
from tieout.work.credentials import watch
from tieout.work.probe import dead, probe

#: The minute of each hour in which the credentials are looked at.
WATCH_MINUTE = 7


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """One run of the schedule, or one batch from a dead-letter queue."""
    here = wiring.environment()
    ports = here.ports(context)
    if "Records" in event:
        return wiring.failures(dead(wiring.messages(event), ports))
    done = probe(ports)
    wiring.count("probe", done)
    if ports.now().minute == WATCH_MINUTE:
        wiring.count("credentials", watch(ports, here.tables()))
    return dict(done)
