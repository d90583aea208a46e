"""NetSuite as a source against its sandbox: lists that move, one second for many, late sights, clocks set back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from infra.local.sandbox import Fault, NetSuite
from infra.local.sandbox.netsuite import Record
from tests.integration.systems.conftest import Bench
from tieout import systems
from tieout.aws.http import HttpWire
from tieout.contract import Read, Span
from tieout.core.verdicts import Ignore, NeedsHuman, TryAgain, Verdict

LISTER, READER, SOURCE = systems.lister("netsuite"), systems.reader("netsuite"), systems.source("netsuite")
OURS = "TIE-ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#: Clocks in New York are set back at six in the morning, UTC.
SET_BACK = datetime(2026, 11, 1, 6, 0, tzinfo=UTC)


class Account:
    """One sandbox account, its wire, and a listing from the beginning to the end of a span."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.there = bench, bench.sandboxes.netsuite
        self.settings: dict[str, str] = {}
        self.pages = 0

    def wire(self) -> HttpWire:
        secret = {**self.there.secret(), "base_url": self.there.base_url}
        secret["settings"] = {**secret["settings"], **self.settings}
        return HttpWire(READER, "acme", lambda: secret, self.bench.now)

    def at(self, moment: datetime) -> None:
        self.bench.clock = moment

    def reads(self, since: datetime, until: datetime, type_: str = "customer.changed") -> list[Read]:
        wire, page, found = self.wire(), "", []
        for self.pages in range(1, 200):
            got = LISTER.listed(wire, Span(since, until, ()), page)
            found += [read for body in got.bodies for read in SOURCE.read(body)]
            page = got.next
            if not page:
                return [read for read in found if read.type == type_]
        raise AssertionError("a list without an end")

    def ids(self, type_: str = "customer.changed", minutes: int = 60) -> list[str]:
        found = self.reads(self.bench.clock - timedelta(minutes=minutes), self.bench.clock + timedelta(1), type_)
        return sorted({read.object_id for read in found})

    def customers(self, count: int, apart: int = 1) -> list[Record]:
        made = []
        for number in range(count):
            made.append(self.there.open_customer("US01", companyName=f"Buyer {number}"))
            self.bench.clock += timedelta(seconds=apart)
        return made

    def seen(self, read: Read) -> Read:
        return READER.again(self.wire(), read)


@pytest.fixture
def account(bench: Bench) -> Iterator[Account]:
    made = Account(bench)
    yield made
    made.there.after_query = lambda: None


def idents(records: list[Record]) -> list[str]:
    return sorted(record.id for record in records)


# --- pages -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("apart", [0, 1])
@pytest.mark.parametrize("page", [1, 3, 1000])
def test_a_list_is_read_to_its_end_however_many_share_a_second(account: Account, page: int, apart: int) -> None:
    account.there.page = page
    made = account.customers(10, apart)
    assert account.ids() == account.ids("customer.created") == idents(made)


@pytest.mark.parametrize("page", [2, 3, 5])
@pytest.mark.parametrize("apart", [0, 1])
def test_what_is_changed_while_the_list_is_read_takes_nobody_else_over_the_edge_of_a_page(
    account: Account, page: int, apart: int
) -> None:
    made = account.customers(12, apart)
    account.there.page = page
    left = list(made)

    def move() -> None:
        if left:
            account.bench.clock += timedelta(seconds=1)
            account.there.change(left.pop(0), phone="1")

    since, until = account.bench.clock - timedelta(hours=1), account.bench.clock + timedelta(seconds=1)
    account.there.after_query = move
    told = {read.object_id for read in account.reads(since, until)}
    account.there.after_query = lambda: None
    moved = {record.id for record in made} - {record.id for record in left}
    assert told | moved == set(idents(made)), "what did not move is told in its own span"
    later = account.reads(until, account.bench.clock + timedelta(seconds=1))
    assert told | {read.object_id for read in later} == set(idents(made))


