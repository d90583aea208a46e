"""``make rehearse``: signed events through the whole product into a real Tryton, and both books to the cent.

Exit code 0 only where every check holds.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from infra.local import story
from infra.rehearse import books, races, scenes, stand_in
from infra.rehearse.installation import ENTITIES
from infra.rehearse.postgres import NotInstalled, cluster
from infra.rehearse.server import SQLITE, Server
from infra.rehearse.stage import Checks, Stage, staged

#: A year that is over, so that no date of the rehearsal lies in the future: Tryton asks a person about those.
YEAR = datetime.now(UTC).year - 1


def timed(what: str, do: Callable[[], Any]) -> Any:
    """Do it and print how long it took."""
    start = time.monotonic()
    result = do()
    print(f"{what}: {time.monotonic() - start:.0f} s", flush=True)
    return result


def close(stage: Stage) -> None:
    """What is open is open on purpose, both books agree, everything received is accounted for."""
    print("the end")
    wanted = {(entity, stage.billing[entity].id("in", name)): code for (entity, name), code in scenes.OPEN.items()}
    cases = {(one["entity"], one["source_id"]): one["code"] for one in stage.items("posting") if story.is_case(one)}
    stage.check(f"{len(wanted)} cases are open, each on purpose", cases, wanted)
    for entity in ENTITIES:
        books.compare(stage, entity)
    books.tie_out(stage)
    for entity in ENTITIES:
        books.compare_open(stage, entity)


def play(folder: Path, uri: str, check: Checks) -> int:
    """Set up, play, compare; how many documents were posted."""
    server = Server(folder, uri)
    made = timed("Tryton with two companies, taxes and closed months", lambda: server.create(YEAR))
    try:
        timed("its server", server.start)
        with staged(server, made, YEAR, folder, check) as stage:
            print("localstripe")
            timed("  scenes", partial(stand_in.signs_and_sends, stage, folder))
            print("DE01")
            timed("  scenes", partial(scenes.an_old_erp_by_sftp, stage))
            for entity in ENTITIES:
                print(entity)
                timed("  scenes", partial(scenes.play, stage, entity))
            for entity in ENTITIES:
                scenes.play_last(stage, entity)
            close(stage)
            if uri != SQLITE:
                print("\nraces")
                timed("  scenes", partial(races.race, stage, "US01"))
            return sum(one["state"] == "POSTED" and one["kind"] != "status" for one in stage.items("posting"))
    finally:
        server.kill()


def main(arguments: Sequence[str]) -> int:
    """Rehearse on the engine that is asked for; 2 where it is not installed."""
    parser = argparse.ArgumentParser(prog="make rehearse", description=__doc__)
    parser.add_argument("--backend", choices=("sqlite", "postgres"), default="sqlite")
    start, check = time.monotonic(), Checks()
    with tempfile.TemporaryDirectory(prefix="tieout-rehearse-") as name, ExitStack() as stack:
        try:
            asked = parser.parse_args(arguments).backend
            uri = stack.enter_context(cluster(Path(name))) if asked == "postgres" else SQLITE
        except NotInstalled as missing:
            print(missing, file=sys.stderr)
            return 2
        posted = play(Path(name), uri, check)
    print(f"\n{posted} documents posted, {check.done} checks, {check.failed} failed, {time.monotonic() - start:.0f} s")
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
