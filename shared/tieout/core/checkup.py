"""Checks of one target account, as values: what a system declares, and what its answers show.

A system's ``checks.py`` declares calls that change nothing: one for each permission, the limits that its answers tell,
and the live description of what we write, with which our mappings are compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal

from tieout.core.classify import Answer
from tieout.core.exchange import member
from tieout.core.verdicts import Verdict

State = Literal["good", "warn", "bad", "unknown"]
#: Worst first: what a whole account is called is its worst finding.
ORDER: Final[tuple[State, ...]] = ("bad", "warn", "unknown", "good")
#: Seconds that an answer's own clock may lie off for its whole seconds and its way to us.
WAY: Final = 2
#: Of a limit that is told: below this share left, somebody should know.
SHORT: Final = 10  # percent


@dataclass(frozen=True)
class Permission:
    """A call that shows that our user may do what ``says`` says; ``{name}`` in its path is a setting of the account."""

    says: str
    path: str
    method: str = "GET"
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Limit:
    """A limit that an answer tells: its header, and a pattern with the groups ``left`` or ``used`` and ``of``."""

    says: str
    header: str
    pattern: str = r"(?P<left>\d+)"


@dataclass(frozen=True)
class Metadata:
    """The live description of what an action writes: ``members`` is the way to its fields in the answer.

    The fields are the keys there, or where ``named`` is given, that member of each row. ``skip`` are members of our
    payload that go elsewhere (into the address).
    """

    kind: str
    action: str
    path: str
    members: tuple[str, ...] = ()
    named: str = ""
    method: str = "GET"
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    skip: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checks:
    """What of a system can be checked from outside. ``settings`` fills a header from the account's settings."""

    permissions: tuple[Permission, ...]
    limits: tuple[Limit, ...] = ()
    metadata: tuple[Metadata, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: what, how it stands, and a sentence."""

    what: str
    state: State
    said: str

    def plain(self) -> dict[str, str]:
        """As the ledger keeps it."""
        return asdict(self)


def worst(findings: Iterable[Finding]) -> State:
    """How the whole stands."""
    return min((one.state for one in findings), key=ORDER.index, default="unknown")


def failed(what: str, verdict: Verdict) -> Finding:
    """A call that did not show what it should: refused for good, or not answered now."""
    told = str(verdict.facts.get("said") or verdict.code)
    refused = verdict.code in ("target_credentials", "target_forbidden", "target_no_such_thing", "target_refused")
    return Finding(what, "bad" if refused else "unknown", f"{verdict.code}: {told[:200]}")


def clock(answer: Answer, now: datetime, allowed: int) -> Finding:
    """Whether the target's clock and ours agree within what its quiet period allows for."""
    try:
        there = datetime.strptime(answer.headers.get("date", ""), "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
    except ValueError:
        return Finding("clock", "unknown", "the answer tells no time")
    off = abs((there - now).total_seconds())
    said = f"{off:.0f} s apart, {allowed} s are allowed for"
    return Finding("clock", "bad" if off > allowed + WAY else "good", said)


def limits(declared: Iterable[Limit], headers: Mapping[str, str]) -> list[Finding]:
    """What an answer tells of each limit."""
    return [_limit(limit, headers.get(limit.header, "")) for limit in declared]


def _limit(limit: Limit, told: str) -> Finding:
    match = re.search(limit.pattern, told)
    if match is None:
        return Finding(limit.says, "unknown", f"the answer has no {limit.header}")
    groups = {name: int(text) for name, text in match.groupdict().items() if text is not None}
    of = groups.get("of")
    left = groups["left"] if "left" in groups else (of or 0) - groups["used"]
    short = left <= 0 if of is None else left * 100 < of * SHORT
    return Finding(limit.says, "warn" if short else "good", f"{left} left" + ("" if of is None else f" of {of}"))


def fields(declared: Metadata, body: Any) -> frozenset[str] | None:
    """The fields that a live description lists; ``None`` where it lists none."""
    there = member(body, *declared.members) if declared.members else body
    if declared.named:
        rows = there if isinstance(there, list) else []
        names = [str(row[declared.named]) for row in rows if isinstance(row, Mapping) and row.get(declared.named)]
        return frozenset(names) or None
    return frozenset(str(name) for name in there) or None if isinstance(there, Mapping) else None


def drift(declared: Metadata, written: frozenset[str], live: frozenset[str] | None) -> Finding:
    """Whether everything that our mapping writes is still known there."""
    what = f"fields of {declared.kind} {declared.action}"
    if live is None:
        return Finding(what, "unknown", "the description lists no fields")
    gone = sorted(written - live - set(declared.skip))
    if gone:
        return Finding(what, "bad", f"not known there any more: {', '.join(gone)[:300]}")
    return Finding(what, "good", f"all {len(written)} known")
