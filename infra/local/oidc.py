"""An OpenID Connect provider on the loopback, so that the desk's real login can be used without an account anywhere.

Authorization code flow with PKCE (RFC 7636, S256 only), keys of the world's API. It knows one person for each role
and asks for no password: it is for a machine of your own, and the local world binds to the loopback only.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from html import escape
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qsl, urlencode

from infra.local.api import Response

if TYPE_CHECKING:
    from infra.local.api import Api
    from infra.local.clock import WorldClock

PEOPLE = {"vera": "viewer", "oscar": "operator", "ada": "approver", "audrey": "auditor", "adam": "admin"}
PREFIX = "/_local/oidc"
_SECONDS = 300


class House(Protocol):
    """Whose keys and whose time the provider uses: the local world's, or those of `infra.acceptance`."""

    @property
    def api(self) -> Api: ...
    @property
    def clock(self) -> WorldClock: ...


class Provider:
    """The provider's endpoints under ``/_local/oidc``."""

    def __init__(self, world: House, address: str) -> None:
        self._world, self._address = world, address
        self.issuer = f"{address}{PREFIX}"
        self._codes: dict[str, tuple[float, str, dict[str, str]]] = {}

    def answer(self, method: str, target: str, body: bytes) -> Response | None:
        """Answers a request, or None where the path is not the provider's."""
        path, _, query = target.partition("?")
        asked = dict(parse_qsl(query))
        match (method, path.removeprefix(PREFIX)):
            case ("GET", "/.well-known/openid-configuration"):
                return _json(200, self._configuration())
            case ("GET", "/jwks"):
                return _json(200, self._world.api.jwks())
            case ("GET", "/authorize"):
                return self._authorize(asked, query)
            case ("POST", "/token"):
                return self._token(dict(parse_qsl(body.decode("utf-8", "replace"))))
        return None

    def _configuration(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
            "scopes_supported": ["openid", "email", "profile"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        }

    def _authorize(self, asked: dict[str, str], query: str) -> Response:
        wrong = (
            asked.get("response_type") != "code"
            or asked.get("code_challenge_method") != "S256"
            or not asked.get("code_challenge")
            or not asked.get("redirect_uri", "").startswith(f"{self._address}/")
        )
        if wrong:
            return _json(400, {"error": "invalid_request"})
        who = asked.get("login_hint", "")
        if who not in PEOPLE:
            links = "".join(
                f'<li><a href="?{escape(query)}&amp;login_hint={name}">{name}, {role}</a></li>'
                for name, role in PEOPLE.items()
            )
            page = f"<!doctype html><html lang=en><title>Sign in</title><h1>Who are you today?</h1><ul>{links}</ul>"
            return Response(200, {"content-type": "text/html; charset=utf-8"}, page.encode())
        code = secrets.token_urlsafe(24)
        self._codes[code] = (self._world.clock.epoch() + _SECONDS, who, asked)
        answer = urlencode({"code": code, "state": asked.get("state", ""), "iss": self.issuer})
        return Response(302, {"location": f"{asked['redirect_uri']}?{answer}"})

    def _token(self, form: dict[str, str]) -> Response:
        until, who, asked = self._codes.pop(form.get("code", ""), (0.0, "", {}))  # a code is good once
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        good = (
            form.get("grant_type") == "authorization_code"
            and until > self._world.clock.epoch()
            and asked["code_challenge"] == challenge
            and asked["redirect_uri"] == form.get("redirect_uri")
        )
        if not good:
            return _json(400, {"error": "invalid_grant"})
        roles = (PEOPLE[who],)
        about: dict[str, Any] = {"name": who.title(), **({"nonce": asked["nonce"]} if "nonce" in asked else {})}
        identity = self._world.api.token(who, roles, iss=self.issuer, aud=asked.get("client_id", ""), **about)
        access = self._world.api.token(who, roles, iss=self.issuer)
        answer = {"access_token": access, "id_token": identity, "token_type": "Bearer", "expires_in": 3600}
        return _json(200, answer)


def _json(status: int, value: Any) -> Response:
    return Response(
        status, {"content-type": "application/json", "cache-control": "no-store"}, json.dumps(value).encode()
    )
