"""The switches of the local world: from the page, from the command, and what they do to the sandbox systems."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from infra.local import __main__ as command
from infra.local.clock import WorldClock
from infra.local.sandbox import Fault, Sandboxes
from infra.local.sandbox.faults import KINDS, PARTIAL, meanings
from infra.local.sandbox.quickbooks import QuickBooks
from infra.local.sandbox.wire import Request
from infra.local.world import World
from tests.integration.local.toybox import START, TOY


@pytest.fixture(scope="module")
def page() -> Iterator[httpx.Client]:
    with (
        World(TOY, clock=WorldClock("jump", START), dues=lambda: None, sandboxes=True, port=0) as world,
        httpx.Client(base_url=str(world.address), timeout=10) as client,
    ):
        yield client


@pytest.fixture(autouse=True)
def behave(page: httpx.Client) -> Iterator[None]:
    yield
    page.delete("/_local/faults")


def on(page: httpx.Client) -> list[str]:
    return [one["kind"] for one in page.get("/_local/faults").json()["faults"]]


def test_every_kind_says_what_it_does() -> None:
    assert {kind for kind, _ in meanings()} == KINDS
    assert not [kind for kind, meaning in meanings() if meaning.startswith("see")]


def test_a_switch_is_worked_from_the_page_and_seen_there(page: httpx.Client) -> None:
    form = {"kind": "unavailable", "match": "POST /netsuite/<b>", "times": "0", "after": "", "seconds": "60"}
    shown = page.post("/_local/faults", data={**form, "after": "0"}, headers={"origin": str(page.base_url).rstrip("/")})
    assert shown.status_code == 200
    assert "unavailable is on for POST /netsuite/&lt;b&gt;." in shown.text
    assert on(page) == ["unavailable"]
    assert "Behave again" in page.get("/_local/").text
    assert "Every system behaves." in page.post("/_local/faults", data={"clear": "1"}).text
    assert on(page) == []


def test_the_arguments_of_a_kind_are_on_the_page_and_go_with_it(page: httpx.Client) -> None:
    shown = page.get("/_local/").text
    names = ("seconds", "retry_after", "committed", "undone")
    assert [name for name in names if f"name={name}" in shown] == list(names)
    form = {"kind": "rate_limit", "match": "POST", "retry_after": "7", "seconds": "", "undone": "1"}
    assert page.post("/_local/faults", data=form).status_code == 200
    [one] = page.get("/_local/faults").json()["faults"]
    assert one["args"] == {"retry_after": 7, "undone": 1}


@pytest.mark.parametrize("kind", sorted(PARTIAL))
def test_what_only_some_vendors_do_is_switched_by_page_and_command_and_says_whose_it_is(
    page: httpx.Client, opened: CliRunner, kind: str
) -> None:
    assert f'<option value="{kind}">' in page.get("/_local/").text
    by_form = page.post("/_local/faults", data={"kind": kind, "match": "PUT"})
    assert f"{kind} is on for PUT. It is known of " in by_form.text
    made = opened.invoke(command.app, ["fault", kind, "--match", "/xero/acme"])
    assert (made.exit_code, made.output) == (0, f"{kind} is on for /xero/acme.\n")
    assert on(page) == [kind, kind]
    none = opened.invoke(command.app, ["fault", kind, "--match", "PUT /snowflake/"])
    assert none.exit_code == 2
    assert f"snowflake has no {kind}; it is known of " in none.output
    assert page.post("/_local/faults", data={"kind": kind, "match": "DROP /legacy/"}).status_code == 400
    assert on(page) == [kind, kind]


def test_a_switch_strikes_the_system_that_does_so_and_no_other_until_it_is_off() -> None:
    known = Sandboxes(lambda: START)
    for one in known.systems:
        assert one.does <= PARTIAL
        for kind in PARTIAL - one.does:
            assert not one.means(kind, Request("POST", "/x", {}, {}, b'{"CustomerRef": {"value": "1"}}'))
    books = known.of(QuickBooks)
    sale = Request("POST", "/invoice", {}, {}, b'{"CustomerRef": {"value": "7"}}')
    assert books.means("archived_customer", sale)
    assert not books.means("archived_customer", Request("GET", "/query", {}, {}, b""))
    known.faults.add(Fault("archived_customer", "POST"))
    assert known.faults.take("POST /quickbooks/acme/invoice", lambda kind: books.means(kind, sale)) is not None
    books.set_aside("archived_customer", books.customer_of(sale))
    assert books.aside == {"7": "archived_customer"}
    known.faults.clear()
    assert books.aside == {}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kind": "explode"}, "no fault is called"),
        ({"kind": "slow", "times": "often"}, "not a whole number"),
        ({"kind": "slow", "seconds": "-1"}, "not a whole number"),
        ({"kind": "slow", "match": "("}, "missing )"),
        ({"kind": "slow", "how": "very"}, "no switch has how"),
    ],
)
def test_a_switch_that_is_none_is_refused_with_its_reason(page: httpx.Client, given: dict[str, str], said: str) -> None:
    by_form, by_json = page.post("/_local/faults", data=given), page.post("/_local/faults", json=given)
    assert (by_form.status_code, by_json.status_code, on(page)) == (400, 400, [])
    assert said in by_json.json()["message"]
    assert "Not understood" in by_form.text


def test_another_page_of_the_same_browser_cannot_work_them(page: httpx.Client) -> None:
    hostile = page.post("/_local/faults", data={"kind": "slow"}, headers={"origin": "http://evil.example"})
    assert (hostile.status_code, on(page)) == (403, [])


@pytest.fixture
def opened(page: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    """The command, with the world open."""
    file = tmp_path / "open.json"
    file.write_text(json.dumps({"url": str(page.base_url)}))
    monkeypatch.setattr(command, "FILE", file)
    return CliRunner()


def test_the_command_gives_what_a_kind_takes(page: httpx.Client, opened: CliRunner) -> None:
    orders = {
        ("rate_limit", "--retry-after", "7"): {"retry_after": 7},
        ("html_500", "--committed"): {"committed": 1},
        ("not_json", "--undone"): {"undone": 1},
        ("late_commit", "--seconds", "90"): {"seconds": 90},
    }
    for order in orders:
        assert opened.invoke(command.app, ["fault", *order]).exit_code == 0
    assert [one["args"] for one in page.get("/_local/faults").json()["faults"]] == list(orders.values())


def test_the_command_works_them_in_the_open_world(
    page: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "local.json"
    monkeypatch.setattr(command, "FILE", file)
    run = CliRunner()
    assert run.invoke(command.app, ["faults"]).exit_code == 3
    file.write_text(json.dumps({"url": str(page.base_url)}))
    made = run.invoke(command.app, ["fault", "rate_limit", "--match", "PUT /netsuite", "--times", "3"])
    assert (made.exit_code, made.output) == (0, "rate_limit is on for PUT /netsuite.\n")
    listed = run.invoke(command.app, ["faults"]).output
    assert "rate_limit on PUT /netsuite: struck 0 of 3" in listed
    assert "webhook_twice" in listed
    assert run.invoke(command.app, ["fault", "explode"]).exit_code == 2
    assert run.invoke(command.app, ["faults", "--clear"]).output == "Every system behaves.\n"
    assert on(page) == []
