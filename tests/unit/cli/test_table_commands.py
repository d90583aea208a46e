"""``tieout tables`` against the checkout and, for changes, against the real JSON API with two people."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from tests.fakes import MemoryVault
from tests.unit.desk.conftest import Here, Projected, request_event
from tests.unit.desk.scene import NOW
from tieout import tables
from tieout.aws import clock
from tieout.aws.web import desk
from tieout.cli import app as application
from tieout.cli import tables as table_commands
from tieout.cli.client import Api, Connection

PEOPLE = {"anna": "[operator]", "ben": "[approver]", "vera": "[viewer]"}
WISH = (
    "set", "tax_codes", "FR-VAT-20", "value=V20", "--from", "2026-12-01", "--entity", "DE01", "--target", "legacy",
    "--why", "Acme GmbH has registered in France",
)  # fmt: skip


class People:
    """The API as several people reach it: the token is the name."""

    def __init__(self) -> None:
        self.desk = desk.Desk(Here(Projected({}), MemoryVault()))

    def __call__(self, request: httpx.Request) -> httpx.Response:
        who = request.headers["authorization"].removeprefix("Bearer ")
        event = request_event(
            request.method, request.url.raw_path.decode().partition("?")[0],
            headers={"content-type": request.headers.get("content-type", "")}, body=request.content.decode(),
            proof={"jwt": {"claims": {"sub": who, "tieout_roles": PEOPLE[who]}}}, query=dict(request.url.params),
        )  # fmt: skip
        answer = self.desk.answer(event)
        return httpx.Response(answer["statusCode"], headers=answer["headers"], text=answer["body"])


class Terminal:
    """Runs ``tieout tables`` as somebody."""

    def __call__(self, *words: str, by: str = "") -> Result:
        door = ("--url", "http://api.test", "--token", by) if by else ()
        return CliRunner().invoke(application.app, ["tables", *words, *door], env={"NO_COLOR": "1"})

    def answer(self, *words: str, by: str = "") -> Any:
        done = self(*words, "--json", by=by)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setattr(desk, "log", lambda what, /, **facts: None)
    people = People()

    def make(connection: Connection) -> Api:
        return Api(connection, httpx.MockTransport(people))

    monkeypatch.setattr(clock, "source", lambda: NOW)
    monkeypatch.setattr(table_commands, "Api", make)
    return Terminal()


def french(run: Terminal) -> list[Any]:
    """The rows of the French tax that the deployment serves."""
    done = run("show", "tax_codes", "--key", "FR-VAT-20", "--live", "--json", by="vera")
    return list(json.loads(done.stdout)["rows"])


def test_one_person_proposes_a_second_approves_and_the_deployment_serves_it(run: Terminal) -> None:
    item = run.answer(*WISH, by="anna")
    assert (item["state"], item["proposer"]) == ("PROPOSED", "anna")
    assert french(run) == []
    told = run("approve", item["change"], by="ben")
    assert told.exit_code == 0
    assert "approved by ben" in told.stdout
    [row] = french(run)
    assert (row["cells"], row["from"], row["why"]) == (
        {"value": "V20"}, "2026-12-01", "Acme GmbH has registered in France",
    )  # fmt: skip
    version = next(one["version"] for one in run.answer("ls", "--live", by="vera") if one["name"] == "tax_codes")
    assert version.startswith(tables.load().tables["tax_codes"].version + "+")


def test_the_proposer_is_who_the_door_says_and_never_approves(run: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PEOPLE, "anna", "[approver]")
    item = run.answer(*WISH, by="anna")
    done = run("approve", item["change"], by="anna")
    assert done.exit_code == 3
    assert "Who proposed a change cannot approve it" in done.stderr
    assert french(run) == []


@pytest.mark.parametrize(("words", "by"), [(WISH, "vera"), (("approve", "tax_codes.x"), "anna")])
def test_who_has_no_right_to_it_is_not_let_in(run: Terminal, words: tuple[str, ...], by: str) -> None:
    assert run(*words, by=by).exit_code == 3


def test_what_cannot_be_is_said_with_its_exit_code(run: Terminal) -> None:
    item = run.answer(*WISH, by="anna")
    run("refuse", item["change"], "--why", "not yet registered", by="anna")
    for words, by, code, said in (
        (("approve", item["change"]), "ben", 1, "It was decided already"),
        (("approve", "tax_codes.nothing"), "ben", 1, "no change tax_codes.nothing"),
        (("set", "tax_code", "X", "value=1", "--from", "2026-12-01", "--why", "whatever it is"), "anna", 2,
         "did you mean 'tax_codes'"),
        (("set", "tax_codes", "X", "value", "--from", "2026-12-01", "--why", "x"), "anna", 2, "not COLUMN=VALUE"),
        (("set", "tax_codes", "X", "value=1", "--from", "soon", "--why", "x"), "anna", 2, "From must be a day"),
        (("show", "tax_code"), "", 2, "did you mean 'tax_codes'"),
        (("show", "nothing", "--live"), "vera", 1, "no table nothing"),
        (("show", "tax_codes", "--on", "soon"), "", 2, "'soon' is no day"),
    ):  # fmt: skip
        done = run(*words, by=by)
        assert done.exit_code == code, (words, done.output)
        assert said in done.stderr, words


def test_changes_are_listed_with_before_and_after(run: Terminal) -> None:
    run(*WISH, by="anna")
    told = run("changes", by="vera").stdout
    assert "tax_codes FR-VAT-20 (entity DE01, target legacy) from 2026-12-01" in told
    assert "value: (nothing) → V20" in told
    assert "proposed by anna: Acme GmbH has registered in France" in told
    assert run.answer("changes", "items", by="vera") == {"changes": []}


def test_the_tables_of_the_checkout_are_listed_checked_and_shown(run: Terminal) -> None:
    assert {one["name"] for one in run.answer("ls")} == set(tables.load().tables)
    assert run.answer("check")["mistakes"] == []
    rows = run.answer("show", "rates", "--key", "EUR/USD", "--on", "2026-11-15")["rows"]
    assert [(row["cells"]["value"], row["until"]) for row in rows] == [("1.1575", "2026-11-30")]
    assert run("show", "rates", "--key", "EUR/USD", "--on", "2030-01-01").exit_code == 1


def test_explain_names_every_place_in_order_and_the_row_that_answers(run: Terminal) -> None:
    told = run.answer("explain", "ownership", "customer.credit_hold", "--entity", "DE01", "--on", "2026-11-23")
    assert told["found"]["row"]["cells"]["value"] == "legacy"
    told = run.answer("explain", "retry_policies", "stripe", "--entity", "DE01", "--target", "stripe")
    assert [(one["level"], one["said"]) for one in told["looked"]] == [
        ("entity", "no row"), ("entity", "no row"), ("entity fallback", "no row"), ("entity fallback", "no row"),
        ("organisation", "no row"), ("organisation", "no row"),
        ("organisation fallback", "no row"), ("organisation fallback", "this row"),
    ]  # fmt: skip
    assert told["found"]["level"] == "organisation fallback"
    assert run("explain", "tax_codes", "FR-VAT-20", "--entity", "DE01", "--target", "legacy").exit_code == 1
