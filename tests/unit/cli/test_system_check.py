"""``tieout systems check`` against the real JSON API: what it shows, its exit codes, who may ask for another look."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import httpx
import pytest
from typer.testing import CliRunner, Result

from tests.fakes import MemoryVault, World
from tests.unit.desk.conftest import Here, request_event
from tieout.aws.web import desk
from tieout.cli import app as application
from tieout.cli import systems as commands
from tieout.cli.client import Api, Connection
from tieout.core.checkup import Finding
from tieout.work import checkup

PEOPLE = {"anna": "[operator]", "vera": "[viewer]"}
Run = Callable[..., Result]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def run(world: World, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(desk, "log", lambda what, /, **facts: None)
    web = desk.Desk(Here(world.ledger, MemoryVault()))

    def answer(request: httpx.Request) -> httpx.Response:
        who = request.headers["authorization"].removeprefix("Bearer ")
        event = request_event(
            request.method, request.url.path, body=request.content.decode(), query=dict(request.url.params),
            headers={"content-type": request.headers.get("content-type", "")},
            proof={"jwt": {"claims": {"sub": who, "tieout_roles": PEOPLE[who]}}},
        )  # fmt: skip
        said = web.answer(event)
        return httpx.Response(said["statusCode"], headers=said["headers"], text=said["body"])

    monkeypatch.setattr(commands, "Api", lambda connection: Api(connection, httpx.MockTransport(answer)))
    monkeypatch.setattr(commands, "connect", lambda url, token: Connection(url, token))

    def go(*words: str, by: str = "anna") -> Result:
        door = ("--url", "http://api.test", "--token", by)
        return CliRunner().invoke(application.app, ["systems", "check", *words, *door], env={"NO_COLOR": "1"})

    return go


def kept(world: World, account: str, *findings: Finding) -> None:
    checkup.store(world.ports(), account, list(findings))


def test_all_that_is_well_is_shown_and_exits_0(world: World, run: Run) -> None:
    kept(world, "netsuite:acme", Finding("clock", "good", "1 s apart, 5 s are allowed for"))
    done = run("netsuite")
    assert done.exit_code == 0, done.output
    assert "1 s apart" in done.stdout
    everything = json.loads(run("--json").stdout)
    assert {one["target"] for one in everything} >= {"netsuite:acme", "stripe:acct_us", "salesforce:acme"}
    assert next(one for one in everything if one["target"] == "netsuite:acme")["state"] == "good"


def test_what_is_wrong_exits_1_and_names_the_account(world: World, run: Run) -> None:
    kept(world, "netsuite:acme", Finding("may read invoice records", "bad", "target_forbidden: no rights"))
    done = run("netsuite:acme")
    assert done.exit_code == 1
    assert "no rights" in done.stdout
    assert "netsuite:acme" in done.stderr


def test_an_account_that_no_route_names_is_said(run: Run) -> None:
    done = run("xero:nobody")
    assert done.exit_code == 1
    assert "No route names an account of 'xero:nobody'" in done.stderr


def test_another_look_is_asked_for_and_waited_for(world: World, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def probe_runs(seconds: float) -> None:
        world.time = world.time.replace(year=2030)
        kept(world, "netsuite:acme", Finding("clock", "good", "fresh"))

    monkeypatch.setattr(time, "sleep", probe_runs)
    done = run("netsuite:acme", "--again")
    assert done.exit_code == 0, done.output
    assert "fresh" in done.stdout


def test_a_look_that_does_not_come_in_time_is_said(run: Run) -> None:
    done = run("netsuite:acme", "--again", "--wait", "0")
    assert done.exit_code == 1
    assert "Not checked within 0 s: netsuite:acme" in done.stderr


def test_who_may_only_look_may_not_ask_for_calls(run: Run) -> None:
    done = run("netsuite:acme", "--again", by="vera")
    assert done.exit_code == 3
    assert "operator" in done.stderr
