"""The child of `tests.e2e.test_process_death`: a process that runs the real handlers and can be killed for real.

It has everything imported and waits. For each order on its standard input it forks; the fork runs one handler on one
event, over real connections, and ends. Where the order says so, the fork sends itself SIGKILL at its n-th boundary:
right before or right after a call that leaves the process. Nothing runs after that, no ``finally`` and no ``atexit``.

What it says on standard output, a JSON line each: every boundary it passes (written before it may die there), the
handler's answer or error, and from the parent of the fork how the fork ended.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import random
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import botocore.client
import httpx
from pydantic import BaseModel

from tieout import mappings, systems, tables
from tieout.aws import clock, http, wiring
from tieout.work import change  # noqa: F401 # loaded lazily by the product, and by each fork again

SERVICES = ("dynamodb", "sqs", "s3", "secretsmanager", "stepfunctions", "events")
FUNCTIONS = ("receive", "intake", "post", "probe")
#: A fork that hangs is ended by an alarm, in real seconds.
PATIENCE = 30


def say(**facts: Any) -> None:
    """One line to the test; a single write, so that it is whole or not there."""
    os.write(1, json.dumps(facts).encode() + b"\n")


class Boundary:
    """Counts what leaves the process, and kills the process at the chosen place."""

    def __init__(self, kill_at: int) -> None:
        self._kill_at, self._passed, self._lock = kill_at, 0, threading.Lock()

    def touch(self, where: str) -> None:
        """One place, before or after a call; the last thing this process does if it is the chosen one."""
        with self._lock:
            self._passed += 1
            say(passed=where)
            if self._passed == self._kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    def around(self, call: str, does: Callable[[], Any]) -> Any:
        """The call, between its two places."""
        self.touch(f"before {call}")
        try:
            return does()
        finally:
            self.touch(f"after {call}")

    def watch(self) -> None:
        """From now on, every AWS call and every HTTP request of this process passes here."""
        base: Any = botocore.client.BaseClient
        api_call, send = base._make_api_call, httpx.Client.send

        def watched_call(client: Any, operation: str, parameters: Any) -> Any:
            name = f"{client.meta.service_model.service_name}.{operation}"
            return self.around(name, lambda: api_call(client, operation, parameters))

        def watched_send(client: httpx.Client, request: httpx.Request, **more: Any) -> Any:
            first = next((part for part in request.url.path.split("/") if part), request.url.host)
            return self.around(f"http.{request.method}:{first}", lambda: send(client, request, **more))

        base._make_api_call = watched_call
        httpx.Client.send = watched_send  # type: ignore[method-assign, assignment]


def run(order: dict[str, Any]) -> None:
    """One invocation in this process, which is a fork and ends with it."""
    signal.alarm(PATIENCE)
    random.seed()  # else every fork would draw the same jitter
    os.environ.update(order["environment"])
    moment = datetime.fromisoformat(order["now"])
    clock.source = lambda: moment
    Boundary(order["kill_at"]).watch()
    module = importlib.import_module(f"functions.{order['folder']}.app")
    context = SimpleNamespace(get_remaining_time_in_millis=lambda: int(order["timeout"] * 1000))
    try:
        say(value=module.handler(order["event"], context))
    except Exception as error:
        say(error=type(error).__name__, message=str(error), trace=traceback.format_tb(error.__traceback__))


def warm() -> None:
    """What a fork need not load again: code, clients without a connection, declarations and mappings."""
    wiring.count("warm", {"worked": 0})
    http.client()
    columns = tables.load().columns()
    for name in mappings.names():
        mappings.load(name, columns)
    for name in FUNCTIONS:
        importlib.import_module(f"functions.{name}.app")
    for service in SERVICES:
        wiring.client(service)
    for name in systems.TARGETS:
        systems.target(name)
    for name in systems.SOURCES:
        systems.source(name)
    importlib.import_module("cryptography.hazmat.backends.openssl.backend")
    models = [BaseModel]
    while models:  # pydantic builds a model's validator at its first use
        models += models.pop().__subclasses__()
        if models:
            models[-1].model_rebuild()


def main() -> None:
    """Serve orders until standard input closes. The handlers' log goes nowhere: standard output is for the test."""
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 # it ends with the process
    warm()
    gc.collect()
    gc.freeze()  # else the first collection of every fork would copy all of this
    say(ready=os.getpid())
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            run(json.loads(line))
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        say(ended=pid, signal=os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0)


if __name__ == "__main__":
    main()
