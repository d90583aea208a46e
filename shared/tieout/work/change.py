"""Changes of governed tables: proposed by one person, approved by a second, then effective everywhere.

A change is a ledger item, ``T#{table}`` / ``{change id}``: what the row was, what it is to be, from which day, who
proposed it and why, and who decided. It is never edited; another change replaces it. One item more (``T#``) says which
tables have approved changes, so that an environment asks once a minute with a single read whether anything is new.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Final

from tieout import tables
from tieout.core import keys, ledger
from tieout.core.lookup import Row, Table
from tieout.core.nodes import GovernanceError, Mistake, suggest
from tieout.core.overrides import Override, of_item, read_cell, row_at, spelled, to_item
from tieout.core.writes import Change, Item, Put, Refused
from tieout.tables import Tables
from tieout.work.ports import Ledger
from tieout.work.views import BadQuestion, NotThere

PROPOSED, APPROVED, REFUSED = "PROPOSED", "APPROVED", "REFUSED"
#: How long an environment serves the tables it read before it asks again, on its own clock.
FRESH: Final = timedelta(seconds=60)
#: What changes with a release only: routes decide about money on its way, periods are closed by their own procedure,
#: and an entity's zone and currency are pinned in documents that exist.
RELEASED: Final = ("routes", "calendars", "entities")
_WHY: Final = 8


class NotAllowed(Exception):
    """This person may not do this to this change: the proposer is never the approver."""


class Moved(Exception):
    """The world is not any more as it was when the change was proposed; nothing was done."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asks for: cells of one row as text, from a day on."""

    table: str
    key: str
    cells: Mapping[str, str]
    first: date
    last: date | None = None
    entity: str | None = None
    target: str | None = None
    why: str = ""


# --- deciding ------------------------------------------------------------------------------------------------------


def propose(books: Ledger, wish: Wish, by: str, now: datetime) -> Item:
    """Write the proposal, checked as if it were effective already; nothing changes yet.

    Raises `BadQuestion` for a change that cannot be: no such table or column, no reason, nothing different.
    """
    known = served(books)
    table = _table(known, wish.table)
    if len(wish.why.strip()) < _WHY:
        raise BadQuestion("say why, in a sentence: the second person decides by it")
    if not wish.key or (wish.last is not None and wish.last < wish.first):
        raise BadQuestion("a change needs a key, and cannot end before it begins")
    before = row_at(table, (wish.key, wish.entity, wish.target), wish.first)
    was = spelled(before.cells) if before else {}
    try:
        cells = {name: read_cell(table, name, text) for name, text in {**was, **wish.cells}.items()}
    except ValueError as error:
        raise BadQuestion(str(error)) from None
    if missing := sorted(table.columns - cells.keys()):
        raise BadQuestion(f"there is no row for {wish.key!r} on {wish.first} yet, so say {', '.join(missing)} too")
    if spelled(cells) == was:
        raise BadQuestion("nothing would change")
    made = Override(
        "", wish.table, wish.key, cells, wish.first, wish.last, wish.entity, wish.target, wish.why.strip()
    )  # fmt: skip
    seal = keys.digest(json.dumps(to_item(made), sort_keys=True), by, ledger.stamp(now)).hex()[:10]
    made = replace(made, id=f"{wish.table}.{seal}")
    _fits(known, made)
    key = keys.table_change(made.table, made.id)
    item: Item = {
        "pk": key.pk, "sk": key.sk, "what": "change", "v": ledger.SCHEMA, "state": PROPOSED, **to_item(made),
        "before": was, "proposer": by, "proposed_at": ledger.stamp(now), "under": known.version,
    }  # fmt: skip
    try:
        books.write([Put(item)])
    except Refused:
        raise BadQuestion("the very same change was proposed already") from None
    return item


def approve(books: Ledger, change: str, by: str, now: datetime) -> Item:
    """Make a proposal effective, by another person than its proposer.

    Raises `NotAllowed` for the proposer, `Moved` where it was decided already or its row is another one by now.
    """
    item = _open(books, change, by)
    index = keys.table_index()
    rev = int((books.read([index]).get(index) or {}).get("rev", 0))  # before the rows: whoever decides between loses
    known = served(books)
    table = _table(known, item["table"])
    made = _read(table, item)
    now_row = row_at(table, made.place, made.first)
    if (spelled(now_row.cells) if now_row else {}) != item["before"]:
        raise Moved("the row is another one by now than when this was proposed; propose it anew")
    _fits(known, made)
    at = ledger.stamp(now)
    decide = Change(
        keys.table_change(item["table"], change),
        set={"state": APPROVED, "approver": by, "decided_at": at, "rev": rev + 1},
        when={"state": PROPOSED},
    )
    count = Change(
        index,
        set={"rev": rev + 1, "what": "changes", "at": at, f"table:{item['table']}": rev + 1},
        when={"rev": rev or None},
        upsert=True,
    )
    try:
        books.write([decide, count])
    except Refused:
        raise Moved("somebody else decided a change at the same moment; look again") from None
    return item | dict(decide.set)


