"""Authentication as data: a target declares a scheme and its settings, this room carries it out, through Authlib.

The schemes are those of ``core/credentials.py``. Tokens live in the process until a minute before they end. Asking for
a token writes nothing at the target, so every failure of it is *try again*. A refresh token that changes at each use is
renewed by one process at a time, and the new pair is stored before it is used. No secret is ever in a message, a
``repr`` or a log.
"""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from authlib.oauth2.rfc6749.parameters import prepare_token_request
from authlib.oauth2.rfc7523.assertion import sign_jwt_bearer_assertion
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from tieout.core.credentials import Pair, chosen
from tieout.core.verdicts import TryAgain

#: A token is renewed this long before it ends.
MARGIN: Final = timedelta(seconds=60)
#: How long a token is used whose end the target does not tell (Salesforce): well below any session's setting.
UNTOLD_LIFE: Final = 900
#: Lifetime of a signed assertion, in seconds: long enough for clocks that differ, short enough to be worthless later.
ASSERTION_LIFE: Final = 300
#: Lifetime of a token that we sign ourselves, in seconds; Snowflake takes none that lives longer than an hour.
KEYPAIR_LIFE: Final = 3000
ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
BEARER_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
#: How soon a process that found another one renewing looks again, in seconds.
RENEWAL_AGAIN: Final = 3

#: Posts a form to a URL with further headers; status and parsed JSON (``None`` where it is none). Raises ``TryAgain``.
PostForm = Callable[[str, str, Mapping[str, str]], tuple[int, Any]]


@dataclass(frozen=True)
class Call:
    """What is about to be sent, as far as a signature needs it."""

    method: str
    url: str


class Credentials(Protocol):
    """What puts authentication on a request."""

    def sign(self, call: Call) -> dict[str, str]:
        """The headers to add. Raises ``TryAgain('target_credentials' | 'target_unreachable')``."""

    def renew(self, spent: Mapping[str, str]) -> bool:
        """Forget what ``spent`` (the headers of :meth:`sign`) was made of; whether another try can be of use."""


class TokenStore(Protocol):
    """Where a rotating pair is kept for all processes, and who may renew it now."""

    def read(self) -> Pair | None:
        """The pair as stored now; ``None`` before the first renewal. Raises ``TryAgain``."""

    def claim(self) -> bool:
        """Take the right to renew, for as long as a renewal takes; ``False`` where another process has it."""

    def store(self, pair: Pair) -> None:
        """Keep a new pair for all. Raises ``TryAgain``."""

    def release(self) -> None:
        """Give the right to renew back; never raises."""


@dataclass(repr=False)
class Fixed:
    """Headers that do not change: a key, or user and password."""

    headers: Mapping[str, str]

    def sign(self, call: Call) -> dict[str, str]:
        """The same headers for each request."""
        return dict(self.headers)

    def renew(self, spent: Mapping[str, str]) -> bool:
        """A key cannot be renewed from here."""
        return False


@dataclass(repr=False)
class OAuth1:
    """A signature over each request, by a token of its own (RFC 5849, HMAC-SHA256)."""

    consumer_key: str
    consumer_secret: str
    token: str
    token_secret: str
    realm: str
    now: Callable[[], datetime]

    def sign(self, call: Call) -> dict[str, str]:
        """The ``Authorization`` header of one request: its nonce is drawn, its time is the house's."""
        from tieout.aws.oauth1 import authorization

        stamp = str(int(self.now().timestamp()))
        return {"Authorization": authorization(self, call.method, call.url, stamp)}

    def renew(self, spent: Mapping[str, str]) -> bool:
        """Nothing is kept, so there is nothing to renew."""
        return False


@dataclass(repr=False)
class KeyPair:
    """A token signed here, by a key whose public half the vendor has (Snowflake's key-pair authentication)."""

    account: str
    user: str
    private_key: str
    header: str
    header_value: str
    now: Callable[[], datetime]
    _value: str = ""
    _until: datetime | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def sign(self, call: Call) -> dict[str, str]:
        """A token that is still good for a minute, and the header that says of what kind it is."""
        with self._lock:
            if self._until is None or self.now() >= self._until - MARGIN:
                self._until = self.now() + timedelta(seconds=KEYPAIR_LIFE)
                self._value = self._signed(int(self.now().timestamp()))
            return {**_bearer(self._value), self.header: self.header_value}

    def _signed(self, issued: int) -> str:
        try:
            key = RSAKey.import_key(self.private_key)
            print_ = base64.b64encode(hashlib.sha256(key.as_der(private=False)).digest()).decode()
            # The account's locator goes without its region, and both names in capitals.
            subject = f"{self.account.partition('.')[0].upper()}.{self.user.upper()}"
            claims = {"iss": f"{subject}.SHA256:{print_}", "sub": subject, "iat": issued, "exp": issued + KEYPAIR_LIFE}
            return str(jwt.encode({"alg": "RS256", "typ": "JWT"}, claims, key))
        except (ValueError, TypeError, JoseError):
            self._until = None
            raise TryAgain("target_credentials", "the private key cannot sign", after=60) from None

    def renew(self, spent: Mapping[str, str]) -> bool:
        """Sign anew: a clock that is off may have made the last one look old."""
        with self._lock:
            if spent.get("Authorization") == _bearer(self._value)["Authorization"]:
                self._until = None
        return True


