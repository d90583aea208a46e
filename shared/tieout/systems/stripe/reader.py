"""Stripe, asked: the lines that an event cuts, what a payout is made up of, which invoice a disputed or refunded
payment has paid, how a subscription stands now, and the events of the last thirty days.

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
from tieout.core.verdicts import Ignore, NeedsHuman, TryAgain
from tieout.systems.stripe.source import INVOICE_PAYMENTS, SOURCE
from tieout.systems.stripe.target import TARGET, error_text

#: Pages of a hundred lines or transactions after which a document is nobody's.
PAGES_MOST: Final = 50
#: The first version that lists invoice payments (2025-03-31.basil): events in an older one are asked about in this.
LISTS_PAYMENTS: Final = "2025-03-31.basil"
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
        """The document with all of its lines, or the object with what hangs on it laid beside it."""
        path = SOURCE.rereads[read.type].format(id=quote(read.object_id, safe=""))
        if path.endswith("/lines"):
            shown = {**read.object["lines"], "data": self._whole_list(wire, path, {}, read), "has_more": False}
            return replace(read, object={**read.object, "lines": shown}, thin=False)
        if path == INVOICE_PAYMENTS:
            laid = self._with_payments(wire, read)
        else:
            laid = self._one(wire, path, read)
            if read.type == "customer.updated" and laid.get("deleted") is True:
                raise Ignore("not_for_us", "deleted", reason="the customer was deleted since")
            laid = self._with_transactions(wire, laid, read) if read.type == "payout.paid" else laid
        return replace(read, object=laid, thin=False)

    def _with_payments(self, wire: Wire, read: Read) -> Mapping[str, Any]:
        """The object as its event shows it, and beside it which invoices its payment intent has paid."""
        intent = read.object.get("payment_intent")
        named = member(intent, "id") if isinstance(intent, Mapping) else intent
        if not named:
            return {**read.object, "invoice_payments": []}
        wanted = {"payment[type]": "payment_intent", "payment[payment_intent]": str(named)}
        asking = replace(read, api=max(read.api or LISTS_PAYMENTS, LISTS_PAYMENTS))
        return {**read.object, "invoice_payments": self._whole_list(wire, INVOICE_PAYMENTS, wanted, asking)}

    def _with_transactions(self, wire: Wire, payout: Mapping[str, Any], read: Read) -> Mapping[str, Any]:
        """A payout with its transactions, once Stripe has them together; a manual one has none."""
        if payout.get("automatic") is not True:
            return payout
        if payout.get("reconciliation_status") == "in_progress":
            raise TryAgain("source_behind", "reconciliation in progress")
        rows = self._whole_list(wire, "/v1/balance_transactions", {"payout": read.object_id}, read)
        return {**payout, "balance_transactions": rows}

    def _whole_list(self, wire: Wire, path: str, wanted: Mapping[str, str], read: Read) -> list[Any]:
        """Every row of a list, page by page, in the event's API version."""
        rows: list[Any] = []
        for _ in range(PAGES_MOST):
            after = {"starting_after": str(member(rows[-1], "id"))} if rows else {}
            page = self._asked(wire, f"{path}?{urlencode({'limit': '100', **wanted, **after})}", _version(read))
            rows += page["data"]
            if page.get("has_more") is not True:
                return rows
            if not page["data"]:
                break
        raise NeedsHuman("source_unreadable", f"no end of {path}", said=f"{len(rows)} rows and no end")

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

    def _one(self, wire: Wire, path: str, read: Read) -> Mapping[str, Any]:
        """The object that an event is about, as it is now, or the verdict."""
        answer = wire.call("GET", path, headers=_version(read))
        judge(self.verdicts, answer, error_text(answer))
        shown = read_answer(answer)
        if not isinstance(shown, Mapping) or shown.get("id") != read.object_id:
            raise NeedsHuman("source_unreadable", "another object", said="an object that is not it")
        return shown

    def _asked(self, wire: Wire, path: str, headers: Mapping[str, str]) -> Mapping[str, Any]:
        """A list that was asked for, or the verdict."""
        answer = wire.call("GET", path, headers=headers)
        judge(self.verdicts, answer, error_text(answer))
        page = read_answer(answer)
        if not isinstance(page, Mapping) or not isinstance(page.get("data"), list):
            raise NeedsHuman("source_unreadable", "no list", said="no list")
        return page


def _version(read: Read) -> dict[str, str]:
    return {"Stripe-Version": read.api} if read.api else {}


def _second(at: Any) -> str:
    return str(int(at.timestamp()))


READER = Stripe()
