"""Writing to the ledger against a view of it: compose, try, look at what was found, compose again.

A refused condition is read back. Where our own attempt token is found there, the write had landed and only its answer
was lost. Where the posting has moved on without us, we are fenced: nothing is written and the other owner goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from tieout.core.keys import Key
from tieout.core.ledger import ours
from tieout.core.verdicts import TryAgain
from tieout.core.writes import Change, Check, Item, Refused, Write, apply
from tieout.work.ports import Ledger

View = dict[Key, Item | None]
#: A budget is written by every worker of its target, several times a batch: the soak showed eight tries to be too few.
TRIES: Final = 20


class Fenced(Exception):
    """What we wanted to change has moved on; whoever moved it goes on from here."""


def carries(write: Write, token: str) -> bool:
    """Whether ``write`` stamps its item with our attempt token."""
    values = {} if isinstance(write, Check) else write.item if hasattr(write, "item") else write.set
    return values.get("token") == token


def commit(ledger: Ledger, view: View, token: str, compose: Callable[[View], Sequence[Write]]) -> View:
    """Write what ``compose`` makes of ``view``; refresh the view and compose again while it proves stale.

    Raises ``Fenced`` where ``compose`` does, ``TryAgain('ledger_contended')`` after `TRIES` refusals. Returns the view
    as it stands after the write.
    """
    for _ in range(TRIES):
        writes = compose(view)
        try:
            ledger.write(writes)
        except Refused as refusal:
            landed = False
            for write, failed, seen in zip(writes, refusal.failed, refusal.seen, strict=True):
                if failed:
                    view[write.key] = seen
                    _ours(write, seen)
                    landed = landed or bool(carries(write, token) and seen and seen.get("token") == token)
            if landed:
                view.update({write.key: None for write in writes})
                view.update(ledger.read([write.key for write in writes]))
                return view
            continue
        for write in writes:
            if isinstance(write, Change) and not write.upsert and view.get(write.key) is None:
                continue  # it was changed unseen: what it looks like now is not known
            view[write.key] = apply(write, view.get(write.key))
        return view
    raise TryAgain("ledger_contended", f"the same items were refused {TRIES} times")


def _ours(write: Write, seen: Item | None) -> None:
    """What a newer release has written meanwhile will refuse us each time: it is left to that release."""
    if not isinstance(write, Check) and seen is not None:
        ours(seen)


#: How many independent changes go in one write: a transaction costs one call, and takes a hundred.
TOGETHER: Final = 25


def together(ledger: Ledger, changes: Sequence[Change]) -> set[Key]:
    """Write changes that have nothing to do with each other, many at a time; the keys of those that still held."""
    written: set[Key] = set()
    for start in range(0, len(changes), TOGETHER):
        left = list(changes[start : start + TOGETHER])
        while left:
            try:
                ledger.write(left)
            except Refused as refusal:
                left = [change for change, failed in zip(left, refusal.failed, strict=True) if not failed]
                continue
            written |= {change.key for change in left}
            break
    return written
