"""Business Central as a source: webhooks that only say which record has changed, and carry a shared word.

Before the first notification, and at each renewal, the address is asked to give back a ``validationToken``. What comes
then is ``{"value": [...]}``, each with the ``clientState`` that was given with the subscription: the only
authentication there is, so that all of a body must carry an active one. Any answer but 2xx, 408, 429 and 5xx makes
Business Central delete the subscription, hence every refusal is a 503: it comes again for 36 hours.

More than a thousand changes at once are told as one ``collection`` with a filter. It must not be ignored as the many
types are that start no flow, so it is read as a creation of what its filter shows; nobody can read that again, which
makes it a case.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qs

from tieout.contract import Delivery, Read, Response
from tieout.core.incoming import Envelope, secret_id
from tieout.core.verdicts import NeedsHuman

CHECKED: Final = Envelope("businesscentral")
KNOWN: Final = frozenset({
    "subscriptionId", "clientState", "expirationDateTime", "resource", "changeType", "lastModifiedDateTime",
})  # fmt: skip
#: Company, entity set, id and query of a resource.
RESOURCE: Final = re.compile(
    r"/?api/v\d+\.\d+/companies\(([0-9A-Fa-f-]{36})\)/(\w{1,80})(?:\(([0-9A-Fa-f-]{36})\))?(\?.*)?"
)
TOKEN_MOST: Final = 2048
#: As many as one body carries at most: a subscription tells of a thousand, and is not alone.
EVENTS_MOST: Final = 10_000
COLLECTION: Final = "collection"


class BusinessCentral:
    """Verifies and reads notifications of one company; holds nothing."""

    name = "businesscentral"
    content_types: tuple[str, ...] = ("application/json",)
    replay_window = 0
    success = Response(200, "{}", {"content-type": "application/json"})
    refusal = 503
    secrets_field = "client_states"
    #: Of each notification: what another subscription, or the same one after its renewal, would say otherwise.
    volatile: tuple[str, ...] = ("subscriptionId", "clientState", "expirationDateTime")
    ignored: frozenset[str] = frozenset()
    open: frozenset[str] = frozenset()
    rereads: Mapping[str, str] = {"customers.created": "/customers({id})"}

    def greet(self, delivery: Delivery) -> Response | None:
        """The token that a handshake asks back, as plain text."""
        # A query is as long as the front door lets it be: some kilobytes.
        tokens = parse_qs(delivery.query).get("validationToken", [])
        if len(tokens) != 1 or not (tokens[0].isascii() and tokens[0].isprintable() and len(tokens[0]) <= TOKEN_MOST):
            return None
        return Response(200, tokens[0], {"content-type": "text/plain", "x-content-type-options": "nosniff"})

    def verify(self, delivery: Delivery, secrets: Sequence[str]) -> str:
        """The id of the active word that every notification of the body carries; see the contract."""
        given = _states(delivery.body)
        if not given:
            raise NeedsHuman("signature_missing", "no clientState")
        shown, found = [hashlib.sha256(one.encode("utf-8", "replace")).digest() for one in set(given)], ""
        for secret in secrets:
            wanted = hashlib.sha256(secret.encode()).digest()
            # Hashes of one length, each compared with every word: time tells neither length nor place.
            same = [hmac.compare_digest(one, wanted) for one in shown]
            if all(same):
                found = secret
        if not found:
            raise NeedsHuman("signature_wrong", f"{len(secrets)} active words")
        return secret_id(found)

    def read(self, body: bytes) -> Sequence[Read]:
        """The notifications in ``body``; one that cannot be read makes the whole delivery a case."""
        from tieout.core.parse import read_json  # receive verifies only, and loads nothing of this

        whole = read_json(body)
        value = whole.get("value")
        if not isinstance(value, list) or not 0 < len(value) <= EVENTS_MOST:
            raise CHECKED.wrong("value")
        strange = sorted(set(whole) - {"value"})
        return tuple(_read(CHECKED.mapping(one, "notification"), strange) for one in value)


def _states(body: bytes) -> list[str]:
    """The ``clientState`` of every notification; none where the body is no list of them, or one lacks it."""
    try:
        value = json.loads(body).get("value")
        found = [one["clientState"] for one in value]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return []
    return found if all(isinstance(one, str) and one for one in found) else []


def _read(event: Mapping[str, Any], strange: Sequence[str]) -> Read:
    from tieout.core.clocks import EventInstant

    change = CHECKED.text(event, "changeType")
    parts = RESOURCE.fullmatch(str(event.get("resource", ""))[:1000])
    if parts is None or (parts[3] is None) != (change == COLLECTION):
        raise CHECKED.wrong("resource")
    try:
        occurred = EventInstant.parse(CHECKED.text(event, "lastModifiedDateTime"))
    except NeedsHuman:
        raise CHECKED.wrong("lastModifiedDateTime") from None
    company, entities = parts[1].lower(), parts[2]
    about = parts[3].lower() if parts[3] else f"{COLLECTION}:{hashlib.sha256(str(parts[4]).encode()).hexdigest()[:32]}"
    kind = f"{entities}.{'created' if change == COLLECTION else change}"
    return Read(
        event_id=f"{company}:{entities}:{about}:{change}:{occurred.iso}",
        type=kind,
        object_id=about,
        object=event,
        occurred=occurred.value,
        object_version=int(occurred.value.timestamp() * 1000),
        alone=event,
        thin=kind in SOURCE.rereads,
        unknown=(*strange, *sorted(set(event) - KNOWN)),
    )


SOURCE = BusinessCentral()