def refuse(books: Ledger, change: str, by: str, why: str, now: datetime) -> Item:
    """Refuse a proposal, or take one's own back; it stays in the ledger."""
    item = _open(books, change, "")
    told = {"state": REFUSED, "approver": by, "decided_at": ledger.stamp(now), "refused_why": why.strip()[:500]}
    try:
        books.write([Change(keys.table_change(item["table"], change), set=told, when={"state": PROPOSED})])
    except Refused:
        raise Moved("it was decided already") from None
    return item | told


def changes(books: Ledger, table: str = "") -> list[Item]:
    """Every change of a table (of all tables, where none is named), the open ones first, then newest first."""
    names = [table] if table else sorted(tables.load().tables)
    found = [item for name in names for item in books.family(keys.table_change(name, "").pk)]
    newest = sorted(found, key=lambda item: str(item.get("decided_at") or item["proposed_at"]), reverse=True)
    return sorted(newest, key=lambda item: item["state"] != PROPOSED)


def _open(books: Ledger, change: str, by: str) -> Item:
    key = keys.table_change(change.partition(".")[0], change)
    item = books.read([key]).get(key)
    if item is None:
        raise NotThere(f"no change {change[:80]}")
    if by and by == item["proposer"]:
        raise NotAllowed("who proposed a change cannot approve it")
    if item["state"] != PROPOSED:
        raise Moved(f"it was decided already: {item['state'].casefold()} by {item['approver']}")
    return item


def _table(known: Tables, name: str) -> Table:
    if name in RELEASED:
        raise BadQuestion(f"{name} changes with a release only")
    if name not in known.tables:
        raise BadQuestion(f"there is no table {name[:80]!r}{suggest(name, known.tables)}")
    return known.tables[name]


def _read(table: Table, item: Item) -> Override:
    try:
        return of_item(table, item)
    except ValueError as error:
        raise Moved(f"the table has changed since: {error}") from None


def _fits(known: Tables, made: Override) -> None:
    try:
        known.overlaid([made])
    except GovernanceError as error:
        raise BadQuestion("; ".join(mistake.message for mistake in error.mistakes)) from None


# --- serving -------------------------------------------------------------------------------------------------------


def served(books: Ledger, release: Tables | None = None) -> Tables:
    """The tables of this release with every approved change over them, in the order of approval.

    Raises `GovernanceError` where an approved change does not fit this release: better no posting than a wrong one.
    """
    known = release or tables.load()
    index = keys.table_index()
    return _overlaid(books, known, books.read([index]).get(index))


def _overlaid(books: Ledger, known: Tables, index: Item | None) -> Tables:
    if index is None:
        return known
    found: list[tuple[int, Override]] = []
    for name in (one.partition(":")[2] for one in index if one.startswith("table:")):
        for item in books.family(keys.table_change(name, "").pk):
            if item["state"] != APPROVED:
                continue
            table = known.tables.get(name)
            if table is None:
                raise GovernanceError(
                    [Mistake(f"{name}.yaml", 1, f"change {item['change']} is of a table that is gone")]
                )
            try:
                found.append((int(item["rev"]), of_item(table, item)))
            except ValueError as error:
                raise GovernanceError([Mistake(f"{name}.yaml", 1, f"change {item['change']}: {error}")]) from None
    return known.overlaid([one for _, one in sorted(found, key=lambda pair: pair[0])])


class Served:
    """The tables that one environment serves: read at the first use, asked again after a minute of its own clock."""

    def __init__(self, books: Ledger, now: Callable[[], datetime]) -> None:
        self._books = books
        self._now = now
        self._known: Tables | None = None
        self._rev = 0
        self._asked: datetime | None = None

    def __call__(self) -> Tables:
        """The tables, with what was approved up to a minute ago."""
        now = self._now()
        if self._known is None or self._asked is None or not self._asked <= now < self._asked + FRESH:
            index = self._books.read([keys.table_index()]).get(keys.table_index())
            rev = int((index or {}).get("rev", 0))
            if self._known is None or rev != self._rev:
                self._known = _overlaid(self._books, tables.load(), index)
            self._rev, self._asked = rev, now
        return self._known


# --- showing -------------------------------------------------------------------------------------------------------


def summary(table: Table) -> dict[str, Any]:
    """One line about a table."""
    return {
        "name": table.name, "owner": table.owner, "version": table.version, "rows": len(table.rows),
        "means": table.means,
    }  # fmt: skip


def shown(table: Table, *, key: str = "", on: date | None = None, entity: str = "", target: str = "") -> dict[str, Any]:
    """A table with its rows as plain values, cells as text; narrowed to what is said."""
    rows = [
        row_plain(row)
        for row in table.rows
        if key in ("", row.key) and entity in ("", row.entity) and target in ("", row.target)
        and (on is None or row.holds_on(on))
    ]  # fmt: skip
    return {**summary(table), "rows": rows}


def row_plain(row: Row) -> dict[str, Any]:
    """One row as plain values."""
    return {
        "key": row.key, "cells": spelled(row.cells), "entity": row.entity, "target": row.target,
        "from": row.first.isoformat() if row.first else None, "until": row.last.isoformat() if row.last else None,
        "why": row.why,
    }  # fmt: skip


def plain(items: Sequence[Item]) -> list[dict[str, Any]]:
    """Changes as plain values for the API, without the ledger's own keys."""
    hidden = ("pk", "sk", "what", "v")
    return [{name: value for name, value in item.items() if name not in hidden} for item in items]
