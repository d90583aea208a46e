"""The law of sources: held by every source in the registry, over the untouched bytes."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieout import systems
from tieout.contract import Delivery
from tieout.core.verdicts import NeedsHuman

ROOT = Path(__file__).parents[3]
EVENTS = ROOT / "events"
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
EXAMPLE = {
    "stripe": "stripe/invoice.finalized.json",
    "salesforce": "salesforce/opportunity.closed_won.json",
    "chargebee": "chargebee/invoice_generated.json",
    "zuora": "zuora/InvoicePosted.json",
    "hubspot": "hubspot/deal.propertyChange.dealstage.json",
    "zendesk": "zendesk/ticket.status_changed.json",
    "businesscentral": "businesscentral/customers.created.json",
    "netsuite": "netsuite/customer.changed.json",
    "legacy": "legacy/payment.received.json",
}
HOST = "hooks.acme.example"
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


def _stamped(secret: str, stamp: int, body: bytes) -> Headers:
    return {"x-tieout-timestamp": str(stamp), "x-tieout-signature": f"v1={_hex(secret, stamp, body)}"}


def _hubspot(secret: str, stamp: int, body: bytes) -> Headers:
    signed = f"POSThttps://{HOST}/hooks/hubspot/acct".encode() + body + f"{stamp}000".encode()
    mark = base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode()
    return {"x-hubspot-request-timestamp": f"{stamp}000", "x-hubspot-signature-v3": mark, "host": HOST}


def _zendesk(secret: str, stamp: int, body: bytes) -> Headers:
    at = datetime.fromtimestamp(stamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    mark = base64.b64encode(hmac.new(secret.encode(), at.encode() + body, hashlib.sha256).digest()).decode()
    return {"x-zendesk-webhook-signature-timestamp": at, "x-zendesk-webhook-signature": mark}


def _basic(secret: str, stamp: int, body: bytes) -> Headers:
    return {"authorization": "Basic " + base64.b64encode(f"user:{secret}".encode()).decode()}


SIGN: Mapping[str, Sign] = {
    "stripe": _stripe,
    "salesforce": _stamped,
    "netsuite": _stamped,
    "legacy": _stamped,
    "hubspot": _hubspot,
    "zendesk": _zendesk,
    "chargebee": _basic,
    "zuora": _basic,
    "businesscentral": lambda secret, stamp, body: {},
}
every_source = pytest.mark.parametrize("name", systems.SOURCES)
#: Those that sign, and so say when; the others show a user and a password.
every_signer = pytest.mark.parametrize("name", [name for name in systems.SOURCES if systems.source(name).replay_window])
every_credential = pytest.mark.parametrize("name", ["chargebee", "zuora"])


def body_of(name: str) -> bytes:
    return (EVENTS / EXAMPLE[name]).read_bytes()


def delivery(name: str, headers: Mapping[str, str], body: bytes, received: datetime = NOW) -> Delivery:
    return Delivery(name, "acct", "POST", f"/hooks/{name}/acct", headers, body, received)


def marks(name: str) -> list[str]:
    """The headers in which the signature stands: those that another secret changes."""
    one, other = (SIGN[name](secret, int(NOW.timestamp()), b"{}") for secret in ("one", "other"))
    return [header for header in one if one[header] != other[header]]


def active(name: str, *secrets: str) -> list[str]:
    """The secrets as the account's secret lists them."""
    return list(secrets) if systems.source(name).replay_window else [f"user:{secret}" for secret in secrets]


def signed(name: str, secret: str = "new", body: bytes | None = None, age: int = 0) -> Delivery:
    content = body_of(name) if body is None else body
    if name == "businesscentral":  # the body itself carries the shared word
        content = content.replace(b"tieout:local_invoke_only", active(name, secret)[0].encode())
    return delivery(name, SIGN[name](secret, int(NOW.timestamp()) - age, content), content)


def refused(name: str, one: Delivery, *secrets: str) -> str:
    with pytest.raises(NeedsHuman) as verdict:
        systems.source(name).verify(one, active(name, *(secrets or ("new", "old"))))
    return verdict.value.code


