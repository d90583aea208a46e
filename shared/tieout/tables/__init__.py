"""Governed reference data: YAML files with an owner, a version and effective dates, loaded strictly.

One file a table. A lookup table lists rows with a ``key``, optionally ``entity`` and ``target`` (the rows for
one of them only), ``from`` and ``until`` (effective days, inclusive), and the declared columns. ``routes`` and
``calendars`` have shapes of their own. A typo, an overlap, an ambiguous route or a reference to an entity that
does not exist is an error with file and line, and nothing loads.

`load` gives the tables of this release, read once; what a posting looks into is a `View` of them.
"""

from __future__ import annotations

import hashlib
from calendar import monthrange
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Final, TypeAlias

import yaml

from tieout.core.clocks import Calendar, Ledger, Period, PeriodState, PostingDate
from tieout.core.lookup import VALUE, Cell, ColumnType, Row, Table, View
from tieout.core.nodes import Check, GovernanceError, Mistake, Node, from_yaml, suggest
from tieout.core.overrides import Override, overlay
from tieout.core.routing import Decision, Route, ambiguities, decide
from tieout.core.verdicts import NeedsHuman, NotYet
from tieout.tables import checks

HOME: Final = Path(__file__).parent

_HEADER = ("table", "version", "owner", "means", "columns", "rows")
_ROW = ("key", "entity", "target", "from", "until", "why")
_ROUTE = ("role", "entity", "kind", "product_line", "from", "until", "to", "why")
_PERIODS = ("entity", "first", "last", "fiscal_year_starts", "states", "why")
_STATE = ("from", "state", "ledger")
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "text": (str,),
    "whole": (int,),
    "number": (int, Decimal),
    "truth": (bool,),
}


@dataclass(frozen=True, slots=True)
class Entity:
    """One of our legal entities."""

    code: str
    company: str
    currency: str
    zone: str
    country: str


class Tables:
    """All governed tables of a release. `table` rows go by `View`; the rest has a question of its own."""

    def __init__(
        self, tables: Mapping[str, Table], routes: tuple[Route, ...], calendars: Mapping[str, Calendar], version: str
    ) -> None:
        self.tables = tables
        self.routes = routes
        self.calendars = calendars
        self.version = version
        """Hash over all files: what a posting records as the tables it was decided by."""
        self.entities: Mapping[str, Entity] = {
            row.key: Entity(
                row.key,
                str(row.cells["company"]),
                str(row.cells["currency"]),
                str(row.cells["zone"]),
                str(row.cells["country"]),
            )
            for row in tables["entities"].rows
        }

    def overlaid(self, overrides: Sequence[Override]) -> Tables:
        """These tables with approved changes over them (in the order of their approval), checked like the release's.

        Raises `GovernanceError` where a change does not fit: an entity that does not exist, a rate that is none.
        """
        if not overrides:
            return self
        strange = {one.table for one in overrides} - self.tables.keys()
        if strange:
            raise GovernanceError([Mistake(f"{name}.yaml", 1, "there is no such table") for name in sorted(strange)])
        tables = {name: overlay(table, overrides) for name, table in self.tables.items()}
        mistakes = checks.mistakes(tables, self.routes)
        if mistakes:
            raise GovernanceError(mistakes)
        seal = hashlib.sha256(" ".join(table.version for table in tables.values()).encode()).hexdigest()[:8]
        return Tables(tables, self.routes, self.calendars, f"{self.version}+{seal}")

    def columns(self) -> dict[str, frozenset[str]]:
        """Every lookup table and its columns: what mappings are checked against."""
        return {name: table.columns for name, table in self.tables.items()}

    def view(
        self,
        on: date,
        *,
        entity: str | None = None,
        target: str | None = None,
        given: Mapping[str, Mapping[str, Cell]] | None = None,
    ) -> View:
        """The tables as one posting sees them; `target` is a system's name."""
        return View(self.tables, on=on, entity=entity, target=target, given=given)

    def entity(self, code: str) -> Entity:
        """One of our legal entities; `NeedsHuman` ``unknown_entity`` when there is none of that code."""
        if code not in self.entities:
            raise NeedsHuman("unknown_entity", f"no entity {code!r}", entity=code, source="", account="")
        return self.entities[code]

    def entity_of(self, source: str, account: str, on: date) -> Entity:
        """The entity that sells through a source's account; ``unknown_entity`` when the table has no row."""
        hit = self.tables["source_accounts"].lookup(f"{source}:{account}", on)
        if hit is None:
            raise NeedsHuman("unknown_entity", f"no row for {source}:{account}", source=source, account=account)
        return self.entity(str(hit.cell()))

    def route(
        self, *, entity: str, kind: str, on: date, role: str = "erp", product_line: str | None = None
    ) -> Decision:
        """Which target account takes a document, and why; ``no_route`` when no row holds."""
        return decide(self.routes, entity=entity, kind=kind, on=on, role=role, product_line=product_line)

    def period(self, entity: str, posting_date: PostingDate) -> Period:
        """The entity's accounting period of a posting date; `NotYet` ``period_not_in_calendar`` when none."""
        calendar = self.calendars.get(entity)
        if calendar is None:
            raise NotYet("period_not_in_calendar", entity=entity, posting_date=posting_date.iso, gate="period")
        return calendar.period_of(posting_date)


