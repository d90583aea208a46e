"""Schemes of authentication as data: what each needs in the secret, how long it lives, and how it is renewed.

`aws/auth.py` carries them out; the page of credentials and ``tieout systems`` are made from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final


@dataclass(frozen=True)
class Scheme:
    """One way to prove who we are. ``needs`` are fields of the account's secret beside its ``base_url``.

    ``rotates`` is true where each renewal replaces what the next one needs, so that only one process may renew.
    """

    name: str
    says: str
    needs: tuple[str, ...]
    lifetime: str
    renewal: str
    rotates: bool = False


_NEVER = "no end of its own"
SCHEMES: Final[Mapping[str, Scheme]] = {
    scheme.name: scheme
    for scheme in (
        Scheme("bearer_key", "A long-lived key as a bearer token.", ("{field}",), _NEVER,
               "a person puts a newer key into the secret; it is used at the next call"),
        Scheme("header_key", "A long-lived key in a header of the vendor's.", ("{field}",), _NEVER,
               "a person puts a newer key into the secret; it is used at the next call"),
        Scheme("basic", "User and password, or account and licence key.", ("{user}", "{password}"), _NEVER,
               "a person puts a newer password into the secret; it is used at the next call"),
        Scheme("basic_key", "A long-lived key as the user of Basic authentication, without a password.", ("{user}",),
               _NEVER, "a person puts a newer key into the secret; it is used at the next call"),
        Scheme("oauth1", "OAuth 1.0a with a token of its own, HMAC-SHA256 over each request (RFC 5849).",
               ("consumer_key", "consumer_secret", "token_id", "token_secret", "realm"), _NEVER,
               "a person makes a new token"),
        Scheme("oauth2_client_credentials", "OAuth 2 client credentials (RFC 6749, 4.4).",
               ("client_id", "client_secret"), "the access token's own; the client secret's as the vendor sets it",
               "by itself, a minute before the token ends; the client secret by a person"),
        Scheme("oauth2_jwt_assertion", "OAuth 2 client credentials with a signed assertion (RFC 7523, 2.2).",
               ("client_id", "certificate_id", "private_key"), "the access token's own; the certificate's",
               "by itself, a minute before the token ends; the certificate by a person"),
        Scheme("oauth2_jwt_bearer", "OAuth 2 with a signed assertion as the grant (RFC 7523, 2.1).",
               ("client_id", "subject", "private_key"), "the access token's own; the certificate's",
               "by itself, a minute before the token ends; the certificate by a person"),
        Scheme("oauth2_refresh", "OAuth 2 authorization code with a refresh token that changes at each use.",
               ("client_id", "client_secret", "refresh_token"), "the refresh token's: it dies when it is not used",
               "by itself, by one process at a time; the new pair is stored before it is used", rotates=True),
        Scheme("keypair_jwt", "A short-lived token of our own, signed by a key whose public half the vendor holds.",
               ("{account}", "{user}", "private_key"), "each token an hour at most; the key has " + _NEVER,
               "tokens by themselves; the key by a person, who registers a second public key first"),
        Scheme("drop", "A bucket prefix, by the role's rights; or an SFTP host that the secret names, with `user`, "
               "`password` or `private_key`, and the pinned `host_key` (one, or several while it changes).", (), _NEVER,
               "of a bucket none; of an SFTP host a person puts the new one into the secret"),
    )
}  # fmt: skip


def needs(auth: Mapping[str, str]) -> tuple[str, ...]:
    """Fields that the secret of an account must hold for this declaration. ``KeyError`` for an unknown scheme."""
    named = [name.format_map(auth) for name in SCHEMES[auth["scheme"]].needs]
    return tuple(named if auth["scheme"] == "drop" else ["base_url", *named])


def alternatives(auth: Mapping[str, str]) -> tuple[Mapping[str, str], ...]:
    """The declaration itself, and one for each further scheme that it names under ``or`` (between blanks)."""
    return (auth, *({**auth, "scheme": other} for other in auth.get("or", "").split()))


def chosen(auth: Mapping[str, str], secret: Mapping[str, Any]) -> Mapping[str, str]:
    """The declaration by which an account is reached: the scheme itself, or one that it names under ``or``.

    Which one holds is the account's matter: the one that its setting ``scheme`` names, else the first other one that
    its secret fills. Where there is a choice, none may rotate.
    """
    settings = secret.get("settings")
    named = settings.get("scheme") if isinstance(settings, Mapping) else None
    known = alternatives(auth)
    asked = [one for one in known if one["scheme"] == named]
    filled = [one for one in known[1:] if not _missing(one, secret)]
    return next(iter([*asked, *filled]), auth)


def missing(auth: Mapping[str, str], secret: Mapping[str, Any]) -> tuple[str, ...]:
    """Fields that the secret lacks. Of a file drop it needs none, unless it names a host."""
    if auth["scheme"] == "drop":
        return _missing_of_host(secret) if secret.get("host") else ()
    return _missing(chosen(auth, secret), secret)


def _missing(auth: Mapping[str, str], secret: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(name for name in needs(auth) if not _given(secret, name))


def _missing_of_host(secret: Mapping[str, Any]) -> tuple[str, ...]:
    there = {
        "user": _given(secret, "user"),
        "password or private_key": _given(secret, "password") or _given(secret, "private_key"),
        "host_key": bool(secret.get("host_key")),
    }
    return tuple(name for name, given in there.items() if not given)


def _given(secret: Mapping[str, Any], name: str) -> bool:
    return isinstance(secret.get(name), str) and bool(secret[name])


def active(secret: Mapping[str, Any], field: str) -> int:
    """How many signing secrets (or shared credentials) a source's field lists."""
    listed = secret.get(field)
    return sum(bool(one) for one in listed if isinstance(one, str)) if isinstance(listed, list | tuple) else 0


