"""The parent of `tests.e2e.worker`: a local world whose handlers run, and die, in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from infra.local.functions import Function, Outcome
from infra.local.gateway import serve_aws
from infra.local.world import World

HOUSE = Path(__file__).resolve().parents[2]


def stage_of(function: str, event: Any) -> str:
    """What an invocation works on, in words that stay the same for each event of a kind."""
    if function != "post" or not isinstance(event, dict):
        return function
    if "step" in event:
        return f"step {event['step']}"
    key = str(json.loads(event["Records"][0]["body"])["posting"]).split("/")
    return f"post {key[0]} {key[3]}"


class Workers:
    """Runs each invocation in a fresh fork.

    ``plan`` says for each stage at which place its next process dies, and the one after that, and so on; then no more.
    ``passed`` is what the first process of each stage passed; ``killed`` is where processes died of SIGKILL.
    """

    def __init__(self, world: World, child: subprocess.Popen[str]) -> None:
        self._world, self._child = world, child
        self.plan: dict[str, list[int]] = {}
        self.passed: dict[str, list[str]] = {}
        self.killed: list[tuple[str, int, str]] = []
        self.deaths = 0
        self.forks = 0

    def __call__(self, function: Function, event: str, seconds: float) -> Outcome:
        """One invocation, as Lambda sees it: a value, an error of the handler, or an environment that is gone."""
        stage = stage_of(function.name, json.loads(event))
        kill_at = self._next(stage)
        order = {
            "folder": function.folder.name, "environment": function.environment, "event": json.loads(event),
            "now": self._world.clock.now().isoformat(), "timeout": seconds, "kill_at": kill_at,
        }  # fmt: skip
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps(order) + "\n")
        self._child.stdin.flush()
        self.forks += 1
        passed, outcome = list[str](), Outcome(None, "Runtime.ExitError", "the process is gone", died=True)
        for line in self._lines():
            if "passed" in line:
                passed.append(line["passed"])
            elif "value" in line:
                outcome = Outcome(line["value"])
            elif "error" in line:
                outcome = Outcome(None, line["error"], line["message"], line["trace"])
            else:
                self._ended(line["signal"], stage, kill_at, passed)
        self.passed.setdefault(stage, passed)
        return outcome

    def _next(self, stage: str) -> int:
        places = self.plan.get(stage, [0])
        place = places.pop(0)
        if not places:
            self.plan.pop(stage, None)
        return place

    def _lines(self) -> Iterator[dict[str, Any]]:
        assert self._child.stdout is not None
        for text in self._child.stdout:
            line = json.loads(text)
            yield line
            if "ended" in line:
                return
        raise RuntimeError("the worker's parent process is gone")

    def _ended(self, died_of: int, stage: str, kill_at: int, passed: list[str]) -> None:
        if died_of == signal.SIGKILL:
            self.deaths += 1
            self.killed.append((stage, kill_at, passed[-1]))
        elif died_of:
            raise RuntimeError(f"{stage} ended by signal {died_of} after {passed[-3:]}")


@contextmanager
def workers(world: World) -> Iterator[Workers]:
    """Handlers of an open world run in other processes until the block ends."""
    with ExitStack() as stack:
        address = serve_aws(stack)
        environment = os.environ | {"AWS_ENDPOINT_URL": address, "PYTHONPATH": f"{HOUSE / 'shared'}{os.pathsep}{HOUSE}"}
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.worker"], cwd=HOUSE, env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        stack.enter_context(child)
        stack.callback(child.kill)
        assert child.stdout is not None
        assert "ready" in json.loads(child.stdout.readline())
        made = Workers(world, child)
        world.runtime.elsewhere = made
        stack.callback(setattr, world.runtime, "elsewhere", None)
        yield made
