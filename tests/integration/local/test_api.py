"""The HTTP API: payload format 2.0, limits, and authorizers that decide for real."""

from __future__ import annotations

import base64

import httpx
import pytest

from infra.local.clock import WorldClock
from infra.local.world import World
from tests.integration.local.toybox import START, TOY


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
    with World(TOY, clock=WorldClock("jump", START), threaded=True) as world:
        address = world.serve()
        answer = httpx.post(f"{address}/open/me?x=1", content=b"\xff", headers={"X-Sig": "s"})
        assert answer.status_code == 202
        assert answer.json()["headers"]["x-sig"] == "s"
        assert base64.b64decode(answer.json()["body"]) == b"\xff"
        assert httpx.get(f"{address}/nowhere").status_code == 404
        assert httpx.get(f"{address}/_local/clock").json()["now"].startswith("2026-03-02T09:00")
