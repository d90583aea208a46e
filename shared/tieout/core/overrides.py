"""Approved changes of governed tables, laid over the tables of the release: pure, so that everybody sees the same.

A change says: from this day on (and until that day, where it says so) the row of this key, entity and target has
these cells. It holds as long as the row that it replaces would have held, and a row that is to come still comes.
The order in which a row is found does not change; an override is a row like any other, at its own level.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

from tieout.core.keys import digest
from tieout.core.lookup import Cell, Row, Table
from tieout.core.nodes import suggest

_DAY: Final = timedelta(days=1)
_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,17})\Z")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,12})?\Z")


@dataclass(frozen=True, slots=True)
class Override:
    """One change of one row, effective from `first` to `last`, inclusive; without `last` it holds like the row did."""

    id: str
    table: str
    key: str
    cells: Mapping[str, Cell]
    first: date
    last: date | None = None
    entity: str | None = None
    target: str | None = None
    why: str = ""

    @property
    def place(self) -> tuple[str, str | None, str | None]:
        """Which row it is: key, entity, target."""
        return self.key, self.entity, self.target


def overlay(table: Table, overrides: Iterable[Override]) -> Table:
    """The table with its overrides, in the order given (that of their approval); the same table where there are none.

    Its version names the release's version and a digest of the overrides, so that a posting records both.
    """
    mine = [one for one in overrides if one.table == table.name]
    if not mine:
        return table
    rows = list(table.rows)
    for one in mine:
        rows = _laid(rows, one)
    seal = digest(*(part for one in mine for part in (one.id, *spelled(one.cells).values()))).hex()[:8]
    return Table(
        table.name, rows, owner=table.owner, version=f"{table.version}+{seal}", means=table.means, columns=table.types
    )


def row_at(table: Table, place: tuple[str, str | None, str | None], on: date) -> Row | None:
    """The very row of a key, entity and target that holds on a day; no fallback."""
    return next((row for row in table.rows if _place(row) == place and row.holds_on(on)), None)


def _place(row: Row) -> tuple[str, str | None, str | None]:
    return row.key, row.entity, row.target


def _laid(rows: list[Row], one: Override) -> list[Row]:
    """The rows with one override: what it replaces is cut, what it does not touch stays."""
    here = [row for row in rows if _place(row) == one.place]
    rest = [row for row in rows if _place(row) != one.place]
    held = next((row for row in here if row.holds_on(one.first)), None)
    coming = min((row.first for row in here if row.first and row.first > one.first), default=None)
    last = one.last
    if last is None:
        last = held.last if held else (coming - _DAY if coming else None)
    fresh = Row(one.key, one.cells, one.entity, one.target, one.first, last, why=one.why)
    return rest + [piece for row in here for piece in _cut(row, one.first, last)] + [fresh]


def _cut(row: Row, first: date, last: date | None) -> list[Row]:
    """What is left of a row outside the days from `first` to `last`."""
    left = []
    if row.first is None or row.first < first:
        ends = first - _DAY
        left.append(row if row.last is not None and row.last <= ends else replace(row, last=ends))
    if last is not None and (row.last is None or row.last > last):
        starts = last + _DAY
        left.append(row if row.first is not None and row.first >= starts else replace(row, first=starts))
    return [piece for piece in left if piece.last is None or piece.first is None or piece.first <= piece.last]


def read_cell(table: Table, column: str, text: str) -> Cell:
    """A cell from its text, by the column's declared type. Raises `ValueError` with a sentence."""
    if column not in table.types:
        raise ValueError(f"table {table.name} has no column {column!r}{suggest(column, table.types)}")
    kind = table.types[column]
    if isinstance(kind, tuple):
        if text not in kind:
            raise ValueError(f"column {column!r} is one of {', '.join(kind)}, not {text!r}{suggest(text, kind)}")
        return text
    if kind == "text" and 0 < len(text) <= 255 and text.isprintable():
        return text
    if kind == "whole" and _WHOLE.match(text):
        return int(text)
    if kind == "number" and _NUMBER.match(text):
        return Decimal(text)
    if kind == "truth" and text in ("true", "false"):
        return text == "true"
    raise ValueError(f"column {column!r} is {kind}, not {text[:80]!r}")


def spelled(cells: Mapping[str, Cell]) -> dict[str, str]:
    """Cells as text, by column; `read_cell` reads each back."""

    def text(cell: Cell) -> str:
        if isinstance(cell, bool):
            return "true" if cell else "false"
        return format(cell, "f") if isinstance(cell, Decimal) else str(cell)

    return {name: text(cells[name]) for name in sorted(cells) if cells[name] is not None}


def to_item(one: Override) -> dict[str, Any]:
    """The override as the ledger keeps it: text only, open ends left out."""
    item: dict[str, Any] = {
        "change": one.id, "table": one.table, "key": one.key, "cells": spelled(one.cells),
        "first": one.first.isoformat(), "why": one.why,
    }  # fmt: skip
    optional = {"last": one.last.isoformat() if one.last else None, "entity": one.entity, "target": one.target}
    return item | {name: value for name, value in optional.items() if value is not None}


def of_item(table: Table, item: Mapping[str, Any]) -> Override:
    """The override of a ledger item; `ValueError` where the table has changed so that it does not fit any more."""
    return Override(
        id=item["change"],
        table=item["table"],
        key=item["key"],
        cells={name: read_cell(table, name, text) for name, text in item["cells"].items()},
        first=date.fromisoformat(item["first"]),
        last=date.fromisoformat(item["last"]) if item.get("last") else None,
        entity=item.get("entity"),
        target=item.get("target"),
        why=item["why"],
    )
