"""Salesforce, asked: a won opportunity with account and lines, an account, an agreed quote; and what changed of late.

Two queries make what our callout carries. Lines have no change event of their own, so they are always read. A deal that
is not shown may be deleted, or out of the reading user's sight. The listing asks for won deals by ``SystemModstamp``
(UTC) and makes a thin callout of each; its event is named by the deal and the moment it was won, so that later edits of
the same win are the same event. Accounts are listed by their last change, prospects left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode

from tieout.contract import Page, Poll, Quiet, Read, Span, Wire
from tieout.core.classify import READING, Answer, Row
from tieout.core.clocks import EventInstant
from tieout.core.exchange import judge, member, read_answer
from tieout.core.parse import write_json
from tieout.core.verdicts import Ignore, NeedsHuman, TryAgain
from tieout.systems.salesforce.quotes import Profile, profile_of
from tieout.systems.salesforce.target import DATA, TARGET, error_text

DEAL: Final = (
    "Id", "Name", "StageName", "IsWon", "CloseDate", "CurrencyIsoCode", "Amount", "Selling_Entity__c", "SystemModstamp",
    "LastStageChangeDate",
)  # fmt: skip
ACCOUNT: Final = (
    "Id", "Name", "BillingStreet", "BillingCity", "BillingPostalCode", "BillingStateCode", "BillingCountryCode",
    "Tax_Id__c", "Billing_Email__c", "Payment_Terms__c",
)  # fmt: skip
#: What the change of an account asks for beside: finance's mark, and who sells to it.
MARKS: Final = ("Phone", "Selling_Entity__c", "Finance_Customer__c", "SystemModstamp", "CreatedById",
                "LastModifiedById")  # fmt: skip
LINE: Final = ("Id", "ProductCode", "Quantity", "UnitPrice", "TotalPrice")
LISTED: Final = (
    "Id", "SystemModstamp", "Finance_Customer__c", "(SELECT Id FROM Opportunities WHERE IsWon = true LIMIT 1)",
)  # fmt: skip
WON: Final = ("Id", "SystemModstamp", "LastStageChangeDate", "Selling_Entity__c")
#: What a listing leaves of the day's calls to what is posted and read again; all integrations of an org share them.
SPARE: Final = Fraction(1, 10)
USAGE: Final = re.compile(r"(?<!per-app-)api-usage=(?P<used>\d{1,12})/(?P<of>\d{1,12})")
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
        """The object whole: an account at its last change, an opportunity at its last change of stage."""
        if not read.object_id.isalnum() or not read.object_id.isascii():
            raise NeedsHuman("source_unreadable", "no record id", said="an id that is none")
        if read.type == "quote.accepted":
            return self._quote(wire, read)
        return self._account(wire, read) if read.type == "account.changed" else self._opportunity(wire, read)

    def _quote(self, wire: Wire, read: Read) -> Read:
        """The agreed quote with its lines, under our names for what the org's profile calls otherwise."""
        profile = profile_of(wire.settings)
        told = member(read.object, "ChangeEventHeader", "entityName")
        if profile is None or told not in (None, profile.table):
            raise Ignore("not_for_us", "another table", reason="the org's quotes are not kept there, or are off")
        money = wire.settings.get("currency")
        names = {ours: one for ours, one in profile.head.items() if ours != "CurrencyIsoCode" or not money}
        row = self._one(wire, tuple(names.values()), profile.table, read.object_id)
        quote = {**profile.read(row, names), **({"CurrencyIsoCode": money} if money else {})}
        version = self._fresh(quote, read)
        profile.check(quote)
        columns = ", ".join(profile.line.values())
        where = f"FROM {profile.lines} WHERE {profile.parent} = '{read.object_id}' ORDER BY Id"
        lines = [profile.read(one, profile.line) for one in self._all(wire, f"SELECT {columns} {where}")]
        quote["Lines"] = [one for one in lines if not (profile.unless and one.get(profile.unless) is True)]
        entity = quote.get("Entity")
        if not isinstance(entity, str) or not entity:
            raise NeedsHuman("deal_incomplete", "no Selling_Entity__c", what="its selling entity (`Selling_Entity__c`)")
        return replace(read, object=quote, object_version=version or read.object_version, entity=entity, thin=False)

    def _fresh(self, row: Mapping[str, Any], read: Read) -> int | None:
        """When a record changed last. Raises ``source_behind`` where that is before what the event tells of."""
        version = _moment(row.get("SystemModstamp"))
        behind = self.quiet.clock_skew * 1000 + 1000  # Salesforce stamps whole seconds
        if version is not None and read.object_version is not None and version + behind < read.object_version:
            raise TryAgain("source_behind", f"state of {version}, the event tells of {read.object_version}")
        return version

    def _account(self, wire: Wire, read: Read) -> Read:
        """The account. Whether it is finance's is for the books to say, unless it is marked as such."""
        # The key is there only where customers are written to the org as well.
        key = ("TieoutKey__c",) if wire.settings.get("write_accounts") == "on" else ()
        account = self._one(wire, (*ACCOUNT, *MARKS, *key), "Account", read.object_id)
        version = self._fresh(account, read)
        # Nobody but who made it, by our key, has changed it: our own write. What a person changes is theirs to tell.
        ours = account.get("TieoutKey__c") if account.get("CreatedById") == account.get("LastModifiedById") else None
        return replace(
            read, object=account, object_version=version or read.object_version, thin=False, ours=ours or None,
            entity=account.get("Selling_Entity__c") or None, claimed=account.get("Finance_Customer__c") is True,
        )  # fmt: skip

    def _one(self, wire: Wire, columns: Sequence[str], table: str, ident: str) -> dict[str, Any]:
        """The one record of that id. Raises ``source_gone`` and ``source_unreadable``."""
        found, _ = self._query(wire, f"SELECT {', '.join(columns)} FROM {table} WHERE Id = '{ident}'")
        if not found:
            raise NeedsHuman("source_gone", f"no such {table}")
        shown = _plain(found[0])
        if str(shown.get("Id", ""))[:15] != ident[:15]:
            raise NeedsHuman(
                "source_unreadable", "another id", said=f"a record of {table} with the id {shown.get('Id')}"
            )
        return shown

    def _opportunity(self, wire: Wire, read: Read) -> Read:
        """The opportunity as our callout carries it."""
        ident = read.object_id
        money = wire.settings.get("currency")  # of an org with one currency, whose records do not name it
        columns = [
            *(one for one in DEAL if one != "CurrencyIsoCode" or not money),
            *(f"Account.{one}" for one in ACCOUNT),
        ]
        deal = {**self._one(wire, columns, "Opportunity", ident), **({"CurrencyIsoCode": money} if money else {})}
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
        """What changed in the span, oldest first, one list after the other.

        A page's place is its list and the org's own next address; an address alone is of the first list.
        """
        name, _, path = page.partition(" ")
        if name not in LISTS:
            name, path = next(iter(LISTS)), page
        one = _quotes(profile_of(wire.settings)) if name == "quotes" else LISTS[name]
        if one is None:  # switched off since the page before
            return Page([])
        rows, following = self._asked(wire, path or _address(one.soql(span)), spare=SPARE)
        bodies = [write_json(one.told(_plain(row))) for row in rows if one.wanted(row)]
        if following:
            return Page(bodies, f"{name} {following}")
        more = (other for other in list(LISTS)[list(LISTS).index(name) + 1 :] if LISTS[other].type in span.types)
        return Page(bodies, next((other for other in more if wire.settings.get(other, LISTS[other].on) != "off"), ""))

    def _all(self, wire: Wire, soql: str) -> list[Mapping[str, Any]]:
        rows, following = self._query(wire, soql)
        for _ in range(PAGES_MOST):
            if not following:
                return rows
            more, following = self._asked(wire, following)
            rows += more
        raise NeedsHuman("source_unreadable", "no end", said=f"{len(rows)} lines and no end")

    def _query(self, wire: Wire, soql: str) -> tuple[list[Mapping[str, Any]], str]:
        return self._asked(wire, _address(soql))

    def _asked(self, wire: Wire, path: str, spare: Fraction | None = None) -> tuple[list[Mapping[str, Any]], str]:
        """The records of one answer, and where the next are. The address is the org's own, below the API's.

        Raises ``TryAgain('allowance_short')`` where less than ``spare`` is left of the day's calls.
        """
        answer = wire.call("GET", path)
        judge(self.verdicts, answer, error_text(answer))
        if spare is not None and (left := _left(answer)) is not None and left < spare:
            raise TryAgain("allowance_short", target=self.name, left=f"{left * 100 // 1} %")
        shown = read_answer(answer)
        rows, following = member(shown, "records"), member(shown, "nextRecordsUrl") or ""
        if not isinstance(rows, list) or not isinstance(following, str):
            raise NeedsHuman("source_unreadable", "no records", said="no records")
        if following and not following.startswith(f"{DATA}/query/"):
            raise NeedsHuman("source_unreadable", "a strange address", said="an address that is not the query's")
        return [row for row in rows if isinstance(row, Mapping)], following


