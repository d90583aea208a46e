"""``python -m infra.acceptance``: the story of the local world on the deployed template; exits 0 only if all ties out.

``--without Role:Action`` takes one right away in a copy of the built template, and must end red and name it.
``--each`` does that for rights that the story uses, and ends green only if each is caught.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.markup import escape

from infra.acceptance import people, rights, second, stack
from infra.acceptance.engine.gaps import GAPS
from infra.acceptance.rights import Right
from infra.acceptance.stage import AheadClock, Denied, Deployed, NotQuiet
from infra.expand import source
from infra.local import story

TIES_OUT, DOES_NOT, NOT_SET_UP = 0, 1, 2
_LOG_LINES: Final = 15


@dataclass
class Played:
    """What came of one story on one deployed stack."""

    ties_out: bool = False
    denied: list[dict[str, Any]] = field(default_factory=list)
    used: set[Right] = field(default_factory=set)


def main(words: list[str]) -> int:
    asked = argparse.ArgumentParser(prog="make acceptance", description=__doc__)
    asked.add_argument("--without", metavar="Role:Action", default="", help="take one right away, and end red")
    asked.add_argument("--each", metavar="N", type=int, default=0, help="take N of the used rights away, one by one")
    asked.add_argument("--ready", action="store_true", help="only say whether this machine can run the functions")
    given = asked.parse_args(words)
    if given.ready:
        return TIES_OUT if _runtime()[1] else NOT_SET_UP
    console = story.terminal(sys.stdout)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(DOES_NOT))  # so that what was started is stopped
    with tempfile.TemporaryDirectory(prefix="tieout-acceptance-", ignore_cleanup_errors=True) as folder:
        work = Path(folder)
        try:
            return _all(given, work, console)
        except (second.NotStarted, rights.Unknown) as missing:
            console.print(f"[bold red]Not set up:[/] {missing}")
            return NOT_SET_UP
        except stack.Failed as failed:
            console.print(f"[bold red]The way to a stack failed.[/] {escape(str(failed))}")
            return DOES_NOT


def _all(given: argparse.Namespace, work: Path, console: Console) -> int:
    runtime, python = _runtime()
    if python is None:
        raise second.NotStarted(f"the functions run on {runtime}, and this machine has none (PATH, ~/.pyenv/versions)")
    with _step(console, "sam build"):
        built = stack.build(work)
    if given.without:
        role, _, action = given.without.partition(":")
        planted = rights.without(built, (role, action))
        return _red_wanted(_play(planted, work, python, console), (role, action), console)
    played = _play(built, work, python, console)
    _say_rights(rights.granted(built), played.used, console)
    if not played.ties_out or not given.each:
        return TIES_OUT if played.ties_out else DOES_NOT
    missed = [right for right in _spread(sorted(played.used & rights.granted(built)), given.each)
              if not _caught(built, right, work, python, console)]  # fmt: skip
    console.print(f"{len(missed)} not caught" if missed else f"Each of {given.each} rights taken away was caught.")
    return DOES_NOT if missed else TIES_OUT


def _runtime() -> tuple[str, str | None]:
    runtime = source()["Globals"]["Function"]["Runtime"]
    return runtime, second.python(runtime)


def _play(template: Path, work: Path, python: str, console: Console) -> Played:
    """One stack from its deployment to its end."""
    with second.whole(work, python) as address:
        clock = AheadClock(second.clock_file(work))
        with people.desk(clock, work, address) as desk:
            with _step(console, f"sam deploy into MiniStack, IAM on, {len(GAPS)} gaps closed"):
                resources = stack.deploy(template, address, work, desk.parameters(address))
            with Deployed(address, work, resources, clock) as stage:
                played = _tell(stage, desk, console)
                played.used = rights.used(stage.engine("rights"), resources)
    if not played.ties_out:
        for line in [one for one in (work / "ministack.log").read_text().splitlines() if _telling(one)][-_LOG_LINES:]:
            console.print(line, style="dim", markup=False)
    return played


def _tell(stage: Deployed, desk: people.Desk, console: Console) -> Played:
    try:
        since = stage.clock.now()
        end = story.perform(stage, console)
        wrong = desk.problems(stage, len(end.cases)) + desk.settle(stage)
        stage.run(story.PATIENCE)
        console.print("  and then: people sign in, and two of them give the tax its row")
        end = story.ending(stage, since)
        wrong += [f"still open: {one['sentence']}" for one in end.cases]
    except Denied as refused:
        for one in refused.decisions:
            name = stage.logical(one["role"])
            console.print(f"  [bold red]denied[/] {name} lacks {one['action']} on {one['resource']}")
        return Played(denied=[{**one, "role": stage.logical(one["role"])} for one in refused.decisions])
    except NotQuiet as restless:
        console.print(f"  [bold red]no rest[/] {restless}")
        return Played()
    story.show(end, console)
    for problem in wrong:
        console.print(f"  [bold red]people[/] {problem}")
    return Played(end.ties_out and not wrong)


def _red_wanted(played: Played, right: Right, console: Console) -> int:
    """The exit status of a run with a planted fault: red, because it does not tie out, and loud if it was not seen."""
    role, action = right
    if (role, action) in {(one["role"], one["action"]) for one in played.denied}:
        console.print(f"[bold red]Refused as planted:[/] {role} lacks {action}.")
    else:
        console.print(f"[bold red]NOT CAUGHT:[/] the story never asked for {action} as {role}: nothing shows it here.")
    return DOES_NOT


def _caught(built: Path, right: Right, work: Path, python: str, console: Console) -> bool:
    role, action = right
    console.print(f"[bold]Without {role}:{action}[/]")
    played = _play(rights.without(built, right), work, python, Console(quiet=True))
    caught = right in {(one["role"], one["action"]) for one in played.denied}
    console.print(f"  caught: {role} lacks {action}" if caught else f"  [bold red]not caught[/] {role}:{action}")
    return caught


def _say_rights(granted: set[Right], used: set[Right], console: Console) -> None:
    console.print(f"Rights: the story asked for {len(granted & used)} of the {len(granted)} that functions have.")
    for role in sorted({role for role, _ in granted}):
        idle = sorted(action for one, action in granted - used if one == role)
        if idle:
            console.print(f"  not asked, so not shown here: {role} {', '.join(idle)}")


def _spread(all_: list[Right], count: int) -> list[Right]:
    """So many of them, evenly spread over the roles as they are sorted."""
    wanted = min(count, len(all_))
    return [all_[n * len(all_) // wanted] for n in range(wanted)]


def _telling(line: str) -> bool:
    return any(word in line for word in (" WARNING ", " ERROR ", "Error")) and "unpublished metrics" not in line


@contextmanager
def _step(console: Console, says: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    console.print(f"{says} [dim]({time.monotonic() - began:.0f} s)[/]")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
