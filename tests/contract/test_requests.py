"""Every request that the mapping examples lead to, and every captured event, against the vendors' own schemas."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import jsonschema
import pytest

from infra.accept import Example, examples, outcome
from tieout import systems
from tieout.contract import Delivery, Target
from tieout.core.exchange import Request
from tieout.core.parse import read_json

ROOT = Path(__file__).parents[2]
CONTRACTS = Path(os.environ.get("CONTRACTS_DIR", ROOT.parent / "shared" / "contracts"))
EVENTS = ROOT / "events"
CAPTURED = [path for path in sorted((EVENTS / "stripe").glob("*.json")) if not path.name.endswith(".apigw.json")]
REF = "TIE-ABCDEFGHIJKLMNOPQRSTUVWXYZ"

pytestmark = pytest.mark.skipif(
    not CONTRACTS.is_dir(), reason=f"no vendor contracts at {CONTRACTS}: set CONTRACTS_DIR to run these tests"
)


def load(path: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((CONTRACTS / path).read_text("utf-8"))
    return found


def requests(system: str) -> Iterator[tuple[str, str, Request, Mapping[str, Any]]]:
    """Name, kind, request and payload of each example that makes something for a target."""
    target = systems.target(system)
    by_mapping: dict[str, list[tuple[str, str]]] = {}
    for (kind, action), declared in target.actions.items():
        by_mapping.setdefault(declared.mapping or "", []).append((kind, action))
    for example in examples():
        made = made_by(example) if example.mapping in by_mapping else None
        for kind, action in by_mapping.get(example.mapping, ()):
            if made is not None:
                yield example.name, kind, request_of(target, kind, action, made), made


def made_by(example: Example) -> Mapping[str, Any] | None:
    """What the mapping makes of the example, with exact numbers; ``None`` where it stops."""
    made = outcome(example).get("makes")
    return None if made is None else dict(made)


def request_of(target: Target, kind: str, action: str, payload: Mapping[str, Any]) -> Request:
    return Request.load(target.build(kind, action, REF[: target.reference.length], payload))


# --- NetSuite ----------------------------------------------------------------------------------------------------
def netsuite_mistakes(request: Request) -> list[str]:
    """What NetSuite's published schema says against a request."""
    spec = load("netsuite/openapi.derived.json")
    path, _, query = request.path.removeprefix("/services/rest").partition("?")
    template = re.sub(r"/eid:[^/]+$", "/{id}", path)
    operation = spec["paths"].get(template, {}).get(request.method.lower())
    if operation is None:
        return [f"no {request.method} {template}"]
    known = {parameter["name"] for parameter in operation["parameters"]}
    strange = [
        f"no parameter {name}" for name in (*parse_qs(query), "X-NetSuite-PropertyNameValidation") if name not in known
    ]
    record = template.split("/")[3]
    schema = {"$ref": f"#/components/schemas/{record}", "components": spec["components"]}
    body = json.loads(request.body)
    return strange + [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(body)]


def test_every_netsuite_request_is_one_that_netsuite_publishes() -> None:
    seen = set()
    for name, kind, request, _ in requests("netsuite"):
        assert netsuite_mistakes(request) == [], name
        assert request.headers["X-NetSuite-PropertyNameValidation"] == "Error"
        seen.add((kind, request.method))
    assert seen == {
        ("quote", "PUT"),
        ("journal_entry", "PUT"),
        ("customer", "PUT"),
        ("customer", "PATCH"),
        ("invoice", "PUT"),
        ("credit_note", "PUT"),
        ("payment", "PUT"),
    }


@pytest.mark.parametrize(
    ("kind", "mistake"),
    [
        ("invoice", {"trandate": "2026-11-02"}),
        ("invoice", {"tranDate": "02.11.2026"}),
        ("invoice", {"item": {"items": [{"quantity": "five"}]}}),
        ("invoice", {"subsidiary": {"name": "Acme Inc"}}),
        ("payment", {"autoApply": "no"}),
    ],
)
def test_a_mistake_in_a_netsuite_request_is_seen(kind: str, mistake: Mapping[str, Any]) -> None:
    good = next(payload for _, found, _, payload in requests("netsuite") if found == kind)
    bad = request_of(systems.target("netsuite"), kind, "create", {**good, **mistake})
    assert netsuite_mistakes(bad) != []


