"""HubSpot's journal of webhooks: what happened in a portal, kept for three days, for what no webhook brought.

An app that was granted ``developer.webhooks_journal.read`` asks with a token of its own (client credentials), entry by
entry: each names its offset and the address of a file, which is fetched without credentials. A 204 says that there is
nothing behind an offset, a 404 that the offset is known no more. Where the list has come to is kept from run to run
(`Page.place`), and an event of the journal is written as the webhook that should have told it. Written from HubSpot's
guide (2026-03) and not verified on a portal. On where ``settings.journal`` of the account says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from tieout.contract import Page, Poll, Quiet, Span, Wire
from tieout.core.classify import READING, Answer, Row
from tieout.core.clocks import EventInstant
from tieout.core.exchange import JSON, judge, member, read_answer
from tieout.core.parse import write_json
from tieout.core.verdicts import NeedsHuman, TryAgain, Uncertain
from tieout.systems.hubspot.source import SEEN
from tieout.systems.hubspot.target import TARGET, error_text

JOURNAL: Final = "/webhooks-journal/journal-local/2026-03"
#: HubSpot's own numbers of the objects that concern us.
OBJECTS: Final[Mapping[str, str]] = {"0-2": "company", "0-3": "deal"}
#: Properties of which a change is told, by object.
TOLD: Final[Mapping[str, frozenset[str]]] = {"company": SEEN, "deal": frozenset({"dealstage"})}
SUBSCRIPTIONS: Final = "/webhooks-journal/subscriptions/2026-03"
#: Scopes of a token that may read and make subscriptions, and the actions that we want told.
MANAGING: Final = (
    "developer.webhooks_journal.subscriptions.read", "developer.webhooks_journal.subscriptions.write"
)  # fmt: skip
ACTIONS: Final = ("CREATE", "UPDATE")
VERDICTS: Final[Sequence[Row]] = (
    Row(423, TryAgain, "target_conflict", retry_after=True),
    Row(477, TryAgain, "target_down", retry_after=True),
    Row(5, TryAgain, "target_down", retry_after=True),
    *READING,
)


class Journal:
    """Lists what happened in one HubSpot portal; holds nothing."""

    name = "hubspot"
    auth: Mapping[str, str] = {
        "scheme": "oauth2_client_credentials", "token_path": "/oauth/2026-03/token",
        "scope": "developer.webhooks_journal.read",
    }  # fmt: skip
    switch = ("journal", "on")
    #: Hosts that its files may lie on, beside the account's own.
    elsewhere = (".amazonaws.com",)
    quiet = Quiet(client_timeout=10, longest_processing=0, search_lag=0, clock_skew=2, period=0)
    budget = TARGET.budget
    verdicts = VERDICTS
    poll = Poll(every=timedelta(minutes=10), settle=timedelta(minutes=10), overlap=timedelta(minutes=15),
                reach=timedelta(days=3))  # fmt: skip

    def listed(self, wire: Wire, span: Span, page: str) -> Page:
        """One entry of the journal, behind the last one that was read; the first asking walks up to the span."""
        if wire.settings.get(self.switch[0]) != self.switch[1]:
            return Page([])
        at = page or span.place
        entry = self._entry(wire, at)
        if entry is None:
            return Page([], place=at)
        offset, address = member(entry, "currentOffset"), member(entry, "url")
        if not isinstance(offset, str) or not offset or not isinstance(address, str):
            raise NeedsHuman("source_unreadable", "no entry", said="no offset or no address of a file")
        answer = wire.call("GET", address)
        judge(self.verdicts, answer, error_text(answer))
        file = read_answer(answer)
        events, published = member(file, "journalEvents"), _moment(member(file, "publishedAt"))
        if not isinstance(events, list) or published is None:
            raise NeedsHuman("source_unreadable", "no journal", said="a file without events or time")
        if published >= _milliseconds(span.until):
            return Page([], place=at)  # left to its webhooks, and to the next run
        # Before the first place is known the journal is walked from its beginning: what was then is not ours to take.
        since = 0 if span.place else _milliseconds(span.since)
        bodies = [write_json([one]) for event in events for one in _told(event, wire.account, since)]
        return Page(bodies, offset, "" if published < since else offset)

    def _entry(self, wire: Wire, at: str) -> Any:
        """The entry behind an offset, or the earliest; ``None`` where there is none."""
        whose = f"?installPortalId={quote(wire.account, safe='')}"
        path = f"{JOURNAL}/offset/{quote(at, safe='')}/next" if at else f"{JOURNAL}/earliest"
        answer = wire.call("GET", path + whose)
        if answer.status == 404 and at:  # three days old: what is left begins where the journal does
            answer = wire.call("GET", f"{JOURNAL}/earliest{whose}")
        if answer.status in (204, 404):
            return None
        judge(self.verdicts, answer, error_text(answer))
        return read_answer(answer) or {}  # an empty 200 is no end


def _told(event: Any, portal: str, since: int) -> Iterator[dict[str, Any]]:
    """An event of the journal as its webhook would have told it; nothing of what concerns no flow."""
    kind = OBJECTS.get(str(member(event, "objectTypeId")))
    ident, action, at = member(event, "objectId"), member(event, "action"), _moment(member(event, "occurredAt"))
    if kind is None or str(member(event, "portalId")) != portal or action not in ("CREATE", "UPDATE", "RESTORE"):
        return
    if not str(ident).isdigit() or at is None:
        raise NeedsHuman("source_unreadable", "no event", said="an event without an object or time")
    changes = member(event, "propertyChanges")
    names = sorted(TOLD[kind] & set(changes)) if isinstance(changes, Mapping) else [""]
    if kind == "company" and action != "UPDATE":
        names = [""]
    if at < since or not names:
        return
    name = names[0]  # one is enough: the object is read again
    value = member(changes, name) if name else None
    spelled = f"{member(event, 'objectTypeId')}/{ident}/{at}/{name}"
    yield {
        "eventId": int.from_bytes(hashlib.sha256(spelled.encode()).digest()[:7], "big"), "subscriptionId": 0,
        "portalId": int(portal), "occurredAt": at, "objectId": int(str(ident)), "changeSource": "JOURNAL",
        "subscriptionType": f"{kind}.propertyChange" if name or kind == "deal" else "company.creation",
        **({"propertyName": name or "dealstage"} if name or kind == "deal" else {}),
        **({"propertyValue": value} if isinstance(value, str) else {}),
    }  # fmt: skip


def _moment(spelled: Any) -> int | None:
    """A moment in milliseconds, written as a number or as ISO 8601; ``None`` where it is neither."""
    if isinstance(spelled, bool) or not isinstance(spelled, int | str):
        return None
    if isinstance(spelled, int):
        return spelled if 0 <= spelled < 10**14 else None
    try:
        return int(EventInstant.parse(spelled).value.timestamp() * 1000)
    except NeedsHuman:
        return None


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)


class Subscriber:
    """Makes the journal's subscriptions of one portal, so that changes stand in it at all; holds nothing.

    Its token has scopes of its own: an app that was not granted them reads a journal whose subscriptions a person made.
    """

    name = "hubspot"
    auth: Mapping[str, str] = {**Journal.auth, "scope": " ".join(MANAGING)}
    switch = Journal.switch
    quiet = Journal.quiet
    budget = Journal.budget
    verdicts = VERDICTS

    def keep(self, wire: Wire, secret: str, now: datetime) -> Mapping[str, int]:
        """See the contract: a subscription for deals and for companies, with what another one of the app's has as well.

        The call that makes one changes the one that is there: nothing that it tells of is left out.
        """
        if not wire.account.isdigit():
            raise NeedsHuman("source_unreadable", "no portal", said="an account that is no portal's number")
        shown = self._answer(wire.call("GET", SUBSCRIPTIONS, headers={"Accept": JSON}))
        rows = member(shown, "results")
        if not isinstance(rows, list):
            raise NeedsHuman("source_unreadable", "no list", said="no list of subscriptions")
        done = {"subscriptions_good": 0, "subscriptions_made": 0}
        for number, kind in OBJECTS.items():
            there = [row for row in rows if _about(row, number, wire.account)]
            if any(_covers(row, TOLD[kind]) for row in there):
                done["subscriptions_good"] += 1
                continue
            body = write_json(_wanted(number, kind, wire.account, there))
            headers = {"Content-Type": JSON, "Accept": JSON}
            self._answer(wire.call("POST", SUBSCRIPTIONS, headers=headers, body=body))
            done["subscriptions_made"] += 1
        return done

    def _answer(self, answer: Answer) -> Any:
        judge(self.verdicts, answer, error_text(answer))
        try:
            return read_answer(answer)
        except Uncertain as unclear:
            raise TryAgain("target_unclear", unclear.log, **unclear.facts) from unclear


def _about(row: Any, number: str, portal: str) -> bool:
    """Whether a subscription is about all objects of a kind in our portal."""
    named = (str(member(row, "subscriptionType")), str(member(row, "objectTypeId")), str(member(row, "portalId")))
    return named == ("OBJECT", number, portal) and not member(row, "objectIds")


def _covers(row: Any, names: Iterable[str]) -> bool:
    """Whether it tells of everything that we want to know; one without properties tells of all."""
    told = member(row, "properties")
    return set(ACTIONS) <= set(member(row, "actions") or ()) and (not told or set(names) <= set(told))


def _wanted(number: str, kind: str, portal: str, there: Sequence[Any]) -> dict[str, Any]:
    actions = {*ACTIONS, *(str(one) for row in there for one in member(row, "actions") or ())}
    names = {*TOLD[kind], *(str(one) for row in there for one in member(row, "properties") or ())}
    return {
        "subscriptionType": "OBJECT", "portalId": int(portal), "objectTypeId": number, "actions": sorted(actions),
        "properties": sorted(names),
    }  # fmt: skip


LISTER = Journal()
KEEPER = Subscriber()