@every_source
def test_every_source_has_a_signer_and_an_event_here(name: str) -> None:
    assert name in SIGN
    assert marks(name) or name == "businesscentral"
    assert body_of(name)


@every_source
def test_either_of_two_active_secrets_signs_and_is_told_apart_without_being_shown(name: str) -> None:
    ids = {systems.source(name).verify(signed(name, secret), active(name, "new", "old")) for secret in ("new", "old")}
    assert len(ids) == 2
    assert not any(secret in one for one in ids for secret in ("new", "old"))


@every_source
def test_a_retired_secret_no_longer_signs(name: str) -> None:
    assert refused(name, signed(name, "old"), "new") == "signature_wrong"


@every_source
def test_without_any_secret_nothing_is_accepted(name: str) -> None:
    with pytest.raises(NeedsHuman, match="signature_wrong"):
        systems.source(name).verify(signed(name), [])


@every_signer
@given(st.data())
def test_any_changed_byte_is_refused(name: str, data: st.DataObject) -> None:
    body = body_of(name)
    place = data.draw(st.integers(0, len(body) - 1))
    changed = body[:place] + bytes([body[place] ^ data.draw(st.integers(1, 255))]) + body[place + 1 :]
    one = dataclasses.replace(signed(name), body=changed)
    assert refused(name, one) == "signature_wrong"


@every_signer
@pytest.mark.parametrize("age", [301, -301, 86_400, 10**9, -(10**11)])
def test_what_was_signed_too_long_ago_or_ahead_is_refused(name: str, age: int) -> None:
    assert refused(name, signed(name, age=age)) == "signature_old"


@every_signer
@pytest.mark.parametrize("age", [0, 300, -300])
def test_the_replay_window_itself_is_inside(name: str, age: int) -> None:
    assert systems.source(name).verify(signed(name, age=age), ["new"])


@every_signer
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
        dict.fromkeys(("host", *(header for sign in SIGN.values() for header in sign("", 0, b""))), text),
        {
            "stripe-signature": f"t={stamp},v1={text}",
            "x-tieout-signature": f"v1={text}",
            "x-tieout-timestamp": stamp,
            "x-hubspot-signature-v3": text,
            "x-hubspot-request-timestamp": stamp,
            "x-zendesk-webhook-signature": text,
            "x-zendesk-webhook-signature-timestamp": "2026-11-23T12:00:00Z",
            "authorization": f"Basic {text}",
        },
    ):
        assert refused(name, delivery(name, headers, b"{}")) in ("signature_missing", "signature_wrong")


@every_signer
@given(st.text(max_size=300))
def test_no_signature_beside_a_good_time_makes_it_crash(name: str, text: str) -> None:
    headers = dict(signed(name).headers)
    for header in marks(name):
        for value in (text, f"t={int(NOW.timestamp())},v1={text}", f"v1={text}", f"sha256={text}"):
            one = delivery(name, {**headers, header: value}, body_of(name))
            assert refused(name, one) in ("signature_missing", "signature_wrong")


@every_signer
@pytest.mark.parametrize("forged_first", [True, False])
def test_a_header_sent_twice_arrives_joined_and_still_counts(name: str, forged_first: bool) -> None:
    right = signed(name)
    wrong = SIGN[name]("other", int(NOW.timestamp()), right.body)
    for header in marks(name):
        both = [wrong[header], right.headers[header]]
        joined = ", ".join(both if forged_first else reversed(both))
        assert systems.source(name).verify(
            dataclasses.replace(right, headers={**right.headers, header: joined}), ["new"]
        )
        twice = dataclasses.replace(right, headers={**right.headers, header: f"{both[0]}, {both[0]}"})
        assert refused(name, twice, "new") == "signature_wrong"


@pytest.mark.parametrize("name", ["stripe", "salesforce"])
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


# --- senders that show a credential ------------------------------------------------------------------------------
@every_credential
@pytest.mark.parametrize("sent", ["Bearer abc", "Basic", "Basic !!!", "Basic bm9jb2xvbg==", "basic " + "QQ==" * 9_999])
def test_what_is_no_user_and_password_is_a_missing_signature(name: str, sent: str) -> None:
    assert refused(name, delivery(name, {"authorization": sent}, b"{}")) == "signature_missing"


