"""The desk over HTTP: default deny, roles, headers, CSRF, escaping, and errors that scripts and people can read."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote, unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes import Secrets, World
from tests.unit.desk.conftest import KEY, OWN, Here, Projected, Visitor, request_event
from tests.unit.desk.scene import NOW, Scene
from tests.unit.desk.test_ask import by_state
from tieout.aws import clock
from tieout.aws.web import pages
from tieout.aws.web.door import authorize
from tieout.aws.web.oidc import own_page
from tieout.aws.web.session import LOGIN, LOGIN_LIFETIME, SESSION, KeyMissing, Person, Sealer, cookie, roles_of
from tieout.core import keys, ledger
from tieout.core.money import Money
from tieout.work import probe
from tieout.work.ports import Unavailable

PAGES = ("/desk", "/desk/postings", "/desk/events", "/desk/cases", "/desk/runs", "/desk/tie")
API = ("/v1/overview", "/v1/postings", "/v1/events", "/v1/cases", "/v1/runs", "/v1/tie", "/v1/capacity")


def posting_path(books: Scene, state: str, kind: str = "invoice") -> str:
    return "/postings/" + quote(by_state(books, state, kind), safe="")


# --- who may come in ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", [*PAGES, *API, "/desk/static/desk.css", "/desk/nothing", "/v1/nothing", "/", "/desk/"])
def test_without_proof_nothing_is_shown(visitor: Visitor, path: str) -> None:
    assert visitor.ask(request_event("GET", path)).status == 401


@pytest.mark.parametrize("path", [*PAGES, *API])
def test_the_proof_of_one_door_does_not_open_the_other(visitor: Visitor, path: str) -> None:
    person = Person("u1", "Ann", ("admin",), "tok", 9_999_999_999)
    wrong: dict[str, Any] = {"lambda": person.context()}
    if path.startswith("/desk"):
        wrong = {"jwt": {"claims": {"sub": "u1", "tieout_roles": "admin"}}}
    assert visitor.ask(request_event("GET", path, proof=wrong)).status == 401


@pytest.mark.parametrize("claim", [None, "", "[]", "[owner root]", "viewers", "Viewer", "tieout-viewer"])
def test_without_a_role_of_ours_nothing_is_shown(visitor: Visitor, claim: str | None) -> None:
    claims = {"sub": "u1", **({"tieout_roles": claim} if claim is not None else {}), "roles": "[admin]"}
    assert visitor.ask(request_event("GET", "/v1/cases", proof={"jwt": {"claims": claims}})).status == 403


@pytest.mark.parametrize("role", ["viewer", "operator", "approver", "auditor", "admin"])
def test_every_role_sees_every_page(visitor: Visitor, role: str) -> None:
    assert {visitor.page(path, role).status for path in PAGES} == {200}
    assert {visitor.api(path, role).status for path in API} == {200}


@pytest.mark.parametrize(
    ("role", "sees"), [("viewer", False), ("admin", False), ("operator", True), ("approver", True), ("auditor", True)]
)
def test_payloads_documents_and_raw_events_are_for_those_who_work_with_them(
    visitor: Visitor, books: Scene, role: str, sees: bool
) -> None:
    path = posting_path(books, ledger.SENDING)
    view = visitor.api(f"/v1{path}", role).json()
    assert (view["payload"] is not None, view["document"] is not None, view["payload_hidden"]) == (sees, sees, not sees)
    assert ("Northwind Traders" in visitor.page(f"/desk{path}", role).body) == sees
    event = "/events/" + quote("stripe:acct_us:evt_1LmaF6LCvLp8I7sdjB66BA3Q", safe="")
    assert ("Northwind Traders" in visitor.page(f"/desk{event}", role).body) == sees
    assert visitor.api(f"/v1{event}", role, raw="1").status == (200 if sees else 403)


def test_who_was_shown_a_payload_is_logged_and_the_payload_is_not(
    visitor: Visitor, books: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    visitor.page(f"/desk{posting_path(books, ledger.SENDING)}", "auditor")
    said = capsys.readouterr().out
    assert '"log":"payload_shown"' in said
    assert '"to":"u1"' in said
    assert "Northwind" not in said


@pytest.mark.parametrize(
    ("claim", "roles"),
    [
        ("[viewer operator]", ("viewer", "operator")),
        ("viewer", ("viewer",)),
        ('["admin","viewer"]', ("viewer", "admin")),
        (["auditor"], ("auditor",)),
        ("viewer,owner", ("viewer",)),
        (None, ()),
    ],
)
def test_roles_are_read_as_api_gateway_writes_them(claim: Any, roles: tuple[str, ...]) -> None:
    assert roles_of(claim) == roles


# --- the authorizer and its cookie -------------------------------------------------------------------------------
def session(here: Here, *roles: str, at: timedelta = timedelta(0)) -> str:
    sealer = Sealer(here.secrets.get("desk", "session"))
    return sealer.session(Person("u1", "Ann", roles), NOW + at)[0]


def asked(here: Here, value: str, name: str = f"__Host-{SESSION}") -> dict[str, Any]:
    return authorize(request_event("GET", "/desk", cookies={name: value}), here)


def test_a_genuine_session_is_let_in_with_its_roles_and_token(here: Here) -> None:
    answer = asked(here, session(here, "viewer", "auditor"))
    assert answer["isAuthorized"] is True
    assert answer["context"]["roles"] == "viewer auditor"
    assert len(answer["context"]["csrf"]) >= 32


def test_a_session_without_a_role_of_ours_is_denied(here: Here) -> None:
    assert asked(here, session(here))["isAuthorized"] is False


def test_a_session_ends_after_eight_hours_and_not_before(here: Here) -> None:
    assert asked(here, session(here, "viewer", at=-timedelta(hours=7, minutes=59)))["isAuthorized"] is True
    assert asked(here, session(here, "viewer", at=-timedelta(hours=8, seconds=1)))["isAuthorized"] is False


def test_a_cookie_of_another_use_key_or_content_is_denied(here: Here) -> None:
    good = session(here, "admin")
    sealer = Sealer(here.secrets.get("desk", "session"))
    login = sealer.seal(LOGIN, Person("u1", "Ann", ("admin",), "t", 9_999_999_999).context(), NOW)
    foreign = Sealer({"key": "another-key-" * 4}).session(Person("u1", "Ann", ("admin",)), NOW)[0]
    turned = good[:-6] + ("A" if good[-6] != "A" else "B") + good[-5:]
    for value in (login, foreign, turned, good[:-1], "", "é", "a.b.c", "null"):
        assert asked(here, value)["isAuthorized"] is False, value


@given(value=st.text(max_size=300))
@settings(max_examples=200, deadline=None)
def test_no_cookie_that_somebody_makes_up_is_let_in_or_breaks_the_door(value: str) -> None:
    assert Sealer({"key": KEY}).open(SESSION, value, timedelta(hours=8), NOW) is None


def test_no_cookie_or_no_key_means_denied(here: Here) -> None:
    assert authorize({}, here)["isAuthorized"] is False
    good = session(here, "viewer")
    here.secrets = Secrets({("desk", "session"): {"key": "too short"}})
    assert asked(here, good)["isAuthorized"] is False
    here.secrets = Secrets()
    assert asked(here, good)["isAuthorized"] is False


def test_a_secret_store_that_is_away_means_denied(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    good = session(here, "viewer")

    def away(system: str, account: str) -> None:
        raise Unavailable("secrets_unavailable")

    monkeypatch.setattr(here.secrets, "get", away)
    assert asked(here, good)["isAuthorized"] is False


def test_while_the_key_rotates_old_sessions_still_open(here: Here) -> None:
    old = session(here, "viewer")
    here.secrets = Secrets({("desk", "session"): {"key": "the-new-key-of-enough-letters-for-anybody", "previous": KEY}})
    assert asked(here, old)["isAuthorized"] is True
    here.secrets = Secrets({("desk", "session"): {"key": "the-new-key-of-enough-letters-for-anybody"}})
    assert asked(here, old)["isAuthorized"] is False


def test_the_session_cookie_cannot_be_read_by_scripts_sent_by_others_or_set_by_neighbours() -> None:
    made = cookie(SESSION, "v", OWN, LOGIN_LIFETIME)
    assert made == "__Host-tieout=v; Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure"
    assert "Secure" not in cookie(SESSION, "v", "http://127.0.0.1:1", LOGIN_LIFETIME)
    assert "Max-Age=0" in cookie(SESSION, "", OWN, LOGIN_LIFETIME)


@pytest.mark.parametrize("secret", [None, {}, {"key": ""}, {"key": "short"}])
def test_a_weak_or_missing_key_is_refused(secret: dict[str, Any] | None) -> None:
    with pytest.raises(KeyMissing):
        Sealer(secret)


# --- unsafe methods ----------------------------------------------------------------------------------------------
def logout(visitor: Visitor, form: str, **headers: str) -> Any:
    sealed = session(visitor.here, "viewer")
    csrf = authorize(request_event("GET", "/desk", cookies={f"__Host-{SESSION}": sealed}), visitor.here)["context"][
        "csrf"
    ]
    said = {"content-type": "application/x-www-form-urlencoded", **headers}
    body = form.replace("TOKEN", csrf)
    return visitor.ask(
        request_event("POST", "/auth/logout", cookies={f"__Host-{SESSION}": sealed}, headers=said, body=body)
    )


def test_logging_out_needs_the_sessions_own_token_and_takes_the_cookie_away(visitor: Visitor) -> None:
    done = logout(visitor, "csrf=TOKEN", **{"sec-fetch-site": "same-origin"})
    assert done.status == 200
    assert done.cookies == ["__Host-tieout=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure"]


@pytest.mark.parametrize("form", ["", "csrf=", "csrf=guess", "csrf=TOKENx", "other=TOKEN"])
def test_a_form_without_the_token_changes_nothing(visitor: Visitor, form: str) -> None:
    refused = logout(visitor, form)
    assert (refused.status, refused.cookies) == (403, [])


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_form_from_another_site_changes_nothing_even_with_the_token(visitor: Visitor, site: str) -> None:
    assert logout(visitor, "csrf=TOKEN", **{"sec-fetch-site": site}).status == 403


def test_a_form_that_comes_without_the_session_does_not_end_it_either(visitor: Visitor) -> None:
    """SameSite withholds the cookie from another site's form; an answer that took the cookie away would log out."""
    answer = visitor.ask(request_event("POST", "/auth/logout"))
    assert (answer.status, answer.cookies) == (200, [])


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_pages_and_api_take_no_unsafe_method(visitor: Visitor, method: str) -> None:
    assert visitor.page("/desk/postings", "admin", method=method).status in (403, 405)
    assert visitor.api("/v1/postings", "admin", method=method).status == 405
    assert visitor.ask(request_event("GET", "/auth/logout")).status == 405


