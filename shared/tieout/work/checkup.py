"""Checks of target accounts: credentials, permissions, clock, limits, and drift of what the target itself describes.

Probe runs them for every account that a route names, six hours apart or when somebody asks; one item an account keeps
what was found. Nothing here changes anything at a target, and a check that cannot be made now says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import quote

from tieout import mappings, systems, tables
from tieout.contract import Asked, Folder, Measured, Target, Wire
from tieout.core import checkup, keys, ledger
from tieout.core.checkup import Checks, Finding, Metadata, Permission
from tieout.core.classify import Answer, classify
from tieout.core.exchange import read_answer
from tieout.core.ledger import stamp
from tieout.core.parse import write_json
from tieout.core.verdicts import Uncertain, Verdict
from tieout.core.writes import Change, Item
from tieout.work import credentials
from tieout.work.credentials import Standing
from tieout.work.ports import Ledger, Ports, Unavailable

if TYPE_CHECKING:
    from tieout.core.described import Sent

EVERY: Final = timedelta(hours=6)
#: Checks are not begun with less than this many seconds left, and after so many accounts the next run goes on.
MARGIN: Final = 30.0
_STANDS: Final[Mapping[str, checkup.State]] = {
    "good": "good", "soon": "warn", "dead": "bad", "incomplete": "bad", "missing": "bad", "unknown": "unknown",
    "untold": "warn", "unheard": "warn",
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
    if heard := credentials.hearing(ports, account, ports.now().date()):
        found.append(Finding("signing secrets", _STANDS[heard.state], _signing(heard)))
    called = credentials.called(system)
    try:
        wire = ports.wire(called, name)
        if declared.folders:
            return found + _listed(wire, declared, ports)
        return found + _asked(called, wire, declared, ports, ports.secrets.get(system, name) or {})
    except Verdict as verdict:
        return [*found, checkup.failed("connection", verdict)]
    except Unavailable:
        return [*found, Finding("connection", "unknown", "the secret could not be read")]


def _credentials(standing: Standing) -> str:
    if standing.lacks:
        return f"the secret lacks {', '.join(standing.lacks)}"
    if standing.days is not None:
        return f"{standing.days} days left" + (f", of {standing.ending}" if standing.ending else "")
    said = {"missing": "there is no secret", "unknown": "the secret could not be read",
            "untold": "it dies, and no expires_on says when"}  # fmt: skip
    return said.get(standing.state, "no end known")


def _signing(heard: Standing) -> str:
    if heard.lacks:
        return f"no {', '.join(heard.lacks)}: nothing that its sender tells is taken"
    return f"{heard.active} active" if heard.days is None else f"{heard.active} active, {_credentials(heard)}"


def _listed(wire: Wire, declared: Checks, ports: Ports) -> list[Finding]:
    """Of a file drop: that it is there, lets us in, and shows its folders."""
    found: list[Finding] = []
    for folder in declared.folders:
        name = folder.format(today=ports.now().date())
        try:
            found.append(Finding(f"may list {name}", "good", f"{len(cast('Folder', wire).names(name))} files"))
        except Verdict as verdict:
            found.append(checkup.failed(f"may list {name}", verdict))
    return found


def _asked(called: Asked, wire: Wire, declared: Checks, ports: Ports, secret: Mapping[str, Any]) -> list[Finding]:
    settings = wire.settings
    more = {header: settings.get(name, "") for header, name in declared.settings.items()}
    ask = _Calls(called, wire, more, settings)
    found = [_permitted(ask, one, secret) for one in declared.permissions if _matters(one.when, settings)]
    if ask.last is not None:
        found.append(checkup.clock(ask.last, ports.now(), called.quiet.clock_skew))
        found += [*checkup.limits(declared.limits, ask.headers), *_kept(called, wire, declared)]
    matter = [one for one in declared.metadata if _matters(one.when, settings)]
    return found + [_drift(ask, one, cast("Target", called)) for one in matter]


def _matters(when: tuple[str, tuple[str, ...]] | None, settings: Mapping[str, str]) -> bool:
    return when is None or settings.get(when[0], "") in when[1]


class _Calls:
    """The calls of one check: one that was made already is not made again."""

    def __init__(self, called: Asked, wire: Wire, more: Mapping[str, str], settings: Mapping[str, str]) -> None:
        self._called, self._wire, self._more, self._settings = called, wire, more, settings
        self._made: dict[tuple[str, str, bytes | None], Answer] = {}
        self.last: Answer | None = None
        #: What any answer told in its headers.
        self.headers: dict[str, str] = {}

    def __call__(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None, proof: bytes = b""
    ) -> Answer:
        """The answer, which the verdict table does not refuse, or which has the text of ``proof``."""
        path = re.sub(r"\{(\w+)\}", lambda name: quote(self._settings.get(name[1], ""), safe=""), path)
        if (method, path, body) not in self._made:
            answer = self._wire.call(method, path, headers={**headers, **self._more}, body=body)
            self._judge(answer, proof)
            self._made[method, path, body] = self.last = answer
            self.headers |= answer.headers
        return self._made[method, path, body]

    def _judge(self, answer: Answer, proof: bytes) -> None:
        if proof and proof in answer.body:
            return
        verdict = classify(self._called.verdicts, answer, answer.body[:300].decode("utf-8", "replace"))
        if verdict is not None:
            raise verdict
        if proof:
            raise Uncertain("target_unclear", f"HTTP {answer.status} without what it should show")


def _permitted(ask: _Calls, one: Permission, secret: Mapping[str, Any]) -> Finding:
    """What one question about our rights was answered. What a secret lent to it is never in the finding."""
    lent = {name: str(secret.get(field, "")) for name, field in one.secret.items()}
    body = write_json(lent) if lent else one.body
    try:
        answer = ask(one.method, one.path, one.headers, body, one.proof)
        if one.holds and not checkup.shows(read_answer(answer), one.holds):
            return Finding(one.says, "bad", f"the answer does not show it: {_wanted(one)}")
    except Verdict as verdict:
        found = checkup.failed(one.says, verdict)
        said = verdict.code if lent else found.said
        return Finding(one.says, found.state if one.sure else "unknown", said)
    return Finding(one.says, "good", "shown; it is not told whether we may write" if one.untold else "shown")


def _wanted(one: Permission) -> str:
    return ", ".join(f"{name or 'the answer'} with {value}" for name, value in one.holds.items())


def _kept(called: Asked, wire: Wire, declared: Checks) -> list[Finding]:
    """The limits that we keep, and beside them what the account itself says that it takes at once."""
    rates = [(rate.calls, rate.seconds) for rate in called.budget.rates]
    measured = isinstance(called, Measured)
    ours = checkup.declared_limits(called.budget.concurrency, rates, bool(declared.limits) or measured)
    return [_measured(cast("Measured", called), wire, called.budget.concurrency), ours] if measured else [ours]


def _measured(called: Measured, wire: Wire, kept: int) -> Finding:
    try:
        return checkup.at_once(called.allows(wire), kept)
    except Verdict:  # no right to it: a smaller role is the better one
        return checkup.at_once(None, kept)


def _drift(ask: _Calls, one: Metadata, target: Target) -> Finding:
    from tieout.core import described  # a cold start has no description to read

    try:
        live = described.described(one.reading, ask(one.method, one.path, one.headers, one.body))
    except Verdict as verdict:
        return checkup.failed(one.says, verdict)
    return described.compare(one, written(target, one), live)


def written(target: Target, one: Metadata) -> Sent:
    """The fields that our mapping writes, in the part of the payload that is described."""
    from tieout.core.described import Sent, sent_by

    name = target.actions[one.kind, one.action].mapping
    if name is None:
        return Sent()
    loaded = mappings.load(name, tables.load().columns())
    return sent_by([(rule.field, rule.optional) for rule in loaded.rules], one.inside)


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
