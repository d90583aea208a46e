"""The transport: what each failure means, and that no secret ever leaves by another door than the request."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwt
from joserfc.jwk import ECKey

from tieout import systems
from tieout.aws import http
from tieout.aws.auth import credentials
from tieout.aws.http import ANSWER_MOST, DropWire, HttpWire
from tieout.core.verdicts import NeedsHuman, NotYet, TryAgain, Uncertain, Verdict
from tieout.work.ports import Unavailable

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
BASE = "https://api.example"
PRIVATE = ec.generate_private_key(ec.SECP256R1())
PEM = PRIVATE.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
SECRETS: dict[str, dict[str, Any]] = {
    "stripe": {"base_url": BASE, "api_key": "sk_live_verysecret"},
    "salesforce": {"base_url": BASE, "client_id": "cid", "client_secret": "verysecret"},
    "netsuite": {"base_url": BASE, "client_id": "cid", "certificate_id": "cert1", "private_key": PEM},
}
Handler = Callable[[httpx.Request], httpx.Response]


class Clock:
    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> datetime:
        return self.at


def wire(
    system: str, handler: Handler, secret: Callable[[], dict[str, Any]] | None = None, now: Clock | None = None
) -> HttpWire:
    client = httpx.Client(transport=httpx.MockTransport(handler), follow_redirects=False)
    return HttpWire(systems.target(system), "acme", secret or (lambda: SECRETS[system]), now or Clock(), lambda: client)


def failing(error: Exception) -> Handler:
    def handler(request: httpx.Request) -> httpx.Response:
        raise error

    return handler


@pytest.mark.parametrize("error", [httpx.ConnectError("x"), httpx.ConnectTimeout("x"), httpx.PoolTimeout("x")])
def test_where_no_byte_left_us_it_is_tried_again(error: Exception) -> None:
    with pytest.raises(TryAgain, match="target_unreachable"):
        wire("stripe", failing(error)).call("POST", "/v1/customers", body=b"x")


@pytest.mark.parametrize(
    "error",
    [
        httpx.ReadTimeout("x"),
        httpx.WriteTimeout("x"),
        httpx.ReadError("x"),
        httpx.WriteError("x"),
        httpx.RemoteProtocolError("x"),
        httpx.LocalProtocolError("x"),
        httpx.DecodingError("x"),
    ],
)
def test_where_an_answer_did_not_come_it_may_have_been_done(error: Exception) -> None:
    with pytest.raises(Uncertain, match="target_lost"):
        wire("stripe", failing(error)).call("POST", "/v1/customers", body=b"x")


def test_an_answer_is_read_to_a_limit_and_marked_as_cut() -> None:
    sent: list[int] = []

    def endless() -> Iterator[bytes]:
        while True:
            sent.append(1)
            yield b"x" * 65536

    answer = wire("stripe", lambda request: httpx.Response(200, content=endless())).call("GET", "/v1/x")
    assert answer.truncated
    assert len(answer.body) == ANSWER_MOST
    assert len(sent) < 40


def test_an_answer_that_drips_past_the_deadline_is_one_that_did_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(0, 1000, 15))
    monkeypatch.setattr("tieout.aws.http.time.monotonic", lambda: next(ticks))
    with pytest.raises(Uncertain, match="target_lost"):
        wire("stripe", lambda request: httpx.Response(200, content=iter([b"{"] * 50))).call("GET", "/v1/x")


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    asked: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(302, headers={"Location": "https://evil.example/"})

    assert wire("stripe", handler).call("GET", "/v1/x").status == 302
    assert asked == [f"{BASE}/v1/x"]
    assert not http.client().follow_redirects
    assert not http.client().trust_env


def test_headers_arrive_in_lower_case_and_the_body_untouched() -> None:
    answer = wire("stripe", lambda request: httpx.Response(200, headers={"Request-ID": "R"}, content=b"\x00\xff")).call(
        "GET", "/v1/x"
    )
    assert (answer.headers["request-id"], answer.body) == ("R", b"\x00\xff")


@pytest.mark.parametrize(
    "base_url", ["http://api.example", "ftp://api.example", "api.example", "", "http://127.0.0.1.evil.example"]
)
def test_credentials_are_never_sent_in_the_clear(base_url: str) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        raise AssertionError("nothing may be sent")

    with pytest.raises(TryAgain, match="target_credentials"):
        wire("stripe", handler, lambda: {**SECRETS["stripe"], "base_url": base_url}).call("GET", "/v1/x")


@pytest.mark.parametrize("system", sorted(SECRETS))
def test_no_secret_is_in_a_repr_a_verdict_or_a_log(system: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = [
        str(SECRETS[system][name]) for name in ("api_key", "client_secret", "private_key") if name in SECRETS[system]
    ]
    one = wire(system, lambda request: httpx.Response(401, json={"error": "invalid_client"}))
    texts = [repr(one), repr(credentials(one._system.auth, SECRETS[system], one._post_form, Clock()))]
    try:
        one.call("GET", "/x")
    except Verdict as verdict:
        texts += [str(verdict), repr(verdict), repr(verdict.facts)]
    assert secret
    assert not any(value in text for value in secret for text in (*texts, caplog.text))


@pytest.mark.parametrize("system", sorted(SECRETS))
def test_a_secret_that_lacks_a_field_is_told_by_the_fields_name(system: str) -> None:
    for name in SECRETS[system]:
        broken = {key: value for key, value in SECRETS[system].items() if key != name}
        with pytest.raises(TryAgain) as raised:
            wire(system, lambda request: httpx.Response(200), partial(dict, broken)).call("GET", "/x")
        assert raised.value.code == "target_credentials"


def test_a_key_that_cannot_sign_is_a_matter_of_credentials() -> None:
    with pytest.raises(TryAgain, match="target_credentials"):
        wire("netsuite", lambda request: httpx.Response(200), lambda: {**SECRETS["netsuite"], "private_key": "x"}).call(
            "GET", "/x"
        )


def test_a_secret_store_out_of_reach_is_tried_again() -> None:
    def secret() -> dict[str, Any]:
        raise Unavailable("secrets_unavailable")

    with pytest.raises(TryAgain, match="secrets_unavailable"):
        wire("stripe", lambda request: httpx.Response(200), secret).call("GET", "/x")


class TokenServer:
    """A token endpoint and an API behind it."""

    def __init__(self, **token: Any) -> None:
        self.token = {"access_token": "T", "expires_in": "3600", **token}
        self.forms: list[dict[str, list[str]]] = []
        self.api: list[str] = []
        self.stale: set[str] = set()
        self.refusal: httpx.Response | None = None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/token"):
            if self.refusal is not None:
                return self.refusal
            self.forms.append(parse_qs(request.content.decode()))
            return httpx.Response(200, json={**self.token, "access_token": f"T{len(self.forms)}"})
        given = request.headers["authorization"]
        self.api.append(given)
        return httpx.Response(401 if given in self.stale else 200, json={})


def test_a_token_is_fetched_once_and_again_a_minute_before_it_ends() -> None:
    server, now = TokenServer(), Clock()
    one = wire("netsuite", server, now=now)
    for _ in range(3):
        one.call("GET", "/x")
    now.at += timedelta(seconds=3539)
    one.call("GET", "/x")
    assert len(server.forms) == 1
    now.at += timedelta(seconds=1)
    one.call("GET", "/x")
    assert server.api == ["Bearer T1"] * 4 + ["Bearer T2"]


def test_a_token_whose_end_is_not_told_is_used_for_a_quarter_of_an_hour() -> None:
    server, now = TokenServer(expires_in=None), Clock()
    one = wire("salesforce", server, now=now)
    one.call("GET", "/x")
    now.at += timedelta(seconds=800)
    one.call("GET", "/x")
    assert len(server.forms) == 1
    now.at += timedelta(seconds=100)
    one.call("GET", "/x")
    assert len(server.forms) == 2


def test_a_stale_token_is_renewed_once_and_the_call_made_again() -> None:
    server = TokenServer()
    server.stale = {"Bearer T1"}
    assert wire("netsuite", server).call("PUT", "/x", body=b"{}").status == 200
    assert server.api == ["Bearer T1", "Bearer T2"]


def test_a_second_try_is_made_only_where_it_is_allowed() -> None:
    server = TokenServer()
    server.stale = {"Bearer T1"}
    one = wire("netsuite", server)

    def full() -> None:
        raise NotYet("budget_spent")

    one.again = full
    with pytest.raises(NotYet, match="budget_spent"):
        one.call("PUT", "/x", body=b"{}")
    assert server.api == ["Bearer T1"]


def test_a_call_is_never_made_a_third_time() -> None:
    server = TokenServer()
    server.stale = {f"Bearer T{number}" for number in range(9)}
    assert wire("netsuite", server).call("PUT", "/x", body=b"{}").status == 401
    assert len(server.api) == 2


def test_a_key_is_not_tried_twice() -> None:
    asked: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers["authorization"])
        return httpx.Response(401)

    assert wire("stripe", handler).call("POST", "/x").status == 401
    assert asked == ["Bearer sk_live_verysecret"]


def test_a_rotated_secret_is_used_at_the_next_call() -> None:
    server = TokenServer()
    kept = [dict(SECRETS["salesforce"])]
    one = wire("salesforce", server, lambda: kept[0])
    one.call("GET", "/x")
    kept[0] = {**kept[0], "client_secret": "newer"}
    one.call("GET", "/x")
    assert [form["client_secret"] for form in server.forms] == [["verysecret"], ["newer"]]


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (httpx.Response(400, json={"error": "invalid_client"}), "target_credentials"),
        (httpx.Response(401, content=b"<html>"), "target_credentials"),
        (httpx.Response(200, json={"token_type": "Bearer"}), "target_credentials"),
        (httpx.Response(200, json=["x"]), "target_credentials"),
        (httpx.Response(429), "target_unreachable"),
        (httpx.Response(503, content=b"<html>"), "target_unreachable"),
    ],
)
def test_asking_for_a_token_writes_nothing_so_its_every_failure_is_tried_again(
    refusal: httpx.Response, code: str
) -> None:
    server = TokenServer()
    server.refusal = refusal
    with pytest.raises(TryAgain, match=code):
        wire("netsuite", server).call("PUT", "/x", body=b"{}")
    assert server.api == []


def test_a_lost_token_answer_is_tried_again_and_not_in_doubt() -> None:
    with pytest.raises(TryAgain, match="target_unreachable"):
        wire("netsuite", failing(httpx.ReadTimeout("x"))).call("PUT", "/x", body=b"{}")


def test_the_assertion_is_signed_for_this_account_and_short_lived_by_the_houses_clock() -> None:
    server = TokenServer()
    wire("netsuite", server).call("GET", "/x")
    [form] = server.forms
    assert form["grant_type"] == ["client_credentials"]
    token = jwt.decode(form["client_assertion"][0], ECKey.import_key(PEM), algorithms=["ES256"])
    assert (token.header["kid"], token.header["alg"]) == ("cert1", "ES256")
    stamp = int(NOW.timestamp())
    wanted = {
        "iss": "cid", "aud": f"{BASE}/services/rest/auth/oauth2/v1/token", "scope": ["rest_webservices"], "iat": stamp,
        "exp": stamp + 300,
    }  # fmt: skip
    assert {name: token.claims[name] for name in wanted} == wanted
    assert token.claims["jti"]


def test_settings_of_the_account_are_seen_and_secrets_are_not_among_them() -> None:
    one = wire("stripe", lambda request: httpx.Response(200), lambda: {**SECRETS["stripe"], "settings": {"form": 42}})
    one.call("GET", "/x")
    assert json.dumps(dict(one.settings)) == '{"form": "42"}'


# --- files -------------------------------------------------------------------------------------------------------
class BrokenDrop:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def put_once(self, name: str, body: bytes) -> bool:
        raise self.error

    def get(self, name: str) -> bytes | None:
        raise self.error

    def names(self, folder: str) -> list[tuple[str, datetime]]:
        raise self.error


def client_error(status: int) -> ClientError:
    return ClientError({"Error": {"Code": "X"}, "ResponseMetadata": {"HTTPStatusCode": status}}, "PutObject")  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (client_error(500), Uncertain),
        (client_error(503), Uncertain),
        (client_error(403), NeedsHuman),
        (EndpointConnectionError(endpoint_url="x"), Uncertain),
    ],
)
def test_a_file_whose_writing_failed_may_be_there(error: Exception, verdict: type[Verdict]) -> None:
    with pytest.raises(verdict):
        DropWire("acme", BrokenDrop(error)).put_once("out/b.csv", b"")
    with pytest.raises(TryAgain, match="target_unreachable"):
        DropWire("acme", BrokenDrop(error)).get("out/b.csv")


def test_files_are_not_called_and_calls_are_no_files() -> None:
    with pytest.raises(NotImplementedError):
        DropWire("acme", BrokenDrop(ValueError())).call("GET", "/")
    with pytest.raises(NotImplementedError):
        wire("stripe", lambda request: httpx.Response(200)).put_once("x", b"")
