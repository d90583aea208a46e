"""HubSpot's journal against its sandbox: what was told in vain comes out of it, entry by entry, from where it stood."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from infra.local.sandbox import Fault, When
from infra.local.sandbox.hubspot import HubSpot
from tests.fakes import World
from tests.integration.systems.conftest import Bench
from tieout import systems
from tieout.aws.http import HttpWire
from tieout.contract import Page, Read, Span
from tieout.core.verdicts import NeedsHuman, TryAgain
from tieout.work import subscriptions

NEVER = When(hold=True)
TYPES = ("company.changed", "deal.propertyChange.dealstage")


class Portal:
    """The sandbox, and the journal's own wire to it."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.there, self.lister = bench, bench.sandboxes.of(HubSpot), systems.lister("hubspot")
        self.more: dict[str, Any] = {}
        self.began = self.there.now()

    @property
    def wire(self) -> HttpWire:
        secret = {**self.there.secret(), **self.more}
        return HttpWire(self.lister, self.there.account, lambda: secret, self.bench.now)

    def walk(self, place: str = "", since: int = -60, until: int = 60) -> tuple[list[Read], str]:
        """All pages of a span, as poll asks for them: the events, and the place that is kept at the end."""
        now = self.there.now()
        span = Span(now + timedelta(seconds=since), now + timedelta(seconds=until), TYPES, place)
        reads: list[Read] = []
        page = Page([])
        for _ in range(50):
            page = self.lister.listed(self.wire, span, page.next)
            reads += [read for body in page.bodies for read in systems.source("hubspot").read(body)]
            place = page.place or place
            if not page.next:
                return reads, place
        raise AssertionError("no end")

    def win(self) -> dict[str, Any]:
        deal = dict(self.there.add_deal())
        self.there.win(self.there.rows["deals"][deal["id"]], NEVER)
        return deal


@pytest.fixture
def portal(bench: Bench) -> Portal:
    return Portal(bench)


def test_a_win_and_a_change_of_a_company_whose_webhooks_were_lost_are_told_by_the_journal(portal: Portal) -> None:
    deal = portal.win()
    company = portal.there.add("companies", {"name": "Initech"})["id"]
    portal.there.change_company(company, NEVER, name="Initech Inc", numberofemployees="7")
    portal.there.change_company(company, NEVER, numberofemployees="8")
    reads, place = portal.walk()
    assert [(read.type, read.object_id, read.thin) for read in reads] == [
        ("deal.propertyChange.dealstage", deal["id"], True), ("company.changed", company, True),
    ]  # fmt: skip
    assert place == portal.there.journal[-1]["offset"]


def test_what_was_read_is_not_read_again_and_what_comes_later_is(portal: Portal) -> None:
    portal.win()
    _, place = portal.walk()
    assert portal.walk(place) == ([], place)
    second = portal.win()
    reads, later = portal.walk(place)
    assert ([read.object_id for read in reads], later != place) == ([second["id"]], True)


def test_the_same_entry_read_again_tells_the_same_events(portal: Portal) -> None:
    portal.win()
    assert [read.event_id for read in portal.walk()[0]] == [read.event_id for read in portal.walk()[0]]


def test_what_is_younger_than_the_span_is_left_and_the_place_stays_before_it(portal: Portal) -> None:
    portal.win()
    _, place = portal.walk()
    portal.win()
    assert portal.walk(place, since=-120, until=-60) == ([], place)
    assert len(portal.walk(place)[0]) == 1


def test_what_happened_before_the_first_asking_is_not_told(portal: Portal) -> None:
    portal.win()
    reads, place = portal.walk(since=1, until=60)
    assert (reads, place) == ([], portal.there.journal[-1]["offset"])


def test_a_place_that_the_journal_has_forgotten_is_gone_on_from_at_its_beginning(portal: Portal) -> None:
    portal.win()
    _, place = portal.walk()
    portal.there.journal[0]["at"] -= timedelta(days=4)
    second = portal.win()
    assert [read.object_id for read in portal.walk(place)[0]] == [second["id"]]


def test_only_what_concerns_this_portal_and_our_flows_is_told(portal: Portal) -> None:
    portal.win()
    (event,) = portal.there.journal[0]["events"]
    others: list[Mapping[str, Any]] = [
        {"portalId": 7}, {"objectTypeId": "0-1"}, {"action": "DELETE"}, {"action": "MERGE"},
        {"propertyChanges": {"amount": "1"}}, {"propertyChanges": {}},
    ]  # fmt: skip
    portal.there.journal[0]["events"] = [{**event, **other} for other in others]
    assert portal.walk()[0] == []
    portal.there.journal[0]["events"] = [{key: event[key] for key in event if key != "propertyChanges"}]
    assert [read.type for read in portal.walk()[0]] == ["deal.propertyChange.dealstage"], "the deal itself says"


@pytest.mark.parametrize("change", [{"objectId": "x"}, {"occurredAt": "yesterday"}, {"occurredAt": None}])
def test_an_event_that_cannot_be_read_is_said_and_not_passed_over(portal: Portal, change: Mapping[str, Any]) -> None:
    portal.win()
    portal.there.journal[0]["events"][0] |= change
    with pytest.raises(NeedsHuman, match="source_unreadable"):
        portal.walk()


