"""The HTTP API in front of the functions: routes, authorizers and payload format 2.0, as API Gateway does it.

The routes come from the OpenAPI body that the SAM transform made. Authorizers decide for real: a JWT is checked
against keys that the world owns, and a request authorizer is the template's own function.
"""

from __future__ import annotations

import base64
import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from infra.local.clock import WorldClock
from infra.local.functions import Outcome
from infra.local.template import ACCOUNT, TemplateError

BODY_BYTES = 10 * 1024 * 1024
EVENT_BYTES = 6 * 1024 * 1024
HEADER_BYTES = 10_240
_TEXT = re.compile(r"^(text/|application/(json|javascript|xml)\b)", re.IGNORECASE)
_ARN = re.compile(r"arn:aws:lambda:[^/]+:function:[^/]+")


@dataclass
class Response:
    """What the API answered. Header names are lower case."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    cookies: list[str] = field(default_factory=list)

    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


@dataclass
class Route:
    """One method and path template, where it leads, and who guards it."""

    method: str
    path: str
    function: str
    authorizer: str | None
    scopes: list[str]
    pattern: re.Pattern[str]
    rank: tuple[int, int, int]


class Denied(Exception):
    """An authorizer refused; carries the answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.response = _message(status, message)


class Api:
    """Routes, keys and the way from a request to a function and back."""

    def __init__(self, clock: WorldClock, invoke: Callable[[str, Any], Outcome]) -> None:
        self._clock, self._invoke = clock, invoke
        self.routes: list[Route] = []
        self._authorizers: dict[str, dict[str, Any]] = {}
        self._remembered: dict[tuple[str, ...], tuple[float, dict[str, Any]]] = {}
        self._key: RSAKey | None = None
        self.api_id = "local"

    def load(self, name: str, body: dict[str, Any]) -> None:
        """Takes over the routes and authorizers of an OpenAPI body."""
        self.api_id = name.lower()
        schemes = body.get("components", {}).get("securitySchemes", {})
        for label, scheme in schemes.items():
            self._authorizers[label] = scheme["x-amazon-apigateway-authorizer"]
        for path, methods in body.get("paths", {}).items():
            for method, operation in methods.items():
                self.routes.append(_route(path, method, operation))
        self.routes.sort(key=lambda route: route.rank)

    # --- keys and tokens ------------------------------------------------------------------------------------------

    @property
    def key(self) -> RSAKey:
        """The issuer's signing key, made when it is first needed."""
        if self._key is None:
            self._key = RSAKey.generate_key(2048, parameters={"kid": "local-1", "alg": "RS256", "use": "sig"})
        return self._key

    def jwks(self) -> dict[str, Any]:
        """The issuer's public keys."""
        return {"keys": [self.key.as_dict(private=False)]}

    def token(self, user: str, roles: tuple[str, ...] = (), lifetime: int = 3600, **claims: Any) -> str:
        """A signed token for the template's JWT authorizer; ``claims`` replace or add."""
        jwt_authorizer = next((a for a in self._authorizers.values() if a["type"].lower() == "jwt"), None)
        settings = (jwt_authorizer or {}).get("jwtConfiguration", {})
        now = int(self._clock.epoch())
        payload = {
            "iss": settings.get("issuer", "https://issuer.local.invalid"),
            "aud": (settings.get("audience") or ["tieout"])[0],
            "sub": user, "email": f"{user}@example.com", "roles": list(roles),
            "tieout_roles": list(roles), "iat": now, "nbf": now,
            "exp": now + lifetime, "jti": uuid.uuid4().hex,
        }  # fmt: skip
        return jwt.encode({"alg": "RS256", "kid": "local-1"}, {**payload, **claims}, self.key)

    # --- a request ------------------------------------------------------------------------------------------------

    def handle(self, method: str, target: str, headers: Mapping[str, str], body: bytes, ip: str) -> Response:
        """Answers one request. ``target`` is the path with its query string, as it stands in the request line."""
        path, _, query = target.partition("?")
        if sum(len(key) + len(value) for key, value in headers.items()) > HEADER_BYTES:
            return _message(431, "Request Header Fields Too Large")
        if len(body) > BODY_BYTES:
            return _message(413, "Request Entity Too Large")
        route, parameters = self._match(method, path)
        if route is None:
            return _message(404, "Not Found")
        event = self._event(route, parameters, method, path, query, headers, body, ip)
        try:
            if route.authorizer:
                event["requestContext"]["authorizer"] = self._authorize(route, event)
        except Denied as denied:
            return denied.response
        if len(json.dumps(event)) > EVENT_BYTES:
            return _message(413, "Request Entity Too Large")
        outcome = self._invoke(route.function, event)
        if outcome.error_type == "Sandbox.Timedout":
            return _message(503, "Service Unavailable")
        return _message(500, "Internal Server Error") if outcome.failed else _response(outcome.value)

    def _match(self, method: str, path: str) -> tuple[Route | None, dict[str, str]]:
        for route in self.routes:
            if route.method in ("ANY", method) and (match := route.pattern.match(path)):
                return route, {key: unquote(value) for key, value in match.groupdict().items()}
        return None, {}

    def _event(
        self, route: Route, parameters: dict[str, str], method: str, path: str, query: str,
        headers: Mapping[str, str], body: bytes, ip: str,
    ) -> dict[str, Any]:  # fmt: skip
        now = self._clock.now()
        lower = {key.lower(): value for key, value in headers.items()}
        cookies = [part.strip() for part in lower.pop("cookie", "").split(";") if part.strip()]
        key = route.path if route.path == "$default" else f"{route.method} {route.path}"
        event: dict[str, Any] = {
            "version": "2.0", "routeKey": key, "rawPath": path, "rawQueryString": query, "headers": lower,
            "requestContext": {
                "accountId": ACCOUNT, "apiId": self.api_id, "domainName": lower.get("host", "localhost"),
                "domainPrefix": self.api_id,
                "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": ip,
                         "userAgent": lower.get("user-agent", "")},
                "requestId": uuid.uuid4().hex[:16], "routeKey": key, "stage": "$default",
                "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000"), "timeEpoch": int(now.timestamp() * 1000),
            },
            "isBase64Encoded": False,
        }  # fmt: skip
        if cookies:
            event["cookies"] = cookies
        if query:
            event["queryStringParameters"] = _joined(query)
        if parameters:
            event["pathParameters"] = parameters
        if body:
            as_text = (
                _TEXT.match(lower.get("content-type", "")) and lower.get("content-encoding", "identity") == "identity"
            )
            event["isBase64Encoded"] = not as_text
            event["body"] = body.decode("utf-8", "replace") if as_text else base64.b64encode(body).decode()
        return event

    # --- authorizers ----------------------------------------------------------------------------------------------

    def _authorize(self, route: Route, event: dict[str, Any]) -> dict[str, Any]:
        assert route.authorizer is not None
        authorizer = self._authorizers[route.authorizer]
        if authorizer["type"].lower() == "jwt":
            return {"jwt": self._check_jwt(authorizer, route, event)}
        return {"lambda": self._ask_function(authorizer, route, event)}

    def _check_jwt(self, authorizer: dict[str, Any], route: Route, event: dict[str, Any]) -> dict[str, Any]:
        token = (_source(authorizer.get("identitySource", "$request.header.Authorization"), event) or "").strip()
        token = token[7:] if token.lower().startswith("bearer ") else token
        settings = authorizer["jwtConfiguration"]
        now = self._clock.epoch()
        try:
            claims = jwt.decode(token, self.key, algorithms=["RS256", "RS384", "RS512"]).claims
        except (JoseError, ValueError) as wrong:
            raise Denied(401, "Unauthorized") from wrong
        audience = claims.get("aud") or claims.get("client_id")
        known = set(audience if isinstance(audience, list) else [audience]) & set(settings.get("audience", []))
        times = (claims.get("exp", 0) > now, claims.get("nbf", 0) <= now, claims.get("iat", 0) <= now)
        if claims.get("iss") != settings["issuer"] or not known or not all(times):
            raise Denied(401, "Unauthorized")
        granted = str(claims.get("scope", "")).split() or list(claims.get("scp", []))
        if route.scopes and not set(route.scopes) & set(granted):
            raise Denied(403, "Forbidden")
        return {"claims": {key: _claim(value) for key, value in claims.items()}, "scopes": route.scopes or None}

    def _ask_function(self, authorizer: dict[str, Any], route: Route, event: dict[str, Any]) -> dict[str, Any]:
        sources = authorizer.get("identitySource", [])
        sources = [part.strip() for part in sources.split(",")] if isinstance(sources, str) else sources
        identity = [_source(source, event) for source in sources]
        if not all(identity):
            raise Denied(401, "Unauthorized")
        remembered = (str(route.authorizer), *[str(value) for value in identity])
        ttl = int(authorizer.get("authorizerResultTtlInSeconds", 0))
        kept = self._remembered.get(remembered)
        if kept and kept[0] > self._clock.epoch():
            return _allowed(kept[1])
        asked = {
            **{key: value for key, value in event.items() if key not in ("body", "isBase64Encoded")},
            "type": "REQUEST", "identitySource": identity,
            "routeArn": f"arn:aws:execute-api:eu-central-1:{ACCOUNT}:{self.api_id}/$default/"
                        f"{event['requestContext']['http']['method']}{event['rawPath']}",
        }  # fmt: skip
        outcome = self._invoke(_function_arn(authorizer["authorizerUri"]), asked)
        if outcome.failed or not isinstance(outcome.value, dict):
            raise Denied(500, "Internal Server Error")
        if ttl:
            self._remembered[remembered] = (self._clock.epoch() + ttl, outcome.value)
        return _allowed(outcome.value)


