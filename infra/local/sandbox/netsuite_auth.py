"""NetSuite's token endpoint: OAuth 2.0 client credentials with a signed assertion (ES256 or PS256).

The assertion is checked as NetSuite checks it: certificate id (``kid``), signature, issuer, audience, lifetime of at
most an hour, scope. Times are compared with world time.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from infra.local.sandbox.agenda import Clock
from infra.local.sandbox.system import Ids
from infra.local.sandbox.wire import Json, Reply

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
TOKEN_PATH = "/services/rest/auth/oauth2/v1/token"
TOKEN_LIFE = 3600
STAMP_WINDOW = 300  # seconds by which the time stamp of a signed request may be off
OAUTH = re.compile(r'(\w+)="([^"]*)"')
LEEWAY = 60  # seconds by which two honest clocks may differ
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


def _percent(text: str) -> str:
    """Percent-encoded as RFC 5849 (3.6) wants it."""
    return quote(text, safe="~")


def unpadded(text: str) -> bytes:
    """Decode base64url without padding; raises ValueError."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Tokens:
    """Certificates that are registered, and tokens that are out."""

    def __init__(self, clock: Clock, ids: Ids) -> None:
        self._clock = clock
        self._ids = ids
        self.client_id = ids.code("client id", 64).lower()
        self.certificates: dict[str, PublicKey] = {}
        self.valid: dict[str, datetime] = {}
        #: An integration record and a token of token-based authentication.
        self.consumer_key, self.consumer_secret = ids.code("consumer key", 64), ids.code("consumer secret", 64)
        self.token_id, self.token_secret = ids.code("token id", 64), ids.code("token secret", 64)
        self._seen: set[tuple[str, str]] = set()

    def make_certificate(self) -> tuple[str, str]:
        """A new EC P-256 key pair: certificate id and private key (PKCS 8, PEM)."""
        private = ec.generate_private_key(ec.SECP256R1())
        pem = private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return self.register(private.public_key()), pem.decode()

    def register(self, key: PublicKey) -> str:
        """Register a certificate's public key; returns its id."""
        ident = self._ids.next("", 43)
        self.certificates[ident] = key
        return ident

    def accepts_signed(self, header: str, method: str, url: str, realm: str) -> bool:
        """Whether an Authorization header signs this very request (token-based authentication).

        NetSuite takes HMAC-SHA256, a time stamp near its own time and a nonce that it has not seen beside it.
        """
        said = {name: unquote(value) for name, value in OAUTH.findall(header)}
        stamp, nonce = said.get("oauth_timestamp", ""), said.get("oauth_nonce", "")
        late = not stamp.isdigit() or abs(int(stamp) - int(self._clock().timestamp())) > STAMP_WINDOW
        who = (said.get("realm"), said.get("oauth_consumer_key"), said.get("oauth_token"))
        if who != (realm, self.consumer_key, self.token_id) or late or len(nonce) < 6 or (stamp, nonce) in self._seen:
            return False
        if said.get("oauth_signature_method") != "HMAC-SHA256":
            return False
        mark = said.pop("oauth_signature", "")
        address, _, query = url.partition("?")
        pairs = [*parse_qsl(query, keep_blank_values=True), *((k, v) for k, v in said.items() if k != "realm")]
        normal = "&".join(sorted(f"{_percent(name)}={_percent(value)}" for name, value in pairs))
        base = f"{method}&{_percent(address)}&{_percent(normal)}"
        key = f"{_percent(self.consumer_secret)}&{_percent(self.token_secret)}"
        good = base64.b64encode(hmac.new(key.encode(), base.encode(), hashlib.sha256).digest()).decode()
        if mark != good:
            return False
        self._seen.add((stamp, nonce))
        return True

    def accepts(self, header: str) -> bool:
        """Whether an Authorization header carries a token that is still valid."""
        scheme, _, token = header.partition(" ")
        until = self.valid.get(token)
        return scheme.lower() == "bearer" and until is not None and self._clock() < until

    def issue(self, form: Json, audience: str) -> Reply:
        """Answer a token request."""
        problem = self._problem(form, audience)
        if problem:
            return Reply.json(400, {"error": problem[0], "error_description": problem[1]})
        token = self._ids.next("eyJraWQi.", 64)
        self.valid[token] = self._clock() + timedelta(seconds=TOKEN_LIFE)
        return Reply.json(200, {"access_token": token, "expires_in": str(TOKEN_LIFE), "token_type": "Bearer"})

    def _problem(self, form: Json, audience: str) -> tuple[str, str] | None:
        if form.get("grant_type") != "client_credentials":
            return "unsupported_grant_type", "grant_type must be client_credentials"
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            return "invalid_request", "client_assertion_type is missing or wrong"
        try:
            head, claims, signed, signature = split_token(str(form.get("client_assertion", "")))
        except (ValueError, UnicodeDecodeError):
            return "invalid_request", "client_assertion is not a JSON web token"
        key = self.certificates.get(str(head.get("kid")))
        if key is None:
            return "invalid_client", "kid names no certificate of this integration"
        if head.get("alg") not in ("ES256", "PS256") or not verified(key, str(head["alg"]), signed, signature):
            return "invalid_client", "the signature does not verify"
        return self._claims_problem(claims, audience)

    def _claims_problem(self, claims: Json, audience: str) -> tuple[str, str] | None:
        now = int(self._clock().timestamp())
        issued, expires = claims.get("iat"), claims.get("exp")
        if claims.get("iss") != self.client_id:
            return "invalid_client", "iss is not the client id"
        audiences = claims.get("aud")
        if audience not in (audiences if isinstance(audiences, list) else [audiences]):
            return "invalid_grant", f"aud must be {audience}"
        if not isinstance(issued, int) or not isinstance(expires, int):
            return "invalid_grant", "iat and exp must be integers"
        if expires - issued > 3600 or issued > now + LEEWAY or expires < now - LEEWAY:
            return "invalid_grant", "the assertion is not valid at this time (at most an hour from iat to exp)"
        scope = claims.get("scope", [])
        if "rest_webservices" not in (scope if isinstance(scope, list) else str(scope).replace(",", " ").split()):
            return "invalid_scope", "scope must include rest_webservices"
        return None


def split_token(token: str) -> tuple[Json, Json, bytes, bytes]:
    """Header, claims, what is signed and the signature of a JSON web token. Raises ValueError."""
    head, claims, signature = token.split(".")
    parts: list[Any] = [json.loads(unpadded(part)) for part in (head, claims)]
    if not all(isinstance(part, dict) for part in parts):
        raise ValueError("header and claims must be objects")
    return parts[0], parts[1], f"{head}.{claims}".encode(), unpadded(signature)


@cache
def key_pair() -> tuple[rsa.RSAPublicKey, str]:
    """An RSA key pair: the public half, and the private one as PKCS 8 (PEM). One a process: making one takes long."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private.public_key(), pem.decode()


def verified(key: PublicKey, algorithm: str, signed: bytes, signature: bytes) -> bool:
    """Whether a signature is that of the key."""
    digest = hashes.SHA256()
    try:
        if algorithm == "ES256" and isinstance(key, ec.EllipticCurvePublicKey) and len(signature) == 64:
            pair = [int.from_bytes(half, "big") for half in (signature[:32], signature[32:])]
            key.verify(encode_dss_signature(*pair), signed, ec.ECDSA(digest))
            return True
        if algorithm == "RS256" and isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, signed, padding.PKCS1v15(), digest)
            return True
        if algorithm == "PS256" and isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, signed, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
            return True
    except InvalidSignature:
        return False
    return False
