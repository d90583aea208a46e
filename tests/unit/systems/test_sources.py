"""The law of sources: held by every source in the registry, over the untouched bytes."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieout import systems
from tieout.contract import Delivery
from tieout.core.verdicts import NeedsHuman

ROOT = Path(__file__).parents[3]
EVENTS = ROOT / "events"
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
EXAMPLE = {"stripe": "stripe/invoice.finalized.json", "salesforce": "salesforce/opportunity.closed_won.json"}
CAPTURED = [
    path
    for name in systems.SOURCES
    for path in sorted((EVENTS / name).glob("*.json"))
    if not path.name.endswith(".apigw.json")
]
Headers = dict[str, str]
Sign = Callable[[str, int, bytes], Headers]


def _hex(secret: str, stamp: int, body: bytes) -> str:
    return hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()


def _stripe(secret: str, stamp: int, body: bytes) -> Headers:
    return {"stripe-signature": f"t={stamp},v1={_hex(secret, stamp, body)},v0={_hex('test', stamp, body)}"}


def _salesforce(secret: str, stamp: int, body: bytes) -> Headers:
    return {"x-tieout-timestamp": str(stamp), "x-tieout-signature": f"v1={_hex(secret, stamp, body)}"}


SIGN: Mapping[str, Sign] = {"stripe": _stripe, "salesforce": _salesforce}
every_source = pytest.mark.parametrize("name", systems.SOURCES)


def body_of(name: str) -> bytes:
    return (EVENTS / EXAMPLE[name]).read_bytes()


def delivery(name: str, headers: Mapping[str, str], body: bytes, received: datetime = NOW) -> Delivery:
    return Delivery(name, "acct", "POST", f"/hooks/{name}/acct", headers, body, received)


def signed(name: str, secret: str = "new", body: bytes | None = None, age: int = 0) -> Delivery:
    content = body_of(name) if body is None else body
    return delivery(name, SIGN[name](secret, int(NOW.timestamp()) - age, content), content)


def refused(name: str, one: Delivery, *secrets: str) -> str:
    with pytest.raises(NeedsHuman) as verdict:
        systems.source(name).verify(one, secrets or ("new", "old"))
    return verdict.value.code


@every_source
def test_every_source_has_a_signer_and_an_event_here(name: str) -> None:
    assert name in SIGN
    assert body_of(name)


@every_source
def test_either_of_two_active_secrets_signs_and_is_told_apart_without_being_shown(name: str) -> None:
    ids = {systems.source(name).verify(signed(name, secret), ["new", "old"]) for secret in ("new", "old")}
    assert len(ids) == 2
    assert not any(secret in one for one in ids for secret in ("new", "old"))


@every_source
def test_a_retired_secret_no_longer_signs(name: str) -> None:
    assert refused(name, signed(name, "old"), "new") == "signature_wrong"


@every_source
def test_without_any_secret_nothing_is_accepted(name: str) -> None:
    with pytest.raises(NeedsHuman, match="signature_wrong"):
        systems.source(name).verify(signed(name), [])


@every_source
@given(st.data())
def test_any_changed_byte_is_refused(name: str, data: st.DataObject) -> None:
    body = body_of(name)
    place = data.draw(st.integers(0, len(body) - 1))
    changed = body[:place] + bytes([body[place] ^ data.draw(st.integers(1, 255))]) + body[place + 1 :]
    one = dataclasses.replace(signed(name), body=changed)
    assert refused(name, one) == "signature_wrong"


@every_source
@pytest.mark.parametrize("age", [301, -301, 86_400, 10**9])
def test_what_was_signed_too_long_ago_or_ahead_is_refused(name: str, age: int) -> None:
    assert refused(name, signed(name, age=age)) == "signature_old"


@every_source
@pytest.mark.parametrize("age", [0, 300, -300])
def test_the_replay_window_itself_is_inside(name: str, age: int) -> None:
    assert systems.source(name).verify(signed(name, age=age), ["new"])


@every_source
def test_the_age_of_a_forged_signature_is_not_told(name: str) -> None:
    assert refused(name, signed(name, "forged", age=10_000)) == "signature_wrong"


@every_source
@pytest.mark.parametrize("text", ["", "t=1", "v1=abc", "garbage", ",,,,", "=", "v1=,t=", "t=-5,v1=aa", "t=１２,v1=aa"])
def test_a_header_without_time_or_signature_is_a_missing_signature(name: str, text: str) -> None:
    headers = dict.fromkeys(SIGN[name]("new", 0, b""), text)
    assert refused(name, delivery(name, headers, b"{}")) == "signature_missing"
    assert refused(name, delivery(name, {}, b"{}")) == "signature_missing"


@every_source
@given(st.text(max_size=300))
def test_no_header_at_all_makes_it_crash(name: str, text: str) -> None:
    stamp = str(int(NOW.timestamp()))
    for headers in (
        {"stripe-signature": text, "x-tieout-signature": text, "x-tieout-timestamp": text},
        {"stripe-signature": f"t={stamp},v1={text}", "x-tieout-signature": f"v1={text}", "x-tieout-timestamp": stamp},
    ):
        assert refused(name, delivery(name, headers, b"{}")) in ("signature_missing", "signature_wrong")


@every_source
def test_a_header_sent_twice_arrives_joined_and_still_counts(name: str) -> None:
    right = signed(name)
    wrong = SIGN[name]("other", int(NOW.timestamp()), right.body)
    signature = "stripe-signature" if name == "stripe" else "x-tieout-signature"
    joined = {**right.headers, signature: f"{wrong[signature]}, {right.headers[signature]}"}
    assert systems.source(name).verify(dataclasses.replace(right, headers=joined), ["new"])


@every_source
def test_a_header_of_thousands_of_signatures_costs_no_more_than_a_few(name: str) -> None:
    stamp = int(NOW.timestamp())
    flood = {key: value + ",v1=00" * 100_000 for key, value in SIGN[name]("forged", stamp, b"{}").items()}
    flood = {
        key: value.replace(",v1=00" * 100_000, "") if "timestamp" in key else value for key, value in flood.items()
    }
    assert refused(name, delivery(name, flood, b"{}")) == "signature_wrong"


def test_a_test_mode_signature_of_stripe_never_counts() -> None:
    body, stamp = body_of("stripe"), int(NOW.timestamp())
    header = {"stripe-signature": f"t={stamp},v0={_hex('new', stamp, body)}"}
    assert refused("stripe", delivery("stripe", header, body)) == "signature_missing"


def test_a_time_that_was_not_signed_cannot_be_put_beside_a_signature() -> None:
    body, old = body_of("stripe"), int((NOW - timedelta(days=1)).timestamp())
    header = {"stripe-signature": f"t={int(NOW.timestamp())},t={old},v1={_hex('new', old, body)}"}
    assert refused("stripe", delivery("stripe", header, body)) == "signature_old"


# --- reading -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", CAPTURED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_captured_event_is_read(path: Path) -> None:
    [read] = systems.source(path.parent.name).read(path.read_bytes())
    assert read.type == path.stem
    assert read.event_id
    assert read.object_id
    assert read.occurred.tzinfo is UTC
    assert read.object_version is not None
    assert read.unknown == ()
    assert read.ours is None


@every_source
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe{}", b'{"id": NaN}', b'{"a":1,"a":2}', b"[" * 100_000])
def test_what_is_no_strict_json_object_is_refused(name: str, body: bytes) -> None:
    with pytest.raises(NeedsHuman, match="bad_json"):
        systems.source(name).read(body)


@every_source
def test_a_known_shape_with_any_part_missing_or_wrong_is_refused_and_never_crashes(name: str) -> None:
    whole = json.loads(body_of(name))
    needed = {
        "stripe": ("id", "type", "created", "data"),
        "salesforce": ("event_id", "type", "commit_number", "opportunity"),
    }
    for field in needed[name]:
        wrongs: tuple[object, ...] = (None, [], {}, -1, True, "", "x" * 300)
        for wrong in wrongs:
            broken = json.dumps({**whole, field: wrong}).encode()
            with pytest.raises(NeedsHuman, match="wrong_shape"):
                systems.source(name).read(broken)


@every_source
def test_unknown_fields_are_noted_and_not_fatal(name: str) -> None:
    body = json.dumps({**json.loads(body_of(name)), "brand_new": 1}).encode()
    [read] = systems.source(name).read(body)
    assert read.unknown == ("brand_new",)


def test_an_object_that_we_made_is_known_again_by_our_reference() -> None:
    event = json.loads((EVENTS / "stripe" / "customer.created.json").read_bytes())
    event["data"]["object"]["metadata"]["tieout_ref"] = "TIE-ABC"
    [read] = systems.source("stripe").read(json.dumps(event).encode())
    assert read.ours == "TIE-ABC"


def test_there_is_a_captured_event_for_everything_that_starts_a_flow() -> None:
    from tieout import flows

    assert {(flow.on.source, flow.on.type) for flow in flows.FLOWS} == {(p.parent.name, p.stem) for p in CAPTURED}


@every_source
def test_what_is_ignored_starts_no_flow_and_what_starts_one_is_not_ignored(name: str) -> None:
    from tieout import flows

    source = systems.source(name)
    started = {flow.on.type for flow in flows.FLOWS if flow.on.source == name}
    assert started
    assert not started & source.ignored


@every_source
def test_receive_loads_next_to_nothing_with_a_source(name: str) -> None:
    code = (
        f"import sys; import tieout.systems.{name}.source; "
        "print([m for m in ('pydantic','httpx','yaml','boto3','authlib','tieout.core.documents','tieout.core.money') "
        "if m in sys.modules])"
    )
    said = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(ROOT / "shared")},
    )
    assert said.stdout.strip() == "[]"
