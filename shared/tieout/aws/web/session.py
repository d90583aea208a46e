"""Who is asking: the session cookie, encrypted and authenticated, and the roles it carries.

The cookie holds the whole session (Fernet: AES-128-CBC with HMAC-SHA256), so no store is asked on the way in. It is
HttpOnly, and Secure with the ``__Host-`` prefix wherever the desk is served over https. ``SameSite=Lax`` and not
``Strict``: the browser comes back from the identity provider, and from links in mails and tickets, with a top-level
navigation from another site, and Strict would send that without the cookie. Lax still withholds it from every
cross-site POST, frame and subrequest, and every unsafe method asks for the CSRF token as well.
"""

from __future__ import annotations

import base64
import hmac
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

LIFETIME: Final = timedelta(hours=8)
#: How long somebody may take to sign in at the provider.
LOGIN_LIFETIME: Final = timedelta(minutes=10)
SESSION, LOGIN = "tieout", "tieout-login"
#: The claim of a token that names our roles; a claim of this name is given to nobody for another application.
ROLES_CLAIM: Final = "tieout_roles"
ROLES: Final = ("viewer", "operator", "approver", "auditor", "admin")
#: Who may see what documents and payloads say (names, addresses, amounts by line). An admin runs the place and gives
#: out roles; what customers bought is none of an admin's business by that alone.
SEE_PAYLOAD: Final = frozenset({"operator", "approver", "auditor"})
_LEAST_KEY: Final = 32


class KeyMissing(RuntimeError):
    """The desk has no session key, so nobody is let in."""


@dataclass(frozen=True)
class Person:
    """Somebody who signed in. Without a role of ours nothing is shown."""

    subject: str
    name: str
    roles: Sequence[str]
    csrf: str = ""
    until: int = 0

    @property
    def may_see(self) -> bool:
        """Whether anything is shown at all."""
        return bool(self.roles)

    @property
    def may_see_payload(self) -> bool:
        """Whether documents, payloads and raw events are shown."""
        return bool(SEE_PAYLOAD & set(self.roles))

    def context(self) -> dict[str, str | int]:
        """What the authorizer hands to the desk; API Gateway carries text and numbers."""
        return {**asdict(self), "roles": " ".join(self.roles)}

    @classmethod
    def of(cls, context: Mapping[str, Any]) -> Person:
        """The reverse of :meth:`context`."""
        return cls(
            str(context.get("subject", "")), str(context.get("name", "")), roles_of(context.get("roles")),
            str(context.get("csrf", "")), int(context.get("until", 0) or 0),
        )  # fmt: skip


def roles_of(claim: Any) -> tuple[str, ...]:
    """Our roles in a ``tieout_roles`` claim: a list, a text, or the text that API Gateway makes of a list."""
    words = claim if isinstance(claim, list | tuple) else re.split(r"[\s,\[\]\"']+", str(claim or ""))
    return tuple(role for role in ROLES if role in words)


class Sealer:
    """Seals and opens cookies. Several keys may open while they rotate; the first one seals."""

    def __init__(self, secret: Mapping[str, Any] | None) -> None:
        given = [str((secret or {}).get(name) or "") for name in ("key", "previous")]
        strong = [Fernet(_derive(key)) for key in given if len(key) >= _LEAST_KEY]
        if not strong:
            raise KeyMissing(f"the secret desk/session needs a «key» of at least {_LEAST_KEY} characters")
        self._fernet = MultiFernet(strong)

    def seal(self, use: str, value: Mapping[str, Any], now: datetime) -> str:
        """``value`` sealed for one use, so that a cookie of one kind is never taken for another."""
        text = json.dumps({"use": use, **value}, separators=(",", ":")).encode()
        return self._fernet.encrypt_at_time(text, int(now.timestamp())).decode()

    def open(self, use: str, sealed: str, lifetime: timedelta, now: datetime) -> dict[str, Any] | None:
        """What was sealed for ``use``; ``None`` where it was not by us, not for this, or too long ago."""
        try:
            text = self._fernet.decrypt_at_time(sealed.encode(), int(lifetime.total_seconds()), int(now.timestamp()))
        except (InvalidToken, ValueError):
            return None
        value: dict[str, Any] = json.loads(text)
        return value if value.pop("use", "") == use else None

    def session(self, person: Person, now: datetime) -> tuple[str, Person]:
        """A fresh session for somebody who has just signed in, with a CSRF token of its own."""
        made = Person(
            person.subject, person.name, person.roles, secrets.token_urlsafe(24), int((now + LIFETIME).timestamp())
        )
        return self.seal(SESSION, made.context(), now), made

    def person(self, cookies: Mapping[str, str], now: datetime) -> Person | None:
        """Who the session cookie says is asking; ``None`` where there is no genuine one that still holds."""
        for name in (f"__Host-{SESSION}", SESSION):
            if sealed := cookies.get(name):
                value = self.open(SESSION, sealed, LIFETIME, now)
                person = Person.of(value) if value else None
                return person if person and now.timestamp() < person.until else None
        return None


def _derive(key: str) -> bytes:
    """A Fernet key out of any long secret text, so that CloudFormation can generate it."""
    made = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"tieout desk session v1").derive(key.encode())
    return base64.urlsafe_b64encode(made)


def cookie(name: str, value: str, origin: str, lifetime: timedelta) -> str:
    """A ``Set-Cookie`` value; an empty value takes the cookie away."""
    secure = origin.startswith("https://")
    full = f"__Host-{name}" if secure else name
    age = int(lifetime.total_seconds()) if value else 0
    return f"{full}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax" + ("; Secure" if secure else "")


def cookie_of(cookies: Mapping[str, str], name: str, origin: str) -> str:
    """The value of one of our cookies; over https only the one that nobody but this host could have set."""
    return cookies.get(f"__Host-{name}" if origin.startswith("https://") else name, "")


def same_token(given: str, person: Person) -> bool:
    """Whether a form carries the session's own CSRF token."""
    return bool(person.csrf) and hmac.compare_digest(given.encode(), person.csrf.encode())


def when(seconds: int) -> datetime:
    """An instant out of seconds since 1970."""
    return datetime.fromtimestamp(seconds, UTC)
