"""OAuth 2 with a refresh token that is good for one use, as Xero and Intuit give it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from urllib.parse import urlencode

from infra.local.sandbox.system import Ids
from infra.local.sandbox.wire import Json, Reply, Request

CONSENT_PATH = "/consent"
CODE_LIFE = timedelta(minutes=5)


class Rotating:
    """The token endpoint of one account: what a refresh token is exchanged for is an access token and its successor.

    Simplification: an old refresh token is void at once (vendors forgive for a while).
    """

    def __init__(self, ids: Ids, now: Callable[[], datetime], life: int, scope: str) -> None:
        self._ids, self._now, self._life, self._scope = ids, now, life, scope
        self.client_id = ids.code("client id", 32)
        self.client_secret = ids.code("client secret", 48)
        self.first_refresh = self.refresh = ids.next("refresh", 43)
        self._tokens: dict[str, datetime] = {}
        #: Codes that are out: until when, for which redirect, with which challenge.
        self._codes: dict[str, tuple[datetime, str, str]] = {}

    def valid(self, request: Request) -> bool:
        """Whether the request shows an access token that has not ended."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        until = self._tokens.get(token)
        return scheme.lower() == "bearer" and until is not None and until > self._now()

    def forget(self) -> None:
        """Every access token is void; the refresh token is not."""
        self._tokens.clear()

    def consent(self, request: Request, **more: str) -> Reply:
        """The consent page, where a person says yes at once: a redirect with a code that is good once, for minutes."""
        asked = request.query
        if asked.get("client_id") != self.client_id or asked.get("response_type") != "code":
            return Reply.json(400, {"error": "unauthorized_client"})
        code = self._ids.next("code", 40)
        challenge = asked.get("code_challenge", "") if asked.get("code_challenge_method") == "S256" else ""
        self._codes[code] = (self._now() + CODE_LIFE, asked.get("redirect_uri", ""), challenge)
        said = {"code": code, "state": asked.get("state", ""), **more}
        return Reply(302, b"", (("Location", f"{asked.get('redirect_uri', '')}?{urlencode(said)}"),))

    def _redeemed(self, form: Json) -> bool:
        """Whether a code is good for this redirect, and its verifier for the challenge that came with it."""
        until, redirect, challenge = self._codes.pop(str(form.get("code")), (self._now(), "", ""))
        proof = hashlib.sha256(str(form.get("code_verifier", "")).encode()).digest()
        proven = not challenge or base64.urlsafe_b64encode(proof).decode().rstrip("=") == challenge
        return until > self._now() and form.get("redirect_uri") == redirect and proven

    def exchange(self, request: Request) -> Reply:
        """The answer of the token endpoint."""
        form = request.form()
        expected = base64.b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {expected}":
            return Reply.json(400, {"error": "invalid_client"})
        if form.get("grant_type") == "authorization_code":
            if not self._redeemed(form):
                return Reply.json(400, {"error": "invalid_grant"})
        elif form.get("grant_type") != "refresh_token" or form.get("refresh_token") != self.refresh:
            return Reply.json(400, {"error": "invalid_grant"})
        self.refresh = self._ids.next("refresh", 43)
        token = self._ids.next("eyJhbGciOi.", 64)
        self._tokens[token] = self._now() + timedelta(seconds=self._life)
        return Reply.json(200, {
            "access_token": token, "expires_in": self._life, "token_type": "Bearer", "refresh_token": self.refresh,
            "scope": self._scope,
        })  # fmt: skip
