"""Subscriptions kept: a source that forgets whom it tells after some days is told again in time.

A run looks at every account of such a source, within its budget, and makes or renews what is missing or has little time
left; what fails is tried by the next run, of which there are several before anything runs out. An account without a
notification address is not set up for it; nor is one that is not switched on, where its source has a switch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from tieout import systems
from tieout.contract import Keeps, Switched
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
    """Every account whose source must be told: of the source accounts, then of the routes."""
    named = [str(row.key) for row in tables.tables["source_accounts"].rows]
    named += [route.target for route in tables.routes]
    parts = [one.partition(":") for one in dict.fromkeys(named)]
    return [(system, account) for system, _, account in parts if systems.keeper(system) is not None]


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
    keeper = systems.keeper(system)
    secret = ports.secrets.get(system, account) or {}
    words = secret.get(systems.source(system).secrets_field) or []
    if keeper is None or not isinstance(keeper, Keeps) or not _set_up(keeper, secret.get("settings") or {}, words):
        return {}
    asking = Asking(ports, {}, f"{system}:{account}")
    wire = asking.begin(keeper, account)
    try:
        # Of two active words the first is the newer; the other stays good for what was sent before.
        done = keeper.keep(wire, str(words[0]) if words else "", ports.now())
        asking.heard(None)
    except Verdict as verdict:
        asking.heard(verdict)
        raise
    finally:
        asking.end()
    return dict(done)


def _set_up(keeper: Keeps, settings: Mapping[str, Any], words: Sequence[Any]) -> bool:
    """Whether an account wants its subscriptions kept: its switch is on, else it has an address and a word for it."""
    if isinstance(keeper, Switched):
        return bool(settings.get(keeper.switch[0]) == keeper.switch[1])
    return bool(settings.get("notification_url")) and bool(words)
