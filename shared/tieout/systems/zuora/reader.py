"""Zuora, asked: what a callout only names, in one object query with what hangs on it expanded.

OAuth 2 client credentials (the token endpoint is limited too, so a token lives as long as it may). An answer with
``success: false`` is a failure, though it comes under HTTP 200: the last two digits of its first reason's code say of
what sort (Zuora's page on error handling). ``updatedDate`` orders the states of an object.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote

from tieout.contract import Budget, Quiet, Rate, Read, Wire
from tieout.core.classify import READING, Answer, Row
from tieout.core.clocks import EventInstant
from tieout.core.exchange import judge, member, read_answer
from tieout.core.verdicts import NeedsHuman, TryAgain, Uncertain, Verdict
from tieout.systems.zuora.source import SOURCE

#: Pinned: an object query shows what this version of the API knows.
VERSION: Final = "2025-08-12"


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
