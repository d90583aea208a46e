"""All sandboxes behind one loopback server, and the one place where faults strike.

``Sandboxes`` is what the local world, the story and the tests hold in hand. One threaded HTTP/1.1 server on a free
port carries every account under its own prefix. ``/_faults``, ``/_book`` and ``/_log`` are for the command line.
"""

from __future__ import annotations

import re
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, Protocol, TypeVar, runtime_checkable
from urllib.parse import parse_qsl

from werkzeug.http import http_date
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from infra.local.sandbox.agenda import Agenda, Clock, HasNow, clock_of
from infra.local.sandbox.books import Entry
from infra.local.sandbox.faults import CUSTOMERS, PARTIAL, Fault, Faults
from infra.local.sandbox.legacy import Drop, Legacy
from infra.local.sandbox.netsuite import NetSuite
from infra.local.sandbox.salesforce import Salesforce
from infra.local.sandbox.stripe import ENTITIES, Stripe
from infra.local.sandbox.system import Deliver, Ground, System
from infra.local.sandbox.webhooks import Courier
from infra.local.sandbox.wire import Hangup, Json, Reply, Request, dumps, loads

REASONS = {200: "OK", 201: "Created", 204: "No Content", 300: "Multiple Choices", 400: "Bad Request",
           401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 409: "Conflict",
           429: "Too Many Requests", 500: "Internal Server Error", 503: "Service Unavailable"}  # fmt: skip
#: Answers that no vendor documents, and that proxies, gateways and mistakes give all the same.
STRANGE: dict[str, Callable[[], Reply]] = {
    "not_json": lambda: Reply.html(200, "Maintenance"),
    "wrong_type": lambda: Reply.json(200, "done"),
    "huge": lambda: Reply(200, b'{"filler": "' + b"x" * 40_000_000 + b'"}', (("Content-Type", "application/json"),)),
}
VENDOR_WORDS = frozenset({"rate_limit", "concurrency_429", "closed_period", "ok_with_errors"})


Kind = TypeVar("Kind", bound=System)


@runtime_checkable
class Reads(Protocol):
    """A sandbox that reads files from the drop."""

    drop: Drop | None


@runtime_checkable
class Sends(Protocol):
    """A sandbox that sends webhooks."""

    courier: Courier


def found_sandboxes() -> list[Callable[[Ground], System]]:
    """The function ``stand`` of each module of this folder that has one: a system that needs nothing else."""
    names = sorted(one.name for one in iter_modules([str(Path(__file__).parent)]))
    modules = [import_module(f"infra.local.sandbox.{name}") for name in names if name != "server"]
    return [module.stand for module in modules if hasattr(module, "stand")]


@dataclass(frozen=True)
class Call:
    """One call that arrived. ``status`` 0 means that the caller got no answer."""

    at: datetime
    system: str
    account: str
    method: str
    path: str
    status: int
    fault: str = ""


