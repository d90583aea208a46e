"""The login: OpenID Connect, authorization code flow with PKCE (S256), state and nonce in a sealed cookie.

Discovery and keys are fetched from the issuer once per environment; an unknown key id fetches them again, once. The
ID token is checked for signature (asymmetric algorithms only), issuer, audience, time and nonce. Nothing of the
provider is kept but the subject, a name to show, and the roles.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

import httpx
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from tieout.aws.web.http import Answer, Refusal, Request, redirect
from tieout.aws.web.session import (
    LIFETIME,
    LOGIN,
    LOGIN_LIFETIME,
    ROLES_CLAIM,
    SESSION,
    Person,
    Sealer,
    cookie,
    cookie_of,
    roles_of,
)  # fmt: skip

SCOPE: Final = "openid profile email"
ALGORITHMS: Final = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
CALLBACK: Final = "/auth/callback"
TIMEOUT: Final = 5.0
#: Clock difference with the provider that is let pass, in seconds.
LEEWAY: Final = 60
#: Where somebody may be sent after the login: our own pages, nothing that a browser could read as another host.
_OWN_PAGE: Final = re.compile(r"/desk(?:/[\w\-./~%:@=,+!$&'()*;]*)?(?:\?[\w\-./~%:@=,+!$&'()*;?]*)?")


class Provider:
    """The identity provider as the login needs it. ``transport`` stands in for the network in tests."""

    def __init__(
        self,
        issuer: str,
        client_id: str,
        secret: Mapping[str, Any] | None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._transport = transport
        self.issuer = issuer.rstrip("/")
        self.client_id = client_id
        self._secret = str((secret or {}).get("client_secret", ""))
        self._about: dict[str, Any] = {}
        self._keys: KeySet | None = None

    def about(self) -> Mapping[str, Any]:
        """The provider's own description. Raises ``Refusal`` where it cannot be had or names another issuer."""
        if not self._about:
            found = self._get(f"{self.issuer}/.well-known/openid-configuration")
            if str(found.get("issuer", "")).rstrip("/") != self.issuer:
                raise Refusal(502, "Sign-in is not available", "The identity provider names another issuer.")
            self._about = found
        return self._about

    def keys(self, *, again: bool = False) -> KeySet:
        """The provider's public keys."""
        if self._keys is None or again:
            self._keys = KeySet.import_key_set(self._get(str(self.about()["jwks_uri"])))  # type: ignore[arg-type]
        return self._keys

    def _get(self, url: str) -> dict[str, Any]:
        try:
            with httpx.Client(timeout=TIMEOUT, follow_redirects=False, transport=self._transport) as client:
                answer = client.get(url).raise_for_status().json()
        except (httpx.HTTPError, ValueError) as error:
            raise Refusal(502, "Sign-in is not available", "The identity provider does not answer.") from error
        if not isinstance(answer, dict):
            raise Refusal(502, "Sign-in is not available", "The identity provider answers something else.")
        return answer

    def address(self, origin: str, flow: Mapping[str, str]) -> str:
        """Where somebody signs in."""
        return str(
            prepare_grant_uri(
                str(self.about()["authorization_endpoint"]),
                self.client_id,
                "code",
                redirect_uri=f"{origin}{CALLBACK}",
                scope=SCOPE,
                state=flow["state"],
                nonce=flow["nonce"],
                code_challenge=create_s256_code_challenge(flow["verifier"]),
                code_challenge_method="S256",
            )
        )

    def redeem(self, origin: str, code: str, flow: Mapping[str, str], now: datetime) -> Person:
        """Who the code stands for. Raises ``Refusal`` where the provider or the ID token does not convince."""
        # Without a secret it is a public client, which names itself: PKCE alone proves that the code is ours.
        named = {} if self._secret else {"client_id": self.client_id}
        body = prepare_token_request(
            "authorization_code", code=code, redirect_uri=f"{origin}{CALLBACK}", code_verifier=flow["verifier"], **named
        )
        secret = httpx.BasicAuth(quote(self.client_id, ""), quote(self._secret, "")) if self._secret else None
        form = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        try:
            with httpx.Client(timeout=TIMEOUT, auth=secret, transport=self._transport) as client:
                answer = client.post(str(self.about()["token_endpoint"]), content=body, headers=form)
            token = answer.raise_for_status().json()
            id_token = str(token["id_token"])
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise Refusal(401, "Sign-in failed", "The identity provider did not take the code.") from error
        return self._person(id_token, flow["nonce"], now)

    def _person(self, id_token: str, nonce: str, now: datetime) -> Person:
        claims = self._claims(id_token)
        rules = jwt.JWTClaimsRegistry(
            now=int(now.timestamp()), leeway=LEEWAY, iss={"essential": True, "value": str(self.about()["issuer"])},
            aud={"essential": True, "value": self.client_id}, exp={"essential": True}, iat={"essential": True},
            sub={"essential": True}, nonce={"essential": True},
        )  # fmt: skip
        try:
            rules.validate(claims)
        except JoseError as error:
            raise Refusal(401, "Sign-in failed", "The identity provider's answer does not hold.") from error
        authorized = claims.get("azp", self.client_id)
        if not hmac.compare_digest(str(claims["nonce"]), nonce) or authorized != self.client_id:
            raise Refusal(401, "Sign-in failed", "The identity provider's answer is not for this sign-in.")
        name = str(claims.get("name") or claims.get("email") or claims["sub"])
        return Person(str(claims["sub"])[:200], name[:100], roles_of(claims.get(ROLES_CLAIM)))

    def _claims(self, id_token: str) -> dict[str, Any]:
        for again in (False, True):
            try:
                return dict(jwt.decode(id_token, self.keys(again=again), algorithms=ALGORITHMS).claims)
            except (JoseError, ValueError) as error:
                wrong = error  # perhaps a key that is newer than ours: they are fetched again, once
        raise Refusal(401, "Sign-in failed", "The identity provider's answer does not hold.") from wrong


