"""Checks are made when they are due or asked for, kept one item an account, and never raise."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.fakes import World
from tieout import systems, tables
from tieout.aws.http import DropWire
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
    assert [(one.what, one.state) for one in found] == [
        ("credentials", "good"), ("signing secrets", "warn"), ("connection", "bad"),
    ]  # fmt: skip


class Drop:
    """A drop whose folders hold two files, or that answers with an error of S3's."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.asked: list[str] = []

    def names(self, folder: str) -> list[tuple[str, datetime]]:
        self.asked.append(folder)
        if self.status != 200:
            facts = {"Error": {"Code": "x"}, "ResponseMetadata": {"HTTPStatusCode": self.status}}
            raise ClientError(facts, "ListObjectsV2")  # type: ignore[arg-type]
        return [(f"{folder}{name}", datetime(2026, 11, 20, tzinfo=UTC)) for name in "ab"]

    def put_once(self, name: str, body: bytes) -> bool:
        raise AssertionError("a check writes nothing")

    def get(self, name: str) -> bytes | None:
        raise AssertionError("a check reads no file")


def dropped(drop: Drop) -> World:
    return World(lambda system, account: DropWire(account, drop))


def test_every_account_that_we_call_can_be_checked() -> None:
    made = dropped(Drop())
    every = credentials.accounts(tables.load())
    assert checkup.run(made.ports(), every)["accounts_checked"] == len(every)
    assert {"zuora:acme-eu", "chargebee:acme-eu"} <= set(every)
    assert all(systems.checks(one.partition(":")[0]) is not None for one in every)


def test_every_system_that_is_called_declares_checks() -> None:
    called = {*systems.TARGETS, *systems.READERS, *systems.LISTERS}
    assert {name for name in called if systems.checks(name) is None} == set()


@pytest.mark.parametrize(
    ("account", "folders"),
    [
        ("legacy:acme", ["in/", "out/"]),
        ("extract:acme", ["documents/ingest_date=2026-11-20/", "manifests/ingest_date=2026-11-20/"]),
    ],
)
def test_a_drop_is_asked_for_each_of_its_folders(account: str, folders: list[str]) -> None:
    found = checkup.check(dropped(drop := Drop()).ports(), account)
    assert drop.asked == folders
    assert [(one.what, one.state, one.said) for one in found[1:]] == [
        (f"may list {folder}", "good", "2 files") for folder in folders
    ]


@pytest.mark.parametrize(("status", "state"), [(403, "bad"), (503, "unknown")])
def test_a_drop_that_lets_nobody_in_is_bad_and_one_that_is_out_of_reach_unknown(status: int, state: str) -> None:
    found = checkup.check(dropped(Drop(status)).ports(), "legacy:acme")
    assert [one.state for one in found] == ["good", state, state]


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
