"""Checks of one target account, as values: what a system declares, and what its answers show.

A system's ``checks.py`` declares calls that change nothing: one for each permission, the limits that its answers tell,
and the live description of what we write, with which our mappings are compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from tieout.core.classify import Answer
from tieout.core.exchange import member
from tieout.core.verdicts import Verdict

if TYPE_CHECKING:  # what reads descriptions is loaded by whoever has one to read
    from tieout.core.described import Reading

State = Literal["good", "warn", "bad", "unknown"]
#: Worst first: what a whole account is called is its worst finding.
ORDER: Final[tuple[State, ...]] = ("bad", "warn", "unknown", "good")
#: Seconds that an answer's own clock may lie off for its whole seconds and its way to us.
WAY: Final = 2
#: Of a limit that is told: below this share left, somebody should know.
SHORT: Final = 10  # percent
#: Verdicts that are an answer to the question, and not a silence.
REFUSALS: Final = frozenset({
    "target_credentials", "target_forbidden", "target_no_such_thing", "target_refused", "target_host_key",
    "source_forbidden", "source_gone",
})  # fmt: skip


@dataclass(frozen=True)
class Permission:
    """A call that shows that our user may do what ``says`` says; ``{name}`` in its path is a setting of the account.

    ``holds`` are members of the answer with what each must show (`shows`); ``proof`` is a text that it must
    contain, whatever it says beside it. ``writes`` marks one that shows a right to write without writing, ``untold`` a
    read of what the vendor tells nobody who may write. ``when`` is a setting and the values for which it matters.
    ``sure`` is false of a question that a vendor does not answer of every credential: its refusal says nothing.
    ``secret`` puts fields of the account's secret into a JSON body, for a vendor that tells a credential's rights to
    whoever shows it.
    """

    says: str
    path: str
    method: str = "GET"
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    holds: Mapping[str, Any] = field(default_factory=dict)
    proof: bytes = b""
    writes: bool = False
    untold: bool = False
    when: tuple[str, tuple[str, ...]] | None = None
    sure: bool = True
    secret: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Limit:
    """A limit that an answer tells: its header, and a pattern with the groups ``left`` or ``used`` and ``of``.

    ``whole`` is the header that tells what ``left`` is of, where that is another one.
    """

    says: str
    header: str
    pattern: str = r"(?P<left>\d+)"
    whole: str = ""


@dataclass(frozen=True)
class Metadata:
    """The live description of what an action writes, and what we count on (``fields``, see `described.differences`).

    ``inside`` is the part of our payload that is described, where it is not the whole. ``skip`` are members of the
    payload that go elsewhere; ``given`` fields that are mandatory there and not ours to send.
    """

    kind: str
    action: str
    path: str
    reading: Reading
    fields: Mapping[str, str] = field(default_factory=dict)
    inside: str = ""
    #: What is described, where one action writes two things.
    on: str = ""
    method: str = "GET"
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    skip: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    #: Settings for which it matters, as of a `Permission`.
    when: tuple[str, tuple[str, ...]] | None = None

    @property
    def says(self) -> str:
        """What is compared, for a person."""
        part = self.on or self.inside
        return f"fields of {self.kind} {self.action}" + (f", {part}" if part else "")


@dataclass(frozen=True)
class Checks:
    """What of a system can be checked from outside. ``settings`` fills a header from the account's settings.

    ``folders`` are those of a file drop; ``{today}`` in one is the day (UTC).
    """

    permissions: tuple[Permission, ...] = ()
    limits: tuple[Limit, ...] = ()
    metadata: tuple[Metadata, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    folders: tuple[str, ...] = ()


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
    return Finding(what, "bad" if verdict.code in REFUSALS else "unknown", f"{verdict.code}: {told[:200]}")


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
    return [_limit(limit, headers) for limit in declared]


def _limit(limit: Limit, headers: Mapping[str, str]) -> Finding:
    match = re.search(limit.pattern, headers.get(limit.header, ""))
    if match is None:
        return Finding(limit.says, "unknown", f"the answer has no {limit.header}")
    groups = {name: int(text) for name, text in match.groupdict().items() if text is not None}
    whole = headers.get(limit.whole, "") if limit.whole else ""
    of = int(whole) if whole.isascii() and whole.isdigit() else groups.get("of")
    left = groups["left"] if "left" in groups else (of or 0) - groups["used"]
    short = left <= 0 if of is None else left * 100 < of * SHORT
    return Finding(limit.says, "warn" if short else "good", f"{left} left" + ("" if of is None else f" of {of}"))


def declared_limits(concurrency: int | None, rates: Iterable[tuple[int, int]], told: bool) -> Finding:
    """The limits that we keep ourselves: calls at once, and each rate as calls and seconds."""
    kept = [f"{concurrency} calls at once"] if concurrency else []
    kept += [f"{calls} in {seconds} s" for calls, seconds in rates]
    whose = "declared" if told else "none is told, declared"
    return Finding("limits that we keep", "good", f"{whose}: {', '.join(kept) or 'no limit'}")


def at_once(allowed: int | None, declared: int) -> Finding:
    """The calls at once that an account itself allows, beside those that we keep."""
    if allowed is None:
        return Finding("calls at once", "unknown", f"not told to our user; {declared} are kept")
    state: State = "warn" if allowed < declared else "good"
    return Finding("calls at once", state, f"{allowed} allowed, {declared} declared, the smaller is kept")


def shows(value: Any, wanted: Mapping[str, Any]) -> bool:
    """Whether each member (named with dots; empty: the value itself) is the value, or a list that holds it."""

    def one(name: str, expected: Any) -> bool:
        there = member(value, *name.split(".")) if name else value
        return expected in there if isinstance(there, list) else type(there) is type(expected) and there == expected

    return all(one(name, expected) for name, expected in wanted.items())
