"""The commands of ``tieout``, their options and exit codes."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from tieout import __version__, flows
from tieout.cli import explain as explaining
from tieout.cli import mappings as mapping_commands
from tieout.cli import send as sending
from tieout.cli import settle as settle_commands
from tieout.cli import show
from tieout.cli import systems as system_commands
from tieout.cli import tables as table_commands
from tieout.cli.client import PROBLEM, USAGE, Api, Failure, connect
from tieout.cli.command import AsJson, Token, Url, command, out

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None,
    help="Tieout: every event ties out. Talks to a running deployment (--url and --token, or TIEOUT_URL and "
    "TIEOUT_TOKEN) or to the local world that `make run` started here.\n\n"
    "Exit codes: 0 all well; 1 the answer is a problem (nothing found, not tied out); 2 misunderstood; "
    "3 unreachable or not let in.",
)  # fmt: skip
route_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Where documents go, and why.")
flows_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The flow table.")
app.add_typer(route_app, name="route")
app.add_typer(system_commands.app, name="systems")
app.add_typer(flows_app, name="flows")
app.add_typer(mapping_commands.app, name="mappings")
app.add_typer(table_commands.app, name="tables")
app.add_typer(settle_commands.app, name="settle")

Days = Annotated[int, typer.Option("--days", min=1, max=31, help="How many UTC days back, today included.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=500, help="At most so many.")]
Cursor = Annotated[str, typer.Option("--cursor", help="Where the last page ended.")]


# --- reading -----------------------------------------------------------------------------------------------------
@app.command("overview")
@command
def overview(days: Days = 7, url: Url = "", token: Token = "", as_json: AsJson = False) -> None:
    """What is open, and what was finished: counts and money by kind and status."""
    answer = Api(connect(url, token)).get("/v1/overview", days=days)
    show.as_json(out(), answer) if as_json else show.overview(out(), answer)


@app.command("capacity")
@command
def capacity(
    target: Annotated[str, typer.Argument(help="One account, for example netsuite:acme; else all.")] = "",
    url: Url = "",
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """How long what waits at each target needs, and whether its period ends before. Exit code 1 where it does."""
    answer = Api(connect(url, token)).get("/v1/capacity", target=target)
    found = answer["targets"]
    if target and not found:
        raise Failure(PROBLEM, f"Nothing is known of {target}.", "Name it as `tieout ls` shows it: system:account.")
    show.as_json(out(), answer) if as_json else show.capacity(out(), found)
    if not all(one["fits"] for one in found):
        raise typer.Exit(PROBLEM)


@app.command("ls")
@command
def ls(
    text: Annotated[str, typer.Argument(help="Any id: number, source id, our reference, the target's id.")] = "",
    state: Annotated[str, typer.Option(help="open, late, case, a status (held), or a state (IN_DOUBT).")] = "",
    kind: Annotated[str, typer.Option(help="invoice, payment, credit_note, customer, status ...")] = "",
    entity: Annotated[str, typer.Option(help="Legal entity, for example US01.")] = "",
    target: Annotated[str, typer.Option(help="Target system or account, for example netsuite:acme.")] = "",
    days: Days = 7,
    limit: Limit = 50,
    cursor: Cursor = "",
    url: Url = "",
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """Postings, newest change first."""
    answer = Api(connect(url, token)).get(
        "/v1/postings",
        q=text,
        state=state,
        kind=kind,
        entity=entity,
        target=target,
        days=days,
        limit=limit,
        cursor=cursor,
    )
    show.as_json(out(), answer) if as_json else show.listing(out(), answer)


@app.command("events")
@command
def events(
    text: Annotated[str, typer.Argument(help="An event id, or its object's id.")] = "",
    outcome: Annotated[str, typer.Option(help="MADE, IGNORED, DUPLICATE, OLD_NEWS, CASE or WAITING.")] = "",
    source: Annotated[str, typer.Option(help="Source system, for example stripe.")] = "",
    days: Days = 7,
    limit: Limit = 50,
    cursor: Cursor = "",
    url: Url = "",
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """Events with their outcome, newest first."""
    answer = Api(connect(url, token)).get(
        "/v1/events", q=text, state=outcome, target=source, days=days, limit=limit, cursor=cursor
    )
    show.as_json(out(), answer) if as_json else show.listing(out(), answer)


@app.command("show")
@command
def show_one(
    name: Annotated[str, typer.Argument(metavar="ID", help="Any id of any system, a number, or a key.")],
    url: Url = "",
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """One posting, event or run with its timeline, found by any id."""
    api = Api(connect(url, token))
    found = api.get("/v1/search", q=name)["lines"]
    chosen = choose(found, name)
    if chosen is None and found:
        show.as_json(out(), {"name": name, "lines": found}) if as_json else show.lines(out(), found)
        return
    if chosen is None:
        raise Failure(PROBLEM, f"Nothing goes by {name!r}.", "Ids are matched whole, capitals included.")
    what = {"posting": "postings", "event": "events", "run": "runs"}[chosen["what"]]
    view = api.one(what, chosen["key"])
    show.as_json(out(), view) if as_json else show.thing(out(), what, view)


def choose(found: list[dict[str, Any]], name: str) -> dict[str, Any] | None:
    """The one that is meant: an exact key, the only one, or the only document (or run) among statuses and events."""
    exact = [line for line in found if line["key"] == name]
    main = [line for line in found if line["what"] == "posting" and line["kind"] != "status"]
    runs = [line for line in found if line["what"] == "run"]
    return next((group[0] for group in (exact, found, main, runs) if len(group) == 1), None)


@app.command("cases")
@command
def cases(
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 when a case is open.")] = False,
    url: Url = "",
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """Open cases grouped by cause: sentence, owner, money, what to do."""
    answer = Api(connect(url, token)).get("/v1/cases")
    show.as_json(out(), answer) if as_json else show.cases(out(), answer["causes"])
    if check and answer["causes"]:
        raise typer.Exit(PROBLEM)


@app.command("tie")
@command
def tie(days: Days = 7, url: Url = "", token: Token = "", as_json: AsJson = False) -> None:
    """Received = posted + superseded + compensated + ignored + duplicate + open. Exit 1 when it does not tie out."""
    answer = Api(connect(url, token)).get("/v1/tie", days=days)
    show.as_json(out(), answer) if as_json else show.tie(out(), answer)
    if not answer["balanced"]:
        raise typer.Exit(PROBLEM)


# --- sending -----------------------------------------------------------------------------------------------------
@app.command("send")
@command
def send(
    file: Annotated[Path, typer.Argument(help="A captured event: events/<source>/<type>.json.")],
    account: Annotated[str, typer.Option(help="The source's account, for example acct_us.")] = "",
    secret: Annotated[str, typer.Option(envvar="TIEOUT_WEBHOOK_SECRET", help="Its signing secret.")] = "",
    same: Annotated[bool, typer.Option("--same", help="Keep the event's id: a redelivery.")] = False,
    new: Annotated[bool, typer.Option("--new", help="New ids for its object too: another document.")] = False,
    as_is: Annotated[bool, typer.Option("--as-is", help="Change nothing, not even the time it was created.")] = False,
    url: Url = "",
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """Sign a captured event and send it in; says what the front door answered."""
    if new and (same or as_is):
        raise Failure(USAGE, "--new contradicts --same and --as-is.")
    api = Api(connection := connect(url, token))
    source, event = sending.read_event(file)
    account = sending.account_for(source, account, connection.secrets)
    secret = secret or str(connection.secrets.get(f"{source}/{account}", ""))
    if not secret:
        raise Failure(USAGE, f"No signing secret for {source}/{account}.", "Say --secret or TIEOUT_WEBHOOK_SECRET.")
    now = api.now() or time.time()
    if not (same or as_is):
        event = sending.freshen(source, event, now, new_object=new)
    delivery = sending.deliver(source, account, secret, event, now)
    answer = api.post(delivery.path, delivery.headers, delivery.body)
    said = {
        "status": answer.status_code,
        "path": delivery.path,
        "event": delivery.event_id,
        "answer": answer.text[:2000],
    }
    if as_json:
        show.as_json(out(), said)
    else:
        style = "green" if answer.is_success else "red"
        out().print(Text(show.clean(f"{answer.status_code} {answer.text[:2000]}"), style=style))
        out().print(Text(show.clean(f"event {delivery.event_id} to {delivery.path}"), style="dim"))
    if not answer.is_success:
        raise typer.Exit(PROBLEM)


# --- what is deployed --------------------------------------------------------------------------------------------
@route_app.command("explain")
@command
def route_explain(
    key: Annotated[str, typer.Argument(help="A posting key; or leave it out and say --entity and --kind.")] = "",
    entity: Annotated[str, typer.Option(help="Legal entity, for example DE01.")] = "",
    kind: Annotated[str, typer.Option(help="Kind of document, for example invoice.")] = "",
    role: Annotated[str, typer.Option(help="erp, billing or crm.")] = "erp",
    on: Annotated[str, typer.Option(help="Document date, YYYY-MM-DD; today where left out.")] = "",
    url: Url = "",
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """Which row of the route table decided, and why the others did not. Exit 1 when no row holds."""
    if bool(key) == bool(entity and kind):
        raise Failure(USAGE, "Say either a posting key, or --entity and --kind.", "See `tieout route explain --help`.")
    if key:
        found = explaining.of_posting(Api(connect(url, token)).one("postings", key))
    else:
        found = explaining.explain(entity, kind, role, _day(on))
    if as_json:
        show.as_json(out(), found.plain())
    else:
        console = out()
        console.print(
            Text(show.clean(f"{found.kind} of {found.entity}, role {found.role}, on {found.on}:"), style="dim")
        )
        console.print(Text(show.clean(found.said)), soft_wrap=True)
        if found.pinned:
            same = found.decision is not None and found.decision.target == found.pinned
            note = (
                "as today's table says" if same else "decided by an earlier table; a posting never changes its target"
            )
            console.print(Text(show.clean(f"The posting is pinned to {found.pinned}, {note}.")))
    if found.decision is None:
        raise typer.Exit(PROBLEM)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text) if text else datetime.now(UTC).date()
    except ValueError:
        raise Failure(USAGE, f"{text!r} is no day.", "Write it as YYYY-MM-DD.") from None


@flows_app.command("ls")
@command
def flows_ls(as_json: AsJson = False) -> None:
    """Every flow: what starts it, its steps, its owner and service level."""
    if as_json:
        show.as_json(out(), [_flow(flow) for flow in flows.FLOWS])
        return
    made = show.table("flow", "starts on", "steps", "tells", "owner", "minutes")
    for flow in flows.FLOWS:
        one = _flow(flow)
        steps = " → ".join(step["to"] or step["name"] for step in one["steps"])
        made.add_row(one["name"], one["on"], steps, one["tells"] or "", one["owner"], str(one["sla_seconds"] // 60))
    out().print(made)


def _flow(flow: flows.Flow) -> dict[str, Any]:
    steps = [{"name": step.name, "to": step.to, "action": step.action, "does": step.does} for step in flow.steps]
    return {
        "name": flow.name, "on": f"{flow.on.source} {flow.on.type}", "makes": flow.makes, "steps": steps,
        "tells": flow.tell, "owner": flow.owner, "sla_seconds": int(flow.sla.total_seconds()), "lane": flow.lane,
    }  # fmt: skip


@app.command("version")
@command
def version() -> None:
    """The version of this command."""
    out().print(__version__)
