"""Stripe, asked: the lines that an event cuts, and the events of the last thirty days.

An event shows the first ten lines of a document; the others are listed in the API version in which the event is
written. The list of events is newest first and reaches thirty days back; it shows events in the account's API version,
which may not be the endpoint's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final
from urllib.parse import quote, urlencode

from tieout.contract import Page, Poll, Quiet, Read, Span, Wire
from tieout.core.classify import READING, Row
from tieout.core.exchange import judge, member, read_answer
from tieout.core.parse import write_json
from tieout.core.verdicts import NeedsHuman, TryAgain
from tieout.systems.stripe.source import SOURCE
from tieout.systems.stripe.target import TARGET, error_text

#: Pages of a hundred lines after which a document is nobody's.
PAGES_MOST: Final = 50
#: Types that one call may ask for; more are picked out of all.
TYPES_MOST: Final = 20


class Stripe:
    """Asks one Stripe account; holds nothing."""

    name = "stripe"
    auth = TARGET.auth
    quiet = Quiet(client_timeout=10, longest_processing=0, search_lag=0, clock_skew=1, period=0)
    budget = TARGET.budget
    verdicts: Sequence[Row] = (
        Row(409, TryAgain, "target_conflict"),
        Row(5, TryAgain, "target_down"),
        *READING,
    )
    #: Stripe delivers for three days, but what did not come in ten minutes is fetched: a duplicate costs nothing.
    poll = Poll(every=timedelta(minutes=10), settle=timedelta(minutes=10), overlap=timedelta(minutes=10),
                reach=timedelta(days=30))  # fmt: skip

    def again(self, wire: Wire, read: Read) -> Read:
        """The document with all of its lines."""
        path = SOURCE.rereads[read.type].format(id=quote(read.object_id, safe=""))
        version = {"Stripe-Version": read.api} if read.api else {}
        lines: list[Any] = []
        for _ in range(PAGES_MOST):
            after = {"starting_after": str(member(lines[-1], "id"))} if lines else {}
            page = self._asked(wire, f"{path}?{urlencode({'limit': '100', **after})}", version)
            lines += page["data"]
            if page.get("has_more") is not True:
                shown = {**read.object["lines"], "data": lines, "has_more": False}
                return replace(read, object={**read.object, "lines": shown}, thin=False)
            if not page["data"]:
                break
        raise NeedsHuman("source_unreadable", f"no end of {path}", said=f"{len(lines)} lines and no end")

    def listed(self, wire: Wire, span: Span, page: str) -> Page:
        """A hundred events of the span; pages go back in time, from one event to the next older."""
        wanted = [("limit", "100"), ("created[gte]", _second(span.since)), ("created[lt]", _second(span.until))]
        wanted += [("types[]", one) for one in span.types] if len(span.types) <= TYPES_MOST else []
        wanted += [("starting_after", page)] if page else []
        got = self._asked(wire, f"/v1/events?{urlencode(wanted)}", {})
        rows = got["data"]
        bodies = [write_json(row) for row in rows if member(row, "type") in span.types]
        more = got.get("has_more") is True and bool(rows)
        return Page(bodies, str(member(rows[-1], "id")) if more else "")

    def _asked(self, wire: Wire, path: str, headers: Mapping[str, str]) -> Mapping[str, Any]:
        """A list that was asked for, or the verdict."""
        answer = wire.call("GET", path, headers=headers)
        judge(self.verdicts, answer, error_text(answer))
        page = read_answer(answer)
        if not isinstance(page, Mapping) or not isinstance(page.get("data"), list):
            raise NeedsHuman("source_unreadable", "no list", said="no list")
        return page


def _second(at: Any) -> str:
    return str(int(at.timestamp()))


READER = Stripe()
