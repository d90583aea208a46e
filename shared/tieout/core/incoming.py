"""What sources share at the door and in the envelope: a shared credential checked, and a shape read strictly."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tieout.core.verdicts import NeedsHuman

#: As many signatures of one header are compared.
PARTS_MOST = 16

#: A credential longer than this is nobody's, and would only cost time.
CREDENTIAL_MOST = 1024


def secret_id(secret: str) -> str:
    """A name for a secret that does not show it."""
    return "s_" + hashlib.sha256(secret.encode()).hexdigest()[:12]


def basic_credential(headers: Mapping[str, str], secrets: Sequence[str]) -> str:
    """The id of the active ``user:password`` that the Authorization header (RFC 7617) carries.

    For senders that do not sign. Hashes of equal length are compared, each with every active pair, so that time tells
    neither length nor place. Raises ``NeedsHuman('signature_missing' | 'signature_wrong')``.
    """
    scheme, _, spelled = headers.get("authorization", "").strip().partition(" ")
    try:
        sent = base64.b64decode(spelled.strip()[: CREDENTIAL_MOST + 1], validate=True)
    except (binascii.Error, ValueError):
        sent = b""
    if scheme.lower() != "basic" or b":" not in sent or len(spelled) > CREDENTIAL_MOST:
        raise NeedsHuman("signature_missing", "no basic credential in Authorization")
    given, found = hashlib.sha256(sent).digest(), ""
    for secret in secrets:
        if hmac.compare_digest(hashlib.sha256(secret.encode()).digest(), given):
            found = secret
    if not found:
        raise NeedsHuman("signature_wrong", f"{len(secrets)} active credentials")
    return secret_id(found)


def stamped_signature(
    headers: Mapping[str, str], body: bytes, received: datetime, secrets: Sequence[str], window: int
) -> str:
    """The id of the secret that signed a delivery by our own contract, for systems that sign nothing of themselves.

    ``X-Tieout-Timestamp`` (seconds since 1970) and ``X-Tieout-Signature: v1=`` + hex HMAC-SHA256(secret,
    ``"{timestamp}.{raw body}"``); ``window`` is in seconds. The age is judged only once the signature holds.
    Raises ``NeedsHuman('signature_missing' | 'signature_wrong' | 'signature_old')``.
    """
    stamp = headers.get("x-tieout-timestamp", "").strip()
    given = _signatures(headers.get("x-tieout-signature", ""))
    if not given or not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
        raise NeedsHuman("signature_missing", "no timestamp or no v1 signature")
    signed = stamp.encode() + b"." + body
    signed_by = who_signed(secrets, given, lambda key: hmac.new(key, signed, hashlib.sha256).hexdigest().encode())
    judge_age(received, int(stamp), window)
    return secret_id(signed_by)


def who_signed(secrets: Sequence[str], given: Sequence[str], sign: Callable[[bytes], bytes]) -> str:
    """The secret by which one of the ``given`` signatures was made; ``sign`` makes the right one by a secret's bytes.

    Every pair is compared in constant time, so that time tells nothing. Raises ``NeedsHuman('signature_wrong')``.
    """
    found = ""
    for secret in secrets:
        wanted = sign(secret.encode())
        for one in given:
            if hmac.compare_digest(wanted, one.encode("utf-8", "replace")):
                found = secret
    if not found:
        raise NeedsHuman("signature_wrong", f"{len(given)} signatures, {len(secrets)} secrets")
    return found


def judge_age(received: datetime, signed: int, window: int) -> None:
    """Refuse what was ``signed`` (seconds since 1970) more than ``window`` seconds ago or ahead.

    Asked only once the signature holds. Raises ``NeedsHuman('signature_old')``.
    """
    age = int(received.timestamp()) - signed
    if abs(age) > window:
        raise NeedsHuman("signature_old", f"signed {age} s ago", age=age)


def joined(header: str) -> list[str]:
    """The values of a header that may have been sent more than once, and then arrives joined by commas."""
    return [value for part in header.split(",", PARTS_MOST)[:PARTS_MOST] if (value := part.strip())]


def _signatures(header: str) -> list[str]:
    return [value for part in joined(header) if part.startswith("v1=") and (value := part.removeprefix("v1="))]


@dataclass(frozen=True)
class Envelope:
    """Reads the fields that every event of a source has; what is missing or strange is ``wrong_shape``."""

    source: str

    def wrong(self, name: str) -> NeedsHuman:
        """The verdict on an event without a usable ``name``."""
        return NeedsHuman("wrong_shape", name, source=self.source, reason=f"no usable {name}")

    def mapping(self, value: Any, name: str) -> Mapping[str, Any]:
        """An object with something in it."""
        if not isinstance(value, Mapping) or not value:
            raise self.wrong(name)
        return value

    def text(self, holder: Mapping[str, Any], name: str) -> str:
        """Text of 1 to 255 characters."""
        value = holder.get(name)
        if not isinstance(value, str) or not 0 < len(value) <= 255:
            raise self.wrong(name)
        return value

    def whole(self, holder: Mapping[str, Any], name: str, most: int) -> int:
        """A whole number from 0 to ``most``."""
        value = holder.get(name)
        if type(value) is not int or not 0 <= value <= most:
            raise self.wrong(name)
        return value