class Sandboxes:
    """Every outside system, misbehaving on request: those the story plays with by name, the others found.

    ``deliver`` sends a webhook to the product and returns the status; until it is set nobody answers. ``drop`` is
    the file drop of those that take files. Time is world time, from ``clock``.
    """

    def __init__(self, clock: Clock | HasNow, seed: int = 0) -> None:
        self.clock = clock_of(clock)
        self.agenda = Agenda(self.clock)
        self.faults = Faults(self.clock, self._bring_back)
        self.deliver: Deliver | None = None
        self.stripe = {name: Stripe(name, self.clock, self.agenda, seed, self._send) for name in ENTITIES}
        self.netsuite = NetSuite("acme", self.clock, self.agenda, seed)
        self.salesforce = Salesforce("acme", self.clock, self.agenda, seed, self._send)
        self.legacy = Legacy("acme", self.clock, self.agenda, self.faults)
        ground = Ground(self.clock, self.agenda, seed, self._send)
        found = [stand(ground) for stand in found_sandboxes()]
        self.systems: list[System] = [*self.stripe.values(), self.netsuite, self.salesforce, *found]
        self.accounts: list[System | Legacy] = [*self.systems, self.legacy]
        for courier in self.couriers:
            courier.faults = self.faults
        self.log: deque[Call] = deque(maxlen=20_000)
        self._stopping = threading.Event()
        self._server: BaseWSGIServer | None = None
        self._thread: threading.Thread | None = None

    def of(self, kind: type[Kind]) -> Kind:
        """The sandbox of that class. ``StopIteration`` where none stands here."""
        return next(one for one in self.systems if isinstance(one, kind))

    @property
    def couriers(self) -> list[Courier]:
        """Who carries webhooks to the product."""
        return [one.courier for one in self.systems if isinstance(one, Sends)]

    @property
    def drop(self) -> Drop | None:
        """The file drop of those that take files."""
        return self.legacy.drop

    @drop.setter
    def drop(self, drop: Drop | None) -> None:
        for one in self.accounts:
            if isinstance(one, Reads):
                one.drop = drop

    def _bring_back(self) -> None:
        for system in self.systems:
            system.bring_back()

    def order(self, fault: Fault) -> str:
        """Give an order to misbehave; what is said of it. ``ValueError`` where all it names never do so."""
        able = sorted({one.name for one in self.systems if fault.kind not in PARTIAL or fault.kind in one.does})
        named = {one.name for one in self.accounts if re.search(rf"\b{one.name}\b", fault.match)}
        if named and not named & set(able):
            raise ValueError(f"{' and '.join(sorted(named))} has no {fault.kind}; it is known of {', '.join(able)}")
        self.faults.add(fault)
        only = f" It is known of {', '.join(able)} alone." if fault.kind in PARTIAL and not named else ""
        return f"{fault.kind} is on for {fault.match}.{only}"

    def _send(self, path: str, headers: dict[str, str], body: bytes) -> int:
        return 0 if self.deliver is None else self.deliver(path, headers, body)

    # --- life --------------------------------------------------------------------------------------------------

    def start(self) -> dict[str, str]:
        """Listen; returns the base address of each account, by ``system/account``."""
        self._server = make_server("127.0.0.1", 0, self._application, threaded=True, request_handler=_Handler)
        origin = f"http://127.0.0.1:{self._server.server_port}"
        for system in self.systems:
            system.base_url = origin + system.prefix
        self._stopping.clear()
        # the server looks every few milliseconds whether it shall stop, so that stopping takes no time
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name="sandboxes", daemon=True)
        self._thread.start()
        return {f"{system.name}/{system.account}": system.base_url for system in self.systems} | {"": origin}

    def stop(self) -> None:
        """Stop listening; calls that hang are let go."""
        self._stopping.set()
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join(timeout=5)
            self._server.server_close()
        self._server = self._thread = None

    def __enter__(self) -> Sandboxes:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def secrets(self, stage: str = "") -> dict[str, Json]:
        """What belongs in the secret store, by name: ``tieout/{stage}/{system}/{account}``, or the last two parts.

        Call it after ``start``: it holds the addresses.
        """
        prefix = f"tieout/{stage}/" if stage else ""
        return {f"{prefix}{one.name}/{one.account}": one.secret() for one in self.accounts}

    def tick(self, now: datetime | None = None) -> int:
        """Do what is due: look at the file drop, process files, send webhooks, land late commits.

        Returns how many things were done.
        """
        self.legacy.look()
        return self.agenda.run(now or self.clock())

    def next_due(self) -> datetime | None:
        """When the next thing is due, or None; a file that was not looked at yet has been due for a second."""
        return self.clock() - timedelta(seconds=1) if self.legacy.waiting() else self.agenda.next_due()

    def book(self, system: str, account: str) -> list[Entry]:
        """The book of one account. Raises KeyError if there is none."""
        for one in self.accounts:
            if (one.name, one.account) == (system, account):
                return one.book()
        raise KeyError(f"no sandbox {system}/{account}")

    def books(self) -> list[Entry]:
        """Every book."""
        return [entry for one in self.accounts for entry in one.book()]

    def calls(self, pattern: str) -> list[Call]:
        """Calls whose ``METHOD /system/account/path`` matches a regular expression, oldest first."""
        return [c for c in list(self.log) if re.search(pattern, f"{c.method} /{c.system}/{c.account}{c.path}")]

    # --- HTTP --------------------------------------------------------------------------------------------------

    def _application(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """The WSGI application of the server."""
        try:
            reply = self._answer(environ)
        except Hangup:
            _hang_up(environ)
            raise ConnectionAbortedError("told to hang up") from None
        headers = [*reply.headers, ("Date", http_date(self.clock()))]
        if reply.status != 204:
            headers.append(("Content-Length", str(len(reply.body))))
        start_response(f"{reply.status} {REASONS.get(reply.status, 'Other')}", headers)
        return [reply.body] if reply.cut_at is None else _cut(environ, reply)

    def _answer(self, environ: dict[str, Any]) -> Reply:
        raw, _, query = str(environ["REQUEST_URI"]).partition("?")
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        headers = {k[5:].replace("_", "-").lower(): str(v) for k, v in environ.items() if k.startswith("HTTP_")}
        headers["content-type"] = str(environ.get("CONTENT_TYPE", ""))
        whole = Request(
            str(environ["REQUEST_METHOD"]), raw, dict(parse_qsl(query, keep_blank_values=True)), headers, body,
            raw_query=query,
        )  # fmt: skip
        system = next((one for one in self.systems if raw.startswith(one.prefix + "/")), None)
        if system is None:
            return self._administer(whole)
        return self._carry(system, replace(whole, path=raw.removeprefix(system.prefix), base_url=system.base_url))

    def _carry(self, system: System, request: Request) -> Reply:
        line = f"{request.method} {system.prefix}{request.path}"
        fault = self.faults.take(line, lambda kind: system.means(kind, request))
        status = 0
        try:
            with system.admitted(request) as refusal:
                reply = refusal or self._around(system, request, fault)
            status = reply.status
            return reply
        finally:
            kind = fault.kind if fault else ""
            self.log.append(Call(self.clock(), system.name, system.account, request.method, request.path, status, kind))

    def _around(self, system: System, request: Request, fault: Fault | None) -> Reply:
        """One call, with what a fault makes of it."""
        if fault is not None and fault.kind == "stale_token":
            stale = system.forget_tokens()
            if stale is not None:
                return stale
        refused = system.authorise(request)
        if refused is not None:
            return refused
        if fault is None or fault.kind == "stale_token":
            return system.process(request)
        if fault.kind == "slow":
            seconds = fault.number("seconds", 1)
            return system.process(replace(request, pause=lambda: self._wait(seconds)))
        if fault.kind == "search_lag":
            return system.process(replace(request, lag=fault.number("seconds", 60)))
        if fault.kind in CUSTOMERS:
            system.set_aside(fault.kind, system.customer_of(request))
            return system.process(request)
        return self._strike(system, request, fault)

    def _strike(self, system: System, request: Request, fault: Fault) -> Reply:
        kind = fault.kind
        if kind in VENDOR_WORDS:
            reply = system.misbehave(kind, dict(fault.args))
            wait = str(fault.args.get("retry_after", 1))
            return reply.with_headers(("Retry-After", wait)) if kind == "rate_limit" else reply
        if kind == "late_commit":
            self.agenda.after(int(fault.number("seconds", 60)), lambda: _commit(system, request))
        if kind == "timeout_before_commit":
            self._wait(fault.number("seconds", 30))
        if kind in {"late_commit", "drop_before", "timeout_before_commit"}:
            raise Hangup
        if kind in {"html_500", "unavailable"} and not fault.args.get("committed"):
            return _page(fault)
        if kind in STRANGE:
            if not fault.args.get("undone"):
                system.process(request)
            return STRANGE[kind]()
        done = system.process(request)
        if kind == "more_fields":
            return _with_more(done)
        if kind in {"html_500", "unavailable"}:
            return _page(fault)
        if kind == "truncated" and done.body:
            return replace(done, cut_at=len(done.body) // 2)
        if kind == "timeout_after_commit":
            self._wait(fault.number("seconds", 30))
        raise Hangup

    def _wait(self, seconds: float) -> None:
        self._stopping.wait(seconds)

    def _administer(self, request: Request) -> Reply:
        """Faults, books and the log over HTTP."""
        try:
            if request.path == "/_faults":
                return self._administer_faults(request)
            if request.path == "/_book":
                keys = ("system", "account", "kind")
                wanted = {name: request.query[name] for name in keys if name in request.query}
                entries = [asdict(entry) for entry in self.books()]
                return Reply.json(
                    200, [one for one in entries if all(one[name] == value for name, value in wanted.items())]
                )
            if request.path == "/_log":
                calls = [asdict(call) | {"at": call.at.isoformat()} for call in list(self.log)]
                return Reply.json(200, calls)
        except (ValueError, TypeError, KeyError, re.error) as error:
            return Reply.json(400, {"error": str(error)})
        return Reply.json(404, {"error": f"no sandbox at {request.path}"})

    def _administer_faults(self, request: Request) -> Reply:
        if request.method == "DELETE":
            self.faults.clear()
        if request.method == "POST":
            given = request.json()
            orders = [Fault(**order) for order in (given if isinstance(given, list) else [given])]
            for order in orders:
                self.order(order)
        return Reply.json(201 if request.method == "POST" else 200, self.faults.describe())


def _with_more(reply: Reply) -> Reply:
    """The same answer, each object in it with members that no client knows; what is no JSON stays as it is."""
    try:
        value = loads(reply.body)
    except ValueError:
        return reply
    return replace(reply, body=dumps(_more(value)).encode())


def _more(value: Any) -> Any:
    if isinstance(value, dict):
        return {"zz_new": {"of": ["a", 1]}, **{name: _more(one) for name, one in value.items()}, "zz_later": None}
    return [_more(one) for one in value] if isinstance(value, list) else value


def _commit(system: System, request: Request) -> None:
    system.process(request)


def _page(fault: Fault) -> Reply:
    if fault.kind == "unavailable":
        return Reply.html(503, "Service Unavailable").with_headers(("Retry-After", "5"))
    return Reply.html(500, "Internal Server Error")


def _hang_up(environ: dict[str, Any]) -> None:
    """Close the connection under the server's feet."""
    connection: socket.socket = environ["werkzeug.socket"]
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the caller was faster


def _cut(environ: dict[str, Any], reply: Reply) -> Iterator[bytes]:
    yield reply.body[: reply.cut_at]
    _hang_up(environ)


class _Handler(WSGIRequestHandler):
    """Quiet, and without the delay that small packets otherwise get."""

    disable_nagle_algorithm = True

    def send_response(self, code: int, message: str | None = None) -> None:
        """The status line alone: the answer brings its own Date, of the world's clock."""
        self.send_response_only(code, message)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing: ``Sandboxes.log`` keeps the calls."""

    def connection_dropped(self, error: BaseException, environ: dict[str, Any] | None = None) -> None:
        """A dropped connection is what was ordered, or a caller who went away."""
