"""Checks of target accounts: credentials, permissions, clock, limits, and drift of what the target itself describes.

Probe runs them for every account that a route names, six hours apart or when somebody asks; one item an account keeps
what was found. Nothing here changes anything at a target, and a check that cannot be made now says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Final
from urllib.parse import quote

from tieout import mappings, systems, tables
from tieout.contract import Target, Wire
from tieout.core import checkup, keys, ledger
from tieout.core.checkup import Checks, Finding, Metadata
from tieout.core.classify import Answer, classify
from tieout.core.exchange import read_answer
from tieout.core.ledger import stamp
from tieout.core.verdicts import Verdict
from tieout.core.writes import Change, Item
from tieout.work import credentials
from tieout.work.credentials import Standing
from tieout.work.ports import Ledger, Ports

EVERY: Final = timedelta(hours=6)
#: Checks are not begun with less than this many seconds left, and after so many accounts the next run goes on.
MARGIN: Final = 30.0
_STANDS: Final[Mapping[str, checkup.State]] = {
    "good": "good", "soon": "warn", "dead": "bad", "incomplete": "bad", "missing": "bad", "unknown": "unknown",
}  # fmt: skip


class NoSuchAccount(LookupError):
    """No route names this account."""


def run(ports: Ports, accounts: Iterable[str]) -> dict[str, int]:
    """Check the accounts that are due; how many were checked, and how many of all do not stand well."""
    wanted = {keys.checkup_item(account): account for account in accounts}
    known = ports.ledger.read(list(wanted))
    checked = failing = 0
    for key, account in wanted.items():
        item = known.get(key, {})
        if is_due(item, stamp(ports.now() - EVERY)) and ports.remaining() > MARGIN:
            item = store(ports, account, check(ports, account))
            checked += 1
        failing += item.get("state") == "bad"
    return {"accounts_checked": checked, "accounts_failing": failing}


def is_due(item: Item, before: str) -> bool:
    """Whether an account was not checked since ``before``, or somebody has asked since."""
    at = item.get("at", "")
    return bool(at < before or item.get("asked", "") > at)


def check(ports: Ports, account: str) -> list[Finding]:
    """Everything that can be found out about one account now; never raises for the target's sake."""
    system, _, name = account.partition(":")
    standing = credentials.standing(ports, account, ports.now().date())
    found = [Finding("credentials", _STANDS[standing.state], _credentials(standing))]
    declared = systems.checks(system)
    if standing.state in ("missing", "incomplete") or declared is None:
        return found
    target = systems.target(system)
    try:
        return found + _asked(target, ports.wire(target, name), declared, ports)
    except Verdict as verdict:
        return [*found, checkup.failed("connection", verdict)]


def _credentials(standing: Standing) -> str:
    if standing.lacks:
        return f"the secret lacks {', '.join(standing.lacks)}"
    if standing.days is not None:
        return f"{standing.days} days left"
    return {"missing": "there is no secret", "unknown": "the secret could not be read"}.get(
        standing.state, "no end known"
    )


def _asked(target: Target, wire: Wire, declared: Checks, ports: Ports) -> list[Finding]:
    found: list[Finding] = []
    last: Answer | None = None
    more = {header: wire.settings.get(name, "") for header, name in declared.settings.items()}
    for one in declared.permissions:
        try:
            last = _call(target, wire, one.method, one.path, {**one.headers, **more}, one.body)
            found.append(Finding(one.says, "good", "shown"))
        except Verdict as verdict:
            found.append(checkup.failed(one.says, verdict))
    if last is not None:
        found.append(checkup.clock(last, ports.now(), target.quiet.clock_skew))
        found += checkup.limits(declared.limits, last.headers)
    for described in declared.metadata:
        try:
            answer = _call(
                target, wire, described.method, described.path, {**described.headers, **more}, described.body
            )
            live = checkup.fields(described, read_answer(answer))
            found.append(checkup.drift(described, written(target, described), live))
        except Verdict as verdict:
            found.append(checkup.failed(f"fields of {described.kind} {described.action}", verdict))
    return found


def _call(target: Target, wire: Wire, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
    path = re.sub(r"\{(\w+)\}", lambda name: quote(wire.settings.get(name[1], ""), safe=""), path)
    answer = wire.call(method, path, headers=headers, body=body)
    verdict = classify(target.verdicts, answer, answer.body[:300].decode("utf-8", "replace"))
    if verdict is not None:
        raise verdict
    return answer


def written(target: Target, described: Metadata) -> frozenset[str]:
    """The fields at the top of what our mapping writes."""
    name = target.actions[described.kind, described.action].mapping
    if name is None:
        return frozenset()
    loaded = mappings.load(name, tables.load().columns())
    return frozenset(re.split(r"[.\[]", rule.field)[0] for rule in loaded.rules)


# --- what is kept, asked for and shown --------------------------------------------------------------------------------
def store(ports: Ports, account: str, findings: list[Finding]) -> Item:
    """Keep what was found; one item an account, the newest over the older."""
    state = checkup.worst(findings)
    values = {"what": "checkup", "v": ledger.SCHEMA, "at": stamp(ports.now()), "state": state,
              "findings": [one.plain() for one in findings]}  # fmt: skip
    ports.ledger.write([Change(keys.checkup_item(account), set=values, upsert=True)])
    if state == "bad":
        wrong = ", ".join(one.what for one in findings if one.state == "bad")
        ports.log("check_failed", target=account, wrong=wrong)
    return values


def ask(books: Ledger, account: str, known: Iterable[str], now: str) -> None:
    """Have an account checked at probe's next run. Raises ``NoSuchAccount``."""
    if account not in known:
        raise NoSuchAccount(account)
    books.write([Change(keys.checkup_item(account), set={"what": "checkup", "asked": now}, upsert=True)])


def shown(books: Ledger, accounts: Iterable[str]) -> list[dict[str, Any]]:
    """The last check of each account; one that was never made says so."""
    wanted = {account: keys.checkup_item(account) for account in accounts}
    items = books.read(list(wanted.values()))
    return [
        {
            "target": account, "state": item.get("state", "unknown"), "at": item.get("at", ""),
            "asked": item.get("asked", ""), "findings": list(item.get("findings", [])),
        }
        for account, key in wanted.items()
        for item in (items.get(key, {}),)
    ]  # fmt: skip
