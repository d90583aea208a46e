"""Salesforce, asked: a won opportunity with its account and lines, and the deals that were won of late.

Two queries make what our callout carries. Lines have no change event of their own, so they are always read. A deal that
is not shown may be deleted, or out of the reading user's sight. The listing asks for won deals by ``SystemModstamp``
(UTC) and makes a thin callout of each; its event is named by the deal and the moment it was won, so that later edits of
the same win are the same event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from tieout.contract import Page, Poll, Quiet, Read, Span, Wire
from tieout.core.classify import READING, Row
from tieout.core.clocks import EventInstant
from tieout.core.exchange import judge, member, read_answer
from tieout.core.parse import write_json
from tieout.core.verdicts import Ignore, NeedsHuman, TryAgain
from tieout.systems.salesforce.target import DATA, TARGET, error_text

DEAL: Final = (
    "Id", "Name", "StageName", "IsWon", "CloseDate", "CurrencyIsoCode", "Amount", "Selling_Entity__c", "SystemModstamp",
    "LastStageChangeDate",
)  # fmt: skip
ACCOUNT: Final = (
    "Id", "Name", "BillingStreet", "BillingCity", "BillingPostalCode", "BillingStateCode", "BillingCountryCode",
    "Tax_Id__c", "Billing_Email__c", "Payment_Terms__c",
)  # fmt: skip
LINE: Final = ("Id", "ProductCode", "Quantity", "UnitPrice", "TotalPrice")
WON: Final = ("Id", "SystemModstamp", "LastStageChangeDate", "Selling_Entity__c")
#: Pages of a query that is followed to its end.
PAGES_MOST: Final = 20


class Salesforce:
    """Asks one Salesforce org; holds nothing."""

    name = "salesforce"
    auth = TARGET.auth
    quiet = Quiet(client_timeout=10, longest_processing=0, search_lag=0, clock_skew=5, period=0)
    budget = TARGET.budget
    verdicts: Sequence[Row] = (
        Row(403, TryAgain, "target_busy", says="request_limit_exceeded", retry_after=True),
        Row(400, TryAgain, "target_conflict", says="query_timeout"),
        Row(5, TryAgain, "target_down", retry_after=True),
        *READING,
    )
    poll = Poll(every=timedelta(minutes=10), settle=timedelta(minutes=10), overlap=timedelta(minutes=15),
                reach=timedelta(days=30))  # fmt: skip

    def again(self, wire: Wire, read: Read) -> Read:
        """The opportunity as our callout carries it, at the version of its last change of stage."""
        ident = read.object_id
        if not ident.isalnum() or not ident.isascii():
            raise NeedsHuman("source_unreadable", "no record id", said="an id that is none")
        money = wire.settings.get("currency")  # of an org with one currency, whose records do not name it
        columns = [
            *(one for one in DEAL if one != "CurrencyIsoCode" or not money),
            *(f"Account.{one}" for one in ACCOUNT),
        ]
        found, _ = self._query(wire, f"SELECT {', '.join(columns)} FROM Opportunity WHERE Id = '{ident}'")
        if not found:
            raise NeedsHuman("source_gone", "no such opportunity")
        deal = {**_plain(found[0]), **({"CurrencyIsoCode": money} if money else {})}
        if str(deal.get("Id", ""))[:15] != ident[:15]:
            raise NeedsHuman("source_unreadable", "another id", said=f"an opportunity with the id {deal.get('Id')}")
        if deal.get("IsWon") is not True:
            raise Ignore("not_for_us", "not won", reason="the deal is not won")
        where = f"FROM OpportunityLineItem WHERE OpportunityId = '{ident}' ORDER BY Id"
        lines = [_plain(row) for row in self._all(wire, f"SELECT {', '.join(LINE)} {where}")]
        entity = deal.get("Selling_Entity__c")
        if not isinstance(entity, str) or not entity:
            raise NeedsHuman("deal_incomplete", "no Selling_Entity__c", what="its selling entity (`Selling_Entity__c`)")
        version = _moment(deal.get("LastStageChangeDate"))
        whole = {**deal, "Lines": lines}
        return replace(read, object=whole, object_version=version or read.object_version, entity=entity, thin=False)

    def listed(self, wire: Wire, span: Span, page: str) -> Page:
        """Won deals that changed in the span, oldest first; a page's place is the org's own next address."""
        if page:
            rows, following = self._asked(wire, page)
        else:
            since, until = _literal(span.since), _literal(span.until)
            where = f"IsWon = true AND SystemModstamp >= {since} AND SystemModstamp < {until} ORDER BY SystemModstamp"
            rows, following = self._query(wire, f"SELECT {', '.join(WON)} FROM Opportunity WHERE {where}")
        return Page([write_json(_told(_plain(row))) for row in rows], following)

    def _all(self, wire: Wire, soql: str) -> list[Mapping[str, Any]]:
        rows, following = self._query(wire, soql)
        for _ in range(PAGES_MOST):
            if not following:
                return rows
            more, following = self._asked(wire, following)
            rows += more
        raise NeedsHuman("source_unreadable", "no end", said=f"{len(rows)} lines and no end")

    def _query(self, wire: Wire, soql: str) -> tuple[list[Mapping[str, Any]], str]:
        return self._asked(wire, f"{DATA}/query?{urlencode({'q': soql})}")

    def _asked(self, wire: Wire, path: str) -> tuple[list[Mapping[str, Any]], str]:
        """The records of one answer, and where the next are. The address is the org's own, below the API's."""
        answer = wire.call("GET", path)
        judge(self.verdicts, answer, error_text(answer))
        shown = read_answer(answer)
        rows, following = member(shown, "records"), member(shown, "nextRecordsUrl") or ""
        if not isinstance(rows, list) or not isinstance(following, str):
            raise NeedsHuman("source_unreadable", "no records", said="no records")
        if following and not following.startswith(f"{DATA}/query/"):
            raise NeedsHuman("source_unreadable", "a strange address", said="an address that is not the query's")
        return [row for row in rows if isinstance(row, Mapping)], following


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A record without what describes it, its account included."""
    return {
        name: _plain(value) if isinstance(value, Mapping) else value for name, value in row.items()
        if name != "attributes"
    }  # fmt: skip


def _told(deal: Mapping[str, Any]) -> dict[str, Any]:
    """A thin callout about a won deal."""
    won = str(deal.get("LastStageChangeDate") or deal.get("SystemModstamp"))
    return {
        "v": 1, "event_id": f"listed:{deal.get('Id')}:{won}", "type": "opportunity.closed_won", "commit_number": 0,
        "opportunity": dict(deal),
    }  # fmt: skip


def _moment(text: Any) -> int | None:
    return int(EventInstant.parse(text).value.timestamp() * 1000) if isinstance(text, str) and text else None


def _literal(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.000Z")


READER = Salesforce()
