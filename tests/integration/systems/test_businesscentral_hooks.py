"""Business Central as a source against its sandbox: handshake, notification, re-read, renewal, its short temper."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from infra.local.sandbox import Fault
from infra.local.sandbox.businesscentral import BusinessCentral
from tests.fakes import World
from tests.integration.systems.cases.businesscentral import Case
from tests.integration.systems.conftest import EVENTS, Bench
from tieout import systems, tables
from tieout.aws.http import HttpWire
from tieout.contract import Delivery, Greets, Keeps
from tieout.core import keys, ledger
from tieout.core.verdicts import NeedsHuman, TryAgain, Uncertain
from tieout.work import subscriptions
from tieout.work.ports import Unavailable
from tieout.work.receive import receive

SOURCE, READER = systems.source("businesscentral"), systems.reader("businesscentral")
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
URL = "https://hooks.acme.example/hooks/businesscentral/acme"


class Door:
    """The product's front door, as far as this sender sees it: its own secret, and what it has put on the inbox."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.there = bench, bench.sandboxes.of(BusinessCentral)
        self.words: list[str] | None = None
        self.taken: list[bytes] = []
        self.down = False
        bench.sandboxes.deliver = self.deliver
        self.there.subscriptions.shake = self.shake

    def secret(self, system: str, account: str) -> Mapping[str, Any] | None:
        if self.down:
            raise Unavailable("secrets_unavailable")
        secret = self.there.secret()
        words = secret["client_states"] if self.words is None else self.words
        return {**secret, "client_states": words, "settings": {**secret["settings"], "notification_url": URL}}

    get = secret

    def keep(self, name: str, body: bytes) -> str:
        raise AssertionError("small enough")

    def enqueue(self, body: Mapping[str, Any]) -> None:
        self.taken.append(base64.b64decode(body["body_b64"]))

    def ask(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
        where, _, query = path.partition("?")
        account = where.rpartition("/")[2]
        delivery = Delivery("businesscentral", account, "POST", where, headers, body, self.bench.now(), query)
        said = receive(delivery, self)
        return said.status, said.body

    def deliver(self, path: str, headers: dict[str, str], body: bytes) -> int:
        return self.ask(path, headers, body)[0]

    def shake(self, url: str) -> tuple[int, str]:
        return self.ask(url.removeprefix("https://hooks.acme.example"), {}, b"")

    def wire(self) -> HttpWire:
        return HttpWire(READER, "acme", lambda: self.secret("businesscentral", "acme") or {}, self.bench.now)

    def world(self) -> World:
        """A world whose secrets and wires are these."""
        made = World(wire=lambda system, account: self.wire())
        made.secrets = self  # type: ignore[assignment]
        made.time = self.bench.now()
        return made

    def run(self) -> dict[str, int]:
        """One run of the scheduled job."""
        return subscriptions.keep(self.world().ports(), tables.load())


@pytest.fixture
def door(bench: Bench) -> Door:
    return Door(bench)


CARD = {"displayName": "Trey Research", "email": "helen.ray@trey.example", "addressLine1": "153 Thomas Drive",
        "city": "Chicago", "country": "US", "currencyCode": "USD"}  # fmt: skip


def test_a_card_that_a_person_opens_is_told_of_read_again_and_known(door: Door) -> None:
    assert door.run() == {
        "subscriptions_failed": 0, "subscriptions_good": 0, "subscriptions_renewed": 0, "subscriptions_made": 1,
    }  # fmt: skip
    row = door.there.open_card(**CARD)
    [body] = door.taken
    [thin] = SOURCE.read(body)
    assert (thin.type, thin.object_id, thin.thin, thin.ours) == ("customers.created", row["id"], True, None)
    whole = READER.again(door.wire(), thin)
    assert (whole.object["displayName"], whole.thin, whole.ours) == ("Trey Research", False, None)
    assert whole.object_version == thin.object_version


def test_a_card_that_we_opened_ourselves_is_known_as_ours(door: Door) -> None:
    door.run()
    desk = Case(door.bench)
    work = desk.work("customer", "upsert")
    desk.post(work)
    [thin] = SOURCE.read(door.taken[0])
    assert READER.again(door.wire(), thin).ours == work.ref


def test_a_subscription_is_renewed_before_it_runs_out_and_left_alone_while_it_is_young(door: Door) -> None:
    door.run()
    [name] = door.there.subscriptions.rows
    assert door.run()["subscriptions_good"] == 1
    for hours in (25, 30, 47):
        door.bench.advance(hours * 3600)
        assert door.run()["subscriptions_renewed"] == 1, hours
    [row] = door.there.subscriptions.live()
    assert (row["subscriptionId"], row["until"] - door.bench.now()) == (name, timedelta(days=3))
    door.bench.advance(73 * 3600)
    assert door.run()["subscriptions_made"] == 1, "one that ran out all the same is made anew"


def test_a_new_word_is_told_with_the_next_renewal_and_the_old_one_is_good_until_then(door: Door) -> None:
    door.run()
    door.words = ["a newer word", door.there.client_state]
    door.there.open_card(**CARD)
    assert door.run()["subscriptions_renewed"] == 1
    door.words = ["a newer word"]
    door.there.open_card(**CARD)
    assert door.there.subscriptions.answers == [200, 200]
    assert len(door.taken) == 2


def test_a_wrong_word_or_a_secret_that_cannot_be_read_does_not_cost_the_subscription(door: Door) -> None:
    door.run()
    door.words = ["another word"]
    door.there.open_card(**CARD)
    door.words, door.down = None, True
    door.bench.advance(300)
    door.down = False
    door.bench.advance(300)
    assert door.there.subscriptions.answers == [503, 503, 200]
    assert len(door.taken) == 1
    assert len(door.there.subscriptions.live()) == 1


def test_the_sandbox_deletes_a_subscription_whose_address_answers_401(door: Door) -> None:
    door.run()
    door.bench.sandboxes.deliver = None
    door.there.subscriptions._send = lambda path, headers, body: 401
    door.there.open_card(**CARD)
    assert door.there.subscriptions.live() == []


def test_no_handshake_no_subscription_and_the_run_tells_of_it(door: Door) -> None:
    door.words = []
    world = door.world()
    assert subscriptions.keep(world.ports(), tables.load()) == {"subscriptions_failed": 0}, "not set up"
    door.words = None
    door.there.subscriptions.shake = lambda url: (200, "another token")
    world = door.world()
    done = subscriptions.keep(world.ports(), tables.load())
    assert done == {"subscriptions_failed": 1}
    [(what, facts)] = world.logged
    assert (what, facts["target"]) == ("subscription_not_kept", "businesscentral:acme")
    assert door.there.client_state not in str(facts)
    assert door.there.subscriptions.rows == {}


def test_a_run_takes_a_slot_of_the_account_s_budget_and_a_429_pauses_its_posts_too(door: Door) -> None:
    world = door.world()
    door.bench.sandboxes.faults.add(Fault("rate_limit", "GET .*/subscriptions", args={"retry_after": 60}))
    assert subscriptions.keep(world.ports(), tables.load())["subscriptions_failed"] == 1
    budget = world.ledger.items[keys.budget_item("businesscentral:acme")]
    assert (budget["leases"], budget["paused_until"] > ledger.stamp(world.time)) == ({}, True)
    assert subscriptions.keep(world.ports(), tables.load())["subscriptions_failed"] == 1
    assert len(door.bench.sandboxes.calls("GET .*/subscriptions")) == 1, "a paused account is not asked"


@pytest.mark.parametrize("fault", ["rate_limit", "html_500", "drop_before", "stale_token", "not_json", "huge"])
def test_a_run_that_meets_trouble_is_done_by_the_next(door: Door, fault: str) -> None:
    door.bench.sandboxes.faults.add(Fault(fault, "GET .*/subscriptions"))
    done = door.run()
    assert done["subscriptions_failed"] == (0 if fault == "stale_token" else 1)
    assert door.run()["subscriptions_failed"] == 0
    assert len(door.there.subscriptions.live()) == 1


def test_an_account_without_an_address_is_not_set_up_and_a_secret_that_cannot_be_read_is_told(door: Door) -> None:
    bare = door.there.secret()
    door.secret = door.get = lambda system, account: bare  # type: ignore[method-assign]
    assert subscriptions.keep(door.world().ports(), tables.load()) == {"subscriptions_failed": 0}

    def unavailable(system: str, account: str) -> Mapping[str, Any]:
        raise Unavailable("secrets_unavailable")

    door.secret = door.get = unavailable  # type: ignore[method-assign]
    assert subscriptions.keep(door.world().ports(), tables.load()) == {"subscriptions_failed": 1}


def test_the_reader_is_one_that_keeps_and_its_account_is_named() -> None:
    assert isinstance(READER, Keeps)
    assert subscriptions.accounts(tables.load()) == [("businesscentral", "acme")]
    assert not isinstance(systems.reader("zuora"), Keeps)


# --- reading again -----------------------------------------------------------------------------------------------
def test_a_record_that_is_gone_older_or_another_company_s_is_told_apart(door: Door) -> None:
    door.run()
    row = door.there.open_card(**CARD)
    [thin] = SOURCE.read(door.taken[0])
    with pytest.raises(TryAgain, match="source_behind"):
        READER.again(door.wire(), replace(thin, object_version=(thin.object_version or 0) + 5000))
    moved = replace(thin, object={**thin.object, "resource": str(thin.object["resource"]).replace("(", "(0", 1)})
    with pytest.raises(NeedsHuman, match="source_unreadable"):
        READER.again(door.wire(), moved)
    del door.there.rows["customers"][row["id"]]
    with pytest.raises(NeedsHuman, match="source_gone"):
        READER.again(door.wire(), thin)


def test_a_look_that_fails_is_never_in_doubt(door: Door) -> None:
    door.run()
    door.there.open_card(**CARD)
    [thin] = SOURCE.read(door.taken[0])
    for fault in ("html_500", "truncated", "not_json", "unavailable"):
        door.bench.sandboxes.faults.add(Fault(fault, "GET .*/customers"))
        with pytest.raises((TryAgain, Uncertain)) as said:
            READER.again(door.wire(), thin)
        assert fault == "truncated" or isinstance(said.value, TryAgain), fault
        door.bench.advance(61)


# --- the door ----------------------------------------------------------------------------------------------------
def ask(door: Door, query: str, body: bytes = b"", account: str = "acme") -> tuple[int, str]:
    return door.ask(f"/hooks/businesscentral/{account}?{query}", {"content-type": "application/json"}, body)


def test_a_handshake_gives_back_its_token_as_plain_text_and_stores_nothing(door: Door) -> None:
    assert ask(door, "validationToken=abc%2Bd%20e") == (200, "abc+d e")
    assert isinstance(SOURCE, Greets)
    said = SOURCE.greet(Delivery("businesscentral", "acme", "POST", "/", {}, b"", NOON, "validationToken=%3Cb%3E"))
    assert said is not None
    assert (said.body, said.headers["content-type"]) == ("<b>", "text/plain")
    assert said.headers["x-content-type-options"] == "nosniff"
    assert door.taken == []


@pytest.mark.parametrize(
    "query",
    ["", "validationToken=", "validationToken=a&validationToken=b", "validationToken=%0d%0aX", "validationToken=%C3%A9",
     "validationToken=" + "a" * 2049, "token=a"],
)  # fmt: skip
def test_what_is_no_handshake_is_not_given_back(door: Door, query: str) -> None:
    status, body = ask(door, query)
    assert (status, body[:1]) == (503, "{"), "a problem, and not the token"


def test_nobody_is_greeted_for_an_account_that_there_is_not(door: Door) -> None:
    door.words = []
    assert ask(door, "validationToken=abc")[0] == 503


def body_of(*states: Any) -> bytes:
    [one] = json.loads((EVENTS / "businesscentral" / "customers.created.json").read_bytes())["value"]
    return json.dumps({"value": [{**one, "clientState": state} for state in states]}).encode()


@pytest.mark.parametrize("states", [("w", "x"), ("x",), ("w", ""), ("w", None), ("w", 7), ("W",), ("w ",), ()], ids=str)
def test_every_notification_of_a_body_must_carry_an_active_word(door: Door, states: tuple[Any, ...]) -> None:
    door.words = ["w", "older"]
    assert ask(door, "", body_of("w", "w"))[0] == 200
    assert ask(door, "", body_of("older"))[0] == 200
    assert ask(door, "", body_of(*states))[0] == 503
    assert len(door.taken) == 2


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'{"value": {}}', b'{"value": 7}', b"\xff", b"[" * 100_000, b'{"value": [7]}']
)
def test_every_refusal_is_one_after_which_business_central_comes_again(door: Door, body: bytes) -> None:
    status, _ = door.ask("/hooks/businesscentral/acme", {"content-type": "text/xml"}, body)
    assert status == 503
    assert ask(door, "", body)[0] == 503