@pytest.mark.parametrize(
    "page", ["somewhere", "customer.changed|x|1", "customer.changed||x", "|||", "customer.created||"]
)
def test_a_place_that_nobody_can_read_is_the_beginning(account: Account, page: str) -> None:
    made = account.customers(2)
    span = Span(account.bench.clock - timedelta(hours=1), account.bench.clock, ())
    got = LISTER.listed(account.wire(), span, page)
    assert sorted(json.loads(body)["id"] for body in got.bodies) == idents(made)


# --- what is told ----------------------------------------------------------------------------------------------------
def test_what_we_posted_is_never_told_and_a_payment_names_its_customer(account: Account) -> None:
    account.there.add_customer(OURS, "Initech", "US01")
    ours = account.there.find("customer", OURS)
    assert ours is not None
    line = {"item": {"id": account.there.masters["item"][0].id}, "quantity": 1, "amount": Decimal(100)}
    body = {"entity": {"id": ours.id}, "externalId": "TIE-I", "item": [line]}
    invoice = account.there._store(Record("invoice", ""), body, set())
    account.there.receive_payment(invoice, "60.00", externalId="TIE-P")
    cheque = account.there.receive_payment(invoice, "40.00")
    assert account.ids() == account.ids("customer.created") == []
    assert account.ids("payment.changed") == [cheque.id]
    [read] = account.reads(
        account.bench.clock - timedelta(hours=1), account.bench.clock + timedelta(1), "payment.changed"
    )
    whole = account.seen(read)
    assert whole.object["customerRecord"]["companyName"] == "Initech"
    assert [(row["refNum"], row["amount"]) for row in whole.object["apply"]["items"]] == [
        (invoice.fields["tranId"], 40)
    ]


def test_our_own_record_that_a_script_tells_of_is_known_by_our_reference(account: Account) -> None:
    record = account.there.add_customer(OURS, "Initech", "US01")
    [read] = SOURCE.read(json.dumps({"v": 1, "type": "customer.changed", "id": record.id,
                                     "changed": record.modified}).encode())  # fmt: skip
    assert account.seen(read).ours == OURS


@pytest.mark.parametrize(
    ("fields", "settings"),
    [({"searchStage": "Lead"}, {}), ({"searchStage": "Prospect"}, {}), ({}, {"subsidiary": "77"})],
    ids=["a lead", "a prospect", "another subsidiary"],
)
def test_who_is_no_customer_of_ours_is_nobodys_news(
    account: Account, fields: dict[str, str], settings: dict[str, str]
) -> None:
    account.there.open_customer("US01", companyName="Nod", **fields)
    account.settings = settings
    [read] = account.reads(account.bench.clock - timedelta(hours=1), account.bench.clock + timedelta(1))
    with pytest.raises(Ignore, match="not_for_us"):
        account.seen(read)


# --- time ------------------------------------------------------------------------------------------------------------
def walk(account: Account, zone: str, begin: datetime, steps: int) -> tuple[list[Record], list[Read]]:
    """A customer is changed every seven minutes while spans of ten are listed one after the other, as poll does."""
    account.there.zone = ZoneInfo(zone)
    account.at(begin)
    record = account.there.open_customer("US01", companyName="Nod")
    states: list[Record] = []
    told: list[Read] = []
    until = begin
    for _ in range(steps):
        account.bench.clock += timedelta(minutes=7)
        states.append(account.there.change(record, phone=str(len(states))))
        account.bench.clock += timedelta(minutes=3)
        told += account.reads(until, account.bench.clock)
        until = account.bench.clock
    return states, told


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "UTC"])
@pytest.mark.parametrize(
    "at",
    [
        SET_BACK,
        datetime(2026, 10, 25, 1, 0, tzinfo=UTC),
        datetime(2026, 3, 8, 7, 0, tzinfo=UTC),
        datetime(2026, 4, 4, 15, 0, tzinfo=UTC),
    ],
)
def test_no_change_is_lost_when_clocks_are_set_and_no_event_is_named_twice(
    account: Account, zone: str, at: datetime
) -> None:
    states, told = walk(account, zone, at - timedelta(hours=2), 24)
    moments = {read.occurred.strftime("%Y-%m-%dT%H:%M:%SZ") for read in told}
    assert {state.modified for state in states} <= moments
    named: dict[str, Any] = {}
    for read in told:
        assert named.setdefault(read.event_id, read.object) == read.object
    assert len(named) <= 2 * len(states)


