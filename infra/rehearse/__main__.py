"""``make rehearse``: signed events through the whole product into a real Tryton, and both books to the cent.

Exit code 0 only where every check holds.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from infra.local import story
from infra.rehearse import books, scenes
from infra.rehearse.installation import ENTITIES
from infra.rehearse.server import Server
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


def main() -> int:
    """Set up, play, compare."""
    start, check = time.monotonic(), Checks()
    with tempfile.TemporaryDirectory(prefix="tieout-rehearse-") as name:
        folder = Path(name)
        server = Server(folder)
        made = timed("Tryton with two companies, taxes and closed months", lambda: server.create(YEAR))
        try:
            timed("its server", server.start)
            with staged(server, made, YEAR, folder, check) as stage:
                for entity in ENTITIES:
                    print(entity)
                    timed("  scenes", partial(scenes.play, stage, entity))
                for entity in ENTITIES:
                    scenes.play_last(stage, entity)
                close(stage)
                money = [one for one in stage.items("posting") if one["state"] == "POSTED" and one["kind"] != "status"]
        finally:
            server.kill()
    print(
        f"\n{len(money)} documents posted, {check.done} checks, {check.failed} failed, {time.monotonic() - start:.0f} s"
    )
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
