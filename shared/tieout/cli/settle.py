"""``tieout settle``: what a person does to a posting that does not go on by itself.

Who acts is who the deployment says you are. Exit codes: 0 done or noted for a second person, 1 the posting is not any
more as you saw it or there is none, 2 misunderstood or not possible in its state, 3 unreachable or not let in.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.text import Text

from tieout.cli import show
from tieout.cli.client import Api, connect
from tieout.cli.command import AsJson, Token, Url, command, out
from tieout.core.settle import ACTIONS

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Act on a posting that waits for a person.")
Key = Annotated[str, typer.Argument(metavar="KEY", help="The posting's key, as `tieout show ID` tells it.")]
Why = Annotated[str, typer.Option(help="The reason, a sentence without personal data: it stays in the history.")]
Seen = Annotated[str, typer.Option(help="Only if its history still ends with this hash.")]


@app.command("ls")
@command
def ls(as_json: AsJson = False) -> None:
    """Every action: in which states it is possible, and what it means."""
    found = [
        {"action": one.name, "states": sorted(one.states), "second": one.second, "means": one.sentence}
        for one in ACTIONS.values()
    ]
    if as_json:
        show.as_json(out(), found)
        return
    made = show.table("action", "states", "second person", "means")
    for one in ACTIONS.values():
        second = "where money hangs on it" if one.second else "no"
        made.add_row(one.name, Text(", ".join(sorted(one.states))), second, Text(one.sentence))
    out().print(made)


def _asks(name: str) -> None:
    @app.command(name, help=ACTIONS[name].sentence)
    @command
    def act(posting: Key, why: Why, seen: Seen = "", url: Url = "", token: Token = "", as_json: AsJson = False) -> None:
        form = {"posting": posting, "action": name, "why": why, "seen": seen}
        _told(Api(connect(url, token)).submit("/v1/settle/ask", form), as_json)


for _name in ACTIONS:
    _asks(_name)


@app.command("agree")
@command
def agree(posting: Key, seen: Seen = "", url: Url = "", token: Token = "", as_json: AsJson = False) -> None:
    """Agree, as a second person, to what somebody asked for; it is done at once."""
    _told(Api(connect(url, token)).submit("/v1/settle/agree", {"posting": posting, "seen": seen}), as_json)


@app.command("decline")
@command
def decline(posting: Key, why: Why, url: Url = "", token: Token = "", as_json: AsJson = False) -> None:
    """Say no to what somebody asked for, or take your own wish back."""
    _told(Api(connect(url, token)).submit("/v1/settle/decline", {"posting": posting, "why": why}), as_json)


@app.command("restart")
@command
def restart(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A failed run, as `tieout show ID` tells it.")],
    why: Why,
    url: Url = "",
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """Start a failed flow run again as run n+1, once nothing of the failed one stands."""
    _told(Api(connect(url, token)).submit("/v1/settle/restart", {"run": run, "why": why}), as_json)


def _told(done: dict[str, Any], as_json: bool) -> None:
    if as_json:
        show.as_json(out(), done)
        return
    wish = done.get("wish")
    name = done.get("posting") or done.get("run")
    said = (
        f"{name}: {wish['action']} is asked for by {wish['by']}; a second person must agree"
        if wish
        else f"{name} is {done['state']} now"
    )
    out().print(Text(show.clean(said)), soft_wrap=True)
