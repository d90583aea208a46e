"""Zendesk as a source: signed webhooks of the event kind, at least once and in no order.

Signature: ``x-zendesk-webhook-signature`` = base64 HMAC-SHA256(signing secret, timestamp + raw body), the timestamp as
ISO 8601 in ``x-zendesk-webhook-signature-timestamp``. An event is known by its body's ``id``; the invocation id in the
headers names one call and differs when Zendesk calls again. Webhooks behind triggers and automations carry whatever
their author wrote and no id: they are refused as a shape nobody knows. The types' common beginning is left out here.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from tieout.contract import Delivery, Read, Response
from tieout.core.incoming import Envelope, joined, judge_age, secret_id, who_signed
from tieout.core.verdicts import NeedsHuman

KNOWN: Final = frozenset({
    "account_id", "detail", "event", "id", "subject", "time", "type", "zendesk_event_version",
})  # fmt: skip
PREFIX: Final = "zen:event-type:"
OURS: Final = "TIE-"
CHECKED: Final = Envelope("zendesk")


class Zendesk:
    """Verifies and reads webhooks of one Zendesk account; holds nothing."""

    name = "zendesk"
    content_types: tuple[str, ...] = ("application/json",)
    replay_window = 300
    success = Response(200, '{"received":true}', {"content-type": "application/json"})
    secrets_field = "webhook_secrets"
    volatile: tuple[str, ...] = ()
    ignored = frozenset({
        "organization.created", "organization.custom_field_changed", "organization.name_changed",
        "ticket.comment_added", "ticket.created", "ticket.priority_changed", "ticket.subject_changed",
    })  # fmt: skip
    open = frozenset({"custom_fields", "organization_fields"})
    rereads: Mapping[str, str] = {}

    def verify(self, delivery: Delivery, secrets: Sequence[str]) -> str:
        """The id of the secret that signed; see the contract. The age is judged only once that holds."""
        stamp = delivery.headers.get("x-zendesk-webhook-signature-timestamp", "").strip()
        given = joined(delivery.headers.get("x-zendesk-webhook-signature", ""))
        signed_at = _instant(stamp)
        if not given or signed_at is None:
            raise NeedsHuman("signature_missing", "no timestamp or no signature")
        signed = stamp.encode() + delivery.body
        signed_by = who_signed(
            secrets, given, lambda key: base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
        )
        judge_age(delivery.received, int(signed_at.timestamp()), self.replay_window)
        return secret_id(signed_by)

    def read(self, body: bytes) -> Sequence[Read]:
        """The one event in ``body``."""
        from tieout.core.parse import read_json  # receive verifies only, and loads nothing of this

        event = read_json(body)
        type_ = CHECKED.text(event, "type")
        if not type_.startswith(PREFIX):
            raise CHECKED.wrong("type (zen:event-type:…)")
        occurred = _instant(CHECKED.text(event, "time"))
        if occurred is None:
            raise CHECKED.wrong("time")
        detail = CHECKED.mapping(event.get("detail"), "detail")
        ours = detail.get("external_id")
        return (
            Read(
                event_id=CHECKED.text(event, "id"),
                type=type_.removeprefix(PREFIX),
                object_id=CHECKED.text(detail, "id"),
                object=detail,
                occurred=occurred,
                object_version=int(occurred.timestamp()) * 1000 + occurred.microsecond // 1000,
                ours=ours if isinstance(ours, str) and ours.startswith(OURS) else None,
                unknown=tuple(sorted(set(event) - KNOWN)),
            ),
        )


def _instant(text: str) -> datetime | None:
    """An instant in UTC as Zendesk spells it, to the nanosecond (what is finer than a microsecond is cut)."""
    whole, dot, fraction = text.removesuffix("Z").partition(".")
    if not text.isascii() or not text.endswith("Z") or len(text) > 40 or (dot and not fraction.isdigit()):
        return None
    try:
        at = datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    return at.replace(microsecond=int(fraction[:6].ljust(6, "0") or "0"))


SOURCE = Zendesk()
