"""The names of things: ledger keys, lanes, external references, execution names.

Every part that comes from outside is percent-encoded, so that no source can make two things share a key
(`/`, `:` and `#` are ours). Decision 0001 lists every key.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Final, NamedTuple
from urllib.parse import quote

#: Digits from which external references are spelt when a target allows upper-case letters and digits only.
BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
#: The least number of hash bits an external reference carries; with fewer a target cannot be of class U.
LEAST_BITS = 75


class Key(NamedTuple):
    """Primary key of one ledger item."""

    pk: str
    sk: str = "-"


def part(text: str) -> str:
    """``text`` as one part of a key: everything but letters, digits and ``_.~-`` is percent-encoded."""
    return quote(text, safe="")


def digest(*parts: str) -> bytes:
    """SHA-256 over the parts, each length-prefixed so that no two lists of parts collide."""
    hasher = hashlib.sha256()
    for one in parts:
        raw = one.encode()
        hasher.update(f"{len(raw)}:".encode() + raw)
    return hasher.digest()


def object_id(source: str, account: str, source_id: str) -> str:
    """``source:account:id``, the identity of an object in the system it comes from."""
    return f"{part(source)}:{part(account)}:{part(source_id)}"


def delivery_id(source: str, account: str, body: bytes) -> str:
    """Identity of one delivered body: equal bytes to the same account are the same delivery."""
    return "d_" + digest(source, account, hashlib.sha256(body).hexdigest()).hex()[:32]


def event(source: str, account: str, event_id: str) -> Key:
    """Key of an event item."""
    return Key(f"E#{object_id(source, account, event_id)}")


def posting(kind: str, identity: str, action: str, step: str, generation: int = 0, version: int | None = None) -> str:
    """The posting key: ``kind/source:account:source_id/action/step[/vN]/gN``.

    ``identity`` is :func:`object_id` of the document. ``version`` belongs in the key of kinds that change in place.
    """
    middle = f"/v{version}" if version is not None else ""
    return f"{part(kind)}/{identity}/{part(action)}/{part(step)}{middle}/g{generation}"


def posting_item(posting_key: str) -> Key:
    """Key of the item that holds the posting."""
    return Key(f"P#{posting_key}")


def lane_item(lane: str) -> Key:
    """Key of the item that orders a lane."""
    return Key(f"L#{lane}")


def link_item(kind: str, identity: str) -> Key:
    """Key of the cross-reference of one object: what it is called in the other systems."""
    return Key(f"X#{part(kind)}#{identity}")


def guard_item(kind: str, identity: str) -> Key:
    """Key of the old-news guard of an object that changes in place: the newest version seen."""
    return Key(f"O#{part(kind)}#{identity}")


def budget_item(target: str) -> Key:
    """Key of the budget and breaker of one target account (``system:account``)."""
    return Key(f"B#{target}")


def refresh_item(target: str) -> Key:
    """Key of the lease on renewing the rotating token of one target account (``system:account``)."""
    return Key(f"K#{target}")


def cursor_item(target: str) -> Key:
    """Key of where the listing of one source account (``system:account``) has come to."""
    return Key(f"C#{target}")


def run_item(flow: str, identity: str, run: int = 1) -> Key:
    """Key of one run of a multi-step flow; a restart is run n+1."""
    return Key(f"F#{part(flow)}#{identity}", f"r{run:04d}")


def stream_item(source: str, account: str, stream: str) -> Key:
    """Key of the watermark of one series of numbered events."""
    return Key(f"S#{object_id(source, account, stream)}")


def checkup_item(target: str) -> Key:
    """Key of the last check of one target account (``system:account``)."""
    return Key(f"V#{target}")


def job_item(job: str) -> Key:
    """Key of the item that says which windows of a scheduled job are claimed and done."""
    return Key(f"J#{part(job)}")


def alias_item(name: str, points_to: Key) -> Key:
    """Key of an alias: a number or foreign id by which people search for ``points_to``."""
    return Key(f"A#{name.strip().casefold()}", points_to.pk)


def execution_name(flow: str, identity: str, version: int | None, run: int) -> str:
    """Name of a state machine execution: the flow and 32 hex digits (names are at most 80 characters)."""
    return f"{flow[:47]}-{digest(flow, identity, str(version), str(run)).hex()[:32]}"


def external_ref(identity: str, prefix: str = "TIE-", length: int = 30, alphabet: str = BASE32) -> str:
    """The reference under which a target knows our document.

    Derived from the posting key (documents) or the canonical identity (master data); at most ``length`` characters
    of ``alphabet`` after ``prefix``. ``ValueError`` where fewer than 75 bits of hash would fit.
    """
    room = length - len(prefix)
    bits = room * (len(alphabet).bit_length() - 1)
    if bits < LEAST_BITS:
        raise ValueError(f"{room} characters of {len(alphabet)} carry {bits} bits; at least {LEAST_BITS} are needed")
    number = int.from_bytes(digest("ref", identity), "big")
    out: list[str] = []
    for _ in range(min(room, 26)):
        number, digit = divmod(number, len(alphabet))
        out.append(alphabet[digit])
    return prefix + "".join(out)


def deduplication_id(posting_key: str, sends: int) -> str:
    """Message deduplication id of one send: posting and send counter, within the queue's 128 characters."""
    return base64.urlsafe_b64encode(digest(posting_key, str(sends))).decode().rstrip("=")


#: The shard of what is looked at before everything else that is due: a target's budget lets thousands go.
FIRST: Final = "D#first"


def shard(pk: str, shards: int) -> str:
    """The shard of the due index in which an item lies."""
    return FIRST if pk.startswith("B#") else f"D#{digest(pk)[0] % shards}"


def table_change(table: str, change: str) -> Key:
    """Key of one proposed, approved or refused change of a governed table."""
    return Key(f"T#{part(table)}", part(change))


def table_index() -> Key:
    """Key of the item that says which tables have approved changes, and how many times any was approved."""
    return Key("T#")
