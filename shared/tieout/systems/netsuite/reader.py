"""NetSuite, asked: what changed of late, by SuiteQL, and the record of a change, over REST.

SuiteQL tells time to the second and by the clock on the wall of the user's time zone, which is the account's setting
``time_zone`` here; REST tells it in UTC. Three things follow.

* **A span is asked for by wall time, wider where clocks are set back in it** (``core/local_time``), and a row of an
  hour that comes twice is an event for each of its moments within the span. The record read again says which was true;
  the other event is then old news or the same.
* **Pages are followed by what they end with, never by an offset**: a row that is changed while the list is read moves
  to its end, and all behind it would move up, over the edge of the page. A page that is full is followed by all rows of
  its last second, by their ids, and these by the rows after that second; so that any number of rows may share one.
* **The setting is proven** before each listing against the newest record, by both ways: a wrong one would ask for hours
  that are not, and lose what is between.

A record may be seen late (its time is taken when it is saved, and it is shown when that is committed): it is found for
as long as spans overlap. What we posted carries our external id and is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tieout.contract import Page, Poll, Quiet, Read, Span, Wire
from tieout.core import local_time
from tieout.core.classify import READING, Row
from tieout.core.clocks import EventInstant
from tieout.core.exchange import JSON, judge, member, read_answer
from tieout.core.parse import write_json
from tieout.core.verdicts import Ignore, NeedsHuman, TryAgain, Verdict
from tieout.systems.netsuite.source import SOURCE, told
from tieout.systems.netsuite.target import RECORDS, SUITEQL, TARGET, error_text

#: Rows of one page, the most that NetSuite gives.
ROWS: Final = 1000
OURS: Final = TARGET.reference.prefix
#: Time zones differ by quarters of an hour; less is a clock.
QUARTER: Final = timedelta(minutes=15)
SPELLED: Final = "YYYY-MM-DD HH24:MI:SS"
PYTHON: Final = "%Y-%m-%d %H:%M:%S"


@dataclass(frozen=True)
class Kind:
    """One list of changes: the type of its events, where they are, which moment of a row counts."""

    type: str
    table: str
    moment: str
    where: str = ""


KINDS: Final = (
    Kind("customer.created", "customer", "datecreated"),
    Kind("customer.changed", "customer", "lastmodifieddate"),
    Kind("payment.changed", "transaction", "lastmodifieddate", "type = 'CustPymt' AND "),
)


class NetSuite:
    """Asks one NetSuite account; holds nothing."""

    name = "netsuite"
    auth = TARGET.auth
    quiet = Quiet(client_timeout=20, longest_processing=0, search_lag=0, clock_skew=5, period=0)
    budget = TARGET.budget
    verdicts: Sequence[Row] = (
        Row(400, TryAgain, "target_busy", says="concurrency_limit_exceeded", retry_after=True),
        Row(400, TryAgain, "target_busy", says="sss_request_limit_exceeded", retry_after=True),
        Row(5, TryAgain, "target_down", retry_after=True),
        *READING,
    )
    poll = Poll(every=timedelta(minutes=5), settle=timedelta(minutes=2), overlap=timedelta(minutes=30),
                reach=timedelta(days=30))  # fmt: skip

    # --- the record ------------------------------------------------------------------------------------------------
    def again(self, wire: Wire, read: Read) -> Read:
        """The record of a change; of a payment, with the customer it is from."""
        shown = self._record(wire, SOURCE.rereads[read.type].format(id=read.object_id), read.object_id)
        version = _instant(shown.get("lastModifiedDate"))
        self._not_behind(read, version)
        ours = shown.get("externalId")
        if isinstance(ours, str) and ours.startswith(OURS):
            return replace(read, object=shown, object_version=_milliseconds(version), ours=ours, thin=False)
        if read.type == "payment.changed":
            customer = str(member(shown, "customer", "id") or "")
            shown = {**shown, "customerRecord": self._record(wire, f"{RECORDS}/customer/{customer}", customer)}
        if str(shown.get("searchStage", "")).casefold() in ("lead", "prospect"):
            raise Ignore("not_for_us", "no customer yet", reason="it is a lead or a prospect")
        subsidiary = wire.settings.get("subsidiary")
        if subsidiary and str(member(shown, "subsidiary", "id") or subsidiary) != subsidiary:
            raise Ignore("not_for_us", "subsidiary", reason="the record belongs to another subsidiary")
        return replace(read, object=shown, object_version=_milliseconds(version), thin=False)

    def _record(self, wire: Wire, path: str, ident: str) -> Mapping[str, Any]:
        shown = self._answer(wire, "GET", path, None)
        if not isinstance(shown, Mapping) or str(shown.get("id", "")) != ident:
            raise NeedsHuman("source_unreadable", "another id", said=f"a record with the id {member(shown, 'id')}")
        return shown

    def _not_behind(self, read: Read, version: datetime) -> None:
        """A record older than its change is not it yet; by more than a quarter of an hour, the zone is wrong."""
        earliest = read.object.get("earliest") or read.object.get("changed")
        behind = _instant(earliest) - version
        if behind > QUARTER:
            said = f"a change {behind} newer than the record; is the setting `time_zone` the reading user's?"
            raise NeedsHuman("source_unreadable", "time zone", said=said)
        if behind > timedelta(seconds=self.quiet.clock_skew):
            raise TryAgain("source_behind", f"the record is {behind} older than its change")

    # --- the list --------------------------------------------------------------------------------------------------
    def listed(self, wire: Wire, span: Span, page: str) -> Page:
        """One page of the changes of a span; a place that cannot be read is the beginning."""
        zone = wire.settings.get("time_zone", "")
        kind, second, ident = _place(page)
        low, high = local_time.bounds(span.since, span.until, zone or "UTC")
        if second is None:
            asked = f"{kind.moment} >= {_date(low)} AND {kind.moment} <= {_date(high)}"
        elif ident is None:
            asked = f"{kind.moment} > {_date(second)} AND {kind.moment} <= {_date(high)}"
        else:
            asked = f"{kind.moment} = {_date(second)} AND id > {ident}"
        order = "id" if ident is not None else kind.moment
        rows, more = self._rows(wire, kind, asked, order, ROWS)
        if not page:
            self._proven(wire, zone)
        bodies = [body for row in rows for body in _bodies(row, kind, span, zone)]
        return Page(bodies, _following(kind, rows, more, second, ident))

    def _proven(self, wire: Wire, zone: str) -> None:
        """Show that the setting ``time_zone`` is the zone in which SuiteQL tells time, or say that it is not."""
        if not zone:
            raise TryAgain("target_credentials", "the account's settings have no time_zone", after=60)
        kind = KINDS[1]
        before = self._newest(wire, kind)
        if before is None:
            return
        ident, local = before
        shown = self._record(wire, f"{RECORDS}/customer/{ident}", ident)
        changed = local_time.shown(_instant(shown.get("lastModifiedDate")), zone)
        if abs(changed - local) >= QUARTER and self._newest(wire, kind) == before:
            said = f"{local} by SuiteQL and {changed} in {zone} of one change: the setting `time_zone` is wrong"
            raise NeedsHuman("source_unreadable", "time zone", said=said)

    def _newest(self, wire: Wire, kind: Kind) -> tuple[str, datetime] | None:
        rows, _ = self._rows(wire, kind, f"{kind.moment} IS NOT NULL", f"{kind.moment} DESC", 1)
        return (rows[0]["id"], rows[0]["at"]) if rows else None

    def _rows(self, wire: Wire, kind: Kind, asked: str, order: str, most: int) -> tuple[list[Mapping[str, Any]], bool]:
        """Id, local time and external id of what a query finds, and whether there is more."""
        columns = f"id, externalid, TO_CHAR({kind.moment}, '{SPELLED}') AS at"
        query = f"SELECT {columns} FROM {kind.table} WHERE {kind.where}{asked} ORDER BY {order}"
        shown = self._answer(wire, "POST", f"{SUITEQL}?limit={most}", write_json({"q": query}))
        rows, more = member(shown, "items"), member(shown, "hasMore")
        if not isinstance(rows, list) or not isinstance(more, bool) or (more and not rows):
            raise NeedsHuman("source_unreadable", "no rows", said="no rows of a query")
        return [_row(row) for row in rows], more

    def _answer(self, wire: Wire, method: str, path: str, body: bytes | None) -> Any:
        headers = {"Accept": JSON, **({"Content-Type": JSON, "Prefer": "transient"} if body else {})}
        answer = wire.call(method, path, headers=headers, body=body)
        judge(self.verdicts, answer, error_text(answer))
        return read_answer(answer)


def _place(page: str) -> tuple[Kind, datetime | None, int | None]:
    """Kind, second and id of a place in a list: without a second its beginning, without an id what is after that."""
    name, _, rest = page.partition("|")
    local, _, ident = rest.partition("|")
    try:
        kind = next(one for one in KINDS if one.type == name)
        return kind, datetime.fromisoformat(local) if local else None, int(ident) if ident else None
    except (StopIteration, ValueError):
        return KINDS[0], None, None


def _following(
    kind: Kind, rows: Sequence[Mapping[str, Any]], more: bool, second: datetime | None, ident: int | None
) -> str:
    """The place of the next page; empty behind the last of the last kind."""
    if ident is not None and second is not None:
        return f"{kind.type}|{second:{PYTHON}}|" + (rows[-1]["id"] if more else "")
    if more:
        return f"{kind.type}|{rows[-1]['at']:{PYTHON}}|0"  # the last second may go on: all of it, by id
    after = KINDS.index(kind) + 1
    return f"{KINDS[after].type}||" if after < len(KINDS) else ""


def _row(row: Any) -> Mapping[str, Any]:
    try:
        if not str(row["id"]).isdigit():
            raise ValueError("an id of digits")
        at = datetime.fromisoformat(row["at"])
        if at.tzinfo is not None:
            raise ValueError("a time with an offset")
        return {"id": str(row["id"]), "at": at, "ours": row.get("externalid") or ""}
    except (KeyError, TypeError, ValueError, AttributeError):
        raise NeedsHuman("source_unreadable", "a row", said="a row without its id or its time") from None


def _bodies(row: Mapping[str, Any], kind: Kind, span: Span, zone: str) -> list[bytes]:
    """A row as changes: one for each moment of its local time that lies in the span; none where it is our own."""
    if str(row["ours"]).startswith(OURS):
        return []
    moments = local_time.moments(row["at"], zone)
    earliest = EventInstant(moments[0]).iso if len(moments) > 1 else ""
    return [
        write_json(told(kind.type, row["id"], EventInstant(at).iso, earliest))
        for at in moments
        if span.since <= at < span.until
    ]


def _date(local: datetime) -> str:
    return f"TO_DATE('{local:{PYTHON}}', '{SPELLED}')"


def _instant(text: Any) -> datetime:
    try:
        return EventInstant.parse(str(text)).value
    except Verdict:
        raise NeedsHuman(
            "source_unreadable", "no time", said="a record that does not say when it was changed"
        ) from None


def _milliseconds(at: datetime) -> int:
    return int(at.astimezone(UTC).timestamp() * 1000)


READER = NetSuite()
