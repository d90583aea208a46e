"""Credentials seen ahead: which accounts lack something in their secret, and how long the others live."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Final, Literal

from tieout import systems
from tieout.contract import Asked, Switched
from tieout.core import credentials
from tieout.core.windows import Job
from tieout.tables import Tables
from tieout.work.ports import Ports, Unavailable

#: ``untold``: it dies and nobody wrote down when. ``unheard``: no signing secret, so that nothing is taken from it.
State = Literal["good", "soon", "dead", "incomplete", "missing", "unknown", "untold", "unheard"]
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
    #: The field that dies first, where its secret names one; and how many signing secrets are taken.
    ending: str = ""
    active: int = 0


def accounts(tables: Tables) -> list[str]:
    """Every target account that a route names, in the order of the table; then every source account that is asked."""
    named = [route.target for route in tables.routes]
    told = sources(tables)
    asked = {*systems.READERS, *systems.LISTERS}
    return list(dict.fromkeys([*named, *(one for one in told if one.partition(":")[0] in asked)]))


def sources(tables: Tables) -> list[str]:
    """Every account that the source accounts name."""
    return [str(row.key) for row in tables.tables["source_accounts"].rows]


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
    try:
        secret = ports.secrets.get(system, account)
        pair = ports.secrets.get(system, f"{account}/token") if scheme.rotates else None
    except Unavailable:
        return Standing(target, "unknown", scheme.name)
    if secret is None:
        return Standing(target, "good" if scheme.name == "drop" else "missing", scheme.name)
    scheme = credentials.SCHEMES[credentials.chosen(auth, secret)["scheme"]]
    lacks = tuple(dict.fromkeys((*credentials.missing(auth, secret), *_lists(system, auth, secret))))
    if lacks:
        return Standing(target, "incomplete", scheme.name, lacks=lacks)
    return _ending(
        Standing(target, "good", scheme.name), (secret, pair or {}), today, mortal=bool(auth.get("key_days"))
    )


def _lists(system: str, auth: Mapping[str, str], secret: Mapping[str, Any]) -> tuple[str, ...]:
    """What is lacking of the credentials by which a source's list is asked, where they are others and it is asked."""
    lister = systems.lister(system) if system in systems.LISTERS else None
    if lister is None or lister.auth == auth:
        return ()
    settings = secret.get("settings") or {}
    on = not isinstance(lister, Switched) or settings.get(lister.switch[0]) == lister.switch[1]
    return credentials.missing(lister.auth, secret) if on else ()


def _ending(one: Standing, secrets: Iterable[Mapping[str, Any]], today: date, *, mortal: bool) -> Standing:
    """The same with the end that comes first. What is mortal and has no day written down is not known to live."""
    try:
        ends = [end for secret in secrets if (end := credentials.nearest(secret, today)) is not None]
    except ValueError:
        return replace(one, state="incomplete", lacks=("expires_on",))
    if not ends:
        return replace(one, state="untold") if mortal else one
    field, days = min(ends, key=lambda end: end[1])
    state: State = "good" if days > SOON else "soon" if days >= 0 else "dead"
    return replace(one, state=state, days=days, ending=field)


def hearing(ports: Ports, account: str, today: date, *, told: bool = False) -> Standing | None:
    """How what a source's sender proves itself with stands; ``None`` for one that tells us nothing.

    A file drop is looked at, and need not call. Any other account that lists what it told may do without
    (``unheard``); one of the source accounts (``told``) of a system that lists nothing may not. ``active`` are the
    secrets that are taken now.
    """
    system, _, name = account.partition(":")
    if system not in systems.SOURCES:
        return None
    field = systems.source(system).secrets_field
    try:
        secret = ports.secrets.get(system, name)
    except Unavailable:
        return Standing(account, "unknown", field)
    active = credentials.active(secret or {}, field)
    if not active and declared(system)["scheme"] == "drop":
        return None
    if secret is None:
        return Standing(account, "missing" if told else "unheard", field, lacks=(field,))
    if not active:
        state: State = "incomplete" if told and system not in systems.LISTERS else "unheard"
        return Standing(account, state, field, lacks=(field,))
    return _ending(Standing(account, "good", field, active=active), (secret,), today, mortal=False)


def watch(ports: Ports, tables: Tables) -> dict[str, int]:
    """Look at every account that we call or hear: the figures of one metric line, a log line where a person is needed.

    ``credential_days_left`` is the least of all accounts, in days; ``credentials_wanting`` counts accounts whose secret
    is missing, incomplete or dead.
    """
    today = ports.now().date()
    called = accounts(tables)
    found = [standing(ports, target, today) for target in called]
    known = {one.target for one in found if one.state == "missing"}
    heard = [hearing(ports, one, today, told=True) for one in sources(tables) if one not in known]
    found += [one for one in heard if one is not None and (one.target not in called or one.lacks)]
    for one in found:
        if one.state not in ("good", "unknown", "unheard"):
            facts = {"target": one.target, "state": one.state, "days": one.days, "lacks": ", ".join(one.lacks)}
            ports.log("credential_wants_a_person", **facts, ends=one.ending)
    days = [one.days for one in found if one.days is not None]
    wanting = {one.target for one in found if one.state in ("missing", "incomplete", "dead")}
    return {"credential_days_left": min(days, default=UNTOLD), "credentials_wanting": len(wanting)}