def login(request: Request, provider: Provider, sealer: Sealer) -> Answer:
    """Send somebody to sign in; what must come back is sealed in a cookie of ten minutes."""
    flow = {
        "state": secrets.token_urlsafe(24),
        "nonce": secrets.token_urlsafe(24),
        "verifier": secrets.token_urlsafe(48),
        "next": own_page(request.query.get("next", "")),
    }
    sealed = sealer.seal(LOGIN, flow, request.now)
    return redirect(provider.address(request.origin, flow), cookie(LOGIN, sealed, request.origin, LOGIN_LIFETIME))


def callback(request: Request, provider: Provider, sealer: Sealer) -> Answer:
    """Somebody comes back from signing in. Raises ``Refusal`` where anything is not as it was sealed."""
    sealed = cookie_of(request.cookies, LOGIN, request.origin)
    flow = sealer.open(LOGIN, sealed, LOGIN_LIFETIME, request.now) if sealed else None
    if flow is None:
        raise Refusal(400, "Sign-in took too long", "Please sign in again.", "login_expired")
    if not hmac.compare_digest(request.query.get("state", "").encode(), flow["state"].encode()):
        raise Refusal(400, "Sign-in failed", "The answer belongs to another sign-in.", "state_differs")
    if request.query.get("iss", provider.issuer).rstrip("/") != provider.issuer:
        raise Refusal(400, "Sign-in failed", "The answer comes from another issuer.", "issuer_differs")
    if not request.query.get("code"):
        raise Refusal(401, "Sign-in failed", "The identity provider refused it.", "login_refused")
    person = provider.redeem(request.origin, request.query["code"], flow, request.now)
    if not person.may_see:
        raise Refusal(
            403, "No role", f"{person.name} has no role at this desk. Ask its administrators for one.", "no_role"
        )
    made, _ = sealer.session(person, request.now)
    gone = cookie(LOGIN, "", request.origin, LOGIN_LIFETIME)
    return redirect(flow["next"], cookie(SESSION, made, request.origin, LIFETIME), gone)


def own_page(wanted: str) -> str:
    """``wanted`` where it is a page of the desk, else the desk's first page."""
    return wanted if _OWN_PAGE.fullmatch(wanted) and "//" not in wanted and ".." not in wanted else "/desk"
