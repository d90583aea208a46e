"""Credentials are seen ahead: what is missing, what dies soon, and that nothing of a secret is ever told."""

from __future__ import annotations

import json
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from tests.fakes import World
from tieout import systems, tables
from tieout.work.credentials import SOON, UNTOLD, accounts, hearing, sources, standing, watch
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
    every = {*accounts(tables.load()), *sources(tables.load())}
    assert figures["credentials_wanting"] == sum(1 for name in every if not name.startswith(("netsuite", "legacy")))
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


def test_an_sftp_host_s_secret_is_read_for_what_it_lacks_and_for_its_end() -> None:
    made = World()
    host: dict[str, Any] = {"host": "sftp.example", "user": "u", "private_key": "k", "host_key": ["a", "b"]}
    made.secrets.values["legacy", "acme"] = host
    assert look(made, "legacy:acme").state == "good"
    host["expires_on"] = (made.time + timedelta(days=3)).date().isoformat()
    assert (look(made, "legacy:acme").state, look(made, "legacy:acme").days) == ("soon", 3)
    for field, lacks in (("user", "user"), ("private_key", "password or private_key"), ("host_key", "host_key")):
        made.secrets.values["legacy", "acme"] = {name: value for name, value in host.items() if name != field}
        assert (look(made, "legacy:acme").state, look(made, "legacy:acme").lacks) == ("incomplete", (lacks,))
    made.secrets.values["legacy", "acme"] = {"settings": {"format": "csv"}}
    assert look(made, "legacy:acme").state == "good", "a bucket needs nothing"


def test_a_key_that_dies_and_has_no_day_written_down_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    made = World()
    key = {"base_url": "https://x.example", "api_key": "k"}
    made.secrets.values["odoo", "acme"] = key
    assert look(made, "odoo:acme").state == "untold"
    monkeypatch.setattr("tieout.work.credentials.accounts", lambda known: ["odoo:acme"])
    monkeypatch.setattr("tieout.work.credentials.sources", lambda known: [])
    assert watch(made.ports(), tables.load())["credentials_wanting"] == 0
    assert [facts["state"] for what, facts in made.logged if what == "credential_wants_a_person"] == ["untold"]
    made.secrets.values["odoo", "acme"] = key | {"expires_on": (made.time + timedelta(days=80)).date().isoformat()}
    assert (look(made, "odoo:acme").state, look(made, "odoo:acme").days) == ("good", 80)


def test_hubspot_s_journal_needs_its_own_credentials_where_it_is_switched_on() -> None:
    made = World()
    token = {"base_url": "https://x.example", "access_token": "t"}
    made.secrets.values["hubspot", "acme"] = token
    assert look(made, "hubspot:acme").state == "good"
    made.secrets.values["hubspot", "acme"] = token | {"client_id": "c", "settings": {"journal": "on"}}
    assert look(made, "hubspot:acme").lacks == ("client_secret",)
    made.secrets.values["hubspot", "acme"] = token | {
        "client_id": "c", "client_secret": "s", "settings": {"journal": "on"},
    }  # fmt: skip
    assert look(made, "hubspot:acme").state == "good"


def hear(made: World, account: str, *, told: bool = True) -> Any:
    return hearing(made.ports(), account, made.time.date(), told=told)


def test_signing_secrets_are_missed_and_their_end_is_seen() -> None:
    made = World()
    assert hear(made, "xero:acme") is None, "it tells us nothing"
    assert (hear(made, "zendesk:acme").state, hear(made, "zendesk:acme").lacks) == ("missing", ("webhook_secrets",))
    assert hear(made, "legacy:acme") is None, "a drop is looked at"
    assert hear(made, "hubspot:acme", told=False).state == "unheard"
    for nothing in ([], [""], "whsec", None):
        made.secrets.values["zendesk", "acme"] = {"webhook_secrets": nothing}
        assert hear(made, "zendesk:acme").state == "incomplete"
        made.secrets.values["stripe", "acct_us"] = {"webhook_secrets": nothing}
        assert hear(made, "stripe:acct_us").state == "unheard", "what it told is listed"
    ends = {"webhook_secrets": (made.time + timedelta(days=9)).date().isoformat()}
    made.secrets.values["zendesk", "acme"] = {"webhook_secrets": ["a", "b"], "expires_on": ends}
    found = hear(made, "zendesk:acme")
    assert (found.state, found.days, found.ending, found.active) == ("soon", 9, "webhook_secrets", 2)


def test_a_source_account_that_nobody_can_sign_to_is_counted_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    made = World()
    monkeypatch.setattr("tieout.work.credentials.accounts", lambda known: [])
    monkeypatch.setattr("tieout.work.credentials.sources", lambda known: ["zendesk:acme", "stripe:acct_us"])
    made.secrets.values["zendesk", "acme"] = {"webhook_secrets": []}
    made.secrets.values["stripe", "acct_us"] = {"webhook_secrets": ["whsec_canary"], "expires_on": "2026-11-30"}
    figures = watch(made.ports(), tables.load())
    assert figures == {"credential_days_left": 10, "credentials_wanting": 1}
    told = [(facts["target"], facts["state"]) for what, facts in made.logged if what == "credential_wants_a_person"]
    assert told == [("zendesk:acme", "incomplete"), ("stripe:acct_us", "soon")]
    assert "canary" not in repr(made.logged)
