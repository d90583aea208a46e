"""Zuora, asked: what a callout only names, in one object query with what hangs on it expanded; and failed callouts.

OAuth 2 client credentials (the token endpoint is limited too, so a token lives as long as it may). An answer with
``success: false`` is a failure, though it comes under HTTP 200: the last two digits of its first reason's code say of
what sort (Zuora's page on error handling). ``updatedDate`` orders the states of an object.

The history of callouts takes and shows its times without an offset, in the tenant's own zone, which it does not tell:
it is asked for a day more at either end, and the event's timestamp, which has an offset, decides what is of the span.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote, urlencode

from tieout.contract import Budget, Page, Poll, Quiet, Rate, Read, Span, Wire
from tieout.core.classify import READING, Answer, Row
from tieout.core.clocks import EventInstant
from tieout.core.exchange import judge, member, read_answer
from tieout.core.parse import read_json, write_json
from tieout.core.verdicts import NeedsHuman, TryAgain, Uncertain, Verdict
from tieout.systems.zuora.source import SOURCE

#: Pinned: an object query shows what this version of the API knows.
VERSION: Final = "2025-08-12"
HISTORY: Final = "/v1/notification-history/callout"
#: What the zone of a tenant can make of a time at most.
ZONES: Final = timedelta(hours=24)
#: Our types by the number of an event category, where Zuora numbers them; elsewhere it names them.
NUMBERED: Final[Mapping[str, str]] = {"1110": "InvoicePosted", "2120": "PaymentProcessed"}
#: Where the context of a failed callout names its object.
NAMED: Final[Mapping[str, str]] = {
    "AccountCreated": "<Account.ID>",
    "InvoicePosted": "<Invoice.ID>",
    "CreditMemoPosted": "<CreditMemo.ID>",
    "PaymentProcessed": "<Payment.ID>",
}


class Zuora:
    """Asks one Zuora tenant; holds nothing."""

    name = "zuora"
    auth: Mapping[str, str] = {"scheme": "oauth2_client_credentials", "token_path": "/oauth/token"}
    quiet = Quiet(client_timeout=10, longest_processing=0, search_lag=0, clock_skew=1, period=0)
    #: Of a tenant's concurrency and of its requests a minute, a share that leaves room for its other callers.
    budget = Budget(concurrency=10, rates=(Rate(300, 60),))
    verdicts: Sequence[Row] = (
        Row(409, TryAgain, "target_busy", retry_after=True),
        Row(404, NeedsHuman, "source_gone"),
        # The sorts of a reason, as `reason` spells them out of `success: false`, whatever the status was.
        Row(4, NeedsHuman, "source_forbidden", says="reason 10"),
        Row(4, TryAgain, "target_credentials", says="reason 11"),
        Row(4, NeedsHuman, "source_gone", says="reason 40"),
        Row(4, TryAgain, "target_conflict", says="reason 50"),
        Row(4, TryAgain, "target_down", says="reason 60"),
        Row(4, TryAgain, "target_down", says="reason 61"),
        Row(4, TryAgain, "target_busy", says="reason 70", retry_after=True),
        Row(4, TryAgain, "target_down", says="reason 99"),
        Row(5, TryAgain, "target_down"),
        *READING,
    )

    #: Only what Zuora knows to have failed is listed. A callout may be tried for hours before it fails for good, and is
    #: listed under its event's time: each span reaches six hours back.
    poll = Poll(every=timedelta(minutes=10), settle=timedelta(minutes=10), overlap=timedelta(hours=6),
                reach=timedelta(days=30))  # fmt: skip

    def listed(self, wire: Wire, span: Span, page: str) -> Page:
        """Up to forty failed callouts, as our template would have written them."""
        wanted = {
            "failedOnly": "true", "pageSize": "40", "page": page or "1",
            "startTime": _wall(span.since - ZONES), "endTime": _wall(span.until + ZONES),
        }  # fmt: skip
        answer = wire.call("GET", f"{HISTORY}?{urlencode(wanted)}", headers=_entity(wire))
        shown = _object(self.verdicts, answer)
        rows = shown.get("calloutHistories", [] if shown.get("success") is True else None)
        if not isinstance(rows, list) or not (page or "1").isdigit():
            raise NeedsHuman("source_unreadable", "no callout histories", said="no list of callouts")
        bodies = [body for row in rows if (body := _callout(row, span)) is not None]
        more = bool(shown.get("nextPage")) and bool(rows)
        return Page(list(dict.fromkeys(bodies)), str(int(page or "1") + 1) if more else "")

    def again(self, wire: Wire, read: Read) -> Read:
        """The object that a callout names, with its parts. An older state than the callout's is not it yet."""
        path = SOURCE.rereads[read.type].format(id=quote(read.object_id, safe=""))
        answer = wire.call("GET", path, headers={"Zuora-Version": VERSION, **_entity(wire)})
        shown = _object(self.verdicts, answer)
        if member(shown, "id") != read.object_id:
            raise NeedsHuman("source_unreadable", "another id", said=f"an object with the id {member(shown, 'id')}")
        version = _updated(shown)
        skew = self.quiet.clock_skew * 1000
        if version is not None and read.object_version is not None and version + skew < read.object_version:
            raise TryAgain("source_behind", f"shows {version}, the callout tells of {read.object_version}")
        return replace(read, object=shown, object_version=version or read.object_version, thin=False)


