"""HubSpot as a source: signed webhooks that carry up to 100 thin events each, at least once and in no order.

Signature v3: ``X-HubSpot-Signature-v3`` = base64 HMAC-SHA256(client secret, method + URI + body + timestamp), with the
timestamp in milliseconds in ``X-HubSpot-Request-Timestamp`` and no older than five minutes. The URI is the public one,
query included; before it is hashed, a few percent-encoded characters are decoded (`DECODED`), and no others.
An event tells one property of one object, and its type names the property (``deal.propertyChange.dealstage``); the
whole of it is read from where ``rereads`` says. A company that is new, or of which something changed that finance sees,
is ``company.changed``, whatever it was.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from tieout.contract import Delivery, Read, Response
from tieout.core.incoming import Envelope, joined, judge_age, secret_id, who_signed
from tieout.core.verdicts import NeedsHuman

KNOWN: Final = frozenset({
    "appId", "associationCategory", "associationRemoved", "associationType", "associationTypeId", "attemptNumber",
    "changeFlag", "changeSource", "eventId", "fromObjectId", "isPrimaryAssociation", "isSensitive", "mergedObjectIds",
    "newObjectId", "numberOfPropertiesMoved", "objectId", "objectTypeId", "occurredAt", "portalId", "primaryObjectId",
    "propertyName", "propertyValue", "sourceId", "subscriptionId", "subscriptionType", "toObjectId",
})  # fmt: skip
#: What HubSpot decodes in the URI before it signs (its page on validating requests); everything else stays encoded.
DECODED: Final = dict(zip(
    ("%3A", "%2F", "%3F", "%40", "%21", "%24", "%27", "%28", "%29", "%2A", "%2C", "%3B"), ":/?@!$'()*,;", strict=True,
))  # fmt: skip
_DECODED = re.compile("|".join(DECODED), re.IGNORECASE)
EVENTS_MOST: Final = 100
LAST_MILLISECOND: Final = 253_402_300_799_999
LAST_ID: Final = 10**18
#: Properties of a company that finance sees.
SEEN: Final = frozenset({
    "name", "phone", "address", "address2", "city", "state", "zip", "hs_country_code", "payment_terms", "billing_email",
    "selling_entity", "finance_customer",
})  # fmt: skip
CHECKED: Final = Envelope("hubspot")


class HubSpot:
    """Verifies and reads webhooks of one HubSpot portal; holds nothing."""

    name = "hubspot"
    content_types: tuple[str, ...] = ("application/json",)
    replay_window = 300
    success = Response(200, '{"received":true}', {"content-type": "application/json"})
    secrets_field = "client_secrets"
    #: Of each event of a body: how often it was tried.
    volatile: tuple[str, ...] = ("attemptNumber",)
    ignored = frozenset({
        "company.deletion", "company.merge", "contact.creation", "deal.creation", "deal.deletion",
        "deal.merge", "deal.propertyChange.amount", "deal.propertyChange.closedate",
    })  # fmt: skip
    open = frozenset({"properties"})
    rereads: Mapping[str, str] = {
        "deal.propertyChange.dealstage": "/crm/v3/objects/deals/{id}",
        "company.changed": "/crm/v3/objects/companies/{id}",
    }

    def verify(self, delivery: Delivery, secrets: Sequence[str]) -> str:
        """The id of the client secret that signed; see the contract. The age is judged only once that holds."""
        stamp = delivery.headers.get("x-hubspot-request-timestamp", "").strip()
        given = joined(delivery.headers.get("x-hubspot-signature-v3", ""))
        if not given or not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 15):
            raise NeedsHuman("signature_missing", "no timestamp or no v3 signature")
        signed = b"".join((delivery.method.encode(), signed_uri(delivery).encode(), delivery.body, stamp.encode()))
        signed_by = who_signed(
            secrets, given, lambda key: base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
        )
        judge_age(delivery.received, int(stamp) // 1000, self.replay_window)
        return secret_id(signed_by)

    def read(self, body: bytes) -> Sequence[Read]:
        """The events in ``body``; one that cannot be read makes the whole delivery a case."""
        from tieout.core.parse import read_any  # receive verifies only, and loads nothing of this

        events = read_any(body)
        if not isinstance(events, list) or not 0 < len(events) <= EVENTS_MOST:
            raise CHECKED.wrong(f"list of 1 to {EVENTS_MOST} events")
        return tuple(_read(CHECKED.mapping(event, "event")) for event in events)


def signed_uri(delivery: Delivery) -> str:
    """The public URI as HubSpot signs it."""
    query = f"?{delivery.query}" if delivery.query else ""
    uri = f"https://{delivery.headers.get('host', '')}{delivery.path}{query}"
    return _DECODED.sub(lambda found: DECODED[found[0].upper()], uri)


def _read(event: Mapping[str, Any]) -> Read:
    # `eventId` alone is not promised to be unique.
    occurred = CHECKED.whole(event, "occurredAt", LAST_MILLISECOND)
    type_, changed = CHECKED.text(event, "subscriptionType"), event.get("propertyName")
    if type_ == "company.creation" or (type_ == "company.propertyChange" and changed in SEEN):
        type_ = "company.changed"
    elif type_.endswith(".propertyChange") and isinstance(changed, str) and changed:
        type_ = f"{type_}.{changed[:100]}"
    ids = [CHECKED.whole(event, name, LAST_ID) for name in ("portalId", "subscriptionId", "objectId", "eventId")]
    portal, subscription, about, number = ids
    return Read(
        event_id=f"{portal}:{subscription}:{about}:{occurred}:{number}",
        type=type_,
        object_id=str(about),
        object=event,
        occurred=datetime.fromtimestamp(occurred // 1000, UTC),
        object_version=occurred,
        alone=event,
        thin=type_ in SOURCE.rereads,
        unknown=tuple(sorted(set(event) - KNOWN)),
    )


SOURCE = HubSpot()
