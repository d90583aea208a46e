"""Governed tables as values: rows with effective dates, and one order in which a row is found.

The order is entity → the entity's fallback → organisation → the organisation's fallback. A fallback is an
explicit row whose key is ``*``: nothing falls back because something was forgotten. Within each of the four,
a row for the target at hand goes before a row for any target. Rows of the same key, entity and target may
follow one another in time and never overlap (`Table` refuses that when built), so every answer is one row.

A `View` is the tables as one posting sees them: its entity, its target, its date, and the *given* tables that
do not live in files (which customer of ours is which customer there), handed in by the caller.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Final, TypeAlias

Cell: TypeAlias = str | int | bool | Decimal | None

ColumnType: TypeAlias = str | tuple[str, ...]
"""What a column holds: ``text``, ``whole``, ``number``, ``truth``, or one of a tuple of words."""

FALLBACK: Final = "*"
VALUE: Final = "value"
"""The column that a lookup takes when it names none."""

GIVEN: Final[Mapping[str, str]] = {
    "customers": "the target's id of a customer, by the document's customer id",
    "invoices": "the target's id of an invoice, by its id at the source",
    "credit_notes": "the target's id of a credit note, by its id at the source",
    "payments": "the target's id of a payment, by its id at the source",
    "subscriptions": "the target's id of a subscription, by its id at the source",
}
"""Tables that are not files: the caller fills them from the ledger's links (`View.given`)."""


@dataclass(frozen=True, slots=True)
class Row:
    """One governed row. `first` and `last` are its effective days, inclusive; None is open-ended."""

    key: str
    cells: Mapping[str, Cell]
    entity: str | None = None
    target: str | None = None
    first: date | None = None
    last: date | None = None
    line: int = 0
    why: str = ""

    def holds_on(self, on: date) -> bool:
        """Whether the row is effective on that day."""
        return (self.first is None or self.first <= on) and (self.last is None or on <= self.last)


@dataclass(frozen=True, slots=True)
class Hit:
    """A row that was found, and at which level: ``entity``, ``entity fallback``, ``organisation``, …"""

    table: str
    version: str
    row: Row
    level: str

    def cell(self, column: str = VALUE) -> Cell:
        """The value of a column of the row."""
        return self.row.cells.get(column)


_Plan: TypeAlias = tuple[tuple[dict[str, tuple[list[date], list[Row]]], bool, str], ...]


class Table:
    """A governed table: name, owner, version and rows, indexed. Raises `ValueError` for overlapping rows."""

    __slots__ = ("_index", "_plans", "columns", "means", "name", "owner", "rows", "types", "version")

    def __init__(
        self,
        name: str,
        rows: Iterable[Row],
        *,
        owner: str,
        version: str,
        means: str = "",
        columns: Iterable[str] | Mapping[str, ColumnType] = (VALUE,),
    ) -> None:
        self.name = name
        self.owner = owner
        self.version = version
        self.means = means
        self.columns = frozenset(columns)
        self.types: Mapping[str, ColumnType] = (
            dict(columns) if isinstance(columns, Mapping) else dict.fromkeys(columns, "text")
        )
        self.rows = tuple(rows)
        index: dict[tuple[str | None, str | None, str], list[Row]] = {}
        for row in self.rows:
            index.setdefault((row.entity, row.target, row.key), []).append(row)
        for held in index.values():
            held.sort(key=lambda row: row.first or date.min)
            for before, after in pairwise(held):
                if before.last is None or (after.first or date.min) <= before.last:
                    raise ValueError(
                        f"table {name}: lines {before.line} and {after.line} both hold for {after.key!r}"
                        f" from {after.first or 'ever'}"
                    )
        self._index: dict[tuple[str | None, str | None], dict[str, tuple[list[date], list[Row]]]] = {}
        for (entity, target, key), held in index.items():
            self._index.setdefault((entity, target), {})[key] = ([row.first or date.min for row in held], held)
        self._plans: dict[tuple[str | None, str | None], _Plan] = {}

    def lookup(self, key: str, on: date, entity: str | None = None, target: str | None = None) -> Hit | None:
        """The row that holds for `key` on that day, in the order above; None when there is none."""
        plan = self._plans.get((entity, target))
        if plan is None:
            plan = self._plans[entity, target] = self._plan(entity, target)
        for held, fallback, level in plan:
            found = held.get(FALLBACK if fallback else key)
            if found is None:
                continue
            firsts, rows = found
            index = bisect_right(firsts, on) - 1
            if index >= 0 and rows[index].holds_on(on):
                return Hit(self.name, self.version, rows[index], level)
        return None

    def _plan(self, entity: str | None, target: str | None) -> _Plan:
        """The order of looking, without the places that hold no row at all."""
        plan = []
        for who, level in ((entity, "entity"), (None, "organisation")):
            if who is None and level == "entity":
                continue
            for fallback in (False, True):
                for where in (target, None) if target is not None else (None,):
                    held = self._index.get((who, where))
                    if held and (not fallback or FALLBACK in held):
                        plan.append((held, fallback, level + (" fallback" if fallback else "")))
        return tuple(plan)


class View:
    """The tables as one posting sees them. Immutable; cheap to make."""

    __slots__ = ("_tables", "entity", "given", "on", "target")

    def __init__(
        self,
        tables: Mapping[str, Table],
        *,
        on: date,
        entity: str | None = None,
        target: str | None = None,
        given: Mapping[str, Mapping[str, Cell]] | None = None,
    ) -> None:
        self._tables = tables
        self.on = on
        self.entity = entity
        self.target = target
        self.given = given or {}

    def find(self, table: str, key: str, on: date | None = None) -> Hit | None:
        """The row for `key`; `on` overrules the view's date (a tax rate goes by its tax point)."""
        if table in GIVEN:
            known = self.given.get(table, {})
            return Hit(table, "given", Row(key, {VALUE: known[key]}), "given") if key in known else None
        return self._tables[table].lookup(key, on or self.on, self.entity, self.target)

    def value(self, table: str, key: str, column: str = VALUE, on: date | None = None) -> Cell:
        """A cell of that row; None when there is no row or the cell is empty."""
        hit = self.find(table, key, on)
        return None if hit is None else hit.row.cells.get(column)

    def version(self, table: str) -> str:
        """The version of a table, as a posting records it."""
        return "given" if table in GIVEN else self._tables[table].version
