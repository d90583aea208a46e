"""Chargebee as a source: webhooks with basic auth, at least once and in no order, whole objects in API version v2.

Chargebee does not sign: whoever knows the endpoint's user and password is believed. ``resource_version`` (milliseconds)
orders the states of one object; an object without it falls back to its ``updated_at``, and then to the event's time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from tieout.contract import Delivery, Read, Response
from tieout.core.incoming import Envelope, basic_credential

#: What an event envelope is known to carry; anything else is noted as drift.
KNOWN: Final = frozenset({
    "api_version", "business_entity_id", "content", "event_type", "id", "object", "occurred_at", "origin_user",
    "source", "user", "webhook_status", "webhooks",
})  # fmt: skip
#: The member of ``content`` that an event type is about, by how the type begins; longer beginnings first.
ABOUT: Final[Mapping[str, str]] = {
    "credit_note_": "credit_note",
    "subscription_": "subscription",
    "customer_": "customer",
    "invoice_": "invoice",
    "payment_": "transaction",
    "transaction_": "transaction",
    "refund_": "transaction",
}
LAST_SECOND: Final = 253_402_300_799
CHECKED: Final = Envelope("chargebee")


class Chargebee:
    """Verifies and reads webhooks of one Chargebee site; holds nothing."""

    name = "chargebee"
    content_types: tuple[str, ...] = ("application/json",)
    replay_window = 0
    success = Response(200, '{"received":true}', {"content-type": "application/json"})
    secrets_field = "webhook_credentials"
    #: How far the delivery of this event has come, at this endpoint and the others.
    volatile: tuple[str, ...] = ("webhook_status", "webhooks")
    ignored = frozenset({
        "payment_failed", "payment_initiated", "refund_initiated",
        "subscription_activated", "subscription_changed", "subscription_created", "subscription_renewed",
        # The catalogue is a governed table here: a new price is a row, and an item price without one holds its invoice.
        "item_created", "item_price_created", "item_price_deleted", "item_price_updated", "item_updated",
    })  # fmt: skip
    open = frozenset({"meta_data", "exemption_details"})
    rereads: Mapping[str, str] = {}

    def verify(self, delivery: Delivery, secrets: Sequence[str]) -> str:
        """The id of the user and password that were sent; see the contract."""
        return basic_credential(delivery.headers, secrets)

    def read(self, body: bytes) -> Sequence[Read]:
        """The one event in ``body``."""
        from tieout.core.parse import read_json  # receive verifies only, and loads nothing of this

        event = read_json(body)
        if event.get("api_version") != "v2":
            raise CHECKED.wrong("api_version (v2)")
        event_id, type_ = CHECKED.text(event, "id"), CHECKED.text(event, "event_type")
        occurred = CHECKED.whole(event, "occurred_at", LAST_SECOND)
        about = _about(CHECKED.mapping(event.get("content"), "content"), type_)
        meta = about.get("meta_data")
        # What becomes of an object later is news, though we have made it.
        made = type_.endswith("_created")
        ours = meta.get("tieout_ref") if made and isinstance(meta, Mapping) else None
        return (
            Read(
                event_id=event_id,
                type=type_,
                object_id=CHECKED.text(about, "id"),
                object=about,
                occurred=datetime.fromtimestamp(occurred, UTC),
                object_version=_version(about, occurred),
                ours=ours if isinstance(ours, str) and ours else None,
                unknown=tuple(sorted(set(event) - KNOWN)),
            ),
        )


def _about(content: Mapping[str, Any], type_: str) -> Mapping[str, Any]:
    """The object that the event is about; of a type that nobody listens to, the first object there is."""
    member = next((name for begins, name in ABOUT.items() if type_.startswith(begins)), None)
    if member is None:
        member = next((name for name, value in content.items() if isinstance(value, Mapping) and "id" in value), "")
    return CHECKED.mapping(content.get(member), f"content.{member or 'object'}")


def _version(about: Mapping[str, Any], occurred: int) -> int:
    version, updated = about.get("resource_version"), about.get("updated_at")
    if type(version) is int and version > 0:
        return version
    return 1000 * (updated if type(updated) is int and updated > 0 else occurred)


SOURCE = Chargebee()
