"""Tokens of a rate-limited target: one for each call, taken before it goes out and free again when it counts no more.

A worker takes tokens with its slot, spends them when it likes while its lease runs, and says with the slot it gives
back when each call was *answered*. A token therefore counts in every window from before its call goes out until a
whole window after its answer, whatever the network, the garbage collector or a clock within the declared skew does in
between: no window of the target's ever holds more calls than it allows. Answered calls are counted in cells of a
ninety-sixth of the window, rounded up. Pure; instants are milliseconds inside, stamps outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

from tieout.core.ledger import instant, stamp
from tieout.core.writes import Item

#: Cells of a window: what is lost to rounding is one of them.
CELLS: Final = 96
#: How soon to ask again where all tokens are with others who have not said yet what they used.
OTHERS_AGAIN: Final = timedelta(seconds=5)


class Rate(Protocol):
    """At most ``calls`` in any window of ``seconds``."""

    @property
    def calls(self) -> int:
        """How many."""

    @property
    def seconds(self) -> int:
        """Length of the window."""


def _ms(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def _span(rate: Rate, skew: int) -> int:
    """Milliseconds for which an answered call counts: its window, and by how much two clocks may differ."""
    return (rate.seconds + skew) * 1000


def _cell(rate: Rate, skew: int) -> int:
    return -(-_span(rate, skew) // CELLS)


def occupied(rate: Rate, skew: int) -> int:
    """Milliseconds for which a call takes its place in a window: window, skew, and the cell it is counted in."""
    return _span(rate, skew) + _cell(rate, skew)


def _live(item: Item, now: datetime) -> dict[str, Any]:
    at = stamp(now)
    return {owner: held for owner, held in item.get("tokens", {}).items() if held["until"] > at}


def _cells(item: Item, rate: Rate, skew: int, now: datetime) -> dict[int, int]:
    """Calls that still count, by cell; who died with tokens has used them all at the last moment."""
    cell, span, at = _cell(rate, skew), _span(rate, skew), stamp(now)
    found = {int(number): count for number, count in item.get("spent", {}).get(str(rate.seconds), {}).items()}
    for held in item.get("tokens", {}).values():
        if held["until"] <= at:
            number = _ms(instant(held["until"])) // cell
            found[number] = found.get(number, 0) + held["n"]
    oldest = (_ms(now) - span) // cell
    return {number: count for number, count in found.items() if number >= oldest}


def free(item: Item, rates: Sequence[Rate], skew: int, now: datetime) -> int | None:
    """Calls that may be promised now; ``None`` where nothing is limited."""
    out = sum(held["n"] for held in _live(item, now).values())
    return min((rate.calls - sum(_cells(item, rate, skew, now).values()) - out for rate in rates), default=None)


def again(item: Item, rates: Sequence[Rate], skew: int, now: datetime, wanted: int) -> datetime:
    """When ``wanted`` tokens may be free: as spent ones grow old, or soon where others have not told what they used."""
    out = sum(held["n"] for held in _live(item, now).values())
    latest = now
    for rate in rates:
        cells = _cells(item, rate, skew, now)
        short = wanted - (rate.calls - sum(cells.values()) - out)
        for number in sorted(cells):
            if short <= 0:
                break
            short -= cells[number]
            end = (number + 1) * _cell(rate, skew) + _span(rate, skew)
            latest = max(latest, datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=end))
        if short > 0:
            latest = max(latest, now + OTHERS_AGAIN)
    return latest


def kept(item: Item, rates: Sequence[Rate], skew: int, now: datetime) -> dict[str, Any]:
    """What the item keeps of tokens, with what has grown old left out."""
    spent = {
        str(rate.seconds): {str(number): count for number, count in _cells(item, rate, skew, now).items()}
        for rate in rates
    }
    return {"tokens": _live(item, now), "spent": spent}


def take(
    item: Item, rates: Sequence[Rate], skew: int, now: datetime, owner: str, count: int, until: datetime
) -> dict[str, Any]:
    """What taking ``count`` tokens for ``owner`` sets; they count as used at ``until`` should it never tell."""
    values = kept(item, rates, skew, now)
    before = values["tokens"].get(owner, {}).get("n", 0)
    return {**values, "tokens": {**values["tokens"], owner: {"n": before + count, "until": stamp(until)}}}


def give_back(
    item: Item, rates: Sequence[Rate], skew: int, now: datetime, owner: str, used: Sequence[datetime]
) -> dict[str, Any]:
    """What giving the tokens of ``owner`` back sets: each call counts from its answer on, the others are free."""
    values = kept(item, rates, skew, now)
    tokens = {who: held for who, held in values["tokens"].items() if who != owner}
    spent = {name: dict(cells) for name, cells in values["spent"].items()}
    for rate in rates:
        cells = spent[str(rate.seconds)]
        for at in used:
            number = str(_ms(at) // _cell(rate, skew))
            cells[number] = cells.get(number, 0) + 1
    return {"tokens": tokens, "spent": spent}
