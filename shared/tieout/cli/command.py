"""What every command shares: where its answer goes, and how it ends."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Annotated, ParamSpec

import typer
from rich.console import Console
from rich.status import Status
from rich.text import Text

from tieout.cli import show
from tieout.cli.client import PROBLEM, Failure
from tieout.core.nodes import GovernanceError

AsJson = Annotated[bool, typer.Option("--json", help="The API's own JSON instead of a table.")]
Url = Annotated[str, typer.Option("--url", envvar="TIEOUT_URL", help="Address of the deployment's API.")]
Token = Annotated[str, typer.Option("--token", envvar="TIEOUT_TOKEN", help="Bearer token with a tieout_roles claim.")]
P = ParamSpec("P")
#: Columns where the answer goes into a file or a pipe.
FILE_WIDTH = 160


def command(run: Callable[P, None]) -> Callable[P, None]:
    """A command that ends with a sentence and an exit code instead of a traceback."""

    @functools.wraps(run)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            run(*args, **kwargs)
        except GovernanceError as error:
            for mistake in error.mistakes:
                _say(str(mistake), "red")
            raise typer.Exit(PROBLEM) from None
        except Failure as failure:
            _say(failure.said, "red")
            if failure.hint:
                _say(failure.hint)
            raise typer.Exit(failure.code) from None

    return wrapped


def _say(text: str, style: str = "") -> None:
    Console(stderr=True).print(Text(show.clean(text), style=style), soft_wrap=True)


def waiting(what: str) -> Status:
    """Says on a terminal, beside the answer, that the command waits."""
    return Console(stderr=True).status(f"Waiting {what}")


def out() -> Console:
    """Where answers go."""
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = FILE_WIDTH
    return console
