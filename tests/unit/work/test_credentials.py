"""Credentials are seen ahead: what is missing, what dies soon, and that nothing of a secret is ever told."""

from __future__ import annotations

import json
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from tests.fakes import World
from tieout import systems, tables
from tieout.work.credentials import SOON, UNTOLD, accounts, standing, watch
from tieout.work.ports import Unavailable

NETSUITE = {
    "base_url": "https://x.example", "client_id": "cid", "certificate_id": "cert", "private_key": "hushhush",
}  # fmt: skip


def world(**secret: Any) -> World:
    made = World()
    made.secrets.values["netsuite", "acme"] = {**NETSUITE, **secret}
    return made


def look(made: World, target: str = "netsuite:acme") -> Any:
    return standing(made.ports(), target, made.time.date())


def test_every_account_that_a_route_names_or_that_is_asked_is_looked_at() -> None:
    assert set(accounts(tables.load())) >= {"netsuite:acme", "legacy:acme", "stripe:acct_us", "salesforce:acme"}
    assert set(accounts(tables.load())) >= {"zuora:acme-eu", "chargebee:acme-eu"}
    made = World()
    made.secrets.values["zuora", "acme-eu"] = {"base_url": "https://x.example", "client_id": "c"}
    assert look(made, "zuora:acme-eu").lacks == ("client_secret",)


@pytest.mark.parametrize(("days", "state"), [(SOON + 1, "good"), (SOON, "soon"), (0, "soon"), (-1, "dead")])
def test_an_end_that_comes_near_is_told_by_the_day(days: int, state: str) -> None:
    made = world()
    ends = (made.time + timedelta(days=days)).date().isoformat()
    one = look(world(expires_on=ends))
    assert (one.state, one.days) == (state, days)


def test_a_secret_is_missing_incomplete_unreadable_or_good() -> None:
    assert look(World()).state == "missing"
    assert (look(world(private_key="")).state, look(world(private_key="")).lacks) == ("incomplete", ("private_key",))
    assert look(world(expires_on="soon")).lacks == ("expires_on",)
    assert (look(world()).state, look(world()).days) == ("good", None)
    assert look(World(), "legacy:acme").state == "good"

    def throttled(system: str, account: str) -> None:
        raise Unavailable("secrets_unavailable")

    made = world()
    made.secrets.get = throttled  # type: ignore[method-assign]
    assert look(made).state == "unknown"


def test_a_rotating_token_ends_when_its_stored_pair_does(monkeypatch: pytest.MonkeyPatch) -> None:
    target = SimpleNamespace(auth={"scheme": "oauth2_refresh", "token_path": "/t"})
    monkeypatch.setattr(systems, "target", lambda name: target)
    made = World()
    made.secrets.values["books", "acme"] = {
        "base_url": "https://x", "client_id": "c", "client_secret": "s", "refresh_token": "r",
    }  # fmt: skip
    made.secrets.values["books", "acme/token"] = {"expires_on": (made.time + timedelta(days=9)).date().isoformat()}
    assert (look(made, "books:acme").state, look(made, "books:acme").days) == ("soon", 9)


def test_the_metric_is_the_nearest_end_and_the_log_names_accounts_and_fields_only() -> None:
    made = world(expires_on=(World().time + timedelta(days=5)).date().isoformat())
    figures = watch(made.ports(), tables.load())
    assert figures["credential_days_left"] == 5
    assert figures["credentials_wanting"] == sum(
        1 for name in accounts(tables.load()) if not name.startswith(("netsuite", "legacy"))
    )
    told = json.dumps(made.logged)
    assert "netsuite:acme" in told
    assert "stripe:acct_us" in told
    assert "hushhush" not in told
    assert watch(World().ports(), tables.load())["credential_days_left"] == UNTOLD


def test_an_account_that_is_reached_by_the_other_scheme_is_told_by_that_one() -> None:
    made = World()
    made.secrets.values["sap", "acme"] = {"base_url": "https://x.example", "user": "u", "password": "p"}
    assert look(made, "sap:acme").scheme == "basic"
    made.secrets.values["sap", "acme"] = {"base_url": "https://x.example", "client_id": "c", "client_secret": "s"}
    assert (look(made, "sap:acme").scheme, look(made, "sap:acme").state) == ("oauth2_client_credentials", "good")