# --- reading notifications ---------------------------------------------------------------------------------------
def notification(**change: Any) -> bytes:
    event = json.loads(body_of("w"))
    return json.dumps({"value": [{**event["value"][0], **change}]}).encode()


@pytest.mark.parametrize(
    "change",
    [{"resource": "api/v2.0/customers(1)"}, {"resource": None}, {"resource": ""}, {"changeType": "collection"},
     {"changeType": ""}, {"lastModifiedDateTime": "yesterday"}, {"lastModifiedDateTime": None},
     {"resource": "api/v2.0/companies(b18aed47-c385-49d2-b954-dbdf8ad71780)/customers"}],
    ids=str,
)  # fmt: skip
def test_a_notification_with_a_part_wrong_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(NeedsHuman, match="wrong_shape"):
        SOURCE.read(notification(**change))


def test_the_same_change_told_by_another_subscription_is_the_same_event_and_a_later_one_another() -> None:
    [first] = SOURCE.read(notification())
    [again] = SOURCE.read(notification(subscriptionId="other", expirationDateTime="2026-11-29T00:00:00Z"))
    [later] = SOURCE.read(notification(lastModifiedDateTime="2026-11-20T12:54:27.057Z"))
    assert first.event_id == again.event_id != later.event_id
    assert (first.object_version or 0) < (later.object_version or 0)
    [updated] = SOURCE.read(notification(changeType="updated"))
    assert (updated.type, updated.thin) == ("customers.updated", False)


def test_a_thousand_changes_at_once_are_for_a_person_and_never_ignored(door: Door) -> None:
    company = door.there.company_id
    told = f"/api/v2.0/companies({company})/customers?$filter=lastDateTimeModified%20gt%202026-11-20T11:00:00Z"
    [thin] = SOURCE.read(notification(changeType="collection", resource=told))
    assert (thin.type, thin.thin) == ("customers.created", True)
    with pytest.raises(NeedsHuman, match="source_unreadable") as said:
        READER.again(door.wire(), thin)
    assert "more than a thousand" in said.value.facts["said"]
    assert door.bench.sandboxes.calls("GET .*/customers") == []