@dataclass(repr=False)
class Token:
    """An access token, fetched when it is needed. Safe to use from several threads: one fetches, the others wait."""

    form: Callable[[], str]
    url: str
    post: PostForm
    now: Callable[[], datetime]
    headers: Mapping[str, str] = field(default_factory=dict)
    _value: str = ""
    _until: datetime | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def sign(self, call: Call) -> dict[str, str]:
        """A token that is still good for a minute."""
        with self._lock:
            if self._until is None or self.now() >= self._until - MARGIN:
                said = ask(self.post, self.url, self.form(), self.headers)
                self._value, self._until = str(said["access_token"]), self.now() + life(said)
            return _bearer(self._value)

    def renew(self, spent: Mapping[str, str]) -> bool:
        """Forget the token, unless another thread has already fetched a newer one."""
        with self._lock:
            if spent == _bearer(self._value):
                self._until = None
        return True


@dataclass(repr=False)
class Rotating:
    """An access token whose renewal uses up the refresh token: renewed by one thread of one process at a time."""

    client: tuple[str, str]
    first: str
    url: str
    post: PostForm
    now: Callable[[], datetime]
    store: TokenStore
    #: Days for which a refresh token lives that is not used, where the vendor says so.
    refresh_days: int | None = None
    _pair: Pair | None = None
    #: A pair that could not be stored yet. It is used up at the vendor's, so it must not be lost.
    _unstored: Pair | None = None
    _spent: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def sign(self, call: Call) -> dict[str, str]:
        """A token that is still good for a minute."""
        with self._lock:
            if self._unstored is not None:
                self._keep(self._unstored)
            if not self._good(self._pair):
                self._pair = self.store.read()
            if not self._good(self._pair):
                self._pair = self._renewed()
            assert self._pair is not None
            return _bearer(self._pair.access)

    def renew(self, spent: Mapping[str, str]) -> bool:
        """Do not use this token again, whatever its end; one that is newer already is kept."""
        with self._lock:
            if self._pair is not None and spent == _bearer(self._pair.access):
                self._spent = self._pair.access
        return True

    def _good(self, pair: Pair | None) -> bool:
        return pair is not None and pair.access != self._spent and self.now() < pair.until - MARGIN

    def _renewed(self) -> Pair:
        if not self.store.claim():
            raise TryAgain("target_credentials", "another process renews the token", after=RENEWAL_AGAIN)
        try:
            # Only now is what is stored sure to stay: whoever renewed before us has written it.
            kept = self.store.read()
            if kept is not None and self._good(kept):
                return kept
            fields = {"refresh_token": kept.refresh if kept else self.first}
            said = ask(self.post, self.url, str(prepare_token_request("refresh_token", **fields)), _basic(*self.client))
            pair = pair_of(said, fields["refresh_token"], self.now(), self.refresh_days)
            self._unstored = pair
            self._keep(pair)
            return pair
        finally:
            self.store.release()

    def _keep(self, pair: Pair) -> None:
        self.store.store(pair)
        self._unstored = None


def ask(post: PostForm, url: str, form: str, headers: Mapping[str, str]) -> Mapping[str, Any]:
    """What a token endpoint answers. Raises ``TryAgain``: nothing was done at the target."""
    status, answer = post(url, form, headers)
    said = answer if isinstance(answer, Mapping) else {}
    if status >= 500 or status == 429:
        raise TryAgain("target_unreachable", f"token endpoint answers HTTP {status}")
    value = said.get("access_token")
    if status != 200 or not isinstance(value, str) or not value:
        raise TryAgain("target_credentials", f"HTTP {status} {str(said.get('error', ''))[:80]}", after=60)
    return said


def pair_of(said: Mapping[str, Any], refresh: str, now: datetime, refresh_days: int | None) -> Pair:
    """The pair that an endpoint gave; ``refresh`` is what stays where it gave no other refresh token."""
    days = _number(said.get("x_refresh_token_expires_in"), 86_400 * (refresh_days or 0)) // 86_400
    until = (now + timedelta(days=days)).date().isoformat() if days else ""
    return Pair(str(said["access_token"]), str(said.get("refresh_token") or refresh), now + life(said), until)


