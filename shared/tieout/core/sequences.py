"""Numbers that a source gives its events: which have come, which are missing, and since when; pure.

A :class:`Mark` says up to which number everything has come, and what has come beyond a hole. What only comes out of
order fills its hole and leaves nothing; what stays away is a gap once its patience is over.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

#: A first and a last number, both included.
Span = tuple[int, int]
#: More holes than this are told as one, from the first to the last of the oldest: an item must not grow without end.
MOST_HOLES: Final = 50


@dataclass(frozen=True)
class Mark:
    """Everything up to ``upto`` has come, and ``ahead`` beyond it: ascending, apart from one another."""

    upto: int
    ahead: tuple[Span, ...] = ()

    @property
    def missing(self) -> tuple[Span, ...]:
        """The holes, in order."""
        holes, before = [], self.upto
        for first, last in self.ahead:
            holes.append((before + 1, first - 1))
            before = last
        return tuple(holes)


def note(mark: Mark | None, spans: Iterable[Span], opens: int | None = None) -> Mark:
    """The mark once ``spans`` have come too; a number that came before changes nothing.

    Without a mark the series begins at ``opens``, or else at the least number that has come. ``ValueError`` for no
    span, or one that ends before it begins.
    """
    come = sorted(spans)
    if not come or any(last < first for first, last in come):
        raise ValueError(f"no numbers: {come}")
    upto = mark.upto if mark else (come[0][0] if opens is None else opens) - 1
    islands: list[Span] = []
    for first, last in sorted([*(mark.ahead if mark else ()), *come]):
        if first <= upto + 1:
            upto = max(upto, last)
        elif islands and first <= islands[-1][1] + 1:
            islands[-1] = (islands[-1][0], max(islands[-1][1], last))
        else:
            islands.append((first, last))
    # The oldest holes become one: a number between them counts as missing again, and a person is told of it.
    return Mark(upto, tuple(islands[-MOST_HOLES:]))


def aged(missing: Sequence[Span], before: Sequence[tuple[int, int, str]], now: str) -> list[tuple[int, int, str]]:
    """Each hole with the instant since which it is known: that of the hole it was part of, else ``now``."""
    return [
        (first, last, min((since for a, b, since in before if a <= last and first <= b), default=now))
        for first, last in missing
    ]


def said(missing: Sequence[Span], most: int = 10) -> str:
    """The missing numbers as people read them: ``7, 9 to 12 and 3 holes more``."""
    parts = [str(first) if first == last else f"{first} to {last}" for first, last in missing[:most]]
    more = len(missing) - most
    return ", ".join(parts) + (f" and {more} holes more" if more > 0 else "")