def test_an_address_that_netsuite_does_not_publish_is_seen() -> None:
    assert netsuite_mistakes(Request("PUT", "/services/rest/record/v1/invoices/eid:TIE-A", b"{}")) != []
    assert netsuite_mistakes(Request("PUT", "/services/rest/record/v1/invoice/eid:TIE-A?replaces=item", b"{}")) != []


# --- Stripe ------------------------------------------------------------------------------------------------------
FORMS = {"customer": "CustomerCreateParams", "subscription": "SubscriptionCreateParams"}


def stripe_mistakes(kind: str, payload: Mapping[str, Any]) -> list[str]:
    """What Stripe's published parameters say against a payload (its JSON view, before it becomes a form)."""
    definitions = load("stripe/request_params.schema.json")["$defs"]
    schema = {"$ref": f"#/$defs/{FORMS[kind]}", "$defs": definitions}
    return [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(payload)]


def test_every_stripe_form_is_one_that_stripe_publishes() -> None:
    paths = load("stripe/openapi.2024-04-10.subset.json")["paths"]
    seen = set()
    for name, kind, request, payload in requests("stripe"):
        if request.method == "POST":
            assert stripe_mistakes(kind, payload) == [], name
            assert "post" in paths[request.path]
            assert f"metadata%5Btieout_ref%5D={REF}".encode() in request.body
        else:
            assert (
                "delete" in paths[f"/v1/{kind}s/{{{'customer' if kind == 'customer' else 'subscription_exposed_id'}}}"]
            )
        seen.add((kind, request.method))
    assert seen == {(kind, method) for kind in FORMS for method in ("POST", "DELETE")}


def test_a_mistake_in_a_stripe_form_is_seen() -> None:
    good = next(
        payload for _, kind, request, payload in requests("stripe") if kind == "customer" and request.method == "POST"
    )
    assert stripe_mistakes("customer", {**good, "mail": "x@y.example"}) != []
    assert stripe_mistakes("subscription", {"customer": "cus_1", "days_until_due": "soon"}) != []


STRIPE_OBJECTS = {
    "invoice": "Invoice", "credit_note": "CreditNote", "customer": "Customer", "dispute": "Dispute", "refund": "Refund",
    "payout": "Payout", "subscription": "Subscription",
}  # fmt: skip


@pytest.mark.parametrize("path", CAPTURED, ids=lambda path: path.stem)
def test_every_stripe_event_is_whole_by_stripes_own_schema(path: Path) -> None:
    event = json.loads(path.read_bytes())
    definitions = load("stripe/resources.schema.json")["$defs"]
    name = STRIPE_OBJECTS[event["data"]["object"]["object"]]
    validator = jsonschema.Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": definitions})
    assert [error.message for error in validator.iter_errors(event["data"]["object"])] == []
    assert event["type"] == path.stem
    del event["data"]["object"]["id"]
    assert list(validator.iter_errors(event["data"]["object"])), "a hole in the object must be seen"


def test_stripes_own_signature_vector_verifies_and_one_bit_less_does_not() -> None:
    vector = load("stripe/samples/signature_vector.json")
    source, body = systems.source("stripe"), vector["payload"].encode()
    received = datetime.fromtimestamp(vector["timestamp"] + 60, UTC)
    delivery = Delivery("stripe", "acct_us", "POST", "/", {"stripe-signature": vector["header"]}, body, received)
    assert source.verify(delivery, ["whsec_old", vector["secret"]]).startswith("s_")
    flipped = Delivery(
        "stripe", "acct_us", "POST", "/", {"stripe-signature": vector["header"]}, body[:-1] + b"]", received
    )
    with pytest.raises(Exception, match="signature_wrong"):
        source.verify(flipped, [vector["secret"]])


@pytest.mark.parametrize(
    "path", sorted((CONTRACTS / "stripe" / "samples").glob("event.*.json")), ids=lambda path: path.stem
)
def test_stripes_own_samples_are_read_tolerantly(path: Path) -> None:
    [read] = systems.source("stripe").read(path.read_bytes())
    assert read.type == path.stem.removeprefix("event.")
    assert read.unknown == ()


