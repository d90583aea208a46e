"""The HTTP API: payload format 2.0, limits, and authorizers that decide for real."""

from __future__ import annotations

import base64
import hashlib
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from infra.local.clock import WorldClock
from infra.local.world import World
from tests.integration.local.toybox import START, TOY, seen, send


def test_a_request_becomes_an_event_of_format_two_and_the_answer_a_response(world: World) -> None:
    answer = world.http(
        "POST",
        "/open/me%20too?x=1&x=2&y=",
        {"Content-Type": "application/json", "Cookie": "a=b; c=d", "X-Sig": "s"},
        "{}",
    )
    assert (answer.status, answer.cookies) == (202, ["a=1; HttpOnly"])
    event = answer.json()
    assert event["version"] == "2.0"
    assert event["routeKey"] == "POST /open/{who}"
    assert event["pathParameters"] == {"who": "me too"}
    assert event["rawQueryString"] == "x=1&x=2&y="
    assert event["queryStringParameters"] == {"x": "1,2", "y": ""}
    assert event["headers"] == {"content-type": "application/json", "x-sig": "s"}
    assert event["cookies"] == ["a=b", "c=d"]
    assert (event["body"], event["isBase64Encoded"]) == ("{}", False)
    assert event["requestContext"]["timeEpoch"] == int(START.timestamp() * 1000)


@pytest.mark.parametrize("kind", ["application/octet-stream", "application/x-www-form-urlencoded", ""])
def test_a_body_that_is_not_declared_text_comes_base64_encoded(world: World, kind: str) -> None:
    event = world.http("POST", "/open/me", {"content-type": kind}, b"\xff\x00").json()
    assert event["isBase64Encoded"] is True
    assert base64.b64decode(event["body"]) == b"\xff\x00"


def test_unknown_paths_too_large_bodies_and_broken_handlers_answer_as_api_gateway(world: World) -> None:
    assert (world.http("GET", "/nowhere").status, world.http("GET", "/open/me").status) == (404, 404)
    assert world.http("POST", "/open/me", {}, b"x" * (10 * 1024 * 1024 + 1)).status == 413
    boom = world.http("POST", "/open/boom")
    assert (boom.status, boom.json()) == (500, {"message": "Internal Server Error"})
    assert world.errors[-1][2].error_type == "ValueError"


def test_a_jwt_must_be_ours_for_us_and_in_time(world: World) -> None:
    def status(token: str | None) -> int:
        return world.http("GET", "/closed/a/b", {"Authorization": f"Bearer {token}"} if token else {}).status

    assert status(world.token("ann", ["viewer"])) == 202
    assert status(None) == 401
    assert status("rubbish") == 401
    assert status(world.token("ann", aud="someone-else")) == 401
    assert status(world.token("ann", iss="https://evil.example")) == 401
    assert status(world.token("ann", exp=int(START.timestamp()) - 1)) == 401
    with_foreign_key = World(TOY).token("ann", aud="tieout", iss="https://issuer.local.invalid")
    assert status(with_foreign_key) == 401


def test_claims_reach_the_function_as_strings(world: World) -> None:
    headers = {"authorization": f"Bearer {world.token('ann', ['viewer', 'operator'])}"}
    claims = world.http("GET", "/closed/x", headers).json()["requestContext"]["authorizer"]["jwt"]["claims"]
    assert (claims["sub"], claims["roles"]) == ("ann", "[viewer operator]")


def test_a_request_authorizer_is_asked_and_believed_only_when_it_says_yes(world: World) -> None:
    assert world.http("GET", "/page").status == 401  # no cookie: the function is not even asked
    assert world.runtime.invocations["GuardFunction"] == 0
    assert world.http("GET", "/page", {"cookie": "session=bad"}).status == 403
    good = world.http("GET", "/page", {"cookie": "session=good"})
    assert good.json()["requestContext"]["authorizer"] == {"lambda": {"user": "u1"}}


def test_a_threaded_world_answers_on_a_real_port_and_works_by_itself() -> None:
    with World(TOY, clock=WorldClock("jump", START), threaded=True, port=0) as world:
        address = world.address
        answer = httpx.post(f"{address}/open/me?x=1", content=b"\xff", headers={"X-Sig": "s"})
        assert answer.status_code == 202
        assert answer.json()["headers"]["x-sig"] == "s"
        assert base64.b64decode(answer.json()["body"]) == b"\xff"
        assert httpx.get(f"{address}/nowhere").status_code == 404
        assert httpx.get(f"{address}/_local/clock").json()["now"].startswith("2026-03-02T09:00")
        send(world, "Plain", "x")
        until = time.monotonic() + 10
        while seen(world) == [] and time.monotonic() < until:
            time.sleep(0.02)
        assert seen(world) == ["x"]


def test_twenty_requests_at_once_are_each_answered_once() -> None:
    with World(TOY, clock=WorldClock("jump", START), port=0) as world, ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda number: httpx.post(f"{world.address}/open/{number}").json(), range(20)))
        assert [answer["pathParameters"]["who"] for answer in answers] == [str(number) for number in range(20)]
        assert world.runtime.invocations["HelloFunction"] == 20


def test_the_sign_in_provider_gives_a_token_that_opens_the_api_for_the_right_verifier_once() -> None:
    with World(TOY, clock=WorldClock("jump", START), port=0) as world:
        issuer = f"{world.address}/_local/oidc"
        known = httpx.get(f"{issuer}/.well-known/openid-configuration").json()
        verifier = "v" * 43
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        back = f"{world.address}/auth/callback"
        ask = {
            "response_type": "code", "client_id": "desk", "redirect_uri": back, "state": "s", "nonce": "n",
            "code_challenge": challenge, "code_challenge_method": "S256",
        }  # fmt: skip
        assert "oscar, operator" in httpx.get(known["authorization_endpoint"], params=ask).text
        assert (
            httpx.get(known["authorization_endpoint"], params={**ask, "redirect_uri": "https://x"}).status_code == 400
        )

        def code() -> str:
            answer = httpx.get(known["authorization_endpoint"], params={**ask, "login_hint": "oscar"})
            return str(httpx.URL(answer.headers["location"]).params["code"])

        form = {"grant_type": "authorization_code", "redirect_uri": back, "code_verifier": verifier}
        first = code()
        tokens = httpx.post(known["token_endpoint"], data={**form, "code": first})
        headers = {"authorization": f"Bearer {tokens.json()['access_token']}"}
        assert httpx.get(f"{world.address}/closed/x", headers=headers).status_code == 202
        again = httpx.post(known["token_endpoint"], data={**form, "code": first})
        wrong = httpx.post(known["token_endpoint"], data={**form, "code": code(), "code_verifier": "w" * 43})
        assert (again.status_code, wrong.status_code) == (400, 400)
