"""NetSuite as a source: it sends nothing itself, so what changed is listed (``reader.py``); a script may tell it too.

A change is ``{"v":1,"type","id","changed"}``: ``customer.created``, ``customer.changed`` or ``payment.changed``, the
record's internal id, and the moment in UTC. The listing writes it, and so may a SuiteScript of the account that posts
it here, signed as ``core/incoming.stamped_signature`` says. All are thin: the record itself is read again over REST,
which tells time in UTC.

SuiteQL tells time by the clock on the wall. In the hour that comes twice a change is listed for each moment that it may
have had: ``changed`` is the one it is listed for, and ``earliest`` the one that the record must not be older than.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tieout.contract import Delivery, Read, Response
from tieout.core.incoming import Envelope, stamped_signature
from tieout.core.verdicts import NeedsHuman

CHECKED: Final = Envelope("netsuite")
KNOWN: Final = frozenset({"v", "type", "id", "changed", "earliest"})
IDENT: Final = re.compile(r"[1-9][0-9]{0,17}")
#: A customer is new once, however often it was changed before it was read.
ONCE: Final = frozenset({"customer.created"})


class NetSuite:
    """Verifies and reads changes of one account; holds nothing."""

    name = "netsuite"
    content_types: tuple[str, ...] = ("application/json",)
    replay_window = 300
    success = Response(202, '{"accepted":true}', {"content-type": "application/json"})
    secrets_field = "callout_secrets"
    volatile: tuple[str, ...] = ()
    ignored: frozenset[str] = frozenset()
    open: frozenset[str] = frozenset()
    rereads: Mapping[str, str] = {
        "customer.created": "/services/rest/record/v1/customer/{id}?expandSubResources=true",
        "customer.changed": "/services/rest/record/v1/customer/{id}",
        "payment.changed": "/services/rest/record/v1/customerPayment/{id}?expandSubResources=true",
    }

    def verify(self, delivery: Delivery, secrets: Sequence[str]) -> str:
        """The id of the secret that signed; see the contract."""
        return stamped_signature(delivery.headers, delivery.body, delivery.received, secrets, self.replay_window)

    def read(self, body: bytes) -> Sequence[Read]:
        """The one change in ``body``."""
        from tieout.core.clocks import EventInstant  # receive verifies only, and loads nothing of this
        from tieout.core.parse import read_json

        event = read_json(body)
        CHECKED.whole(event, "v", 1)
        type_, ident = CHECKED.text(event, "type"), CHECKED.text(event, "id")
        if not IDENT.fullmatch(ident):
            raise CHECKED.wrong("id")
        try:
            changed = EventInstant.parse(CHECKED.text(event, "changed"))
        except NeedsHuman:
            raise CHECKED.wrong("changed") from None
        # Named without the moment, a new customer is one event whenever it is seen; with it, each change is its own.
        named = f"{type_}:{ident}" if type_ in ONCE else f"{type_}:{ident}:{changed.iso}"
        return (
            Read(
                event_id=named,
                type=type_,
                object_id=ident,
                object=event,
                occurred=changed.value,
                object_version=int(changed.value.timestamp() * 1000),
                alone={"event": named},
                thin=type_ in self.rereads,
                unknown=tuple(sorted(set(event) - KNOWN)),
            ),
        )


def told(type_: str, ident: str, changed: str, earliest: str = "") -> dict[str, Any]:
    """A change as a body."""
    return {"v": 1, "type": type_, "id": ident, "changed": changed, **({"earliest": earliest} if earliest else {})}


SOURCE = NetSuite()
