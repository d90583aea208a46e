"""The world: every engine on one clock, stepped by a test or run by a thread.

Stepped, nothing happens by itself: `World.pump` does what is ready now, `World.run` also jumps to what is due
next. Threaded, a background thread does the same in the clock's own time, and an HTTP server answers.
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol
from unittest.mock import patch

import boto3
from moto import mock_aws
from moto.backends import get_backend
from moto.events import models as events
from moto.moto_api._internal import mock_random

from infra.local.api import Api, Response
from infra.local.clock import WorldClock
from infra.local.functions import Boundary, Function, Outcome, Runtime, _optional
from infra.local.machines import Machines
from infra.local.make import Maker
from infra.local.mappings import Pollers, queue_url
from infra.local.oidc import Provider
from infra.local.outside import BucketDrop, put_secret
from infra.local.queues import Queues
from infra.local.schedules import Schedule, following
from infra.local.server import serve
from infra.local.shim import DynamoShim, install_world_time
from infra.local.template import ACCOUNT, REGION, Made, Template

ASYNC_WAITS = (60, 120)  # seconds before Lambda's first and second retry of an asynchronous invocation
PARAMETERS = {
    "OidcIssuer": "https://issuer.local.invalid",
    "OidcAudience": "tieout",
    "OidcClientId": "tieout-desk",
}
#: Milliseconds are the finest grain of a queue; a jump lands just behind what is due.
_GRAIN = timedelta(milliseconds=1)


def _input(target: Mapping[str, Any], sent: Mapping[str, Any]) -> Any:
    """What a rule's target is sent: a fixed text, the event, or the event's parts put into a template."""
    if "Input" in target:
        return json.loads(target["Input"])
    if "InputTransformer" not in target:
        return sent
    text = str(target["InputTransformer"]["InputTemplate"])
    for name, path in target["InputTransformer"]["InputPathsMap"].items():
        value: Any = sent
        for step in str(path).removeprefix("$.").split("."):
            value = value[step]
        # inside quotes of the template a text stands bare, elsewhere a value stands as JSON
        text = text.replace(f'"<{name}>"', json.dumps(value)).replace(f"_<{name}>", f"_{value}")
        text = text.replace(f"<{name}>", json.dumps(value))
    return json.loads(text)


class NotSettled(RuntimeError):
    """The world did not come to rest; the text says what was still moving."""


_alone = threading.Lock()


@cache
def _session() -> boto3.session.Session:
    """One session for all worlds of a process: it keeps the service models that it has read."""
    return boto3.session.Session()


class Systems(Protocol):
    """The outside systems around the world, as `infra.local.sandbox.Sandboxes` is one."""

    deliver: Callable[[str, dict[str, str], bytes], int] | None
    drop: Any

    def start(self) -> Mapping[str, str]: ...
    def tick(self, now: datetime | None = None) -> int: ...
    def next_due(self) -> datetime | None: ...
    def secrets(self) -> Mapping[str, Any]: ...
    def stop(self) -> None: ...


@dataclass
class _Late:
    """An asynchronous invocation that waits for its moment."""

    due: datetime
    target: str
    event: Any
    attempt: int = 0


class World:
    """The stack of a template, alive. Use as a context manager; one world at a time in one process.

    ``sandboxes``: outside systems to start and stop with the world; True makes the repository's own. ``dues`` says
    when the earliest thing in the ledger is due, so that a schedule only runs when it has something to do. With a
    ``port`` (0: any) the API answers at `address` on the loopback, and a sign-in provider stands behind the desk.
    ``seed`` decides order, ids and chance. ``boundary`` is called before and after each call that leaves a handler,
    with ``"before|after FUNCTION SERVICE.Operation"`` or ``"... http.METHOD:first-path-segment"``; raise
    `infra.local.functions.Crash` in it to kill the environment there.
    """

    def __init__(
        self,
        template: str | Path = "template.yaml",
        clock: WorldClock | str | float = "jump",
        seed: int = 0,
        sandboxes: Systems | bool | None = None,
        threaded: bool = False,
        parameters: Mapping[str, str] | None = None,
        dues: Callable[[], datetime | None] | None = None,
        port: int | None = None,
    ) -> None:
        self.clock = clock if isinstance(clock, WorldClock) else WorldClock(clock)
        self.seed, self.threaded, self.dues = seed, threaded, dues
        self._path, self._parameters = template, parameters
        self._rng = random.Random(seed)
        self._lock = threading.RLock()
        self._stack = ExitStack()
        self.runtime = Runtime(self.clock)
        self.queues = Queues(self.clock, self._lock, self._rng, waits=threaded)
        self.machines = Machines(self.clock, self._lock, self._rng, self.invoke_arn)
        self.api = Api(self.clock, self.invoke_arn)
        self.functions: dict[str, Function] = {}
        self.schedules: list[Schedule] = []
        self.not_emulated: list[str] = []
        self.recorded: list[str] = []
        self.resources: dict[str, Made] = {}
        self.urls: dict[str, str] = {}
        self.dropped: list[tuple[str, Any, Outcome]] = []
        self.errors: list[tuple[datetime, str, Outcome]] = []
        self._late: list[_Late] = []
        self._clients: dict[str, Any] = {}
        self._stopping = threading.Event()
        self._sandboxes_wanted = sandboxes
        self.sandboxes: Systems | None = None
        self.template: Template
        self.address: str | None = None
        self.provider: Provider | None = None
        self._port = port

    # --- coming and going -----------------------------------------------------------------------------------------

    def __enter__(self) -> World:
        if not _alone.acquire(blocking=False):
            raise RuntimeError("one world at a time: another one is open in this process")
        self._stack.callback(_alone.release)
        try:
            self._open()
        except BaseException:
            self._stack.close()
            raise
        return self

    def _open(self) -> None:
        stack = self._stack
        stack.enter_context(patch.dict(os.environ, {"AWS_DEFAULT_REGION": REGION, "AWS_REGION": REGION}))
        for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL"):
            os.environ.pop(name, None)
        stack.enter_context(mock_aws())
        mock_random.seed(self.seed)
        self.queues.install(stack)
        self.machines.install(stack)
        DynamoShim(self.clock, self._lock).install(stack)
        install_world_time(stack, self.clock)
        self.runtime.install(stack)
        self.runtime.on_error = lambda function, outcome: self.errors.append((self.clock.now(), function.name, outcome))
        stack.enter_context(patch.object(events.Rule, "send_to_targets", self._rule_delivery()))
        if product_clock := _optional("tieout.aws.clock"):
            stack.enter_context(patch.object(product_clock, "source", self.clock.now))
        self.pollers = Pollers(self.runtime, self.client("sqs"))
        self.mappings = self.pollers.mappings
        if self._port is not None:
            self.address = serve(self, self._port, stack)
            self.provider = Provider(self, self.address)
        self.template = Template(self._path, self._given())
        self.resources = Maker(self).make_all()
        for schedule in self.schedules:
            schedule.arm(self.clock.now())
        self._start_sandboxes()
        if self.threaded:
            self.start()

    def start(self) -> None:
        """Lets the world live by itself from now on: a thread pumps it in the clock's own time."""
        self.threaded = self.queues.waits = True
        thread = threading.Thread(target=self._background, name="world", daemon=True)
        self._stack.callback(thread.join, 5)
        self._stack.callback(self._stopping.set)
        thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _given(self) -> dict[str, str]:
        """Template parameters: the caller's, else those of the local issuer, where the template has them."""
        defaults = dict(PARAMETERS)
        if self.provider and self.address:
            defaults |= {"OidcIssuer": self.provider.issuer, "DeskUrl": self.address}
        text = Path(self._path).read_text(encoding="utf-8")
        known = {key: value for key, value in defaults.items() if f"\n  {key}:" in text}
        return {**known, **(self._parameters or {})}

    def _start_sandboxes(self) -> None:
        wanted = self._sandboxes_wanted
        if wanted is True:
            wanted = _optional("infra.local.sandbox").Sandboxes(self.clock, self.seed)
        if not wanted or isinstance(wanted, bool):
            return
        self.sandboxes = wanted
        wanted.deliver = lambda path, headers, body: self.http("POST", path, headers, body).status
        if "Drop" in self.resources:
            wanted.drop = BucketDrop(self.client("s3"), self.resources["Drop"].ref)
        self._stack.callback(wanted.stop)
        self.urls = dict(wanted.start())
        for name, value in wanted.secrets().items():
            self.put_secret(name, value)

    def put_secret(self, name: str, value: Any) -> None:
        """Puts a secret; a short name (``stripe/acct_us``) stands under ``tieout/{stage}/``."""
        put_secret(self.client("secretsmanager"), self.template.parameters.get("Stage", "dev"), name, value)

    def client(self, service: str) -> Any:
        """A boto3 client of this world (for tests and for the world itself; its calls are not counted)."""
        if service not in self._clients:
            self._clients[service] = _session().client(service, region_name=REGION)  # type: ignore[call-overload]
        return self._clients[service]

    def rows(self, table: str, sparse: str, *names: str) -> list[dict[str, str]]:
        """Texts of a table's items that have the attribute ``sparse``, read past the API: looking costs nothing."""
        items = get_backend("dynamodb")[ACCOUNT][REGION].tables[table].all_items()
        return [
            {name: str(item.attrs[name].value) for name in (sparse, *names) if name in item.attrs}
            for item in items
            if sparse in item.attrs
        ]

    # --- calls ----------------------------------------------------------------------------------------------------

    @property
    def calls(self) -> Counter[tuple[str, str]]:
        """Calls that left handlers, by (function, ``service.Operation``)."""
        return self.runtime.calls

    @property
    def boundary(self) -> Boundary | None:
        return self.runtime.boundary

    @boundary.setter
    def boundary(self, value: Boundary | None) -> None:
        self.runtime.boundary = value

    def function(self, name: str) -> Function:
        """A function by its short name (``receive``), its full name or its ARN."""
        for arn, function in self.functions.items():
            if name in (function.name, arn, arn.rsplit(":", 1)[1]):
                return function
        raise KeyError(f"no function {name}; there are {', '.join(f.name for f in self.functions.values())}")

    def invoke(self, function: str, event: Any) -> Outcome:
        """Runs a handler as Lambda would."""
        return self.runtime.invoke(self.function(function), event)

    def invoke_arn(self, arn: str, event: Any) -> Outcome:
        """Runs the function with that ARN (or name, version and alias cut off)."""
        for known, function in self.functions.items():
            if arn in (known, known.rsplit(":", 1)[1]) or arn.startswith(f"{known}:"):
                return self.runtime.invoke(function, event)
        return Outcome(None, "Lambda.ResourceNotFoundException", f"Function not found: {arn}")

    def call_later(self, target: str, event: Any) -> None:
        """Delivers to a queue at once, or to a function asynchronously (two retries, then `dropped`)."""
        if target.split(":")[2] == "sqs":
            self.client("sqs").send_message(QueueUrl=queue_url(target.rsplit(":", 1)[1]), MessageBody=json.dumps(event))
        else:
            with self._lock:
                self._late.append(_Late(self.clock.now(), target, event))

    def _rule_delivery(self) -> Callable[..., None]:
        """Stands in for moto's delivery from a bus, which does not know functions."""

        def send_to_targets(rule: Any, event: dict[str, Any], transform_input: bool = True) -> None:
            if rule.state != "ENABLED" or not rule.event_pattern.matches_event(event):
                return
            for target in rule.targets:
                sent = {key: value for key, value in event.items() if key != "ingestion-time"}
                sent["time"] = self.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
                self.call_later(target["Arn"], _input(target, sent))

        return send_to_targets

    def http(
        self, method: str, target: str, headers: Mapping[str, str] | None = None,
        body: bytes | str | dict[str, Any] = b"", ip: str = "127.0.0.1",
    ) -> Response:  # fmt: skip
        """One request to the API, without a network. A dict is sent as JSON."""
        sent = dict(headers or {})
        if isinstance(body, dict):
            body = json.dumps(body)
            sent.setdefault("content-type", "application/json")
        raw = body.encode() if isinstance(body, str) else body
        return self.api.handle(method, target, sent, raw, ip)

    def token(self, user: str, roles: tuple[str, ...] | list[str] = (), **claims: Any) -> str:
        """A bearer token that the JWT authorizer of the template accepts."""
        return self.api.token(user, tuple(roles), **claims)

    # --- stepping -------------------------------------------------------------------------------------------------

    def pump(self, most: int = 20_000) -> int:
        """Does everything that is ready now, in seeded order, until nothing is; returns how many things it did."""
        for done in range(most):
            work = self._ready()
            if not work:
                return done
            self._rng.choice(work)()
        raise NotSettled(f"still busy after {most} steps: {self.still_moving()}")

    def run(
        self, limit: timedelta = timedelta(days=2), until: Callable[[], bool] | None = None, most: int = 5_000
    ) -> datetime | None:
        """Pumps and jumps to whatever is due next, until it is quiet (or ``until`` says so).

        Returns the moment of what is due beyond ``limit`` from now, None if nothing is. Raises `NotSettled` after
        ``most`` jumps.
        """
        end = self.clock.now() + limit
        for _ in range(most):
            self.pump()
            if until and until():
                return None
            due = self.next_due()
            if due is None or due > end:
                return due
            self.clock.advance_to(due + _GRAIN)
        raise NotSettled(f"not quiet after {most} jumps: {self.still_moving()}")

    def advance(self, seconds: float | timedelta) -> None:
        """Moves the clock; what falls due happens at the next `pump`."""
        self.clock.advance(seconds)

    def next_due(self) -> datetime | None:
        """The next moment at which something happens by itself."""
        queue = self.queues.next_due({mapping.queue for mapping in self.mappings if mapping.enabled})
        moments = [self.machines.next_due(), *(late.due for late in self._late), *self._due_schedules()]
        moments.append(datetime.fromtimestamp(queue, UTC) if queue else None)
        moments.append(self.sandboxes.next_due() if self.sandboxes else None)
        return min((moment for moment in moments if moment), default=None)

    def _due_schedules(self) -> list[datetime | None]:
        """When schedules will find something due in the ledger."""
        wanted = self.dues() if self.dues else None
        if wanted is None:
            return []
        found: list[datetime | None] = []
        for schedule in self.schedules:
            if schedule.next and schedule.next < wanted:
                found.append(following(schedule.expression, wanted - timedelta(microseconds=1), schedule.next))
            else:
                found.append(schedule.next)
        return found

    def _ready(self) -> list[Callable[[], Any]]:
        now = self.clock.now()
        work: list[Callable[[], Any]] = [
            lambda mapping=mapping: self.pollers.poll(mapping)  # type: ignore[misc]
            for mapping in self.mappings
            if mapping.enabled and self.queues.ready(mapping.queue)
        ]
        work += [lambda run=run: self.machines.step(run) for run in self.machines.ready()]  # type: ignore[misc]
        work += [lambda late=late: self._late_call(late) for late in list(self._late) if late.due <= now]  # type: ignore[misc]
        work += self._fired(now)
        due = self.sandboxes.next_due() if self.sandboxes else None
        if self.sandboxes and due and due <= now:
            work.append(lambda: self.sandboxes and self.sandboxes.tick(now))
        return work

    def _fired(self, now: datetime) -> list[Callable[[], Any]]:
        """Schedules whose time has come. Several missed firings are one; one with nothing to do is none."""
        waiting = [schedule for schedule in self.schedules if schedule.next and schedule.next <= now]
        if not waiting:
            return []
        wanted = self.dues() if self.dues else now
        work: list[Callable[[], Any]] = []
        for schedule in waiting:
            if wanted and wanted <= now:
                work.append(lambda one=schedule: self._fire(one))  # type: ignore[misc]
            else:
                schedule.arm(now)
        return work

    def _fire(self, schedule: Schedule) -> None:
        moment, now = schedule.next, self.clock.now()
        schedule.arm(now)
        schedule.fire(moment or now)

    def _late_call(self, late: _Late) -> None:
        with self._lock:
            self._late.remove(late)
        function = next(
            f for arn, f in self.functions.items() if late.target == arn or late.target.startswith(f"{arn}:")
        )
        outcome = self.runtime.invoke(function, late.event)
        if not outcome.failed:
            return
        if late.attempt < function.retries:
            due = self.clock.now() + timedelta(seconds=ASYNC_WAITS[late.attempt])
            with self._lock:
                self._late.append(_Late(due, late.target, late.event, late.attempt + 1))
        else:
            self.dropped.append((function.name, late.event, outcome))

    def still_moving(self) -> str:
        """One line that says what has not come to rest."""
        depth = {name: len(queue._messages) for name, queue in self.queues.all().items() if queue._messages}
        runs = Counter(f"{run.machine.name}:{run.state}" for run in self.machines.executions.values()
                       if run.status == "RUNNING")  # fmt: skip
        last = [f"{name} {outcome.error_type}: {outcome.error_message}" for _, name, outcome in self.errors[-3:]]
        facts = {
            "now": self.clock.now().isoformat(), "next due": str(self.next_due()), "messages": depth,
            "executions": dict(runs), "invocations": dict(self.runtime.invocations), "last errors": last,
        }  # fmt: skip
        return json.dumps(facts)

    # --- living by itself -----------------------------------------------------------------------------------------

    def _background(self) -> None:
        while not self._stopping.is_set():
            try:
                if self.clock.jumps:
                    self.run()
                else:
                    self.pump()
            except Exception as error:  # a world that stops without a word would look like a quiet one
                print(f"the local world stumbled: {error}")
                time.sleep(1)
            self._stopping.wait(0.02)
