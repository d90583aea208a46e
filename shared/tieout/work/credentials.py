"""Credentials seen ahead: which accounts lack something in their secret, and how long the others live."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Literal

from tieout import systems
from tieout.contract import Asked
from tieout.core import credentials
from tieout.core.windows import Job
from tieout.tables import Tables
from tieout.work.ports import Ports, Unavailable

State = Literal["good", "soon", "dead", "incomplete", "missing", "unknown"]
JOB: Final = Job("credentials", timedelta(hours=1), "nobody sees a credential die ahead", patience=timedelta(hours=2))
#: Days before the end from which an account is told of at each look.
SOON: Final = 30
#: What stands for the days of an account whose end nobody wrote down: far away, but no promise.
UNTOLD: Final = 9999


@dataclass(frozen=True)
class Standing:
    """How the credentials of one account stand. ``lacks`` are names of fields, never values."""

    target: str
    state: State
    scheme: str = ""
    days: int | None = None
    lacks: tuple[str, ...] = ()


def accounts(tables: Tables) -> list[str]:
    """Every target account that a route names, in the order of the table; then every source account that is asked."""
    named = [route.target for route in tables.routes]
    told = [str(row.key) for row in tables.tables["source_accounts"].rows]
    asked = {*systems.READERS, *systems.LISTERS}
    return list(dict.fromkeys([*named, *(one for one in told if one.partition(":")[0] in asked)]))


def called(system: str) -> Asked:
    """A system as we call it: as its writer, else as its reader."""
    if system in systems.TARGETS or system not in (*systems.READERS, *systems.LISTERS):
        return systems.target(system)
    return (systems.reader if system in systems.READERS else systems.lister)(system)


def declared(system: str) -> Mapping[str, str]:
    """How we prove who we are to a system that we call."""
    return called(system).auth


def standing(ports: Ports, target: str, today: date) -> Standing:
    """How one account's credentials stand. Its secret is read, none of it is kept or shown."""
    system, _, account = target.partition(":")
    auth = declared(system)
    scheme = credentials.SCHEMES[auth["scheme"]]
    if scheme.name == "drop":
        return Standing(target, "good", scheme.name)
    try:
        secret = ports.secrets.get(system, account)
        pair = ports.secrets.get(system, f"{account}/token") if scheme.rotates else None
    except Unavailable:
        return Standing(target, "unknown", scheme.name)
    if secret is None:
        return Standing(target, "missing", scheme.name)
    scheme = credentials.SCHEMES[credentials.chosen(auth, secret)["scheme"]]
    lacks = credentials.missing(auth, secret)
    if lacks:
        return Standing(target, "incomplete", scheme.name, lacks=lacks)
    try:
        ends = [credentials.days_left(one, today) for one in (secret, pair or {})]
    except ValueError:
        return Standing(target, "incomplete", scheme.name, lacks=("expires_on",))
    days = min((one for one in ends if one is not None), default=None)
    state: State = "good" if days is None or days > SOON else "soon" if days >= 0 else "dead"
    return Standing(target, state, scheme.name, days)


def watch(ports: Ports, tables: Tables) -> dict[str, int]:
    """Look at every account that we call; the figures of one metric line, and a log line for each that needs a person.

    ``credential_days_left`` is the least of all accounts, in days; ``credentials_wanting`` counts accounts whose secret
    is missing, incomplete or dead.
    """
    found = [standing(ports, target, ports.now().date()) for target in accounts(tables)]
    for one in found:
        if one.state not in ("good", "unknown"):
            facts = {"target": one.target, "state": one.state, "days": one.days, "lacks": ", ".join(one.lacks)}
            ports.log("credential_wants_a_person", **facts)
    days = [one.days for one in found if one.days is not None]
    wanting = sum(one.state in ("missing", "incomplete", "dead") for one in found)
    return {"credential_days_left": min(days, default=UNTOLD), "credentials_wanting": wanting}
