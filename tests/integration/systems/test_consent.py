"""A person's consent at the sandboxes: the code is exchanged, the pair stored as a rotating store expects, and used."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import httpx
import pytest
from moto import mock_aws
from typer.testing import CliRunner

from tests.fakes import MemoryLedger
from tests.integration.systems.conftest import Bench
from tieout import systems
from tieout.aws import clock, consent
from tieout.aws.consent import Door, NoConsent
from tieout.aws.http import HttpWire
from tieout.aws.tokens import SecretTokens
from tieout.cli import app as application
from tieout.cli.client import Failure
from tieout.cli.consent import redirected

REDIRECT = "http://localhost:8912/callback"
READS = {"xero": "/api.xro/2.0/Contacts?page=1&pageSize=1", "quickbooks": "/query?query=select"}
both = pytest.mark.parametrize("name", ["xero", "quickbooks"])


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch, bench: Bench) -> Iterator[None]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setattr(clock, "now", bench.now)
    ledger = MemoryLedger()
    monkeypatch.setattr(consent, "DynamoLedger", lambda client, table: ledger)
    with mock_aws():
        yield


def secret(bench: Bench, name: str) -> dict[str, Any]:
    """As a person writes it before anybody has consented."""
    told = {**bench.sandboxes.secrets()[f"{name}/acme"], "authorize_url": f"{base(bench, name)}/consent"}
    del told["refresh_token"]
    boto3.client("secretsmanager").create_secret(Name=f"tieout/test/{name}/acme", SecretString=json.dumps(told))
    return told


def base(bench: Bench, name: str) -> str:
    return str(bench.sandboxes.secrets()[f"{name}/acme"]["base_url"])


def door(bench: Bench, name: str) -> Door:
    secret(bench, name)
    return consent.open_door(f"{name}:acme", "test", "ledger")


def said_yes(url: str) -> str:
    """Where a browser ends whose person says yes."""
    answer = httpx.get(url, follow_redirects=False, trust_env=False)
    assert answer.status_code == 302
    return str(answer.headers["location"])


def stored(name: str) -> dict[str, Any]:
    value = boto3.client("secretsmanager").get_secret_value(SecretId=f"tieout/test/{name}")["SecretString"]
    return dict(json.loads(value))


@both
def test_the_pair_is_stored_where_the_wire_finds_it_and_the_first_renewal_goes_on_from_it(
    bench: Bench, name: str
) -> None:
    way = door(bench, name)
    asked = way.ask(REDIRECT)
    pair = way.answered(asked, said_yes(asked.url))
    assert stored(f"{name}/acme/token") == pair.plain()
    assert pair.expires_on > bench.now().date().isoformat()
    told = stored(f"{name}/acme")
    assert told["refresh_token"] == pair.refresh, "an account without one counts as incomplete"

    tokens = SecretTokens(
        boto3.client("secretsmanager"), f"tieout/test/{name}/acme", f"{name}:acme", MemoryLedger(), "w1", bench.now
    )
    wire = HttpWire(systems.target(name), "acme", lambda: told, bench.now, tokens=tokens)
    assert (
        wire.call("GET", READS[name], headers={"xero-tenant-id": told["settings"].get("tenant_id", "")}).status != 401
    )
    bench.advance(4000)
    assert (
        wire.call("GET", READS[name], headers={"xero-tenant-id": told["settings"].get("tenant_id", "")}).status != 401
    )
    assert stored(f"{name}/acme/token")["refresh_token"] != pair.refresh


def test_what_is_asked_for_names_client_redirect_scope_state_and_a_challenge_where_the_vendor_takes_one(
    bench: Bench,
) -> None:
    asked = {name: door(bench, name).ask(REDIRECT) for name in ("xero", "quickbooks")}
    for name, one in asked.items():
        said = {field: values[0] for field, values in parse_qs(urlsplit(one.url).query).items()}
        assert (said["response_type"], said["redirect_uri"], said["state"]) == ("code", REDIRECT, one.state)
        assert said["scope"] == systems.target(name).auth["scope"]
        assert (said.get("code_challenge_method") == "S256") is (name == "xero")
        assert one.verifier not in one.url or not one.verifier
    assert consent.declared("xero:acme")["authorize_url"].startswith("https://login.xero.com/")


@both
def test_an_answer_to_another_question_is_not_taken(bench: Bench, name: str) -> None:
    way = door(bench, name)
    first, second = way.ask(REDIRECT), way.ask(REDIRECT)
    with pytest.raises(NoConsent, match="does not answer this question"):
        way.answered(first, said_yes(second.url))
    with pytest.raises(NoConsent, match="access_denied"):
        way.answered(first, f"{REDIRECT}?error=access_denied&state={first.state}")
    with pytest.raises(NoConsent, match="does not answer"):
        way.answered(first, f"{REDIRECT}?state={first.state}")


def test_a_code_is_good_once_for_its_redirect_and_with_its_verifier(bench: Bench) -> None:
    way = door(bench, "xero")
    asked = way.ask(REDIRECT)
    address = said_yes(asked.url)
    stolen = consent.Asked(asked.url, asked.state, "another-verifier-than-the-one-that-was-drawn", REDIRECT)
    with pytest.raises(NoConsent, match="invalid_grant"):
        way.answered(stolen, address)
    again = way.ask(REDIRECT)
    way.answered(again, address := said_yes(again.url))
    with pytest.raises(NoConsent, match="invalid_grant"):
        way.answered(again, address)
    other = way.ask(REDIRECT)
    moved = consent.Asked(other.url, other.state, other.verifier, "http://localhost:8912/other")
    with pytest.raises(NoConsent, match="invalid_grant"):
        way.answered(moved, said_yes(other.url))


def test_a_consent_for_another_company_is_refused_before_the_code_is_spent(bench: Bench) -> None:
    way = door(bench, "quickbooks")
    asked = way.ask(REDIRECT)
    address = said_yes(asked.url)
    with pytest.raises(NoConsent, match="for company 4620816365"):
        way.answered(asked, address.replace("realmId=acme", "realmId=4620816365"))
    way.answered(asked, address)


def test_while_another_process_renews_nothing_is_exchanged(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    way = door(bench, "xero")
    asked = way.ask(REDIRECT)
    address = said_yes(asked.url)
    monkeypatch.setattr(way._store, "claim", lambda: False)
    with pytest.raises(NoConsent, match="renews"):
        way.answered(asked, address)
    monkeypatch.undo()
    assert bench.sandboxes.calls("POST .*/connect/token") == []


def test_who_cannot_be_authorized_is_told_why(bench: Bench) -> None:
    for account in ("netsuite:acme", "zuora:acme-eu", "nobody:x", ""):
        with pytest.raises(NoConsent, match="not let in by a person's consent"):
            consent.open_door(account, "test", "ledger")
    with pytest.raises(NoConsent, match="cannot be read"):
        consent.open_door("xero:nobody", "test", "ledger")
    boto3.client("secretsmanager").create_secret(
        Name="tieout/test/xero/half", SecretString='{"base_url": "https://x", "client_id": "c"}'
    )
    with pytest.raises(NoConsent, match="has no client_secret"):
        consent.open_door("xero:half", "test", "ledger")


def run(*words: str, **more: Any) -> Any:
    options = ("--stage", "test", "--ledger", "ledger")
    return CliRunner().invoke(
        application.app, ["systems", "authorize", *words, *options], env={"NO_COLOR": "1"}, **more
    )


def test_the_command_prints_the_address_takes_the_answer_and_says_when_the_token_dies(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret(bench, "quickbooks")
    monkeypatch.setattr("tieout.aws.consent.secrets.token_urlsafe", lambda size: "state-" + "s" * size)
    asked = consent.open_door("quickbooks:acme", "test", "ledger").ask(REDIRECT)
    done = run("quickbooks:acme", "--paste", input=said_yes(asked.url) + "\n")
    assert done.exit_code == 0, done.output
    assert asked.url in done.stdout
    assert "the refresh token dies on 20" in done.stdout
    assert stored("quickbooks/acme/token")["refresh_token"] not in done.output
    refused = run("netsuite:acme", "--paste")
    assert refused.exit_code == 1
    assert "not let in by a person's consent" in refused.stderr


def test_a_browser_that_comes_to_the_loopback_address_is_heard_once_and_only_at_its_path() -> None:
    redirect = "http://localhost:18912/callback"
    answers: list[int] = []

    def browser() -> None:
        for path in ("favicon.ico", "callback?code=c&state=s"):
            until = time.monotonic() + 5
            while time.monotonic() < until:
                try:
                    answers.append(httpx.get(f"http://127.0.0.1:18912/{path}", trust_env=False).status_code)
                    break
                except httpx.ConnectError:
                    time.sleep(0.02)

    thread = threading.Thread(target=browser)
    thread.start()
    assert redirected(redirect, 5) == "http://localhost:18912/callback?code=c&state=s"
    thread.join()
    assert answers == [404, 200]


def test_nobody_is_waited_for_beyond_the_time_or_at_an_address_that_is_not_this_machine() -> None:
    with pytest.raises(Failure, match="Nobody came back"):
        redirected("http://localhost:18913/callback", 0)
    for address in ("https://localhost:1/x", "http://acme.example:80/x", "http://localhost/x"):
        with pytest.raises(Failure, match="no loopback address"):
            redirected(address, 1)