def nearest(secret: Mapping[str, Any], today: date) -> tuple[str, int] | None:
    """What of a secret dies first, and in how many whole days (negative once it is dead); ``None`` where nobody said.

    ``expires_on`` is a day (YYYY-MM-DD), or a day for each field that has one; it is written by the person who made the
    credential, or by the renewal of a rotating token. ``ValueError`` where it is no day.
    """
    said = secret.get("expires_on")
    days = said if isinstance(said, Mapping) else {"": said} if said else {}
    found = [(str(field), (date.fromisoformat(str(day)) - today).days) for field, day in days.items()]
    return min(found, key=lambda one: one[1], default=None)


def lives(auth: Mapping[str, str]) -> str:
    """How long the credentials of a declaration live, as far as the vendor says so."""
    if days := auth.get("key_days"):
        return f"{days} days at most"
    if SCHEMES[auth["scheme"]].rotates and (days := auth.get("refresh_days")):
        return f"the refresh token {days} days without a use"
    return SCHEMES[auth["scheme"]].lifetime


def dies(auth: Mapping[str, str]) -> str:
    """Where the day of their death is known from."""
    if auth.get("key_days"):
        return "on `expires_on`, which must be written down"
    if SCHEMES[auth["scheme"]].rotates:
        return "on the day that the stored pair names; each renewal moves it on"
    return "on `expires_on`, where it is written down"


@dataclass(frozen=True, repr=False)
class Pair:
    """An access token with the refresh token that the next renewal needs; ``until`` is the access token's end."""

    access: str
    refresh: str
    until: datetime
    #: The day on which the refresh token dies unless it is used before; empty where the vendor does not say.
    expires_on: str = ""

    def plain(self) -> dict[str, str]:
        """As it is stored."""
        return {
            "access_token": self.access, "refresh_token": self.refresh, "until": self.until.isoformat(),
            "expires_on": self.expires_on,
        }  # fmt: skip

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Pair:
        """As it was stored. ``KeyError`` or ``ValueError`` where it is none."""
        return cls(
            str(stored["access_token"]), str(stored["refresh_token"]), datetime.fromisoformat(str(stored["until"])),
            str(stored.get("expires_on", "")),
        )  # fmt: skip