def _allowed(answer: dict[str, Any]) -> dict[str, Any]:
    """The authorizer's context; `Denied` unless it clearly said yes (simple answer or IAM policy)."""
    statements = answer.get("policyDocument", {}).get("Statement", [])
    by_policy = bool(statements) and all(one.get("Effect") == "Allow" for one in statements)
    if answer.get("isAuthorized") is not True and not by_policy:
        raise Denied(403, "Forbidden")
    return dict(answer.get("context") or {})


def _source(expression: str, event: dict[str, Any]) -> str | None:
    place, _, name = expression.removeprefix("$request.").partition(".")
    if place == "header" and name.lower() == "cookie":
        return "; ".join(event.get("cookies", [])) or None
    values = event["headers"] if place == "header" else event.get("queryStringParameters", {})
    found = values.get(name.lower() if place == "header" else name)
    return str(found) if found else None


def _claim(value: Any) -> str:
    if isinstance(value, list):
        return "[" + " ".join(str(item) for item in value) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _route(path: str, method: str, operation: dict[str, Any]) -> Route:
    security = [entry for entry in operation.get("security", []) if entry]
    (authorizer, scopes), *_ = list(security[0].items()) if security else [(None, [])]
    if authorizer == "NONE":
        authorizer = None
    integration = operation["x-amazon-apigateway-integration"]
    if integration.get("payloadFormatVersion", "2.0") != "2.0":
        raise TemplateError(f"{method} {path}: payload format {integration['payloadFormatVersion']} is not emulated")
    verb = "ANY" if method == "x-amazon-apigateway-any-method" else method.upper()
    greedy, names = "+}" in path or path == "$default", re.findall(r"\{(\w+)\+?\}", path)
    text = re.sub(r"\\\{(\w+)\\\+\\\}", r"(?P<\1>.+)", re.escape(path))
    text = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", text)
    pattern = re.compile("^.*$" if path == "$default" else f"^{text}$")
    rank = (2 if path == "$default" else int(greedy), len(names), -len(path))
    return Route(verb, path, _function_arn(integration["uri"]), authorizer, scopes, pattern, rank)


def _function_arn(uri: str) -> str:
    match = _ARN.search(uri)
    if match is None:
        raise TemplateError(f"only functions stand behind the local API, not {uri}")
    return match[0]


def _joined(query: str) -> dict[str, str]:
    values: dict[str, list[str]] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        values.setdefault(key, []).append(value)
    return {key: ",".join(several) for key, several in values.items()}


def _message(status: int, message: str) -> Response:
    return Response(status, {"content-type": "application/json"}, json.dumps({"message": message}).encode())


def _response(value: Any) -> Response:
    """Lambda's answer in format 2.0; without a ``statusCode`` the whole value is the JSON body of a 200."""
    if not isinstance(value, dict) or "statusCode" not in value:
        return Response(200, {"content-type": "application/json"}, json.dumps(value).encode())
    body = value.get("body") or ""
    if not isinstance(body, str) or not isinstance(value["statusCode"], int):
        return _message(500, "Internal Server Error")
    raw = base64.b64decode(body) if value.get("isBase64Encoded") else body.encode("utf-8")
    headers = {key.lower(): str(text) for key, text in (value.get("headers") or {}).items()}
    return Response(value["statusCode"], headers, raw, list(value.get("cookies") or []))
