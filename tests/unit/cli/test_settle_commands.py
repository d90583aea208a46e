"""``tieout settle`` against the real JSON API, with three people: the token is the name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from tests.fakes import MemoryVault
from tests.toy import Stage, stage
from tests.unit.desk.conftest import Here, request_event
from tieout.aws import clock
from tieout.aws.web import desk
from tieout.cli import app as application
from tieout.cli import settle as settle_commands
from tieout.cli.client import Api, Connection
from tieout.core import ledger
from tieout.core.settle import ACTIONS

PEOPLE = {"anna": "[operator]", "ben": "[approver]", "vera": "[viewer]"}
WHY = ("--why", "the order was entered twice")


@dataclass
class Desk:
    """A held invoice, and the command line of anybody."""

    on: Stage
    key: str

    def __call__(self, *words: str, by: str = "anna") -> Result:
        door = ("--url", "http://api.test", "--token", by)
        return CliRunner().invoke(application.app, ["settle", *words, *door], env={"NO_COLOR": "1"})

    def answer(self, *words: str, by: str = "anna") -> Any:
        done = self(*words, "--json", by=by)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(desk, "log", lambda what, /, **facts: None)
    with stage() as on:
        on.take(on.event("invoice.finalized", id="in_1", customer="cus_1", number="INV-1") | {"id": "evt_1"})
        on.settle()
        web = desk.Desk(Here(on.world.ledger, MemoryVault()))

        def answer(request: httpx.Request) -> httpx.Response:
            who = request.headers["authorization"].removeprefix("Bearer ")
            event = request_event(
                request.method, request.url.path, body=request.content.decode(), query=dict(request.url.params),
                headers={"content-type": request.headers.get("content-type", "")},
                proof={"jwt": {"claims": {"sub": who, "tieout_roles": PEOPLE[who]}}},
            )  # fmt: skip
            told = web.answer(event)
            return httpx.Response(told["statusCode"], headers=told["headers"], text=told["body"])

        def make(connection: Connection) -> Api:
            return Api(connection, httpx.MockTransport(answer))

        monkeypatch.setattr(clock, "source", lambda: on.world.time)
        monkeypatch.setattr(settle_commands, "Api", make)
        yield Desk(on, on.one("invoice")["key"])


def test_one_person_asks_to_cancel_money_and_a_second_agrees(run: Desk) -> None:
    told = run("cancel", run.key, *WHY)
    assert told.exit_code == 0
    assert "cancel is asked for by anna; a second person must agree" in told.stdout
    done = run.answer("agree", run.key, by="ben")
    assert (done["state"], done["line"]["by"], done["actions"]) == (ledger.SUPERSEDED, "ben", [])
    assert done["line"]["note"]["asked"] == "anna"


def test_who_asked_never_agrees_whatever_their_roles(run: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PEOPLE, "anna", "[operator approver]")
    run("cancel", run.key, *WHY)
    done = run("agree", run.key)
    assert done.exit_code == 3
    assert "Who asked for it cannot agree to it" in done.stderr
    assert run.on.one("invoice")["state"] == ledger.HELD


def test_an_operator_cannot_agree_and_a_viewer_can_do_nothing(run: Desk) -> None:
    run("cancel", run.key, *WHY)
    assert run("agree", run.key).exit_code == 3
    for words in (("release", run.key, *WHY), ("decline", run.key, *WHY), ("agree", run.key)):
        assert run(*words, by="vera").exit_code == 3
    assert "wish" in run.on.one("invoice")


def test_a_wish_is_declined_with_a_reason(run: Desk) -> None:
    run("cancel", run.key, *WHY)
    assert run.answer("decline", run.key, *WHY, by="ben")["wish"] is None


def test_what_cannot_be_is_said_with_its_exit_code(run: Desk) -> None:
    for words, code, said in (
        (("retry", run.key, *WHY), 2, "a posting in HELD cannot be told to retry; possible: release, cancel"),
        (("release", run.key, "--why", "so"), 2, "say why"),
        (("release", "nothing", *WHY), 1, "no posting nothing"),
        (("release", run.key, *WHY, "--seen", "stale"), 1, "It is HELD now"),
        (("agree", run.key), 3, "approver"),
    ):
        done = run(*words)
        assert done.exit_code == code, (words, done.output)
        assert said.casefold() in done.stderr.casefold(), (words, done.stderr)


def test_a_release_is_done_at_once(run: Desk) -> None:
    done = run.answer("release", run.key, *WHY)
    assert (done["state"], done["line"]["note"]["action"]) == (ledger.HELD, "release")
    assert "is HELD now" in run("release", run.key, *WHY).stdout


def test_the_actions_are_listed_without_a_deployment() -> None:
    done = CliRunner().invoke(application.app, ["settle", "ls", "--json"])
    assert [one["action"] for one in json.loads(done.stdout)] == list(ACTIONS)
