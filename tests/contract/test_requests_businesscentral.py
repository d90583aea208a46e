"""Every request to Business Central against the description derived from Microsoft's documentation."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import jsonschema
import pytest

from tests.contract.test_requests import CONTRACTS, closed, load, request_of, requests
from tieout import systems
from tieout.core.classify import Answer
from tieout.core.exchange import Request
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
        ("customer", "POST", "/customers"), ("invoice", "POST", "/salesInvoices"),
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
