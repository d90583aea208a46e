"""The API on a real port of the loopback, and a few pages of the world itself under ``/_local``."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from werkzeug.serving import WSGIRequestHandler, make_server

from infra.local import switches
from infra.local.api import BODY_BYTES, Response

if TYPE_CHECKING:
    from infra.local.world import World


class Quiet(WSGIRequestHandler):
    """Answers and says nothing."""

    def log(self, type: str, message: str, *args: Any) -> None:
        """Says nothing: the story has the terminal."""


def serve(world: World, port: int, stack: ExitStack) -> str:
    """Starts the server and returns its address; it stops when the stack is closed."""

    def application(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        response = _answer(world, environ)
        headers = [*response.headers.items(), *(("set-cookie", cookie) for cookie in response.cookies)]
        headers.append(("content-length", str(len(response.body))))
        phrase = HTTPStatus(response.status).phrase if response.status in set(HTTPStatus) else "Unknown"
        start(f"{response.status} {phrase}", headers)
        return [response.body]

    server = make_server("127.0.0.1", port, application, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, name="world-http", daemon=True)
    thread.start()
    stack.callback(server.server_close)
    stack.callback(server.shutdown)
    return f"http://127.0.0.1:{server.server_port}"


def _answer(world: World, environ: dict[str, Any]) -> Response:
    target = environ.get("RAW_URI") or environ.get("REQUEST_URI") or environ["PATH_INFO"]
    headers = {key[5:].replace("_", "-").lower(): value for key, value in environ.items() if key.startswith("HTTP_")}
    for key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(key):
            headers[key.replace("_", "-").lower()] = environ[key]
    length = environ.get("CONTENT_LENGTH")
    wanted = min(int(length), BODY_BYTES + 1) if length else BODY_BYTES + 1
    chunked = environ.get("wsgi.input_terminated")
    body = environ["wsgi.input"].read(wanted) if length or chunked else b""
    if target.startswith("/_local/"):
        return _local(world, environ["REQUEST_METHOD"], target, headers, body)
    return world.http(environ["REQUEST_METHOD"], target, headers, body, environ.get("REMOTE_ADDR", "127.0.0.1"))


def _local(world: World, method: str, target: str, headers: dict[str, str], body: bytes) -> Response:
    """What the world says about itself: its page and switches, its time (for whoever signs), its issuer."""
    if world.provider and (answer := world.provider.answer(method, target, body)):
        return answer
    if answer := switches.answer(world, method, target, headers, body):
        return answer
    pages: dict[str, Callable[[], Any]] = {
        "/_local/clock": lambda: {"now": world.clock.now().isoformat(), "mode": str(world.clock)},
        "/_local/state": lambda: {"state": world.still_moving(), "not_emulated": world.not_emulated},
        "/_local/systems": lambda: world.urls,
    }
    page = pages.get(target.partition("?")[0])
    if page is None:
        return Response(404, {"content-type": "application/json"}, b'{"message":"Not Found"}')
    return Response(200, {"content-type": "application/json"}, json.dumps(page(), default=str).encode())