def test_a_moment_that_was_not_ends_as_the_state_that_is_there(account: Account) -> None:
    account.at(SET_BACK - timedelta(minutes=30))
    account.there.open_customer("US01", companyName="Nod")  # 01:30, for the first time
    account.at(SET_BACK + timedelta(hours=2))
    first, second = account.reads(SET_BACK - timedelta(hours=2), account.bench.clock)
    assert [read.occurred for read in (first, second)] == [
        SET_BACK - timedelta(minutes=30),
        SET_BACK + timedelta(minutes=30),
    ]
    assert account.seen(first).object_version == account.seen(second).object_version == first.object_version


def test_a_record_seen_late_is_told_while_spans_overlap(account: Account) -> None:
    [slow] = account.customers(1)
    account.there.save_slowly(slow, 20 * 60)
    assert account.ids() == []
    account.bench.clock += timedelta(minutes=21)
    how = LISTER.poll
    until = account.bench.clock - how.settle - how.every  # the last listing's end, before it could be seen
    found = account.reads(until - how.overlap, account.bench.clock - how.settle)
    assert [read.object_id for read in found] == [slow.id]


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Los_Angeles", "Asia/Kathmandu"])
def test_a_setting_that_is_not_the_users_zone_is_said_before_anything_is_lost(account: Account, zone: str) -> None:
    account.customers(1)
    account.settings = {"time_zone": zone}
    with pytest.raises(NeedsHuman, match="source_unreadable") as said:
        account.ids()
    assert "time_zone" in said.value.facts["said"]


def test_without_the_setting_nothing_is_asked(account: Account) -> None:
    account.settings = {"time_zone": ""}
    with pytest.raises(TryAgain, match="target_credentials"):
        account.ids()


def test_a_record_that_shows_an_older_state_than_its_change_is_waited_for(account: Account) -> None:
    [record] = account.customers(1)
    late: Any
    for seconds, late in ((3, None), (60, TryAgain("source_behind")), (3600, NeedsHuman("source_unreadable"))):
        at = datetime.fromisoformat(record.modified) + timedelta(seconds=seconds)
        body = {"v": 1, "type": "customer.changed", "id": record.id, "changed": at.strftime("%Y-%m-%dT%H:%M:%SZ")}
        [read] = SOURCE.read(json.dumps(body).encode())
        if late is None:
            assert not account.seen(read).thin
            continue
        with pytest.raises(type(late), match=late.code):
            account.seen(read)


# --- faults ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "kind", ["concurrency_429", "rate_limit", "unavailable", "truncated", "not_json", "wrong_type", "ok_with_errors",
             "drop_before", "html_500"],
)  # fmt: skip
def test_an_answer_that_is_no_list_is_a_verdict_and_the_page_is_there_again(account: Account, kind: str) -> None:
    made = account.customers(3)
    account.bench.sandboxes.faults.add(Fault(kind, ".*/suiteql", args={"undone": True}))
    with pytest.raises(Verdict):
        account.ids()
    account.bench.sandboxes.faults.clear()
    assert account.ids() == idents(made)


def test_the_lists_of_an_account_are_asked_for_in_few_calls(account: Account) -> None:
    account.customers(3)
    account.ids()
    asked = account.bench.sandboxes.calls("POST .*/suiteql")
    assert len(asked) == 4, "one for each list, and the newest record"
    assert isinstance(account.there, NetSuite)
