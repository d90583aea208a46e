"""The sandboxes, started, with a clock that only moves when told, and clients that speak as an integration does."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from infra.local.sandbox import Sandboxes

TOKEN = "/services/rest/auth/oauth2/v1/token"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class StillClock:
    """Time that moves by ``advance`` only."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def advance(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


class Drop:
    """A file drop in memory."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def list(self, prefix: str) -> tuple[str, ...]:
        return tuple(key for key in self.files if key.startswith(prefix))

    def get(self, key: str) -> bytes:
        return self.files[key]

    def put(self, key: str, body: bytes) -> None:
        self.files[key] = body


class Inbox:
    """What stands for the product's webhook endpoint: it remembers, and answers as told."""

    def __init__(self) -> None:
        self.received: list[tuple[str, dict[str, str], bytes]] = []
        self.answers: list[int] = []

    def __call__(self, path: str, headers: dict[str, str], body: bytes) -> int:
        self.received.append((path, headers, body))
        return self.answers.pop(0) if self.answers else 202

    @property
    def events(self) -> list[Any]:
        return [json.loads(body) for _, _, body in self.received]


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def assertion(secret: dict[str, Any], now: datetime, **changes: Any) -> str:
    """A client assertion as NetSuite wants it; ``changes`` overwrite header (``kid``, ``alg``) or claims."""
    head = {"typ": "JWT", "alg": "ES256", "kid": secret["certificate_id"]}
    stamp = int(now.timestamp())
    claims = {
        "iss": secret["client_id"],
        "scope": ["rest_webservices"],
        "aud": secret["base_url"] + TOKEN,
        "iat": stamp,
        "exp": stamp + 300,
    }
    for name, value in changes.items():
        (head if name in head else claims)[name] = value
    signed = f"{b64(json.dumps(head).encode())}.{b64(json.dumps(claims).encode())}"
    key = serialization.load_pem_private_key(secret["private_key"].encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{signed}.{b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def token_form(jwt: str) -> dict[str, str]:
    return {"grant_type": "client_credentials", "client_assertion_type": ASSERTION, "client_assertion": jwt}


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def sandboxes(clock: StillClock, inbox: Inbox) -> Iterator[Sandboxes]:
    with Sandboxes(clock) as started:
        started.deliver = inbox
        started.drop = Drop()
        yield started


@pytest.fixture
def stripe(sandboxes: Sandboxes) -> Iterator[httpx.Client]:
    """A caller of the US account."""
    secret = sandboxes.secrets("test")["tieout/test/stripe/acct_us"]
    headers = {"Authorization": f"Bearer {secret['api_key']}"}
    with httpx.Client(base_url=secret["base_url"], headers=headers, timeout=5) as client:
        yield client


@pytest.fixture
def netsuite(sandboxes: Sandboxes, clock: StillClock) -> Iterator[httpx.Client]:
    """A caller with a token, who asks for unknown fields to be refused."""
    secret = sandboxes.secrets("test")["tieout/test/netsuite/acme"]
    with httpx.Client(base_url=secret["base_url"], timeout=5) as client:
        answer = client.post(TOKEN, data=token_form(assertion(secret, clock.now())))
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        client.headers["X-NetSuite-PropertyNameValidation"] = "Error"
        yield client


@pytest.fixture
def salesforce(sandboxes: Sandboxes) -> Iterator[httpx.Client]:
    """A caller with a session."""
    secret = sandboxes.secrets("test")["tieout/test/salesforce/acme"]
    form = {
        "grant_type": "client_credentials",
        "client_id": secret["client_id"],
        "client_secret": secret["client_secret"],
    }
    with httpx.Client(base_url=secret["base_url"], timeout=5) as client:
        answer = client.post("/services/oauth2/token", data=form).json()
        client.headers["Authorization"] = f"Bearer {answer['access_token']}"
        yield client
