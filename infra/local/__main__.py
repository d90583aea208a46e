"""The local world from the command line: ``python -m infra.local run`` and ``demo``."""

from __future__ import annotations

import json
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, Any

import typer

from infra.local.desk import FILE, opened
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
                print(f"Make a system misbehave: {world.address}/_local/   or: python -m infra.local fault KIND")
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


@app.command()
def faults(
    clear: Annotated[bool, typer.Option("--clear", help="Make every system behave again.")] = False,
    as_json: AsJson = False,
) -> None:
    """Says which switches of the open world are on, and what kinds there are."""
    said = ask("DELETE" if clear else "GET")
    if clear or as_json:
        print(json.dumps(said, indent=2) if as_json else said["message"])
        return
    for one in said["faults"]:
        print(f"{one['kind']} on {one['match']}: struck {one['struck']} of {one['times'] or 'any number'}")
    print("\n".join(f"  {kind:22} {meaning}" for kind, meaning in said["kinds"].items()))


@app.command()
def fault(
    kind: Annotated[str, typer.Argument(help="What it does, as `faults` lists it.")],
    match: Annotated[str, typer.Option(help="Regular expression over METHOD /system/account/path.")] = ".*",
    times: Annotated[int, typer.Option(min=0, help="How often; 0 is always.")] = 1,
    after: Annotated[int, typer.Option(min=0, help="After how many calls that match.")] = 0,
    seconds: Annotated[int | None, typer.Option(min=0, help="Seconds, where the kind has any.")] = None,
    retry_after: Annotated[int | None, typer.Option(min=0, help="Seconds to wait, as a rate limit says them.")] = None,
    committed: Annotated[bool, typer.Option("--committed", help="The work is done first, where that is open.")] = False,
    undone: Annotated[bool, typer.Option("--undone", help="The work is not done, where the kind would.")] = False,
    as_json: AsJson = False,
) -> None:
    """Makes a sandbox system of the open world misbehave."""
    wanted: dict[str, Any] = {"kind": kind, "match": match, "times": times, "after": after}
    given = {"seconds": seconds, "retry_after": retry_after, "committed": committed or None, "undone": undone or None}
    said = ask("POST", wanted | {name: int(value) for name, value in given.items() if value is not None})
    print(json.dumps(said) if as_json else said["message"])


def ask(method: str, wanted: Any = None) -> dict[str, Any]:
    """Asks the world that `make run` holds open; ends with a sentence where there is none, or it refuses."""
    import httpx

    try:
        address = json.loads(FILE.read_text("utf-8"))["url"]
        answer = httpx.request(method, f"{address}/_local/faults", json=wanted, timeout=10)
    except (OSError, ValueError, KeyError, httpx.HTTPError):
        print("No local world is open here. `make run` opens one.", file=sys.stderr)
        raise typer.Exit(3) from None
    said: dict[str, Any] = answer.json()
    if answer.is_error:
        print(f"Refused: {said['message']}. `python -m infra.local faults` lists the kinds.", file=sys.stderr)
        raise typer.Exit(2)
    return said


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
