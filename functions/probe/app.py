"""probe: schedule → in doubt, held, due, told in vain: look, release, keep; dead letters → booked; accounts checked."""

from __future__ import annotations

from typing import Any

from tieout.aws import wiring
from tieout.work import checkup, credentials, poll, probe, subscriptions, windows


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """One run of the schedule, or one batch from a dead-letter queue."""
    here = wiring.environment()
    ports = here.ports(context)
    if "Records" in event:
        return wiring.failures(probe.dead(wiring.messages(event), ports))
    done = windows.run(probe.JOB, ports, lambda run: probe.probe(ports))
    wiring.count("probe", done)
    watched = windows.run(credentials.JOB, ports, lambda run: credentials.watch(ports, here.tables()))
    wiring.count("credentials", watched)
    wiring.count("poll", poll.poll(ports, here.tables()))
    wiring.count("checkup", checkup.run(ports, credentials.accounts(here.tables())))
    wiring.count("subscriptions", subscriptions.run(ports, here.tables()))
    return dict(done)
