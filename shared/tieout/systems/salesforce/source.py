"""Salesforce as a source: our documented Flow HTTP callout, because Salesforce signs no webhooks of its own.

The callout's contract: JSON ``{"v":1,"event_id","type","commit_number","opportunity":{…}}`` with the headers
``X-Tieout-Timestamp`` (seconds since 1970) and ``X-Tieout-Signature: v1=`` + hex HMAC-SHA256(secret,
``"{timestamp}.{raw body}"``). ``commit_number`` orders the states of one opportunity.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any

from tieout.contract import Delivery, Read, Response
from tieout.core.verdicts import NeedsHuman

KNOWN = frozenset({"v", "event_id", "type", "commit_number", "opportunity"})
PARTS_MOST = 16


class Salesforce:
    """Verifies and reads callouts of one Salesforce org; holds nothing."""

    name = "salesforce"
    content_types: tuple[str, ...] = ("application/json",)
    replay_window = 300
    success = Response(202, '{"accepted":true}', {"content-type": "application/json"})
    secrets_field = "callout_secrets"
    volatile: tuple[str, ...] = ()
    ignored = frozenset({"opportunity.created", "opportunity.updated", "opportunity.closed_lost"})
    open: frozenset[str] = frozenset()
    rereads: Mapping[str, str] = {}

    def verify(self, delivery: Delivery, secrets: Sequence[str]) -> str:
        """The id of the secret that signed; see the contract."""
        stamp = delivery.headers.get("x-tieout-timestamp", "").strip()
        given = _signatures(delivery.headers.get("x-tieout-signature", ""))
        if not given or not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
            raise NeedsHuman("signature_missing", "no timestamp or no v1 signature")
        signed_by = ""
        for secret in secrets:
            wanted = hmac.new(secret.encode(), stamp.encode() + b"." + delivery.body, hashlib.sha256)
            for one in given:
                if hmac.compare_digest(wanted.hexdigest().encode(), one.encode("utf-8", "replace")):
                    signed_by = secret
        if not signed_by:
            raise NeedsHuman("signature_wrong", f"{len(given)} signatures, {len(secrets)} secrets")
        age = int(delivery.received.timestamp()) - int(stamp)
        if abs(age) > self.replay_window:
            raise NeedsHuman("signature_old", f"signed {age} s ago", age=age)
        return "s_" + hashlib.sha256(signed_by.encode()).hexdigest()[:12]

    def read(self, body: bytes) -> Sequence[Read]:
        """The one callout in ``body``."""
        from tieout.core.clocks import EventInstant  # receive verifies only, and loads nothing of this
        from tieout.core.parse import read_json

        event = read_json(body)
        about = event.get("opportunity")
        if not isinstance(about, Mapping):
            raise _wrong("opportunity")
        number = event.get("commit_number")
        if type(number) is not int or number < 0:
            raise _wrong("commit_number")
        try:
            occurred = EventInstant.parse(_text(about, "SystemModstamp")).value
        except NeedsHuman:
            raise _wrong("SystemModstamp") from None
        return (
            Read(
                event_id=_text(event, "event_id"),
                type=_text(event, "type"),
                object_id=_text(about, "Id"),
                object=about,
                occurred=occurred,
                object_version=number,
                entity=_optional(about, "Selling_Entity__c"),
                unknown=tuple(sorted(set(event) - KNOWN)),
            ),
        )


def _signatures(header: str) -> list[str]:
    parts = (part.strip().partition("=") for part in header.split(",", PARTS_MOST)[:PARTS_MOST])
    return [value for name, _, value in parts if name == "v1" and value]


def _wrong(reason: str) -> NeedsHuman:
    return NeedsHuman("wrong_shape", reason, source="salesforce", reason=f"no usable {reason}")


def _text(holder: Mapping[str, Any], name: str) -> str:
    value = holder.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= 255:
        raise _wrong(name)
    return value


def _optional(holder: Mapping[str, Any], name: str) -> str | None:
    value = holder.get(name)
    return value if isinstance(value, str) and value else None


SOURCE = Salesforce()
