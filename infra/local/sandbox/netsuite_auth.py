"""NetSuite's token endpoint: OAuth 2.0 client credentials with a signed assertion (ES256 or PS256).

The assertion is checked as NetSuite checks it: certificate id (``kid``), signature, issuer, audience, lifetime of at
most an hour, scope. Times are compared with world time.
"""

from __future__ import annotations

import base64
import json
from datetime import datetime, timedelta
from typing import Any

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
LEEWAY = 60  # seconds by which two honest clocks may differ
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


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
            head, claims, signed, signature = _split(str(form.get("client_assertion", "")))
        except (ValueError, UnicodeDecodeError):
            return "invalid_request", "client_assertion is not a JSON web token"
        key = self.certificates.get(str(head.get("kid")))
        if key is None:
            return "invalid_client", "kid names no certificate of this integration"
        if not _verified(key, str(head.get("alg")), signed, signature):
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


def _split(token: str) -> tuple[Json, Json, bytes, bytes]:
    head, claims, signature = token.split(".")
    parts: list[Any] = [json.loads(unpadded(part)) for part in (head, claims)]
    if not all(isinstance(part, dict) for part in parts):
        raise ValueError("header and claims must be objects")
    return parts[0], parts[1], f"{head}.{claims}".encode(), unpadded(signature)


def _verified(key: PublicKey, algorithm: str, signed: bytes, signature: bytes) -> bool:
    digest = hashes.SHA256()
    try:
        if algorithm == "ES256" and isinstance(key, ec.EllipticCurvePublicKey) and len(signature) == 64:
            pair = [int.from_bytes(half, "big") for half in (signature[:32], signature[32:])]
            key.verify(encode_dss_signature(*pair), signed, ec.ECDSA(digest))
            return True
        if algorithm == "PS256" and isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, signed, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
            return True
    except InvalidSignature:
        return False
    return False
