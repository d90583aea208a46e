"""The local world from the command line: ``python -m infra.local run`` and ``demo``."""

from __future__ import annotations

import json
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, Any

import typer

from infra.local.desk import opened
from infra.local.story import dues
from infra.local.world import World

#: Where the functions' own log lines go while the world stays open.
LOG = Path(".tieout/functions.log")
#: World seconds a second while the world stands open: a quiet period of minutes takes half a minute to show.
OPEN_FACTOR = 10.0
app = typer.Typer(add_completion=False, help="The local world: the deployed template alive in one process.")

Story = Annotated[str, typer.Option(help="The story to play; 'none' starts the world empty.")]
Clock = Annotated[str, typer.Option(help="real, jump, or a factor (60: a world minute a second).")]
Seed = Annotated[int, typer.Option(help="Order, ids and chance.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")]


@app.command()
def run(
    story: Story = "main",
    clock: Clock = "jump",
    port: Annotated[int, typer.Option(help="Port on the loopback; 0 takes any.")] = 8321,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Starts the world, plays a story, and stays open until it is interrupted."""
    began = time.monotonic()
    with World(clock=clock, seed=seed, sandboxes=True, port=port) as world:
        greet(world, time.monotonic() - began, as_json)
        world.dues = dues(world)
        tied = play(world, story, as_json)
        if world.clock.jumps:
            # Whatever waits for somebody would be asked again at once, for ever: days would pass in a minute, and
            # every session with them, and calls under way would time out. People need time that runs.
            world.clock.mode = OPEN_FACTOR
        with opened(world) as address, LOG.open("w") as log:
            if not as_json:
                print(f"\nThe desk: {address}   (stop with Ctrl-C; clock: {world.clock})")
                print(f"The command, in another terminal: .venv/bin/tieout overview   (the functions' log: {LOG})")
            sys.stdout.flush()
            with redirect_stdout(log):
                world.start()
                try:
                    while True:
                        time.sleep(1)
                        log.flush()
                except KeyboardInterrupt:
                    raise typer.Exit(0 if tied else 1) from None


@app.command()
def demo(story: Story = "main", clock: Clock = "jump", seed: Seed = 0, as_json: AsJson = False) -> None:
    """Plays a story without staying open; exits 0 only if everything ties out."""
    began = time.monotonic()
    with World(clock=clock, seed=seed, sandboxes=True, port=0) as world:
        greet(world, time.monotonic() - began, as_json)
        tied = play(world, story, as_json)
    raise typer.Exit(0 if tied else 1)


def play(world: World, story: str, as_json: bool) -> bool:
    """Plays the story (`infra.local.story.play`); True when everything ties out, or there was nothing to play."""
    if story == "none":
        return True
    from infra.local.story import play as play_story

    return bool(play_story(world, name=story, as_json=as_json))


def greet(world: World, seconds: float, as_json: bool) -> None:
    """Says what was started, how time runs, and what is not emulated."""
    facts: dict[str, Any] = {
        "address": world.address,
        "clock": str(world.clock),
        "seconds": round(seconds, 1),
        "resources": len(world.resources),
        "not_emulated": world.not_emulated,
        "in_name_only": sorted({text.split(" ")[0] for text in world.recorded}),
        "systems": world.urls,
    }
    if as_json:
        print(json.dumps({"world": facts}))
        return
    print(
        f"The local world: {facts['resources']} resources of template.yaml in {facts['seconds']} s, at {world.address}"
    )
    print(f"  clock          {facts['clock']}")
    print(f"  not emulated   {', '.join(world.not_emulated) or 'nothing'}")
    print(f"  in name only   {', '.join(facts['in_name_only'])}")


if __name__ == "__main__":
    app()
