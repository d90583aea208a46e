"""``tieout tables``: the governed tables, how a row is found, and changes that two people make.

`ls`, `check`, `show` and `explain` read the tables of this checkout; with ``--live`` they ask a deployment, which
serves approved changes over them. `set`, `approve`, `refuse` and `changes` always ask the deployment: who proposes and
who approves is who the deployment says you are, never what a command line says. Exit codes: 0 all well, 1 mistakes or
nothing found, 2 misunderstood, 3 unreachable or not let in.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Annotated, Any

import typer
from rich.text import Text

from tieout import tables
from tieout.cli import show
from tieout.cli.client import PROBLEM, USAGE, Api, Failure, connect
from tieout.cli.command import AsJson, Token, Url, command, out
from tieout.core.lookup import FALLBACK, Table
from tieout.core.nodes import GovernanceError, suggest
from tieout.core.overrides import spelled
from tieout.work import change as serving

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The governed tables, and changes to them.")
Name = Annotated[str, typer.Argument(help="A table, for example tax_codes.")]
Entity = Annotated[str, typer.Option(help="The row of this entity, for example DE01.")]
Target = Annotated[str, typer.Option(help="The row for this target system, for example netsuite.")]
On = Annotated[str, typer.Option(help="Day, YYYY-MM-DD; today where left out.")]
Live = Annotated[bool, typer.Option("--live", help="Ask the deployment, approved changes included.")]
ChangeId = Annotated[str, typer.Argument(metavar="ID", help="A change, as `tieout tables changes` shows it.")]


# --- what there is -----------------------------------------------------------------------------------------------
@app.command("ls")
@command
def ls(live: Live = False, url: Url = "", token: Token = "", as_json: AsJson = False) -> None:
    """Every table: owner, version, rows, meaning."""
    found = (
        Api(connect(url, token)).get("/v1/tables")["tables"]
        if live
        else [serving.summary(one) for _, one in sorted(tables.load().tables.items())]
    )
    if as_json:
        show.as_json(out(), found)
        return
    made = show.table("table", "owner", "version", "rows", "means", right=("rows",))
    for one in found:
        made.add_row(*(Text(show.clean(one[name])) for name in ("name", "owner", "version", "rows", "means")))
    out().print(made)


@app.command("check")
@command
def check(as_json: AsJson = False) -> None:
    """Load all tables strictly; each mistake with file, line and suggestion."""
    try:
        known, mistakes = tables.load(), []
    except GovernanceError as error:
        known, mistakes = None, [str(mistake) for mistake in error.mistakes]
    count = len(known.tables) + 2 if known else 0
    if as_json:
        show.as_json(out(), {"tables": count, "mistakes": mistakes})
    else:
        for mistake in mistakes:
            out().print(Text(show.clean(mistake), style="red"), soft_wrap=True)
        out().print(f"{count} tables read, {len(mistakes)} mistakes")
    if mistakes:
        raise typer.Exit(PROBLEM)


@app.command("show")
@command
def show_one(
    name: Name,
    key: Annotated[str, typer.Option(help="Only rows of this key.")] = "",
    on: On = "",
    entity: Entity = "",
    target: Target = "",
    live: Live = False,
    url: Url = "",
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """The rows of a table; narrowed where key, day, entity or target is said. Exit 1 when none is left."""
    if live:
        asked = {"key": key, "on": on, "entity": entity, "target": target}
        found = Api(connect(url, token)).get(f"/v1/tables/{name}", **asked)
    else:
        found = serving.shown(chosen(name), key=key, on=_day(on) if on else None, entity=entity, target=target)
    if as_json:
        show.as_json(out(), found)
    else:
        out().print(Text(show.clean(f"{found['name']} {found['version']}, {found['owner']}: {found['means']}")))
        out().print(_rows(found["rows"]))
    if not found["rows"]:
        raise typer.Exit(PROBLEM)


def _rows(rows: list[dict[str, Any]]) -> Any:
    columns = sorted({name for row in rows for name in row["cells"]})
    made = show.table("key", *columns, "entity", "target", "from", "until", "why")
    for row in rows:
        cells = (row["key"], *(row["cells"].get(name) for name in columns),
                 *(row[name] for name in ("entity", "target", "from", "until", "why")))  # fmt: skip
        made.add_row(*(Text(show.clean(cell)) for cell in cells))
    return made


def chosen(name: str) -> Table:
    """A lookup table by its name."""
    known = tables.load().tables
    if name not in known:
        hint = "Routes: `tieout route explain`." if name == "routes" else "See `tieout tables ls`."
        raise Failure(USAGE, f"There is no table {name}{suggest(name, known)}", hint)
    return known[name]


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text) if text else datetime.now(UTC).date()
    except ValueError:
        raise Failure(USAGE, f"{text!r} is no day.", "Write it as YYYY-MM-DD.") from None


# --- how a row is found ------------------------------------------------------------------------------------------
@app.command("explain")
@command
def explain(
    name: Name,
    key: Annotated[str, typer.Argument(help="What is looked for.")],
    on: On = "",
    entity: Entity = "",
    target: Target = "",
    as_json: AsJson = False,
) -> None:
    """Every place that is looked at, in order, and which row answers. Exit 1 when none does."""
    table, day = chosen(name), _day(on)
    looked = list(places(table, key, day, entity or None, target or None))
    hit = table.lookup(key, day, entity or None, target or None)
    if as_json:
        found = {"level": hit.level, "row": serving.row_plain(hit.row)} if hit else None
        show.as_json(out(), {**serving.summary(table), "on": day.isoformat(), "looked": looked, "found": found})
    else:
        console = out()
        console.print(Text(show.clean(f"{name} {table.version}, {key!r} on {day}:")))
        for one in looked:
            console.print(Text(show.clean(f"  {one['level']}, {one['place']}: {one['said']}")))
        console.print(Text(show.clean(f"{hit.level}: {spelled(hit.row.cells)}" if hit else "Nothing holds: it waits.")))
    if hit is None:
        raise typer.Exit(PROBLEM)


def places(table: Table, key: str, on: date, entity: str | None, target: str | None) -> Iterator[dict[str, str]]:
    """The order of looking up to the row that answers: level, place, and what is there."""
    for who in (entity, None) if entity else (None,):
        for fallback in (False, True):
            for where in (target, None) if target else (None,):
                level = ("entity" if who else "organisation") + (" fallback" if fallback else "")
                place = f"{who or 'any entity'}, {where or 'any target'}"
                wanted = FALLBACK if fallback else key
                here = [row for row in table.rows if (row.key, row.entity, row.target) == (wanted, who, where)]
                held = next((row for row in here if row.holds_on(on)), None)
                said = "no row" if not here else "no row on that day" if held is None else "this row"
                yield {"level": level, "place": place, "said": said}
                if held is not None:
                    return


# --- changes -----------------------------------------------------------------------------------------------------
@app.command("set")
@command
def propose(
    name: Name,
    key: Annotated[str, typer.Argument(help="The row's key.")],
    cells: Annotated[list[str], typer.Argument(metavar="COLUMN=VALUE...", help="What the row is to say.")],
    first: Annotated[str, typer.Option("--from", help="First day it holds, YYYY-MM-DD.")],
    why: Annotated[str, typer.Option(help="The reason, a sentence: the second person decides by it.")],
    until: Annotated[str, typer.Option(help="Last day it holds; as long as the row did where left out.")] = "",
    entity: Entity = "",
    target: Target = "",
    url: Url = "",
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """Propose a change of one row; a second person approves it before it is effective."""
    form = {"table": name, "key": key, "from": first, "until": until, "entity": entity, "target": target, "why": why}
    for cell in cells:
        column, equals, value = cell.partition("=")
        if not equals or not column:
            raise Failure(USAGE, f"{cell!r} is not COLUMN=VALUE.")
        form[f"column.{column}"] = value
    _told(Api(connect(url, token)).submit("/v1/tables/changes", form), as_json)


@app.command("approve")
@command
def approve(change: ChangeId, url: Url = "", token: Token = "", as_json: AsJson = False) -> None:
    """Approve what somebody else proposed; it is effective everywhere within a minute."""
    _told(Api(connect(url, token)).submit(f"/v1/tables/changes/{change}/approve", {}), as_json)


@app.command("refuse")
@command
def refuse(
    change: ChangeId,
    why: Annotated[str, typer.Option(help="The reason.")] = "",
    url: Url = "",
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """Refuse a proposal, or take your own back."""
    _told(Api(connect(url, token)).submit(f"/v1/tables/changes/{change}/refuse", {"why": why}), as_json)


@app.command("changes")
@command
def changes(
    name: Annotated[str, typer.Argument(help="Only this table.")] = "",
    url: Url = "",
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """Changes of tables, the open ones first: before, after, who, why."""
    found = Api(connect(url, token)).get("/v1/tables/changes", table=name)
    if as_json:
        show.as_json(out(), found)
        return
    for one in found["changes"]:
        _print(one)


def _told(change: dict[str, Any], as_json: bool) -> None:
    if as_json:
        show.as_json(out(), change)
    else:
        _print(change)


def _print(one: dict[str, Any]) -> None:
    console = out()
    place = ", ".join(f"{name} {one[name]}" for name in ("entity", "target") if one.get(name))
    until = f" until {one['last']}" if one.get("last") else ""
    lines = [
        f"{one['change']}  {one['state'].casefold()}",
        f"  {one['table']} {one['key']}{f' ({place})' if place else ''} from {one['first']}{until}",
        *(f"  {name}: {one['before'].get(name, '(nothing)')} → {value}" for name, value in one["cells"].items()
          if one["before"].get(name) != value),
        f"  proposed by {one['proposer']}: {one['why']}",
    ]  # fmt: skip
    if one.get("approver"):
        lines.append(f"  {one['state'].casefold()} by {one['approver']} {one.get('refused_why', '')}".rstrip())
    for line in lines:
        console.print(Text(show.clean(line)), soft_wrap=True)
