"""Receive: verified and on the inbox queue before anything is acknowledged, and before any work is done.

Knows nothing of documents, mappings or the ledger: it runs on every delivery, and the sender waits.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, Protocol

from tieout import systems
from tieout.contract import Delivery, Greets, Response, Source
from tieout.core import keys
from tieout.core.problems import PROBLEMS
from tieout.core.verdicts import NeedsHuman
from tieout.work.ports import Unavailable

#: Bodies up to this many bytes travel inside the queue message (1 MiB less base64 and envelope).
INLINE_MOST: Final = 700_000
#: Verified bodies up to this size are kept in the vault; the front door itself takes no more than 10 MB.
LARGE_MOST: Final = 6_000_000
PROBLEM_TYPE: Final = "application/problem+json"
STATUS: Final[Mapping[str, int]] = {
    "unknown_account": 404,
    "wrong_content_type": 415,
    "empty_body": 400,
    "too_large": 413,
    "signature_missing": 401,
    "signature_wrong": 401,
    "signature_old": 401,
    "secrets_unavailable": 503,
    "inbox_unavailable": 503,
}


class Doors(Protocol):
    """What receive needs of the world; a part of ``Ports``, so that it loads nothing else."""

    def secret(self, system: str, account: str) -> Mapping[str, Any] | None:
        """The account's secret; ``None`` where there is none. Raises ``Unavailable``."""

    def keep(self, name: str, body: bytes) -> str:
        """Keep a large verified body; the pointer to it. Raises ``Unavailable``."""

    def enqueue(self, body: Mapping[str, Any]) -> None:
        """Put the event on the inbox. Raises ``Unavailable``."""


def receive(delivery: Delivery, doors: Doors) -> Response:
    """Check account, size, type and signature; put the event on the inbox; answer as its source declares."""
    if delivery.source not in systems.SOURCES:
        return refusal(NeedsHuman("unknown_account", source=delivery.source, account=delivery.account))
    source = systems.source(delivery.source)
    greets = source if isinstance(source, Greets) else None
    try:
        greeting = greets.greet(delivery) if greets else None
        if greeting is None:
            _check(delivery, source)
        secret = doors.secret(delivery.source, delivery.account)
        secrets = (secret or {}).get(source.secrets_field) or []
        if not secrets:
            raise NeedsHuman("unknown_account", source=delivery.source, account=delivery.account)
        if greeting is not None:
            return greeting
        _verify(delivery, source, secrets)
        doors.enqueue(envelope(delivery, doors.keep))
    except NeedsHuman as verdict:
        return refusal(verdict, greets.refusal if greets else None)
    except Unavailable as unavailable:
        return refusal(NeedsHuman(str(unavailable)))
    return source.success


def _check(delivery: Delivery, source: Source) -> None:
    kind = delivery.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in source.content_types:
        raise NeedsHuman("wrong_content_type", type=kind[:80] or "none")
    if not delivery.body:
        raise NeedsHuman("empty_body")


def _verify(delivery: Delivery, source: Source, secrets: list[str]) -> None:
    """Signature first; only what is *not* verified is refused for its size below what the vault takes."""
    most = LARGE_MOST
    try:
        source.verify(delivery, secrets)
    except NeedsHuman as verdict:
        if len(delivery.body) > INLINE_MOST:
            raise NeedsHuman("too_large", verdict.log, bytes=len(delivery.body), most=INLINE_MOST) from verdict
        raise
    if len(delivery.body) > most:
        raise NeedsHuman("too_large", bytes=len(delivery.body), most=most)


def envelope(delivery: Delivery, keep: Callable[[str, bytes], str]) -> dict[str, Any]:
    """The inbox message: the untouched bytes, base64, or a pointer to them."""
    name = keys.delivery_id(delivery.source, delivery.account, delivery.body)
    message: dict[str, Any] = {
        "v": 1,
        "source": delivery.source,
        "account": delivery.account,
        "delivery": name,
        "received_at": _stamp(delivery.received),
    }
    if len(delivery.body) <= INLINE_MOST:
        return message | {"body_b64": base64.b64encode(delivery.body).decode()}
    return message | {"body_at": keep(f"large/{name}", delivery.body)}


def _stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def refusal(verdict: NeedsHuman, declared: int | None = None) -> Response:
    """A problem+json answer (RFC 9457) that says what to do, and nothing about what is inside.

    ``declared`` is the status by which the source wants to be refused, whatever the reason.
    """
    entry = PROBLEMS[verdict.code]
    status = declared or STATUS[verdict.code]
    body = {
        "type": f"urn:tieout:problem:{verdict.code}",
        "title": entry.say(verdict.facts),
        "status": status,
        "detail": entry.remedy,
    }
    headers = {"content-type": PROBLEM_TYPE} | ({"retry-after": "30"} if status == 503 else {})
    return Response(status, json.dumps(body), headers)
