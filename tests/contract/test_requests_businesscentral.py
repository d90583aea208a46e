"""Every request to Business Central against the description derived from Microsoft's documentation."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest

from tests.contract.test_requests import CONTRACTS, EVENTS, closed, load, request_of, requests
from tieout import systems
from tieout.contract import Keeps
from tieout.core.classify import Answer
from tieout.core.exchange import Request
from tieout.mappings import HOME
from tieout.systems.businesscentral.target import error_text

pytestmark = pytest.mark.skipif(
    not CONTRACTS.is_dir(), reason=f"no vendor contracts at {CONTRACTS}: set CONTRACTS_DIR to run these tests"
)
TARGET = systems.target("businesscentral")


def strict(schema: Any) -> Any:
    """A schema whose words are an enumeration, and where no field carries an annotation unless it is one."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: strict(one) for name, one in schema.items() if name != "patternProperties"}
    if "x-known-values" in schema:
        made["enum"] = [*schema["x-known-values"], *schema["x-display-values"]]
    return made


def mistakes(request: Request) -> list[str]:
    """What the description says against a request below the company."""
    spec = load("business-central/openapi.v2.0.derived.json")
    path = re.sub(r"\([^)]*\)", "({id})", request.path.partition("?")[0])
    if request.method == "PATCH" and "(" not in path:  # what it changes is looked for when it is sent
        path, request = f"{path}({{id}})", replace(request, headers={**request.headers, "If-Match": "*"})
    operation = spec["paths"].get("/companies({companyId})" + path, {}).get(request.method.lower())
    if operation is None:
        return [f"no {request.method} {path}"]
    wanted = {one["name"] for one in operation["parameters"] if one["in"] == "header" and one.get("required")}
    missing = [f"no header {name}" for name in wanted - set(request.headers)]
    if "requestBody" not in operation:
        return [*missing, *(["a body where none is taken"] if request.body else [])]
    schema = {
        "$ref": operation["requestBody"]["content"]["application/json"]["schema"]["$ref"],
        "components": {"schemas": strict(closed(spec["components"]["schemas"]))},
    }
    found = jsonschema.Draft202012Validator(schema).iter_errors(json.loads(request.body))
    return missing + [error.message for error in found]


def test_every_request_is_one_that_business_central_takes() -> None:
    seen = set()
    for name, kind, request, _ in requests("businesscentral"):
        assert mistakes(request) == [], name
        seen.add((kind, request.method, request.path))
    assert seen == {
        ("customer", "POST", "/customers"), ("customer", "PATCH", "/customers"), ("invoice", "POST", "/salesInvoices"),
        ("invoice", "POST", "/salesCreditMemos"), ("credit_note", "POST", "/salesCreditMemos"),
        ("payment", "POST", "/customerPaymentJournals"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "mistake"),
    [
        ("invoice", {"id": "9e0f5c9c-44e3-ea11-bb43-000d3a2feca1"}),
        ("invoice", {"totalAmountIncludingTax": 544}),
        ("invoice", {"invoiceNumber": "NW-1"}),
        ("invoice", {"postingDate": "02.11.2026"}),
        ("invoice", {"salesInvoiceLines": [{"lineType": "Goods"}]}),
        ("invoice", {"salesInvoiceLines": [{"unitPrice": "500.00"}]}),
        ("credit_note", {"customerId": "20000"}),
        ("customer", {"taxId": "84-2210456"}),
        ("payment", {"appliesToInvoiceId": "NW-1"}),
    ],
    ids=str,
)
def test_a_mistake_in_a_request_is_seen(kind: str, mistake: Mapping[str, Any]) -> None:
    good = next(payload for _, found, _, payload in requests("businesscentral") if found == kind)
    action = "upsert" if kind == "customer" else "create"
    assert mistakes(request_of(TARGET, kind, action, {**good, **mistake})) != []


