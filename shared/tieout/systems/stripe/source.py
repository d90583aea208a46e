"""Stripe as a source: signed webhooks, at least once and in no order.

Signature: ``Stripe-Signature: t=…,v1=…[,v1=…],v0=…``, ``v1`` = hex HMAC-SHA256(secret, ``"{t}.{raw body}"``); several
``v1`` while a secret rolls; ``v0`` is for test mode and never counts; 300 s tolerance as in Stripe's own SDK.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import product
from typing import Any

from tieout.contract import Delivery, Read, Response
from tieout.core.verdicts import NeedsHuman

#: What an event envelope is known to carry; anything else is noted as drift.
KNOWN = frozenset({
    "account", "api_version", "context", "created", "data", "id", "livemode", "object", "pending_webhooks", "reason",
    "request", "type",
})  # fmt: skip
#: A header with more parts than this is no signature of Stripe's, and would only cost time.
PARTS_MOST = 32
#: What a disputed or refunded payment has paid.
INVOICE_PAYMENTS = "/v1/invoice_payments"
#: What of a customer finance sees. Anything else changes with every invoice (balance, next number, payment method).
SEEN = frozenset({"address", "currency", "email", "metadata", "name", "phone"})
LAST_SECOND = 253_402_300_799


class Stripe:
    """Verifies and reads events of one Stripe account; holds nothing."""

    name = "stripe"
    content_types: tuple[str, ...] = ("application/json",)
    replay_window = 300
    success = Response(200, '{"received":true}', {"content-type": "application/json"})
    secrets_field = "webhook_secrets"
    #: Counters of the delivery, and the request's id, which is empty when the event is sent again by hand.
    volatile: tuple[str, ...] = ("pending_webhooks", "request", "data.object.webhooks_delivered_at")
    ignored = frozenset(
        {
            "charge.captured",
            "charge.dispute.updated",
            "charge.failed",
            "charge.pending",
            "charge.refund.updated",
            "charge.refunded",
            "charge.succeeded",
            "charge.updated",
            "customer.subscription.created",
            "customer.updated.unseen",
            "invoice.created",
            "invoice.deleted",
            "invoice.finalization_failed",
            "invoice.payment_action_required",
            "invoice.payment_failed",
            "invoice.payment_succeeded",
            "invoice.sent",
            "invoice.upcoming",
            "invoice.updated",
            "invoice_payment.paid",
            "invoiceitem.created",
            "invoiceitem.deleted",
            "payment_intent.created",
            "payment_intent.payment_failed",
            "payment_intent.succeeded",
            "payment_method.attached",
            "payout.canceled",
            "payout.created",
            "payout.reconciliation_completed",
            "payout.updated",
            "price.created",
            "price.updated",
            "product.created",
            "product.updated",
        }
    )
    open: frozenset[str] = frozenset({"metadata"})
    #: ``/lines`` only of a document whose lines the event cuts; the others always, with what hangs on them.
    rereads: Mapping[str, str] = {
        "credit_note.created": "/v1/credit_notes/{id}/lines",
        "credit_note.voided": "/v1/credit_notes/{id}/lines",
        "invoice.finalized": "/v1/invoices/{id}/lines",
        "invoice.voided": "/v1/invoices/{id}/lines",
        "customer.updated": "/v1/customers/{id}",
        "customer.subscription.deleted": "/v1/subscriptions/{id}",
        "customer.subscription.updated": "/v1/subscriptions/{id}",
        "payout.paid": "/v1/payouts/{id}",
        "charge.dispute.created": INVOICE_PAYMENTS,
        "charge.dispute.funds_withdrawn": INVOICE_PAYMENTS,
        "refund.created": INVOICE_PAYMENTS,
        "refund.updated": INVOICE_PAYMENTS,
    }

    def verify(self, delivery: Delivery, secrets: Sequence[str]) -> str:
        """The id of the secret that signed; see the contract. The age is judged only once the signature holds."""
        times, given = _parts(delivery.headers.get("stripe-signature", ""))
        if not times or not given:
            raise NeedsHuman("signature_missing", "no t or v1 in Stripe-Signature")
        signed_by, stamp = "", ""
        for secret, time in product(secrets, times):
            wanted = hmac.new(secret.encode(), time.encode() + b"." + delivery.body, hashlib.sha256)
            for one in given:  # every pair is compared, so that time tells nothing
                if hmac.compare_digest(wanted.hexdigest().encode(), one.encode("utf-8", "replace")):
                    signed_by, stamp = secret, time
        if not signed_by:
            raise NeedsHuman("signature_wrong", f"{len(given)} signatures, {len(secrets)} secrets")
        age = int(delivery.received.timestamp()) - int(stamp)
        if abs(age) > self.replay_window:
            raise NeedsHuman("signature_old", f"signed {age} s ago", age=age)
        return "s_" + hashlib.sha256(signed_by.encode()).hexdigest()[:12]

    def read(self, body: bytes) -> Sequence[Read]:
        """The one event in ``body``."""
        from tieout.core.parse import read_json  # receive verifies only, and loads nothing of this

        event = read_json(body)
        about = _mapping(_mapping(event.get("data"), "data").get("object"), "data.object")
        created = event.get("created")
        if type(created) is not int or not 0 <= created <= LAST_SECOND:
            raise _wrong("created")
        metadata, lines, version = about.get("metadata"), about.get("lines"), event.get("api_version")
        type_ = _seen(_text(event, "type"), _mapping(event.get("data"), "data").get("previous_attributes"))
        cut = isinstance(lines, Mapping) and lines.get("has_more") is True
        # What becomes of an object later is news, though we have made it.
        made = type_.endswith(".created")
        ours = metadata.get("tieout_ref") if made and isinstance(metadata, Mapping) else None
        return (
            Read(
                event_id=_text(event, "id"),
                type=type_,
                object_id=_text(about, "id"),
                object=about,
                occurred=datetime.fromtimestamp(created, UTC),
                # Seconds are coarse: an end, or a change, is newer than whatever else is told of in its second.
                object_version=created + (type_ in ("customer.subscription.deleted", "customer.updated")),
                ours=ours if isinstance(ours, str) and ours else None,
                unknown=tuple(sorted(set(event) - KNOWN)),
                thin=self._thin(type_, cut),
                api=version if isinstance(version, str) and version else None,
            ),
        )

    def _thin(self, type_: str, cut: bool) -> bool:
        path = self.rereads.get(type_, "")
        return cut if path.endswith("/lines") else bool(path)


def _seen(type_: str, before: Any) -> str:
    """The type of an event; a change of a customer in nothing that finance sees is another one."""
    if type_ == "customer.updated" and isinstance(before, Mapping) and not SEEN & set(before):
        return f"{type_}.unseen"
    return type_


def _parts(header: str) -> tuple[list[str], list[str]]:
    """Timestamps and ``v1`` signatures of the header; a header sent twice arrives joined with a comma."""
    times: list[str] = []
    given: list[str] = []
    for part in header.split(",", PARTS_MOST)[:PARTS_MOST]:
        name, _, value = part.strip().partition("=")
        if name == "t" and value.isascii() and value.isdigit() and len(value) <= 12 and value not in times:
            times.append(value)
        elif name == "v1" and value:
            given.append(value)
    return times, given


def _wrong(reason: str) -> NeedsHuman:
    return NeedsHuman("wrong_shape", reason, source="stripe", reason=f"no usable {reason}")


def _mapping(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _wrong(name)
    return value


def _text(holder: Mapping[str, Any], name: str) -> str:
    value = holder.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= 255:
        raise _wrong(name)
    return value


SOURCE = Stripe()
