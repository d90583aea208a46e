"""The command: what it prints, what it exits with, what it sends, and that it says what to do."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, date, datetime
from pathlib import Path

import httpx
import pytest

from tests.unit.cli.conftest import Front, Run
from tests.unit.desk.scene import EVENTS, NOW
from tieout import __version__
from tieout.cli import explain, show
from tieout.cli.client import Api, Connection, Failure, connect, find_local
from tieout.contract import Delivery
from tieout.core.keys import Key
from tieout.systems import source

POSTING = "invoice/stripe:acct_us:in_1ARIkaoL23jWwd2eIRTX5I6v/create/post/g0"
EVENT = "evt_1LmaF6LCvLp8I7sdjB66BA3Q"


# --- reading -----------------------------------------------------------------------------------------------------
def test_the_overview_shows_the_board_and_what_needs_somebody(run: Run) -> None:
    said = run("overview")
    assert said.exit_code == 0
    assert "invoice USD" in said.stdout
    assert "3,266.28 USD" in said.stdout
    assert "5 open cases; 10 late" in said.stdout


def test_postings_are_listed_with_filters(run: Run) -> None:
    said = run("ls", "--state", "rejected", "--kind", "invoice")
    assert said.exit_code == 0
    assert said.stdout.count("Tax txr_fr_20 has no tax code in legacy:acme.") == 2
    assert "accepted" not in said.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("overview",), ("ls",), ("events",), ("cases",), ("tie",), ("capacity",), ("show", POSTING), ("show", EVENT),
        ("systems", "ls"), ("flows", "ls"), ("route", "explain", POSTING),
        ("route", "explain", "--entity", "DE01", "--kind", "invoice"),
    ],
)  # fmt: skip  # fmt: skip
def test_json_is_one_document_on_standard_output(run: Run, words: tuple[str, ...]) -> None:
    said = run(*words, "--json")
    assert said.exit_code == 0
    assert said.stderr == ""
    json.loads(said.stdout)


@pytest.mark.parametrize("name", [POSTING, "INV-US-2001", "ZBVITV2C-0001", "zbvitv2c-0001"])
def test_a_posting_is_shown_by_any_id_with_its_timeline(run: Run, name: str) -> None:
    said = run("show", name)
    assert said.exit_code == 0
    assert "netsuite:acme has it as INV-US-2001. Nothing to do." in said.stdout
    assert "Stripe sent invoice.finalized" in said.stdout
    assert "history whole" in said.stdout


def test_an_event_and_a_run_are_shown_too(run: Run) -> None:
    assert "came twice with" in run("show", f"stripe:acct_us:{EVENT}").stdout
    assert "About to start." in run("show", "006RM000yTznfKcYQI").stdout


def test_pages_go_on_where_the_last_one_ended(run: Run) -> None:
    seen, words = [], ["ls", "--limit", "4", "--json"]
    cursor = ""
    while True:
        page = json.loads(run(*words, *(["--cursor", cursor] if cursor else [])).stdout)
        seen += [line["key"] for line in page["lines"]]
        cursor = page["cursor"]
        if not cursor:
            break
    assert len(seen) == len(set(seen)) == len(json.loads(run("ls", "--json").stdout)["lines"])


def test_a_viewer_is_told_who_sees_payloads(run: Run, front: Front) -> None:
    front.roles = "[viewer]"
    said = run("show", "ZBVITV2C-0001F")
    assert "shown to operators, approvers and auditors" in said.stdout
    assert "tranId" not in said.stdout
    front.roles = "[operator]"
    assert "tranId" in run("show", "ZBVITV2C-0001F").stdout


# --- exit codes --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("show", "in_nobody"), 1, "Ids are matched whole"),
        (("cases", "--check"), 1, "tax_code_not_mapped"),
        (("tie",), 0, "It ties out."),
        (("capacity", "netsuite:acme"), 0, "waiting at netsuite:acme need"),
        (("capacity", "netsuite:nobody"), 1, "Nothing is known of netsuite:nobody."),
        (("ls", "--limit", "0"), 2, "--limit"),
        (("ls", "--days", "99"), 2, "--days"),
        (("ls", "--cursor", "x"), 2, "Cursor is none that this API gave out"),
        (("nothing",), 2, "nothing"),
        (("ls", "--token", "bad"), 3, "TIEOUT_TOKEN"),
        (("route", "explain"), 2, "--entity and --kind"),
        (("route", "explain", "--entity", "XX01", "--kind", "invoice"), 2, "Known are DE01, US01."),
        (("route", "explain", "--entity", "US01", "--kind", "invoice", "--on", "soon"), 2, "YYYY-MM-DD"),
        (("route", "explain", "--entity", "US01", "--kind", "invoice", "--on", "2020-01-01"), 1, "no erp row holds"),
        (("route", "explain", "invoice/nothing"), 1, "tieout show ID"),
    ],
)
def test_exit_codes_tell_a_problem_from_misuse_and_from_not_being_let_in(
    run: Run, words: tuple[str, ...], code: int, says: str
) -> None:
    said = run(*words)
    assert said.exit_code == code
    assert says in said.stdout + said.stderr
    assert "Traceback" not in said.stdout + said.stderr


def test_without_a_role_one_is_told_to_ask_for_one(run: Run, front: Front) -> None:
    front.roles = "[]"
    said = run("ls")
    assert said.exit_code == 3
    assert "tieout_roles" in said.stderr


def test_not_tied_out_is_exit_code_one(run: Run, front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    books = front.desk._books.ledger
    items = dict(books.items)  # type: ignore[attr-defined]
    gone = next(key for key in items if key.pk == f"P#{POSTING}")
    monkeypatch.setattr(books, "items", {key: item for key, item in items.items() if key != gone})
    said = run("tie")
    assert said.exit_code == 1
    assert "It does not tie out." in said.stdout
    assert f"{POSTING} is not in the ledger" in said.stdout


def test_a_backlog_that_its_period_does_not_wait_for_is_exit_code_one(
    run: Run, front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    books = front.desk._books.ledger
    key = Key("B#netsuite:acme")
    late = {"pk": key.pk, "sk": key.sk, "what": "budget", "paused_until": "2027-02-01T00:00:00.000Z"}
    monkeypatch.setattr(books, "items", {**books.items, key: late})  # type: ignore[attr-defined]
    said = run("capacity", "netsuite:acme")
    assert said.exit_code == 1
    assert "they will not all be booked in time" in " ".join(said.stdout.split())


@pytest.mark.parametrize(
    "answer",
    [httpx.ConnectError("x"), httpx.ReadTimeout("x"), httpx.Response(503), httpx.Response(200, text="<html>"),
     httpx.Response(500, json={"message": "Internal Server Error"})],
)  # fmt: skip
def test_whatever_goes_wrong_at_the_other_end_is_unreachable(answer: httpx.Response | Exception) -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    with pytest.raises(Failure) as failure:
        Api(Connection("http://x.test", "t"), httpx.MockTransport(handle)).get("/v1/cases")
    assert failure.value.code == 3


# --- where to ----------------------------------------------------------------------------------------------------
def test_with_nothing_named_one_is_told_how_to_name_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Failure) as failure:
        connect("", "")
    assert (failure.value.code, "make run" in failure.value.hint) == (2, True)


def test_the_connection_file_is_found_from_below_and_not_beyond_the_repository(run: Run, tmp_path: Path) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert find_local(below)["url"] == "http://local.test"
    (tmp_path / "a" / ".git").mkdir()
    assert find_local(below) == {}


def test_the_local_token_is_never_sent_to_another_address(run: Run) -> None:
    assert connect("http://local.test/", "").token == "good"
    elsewhere = connect("https://prod.example", "")
    assert (elsewhere.token, dict(elsewhere.secrets), elsewhere.local) == ("", {}, False)


# --- sending -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("file", "path", "secret"),
    [
        ("stripe/invoice.finalized.json", "/hooks/stripe/acct_us", "whsec_us"),
        ("salesforce/opportunity.closed_won.json", "/hooks/salesforce/acme", "sf_secret"),
    ],
)
def test_a_captured_event_is_sent_as_its_source_would_sign_it(
    run: Run, front: Front, file: str, path: str, secret: str
) -> None:
    said = run("send", str(EVENTS / file))
    assert (said.exit_code, said.stdout.splitlines()[0]) == (0, '200 {"received":true}')
    sent = front.hooks[0]
    assert sent.url.path == path
    name = path.split("/")[2]
    delivery = Delivery(name, path.split("/")[3], "POST", path, dict(sent.headers), sent.content, NOW)
    assert source(name).verify(delivery, [secret])
    assert "authorization" in sent.headers  # the front door ignores it; a signature is what lets a webhook in
    (read,) = source(name).read(sent.content)
    assert read.occurred == NOW


def test_each_send_is_a_new_event_unless_it_shall_be_the_same(run: Run, front: Front) -> None:
    file = str(EVENTS / "stripe" / "invoice.finalized.json")
    for words in ((), (), ("--same",), ("--new",), ("--as-is",)):
        assert run("send", file, *words).exit_code == 0
    ids = [json.loads(one.content)["id"] for one in front.hooks]
    objects = [json.loads(one.content)["data"]["object"]["id"] for one in front.hooks]
    numbers = [json.loads(one.content)["data"]["object"]["number"] for one in front.hooks]
    assert len(set(ids)) == 4
    assert ids[2] == ids[4] == EVENT
    assert objects[3] != objects[0] == objects[1] == objects[2]
    assert numbers[3] != numbers[0]
    assert "in_1ARIkaoL23jWwd2eIRTX5I6v" not in front.hooks[3].content.decode()


def test_account_and_secret_can_be_said(run: Run, front: Front) -> None:
    said = run("send", str(EVENTS / "stripe" / "customer.created.json"), "--account", "acct_de", "--secret", "other")
    assert said.exit_code == 0
    sent = front.hooks[0]
    stamp = int(NOW.timestamp())
    wanted = hmac.new(b"other", f"{stamp}.".encode() + sent.content, hashlib.sha256).hexdigest()
    assert (sent.url.path, sent.headers["stripe-signature"]) == ("/hooks/stripe/acct_de", f"t={stamp},v1={wanted}")


def test_a_refused_delivery_is_a_problem(run: Run, front: Front) -> None:
    front.hook_status = 401
    assert run("send", str(EVENTS / "stripe" / "customer.created.json")).exit_code == 1


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_a_file_that_is_no_event_is_misuse(run: Run, tmp_path: Path, content: str) -> None:
    path = tmp_path / "stripe" / "x.json"
    path.parent.mkdir()
    path.write_text(content, encoding="utf-8")
    assert run("send", str(path)).exit_code == 2
    assert run("send", str(tmp_path / "absent.json")).exit_code == 2


def test_an_account_without_a_secret_is_asked_for(run: Run) -> None:
    said = run("send", str(EVENTS / "stripe" / "customer.created.json"), "--account", "acct_xx")
    assert said.exit_code == 2
    assert "TIEOUT_WEBHOOK_SECRET" in said.stderr


# --- routes ------------------------------------------------------------------------------------------------------
def test_a_route_says_which_row_decided_and_why_the_others_did_not(run: Run) -> None:
    said = run("route", "explain", "--entity", "DE01", "--kind", "invoice").stdout
    assert "legacy:acme, because it is the only row that holds" in said
    assert "Acme GmbH stays on the old ERP until its cutover" in said
    assert "entity is DE01, not US01" in said


def test_a_postings_route_is_explained_beside_what_it_is_pinned_to(run: Run) -> None:
    said = run("route", "explain", POSTING).stdout
    assert "The posting is pinned to netsuite:acme, as today's table says." in said
    assert json.loads(run("route", "explain", POSTING, "--json").stdout)["same"] is True


def test_a_posting_that_todays_table_would_send_elsewhere_says_so() -> None:
    found = explain.explain("DE01", "invoice", "erp", date(2026, 11, 20), pinned="netsuite:acme")
    assert found.plain()["same"] is False


# --- small things ------------------------------------------------------------------------------------------------
def test_what_could_steer_a_terminal_is_shown_as_a_mark() -> None:
    assert show.clean("a\x1b[2Jb\x07c\u202ed\x9be\nf\tg") == "a�[2Jb�c�d�e\nf\tg"


def test_the_version_is_the_packages(run: Run) -> None:
    assert run("version").stdout.strip() == __version__


@pytest.mark.parametrize(
    "words", [(), ("ls",), ("show",), ("cases",), ("overview",), ("tie",), ("events",), ("send",), ("route", "explain")]
)
def test_every_command_explains_itself(run: Run, words: tuple[str, ...]) -> None:
    said = run(*words, "--help")
    assert said.exit_code == 0
    assert len(said.stdout.splitlines()) > 5


def test_time_without_a_local_world_is_our_own() -> None:
    assert Api(Connection("http://x.test")).now() is None
    assert datetime.now(UTC).tzinfo is UTC


def test_a_system_is_shown_with_what_its_secret_needs_and_what_its_answers_mean(run: Run) -> None:
    shown = run("systems", "show", "netsuite")
    assert shown.exit_code == 0
    for said in (
        "oauth2_jwt_assertion",
        "certificate_id",
        "tieout/<stage>/netsuite/<account>",
        "credit_note",
        "Uncertain",
    ):
        assert said in shown.output
    found = json.loads(run("systems", "show", "stripe", "--json").output)
    assert found["hook"] == "/hooks/stripe/<account>"
    assert {"event": "invoice.finalized", "starts": "invoice"} in found["events"]
    assert found["secret_needs"] == ["base_url", "api_key"]


def test_a_system_that_nobody_knows_is_a_problem_and_the_known_ones_are_named(run: Run) -> None:
    shown = run("systems", "show", "sage")
    assert shown.exit_code == 1
    assert "netsuite" in shown.output