# --- headers and markup ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", [*PAGES, *API, "/desk/nothing", "/auth/callback"])
def test_every_answer_carries_the_security_headers(visitor: Visitor, path: str) -> None:
    answer = visitor.api(path) if path.startswith("/v1") else visitor.page(path)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"


class Markup(HTMLParser):
    """Notes what a page must not have, and what it must."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.inline: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.unscoped = 0
        self._script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.inline += [name for name in given if name.startswith("on") or name == "style"]
        self.inline += [tag] if tag == "style" or (tag == "script" and "src" not in given) else []
        self.ids += [str(given["id"])] if "id" in given else []
        self.unscoped += tag == "th" and given.get("scope") not in ("row", "col")


def every_page(visitor: Visitor, books: Scene) -> dict[str, str]:
    states = (ledger.POSTED, ledger.SENDING, ledger.REFUSED, ledger.HELD, ledger.AMBIGUOUS)
    paths = [*PAGES, *(f"/desk{posting_path(books, state)}" for state in states)]
    paths += ["/desk/events/stripe:acct_us:evt_1LmaF6LCvLp8I7sdjB66BA3Q", "/desk/nothing"]
    run = next(item for item in books.ledger.items.values() if item.get("what") == "run")
    paths.append("/desk/runs/" + quote(f"{run['pk'][2:]}/{run['sk']}", safe=""))
    found = {path: visitor.page(path, "operator").body for path in paths}
    return found | {"search": visitor.page("/desk/search", q="in_1ARIkaoL23jWwd2eIRTX5I6v").body}


def test_no_page_has_inline_script_or_style_or_a_twice_used_id(visitor: Visitor, books: Scene) -> None:
    for path, text in every_page(visitor, books).items():
        seen = Markup(text)
        assert seen.inline == [], path
        assert len(seen.ids) == len(set(seen.ids)), path
        assert seen.unscoped == 0, path
        assert {"main", "nav", "header", "h1"} <= set(seen.tags), path
        assert seen.tags.count("h1") == 1, path


def test_what_comes_from_outside_is_text_and_never_markup(visitor: Visitor, books: Scene) -> None:
    text = visitor.page(f"/desk{posting_path(books, ledger.SENDING)}", "operator").body
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "<b>Onymous" not in text
    assert "<img" not in visitor.page("/desk/search", q='"><img src=x>').body


def test_every_link_of_every_page_leads_somewhere(visitor: Visitor, books: Scene) -> None:
    links = {link for text in every_page(visitor, books).values() for link in re.findall(r'href="(/desk[^"]*)"', text)}
    assert len(links) > 60
    for link in sorted(links):
        path, _, query = link.replace("&amp;", "&").partition("?")
        pairs = dict(pair.partition("=")[::2] for pair in query.split("&")) if query else {}
        answer = visitor.page(path, "operator", **{name: unquote(value) for name, value in pairs.items()})
        assert answer.status in (200, 303), link


def test_assets_are_kept_by_browsers_under_a_name_that_changes_with_them(visitor: Visitor) -> None:
    for name, address in pages.assets().items():
        answer = visitor.page(address)
        assert answer.status == 200
        assert "immutable" in answer.headers["cache-control"]
        assert visitor.page(f"/desk/static/{name}").status == 404


def test_the_browser_is_sent_to_sign_in_again_when_the_session_ends(visitor: Visitor) -> None:
    answer = visitor.page("/desk/postings", state="held")
    assert answer.headers["refresh"] == "601; url=/auth/login?next=%2Fdesk%2Fpostings%3Fstate%3Dheld"


# --- the same thing under each spelling of its address -----------------------------------------------------------
@pytest.mark.parametrize("spell", [lambda key: quote(key, safe=""), lambda key: key, lambda key: quote(key)])
def test_a_key_is_found_however_the_gateway_decodes_the_path(visitor: Visitor, books: Scene, spell: Any) -> None:
    for state in (ledger.POSTED, ledger.HELD):
        key = by_state(books, state)
        assert visitor.api("/v1/postings/" + spell(key)).json()["line"]["key"] == key
    assert visitor.api("/v1/events/" + spell("stripe:acct_us:evt_unknown")).json()["line"]["state"] == "IGNORED"


# --- errors ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/v1/postings/nothing", {}, 404),
        ("/v1/nothing", {}, 404),
        ("/v1/postings", {"limit": "0"}, 400),
        ("/v1/postings", {"limit": "ten"}, 400),
        ("/v1/postings", {"limit": "-1"}, 400),
        ("/v1/postings", {"limit": "٣"}, 400),
        ("/v1/postings", {"cursor": "x"}, 400),
        ("/v1/postings", {"stat": "held"}, 400),
        ("/v1/overview", {"days": "32"}, 400),
        ("/v1/tie", {"days": "0"}, 400),
        ("/v1/search", {}, 400),
        ("/v1/capacity", {"targets": "x"}, 400),
    ],
)
def test_errors_are_problem_json_with_status_title_and_code(
    visitor: Visitor, path: str, query: dict[str, str], status: int
) -> None:
    answer = visitor.api(path, **query)
    said = answer.json()
    assert (answer.status, said["status"], said["instance"]) == (status, status, path)
    assert answer.headers["content-type"] == "application/problem+json"
    assert said["title"]
    assert said["detail"].endswith(".")


def test_a_ledger_that_is_away_is_said_in_words(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise Unavailable("away")

    monkeypatch.setattr(visitor.here.ledger, "open", away)
    assert visitor.api("/v1/cases").status == 503
    assert "Please try again soon" in visitor.page("/desk/cases").body


# --- small things ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("wanted", "to"),
    [
        ("/desk/postings?state=held", "/desk/postings?state=held"),
        ("/desk", "/desk"),
        ("", "/desk"),
        ("https://evil.example/desk", "/desk"),
        ("//evil.example", "/desk"),
        ("/desk//evil.example", "/desk"),
        ("/\\evil.example", "/desk"),
        ("/desk/../auth/logout", "/desk"),
        ("/desk\r\nset-cookie: a=b", "/desk"),
        ("/deskevil", "/desk"),
    ],
)
def test_after_the_login_one_lands_on_a_page_of_the_desk_and_nowhere_else(wanted: str, to: str) -> None:
    assert own_page(wanted) == to


@pytest.mark.parametrize(
    ("minor", "code", "text"),
    [
        (123456789, "USD", "1,234,567.89"), (-5, "USD", "-0.05"), (0, "EUR", "0.00"), (1234567, "JPY", "1,234,567"),
        (-1234567, "KWD", "-1,234.567"), (12, "CLF", "0.0012"),
    ],
)  # fmt: skip
def test_money_is_printed_with_all_its_decimals(minor: int, code: str, text: str) -> None:
    assert pages.amount(Money.of(minor, code)) == text


@given(minor=st.integers(-(10**17), 10**17), code=st.sampled_from(["USD", "JPY", "KWD", "CLF"]))
def test_printed_money_reads_back_as_itself(minor: int, code: str) -> None:
    money = Money.of(minor, code)
    assert pages.amount(money).replace(",", "") == money.text


@pytest.mark.parametrize(
    ("span", "text"),
    [({"seconds": 5}, "5 s"), ({"minutes": 59, "seconds": 59}, "59 min"), ({"minutes": 119}, "1 h 59 min"),
     ({"days": 3, "hours": 4}, "3 d 4 h")],
)  # fmt: skip
def test_spans_are_said_in_their_two_largest_units(span: dict[str, int], text: str) -> None:
    assert pages.ago(timedelta(**span)) == text


def test_a_gap_and_a_job_that_is_behind_stand_among_the_cases(books: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are no documents and have no page of their own; the list says all there is."""
    monkeypatch.setattr(clock, "source", lambda: NOW)
    since, world = ledger.stamp(NOW - timedelta(hours=9)), World()
    stream, job = keys.stream_item("xero", "acme", "webhooks"), keys.job_item("credentials")
    world.ledger.items = {
        stream: {"pk": stream.pk, "sk": "-", "what": "stream", "number": "webhooks", "source": "xero", "patience": 900,
                 "account": "acme", "stream": "webhooks", "state": ledger.WAITING, "holes": [[8, 8, since]], "rev": 1,
                 "opened": since, "updated": since, **ledger.due(stream.pk, NOW)},
        job: {"pk": job.pk, "sk": "-", "what": "job", "number": "credentials", "means": "nobody looks", "done": since,
              "rev": 1, **ledger.due(job.pk, NOW)},
    }  # fmt: skip
    world.time = NOW
    assert probe.probe(world.ports()).total() == 2
    visitor = Visitor(Here(Projected({**books.ledger.items, **world.ledger.items}), books.vault))
    found = {cause["code"]: cause["cases"][0] for cause in visitor.api("/v1/cases").json()["causes"]}
    page = unescape(visitor.page("/desk/cases").body)
    for code in ("sequence_gap", "job_behind"):
        assert found[code]["sentence"] in page
        assert found[code]["actions"] == []
    assert "8 did not come" in found["sequence_gap"]["sentence"]
