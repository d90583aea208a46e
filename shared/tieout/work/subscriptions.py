"""Subscriptions kept: a source that forgets whom it tells after some days is told again in time.

A run looks at every account of such a source, within its budget, and renews what has little time left; what fails is
tried by the next run, of which there are several before anything runs out. An account without a notification address is
not set up for it.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Final

from tieout import systems
from tieout.contract import Keeps
from tieout.core.verdicts import Verdict
from tieout.core.windows import Job
from tieout.tables import Tables
from tieout.work import windows
from tieout.work.asking import Asking
from tieout.work.ports import Ports, Unavailable

JOB: Final = Job(
    "subscriptions", timedelta(hours=6), "a source forgets whom it tells of changes", patience=timedelta(hours=24)
)


def accounts(tables: Tables) -> list[tuple[str, str]]:
    """Every source account whose source must be told again, in the order of the table."""
    named = (row.key.partition(":") for row in tables.tables["source_accounts"].rows)
    return [
        (system, account)
        for system, _, account in dict.fromkeys(named)
        if system in systems.READERS and isinstance(systems.reader(system), Keeps)
    ]


def run(ports: Ports, tables: Tables) -> dict[str, int]:
    """One run of the schedule: kept where this window's run has not been, else nothing."""
    return windows.run(JOB, ports, lambda here: keep(ports, tables))


def keep(ports: Ports, tables: Tables) -> dict[str, int]:
    """Keep the subscriptions of every account; what was done, counted, and a log line for each that failed."""
    done: Counter[str] = Counter(subscriptions_failed=0)
    for system, account in accounts(tables):
        try:
            done.update(_keep(ports, system, account))
        except (Unavailable, Verdict) as obstacle:
            code = obstacle.code if isinstance(obstacle, Verdict) else "secrets_unavailable"
            ports.log("subscription_not_kept", target=f"{system}:{account}", code=code, said=str(obstacle)[:300])
            done["subscriptions_failed"] += 1
    return dict(done)


def _keep(ports: Ports, system: str, account: str) -> dict[str, int]:
    reader = systems.reader(system)
    secret = ports.secrets.get(system, account) or {}
    words = secret.get(systems.source(system).secrets_field) or []
    if not (secret.get("settings") or {}).get("notification_url") or not words or not isinstance(reader, Keeps):
        return {}
    asking = Asking(ports, {}, f"{system}:{account}")
    wire = asking.begin(reader, account)
    try:
        # Of two active words the first is the newer; the other stays good for what was sent before.
        done = reader.keep(wire, str(words[0]), ports.now())
        asking.heard(None)
    except Verdict as verdict:
        asking.heard(verdict)
        raise
    finally:
        asking.end()
    return dict(done)