@every_credential
@given(st.text(max_size=40), st.text(max_size=40))
def test_any_other_user_or_password_is_refused(name: str, user: str, password: str) -> None:
    pair = f"{user.replace(':', '')}:{password}"
    header = {"authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
    assert refused(name, delivery(name, header, b"{}")) == "signature_wrong"


@every_credential
def test_the_scheme_is_read_in_any_case_and_every_pair_is_compared(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(len(one))
        return one == other

    monkeypatch.setattr("tieout.core.incoming.hmac.compare_digest", compare)
    one = signed(name)
    shouted = dataclasses.replace(
        one, headers={"authorization": one.headers["authorization"].replace("Basic", "BASIC")}
    )
    assert systems.source(name).verify(shouted, active(name, "new", "a-much-longer-one"))
    assert compared == [32, 32], "hashes of one length, all of them"


# --- what is peculiar to one ---------------------------------------------------------------------------------------
def hubspot_at(path: str, query: str, signed_as: str) -> Delivery:
    stamp = str(int(NOW.timestamp()) * 1000)
    mark = hmac.new(b"new", f"POST{signed_as}[]{stamp}".encode(), hashlib.sha256).digest()
    headers = {
        "host": HOST,
        "x-hubspot-request-timestamp": stamp,
        "x-hubspot-signature-v3": base64.b64encode(mark).decode(),
    }
    return Delivery("hubspot", "acct", "POST", path, headers, b"[]", NOW, query)


@pytest.mark.parametrize(
    ("query", "signed_as"),
    [
        ("a=1", "?a=1"),
        ("to=https%3A%2F%2Fx%2fy", "?to=https://x/y"),
        ("who=%40me%21%24%27%28%29%2A%2C%3B%3F", "?who=@me!$'()*,;?"),
        ("kept=%20%26%3D%23%25%2B", "?kept=%20%26%3D%23%25%2B"),
        ("twice=%253A", "?twice=%253A"),
    ],
)
def test_hubspot_signs_an_address_in_which_only_some_characters_are_decoded(query: str, signed_as: str) -> None:
    one = hubspot_at("/hooks/hubspot/acct", query, f"https://{HOST}/hooks/hubspot/acct{signed_as}")
    assert systems.source("hubspot").verify(one, ["new"])
    assert refused("hubspot", dataclasses.replace(one, query=query + "&b=2")) == "signature_wrong"
    assert refused("hubspot", dataclasses.replace(one, method="PUT")) == "signature_wrong"


def test_hubspot_sends_up_to_a_hundred_events_each_with_an_id_of_its_own() -> None:
    first = json.loads(body_of("hubspot"))[0]
    many = [{**first, "objectId": number} for number in range(1, 102)]
    reads = systems.source("hubspot").read(json.dumps(many[:100]).encode())
    assert len({read.event_id for read in reads}) == 100
    assert [read.alone for read in reads] == [read.object for read in reads]
    with pytest.raises(NeedsHuman, match="wrong_shape"):
        systems.source("hubspot").read(json.dumps(many).encode())


@pytest.mark.parametrize(("type_", "name", "read_as"), [
    ("company.propertyChange", "city", "company.changed"), ("company.creation", None, "company.changed"),
    ("company.propertyChange", "finance_customer", "company.changed"),
    ("company.propertyChange", "numberofemployees", "company.propertyChange.numberofemployees"),
    ("company.deletion", None, "company.deletion"), ("deal.propertyChange", "city", "deal.propertyChange.city"),
])  # fmt: skip
def test_a_change_of_a_hubspot_company_is_read_again_where_finance_may_see_it(
    type_: str, name: str | None, read_as: str
) -> None:
    event = {**json.loads(body_of("hubspot"))[0], "subscriptionType": type_, "propertyName": name}
    [read] = systems.source("hubspot").read(json.dumps([event]).encode())
    assert (read.type, read.thin) == (read_as, read_as == "company.changed")


def test_chargebee_orders_by_resource_version_and_reads_no_other_api_version() -> None:
    event = json.loads(body_of("chargebee"))
    about = event["content"]["invoice"]
    versions = []
    for known in ({}, {"resource_version": None}, {"resource_version": None, "updated_at": None}):
        event["content"]["invoice"] = {**about, **known}
        [read] = systems.source("chargebee").read(json.dumps(event).encode())
        versions.append(read.object_version)
    assert versions == [about["resource_version"], about["updated_at"] * 1000, event["occurred_at"] * 1000]
    with pytest.raises(NeedsHuman, match="wrong_shape"):
        systems.source("chargebee").read(json.dumps({**event, "api_version": "v1"}).encode())


def test_chargebee_says_by_its_type_which_of_its_objects_an_event_is_about() -> None:
    for path in sorted((EVENTS / "chargebee").glob("*[a-z].json")):
        if not path.name.endswith(".apigw.json"):
            [read] = systems.source("chargebee").read(path.read_bytes())
            assert read.object["object"] in ("transaction", *path.stem.rsplit("_", 1)[:1])


def test_a_callout_of_zuora_sent_again_is_the_same_event_and_a_later_update_another() -> None:
    [first] = systems.source("zuora").read(body_of("zuora"))
    [again] = systems.source("zuora").read(with_field("zuora", "updatedDate", "2026-11-03T00:31:07+01:00"))
    [later] = systems.source("zuora").read(with_field("zuora", "updatedDate", "2026-11-03T00:31:08+01:00"))
    assert first.event_id == again.event_id != later.event_id
    assert (first.object_version or 0) < (later.object_version or 0)


# --- reading -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", CAPTURED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_captured_event_is_read(path: Path) -> None:
    reads = systems.source(path.parent.name).read(path.read_bytes())
    assert len({read.event_id for read in reads}) == len(reads) > 0
    for read in reads:
        assert read.type == path.stem
        assert read.event_id
        assert read.object_id
        assert read.occurred.tzinfo is UTC
        assert read.object_version is not None
        assert read.unknown == ()
        assert read.ours is None
        again = systems.source(path.parent.name).rereads.get(read.type, "")
        # Events that are thin only where they lack a part, which the captured ones do not.
        cut = path.stem == "opportunity.closed_won" or again.endswith("/lines")
        assert read.thin == (bool(again) and not cut)


@every_source
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe{}", b'{"id": NaN}', b'{"a":1,"a":2}', b"[" * 100_000])
def test_what_is_no_strict_json_object_is_refused(name: str, body: bytes) -> None:
    code = "wrong_shape" if (name, body) == ("hubspot", b"[]") else "bad_json"  # its bodies are lists
    with pytest.raises(NeedsHuman, match=code):
        systems.source(name).read(body)


def with_field(name: str, field: str, value: object) -> bytes:
    """The example of a source with one field of its (first) event set."""
    whole = json.loads(body_of(name))
    changed = [{**whole[0], field: value}, *whole[1:]] if isinstance(whole, list) else {**whole, field: value}
    return json.dumps(changed).encode()


@every_source
def test_a_known_shape_with_any_part_missing_or_wrong_is_refused_and_never_crashes(name: str) -> None:
    needed = {
        "chargebee": ("id", "event_type", "occurred_at", "api_version", "content"),
        "zuora": ("v", "eventType", "objectId", "updatedDate"),
        "hubspot": ("eventId", "subscriptionId", "portalId", "objectId", "occurredAt", "subscriptionType"),
        "stripe": ("id", "type", "created", "data"),
        "salesforce": ("event_id", "type", "commit_number", "opportunity"),
        "zendesk": ("id", "type", "time", "detail"),
        "businesscentral": ("value",),
        "netsuite": ("v", "type", "id", "changed"),
        "legacy": ("v", "file"),
    }
    for field in needed[name]:
        wrongs: tuple[object, ...] = (None, [], {}, -1, True, "", "x" * 300)
        for wrong in wrongs:
            with pytest.raises(NeedsHuman, match="wrong_shape"):
                systems.source(name).read(with_field(name, field, wrong))


@every_source
def test_unknown_fields_are_noted_and_not_fatal(name: str) -> None:
    read = systems.source(name).read(with_field(name, "brand_new", 1))[0]
    assert read.unknown == ("brand_new",)


def test_an_object_that_we_made_is_known_again_by_our_reference() -> None:
    event = json.loads((EVENTS / "stripe" / "customer.created.json").read_bytes())
    event["data"]["object"]["metadata"]["tieout_ref"] = "TIE-ABC"
    [read] = systems.source("stripe").read(json.dumps(event).encode())
    assert read.ours == "TIE-ABC"


def test_what_becomes_later_of_an_object_that_we_made_is_no_echo() -> None:
    event = json.loads((EVENTS / "stripe" / "customer.subscription.deleted.json").read_bytes())
    assert event["data"]["object"]["metadata"]["tieout_ref"]
    assert systems.source("stripe").read(json.dumps(event).encode())[0].ours is None


def test_what_changes_of_a_customer_that_we_made_is_no_echo_and_what_finance_does_not_see_of_it_is_another_event() -> (
    None
):
    event = json.loads((EVENTS / "stripe" / "customer.updated.json").read_bytes())
    event["data"]["object"]["metadata"]["tieout_ref"] = "TIE-ABC"
    [read] = systems.source("stripe").read(json.dumps(event).encode())
    assert (read.ours, read.type, read.thin) == (None, "customer.updated", True)
    event["data"]["previous_attributes"] = {"balance": 0, "next_invoice_sequence": 1}
    [read] = systems.source("stripe").read(json.dumps(event).encode())
    assert (read.type, read.thin) == ("customer.updated.unseen", False)
    event = json.loads((EVENTS / "chargebee" / "customer_changed.json").read_bytes())
    event["content"]["customer"]["meta_data"] = {"tieout_ref": "TIE-ABC"}
    assert systems.source("chargebee").read(json.dumps(event).encode())[0].ours is None
    event["event_type"] = "customer_created"
    assert systems.source("chargebee").read(json.dumps(event).encode())[0].ours == "TIE-ABC"


def test_there_is_a_captured_event_for_everything_that_starts_a_flow() -> None:
    from tieout import flows

    captured = {(p.parent.name, p.stem) for p in CAPTURED}
    started = {(flow.on.source, flow.on.type) for flow in flows.FLOWS}
    assert started == captured


@every_source
def test_what_is_ignored_starts_no_flow_and_what_starts_one_is_not_ignored(name: str) -> None:
    from tieout import flows

    source = systems.source(name)
    started = {flow.on.type for flow in flows.FLOWS if flow.on.source == name}
    assert started or source.rereads
    assert not started & source.ignored
    assert not source.ignored & set(source.rereads)
    assert not started & set(source.rereads) or name in systems.READERS, "nobody reads its objects again"


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


# --- change data capture -------------------------------------------------------------------------------------------
def change(kind: str = "UPDATE", fields: object = ("StageName",), **header: object) -> bytes:
    whole = {
        "entityName": "Opportunity", "recordIds": ["006RM000001aBcDYAU"], "changeType": kind, "sequenceNumber": 1,
        "transactionKey": "000b7375-d11d", "commitTimestamp": 1787000000000, "commitNumber": 1094911234567,
        "changedFields": list(fields) if isinstance(fields, tuple) else fields, **header,
    }  # fmt: skip
    return json.dumps({"payload": {"ChangeEventHeader": whole}, "id": "aa6ff3a7"}).encode()


@pytest.mark.parametrize(
    ("kind", "fields", "type_"),
    [
        ("CREATE", (), "account.changed"), ("UNDELETE", (), "account.changed"), ("GAP_UPDATE", (), "account.changed"),
        ("GAP_CREATE", (), "account.changed"), ("UPDATE", ("LastModifiedDate", "Name"), "account.changed"),
        ("UPDATE", ("BillingAddress.City",), "account.changed"), ("UPDATE", ("BillingCity",), "account.changed"),
        ("UPDATE", ("Finance_Customer__c",), "account.changed"), ("UPDATE", ("NumberOfEmployees",), "account.updated"),
        ("DELETE", (), "account.deleted"), ("GAP_DELETE", (), "account.deleted"),
        ("GAP_OVERFLOW", (), "account.gap_overflow"),
    ],
)  # fmt: skip
def test_a_change_of_an_account_is_read_again_where_finance_may_see_it(
    kind: str, fields: tuple[str, ...], type_: str
) -> None:
    source = systems.source("salesforce")
    [read] = source.read(change(kind, fields, entityName="Account"))
    assert (read.type, read.thin) == (type_, type_ == "account.changed")
    assert read.thin or read.type in source.ignored, "what is passed over is passed over on purpose"


@pytest.mark.parametrize("entity", ["SBQQ__Quote__c", "Quote", "Order"])
def test_a_change_of_whatever_may_be_a_quote_is_read_again_unless_it_was_deleted(entity: str) -> None:
    source = systems.source("salesforce")
    kinds = ("CREATE", "UPDATE", "UNDELETE", "GAP_UPDATE", "DELETE", "GAP_DELETE", "GAP_OVERFLOW")
    types = {kind: source.read(change(kind, (), entityName=entity))[0].type for kind in kinds}
    assert [kind for kind, type_ in types.items() if type_ == "quote.accepted"] == list(kinds[:4])
    assert {type_ for kind, type_ in types.items() if kind in kinds[4:]} <= source.ignored


@pytest.mark.parametrize(
    ("body", "type_", "thin"),
    [
        (change(), "opportunity.closed_won", True),
        (change(fields=("Name", "Amount")), "opportunity.updated", False),
        (change("CREATE", ()), "opportunity.closed_won", True),
        (change("GAP_UPDATE", ()), "opportunity.closed_won", True),
        (change("GAP_CREATE", ()), "opportunity.closed_won", True),
        (change("GAP_DELETE", ()), "opportunity.deleted", False),
        (change("DELETE", ()), "opportunity.deleted", False),
        (change("GAP_OVERFLOW", (), recordIds=["000000000000000AAA"]), "opportunity.gap_overflow", False),
        (change(entityName="Account", fields=("Name",)), "account.changed", True),
        (change(fields=None), "opportunity.updated", False),
    ],
)
def test_a_change_that_may_have_won_a_deal_is_thin_and_a_gap_is_read_again(body: bytes, type_: str, thin: bool) -> None:
    [read] = systems.source("salesforce").read(body)
    assert (read.type, read.thin, read.object_id[:3]) == (type_, thin, read.object_id[:3])
    assert read.type == "account.closed_won" or thin == (read.type in systems.source("salesforce").rereads)


def test_the_records_of_one_change_event_are_events_of_their_own_whose_ids_outlive_a_replay() -> None:
    body = change(recordIds=["006RM000001aBcDYAU", "006RM000001aBcEYAU"])
    reads = systems.source("salesforce").read(body)
    assert [read.event_id for read in reads] == ["aa6ff3a7:006RM000001aBcDYAU", "aa6ff3a7:006RM000001aBcEYAU"]
    assert len({json.dumps(read.alone, sort_keys=True) for read in reads}) == 2
    nameless = json.dumps({name: value for name, value in json.loads(body).items() if name != "id"}).encode()
    assert systems.source("salesforce").read(nameless)[0].event_id == "000b7375-d11d:1:006RM000001aBcDYAU"


@pytest.mark.parametrize("header", [{"recordIds": []}, {"recordIds": ["x"]}, {"recordIds": [7]}, {"changeType": None},
                                    {"commitTimestamp": "now"}, {"recordIds": ["006' OR Id != '"]}])  # fmt: skip
def test_a_change_event_without_its_head_is_refused(header: dict[str, Any]) -> None:
    with pytest.raises(NeedsHuman, match="wrong_shape"):
        systems.source("salesforce").read(change(**header))


def test_a_callout_without_the_moment_of_its_win_is_read_again_so_that_all_ways_have_one_order() -> None:
    event = json.loads(body_of("salesforce"))
    [whole] = systems.source("salesforce").read(json.dumps(event).encode())
    del event["opportunity"]["LastStageChangeDate"]
    [old] = systems.source("salesforce").read(json.dumps(event).encode())
    assert (whole.thin, old.thin) == (False, True)
