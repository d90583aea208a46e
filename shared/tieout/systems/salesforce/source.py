"""Salesforce as a source: our documented Flow HTTP callout, and change data capture through an EventBridge partner bus.

Salesforce signs no webhooks of its own.

The callout's contract: JSON ``{"v":1,"event_id","type","commit_number","opportunity":{…}}`` (or ``"account"``,
``"quote"``) with the headers ``X-Tieout-Timestamp`` (seconds since 1970) and ``X-Tieout-Signature: v1=`` + hex
HMAC-SHA256(secret, ``"{timestamp}.{raw body}"``). A callout whose opportunity lacks ``LastStageChangeDate`` or its
lines is thin; one about an account or a quote always is, and needs no more of it than ``Id`` and ``SystemModstamp``.

A change event carries the changed fields alone, of one record or several, so it is thin; a gap carries none at all. It
is known by its ``EventUuid`` and record (replay ids are not unique for ever). What orders the wins of a deal is the
moment of its last change of stage, so that callout, change event and listing of one win are one. What orders the states
of an account is its ``SystemModstamp``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tieout.contract import Delivery, Read, Response
from tieout.core.incoming import stamped_signature
from tieout.core.verdicts import NeedsHuman

KNOWN = frozenset({"v", "event_id", "type", "commit_number", "opportunity", "account", "quote"})


class Salesforce:
    """Verifies and reads callouts of one Salesforce org; holds nothing."""

    name = "salesforce"
    content_types: tuple[str, ...] = ("application/json",)
    replay_window = 300
    success = Response(202, '{"accepted":true}', {"content-type": "application/json"})
    secrets_field = "callout_secrets"
    volatile: tuple[str, ...] = ()
    #: A gap without records (an overflow) names nothing to read: what it covers is found by the listing.
    ignored = frozenset({
        "opportunity.created", "opportunity.updated", "opportunity.closed_lost", "opportunity.deleted",
        "opportunity.undeleted", "opportunity.gap_overflow", "account.updated", "account.deleted",
        "account.gap_overflow", "quote.deleted", "quote.gap_overflow",
    })  # fmt: skip
    open: frozenset[str] = frozenset()
    rereads: Mapping[str, str] = {
        "opportunity.closed_won": "/services/data/v67.0/query",
        "account.changed": "/services/data/v67.0/query",
        "quote.accepted": "/services/data/v67.0/query",
    }

    def verify(self, delivery: Delivery, secrets: Sequence[str]) -> str:
        """The id of the secret that signed; see the contract."""
        return stamped_signature(delivery.headers, delivery.body, delivery.received, secrets, self.replay_window)

    def read(self, body: bytes) -> Sequence[Read]:
        """The one callout in ``body``, or the records of one change event."""
        from tieout.core.clocks import EventInstant  # receive verifies only, and loads nothing of this
        from tieout.core.parse import read_json

        event = read_json(body)
        if "payload" in event:
            return _changes(event)
        type_ = _text(event, "type")
        noun = type_.partition(".")[0] if type_ in ALWAYS_THIN else "opportunity"
        about = event.get(noun)
        if not isinstance(about, Mapping):
            raise _wrong(noun)
        number = event.get("commit_number")
        if type(number) is not int or number < 0:
            raise _wrong("commit_number")
        try:
            occurred = EventInstant.parse(_text(about, "SystemModstamp")).value
            stage = about.get("LastStageChangeDate" if noun == "opportunity" else "SystemModstamp")
            version = int(EventInstant.parse(stage).value.timestamp() * 1000) if isinstance(stage, str) else None
        except NeedsHuman:
            raise _wrong("SystemModstamp or LastStageChangeDate") from None
        return (
            Read(
                event_id=_text(event, "event_id"),
                type=type_,
                object_id=_text(about, "Id"),
                object=about,
                occurred=occurred,
                object_version=number if version is None else version,
                thin=noun != "opportunity" or version is None or "Lines" not in about,
                entity=_optional(about, "Selling_Entity__c"),
                unknown=tuple(sorted(set(event) - KNOWN)),
            ),
        )


#: Callouts that only name their object.
ALWAYS_THIN = frozenset({"account.changed", "quote.accepted"})
#: Tables that a profile may keep its quotes in (`quotes.PROFILES`): a change of one may be that it was accepted.
QUOTES = frozenset({"SBQQ__Quote__c", "Quote", "Order"})
#: What a change is to us, by its type: one that may have won the deal, and the others.
CHANGES = {"CREATE": "created", "DELETE": "deleted", "UNDELETE": "undeleted", "UPDATE": "updated"}
#: Fields of which a change may have won the deal.
WINS = frozenset({"StageName", "IsWon", "IsClosed"})
#: Beginnings of the fields of an account that finance sees; an address is told whole or by its parts.
SEEN = ("Name", "Phone", "Billing", "Tax_Id__c", "Payment_Terms__c", "Selling_Entity__c", "Finance_Customer__c")
#: An event holds the records of one transaction that changed alike.
RECORDS_MOST = 1000
LAST_MILLISECOND = 253_402_300_799_999


def _changes(event: Mapping[str, Any]) -> Sequence[Read]:
    """One read for each record of a change event: what changed is not asked, the record is read again."""
    payload = event["payload"]
    header = payload.get("ChangeEventHeader") if isinstance(payload, Mapping) else None
    if not isinstance(header, Mapping):
        raise _wrong("ChangeEventHeader")
    kind, entity = _text(header, "changeType"), _text(header, "entityName")
    records, stamp = header.get("recordIds"), header.get("commitTimestamp")
    if not isinstance(records, list) or not 0 < len(records) <= RECORDS_MOST:
        raise _wrong("recordIds")
    if type(stamp) is not int or not 0 <= stamp <= LAST_MILLISECOND:
        raise _wrong("commitTimestamp")
    changed = header.get("changedFields")
    fields = set(changed) if isinstance(changed, list) and all(isinstance(one, str) for one in changed) else set()
    uuid = _optional(event, "id") or f"{_text(header, 'transactionKey')}:{header.get('sequenceNumber')}"
    if kind == "GAP_OVERFLOW":
        what = "gap_overflow"
    elif entity == "Account":
        what = _of_account(kind, fields)
    elif entity in QUOTES:
        what = "deleted" if kind in ("DELETE", "GAP_DELETE") else "accepted"  # it may be: the record says
    elif kind == "CREATE" or (kind.startswith("GAP_") and kind != "GAP_DELETE") or (kind == "UPDATE" and fields & WINS):
        what = "closed_won"  # it may be: the record says
    else:
        what = CHANGES.get(kind.removeprefix("GAP_"), "updated")
    return tuple(
        Read(
            event_id=f"{uuid}:{_record(record)}",
            type=f"{'quote' if entity in QUOTES else entity.lower()}.{what}",
            object_id=_record(record),
            object=payload,
            occurred=datetime.fromtimestamp(stamp // 1000, UTC),
            object_version=stamp,
            alone={"id": uuid, "record": record, "payload": payload},
            thin=what in ("closed_won", "changed", "accepted"),
        )
        for record in records
    )


def _of_account(kind: str, fields: set[str]) -> str:
    """What a change of an account is to us: nothing where it is deleted, or nothing changed that finance sees."""
    if kind in ("DELETE", "GAP_DELETE"):
        return "deleted"
    return "changed" if kind != "UPDATE" or any(one.startswith(SEEN) for one in fields) else "updated"


def _record(value: Any) -> str:
    if not isinstance(value, str) or not 15 <= len(value) <= 18 or not value.isalnum() or not value.isascii():
        raise _wrong("recordIds")
    return value


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
