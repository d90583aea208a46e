"""Where a browser ends after a person's consent: one request to a loopback address, or what the person pastes."""

from __future__ import annotations

import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import urlsplit

from tieout.cli.client import PROBLEM, USAGE, Failure

LOOPBACK = ("localhost", "127.0.0.1")


def redirected(redirect: str, wait: float) -> str:
    """The whole address of the first request to ``redirect``'s path. Raises ``Failure`` where none comes in time."""
    parts = urlsplit(redirect)
    if parts.scheme != "http" or parts.hostname not in LOOPBACK or not parts.port:
        raise Failure(USAGE, f"{redirect} is no loopback address with a port.", "Use --paste with any other one.")
    found: list[str] = []

    class Once(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            mine = urlsplit(self.path).path == (parts.path or "/")
            if mine:
                found.append(f"{parts.scheme}://{parts.netloc}{self.path}")
            self.send_response(200 if mine else 404)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.end_headers()
            self.wfile.write(b"Thank you. Go back to the terminal.\n" if mine else b"Not this one.\n")

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: the code is in the path."""

    with HTTPServer(("127.0.0.1", parts.port), Once) as server:
        until = time.monotonic() + wait
        while not found and time.monotonic() < until:
            server.timeout = 0.5
            server.handle_request()
    if not found:
        raise Failure(PROBLEM, f"Nobody came back to {redirect} within {wait:.0f} s.", "Start again, or use --paste.")
    return found[0]
