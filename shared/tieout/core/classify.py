"""The one classifier: an answer of an outside system → a verdict, by a table that each system amends by data.

Answers are three-valued (DESIGN 4). *Not done*: the table calls it a definite refusal. *Done*: a 2xx, whose echo the
caller still has to see. *Unknown*: everything else, an undeclared 5xx included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from tieout.core.verdicts import NeedsHuman, NotYet, TryAgain, Uncertain, Verdict


@dataclass(frozen=True)
class Answer:
    """What came back: status, headers with lower-case names, and at most the declared number of body bytes."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    truncated: bool = False


@dataclass(frozen=True)
class Row:
    """One line of a verdict table: where status and error code match, this verdict with this problem code.

    ``status`` is exact, or a class written as 4 or 5 (for 4xx, 5xx). ``says`` must be contained in the error code or
    message the system extracted, in lower case; empty matches all.
    """

    status: int
    verdict: type[Verdict]
    code: str
    says: str = ""
    retry_after: bool = False

    def matches(self, status: int, text: str) -> bool:
        """Whether this row speaks of an answer with that status and that error text (lower case)."""
        return self.status in (status, status // 100) and self.says in text


#: What holds of HTTP wherever a system says nothing else. First match wins; a system's own rows come first.
COMMON: tuple[Row, ...] = (
    Row(401, TryAgain, "target_credentials"),
    Row(403, NeedsHuman, "target_forbidden"),
    Row(404, NeedsHuman, "target_no_such_thing"),
    Row(408, Uncertain, "target_timeout"),
    Row(409, Uncertain, "target_conflict"),
    Row(413, NeedsHuman, "target_too_large"),
    Row(429, TryAgain, "target_busy", retry_after=True),
    Row(4, NeedsHuman, "target_refused"),
)
#: What holds where an object is read and nothing is written: a system's own rows come first, then these, then the rest.
READING: tuple[Row, ...] = (
    Row(403, NeedsHuman, "source_forbidden"),
    Row(404, NeedsHuman, "source_gone"),
    Row(410, NeedsHuman, "source_gone"),
)
RETRY_AFTER_MOST = 900


def classify(rows: Sequence[Row], answer: Answer, text: str) -> Verdict | None:
    """The verdict on ``answer``; ``None`` for a 2xx that no row refuses. ``text`` is the system's error text."""
    said = text.casefold()
    for row in (*rows, *COMMON):
        if row.matches(answer.status, said):
            after = _retry_after(answer) if row.retry_after else None
            facts = {"status": answer.status, "said": text[:300]} | ({"after": after} if after else {})
            return row.verdict(row.code, f"HTTP {answer.status} {text[:200]}", **facts)
    if 200 <= answer.status < 300:
        return None
    return Uncertain("target_unclear", f"HTTP {answer.status} {text[:200]}", status=answer.status)


def _retry_after(answer: Answer) -> int | None:
    """Seconds asked for, capped: an absurd value must not park a lane for a year.

    Both forms of RFC 9110: seconds, or a date, which counts from the answer's own ``Date`` and not from our clock.
    """
    value = answer.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return RETRY_AFTER_MOST if len(value) > 9 else min(int(value), RETRY_AFTER_MOST)
    try:
        until, said = (
            datetime.strptime(text, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
            for text in (value, answer.headers.get("date", "").strip())
        )
    except ValueError:
        return None
    return max(0, min((until - said) // timedelta(seconds=1), RETRY_AFTER_MOST))


__all__ = ["COMMON", "READING", "Answer", "NotYet", "Row", "classify"]