def _address(soql: str) -> str:
    return f"{DATA}/query?{urlencode({'q': soql})}"


def _left(answer: Answer) -> Fraction | None:
    """The share of the org's daily calls that is left, as the answer tells; ``None`` where it does not."""
    found = USAGE.search(answer.headers.get("sforce-limit-info", ""))
    if found is None or not int(found["of"]):
        return None
    return 1 - Fraction(int(found["used"]), int(found["of"]))


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


def _named(type_: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """A callout that only names its object, and the state of it."""
    noun, changed = type_.partition(".")[0], str(row.get("SystemModstamp"))
    return {
        "v": 1, "event_id": f"listed:{noun}:{row.get('Id')}:{changed}", "type": type_, "commit_number": 0,
        noun: {"Id": row.get("Id"), "SystemModstamp": changed},
    }  # fmt: skip


def _may_be_a_customer(account: Mapping[str, Any]) -> bool:
    """Marked for finance, or with a won deal; all others are prospects, which are most of a CRM."""
    return account.get("Finance_Customer__c") is True or bool(member(account.get("Opportunities"), "records"))


@dataclass(frozen=True)
class Listing:
    """One list of what changed: its type of event, what is asked for, which of it is told, and how."""

    type: str
    columns: Sequence[str]
    table: str
    told: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    where: str = ""
    wanted: Callable[[Mapping[str, Any]], bool] = lambda row: True
    #: What the org's setting of the list's name is where it says nothing; ``off`` leaves the list out.
    on: str = "on"

    def soql(self, span: Span) -> str:
        """The query of a span."""
        since, until = _literal(span.since), _literal(span.until)
        where = f"{self.where}SystemModstamp >= {since} AND SystemModstamp < {until} ORDER BY SystemModstamp"
        return f"SELECT {', '.join(self.columns)} FROM {self.table} WHERE {where}"


def _moment(text: Any) -> int | None:
    return int(EventInstant.parse(text).value.timestamp() * 1000) if isinstance(text, str) and text else None


def _literal(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.000Z")


LISTS: Final[Mapping[str, Listing]] = {
    "deals": Listing("opportunity.closed_won", WON, "Opportunity", _told, "IsWon = true AND "),
    "accounts": Listing("account.changed", LISTED, "Account", partial(_named, "account.changed"),
                        wanted=_may_be_a_customer),
    "quotes": Listing("quote.accepted", ("Id", "SystemModstamp"), "", partial(_named, "quote.accepted"), on="off"),
}  # fmt: skip


def _quotes(profile: Profile | None) -> Listing | None:
    """The list of agreed quotes, as the org's profile has it; ``None`` where they are off."""
    return replace(LISTS["quotes"], table=profile.table, where=f"{profile.listed} AND ") if profile else None


READER = Salesforce()