def _wall(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S")


def _callout(row: Any, span: Span) -> bytes | None:
    """A failed callout by our template; ``None`` for one of another type, or of another time.

    One that lacks its object or its time is written as it is: intake makes a case of it.
    """
    context = member(row, "eventContext")
    if isinstance(context, str):
        try:
            context = read_json(context.encode())
        except NeedsHuman:
            context = {}
    category = str(member(row, "eventCategory") or "")
    names = (member(context, "<Event.Category>"), NUMBERED.get(category), category.rpartition(":")[2])
    type_ = next((name for name in names if name in span.types), None)
    if type_ is None:
        return None
    told = member(context, "<Event.Timestamp>")
    try:
        at = EventInstant.parse(str(told)).value
    except NeedsHuman:
        at = None
    if at is not None and not span.since <= at < span.until:
        return None
    object_id = member(context, NAMED.get(type_, "")) or member(context, "<Object.ID>")
    return write_json({"v": 1, "eventType": type_, "objectId": object_id, "toldAt": told})


def _entity(wire: Wire) -> dict[str, str]:
    """The header that a tenant with several entities wants; its value is a setting of the account."""
    entity = wire.settings.get("entity_ids")
    return {"Zuora-Entity-Ids": entity} if entity else {}


def _object(verdicts: Sequence[Row], answer: Answer) -> Mapping[str, Any]:
    try:
        shown = read_answer(answer)
    except Uncertain as unclear:
        judge(verdicts, answer, "")
        raise TryAgain("target_unclear", unclear.log, **unclear.facts) from unclear
    if member(shown, "success") is False and answer.status < 300:
        # A 2xx that says no is read by the table as the 4xx that it should have been.
        judge(verdicts, Answer(400, answer.headers), error_text(shown))
    judge(verdicts, answer, error_text(shown))
    if not isinstance(shown, Mapping):
        raise NeedsHuman("source_unreadable", "no object", said="no object")
    return shown


def error_text(shown: Any) -> str:
    """Sort, code and sentence of the reasons of an error body; empty where it is none."""
    reasons = member(shown, "reasons")
    if isinstance(reasons, Sequence) and not isinstance(reasons, str):
        return "; ".join(
            f"reason {str(member(one, 'code'))[-2:]} ({member(one, 'code')}) {member(one, 'message') or ''}".strip()
            for one in reasons
        )
    code, message = member(shown, "code"), member(shown, "message")
    return f"{code or ''} {message or ''}".strip() if code or message else ""


def _updated(shown: Mapping[str, Any]) -> int | None:
    """When the object was changed last, in milliseconds; ``None`` where it does not say."""
    try:
        return int(EventInstant.parse(str(shown["updatedDate"])).value.timestamp() * 1000)
    except (KeyError, Verdict):
        return None


READER = Zuora()
