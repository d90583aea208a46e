"""The authenticated transport of a target account: one HTTP client a process, bounded answers, honest failures.

What went wrong decides the verdict. Where no first byte left us (no connection), *try again*; where an answer did not
come or not whole, *uncertain*: the target may have done it. Redirects are never followed, proxies and credentials never
taken from the environment.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import httpx
from botocore.exceptions import BotoCoreError, ClientError

from tieout.aws.auth import Call, Credentials, TokenStore, credentials, plain_http_only_on_loopback
from tieout.contract import Called, Elsewhere, Wire
from tieout.core.classify import Answer
from tieout.core.verdicts import NeedsHuman, TryAgain, Uncertain
from tieout.work.ports import Unavailable

#: The most that is read of an answer; what is longer is marked as cut, and says nothing.
ANSWER_MOST: Final = 1024 * 1024
CONNECT_TIMEOUT: Final = 3.0
USER_AGENT: Final = "tieout"
#: Failures before the first byte of the request: nothing can have been done.
NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


@lru_cache(maxsize=1)
def client() -> httpx.Client:
    """The one client of this process: one TLS context, one pool of connections."""
    return httpx.Client(
        follow_redirects=False,
        trust_env=False,
        headers={"User-Agent": USER_AGENT, "Accept": "application/json"},
        limits=httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=20),
        # One client serves all accounts: a session that one of them was given must never go along with another's call.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
    )


def forget() -> None:
    """Close the client, as the end of an environment would."""
    if client.cache_info().currsize:
        client().close()
        client.cache_clear()


class HttpWire:
    """The transport of one account. Its secret is asked for at each call, so that a rotated one is used in time."""

    def __init__(
        self,
        system: Called,
        account: str,
        secret: Callable[[], Mapping[str, Any]],
        now: Callable[[], datetime],
        http: Callable[[], httpx.Client] = client,
        tokens: TokenStore | None = None,
    ) -> None:
        self.account = account
        self._system = system
        self._secret = secret
        self._now = now
        self._http = http
        self._tokens = tokens
        self._seen: Mapping[str, Any] | None = None
        self._credentials: Credentials | None = None
        #: What must allow that a request goes out once more after a 401: a call like any other for the target's limit.
        self.again: Callable[[], None] = lambda: None

    def __repr__(self) -> str:
        return f"HttpWire({self._system.name}:{self.account})"

    @property
    def settings(self) -> Mapping[str, str]:
        """Non-secret settings of the account as they are now, before the first call too. Raises ``TryAgain``."""
        return {str(name): str(value) for name, value in dict(self._read().get("settings") or {}).items()}

    def call(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        """One call; see the contract. A 401 proves that nothing was done, so it is asked once more with a new token."""
        secret = self._read()
        base_url = str(secret.get("base_url") or "").rstrip("/")
        plain_http_only_on_loopback(base_url)
        if path.startswith(("https://", "http://")):
            return self._once(method, elsewhere(self._system, path, base_url), dict(headers or {}), body)
        auth = self._auth(secret)
        call = Call(method, base_url + path)
        given = auth.sign(call)
        answer = self._once(method, call.url, {**(headers or {}), **given}, body)
        if answer.status == 401 and auth.renew(given):
            self.again()
            answer = self._once(method, call.url, {**(headers or {}), **auth.sign(call)}, body)
        return answer

    def _read(self) -> Mapping[str, Any]:
        try:
            return self._secret()
        except Unavailable as error:
            raise TryAgain("secrets_unavailable", str(error)) from error

    def _auth(self, secret: Mapping[str, Any]) -> Credentials:
        if self._credentials is None or secret != self._seen:
            self._credentials = credentials(self._system.auth, secret, self._post_form, self._now, self._tokens)
            self._seen = secret
        return self._credentials

    def _post_form(self, url: str, form: str, more: Mapping[str, str]) -> tuple[int, Any]:
        headers = {"Content-Type": "application/x-www-form-urlencoded", **more}
        try:
            answer = self._once("POST", url, headers, form.encode())
        except Uncertain as error:  # a token that was made and lost is none
            raise TryAgain("target_unreachable", "token endpoint did not answer") from error
        try:
            return answer.status, json.loads(answer.body)
        except ValueError:
            return answer.status, None

    def _once(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        limit = float(self._system.quiet.client_timeout)
        deadline = time.monotonic() + limit
        timeout = httpx.Timeout(limit, connect=min(CONNECT_TIMEOUT, limit), pool=min(CONNECT_TIMEOUT, limit))
        try:
            with self._http().stream(method, url, headers=dict(headers), content=body, timeout=timeout) as response:
                content, truncated = _bounded(response, deadline)
                return Answer(response.status_code, _lower(response.headers), content, truncated)
        except NOT_SENT as error:
            raise TryAgain("target_unreachable", type(error).__name__) from error
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise Uncertain("target_lost", type(error).__name__) from error
        except httpx.InvalidURL as error:
            raise TryAgain("target_credentials", "the base URL is no URL", after=60) from error

    def put_once(self, name: str, body: bytes) -> bool:
        """No file target."""
        raise NotImplementedError(f"{self._system.name} takes no files")

    def get(self, name: str) -> bytes | None:
        """No file target."""
        raise NotImplementedError(f"{self._system.name} takes no files")


def elsewhere(system: Called, address: str, base_url: str) -> str:
    """An address that an answer named, where it may be asked: below the account's own, or on a declared host.

    Raises ``NeedsHuman('source_unreadable')``: nobody is sent to a host because an answer says so.
    """
    parts = urlsplit(address)
    hosts = system.elsewhere if isinstance(system, Elsewhere) else ()
    host = parts.hostname or ""
    known = any(host.endswith(one) if one.startswith(".") else host == one for one in hosts)
    if address.startswith(f"{base_url}/") or (known and parts.scheme == "https" and not parts.username):
        return address
    raise NeedsHuman("source_unreadable", "a strange host", said=f"an address on the host {host[:80]}")


def _bounded(response: httpx.Response, deadline: float) -> tuple[bytes, bool]:
    """At most ``ANSWER_MOST`` bytes, and only until the deadline: an answer that drips is one that did not come."""
    parts: list[bytes] = []
    size = 0
    for part in response.iter_bytes():
        parts.append(part)
        size += len(part)
        if size > ANSWER_MOST:
            return b"".join(parts)[:ANSWER_MOST], True
        if time.monotonic() > deadline:
            raise httpx.ReadTimeout("the answer drips")
    return b"".join(parts), False


def _lower(headers: httpx.Headers) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


class Drop(Protocol):
    """A file drop: the account's own prefix of it."""

    def put_once(self, name: str, body: bytes) -> bool:
        """Write a file that does not exist yet; ``False`` where it does."""

    def get(self, name: str) -> bytes | None:
        """The content of a file; ``None`` where there is none."""

    def names(self, folder: str) -> Sequence[tuple[str, datetime]]:
        """Names of the files in a folder, each with when it was written."""


