"""What the front door answers, and where each delivery is in the ledger afterwards."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from infra.local.sandbox import When
from tests.e2e.scene import Scene, body_of, scene
from tieout.aws.services import S3Vault
from tieout.core import ledger
from tieout.work.raw import raw

HELD = When(hold=True)


@pytest.fixture(scope="module")
def on() -> Iterator[Scene]:
    with scene() as made:
        yield made


def stripe_event(on: Scene, name: str, **changes: Any) -> dict[str, Any]:
    """A real event of the sandbox under another id, changed."""
    event = json.loads(on.stripe.body_of(on.event_of(on.bill(when=HELD))))
    changed: dict[str, Any] = event | {"id": f"evt_{name}"} | changes
    return changed


def event_item(on: Scene, event_id: str) -> dict[str, Any]:
    found = [item for item in on.events() if item["event_id"] == event_id]
    assert len(found) == 1, f"{len(found)} items for {event_id}"
    return found[0]


def test_one_event_sent_twenty_times_in_parallel_is_one_document(on: Scene) -> None:
    event = stripe_event(on, "twenty")
    body = body_of(event)
    headers = {"content-type": "application/json", **on.signed(body)}

    def send(_: int) -> int:
        return int(on.world.http("POST", "/hooks/stripe/acct_us", headers, body).status)

    before = len(on.in_netsuite())
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(send, range(20)))
    on.settle()
    assert answers == [200] * 20
    on.acknowledged += 20
    assert len(on.in_netsuite()) == before + 1
    item = event_item(on, "evt_twenty")
    assert (item["state"], item["deliveries"]) == (ledger.MADE, 20)


def test_a_queue_that_hands_over_twice_and_out_of_order_makes_no_second_document(on: Scene) -> None:
    on.world.queues.duplicates, on.world.queues.shuffled = 0.5, 0.5
    before = len(on.in_netsuite())
    for _ in range(6):
        on.bill()
    on.settle()
    on.world.queues.duplicates, on.world.queues.shuffled = 0.0, 0.0
    assert len(on.in_netsuite()) == before + 6
    assert on.differences() == []


REFUSED = {
    "no signature": (401, "signature_missing"),
    "wrong secret": (401, "signature_wrong"),
    "one bit changed": (401, "signature_wrong"),
    "old timestamp": (401, "signature_old"),
    "timestamp ahead": (401, "signature_old"),
    "timestamp is no number": (401, None),
    "unknown account": (404, "unknown_account"),
    "not JSON by its type": (415, "wrong_content_type"),
    "empty body": (400, "empty_body"),
    "large and unverified": (413, "too_large"),
}


def refused(on: Scene, name: str) -> Any:
    body = body_of(stripe_event(on, "refused"))
    good = on.signed(body)
    now = int(on.world.clock.now().timestamp())

    def signed_at(at: int, secret: str = on.stripe.webhook_secrets[0]) -> dict[str, str]:
        mark = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
        return {"Stripe-Signature": f"t={at},v1={mark}"}

    match name:
        case "no signature":
            return on.hook(body, {})
        case "wrong secret":
            return on.hook(body, signed_at(now, "whsec_" + "z" * 32))
        case "one bit changed":
            return on.hook(body[:-1] + bytes([body[-1] ^ 1]), good)
        case "old timestamp":
            return on.hook(body, signed_at(now - 301))
        case "timestamp ahead":
            return on.hook(body, signed_at(now + 302))
        case "timestamp is no number":
            return on.hook(body, {"Stripe-Signature": "t=١٢,v1=é"})
        case "unknown account":
            return on.hook(body, good, account="acct_nobody")
        case "not JSON by its type":
            return on.hook(body, good | {"content-type": "text/plain"})
        case "empty body":
            return on.hook(b"", on.signed(b""))
        case _:
            return on.hook(b'{"pad": "' + b"x" * 2_000_000 + b'"}', {"Stripe-Signature": f"t={now},v1=00"})


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_told_why_and_leaves_no_trace(on: Scene, name: str) -> None:
    before = len(on.events())
    answer = refused(on, name)
    status, code = REFUSED[name]
    said = json.loads(answer.body)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert said["status"] == status
    assert said["detail"]
    if code:
        assert said["type"].endswith(code)
    on.settle()
    assert len(on.events()) == before


def test_a_retired_secret_is_refused_and_both_active_ones_are_accepted(on: Scene) -> None:
    first, second = "whsec_" + "a" * 32, "whsec_" + "b" * 32
    secret = json.loads(
        on.world.client("secretsmanager").get_secret_value(SecretId="tieout/dev/stripe/acct_us")["SecretString"]
    )

    def answer_to(signing: str, name: str) -> int:
        body = body_of(stripe_event(on, name))
        at = int(on.world.clock.now().timestamp())
        mark = hmac.new(signing.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
        return int(on.hook(body, {"Stripe-Signature": f"t={at},v1={mark}"}).status)

    def rotate(*active: str) -> None:
        on.world.put_secret("stripe/acct_us", secret | {"webhook_secrets": list(active)})
        on.world.advance(timedelta(minutes=6))  # what a function keeps of a secret, it keeps for five minutes

    rotate(first)
    assert [answer_to(first, "r1"), answer_to(second, "r2")] == [200, 401]
    rotate(first, second)
    assert [answer_to(first, "r3"), answer_to(second, "r4")] == [200, 200]
    rotate(second)
    assert [answer_to(first, "r5"), answer_to(second, "r6")] == [401, 200]
    rotate(*secret["webhook_secrets"])
    on.settle()


UNREADABLE = {
    "invalid JSON": b'{"id": "evt_x", ',
    "control characters": b'{"id": "evt_\x07", "type": "invoice.finalized"}',
    "NUL by escape": b'{"id": "evt_\\u0000", "type": "invoice.finalized"}',
    "the same key twice": b'{"id": "evt_x", "id": "evt_y", "type": "invoice.finalized"}',
    "a number that would take minutes": b'{"id": "evt_x", "created": 1e2000000}',
    "valid JSON of the wrong shape": b'{"id": "evt_x", "type": "invoice.finalized", "data": []}',
    "a list": b'[{"id": "evt_x"}]',
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_is_verified_but_unreadable_is_kept_and_is_a_case(on: Scene, name: str) -> None:
    before = {item["pk"] for item in on.events()}
    body = UNREADABLE[name]
    assert on.hook(body).status == 200
    on.settle()
    (item,) = [item for item in on.events() if item["pk"] not in before]
    assert item["state"] == ledger.CASE
    assert item["code"] in ("bad_json", "wrong_shape")
    assert item["due"]
    assert kept(on, item["vault"]) == body


def kept(on: Scene, pointer: str) -> bytes:
    return raw(S3Vault(on.world.client("s3"), on.world.resources["Vault"].ref), pointer)


def test_a_large_verified_body_is_kept_whole(on: Scene) -> None:
    event = stripe_event(on, "large")
    event["data"]["object"]["something_new"] = "x" * 2_000_000
    body = body_of(event)
    assert on.hook(body).status == 200
    on.settle()
    item = event_item(on, "evt_large")
    assert item["state"] == ledger.MADE
    assert kept(on, item["vault"]) == body


def test_an_unknown_event_type_is_ignored_with_its_reason(on: Scene) -> None:
    assert on.hook(body_of(stripe_event(on, "type", type="radar.unheard_of"))).status == 200
    on.settle()
    item = event_item(on, "evt_type")
    assert (item["state"], item["code"]) == (ledger.IGNORED, "unknown_type")


def test_the_same_event_id_with_another_body_is_a_case_and_both_bodies_are_kept(on: Scene) -> None:
    event = stripe_event(on, "conflict")
    forged = json.loads(json.dumps(event))
    forged["data"]["object"]["total"] = 1
    assert [on.hook(body_of(event)).status, on.hook(body_of(forged)).status] == [200, 200]
    on.settle()
    items = sorted((i for i in on.events() if i["event_id"] == "evt_conflict"), key=lambda i: str(i["state"]))
    assert [(item["state"], item.get("code")) for item in items] == [
        (ledger.CASE, "event_conflict"),
        (ledger.MADE, None),
    ]
    bodies = {kept(on, item["vault"]) for item in items}
    assert len(bodies) == 2


def test_secrets_that_cannot_be_read_are_answered_with_503_and_nothing_is_stored(on: Scene) -> None:
    def out_of_order(where: str) -> None:
        if where == "before receive secretsmanager.GetSecretValue":
            raise OSError("out of order")

    on.world.advance(timedelta(minutes=6))
    before = len(on.events())
    on.world.boundary = out_of_order
    body = body_of(stripe_event(on, "dark"))
    answer = on.hook(body)
    on.world.boundary = None
    assert answer.status in (500, 503)
    assert len(on.events()) == before
    assert on.hook(body).status == 200


def test_after_all_that_everything_still_ties_out(on: Scene) -> None:
    on.settle()
    assert on.differences() == []