def life(said: Mapping[str, Any]) -> timedelta:
    """How long the token lives, as the endpoint says."""
    return timedelta(seconds=_number(said.get("expires_in"), UNTOLD_LIFE))


def _number(value: object, otherwise: int) -> int:
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() else otherwise


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def credentials(
    auth: Mapping[str, str], secret: Mapping[str, Any], post: PostForm, now: Callable[[], datetime],
    store: TokenStore | None = None,
) -> Credentials:  # fmt: skip
    """The credentials that a target's ``auth`` declares, from its account's secret.

    Raises ``TryAgain('target_credentials')`` where the secret lacks a field: it may be just being filled in.
    """

    def given(name: str) -> str:
        return _field(secret, name)

    auth = chosen(auth, secret)
    match auth["scheme"]:
        case "bearer_key":
            return Fixed(_bearer(given(auth["field"])))
        case "header_key":
            return Fixed({auth["header"]: given(auth["field"])})
        case "basic":
            return Fixed(_basic(given(auth["user"]) + auth.get("user_suffix", ""), given(auth["password"])))
        case "basic_key":
            return Fixed(_basic(given(auth["user"]), ""))
        case "oauth1":
            return OAuth1(given("consumer_key"), given("consumer_secret"), given("token_id"), given("token_secret"),
                          given("realm"), now)  # fmt: skip
        case "keypair_jwt":
            return KeyPair(given(auth["account"]), given(auth["user"]), given("private_key"), auth["header"],
                           auth["header_value"], now)  # fmt: skip
        case "oauth2_client_credentials":
            form, headers = _secret_form(auth, given("client_id"), given("client_secret"))
            return Token(form, token_url(auth, secret), post, now, headers)
        case "oauth2_jwt_assertion" | "oauth2_jwt_bearer":
            url = token_url(auth, secret)
            return Token(_assertion_form(auth, secret, url, now), url, post, now)
        case "oauth2_refresh":
            if store is None:
                raise ValueError("a rotating token needs a store")
            days = _number(auth.get("refresh_days"), 0) or None
            client = (given("client_id"), given("client_secret"))
            return Rotating(client, given("refresh_token"), token_url(auth, secret), post, now, store, days)
    raise ValueError(f"no such scheme: {auth['scheme']}")


def token_url(auth: Mapping[str, str], secret: Mapping[str, Any]) -> str:
    """The token endpoint: the secret's own ``token_url`` (where it is on another host), or below the base URL."""
    given = secret.get("token_url")
    if isinstance(given, str) and given:
        plain_http_only_on_loopback(given)
        return given
    return _field(secret, "base_url").rstrip("/") + auth["token_path"]


def _secret_form(
    auth: Mapping[str, str], client_id: str, client_secret: str
) -> tuple[Callable[[], str], Mapping[str, str]]:
    """Client credentials in the form, or in the header where ``client_auth`` says ``basic``."""
    more = {"scope": auth["scope"]} if auth.get("scope") else {}
    if auth.get("client_auth") == "basic":
        return lambda: str(prepare_token_request("client_credentials", **more)), _basic(client_id, client_secret)
    fields = {"client_id": client_id, "client_secret": client_secret, **more}
    return lambda: str(prepare_token_request("client_credentials", **fields)), {}


def _assertion_form(
    auth: Mapping[str, str], secret: Mapping[str, Any], url: str, now: Callable[[], datetime]
) -> Callable[[], str]:
    """The form of RFC 7523: the signed assertion is the grant itself, or the client's proof of who it is."""
    as_grant = auth["scheme"] == "oauth2_jwt_bearer"
    client_id, key = _field(secret, "client_id"), _field(secret, "private_key")
    kind = ECKey if auth["algorithm"].startswith("ES") else RSAKey
    head = {"alg": auth["algorithm"], "typ": "JWT"} | ({} if as_grant else {"kid": _field(secret, "certificate_id")})
    subject = {"subject": _field(secret, "subject")} if as_grant else {}
    audience = str(secret.get("audience") or auth.get("audience") or url)
    claims = {"scope": [auth["scope"]]} if auth.get("scope") else {}
    lives = _number(auth.get("assertion_life"), ASSERTION_LIFE)

    def form() -> str:
        issued = int(now().timestamp())  # by the house's clock, as all times are
        try:
            assertion = sign_jwt_bearer_assertion(
                kind.import_key(key), client_id, audience, issued_at=issued, expires_at=issued + lives,
                claims=dict(claims), header=dict(head), **subject,
            )  # fmt: skip
        except (ValueError, TypeError, JoseError):
            raise TryAgain("target_credentials", "the private key cannot sign", after=60) from None
        if as_grant:
            return str(prepare_token_request(BEARER_GRANT, assertion=assertion))
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