class DropWire:
    """The transport of a file target's account: a drop, whose rights are the bucket's matter."""

    def __init__(self, account: str, drop: Drop, settings: Mapping[str, str] | None = None) -> None:
        self.account = account
        self.settings: Mapping[str, str] = settings or {}
        self._drop = drop

    def __repr__(self) -> str:
        return f"DropWire({self.account})"

    def call(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        """A file target cannot be called."""
        raise NotImplementedError("a file target takes files")

    def put_once(self, name: str, body: bytes) -> bool:
        """Write once; a write whose answer is lost may have landed."""
        try:
            return self._drop.put_once(name, body)
        except ClientError as error:
            if _status(error) in (401, 403):
                raise NeedsHuman("target_forbidden", "the drop bucket", said="the drop bucket") from error
            raise Uncertain("target_lost", type(error).__name__) from error
        except BotoCoreError as error:
            raise Uncertain("target_lost", type(error).__name__) from error

    def get(self, name: str) -> bytes | None:
        """Read; a failed read changes nothing."""
        try:
            return self._drop.get(name)
        except (ClientError, BotoCoreError) as error:
            raise TryAgain("target_unreachable", type(error).__name__) from error

    def names(self, folder: str) -> Sequence[tuple[str, datetime]]:
        """Look; a failed look changes nothing. Where the role has no right to, no later look is better by itself."""
        try:
            return self._drop.names(folder)
        except ClientError as error:
            denied = _status(error) in (401, 403)
            code = "target_credentials" if denied else "target_unreachable"
            raise TryAgain(code, type(error).__name__) from error
        except BotoCoreError as error:
            raise TryAgain("target_unreachable", type(error).__name__) from error


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500))


def http_wire(
    system: Called, account: str, secret: Callable[[], Mapping[str, Any]], now: Callable[[], datetime],
    tokens: TokenStore | None = None,
) -> Wire:  # fmt: skip
    """The transport of an account that speaks HTTP; ``tokens`` keeps what a rotating scheme renews."""
    return HttpWire(system, account, secret, now, tokens=tokens)


def drop_wire(account: str, drop: Drop, settings: Mapping[str, str] | None = None) -> Wire:
    """The transport of an account that takes files."""
    return DropWire(account, drop, settings)
