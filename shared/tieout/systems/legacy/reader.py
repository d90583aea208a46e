"""The legacy ERP, asked: the files that it has dropped of its own accord, by name, and our receipt for each.

A file is looked for by when it was written, for as long as spans overlap: a day. What is still being written
(``….part``) and what acknowledges our own batches is passed over. Before a file is taken its receipt is written, which
is also how a second file under the same number is known: the first content has the number, another one is refused
whole. All of it may be done again: a receipt is written once.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, cast

from tieout.contract import Folder, Page, Poll, Quiet, Span, Wire
from tieout.core.classify import READING, Row
from tieout.core.parse import write_json
from tieout.core.verdicts import NeedsHuman
from tieout.systems.legacy import files
from tieout.systems.legacy.target import TARGET

IN: Final = "in/"
#: Files of one page: each costs a read and a write of the drop.
FILES: Final = 5


class Legacy:
    """Looks through one drop; holds nothing."""

    name = "legacy"
    auth = TARGET.auth
    quiet = Quiet(client_timeout=10, longest_processing=0, search_lag=0, clock_skew=5, period=0)
    budget = TARGET.budget
    verdicts: Sequence[Row] = READING
    poll = Poll(every=timedelta(minutes=5), settle=timedelta(minutes=1), overlap=timedelta(days=1),
                reach=timedelta(days=120))  # fmt: skip

    def listed(self, wire: Wire, span: Span, page: str) -> Page:
        """Some files that were written in the span, by name; ``page`` is the last of those before."""
        found = sorted(
            name
            for name, written in cast("Folder", wire).names(IN)
            if name > page and span.since <= written < span.until and files.dialect_of(name)
        )
        bodies = [body for name in found[:FILES] if (body := _told(wire, name)) is not None]
        return Page(bodies, found[FILES - 1] if len(found) > FILES else "")


def _told(wire: Wire, name: str) -> bytes | None:
    """A file as a body, with our answer to the ERP written; ``None`` where it was taken away meanwhile."""
    content, dialect = wire.get(name), files.dialect_of(name)
    if content is None or dialect is None:
        return None
    called = name.removeprefix(IN)[-120:]
    told: dict[str, Any] = {"v": 1, "file": called, **_spelled(content)}
    try:
        file = files.read_file(called, content)
        answer = files.receipt(file, content, dialect)
        before = None if wire.put_once(*answer) else wire.get(answer[0])
        if before is not None and not files.same(before, content, dialect):
            reason = f"number {file.number} of {file.stream} came before with another content"
            told["refused"] = reason
            raise files.refused(called, reason)
    except NeedsHuman as verdict:
        if verdict.code != "file_refused":
            raise
        wire.put_once(*files.refusal(called, str(verdict.facts["reason"]), content, dialect))
    return write_json(told)


def _spelled(content: bytes) -> Mapping[str, str]:
    try:
        return {"content": content.decode("utf-8")}
    except UnicodeDecodeError:
        return {"content_b64": base64.b64encode(content).decode()}


READER = Legacy()