@lru_cache(maxsize=4)
def load(home: Path = HOME) -> Tables:
    """The tables of a folder, checked; raises `GovernanceError` with every mistake of every file."""
    mistakes: list[Mistake] = []
    tables: dict[str, Table] = {}
    routes: tuple[Route, ...] = ()
    periods: list[_Books] = []
    seals = []
    for path in sorted(home.glob("*.yaml")):
        data = path.read_bytes()
        seal = hashlib.sha256(data).hexdigest()
        seals.append(f"{path.name} {seal}")
        check = Check(path.name)
        try:
            node = read(data, check)
            header = _header(check, node, path.stem)
            if path.stem == "routes":
                routes = _routes(check, header)
            elif path.stem == "calendars":
                periods = list(_calendars(check, header))
            else:
                tables[path.stem] = _table(check, header, seal)
            check.finish()
        except GovernanceError as error:
            mistakes += error.mistakes
    if mistakes:
        raise GovernanceError(mistakes)
    calendars = _whole(tables, routes, periods)
    return Tables(tables, routes, calendars, hashlib.sha256("\n".join(seals).encode()).hexdigest()[:12])


def read(data: bytes, check: Check) -> Node:
    """A YAML file as a node tree under our strict reading; `GovernanceError` when it is not YAML."""
    try:
        composed = yaml.compose(data.decode("utf-8"), Loader=yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        check.wrong(mark.line + 1 if mark else 1, f"not YAML: {getattr(error, 'problem', None) or error}")
        composed = None
    if composed is None:
        check.wrong(1, "the file is empty or cannot be read")
        check.finish()
    node = from_yaml(composed, check)
    check.finish()
    return node


def _header(check: Check, node: Node, stem: str) -> Mapping[str, Node]:
    header = check.fields(node, "a table", _HEADER, ("table", "version", "owner", "means", "rows"))
    if check.text(header, "table") not in ("", stem):
        check.wrong(header["table"], f"table {header['table'].value!r} must be in a file of its own name")
    return header


def _table(check: Check, header: Mapping[str, Node], seal: str) -> Table:
    columns = _columns(check, header)
    rows = [_row(check, node, columns) for node in check.items(header, "rows")]
    check.finish()
    try:
        return Table(
            check.text(header, "table"),
            rows,
            owner=check.text(header, "owner"),
            version=f"{check.number(header, 'version')}.{seal[:8]}",
            means=check.text(header, "means"),
            columns=columns,
        )
    except ValueError as error:
        check.wrong(header["rows"], str(error))
        raise GovernanceError(check.mistakes) from None


def _columns(check: Check, header: Mapping[str, Node]) -> dict[str, ColumnType]:
    node = header.get("columns")
    if node is None:
        return {VALUE: "text"}
    columns: dict[str, ColumnType] = {}
    for name, child in (node.value if isinstance(node.value, dict) else {}).items():
        words = child.value if isinstance(child.value, tuple) else ()
        if name in _ROW:
            check.wrong(child, f"{name!r} cannot be a column: every row has it")
        if words and all(isinstance(word.value, str) for word in words):
            columns[name] = tuple(str(word.value) for word in words)
        elif child.value in _TYPES:
            columns[name] = str(child.value)
        else:
            check.wrong(child, f"column {name!r} must be one of {', '.join(_TYPES)}, or a list of words")
    if not columns:
        check.wrong(node, "'columns' must be a map of name and type")
    return columns


def _row(check: Check, node: Node, columns: Mapping[str, ColumnType]) -> Row:
    fields = check.fields(node, "a row", (*_ROW, *columns), ("key", *columns))
    cells: dict[str, Cell] = {}
    for name, kind in columns.items():
        child = fields.get(name)
        if child is None:
            continue
        if isinstance(kind, tuple):
            if child.value not in kind:
                said = f"column {name!r} is one of {', '.join(kind)}, not {child.value!r}"
                check.wrong(child, said + suggest(str(child.value), kind))
                continue
        elif isinstance(child.value, bool) != (kind == "truth") or not isinstance(child.value, _TYPES.get(kind, ())):
            check.wrong(child, f"column {name!r} is {kind}; write {child.value!r} so" if kind else "no such column")
            continue
        cells[name] = child.value if not isinstance(child.value, (tuple, dict)) else None
    row = Row(
        key=check.text(fields, "key"),
        cells=cells,
        entity=check.text(fields, "entity") or None,
        target=check.text(fields, "target") or None,
        first=check.day(fields, "from"),
        last=check.day(fields, "until"),
        line=node.line,
        why=check.text(fields, "why"),
    )
    if row.first and row.last and row.last < row.first:
        check.wrong(node, f"'until' {row.last} is before 'from' {row.first}")
    return row


def _routes(check: Check, header: Mapping[str, Node]) -> tuple[Route, ...]:
    found = []
    for node in check.items(header, "rows"):
        fields = check.fields(node, "a route", _ROUTE, ("role", "to"))
        system, _, account = check.text(fields, "to").partition(":")
        if not account and "to" in fields:
            check.wrong(fields["to"], "'to' is system:account")
        found.append(
            Route(
                role=check.text(fields, "role"),
                system=system,
                account=account,
                entity=check.text(fields, "entity") or None,
                kind=check.text(fields, "kind") or None,
                product_line=check.text(fields, "product_line") or None,
                first=check.day(fields, "from"),
                last=check.day(fields, "until"),
                why=check.text(fields, "why"),
                line=node.line,
            )
        )
    for one, other in ambiguities(found):
        check.wrong(other.line, f"ambiguous: «{one}» and «{other}» can both hold and neither is more specific")
    return tuple(found)


_Books: TypeAlias = tuple[str, list[Period], int, int]
"""Entity, periods, first month of the fiscal year, line."""
_Step: TypeAlias = tuple[date, Ledger | None, PeriodState]
"""From this month on, in this ledger (None: in every one that has no state of its own), this state."""


def _calendars(check: Check, header: Mapping[str, Node]) -> Iterator[_Books]:
    """Calendars by month: ``first`` and ``last`` month, and the states from one month on, by ledger if need be."""
    states, ledgers = [state.value for state in PeriodState], [ledger.value for ledger in Ledger]
    for node in check.items(header, "rows"):
        fields = check.fields(node, "a calendar", _PERIODS, ("entity", "first", "last", "states"))
        first, last = check.day(fields, "first"), check.day(fields, "last")
        steps: list[_Step] = []
        for step in check.items(fields, "states"):
            said = check.fields(step, "a state", _STATE, ("from", "state"))
            start, state, ledger = check.day(said, "from"), check.text(said, "state"), check.text(said, "ledger")
            if state and state not in states:
                check.wrong(said["state"], f"unknown state {state!r}{suggest(state, states)}")
            elif ledger and ledger not in ledgers:
                check.wrong(said["ledger"], f"unknown ledger {ledger!r}{suggest(ledger, ledgers)}")
            elif start and state:
                steps.append((start, Ledger(ledger) if ledger else None, PeriodState(state)))
        starts = check.number(fields, "fiscal_year_starts") if "fiscal_year_starts" in fields else 1
        if not 1 <= starts <= 12:
            check.wrong(fields["fiscal_year_starts"], "a fiscal year starts with a month from 1 to 12")
        elif first and last and steps:
            steps.sort(key=lambda step: step[0])
            yield check.text(fields, "entity"), list(_months(first, last, steps)), starts, node.line


def _months(first: date, last: date, steps: list[_Step]) -> Iterator[Period]:
    def at(day: date, ledger: Ledger | None) -> PeriodState | None:
        return next((state for start, of, state in reversed(steps) if of is ledger and start <= day), None)

    day = first.replace(day=1)
    while day <= last:
        end = day.replace(day=monthrange(day.year, day.month)[1])
        own = tuple((ledger, state) for ledger in Ledger if (state := at(day, ledger)) is not None)
        yield Period(f"{day.year}-{day.month:02d}", day, end, at(day, None) or PeriodState.LOCKED, own)
        day = date(end.year + (end.month == 12), end.month % 12 + 1, 1)


def _whole(tables: Mapping[str, Table], routes: tuple[Route, ...], periods: list[_Books]) -> dict[str, Calendar]:
    """What no single file can see: every entity named anywhere exists, and has a calendar."""
    needed = [Mistake(f"{one}.yaml", 1, "this table is a must") for one in checks.NEEDED if one not in tables]
    if needed:
        raise GovernanceError(needed)
    mistakes = checks.mistakes(tables, routes)
    known = {row.key: row for row in tables["entities"].rows}
    for entity, _, _, line in periods:
        if entity not in known:
            mistakes.append(Mistake("calendars.yaml", line, f"no entity {entity!r}{suggest(entity, known)}"))
    for entity in known.keys() - {entity for entity, _, _, _ in periods}:
        mistakes.append(Mistake("calendars.yaml", 1, f"entity {entity} has no calendar"))
    if mistakes:
        raise GovernanceError(mistakes)
    return {
        entity: Calendar(entity, str(known[entity].cells["zone"]), found, starts)
        for entity, found, starts, _ in periods
    }
