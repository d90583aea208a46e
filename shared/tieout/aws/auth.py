"""Authentication as data: a target declares a scheme and its settings, this room carries it out, through Authlib.

Schemes: ``bearer_key`` (a long-lived key), ``oauth2_client_credentials`` (client secret in the form) and
``oauth2_jwt_assertion`` (client credentials with a signed assertion, RFC 7523). Tokens live in the process until a
minute before they end. Asking for a token writes nothing at the target, so every failure of it is *try again*. No
secret is ever in a message, a ``repr`` or a log.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from authlib.oauth2.rfc6749.parameters import prepare_token_request
from authlib.oauth2.rfc7523.assertion import sign_jwt_bearer_assertion
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from tieout.core.verdicts import TryAgain

#: A token is renewed this long before it ends.
MARGIN: Final = timedelta(seconds=60)
#: How long a token is used whose end the target does not tell (Salesforce): well below any session's setting.
UNTOLD_LIFE: Final = 900
#: Lifetime of a signed assertion, in seconds: long enough for clocks that differ, short enough to be worthless later.
ASSERTION_LIFE: Final = 300
ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

#: Posts a form to a URL; status and parsed JSON (``None`` where it is none). Raises ``TryAgain``.
PostForm = Callable[[str, str], tuple[int, Any]]


class Credentials(Protocol):
    """What puts authentication on a request."""

    def header(self) -> str:
        """The ``Authorization`` header. Raises ``TryAgain('target_credentials' | 'target_unreachable')``."""

    def renew(self, spent: str) -> bool:
        """Forget what ``spent`` (a header) was made of; whether another try can be of use."""


@dataclass(repr=False)
class BearerKey:
    """A long-lived key."""

    key: str

    def header(self) -> str:
        """The key as a bearer token."""
        return f"Bearer {self.key}"

    def renew(self, spent: str) -> bool:
        """A key cannot be renewed from here."""
        return False


@dataclass(repr=False)
class Token:
    """An access token, fetched when it is needed. Safe to use from several threads."""

    form: Callable[[], str]
    url: str
    post: PostForm
    now: Callable[[], datetime]
    _value: str = ""
    _until: datetime | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def header(self) -> str:
        """A token that is still good for a minute."""
        with self._lock:
            if self._until is None or self.now() >= self._until - MARGIN:
                self._fetch()
            return f"Bearer {self._value}"

    def renew(self, spent: str) -> bool:
        """Forget the token, unless another thread has already fetched a newer one."""
        with self._lock:
            if spent == f"Bearer {self._value}":
                self._until = None
        return True

    def _fetch(self) -> None:
        status, answer = self.post(self.url, self.form())
        said = answer if isinstance(answer, Mapping) else {}
        if status >= 500 or status == 429:
            raise TryAgain("target_unreachable", f"token endpoint answers HTTP {status}")
        value = said.get("access_token")
        if status != 200 or not isinstance(value, str) or not value:
            raise TryAgain("target_credentials", f"HTTP {status} {str(said.get('error', ''))[:80]}", after=60)
        life = str(said.get("expires_in", UNTOLD_LIFE))
        seconds = int(life) if life.isascii() and life.isdigit() else UNTOLD_LIFE
        self._value, self._until = value, self.now() + timedelta(seconds=seconds)


def credentials(
    auth: Mapping[str, str], secret: Mapping[str, Any], post: PostForm, now: Callable[[], datetime]
) -> Credentials:
    """The credentials that a target's ``auth`` declares, from its account's secret.

    Raises ``TryAgain('target_credentials')`` where the secret lacks a field: it may be just being filled in.
    """
    if auth["scheme"] == "bearer_key":
        return BearerKey(_field(secret, auth["field"]))
    url = _field(secret, "base_url").rstrip("/") + auth["token_path"]
    if auth["scheme"] == "oauth2_client_credentials":
        form = _secret_form(_field(secret, "client_id"), _field(secret, "client_secret"))
        return Token(form, url, post, now)
    if auth["scheme"] == "oauth2_jwt_assertion":
        return Token(_assertion_form(auth, secret, url, now), url, post, now)
    raise ValueError(f"no such scheme: {auth['scheme']}")


def _secret_form(client_id: str, client_secret: str) -> Callable[[], str]:
    return lambda: str(prepare_token_request("client_credentials", client_id=client_id, client_secret=client_secret))


def _assertion_form(
    auth: Mapping[str, str], secret: Mapping[str, Any], url: str, now: Callable[[], datetime]
) -> Callable[[], str]:
    client_id, key = _field(secret, "client_id"), _field(secret, "private_key")
    kind = ECKey if auth["algorithm"].startswith("ES") else RSAKey
    head = {"alg": auth["algorithm"], "typ": "JWT", "kid": _field(secret, "certificate_id")}

    def form() -> str:
        issued = int(now().timestamp())  # by the house's clock, as all times are
        try:
            assertion = sign_jwt_bearer_assertion(
                kind.import_key(key), client_id, url, issued_at=issued, expires_at=issued + ASSERTION_LIFE,
                claims={"scope": [auth["scope"]]}, header=dict(head),
            )  # fmt: skip
        except (ValueError, TypeError, JoseError):
            raise TryAgain("target_credentials", "the private key cannot sign", after=60) from None
        fields = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}
        return str(prepare_token_request("client_credentials", **fields))

    return form


def _field(secret: Mapping[str, Any], name: str) -> str:
    value = secret.get(name)
    if not isinstance(value, str) or not value:
        raise TryAgain("target_credentials", f"the secret has no {name}", after=60)
    return value


def plain_http_only_on_loopback(base_url: str) -> None:
    """Refuse to send credentials in the clear: ``http`` is for this machine alone (the local world)."""
    parts = urlsplit(base_url)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1")):
        return
    raise TryAgain("target_credentials", "the base URL is not https", after=60)
