"""Checks are made when they are due or asked for, kept one item an account, and never raise."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.fakes import World
from tieout import tables
from tieout.contract import Called, Wire
from tieout.core import keys
from tieout.core.classify import Answer
from tieout.core.ledger import stamp
from tieout.core.verdicts import NeedsHuman
from tieout.work import checkup, credentials

SECRET = {"base_url": "https://x.example", "api_key": "sk_canary_0123456789"}
ACCOUNT = "stripe:acct_us"


class Said:
    """A wire that always answers the same."""

    account, settings = "acct_us", dict[str, str]()

    def __init__(self, status: int = 200) -> None:
        self.status, self.asked = status, 0
        self.clock: Callable[[], datetime] = lambda: datetime(2026, 11, 20, 12, 0, tzinfo=UTC)

    def call(self, method: str, path: str, **more: Any) -> Answer:
        self.asked += 1
        return Answer(self.status, {"date": f"{self.clock():%a, %d %b %Y %H:%M:%S} GMT"}, b'{"data": []}')

    def put_once(self, name: str, body: bytes) -> bool:
        raise AssertionError("no file target")

    def get(self, name: str) -> bytes | None:
        raise AssertionError("no file target")


def world(wire: Said) -> World:
    made = World(lambda system, account: wire)
    wire.clock = lambda: made.time
    made.secrets.values["stripe", "acct_us"] = SECRET
    return made


def run(made: World) -> dict[str, int]:
    return checkup.run(made.ports(), [ACCOUNT])


def test_an_account_is_checked_at_once_then_every_six_hours_and_when_somebody_asks() -> None:
    made = world(wire := Said())
    assert run(made) == {"accounts_checked": 1, "accounts_failing": 0}
    asked = wire.asked
    made.later(hours=5, minutes=59)
    assert run(made)["accounts_checked"] == 0
    made.later(minutes=2)
    assert run(made)["accounts_checked"] == 1
    checkup.ask(made.ledger, ACCOUNT, [ACCOUNT], stamp(made.time.replace(microsecond=1000)))
    made.later(minutes=1)
    assert run(made)["accounts_checked"] == 1
    assert run(made)["accounts_checked"] == 0
    assert wire.asked == 3 * asked


def test_a_failing_account_is_counted_until_it_stands_again_and_named_in_the_log() -> None:
    made = world(wire := Said(403))
    assert run(made)["accounts_failing"] == 1
    assert [facts["target"] for what, facts in made.logged if what == "check_failed"] == [ACCOUNT]
    assert run(made) == {"accounts_checked": 0, "accounts_failing": 1}
    wire.status = 200
    made.later(hours=7)
    assert run(made) == {"accounts_checked": 1, "accounts_failing": 0}


def test_nothing_is_begun_when_the_time_is_nearly_over() -> None:
    made = world(wire := Said())
    made.remaining = checkup.MARGIN
    assert (run(made)["accounts_checked"], wire.asked) == (0, 0)


def test_a_wire_that_cannot_be_made_is_a_finding() -> None:
    def none(system: Called, account: str) -> Wire:
        raise NeedsHuman("target_credentials", said="no key")

    made = World(none)
    made.secrets.values["stripe", "acct_us"] = SECRET
    found = checkup.check(made.ports(), ACCOUNT)
    assert [(one.what, one.state) for one in found] == [("credentials", "good"), ("connection", "bad")]


def test_every_account_that_we_call_can_be_checked_and_one_that_is_only_asked_for_its_credentials() -> None:
    made = World()
    every = credentials.accounts(tables.load())
    assert checkup.run(made.ports(), every)["accounts_checked"] == len(every)
    assert {"zuora:acme-eu", "chargebee:acme-eu"} <= set(every)


def test_a_file_target_is_checked_for_what_it_has() -> None:
    found = checkup.check(World().ports(), "legacy:acme")
    assert [(one.what, one.state) for one in found] == [("credentials", "good")]


def test_what_is_kept_and_shown_holds_nothing_of_a_secret() -> None:
    made = world(Said(401))
    run(made)
    shown = json.dumps(checkup.shown(made.ledger, [ACCOUNT]))
    assert SECRET["api_key"] not in shown + repr(made.ledger.items) + repr(made.logged)
    assert json.loads(shown)[0]["state"] == "bad"


def test_an_account_that_was_never_checked_says_so_and_one_that_no_route_names_cannot_be_asked_for() -> None:
    made = World()
    [shown] = checkup.shown(made.ledger, [ACCOUNT])
    assert (shown["state"], shown["at"], shown["findings"]) == ("unknown", "", [])
    with pytest.raises(checkup.NoSuchAccount):
        checkup.ask(made.ledger, "stripe:other", [ACCOUNT], stamp(made.time))
    assert keys.checkup_item("stripe:other") not in made.ledger.items
