"""The legacy ERP as a source: numbered files that it drops of its own accord, each with many records (``files.py``).

A file is ``{"v":1,"file","content"}``, as the listing of the drop writes it (``reader.py``); ``content_b64`` in place
of ``content`` where it is no text, and ``refused`` where the listing knows why it is not to be read. The same may be
posted here, signed as ``core/incoming.stamped_signature`` says.

A record is known by stream, number and line, and orders the states of what it is about by when its file was made. One
that cannot be read is an event too, and its mapping makes it a case.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from tieout.contract import Delivery, Numbered, Read, Response
from tieout.core.incoming import Envelope, stamped_signature

if TYPE_CHECKING:  # receive loads nothing of this
    from tieout.systems.legacy.files import File, Record

CHECKED: Final = Envelope("legacy")
KNOWN: Final = frozenset({"v", "file", "content", "content_b64", "refused"})
OURS: Final = "TIE-"
#: How long a number may be missing, in seconds: files are dropped by jobs of the night, and not always in order.
PATIENCE: Final = 3600


class Legacy:
    """Verifies and reads files of one account; holds nothing."""

    name = "legacy"
    content_types: tuple[str, ...] = ("application/json",)
    replay_window = 300
    success = Response(202, '{"accepted":true}', {"content-type": "application/json"})
    secrets_field = "callout_secrets"
    volatile: tuple[str, ...] = ()
    #: A file without records says that there is nothing to say, and takes its number.
    ignored = frozenset({"file.empty"})
    open: frozenset[str] = frozenset()
    rereads: Mapping[str, str] = {}

    def verify(self, delivery: Delivery, secrets: Sequence[str]) -> str:
        """The id of the secret that signed; see the contract."""
        return stamped_signature(delivery.headers, delivery.body, delivery.received, secrets, self.replay_window)

    def read(self, body: bytes) -> Sequence[Read]:
        """The records of the file in ``body``. Raises ``NeedsHuman('file_refused')`` for one that is refused whole."""
        from tieout.core.parse import read_json  # receive verifies only, and loads nothing of this
        from tieout.systems.legacy import files

        event = read_json(body)
        CHECKED.whole(event, "v", 1)
        name, content, reason = CHECKED.text(event, "file"), event.get("content"), event.get("refused")
        if isinstance(reason, str) and reason:
            raise files.refused(name, reason)
        if "content_b64" in event:
            raise files.refused(name, "it is not UTF-8")
        if not isinstance(content, str):
            raise CHECKED.wrong("content")
        file = files.read_file(name, content.encode())
        unknown = tuple(sorted(set(event) - KNOWN))
        return _reads(file, unknown)


def _reads(file: File, unknown: tuple[str, ...]) -> Sequence[Read]:
    number = Numbered(file.stream, file.number, file.number, patience=PATIENCE)
    place = f"{file.stream}:{file.number}"
    made = int(file.created.timestamp()) * 10_000
    if not file.records:
        return (
            Read(place, "file.empty", place, {}, file.created, object_version=made, entity=file.company,
                 unknown=unknown, sequence=number),
        )  # fmt: skip
    return tuple(
        Read(
            event_id=f"{place}:{one.line}",
            type=one.type,
            object_id=f"{place}:{one.line}" if one.code else one.id,
            object={**one.object, "stream": file.stream, "file": str(file.number)},
            occurred=file.created,
            object_version=made + one.line,
            ours=_ours(one),
            entity=file.company,
            unknown=unknown,
            alone={"place": f"{place}:{one.line}", "cells": list(one.cells)},
            sequence=number,
        )
        for one in file.records
    )


def _ours(record: Record) -> str | None:
    """Our reference on a customer that the ERP calls new; what its people change later on is no echo."""
    ref = record.object.get("ref")
    return ref if record.type == "customer.created" and isinstance(ref, str) and ref.startswith(OURS) else None


SOURCE = Legacy()
