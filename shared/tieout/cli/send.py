"""Sending a captured event in, signed as its source signs it, so that it goes the whole real way."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tieout.cli.client import USAGE, Failure

Signer = Callable[[str, int, bytes], dict[str, str]]


@dataclass(frozen=True)
class Delivery:
    """What is sent: where to, with which headers, the bytes; and the event's id, to look for it afterwards."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    event_id: str


def _digest(secret: str, stamp: int, body: bytes) -> str:
    return hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()


def _stripe(secret: str, stamp: int, body: bytes) -> dict[str, str]:
    return {"stripe-signature": f"t={stamp},v1={_digest(secret, stamp, body)}"}


def _salesforce(secret: str, stamp: int, body: bytes) -> dict[str, str]:
    return {"x-tieout-timestamp": str(stamp), "x-tieout-signature": f"v1={_digest(secret, stamp, body)}"}


SIGNERS: Final[Mapping[str, Signer]] = {"stripe": _stripe, "salesforce": _salesforce}
#: Where each source writes its event's id.
IDS: Final[Mapping[str, str]] = {"stripe": "id", "salesforce": "event_id"}


def read_event(path: Path) -> tuple[str, dict[str, Any]]:
    """The source (the file's folder) and the event. Raises ``Failure`` where the file is no captured event."""
    try:
        event = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Failure(USAGE, f"{path} cannot be read as JSON ({type(error).__name__}).") from None
    source = path.resolve().parent.name
    if source not in SIGNERS or not isinstance(event, dict):
        known = ", ".join(f"events/{name}/" for name in SIGNERS)
        raise Failure(USAGE, f"{path} lies in no source's folder.", f"Put it under {known}, or say --source.")
    return source, event


def freshen(source: str, event: dict[str, Any], now: float, *, new_object: bool) -> dict[str, Any]:
    """The event under a new id (and its object under a new one too), so that it is no duplicate."""
    if source == "stripe":
        about = event.get("data", {}).get("object", {})
        if new_object and isinstance(about.get("id"), str):
            text = json.dumps(event)
            for name, length in (("id", 24), ("number", 0)):
                known = about.get(name)
                if isinstance(known, str) and known:
                    fresh = f"{known.partition('_')[0]}_{secrets.token_hex(length // 2)}" if length else _number(known)
                    text = text.replace(known, fresh)
            event = json.loads(text)
        return {**event, "id": f"evt_{secrets.token_hex(12)}", "created": int(now)}
    about = dict(event.get("opportunity", {}))
    if new_object:
        about["Id"] = "006" + secrets.token_hex(8)[:15].upper()
    about["SystemModstamp"] = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    return {**event, "event_id": str(uuid.uuid4()), "opportunity": about}


def _number(known: str) -> str:
    return f"{known.rpartition('-')[0] or known}-{secrets.randbelow(900_000) + 100_000}"


def deliver(source: str, account: str, secret: str, event: dict[str, Any], now: float) -> Delivery:
    """The signed delivery of an event."""
    body = json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()
    headers = {"content-type": "application/json", **SIGNERS[source](secret, int(now), body)}
    return Delivery(f"/hooks/{source}/{account}", headers, body, str(event.get(IDS[source], "")))


def account_for(source: str, account: str, known: Mapping[str, str]) -> str:
    """The account to send to: as said, or the first of that source that a secret is known for."""
    if account:
        return account
    found = sorted(name.partition("/")[2] for name in known if name.startswith(f"{source}/"))
    if not found:
        raise Failure(USAGE, f"Which {source} account?", "Say --account, for example --account acct_us.")
    # The American one first, because the captured events are its.
    return next((name for name in found if name.endswith("us")), found[0])
