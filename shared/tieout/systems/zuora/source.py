"""Zuora as a source: callouts with basic auth, in the shape of our documented template, and thin on purpose.

A callout's body is whatever the tenant's template says, so ours is the contract (``README.md``)::

    {"v": 1, "eventType": "InvoicePosted", "objectId": "…", "updatedDate": "2026-11-02T09:30:00-08:00",
     "number": "INV00001042", "accountNumber": "A00001234", "currency": "EUR"}

It names an object; ``rereads`` says from where the whole of it is read. ``updatedDate`` orders the states of an object.
A callout that comes out of Zuora's history of failed ones has ``toldAt`` in its place, the instant of its event.
Retries carry a new ``Zuora-Request-Id``: an event is known again by its type, object and update.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from tieout.contract import Delivery, Read, Response
from tieout.core.incoming import Envelope, basic_credential
from tieout.core.verdicts import NeedsHuman

KNOWN: Final = frozenset({"v", "eventType", "objectId", "updatedDate", "number", "accountNumber", "currency", "toldAt"})
CHECKED: Final = Envelope("zuora")


class Zuora:
    """Verifies and reads callouts of one Zuora tenant; holds nothing."""

    name = "zuora"
    content_types: tuple[str, ...] = ("application/json",)
    replay_window = 0
    success = Response(200, '{"success":true}', {"content-type": "application/json"})
    secrets_field = "callout_credentials"
    volatile: tuple[str, ...] = ()
    ignored = frozenset({"InvoiceCreated", "PaymentDeclined", "SubscriptionCreated"})
    open: frozenset[str] = frozenset()
    rereads: Mapping[str, str] = {
        "AccountCreated": "/object-query/accounts/{id}?expand[]=billTo",
        "InvoicePosted": "/object-query/invoices/{id}?expand[]=account&expand[]=invoiceItems",
        "CreditMemoPosted": "/object-query/credit-memos/{id}?expand[]=creditMemoItems",
        "PaymentProcessed": "/object-query/payments/{id}?expand[]=paymentApplications",
    }

    def verify(self, delivery: Delivery, secrets: Sequence[str]) -> str:
        """The id of the user and password that were sent; see the contract."""
        return basic_credential(delivery.headers, secrets)

    def read(self, body: bytes) -> Sequence[Read]:
        """The one callout in ``body``; its object is the callout itself until it was read again."""
        from tieout.core.clocks import EventInstant  # receive verifies only, and loads nothing of this
        from tieout.core.parse import read_json

        event = read_json(body)
        if event.get("v") != 1 or event.get("v") is True:
            raise CHECKED.wrong("v (1)")
        type_, object_id = CHECKED.text(event, "eventType"), CHECKED.text(event, "objectId")
        dated = "toldAt" if "toldAt" in event else "updatedDate"
        try:
            occurred = EventInstant.parse(CHECKED.text(event, dated))
        except NeedsHuman:
            raise CHECKED.wrong(dated) from None
        return (
            Read(
                event_id=f"{type_}:{object_id}:{occurred.iso}",
                type=type_,
                object_id=object_id,
                object=event,
                occurred=occurred.value,
                # When its event happened orders no states: what is read again says its own.
                object_version=int(occurred.value.timestamp() * 1000) if dated == "updatedDate" else None,
                thin=type_ in self.rereads,
                unknown=tuple(sorted(set(event) - KNOWN)),
            ),
        )


SOURCE = Zuora()
