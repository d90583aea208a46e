"""HTTP as values: a request out of an HTTP API event, an answer back into one, routes, and the headers of all answers.

Everything is denied unless it is said to be allowed: no page may be framed, no script or style runs that is not one of
our own two files, nothing is cached on the way, and nothing tells another site where somebody came from.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from tieout.aws.web.session import Person
from tieout.work.views import BadQuestion, NotThere

#: The largest form that is read; ours have a single field.
FORM_BYTES: Final = 16 * 1024
SECURITY: Final[Mapping[str, str]] = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "strict-transport-security": "max-age=31536000; includeSubDomains",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}


@dataclass(frozen=True)
class Request:
    """One request. ``path`` is as it came (percent-encoded or, where the gateway did it, decoded once)."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    cookies: Mapping[str, str]
    form: Mapping[str, str]
    origin: str
    now: datetime
    person: Person | None = None
    #: What the route's pattern captured.
    name: str = ""


@dataclass(frozen=True)
class Answer:
    """One answer; ``cookies`` are whole ``Set-Cookie`` values."""

    status: int
    body: str | bytes = ""
    kind: str = "text/html; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    cookies: Sequence[str] = ()

    def event(self) -> dict[str, Any]:
        """The answer in the shape of an HTTP API."""
        raw = isinstance(self.body, bytes)
        body = base64.b64encode(self.body).decode() if isinstance(self.body, bytes) else self.body
        return {
            "statusCode": self.status,
            "headers": {**SECURITY, "content-type": self.kind, **self.headers},
            "cookies": list(self.cookies),
            "body": body,
            "isBase64Encoded": raw,
        }


class Refusal(Exception):
    """The request is answered with an error: status, a title for people, a detail, a short code for scripts."""

    def __init__(self, status: int, title: str, detail: str = "", code: str = "") -> None:
        super().__init__(title)
        self.status, self.title, self.detail = status, title, detail
        self.code = code or title.casefold().replace(" ", "_")


Handler = Callable[[Request], Answer]
Route = tuple[str, re.Pattern[str], Handler]


def route(method: str, pattern: str, handler: Handler) -> Route:
    """One row of a route table; a group in the pattern is the request's ``name``."""
    return method, re.compile(pattern), handler


def dispatch(routes: Sequence[Route], request: Request) -> Answer:
    """The answer of the route that fits. Raises ``Refusal`` with 404 or 405 where none does."""
    fits = [(method, handler, match) for method, path, handler in routes if (match := path.fullmatch(request.path))]
    for method, handler, match in fits:
        if method == request.method or (method == "GET" and request.method == "HEAD"):
            return _asked(handler, replace(request, name=match.group(1) if match.groups() else ""))
    if fits:
        raise Refusal(405, "Method not allowed", f"{request.path} answers to {', '.join(one for one, _, _ in fits)}.")
    raise Refusal(404, "Not found", "There is nothing at this address.")


def _asked(handler: Handler, request: Request) -> Answer:
    """Every name is tried as it stands and decoded: gateways differ in whether they decode a path once."""
    names = list(names_of(request.name)) or [""]
    for position, name in enumerate(names, start=1):
        try:
            return handler(replace(request, name=name))
        except NotThere as nothing:
            if position == len(names):
                raise Refusal(404, "Not found", f"There is {nothing}.") from None
        except BadQuestion as bad:
            raise Refusal(400, "Bad request", f"{str(bad)[:1].upper()}{str(bad)[1:]}.") from None
    raise AssertionError("unreachable: a handler answers or raises")


def names_of(name: str) -> Iterator[str]:
    """The names that a path segment may stand for, the likeliest first. A name of ours has a slash in it, so one
    without must have been encoded as a whole."""
    decoded = unquote(name)
    yield from dict.fromkeys((decoded, name) if "/" not in name else (name, decoded))


def read(event: Mapping[str, Any], now: datetime, own_url: str = "") -> Request:
    """The request in an HTTP API event. ``own_url`` is the public address where it is not the API's own."""
    context = event["requestContext"]
    headers = {str(name).lower(): str(value) for name, value in (event.get("headers") or {}).items()}
    http = context["http"]
    form: dict[str, str] = {}
    if event.get("body") and headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        raw = base64.b64decode(event["body"]) if event.get("isBase64Encoded") else str(event["body"]).encode()
        if len(raw) <= FORM_BYTES:
            form = dict(parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True))
    stage = f"/{context['stage']}" if context.get("stage", "$default") != "$default" else ""
    return Request(
        method=http["method"],
        path=str(event.get("rawPath") or http["path"]).removeprefix(stage),
        query=dict(parse_qsl(event.get("rawQueryString") or "", keep_blank_values=True)),
        headers=headers,
        cookies=_cookies(event.get("cookies") or ()),
        form=form,
        origin=own_url.rstrip("/") or f"https://{context['domainName']}",
        now=now,
    )


def _cookies(given: Sequence[str]) -> dict[str, str]:
    pairs = (one.partition("=") for one in given)
    return {name.strip(): value.strip() for name, _, value in pairs}


def to_json(status: int, value: Any) -> Answer:
    """A JSON answer."""
    return Answer(status, json.dumps(value, separators=(",", ":"), ensure_ascii=False), "application/json")


def problem_json(refusal: Refusal, instance: str) -> Answer:
    """An error as problem+json (RFC 9457)."""
    about = {
        "type": f"urn:tieout:problem:{refusal.code}",
        "title": refusal.title,
        "status": refusal.status,
        "detail": refusal.detail,
        "instance": instance,
        "code": refusal.code,
    }
    return Answer(refusal.status, json.dumps(about), "application/problem+json")


def redirect(to: str, *cookies: str) -> Answer:
    """A redirect that is always followed with GET."""
    return Answer(303, "", "text/plain; charset=utf-8", {"location": to}, cookies)
