"""Runs the real handlers the way Lambda would: loaded by path, own environment, one error answer, one crash.

The *boundary* is every call that leaves an invocation: each boto3 API call (``sqs.SendMessage``) and each HTTP
request by httpx (``http.POST:netsuite``). They are counted per function, and a test may break in there.
"""

from __future__ import annotations

import contextvars
import importlib
import importlib.util
import json
import sys
import threading
import time
import traceback
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import botocore.client
import httpx

from infra.local.clock import WorldClock

SYNC_BYTES = 6 * 1024 * 1024
Boundary = Callable[[str], None]

_own_environ: ContextVar[Mapping[str, str] | None] = ContextVar("local_environ", default=None)
_current: ContextVar[Invocation | None] = ContextVar("local_invocation", default=None)


class Crash(BaseException):
    """The environment dies here: power cut, SIGKILL, out of memory. Nothing in the product may catch it."""


class FunctionError(RuntimeError):
    """A handler raised; the message starts with the exception's class name."""


def environ() -> ContextVar[Mapping[str, str] | None]:
    """The overlay through which the product reads its environment (its own, where the product is installed)."""
    module = _optional("tieout.aws.settings")
    return module.environ if module else _own_environ


def _optional(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as missing:
        if missing.name and name.startswith(missing.name):
            return None
        raise


@dataclass
class Function:
    """One Lambda function of the template."""

    name: str
    arn: str
    folder: Path
    handler: str
    environment: dict[str, str]
    timeout: float
    memory: int
    retries: int = 2  # of asynchronous invocations
    module: ModuleType | None = None


@dataclass
class Outcome:
    """What an invocation came to: a value, a function error, or a death without any answer."""

    value: Any = None
    error_type: str | None = None
    error_message: str = ""
    trace: list[str] = field(default_factory=list)
    died: bool = False

    @property
    def failed(self) -> bool:
        return self.error_type is not None

    def cause(self) -> dict[str, Any]:
        """The payload that Lambda answers for a function error."""
        return {"errorMessage": self.error_message, "errorType": self.error_type, "stackTrace": self.trace}

    def result(self) -> Any:
        """The handler's value; raises `FunctionError` where there is none."""
        if self.failed:
            raise FunctionError(f"{self.error_type}: {self.error_message}\n{''.join(self.trace)}")
        return self.value


class Context:
    """What Lambda passes as second argument."""

    def __init__(self, function: Function, remaining: Callable[[], float]) -> None:
        self.aws_request_id = str(uuid.uuid4())
        self.function_name = function.arn.rsplit(":", 1)[1]
        self.function_version = "$LATEST"
        self.invoked_function_arn = function.arn
        self.memory_limit_in_mb = str(function.memory)
        self.log_group_name = f"/aws/lambda/{self.function_name}"
        self.log_stream_name = "local"
        self.identity = self.client_context = None
        self._remaining = remaining

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda would kill this invocation: real time, and whatever the clock skipped."""
        return max(0, int(self._remaining() * 1000))


class Invocation:
    """One running invocation: knows whom a call belongs to, and that the dead make no more calls."""

    def __init__(self, runtime: Runtime, function: Function) -> None:
        self._runtime, self.function = runtime, function
        self.dead = False

    def touch(self, when: str, call: str) -> None:
        """Tells the boundary; raises `Crash` for good once the environment died."""
        if self.dead:
            raise Crash("this environment is dead")
        if when == "before":
            self._runtime.calls[self.function.name, call] += 1
        if self._runtime.boundary:
            try:
                self._runtime.boundary(f"{when} {self.function.name} {call}")
            except Crash:
                self.dead = True
                raise


class Runtime:
    """Loads and invokes functions. One invocation at a time per caller; callers may be several threads."""

    def __init__(self, clock: WorldClock) -> None:
        self._clock = clock
        self._loading = threading.RLock()
        self.boundary: Boundary | None = None
        #: Runs an invocation in another process instead of here: the function, its event as JSON, the seconds it has.
        self.elsewhere: Callable[[Function, str, float], Outcome] | None = None
        self.calls: Counter[tuple[str, str]] = Counter()
        self.invocations: Counter[str] = Counter()
        self.on_error: Callable[[Function, Outcome], None] = lambda function, outcome: None

    def install(self, stack: ExitStack) -> None:
        """Watches boto3, httpx and thread pools until the stack is closed."""
        base: Any = botocore.client.BaseClient
        api_call, send, submit = base._make_api_call, httpx.Client.send, ThreadPoolExecutor.submit

        def watched_call(client: Any, operation: str, parameters: Any) -> Any:
            with _watched(f"{client.meta.service_model.service_name}.{operation}"):
                return api_call(client, operation, parameters)

        def watched_send(client: httpx.Client, request: httpx.Request, **more: Any) -> httpx.Response:
            first = next((part for part in request.url.path.split("/") if part), request.url.host)
            with _watched(f"http.{request.method}:{first}"):
                return send(client, request, **more)

        def submit_with_context(pool: ThreadPoolExecutor, call: Callable[..., Any], /, *rest: Any, **more: Any) -> Any:
            return submit(pool, contextvars.copy_context().run, call, *rest, **more)

        stack.enter_context(patch.object(base, "_make_api_call", watched_call))
        stack.enter_context(patch.object(httpx.Client, "send", watched_send))
        stack.enter_context(patch.object(ThreadPoolExecutor, "submit", submit_with_context))
        stack.callback(forget_warm_state)
        forget_warm_state()

    def invoke(self, function: Function, event: Any) -> Outcome:
        """Runs the handler on a JSON copy of the event. Never raises for what happens inside."""
        self.invocations[function.name] += 1
        if self._clock.jumps:
            self._clock.advance(0.001)  # no two invocations at the same instant
        began, skipped = time.monotonic(), self._clock.skipped

        def elapsed() -> float:
            return time.monotonic() - began + (self._clock.skipped - skipped).total_seconds()

        if self.elsewhere:
            outcome = self.elsewhere(function, json.dumps(event), function.timeout)
        else:
            outcome = contextvars.copy_context().run(self._run, function, json.dumps(event), elapsed)
        if elapsed() > function.timeout and not outcome.died:
            message = f"Task timed out after {function.timeout:.2f} seconds"
            outcome = Outcome(None, "Sandbox.Timedout", message, died=True)
        if outcome.died:
            function.module = None
            forget_warm_state()
        if outcome.failed:
            self.on_error(function, outcome)
        return outcome

    def _run(self, function: Function, event: str, elapsed: Callable[[], float]) -> Outcome:
        invocation = Invocation(self, function)
        _current.set(invocation)
        environ().set(function.environment)
        try:
            handler = getattr(self._module(function), function.handler.rsplit(".", 1)[1])
            value = handler(json.loads(event), Context(function, lambda: function.timeout - elapsed()))
            answer = json.dumps(value)
        except Crash as crash:
            return Outcome(None, "Runtime.ExitError", f"RequestId exited: {crash}", died=True)
        except Exception as error:
            return Outcome(None, type(error).__name__, str(error), traceback.format_tb(error.__traceback__))
        finally:
            ended, invocation.dead = invocation.dead, True  # whatever thread outlives its handler is frozen
        if ended:
            return Outcome(None, "Runtime.ExitError", "a crash was swallowed by the handler", died=True)
        if len(answer) > SYNC_BYTES:
            return Outcome(None, "Function.ResponseSizeTooLarge", f"Response payload size {len(answer)} exceeded")
        return Outcome(json.loads(answer))

    def _module(self, function: Function) -> ModuleType:
        with self._loading:
            if function.module is None:
                function.module = _load(function)
            return function.module


@contextmanager
def _watched(call: str) -> Iterator[None]:
    invocation = _current.get()
    if invocation is None:
        yield
        return
    invocation.touch("before", call)
    try:
        yield
    except Exception:
        invocation.touch("after", call)
        raise
    invocation.touch("after", call)


def forget_warm_state() -> None:
    """What a dead environment takes with it: clients and settings that the product keeps between invocations."""
    if (wiring := _optional("tieout.aws.wiring")) and hasattr(wiring, "reset"):
        wiring.reset()


def _load(function: Function) -> ModuleType:
    """A fresh module from the function's folder; neighbours in that folder can be imported by it."""
    stem = function.handler.rsplit(".", 1)[0].replace(".", "/")
    path = function.folder / f"{stem}.py"
    name = f"_local_{function.name.replace('-', '_')}_{uuid.uuid4().hex[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.exists():
        raise FileNotFoundError(f"function {function.name}: no handler file at {path}")
    module = importlib.util.module_from_spec(spec)
    neighbours = {item.stem for item in function.folder.glob("*.py")}
    hidden = {key: sys.modules.pop(key) for key in neighbours & sys.modules.keys()}
    sys.path.insert(0, str(function.folder))
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(function.folder))
        for key in neighbours:
            sys.modules.pop(key, None)
        sys.modules.update(hidden)
    return module
