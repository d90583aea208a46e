"""Chargebee, asked: the list of its events, in order of time, page by page.

Basic authentication with the API key as user and an empty password. Events are shown for ninety days. A page's place
is an opaque offset.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from urllib.parse import urlencode

from tieout.contract import Page, Poll, Quiet, Span, Wire
from tieout.core.classify import READING, Row
from tieout.core.exchange import judge, member, read_answer
from tieout.core.parse import write_json
from tieout.core.verdicts import NeedsHuman, TryAgain
from tieout.systems.chargebee.target import TARGET, error_text

EVENTS: Final = "/api/v2/events"


class Chargebee:
    """Asks one Chargebee site; holds nothing."""

    name = "chargebee"
    auth = TARGET.auth
    quiet = Quiet(client_timeout=10, longest_processing=0, search_lag=0, clock_skew=1, period=0)
    budget = TARGET.budget
    verdicts: Sequence[Row] = (
        Row(503, TryAgain, "target_down", retry_after=True),
        Row(5, TryAgain, "target_down"),
        *READING,
    )
    #: Chargebee delivers for three days and more; what did not come in ten minutes is fetched.
    poll = Poll(every=timedelta(minutes=10), settle=timedelta(minutes=10), overlap=timedelta(minutes=10),
                reach=timedelta(days=90))  # fmt: skip

    def listed(self, wire: Wire, span: Span, page: str) -> Page:
        """A hundred events of the span, oldest first. Whether *after* takes in its own second is not said: it does."""
        wanted = {
            "limit": "100",
            "occurred_at[after]": str(int(span.since.timestamp()) - 1),
            "occurred_at[before]": str(int(span.until.timestamp())),
            "event_type[in]": json.dumps(list(span.types), separators=(",", ":")),
            "sort_by[asc]": "occurred_at",
            **({"offset": page} if page else {}),
        }
        answer = wire.call("GET", f"{EVENTS}?{urlencode(wanted)}")
        judge(self.verdicts, answer, error_text(answer))
        shown = read_answer(answer)
        rows = member(shown, "list")
        if not isinstance(rows, list):
            raise NeedsHuman("source_unreadable", "no list", said="no list")
        return Page([write_json(member(row, "event")) for row in rows], str(member(shown, "next_offset") or ""))


READER = Chargebee()