# --- Xero --------------------------------------------------------------------------------------------------------
def closed(schema: Any) -> Any:
    """An OpenAPI schema in which an unknown or a read-only field is a mistake (the published one leaves both open)."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if isinstance(fields := schema.get("properties"), dict):
        writable = {name: closed(one) for name, one in fields.items() if one.get("readOnly") is not True}
        return {**schema, "properties": writable, "additionalProperties": False}
    return {name: closed(one) for name, one in schema.items()}


def xero_mistakes(request: Request) -> list[str]:
    """What Xero's published description says against a request."""
    spec = load("xero/accounting.subset.json")
    path, _, query = request.path.removeprefix("/api.xro/2.0").partition("?")
    for listed, name in (("Invoices", "InvoiceID"), ("CreditNotes", "CreditNoteID")):
        path = re.sub(rf"^/{listed}/[0-9a-f-]{{36}}(?=/|$)", f"/{listed}/{{{name}}}", path)
    operation = spec["paths"].get(path, {}).get(request.method.lower())
    if operation is None:
        return [f"no {request.method} {path}"]
    shared = spec["components"]["parameters"]
    known = {(shared[one["$ref"].split("/")[-1]] if "$ref" in one else one)["name"] for one in operation["parameters"]}
    sent = (*parse_qs(query), *(name for name in request.headers if name not in ("Content-Type", "Accept")))
    strange = [f"no parameter {name}" for name in sent if name not in known]
    schema = {
        "$ref": operation["requestBody"]["content"]["application/json"]["schema"]["$ref"],
        "components": {"schemas": closed(spec["components"]["schemas"])},
    }
    validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    return strange + [error.message for error in validator.iter_errors(json.loads(request.body))]


def test_every_xero_request_is_one_that_xero_publishes() -> None:
    seen = set()
    for name, kind, request, _ in requests("xero"):
        assert xero_mistakes(request) == [], name
        assert len(request.headers.get("Idempotency-Key", "")) <= 128
        seen.add((kind, request.method))
    assert seen == {
        ("customer", "POST"), ("invoice", "PUT"), ("invoice", "POST"), ("credit_note", "PUT"), ("payment", "PUT"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "mistake"),
    [
        ("invoice", {"Total": 544}),
        ("invoice", {"InvoiceNo": "NW-1"}),
        ("invoice", {"Status": "AUTHORIZED"}),
        ("invoice", {"LineItems": [{"UnitAmount": "500.00"}]}),
        ("invoice", {"Contact": {"ContactID": "1001"}}),
        ("payment", {"Amount": "544.38"}),
    ],
    ids=str,
)
def test_a_mistake_in_a_xero_request_is_seen(kind: str, mistake: Mapping[str, Any]) -> None:
    good = next(payload for _, found, _, payload in requests("xero") if found == kind)
    assert xero_mistakes(request_of(systems.target("xero"), kind, "create", {**good, **mistake})) != []


def test_an_address_that_xero_does_not_publish_is_seen() -> None:
    assert xero_mistakes(Request("PUT", "/api.xro/2.0/Invoice", b"{}")) != []
    assert xero_mistakes(Request("PUT", "/api.xro/2.0/Payments?unitdp=4", b"{}")) != []


# --- Salesforce --------------------------------------------------------------------------------------------------
def test_the_callouts_standard_fields_are_salesforces_own() -> None:
    """Custom fields (``__c``) are ours; the rest must exist in the org's own description, with its type."""
    schemas = load("salesforce/openapi.v59.subset.json")["components"]["schemas"]
    deal = read_json((EVENTS / "salesforce" / "opportunity.closed_won.json").read_bytes())["opportunity"]
    opportunity, account, line = (
        next(schema for name, schema in schemas.items() if name.startswith(wanted) and "properties" in schema)[
            "properties"
        ]
        for wanted in ("OpportunitySObject", "AccountSObject", "OpportunityLineItemSObject")
    )
    ours = {"Account", "Lines", "CurrencyIsoCode"}
    assert {name for name in deal if not name.endswith("__c")} - ours <= set(opportunity)
    assert {name for name in deal["Account"] if not name.endswith("__c")} <= set(account) | {
        "BillingStateCode",
        "BillingCountryCode",
    }
    assert {name for row in deal["Lines"] for name in row} <= set(line)
