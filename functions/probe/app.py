"""probe: schedule → in doubt, held, due, told in vain: look, release, keep; dead letters → booked; accounts checked."""

from __future__ import annotations

from typing import Any

from tieout.aws import start, wiring
from tieout.work import burn, checkup, credentials, poll, probe, subscriptions, windows

start.over()


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """One run of the schedule, or one batch from a dead-letter queue."""
    here = wiring.environment()
    ports = here.ports(context)
    if "Records" in event:
        return wiring.failures(probe.dead(wiring.messages(event), ports))

    def others() -> None:
        tables = here.tables()
        wiring.count("credentials", windows.run(credentials.JOB, ports, lambda run: credentials.watch(ports, tables)))
        wiring.count("burn", windows.run(burn.JOB, ports, lambda run: burn.watch(ports, tables)))
        wiring.count("poll", poll.poll(ports, tables))
        wiring.count("checkup", checkup.run(ports, credentials.accounts(tables)))
        wiring.count("subscriptions", subscriptions.run(ports, tables))

    done = windows.run(probe.JOB, ports, lambda run: probe.probe(ports, then=others))
    wiring.count("probe", done)
    return dict(done)