def test_the_other_calls_are_published_too_and_a_change_without_its_tag_is_seen() -> None:
    tag = {"If-Match": 'W/"1"'}
    for request in (
        Request("POST", "/salesInvoices(1)/Microsoft.NAV.post"),
        Request("POST", "/salesCreditMemos(1)/Microsoft.NAV.post"),
        Request("POST", "/journals(1)/Microsoft.NAV.post"),
        Request("DELETE", "/customerPaymentJournals(1)", b"", tag),
        Request("DELETE", "/salesInvoices(1)", b"", tag),
        Request("PATCH", "/customers(1)", b'{"displayName": "x"}', tag),
        Request("GET", "/generalLedgerEntries"),
    ):
        assert mistakes(request) == [], request
    assert mistakes(Request("DELETE", "/salesInvoices(1)")) == ["no header If-Match"]
    assert mistakes(Request("POST", "/customerPaymentJournals(1)/Microsoft.NAV.post")) != []
    assert mistakes(Request("POST", "/salesInvoice", b"{}")) != []


def test_an_error_of_microsofts_shape_is_read() -> None:
    body = {"error": {"code": "Application_DialogException", "message": "Customer is blocked."}}
    schema = load("business-central/openapi.v2.0.derived.json")["components"]["schemas"]["odataError"]
    jsonschema.Draft202012Validator(schema).validate(body)
    answer = Answer(400, {}, json.dumps(body).encode())
    assert error_text(answer) == "Application_DialogException Customer is blocked."


# --- as a source -------------------------------------------------------------------------------------------------
def test_the_captured_event_is_one_that_microsoft_sends() -> None:
    schema = load("business-central/openapi.v2.0.derived.json")["components"]["schemas"]["webhookNotification"]
    event = json.loads((EVENTS / "businesscentral" / "customers.created.json").read_bytes())
    jsonschema.Draft202012Validator(schema).validate(event)
    del event["value"][0]["resource"]
    assert list(jsonschema.Draft202012Validator(schema).iter_errors(event)), "a hole in it must be seen"


def test_the_card_that_the_mapping_reads_is_one_that_microsoft_shows() -> None:
    schemas = load("business-central/openapi.v2.0.derived.json")["components"]["schemas"]
    card = json.loads((HOME / "businesscentral.card/examples/usual.json").read_text("utf-8"))["object"]
    validator = jsonschema.Draft202012Validator({**schemas["customer"], "patternProperties": {"^@odata": {}}})
    assert [error.message for error in validator.iter_errors(card)] == []
    assert list(validator.iter_errors({**card, "name": "x"})), "an unknown field must be seen"


def test_a_subscription_is_made_and_renewed_as_microsoft_takes_it() -> None:
    asked: list[Request] = []

    class Wire:
        account = "acme"

        def __init__(self) -> None:
            company = "b18aed47-c385-49d2-b954-dbdf8ad71780"
            self.settings = {"company_id": company, "notification_url": "https://x.example/h"}
            self.rows: list[dict[str, Any]] = []

        def call(self, method: str, path: str, *, headers: Any = None, body: bytes | None = None) -> Answer:
            asked.append(Request(method, path, body or b"", headers or {}))
            return Answer(200, {}, json.dumps({"value": self.rows} if method == "GET" else {"ok": True}).encode())

    wire, now = Wire(), datetime(2026, 11, 20, tzinfo=UTC)
    reader = systems.reader("businesscentral")
    assert isinstance(reader, Keeps)
    reader.keep(wire, "word", now)  # type: ignore[arg-type]
    made = json.loads(asked[-1].body)
    wire.rows = [{**made, "subscriptionId": "c670", "expirationDateTime": "2026-11-21T00:00:00Z"}]
    reader.keep(wire, "word", now)  # type: ignore[arg-type]
    spec = load("business-central/openapi.v2.0.derived.json")
    written = [one for one in asked if one.method != "GET"]
    assert [(one.method, one.path) for one in written] == [
        ("POST", "/subscriptions"),
        ("PATCH", "/subscriptions('c670')"),
    ]
    for one in written:
        template = re.sub(r"\([^)]*\)", "({id})", one.path)
        operation = spec["paths"][template][one.method.lower()]
        assert {p["name"] for p in operation["parameters"] if p["in"] == "header"} <= set(one.headers)
        reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        schema = {"$ref": reference, "components": {"schemas": strict(closed(spec["components"]["schemas"]))}}
        assert list(jsonschema.Draft202012Validator(schema).iter_errors(json.loads(one.body))) == []
    assert list(jsonschema.Draft202012Validator(schema).iter_errors({**made, "clientSecret": "x"}))
