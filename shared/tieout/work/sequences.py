"""Numbered events: what has come of each series, and a case for what stays away.

One item a series, ``S#source:account:stream``, written once a batch and only for sources that number their events:
the ordinary write costs one call and reads nothing. A hole makes the item due; whoever fills it in time leaves no
trace, and whoever fills it later closes the case.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from tieout.contract import Numbered
from tieout.core import keys, ledger, sequences
from tieout.core.keys import Key
from tieout.core.ledger import CASE, WAITING, stamp
from tieout.core.problems import problem
from tieout.core.sequences import Mark
from tieout.core.writes import Change, Item, Refused, Write
from tieout.work.book import CASE_AGAIN
from tieout.work.commit import Fenced, View, commit
from tieout.work.ports import Ports

#: Nothing is missing.
WHOLE: Final = "WHOLE"
_GONE: Final = ("holes", "code", "facts", "case", "owner_team", "due", "due_shard")


def note(ports: Ports, source: str, account: str, come: Sequence[Numbered]) -> None:
    """Write down which numbers of one series have come. The same numbers again change nothing.

    Raises ``TryAgain('ledger_contended')``.
    """
    key = keys.stream_item(source, account, come[0].stream)
    now, token = ports.now(), ports.token()
    spans = [(one.first, one.last) for one in come]
    begins, block = min(first for first, _ in spans), sequences.note(None, spans)
    seen: View = {key: None}
    if not block.ahead:
        # As it nearly always is: the next numbers, all of them, and nothing missing before.
        following = Change(
            key, set={"upto": block.upto, "updated": stamp(now), "token": token}, add={"rev": 1},
            when={"upto": begins - 1, "holes": None},
        )  # fmt: skip
        try:
            ports.ledger.write([following])
            return
        except Refused as refusal:
            seen = {key: refusal.seen[0]}
            if (refusal.seen[0] or {}).get("token") == token:
                return

    def compose(view: View) -> list[Write]:
        item = view.get(key)
        before = _mark(item)
        mark = sequences.note(before, spans, come[0].opens)
        if mark == before:
            raise Fenced(key.pk)
        named = {"source": source, "account": account, "stream": come[0].stream, "patience": come[0].patience}
        return [_change(key, item, mark, {**named, "region": ports.region, "token": token}, now)]

    try:
        view = commit(ports.ledger, seen, token, compose)
    except Fenced:
        return  # all of it has come before
    missing = (view.get(key) or {}).get("holes")
    if missing:
        ports.log("numbers_missing", stream=key.pk, holes=len(missing))


def _mark(item: Item | None) -> Mark | None:
    if item is None:
        return None
    return Mark(item["upto"], tuple((first, last) for first, last in item.get("ahead", ())))


def _change(key: Key, item: Item | None, mark: Mark, named: dict[str, Any], now: datetime) -> Change:
    old = item or {}
    holes = sequences.aged(mark.missing, [tuple(hole) for hole in old.get("holes", ())], stamp(now))
    values: dict[str, Any] = {
        **named, "what": "stream", "v": ledger.SCHEMA, "number": named["stream"], "upto": mark.upto,
        "ahead": [list(span) for span in mark.ahead], "updated": stamp(now), "opened": old.get("opened", stamp(now)),
    }  # fmt: skip
    gone: tuple[str, ...] = ()
    if not holes:
        values |= {"state": WHOLE}
        gone = _GONE
    else:
        patience = timedelta(seconds=named["patience"])
        values |= {"holes": [list(hole) for hole in holes], **ledger.due(key.pk, _first(holes) + patience)}
        values |= {"state": CASE, "facts": _facts(named, holes)} if old.get("state") == CASE else {"state": WAITING}
    return Change(key, set=values, remove=gone, add={"rev": 1}, when={"rev": old.get("rev")}, upsert=True)


def _first(holes: Sequence[Sequence[Any]]) -> datetime:
    return min(ledger.instant(since) for _, _, since in holes)


def _facts(named: Item, holes: Sequence[Sequence[Any]]) -> dict[str, str]:
    missing = sequences.said([(first, last) for first, last, _ in holes])
    since = stamp(_first(holes))
    return {name: str(named[name]) for name in ("source", "account", "stream")} | {"missing": missing, "since": since}


def look(ports: Ports, item: Item) -> str:
    """Probe's look at a series with holes: those that outlived their patience are a case; what was done, in a word."""
    key, now = Key(item["pk"], item["sk"]), ports.now()
    patience = timedelta(seconds=item["patience"])
    ends = [ledger.instant(since) + patience for _, _, since in item.get("holes", ())]
    ripe = [hole for hole, end in zip(item.get("holes", ()), ends, strict=True) if end <= now]
    later = min((end for end in ends if end > now), default=now + CASE_AGAIN * 6)
    values: dict[str, Any] = ledger.due(key.pk, later)
    opens = bool(ripe) and item["state"] != CASE
    if ripe:
        entry = problem("sequence_gap")
        case = item.get("case") or {"opened": stamp(now), "owner": entry.owner}
        values |= {"state": CASE, "code": "sequence_gap", "facts": _facts(item, ripe), "case": case}
        values |= {"owner_team": entry.owner}
    ports.ledger.write([Change(key, set=values, add={"rev": 1}, when={"rev": item["rev"]})])
    if opens:
        ports.bus.tell("case.opened", {"stream": key.pk, "code": "sequence_gap", "owner": values["owner_team"]})
    return "case opened: numbers missing" if opens else "numbers still missing"
