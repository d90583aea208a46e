"""The world's AWS on a loopback port, so that a handler in another process can call it over real HTTP.

In process, moto answers below botocore and nothing is sent. A process of its own has no such short cut: its clients get
``AWS_ENDPOINT_URL``, sign and send as ever, and the request is handed to the same backends, under the same rules.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from http import HTTPStatus
from typing import Any

from botocore.awsrequest import AWSPreparedRequest
from botocore.compat import HTTPHeaders
from moto.core.models import botocore_stubber
from werkzeug.serving import WSGIRequestHandler, make_server

#: The credential scope of a signature says which service and region a request is for.
_SCOPE = re.compile(r"Credential=[^/]+/\d+/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"  # as AWS keeps connections open, so that a client's pool is used as it is there

    def log(self, type: str, message: str, *args: Any) -> None:
        """Says nothing."""


def serve_aws(stack: ExitStack) -> str:
    """Starts the gateway of the open world and returns its address; it stops when the stack is closed."""
    server = make_server("127.0.0.1", 0, _application, threaded=True, request_handler=_Quiet)
    server.daemon_threads = True  # type: ignore[attr-defined] # a killed process leaves its connections to them
    thread = threading.Thread(target=server.serve_forever, name="world-aws", daemon=True)
    thread.start()
    stack.callback(server.server_close)
    stack.callback(server.shutdown)
    return f"http://127.0.0.1:{server.server_port}"


def _application(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    status, headers, body = _answer(environ)
    raw = body.encode() if isinstance(body, str) else bytes(body or b"")
    kept = [
        (name, str(value)) for name, value in headers.items() if name.lower() not in ("content-length", "connection")
    ]
    start(f"{status} {_phrase(status)}", [*kept, ("content-length", str(len(raw)))])
    return [raw]


def _answer(environ: dict[str, Any]) -> tuple[int, dict[str, Any], Any]:
    headers = HTTPHeaders()
    for key, value in environ.items():
        if key.startswith("HTTP_") or key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            headers[key.removeprefix("HTTP_").replace("_", "-").title()] = value
    scope = _SCOPE.search(headers.get("Authorization", ""))
    if scope is None:
        return 403, {}, "Missing Authentication Token"
    host = f"{scope['service']}.{scope['region']}.amazonaws.com"
    if "Host" in headers:
        del headers["Host"]
    headers["Host"] = host
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(length) if length else b""
    url = f"https://{host}{environ.get('RAW_URI') or environ['REQUEST_URI']}"
    request = AWSPreparedRequest(environ["REQUEST_METHOD"], url, headers, body, False)
    answer = botocore_stubber.process_request(request)
    if answer is None:
        return 404, {}, f"nothing of this world answers at {host}"
    status, more, text = answer
    return int(status), dict(more), text


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in set(HTTPStatus) else "Unknown"
