"""Every request that the mapping examples lead to, against Intuit's own entities (closed)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import jsonschema
import pytest

from tests.contract.test_requests import load, pytestmark, request_of, requests
from tieout import systems
from tieout.core.exchange import Request

__all__ = ["pytestmark"]

ENTITIES = {"/customer": "Customer", "/invoice": "Invoice", "/creditmemo": "CreditMemo", "/payment": "Payment"}


def mistakes(request: Request) -> list[str]:
    """What Intuit's published entities say against a request."""
    path, _, query = request.path.partition("?")
    if request.method != "POST" or path not in ENTITIES:
        return [f"no {request.method} {path}"]
    strange = [f"no parameter {name}" for name in parse_qs(query) if name not in ("requestid", "minorversion")]
    schema = {"$ref": f"#/$defs/{ENTITIES[path]}", "$defs": load("quickbooks/entities.schema.json")["$defs"]}
    found = jsonschema.Draft202012Validator(schema).iter_errors(json.loads(request.body))
    return strange + [error.message for error in found]


def test_every_quickbooks_request_is_one_that_intuit_publishes() -> None:
    seen = set()
    for name, kind, request, _ in requests("quickbooks"):
        assert mistakes(request) == [], name
        asked = parse_qs(request.path.partition("?")[2])
        assert len(asked.get("requestid", [""])[0]) <= 50
        assert len(json.loads(request.body).get("PaymentRefNum", "")) <= 21
        seen.add((kind, "requestid" in asked))
    assert seen == {("customer", False), ("invoice", True), ("credit_note", True), ("payment", True)}


@pytest.mark.parametrize(
    ("kind", "mistake"),
    [
        ("invoice", {"Total": 544}),
        ("invoice", {"TxnDate": 20261102}),
        ("invoice", {"Line": [{"DetailType": "SalesItemLine", "Amount": 1}]}),
        ("invoice", {"CustomerRef": {"id": "58"}}),
        ("payment", {"TotalAmt": "544.38"}),
        ("customer", {"Name": "Bluebird"}),
    ],
    ids=str,
)
def test_a_mistake_in_a_quickbooks_request_is_seen(kind: str, mistake: Mapping[str, Any]) -> None:
    good = next(payload for _, found, _, payload in requests("quickbooks") if found == kind)
    action = "upsert" if kind == "customer" else "create"
    assert mistakes(request_of(systems.target("quickbooks"), kind, action, {**good, **mistake})) != []


def test_an_address_that_intuit_does_not_publish_is_seen() -> None:
    assert mistakes(Request("POST", "/invoices", b"{}")) != []
    assert mistakes(Request("POST", "/invoice?requestId=1", b"{}")) != []