def test_without_the_setting_nothing_is_asked(portal: Portal) -> None:
    portal.more = {"settings": {}}
    portal.win()
    assert portal.walk() == ([], "")
    assert portal.bench.sandboxes.calls("webhooks-journal") == []


def test_the_journal_is_asked_with_a_token_of_its_own_and_its_files_with_none(portal: Portal) -> None:
    portal.win()
    portal.walk()
    assert len(portal.bench.sandboxes.calls("POST /hubspot/24881733/oauth/2026-03/token")) >= 1
    assert len(portal.bench.sandboxes.calls("GET /hubspot/24881733/files/")) == 1
    portal.more = {"client_secret": "another"}
    with pytest.raises(TryAgain, match="target_credentials"):
        portal.walk()


@pytest.mark.parametrize("address", [
    "https://evil.example/file.json", "http://s3.amazonaws.com/file.json", "https://amazonaws.com.evil.example/f",
    "https://user@s3.amazonaws.com/file.json", "https://evilamazonaws.com/file.json",
])  # fmt: skip
def test_a_file_on_a_host_that_is_not_declared_is_never_asked_for(portal: Portal, address: str) -> None:
    with pytest.raises(NeedsHuman, match="source_unreadable"):
        portal.wire.call("GET", address)


@pytest.mark.parametrize(
    "kind", ["truncated", "rate_limit", "drop_before", "html_500", "not_json", "wrong_type", "huge"]
)
@pytest.mark.parametrize("place", ["webhooks-journal", "files"])
def test_an_entry_that_fails_is_a_verdict_and_is_read_the_next_time(portal: Portal, kind: str, place: str) -> None:
    portal.win()
    fault = portal.bench.sandboxes.faults.add(Fault(kind, f"GET /hubspot/24881733/{place}"))
    with pytest.raises(Exception, match=r"target_|source_"):
        portal.walk()
    assert fault.struck
    assert len(portal.walk()[0]) == 1


# --- its subscriptions -------------------------------------------------------------------------------------------
def kept(portal: Portal) -> dict[str, int]:
    """A run of the schedule over an account that the routes name."""
    keeper = systems.keeper("hubspot")
    assert keeper is not None
    secret = {**portal.there.secret(), **portal.more}
    wire = HttpWire(keeper, portal.there.account, lambda: secret, portal.bench.now)
    world = World(lambda system, account: wire)
    world.time = portal.bench.now()
    world.secrets.values["hubspot", portal.there.account] = secret
    route = SimpleNamespace(target=f"hubspot:{portal.there.account}")
    known: Any = SimpleNamespace(tables={"source_accounts": SimpleNamespace(rows=())}, routes=(route,))
    return subscriptions.keep(world.ports(), known)


def test_the_journal_s_subscriptions_are_made_once_for_deals_and_companies(portal: Portal) -> None:
    assert kept(portal) == {"subscriptions_failed": 0, "subscriptions_good": 0, "subscriptions_made": 2}
    assert kept(portal) == {"subscriptions_failed": 0, "subscriptions_good": 2, "subscriptions_made": 0}
    made = {row["objectTypeId"]: row for row in portal.there.subscriptions}
    assert set(made) == {"0-2", "0-3"}
    assert (made["0-3"]["actions"], made["0-3"]["properties"]) == (["CREATE", "UPDATE"], ["dealstage"])
    assert {"name", "payment_terms"} <= set(made["0-2"]["properties"])
    assert {row["portalId"] for row in portal.there.subscriptions} == {int(portal.there.account)}


def test_what_another_subscription_of_the_app_tells_of_is_not_left_out(portal: Portal) -> None:
    theirs = {"id": 1, "subscriptionType": "OBJECT", "portalId": int(portal.there.account), "objectTypeId": "0-3",
              "actions": ["DELETE"], "properties": ["amount"]}  # fmt: skip
    portal.there.subscriptions.append(theirs)
    assert kept(portal)["subscriptions_made"] == 2
    [deals] = [row for row in portal.there.subscriptions if row["objectTypeId"] == "0-3"]
    assert (deals["actions"], deals["properties"]) == (["CREATE", "DELETE", "UPDATE"], ["amount", "dealstage"])
    portal.there.subscriptions[0] |= {"properties": None}
    assert kept(portal)["subscriptions_good"] == 2, "one without properties tells of all"


def test_an_app_without_the_scopes_reads_its_journal_all_the_same_and_the_run_tells_of_it(portal: Portal) -> None:
    portal.there.granted = {"developer.webhooks_journal.read"}
    assert kept(portal)["subscriptions_failed"] == 1
    assert portal.walk() == ([], "")


def test_a_portal_whose_journal_is_not_switched_on_is_left_alone(portal: Portal) -> None:
    portal.more = {"settings": {}}
    assert kept(portal) == {"subscriptions_failed": 0}
    assert portal.there.subscriptions == []


def test_an_account_that_is_no_portal_s_number_is_told_of_and_the_run_goes_on(
    portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portal.there, "account", "acme")
    assert kept(portal) == {"subscriptions_failed": 1}
