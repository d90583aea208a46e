"""The login: the code flow with PKCE as it should go, and everything that must not be taken for it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
import pytest
from joserfc import jws, jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey

from tests.unit.desk.conftest import Here, Reply, Visitor, request_event
from tests.unit.desk.scene import NOW
from tieout.aws import clock
from tieout.aws.web import oidc
from tieout.aws.web.door import authorize

ISSUER = "https://id.example"
Claims = dict[str, Any]


class Idp:
    """An identity provider that can be told to lie."""

    def __init__(self) -> None:
        self.key: RSAKey | ECKey = ECKey.generate_key("P-256", parameters={"kid": "k1"})
        self.published: list[Any] = [self.key]
        self.claims: Callable[[Claims], Claims] = lambda claims: claims
        self.sign: Callable[[Claims], str] = lambda claims: jwt.encode({"alg": "ES256", "kid": "k1"}, claims, self.key)
        self.asked: list[httpx.Request] = []
        self.nonce = ""
        self.challenge = ""
        self.up = True
        self.issuer = ISSUER

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if not self.up:
            raise httpx.ConnectError("down")
        match request.url.path:
            case "/.well-known/openid-configuration":
                return httpx.Response(200, json={
                    "issuer": self.issuer, "authorization_endpoint": f"{ISSUER}/authorize",
                    "token_endpoint": f"{ISSUER}/token", "jwks_uri": f"{ISSUER}/jwks",
                })  # fmt: skip
            case "/jwks":
                return httpx.Response(200, json=KeySet(self.published).as_dict(private=False))
        form = dict(parse_qsl(request.content.decode()))
        proven = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).decode().rstrip("=")
        if form.get("code") != "good" or proven != self.challenge:
            return httpx.Response(400, json={"error": "invalid_grant"})
        now = int(NOW.timestamp())
        claims = {"iss": ISSUER, "aud": "tieout-desk", "sub": "ann", "name": "Ann", "iat": now, "exp": now + 300,
                  "nonce": self.nonce, "tieout_roles": ["viewer", "auditor"]}  # fmt: skip
        token = self.sign(self.claims(claims))
        return httpx.Response(200, json={"access_token": "a", "token_type": "Bearer", "id_token": token})


@pytest.fixture
def idp() -> Idp:
    return Idp()


@pytest.fixture
def browser(visitor: Visitor, idp: Idp, monkeypatch: pytest.MonkeyPatch) -> Browser:
    provider = oidc.Provider(ISSUER, "tieout-desk", None, httpx.MockTransport(idp))
    monkeypatch.setitem(visitor.desk.__dict__, "_provider", provider)
    return Browser(visitor, idp)


class Browser:
    """Keeps cookies, and walks to the provider and back."""

    def __init__(self, visitor: Visitor, idp: Idp) -> None:
        self.visitor, self.idp = visitor, idp
        self.jar: dict[str, str] = {}
        self.state = ""

    def get(self, path: str, **query: str) -> Reply:
        answer = self.visitor.ask(request_event("GET", path, cookies=self.jar, query=query))
        for one in answer.cookies:
            name, _, value = one.partition(";")[0].partition("=")
            self.jar[name] = value
        return answer

    def start(self, **query: str) -> dict[str, str]:
        answer = self.get("/auth/login", **query)
        assert answer.status == 303
        asked = {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}
        self.idp.nonce, self.idp.challenge, self.state = asked["nonce"], asked["code_challenge"], asked["state"]
        return asked

    def back(self, code: str = "good", **changes: str) -> Reply:
        return self.get("/auth/callback", **{"code": code, "state": self.state, "iss": ISSUER, **changes})


def let_in(browser: Browser) -> bool:
    event = request_event("GET", "/desk", cookies=browser.jar)
    return bool(authorize(event, browser.visitor.here)["isAuthorized"])


def test_signing_in_leads_back_to_the_page_that_was_wanted(browser: Browser, idp: Idp) -> None:
    asked = browser.start(next="/desk/cases")
    assert (asked["response_type"], asked["code_challenge_method"], asked["scope"]) == ("code", "S256", oidc.SCOPE)
    assert asked["redirect_uri"] == "https://desk.example/auth/callback"
    assert not let_in(browser)
    answer = browser.back()
    assert (answer.status, answer.headers["location"]) == (303, "/desk/cases")
    assert let_in(browser)
    assert browser.jar["__Host-tieout-login"] == ""
    token = next(one for one in idp.asked if one.url.path == "/token")
    assert "authorization" not in token.headers  # a public client: PKCE alone


def test_each_sign_in_has_its_own_state_nonce_and_verifier(browser: Browser) -> None:
    one, other = browser.start(), browser.start()
    for name in ("state", "nonce", "code_challenge"):
        assert one[name] != other[name]
        assert len(one[name]) >= 32


def test_what_the_cookie_holds_cannot_be_read(browser: Browser) -> None:
    asked = browser.start()
    sealed = browser.jar["__Host-tieout-login"]
    assert asked["state"] not in sealed
    assert asked["nonce"].encode() not in base64.urlsafe_b64decode(sealed)


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"state": "guessed"}, 400, "Sign-in failed"),
        ({"state": ""}, 400, "Sign-in failed"),
        ({"iss": "https://evil.example"}, 400, "Sign-in failed"),
        ({"code": ""}, 401, "Sign-in failed"),
        ({"code": "bad"}, 401, "Sign-in failed"),
    ],
)
def test_an_answer_that_is_not_ours_lets_nobody_in(
    browser: Browser, changes: dict[str, str], status: int, code: str
) -> None:
    browser.start()
    answer = browser.back(**changes)
    assert (answer.status, code in answer.body) == (status, True)
    assert not let_in(browser)


def test_an_answer_without_its_cookie_lets_nobody_in(browser: Browser) -> None:
    browser.start()
    browser.jar.clear()
    assert browser.back().status == 400
    assert not let_in(browser)


def test_a_neighbours_cookie_without_the_host_prefix_is_not_taken_over_https(browser: Browser) -> None:
    browser.start()
    browser.jar["tieout-login"] = browser.jar.pop("__Host-tieout-login")
    assert browser.back().status == 400


def test_ten_minutes_are_enough_to_sign_in_and_eleven_are_too_many(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser.start()
    monkeypatch.setattr(clock, "source", lambda: NOW + timedelta(minutes=11))
    answer = browser.back()
    assert (answer.status, "took too long" in answer.body) == (400, True)


def test_a_code_that_was_stolen_is_worth_nothing_without_the_verifier(browser: Browser, idp: Idp) -> None:
    browser.start()
    idp.challenge = "somebody-elses-challenge"
    assert browser.back().status == 401


@pytest.mark.parametrize(
    "lie",
    [
        {"iss": "https://evil.example"},
        {"aud": "another-client"},
        {"nonce": "another"},
        {"nonce": None},
        {"exp": int(NOW.timestamp()) - 61},
        {"exp": None},
        {"iat": None},
        {"sub": None},
        {"azp": "another-client"},
        {"nbf": int(NOW.timestamp()) + 120},
    ],
)
def test_an_id_token_that_is_not_for_this_sign_in_is_refused(browser: Browser, idp: Idp, lie: Claims) -> None:
    browser.start()
    idp.claims = lambda claims: {k: v for k, v in (claims | lie).items() if v is not None}
    answer = browser.back()
    assert answer.status == 401
    assert not let_in(browser)


def _none(claims: Claims, idp: Idp) -> str:
    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'none', 'kid': 'k1'})}.{part(claims)}."


def _with_public_key_as_secret(claims: Claims, idp: Idp) -> str:
    public = idp.key.as_pem(private=False)
    secret = OctKey.import_key(base64.urlsafe_b64encode(public).rstrip(b"=").decode(), {"kid": "k1"})
    head = {"alg": "HS256", "kid": "k1"}
    return jws.serialize_compact(head, json.dumps(claims).encode(), secret)


def _by_another_key(claims: Claims, idp: Idp) -> str:
    other = ECKey.generate_key("P-256", parameters={"kid": "k1"})
    return jwt.encode({"alg": "ES256", "kid": "k1"}, claims, other)


def _cut(claims: Claims, idp: Idp) -> str:
    return jwt.encode({"alg": "ES256", "kid": "k1"}, claims, idp.key)[:-4]


@pytest.mark.parametrize("forge", [_none, _with_public_key_as_secret, _by_another_key, _cut, lambda claims, idp: ""])
def test_a_forged_id_token_is_refused(browser: Browser, idp: Idp, forge: Callable[[Claims, Idp], str]) -> None:
    browser.start()
    idp.sign = lambda claims: forge(claims, idp)
    assert browser.back().status == 401
    assert not let_in(browser)


def test_a_key_that_is_newer_than_ours_is_fetched_once(browser: Browser, idp: Idp) -> None:
    browser.start()
    assert browser.back().status == 303
    fresh = RSAKey.generate_key(2048, parameters={"kid": "k2"})
    idp.published = [fresh]
    idp.sign = lambda claims: jwt.encode({"alg": "RS256", "kid": "k2"}, claims, fresh)
    browser.start()
    assert browser.back().status == 303
    assert sum(one.url.path == "/jwks" for one in idp.asked) == 2
    assert sum(one.url.path.startswith("/.well-known") for one in idp.asked) == 1


@pytest.mark.parametrize("roles", [None, [], ["owner"], "nobody"])
def test_who_has_no_role_of_ours_is_told_so_and_gets_no_session(browser: Browser, idp: Idp, roles: Any) -> None:
    browser.start()
    idp.claims = lambda claims: claims | {"tieout_roles": roles, "roles": ["admin"]}
    answer = browser.back()
    assert (answer.status, "has no role at this desk" in answer.body) == (403, True)
    assert not let_in(browser)


def test_a_provider_that_is_away_or_names_another_issuer_is_said_in_words(browser: Browser, idp: Idp) -> None:
    idp.up = False
    assert browser.get("/auth/login").status == 502
    idp.up, idp.issuer = True, "https://evil.example"
    assert browser.get("/auth/login").status == 502


def test_a_client_secret_is_used_where_there_is_one(
    visitor: Visitor, idp: Idp, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = oidc.Provider(ISSUER, "tieout-desk", {"client_secret": "s3cret"}, httpx.MockTransport(idp))
    monkeypatch.setitem(visitor.desk.__dict__, "_provider", provider)
    browser = Browser(visitor, idp)
    browser.start()
    assert browser.back().status == 303
    token = next(one for one in idp.asked if one.url.path == "/token")
    assert token.headers["authorization"] == "Basic " + base64.b64encode(b"tieout-desk:s3cret").decode()


def test_nothing_secret_is_logged(browser: Browser, here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    browser.start()
    browser.back(code="bad")
    browser.back(state="x")
    said = capsys.readouterr()
    for secret in (browser.state, browser.idp.nonce, browser.jar["__Host-tieout-login"] or "-" * 40):
        assert secret not in said.out + said.err
