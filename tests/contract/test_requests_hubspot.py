"""What HubSpot is sent and asked, against its own description."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qsl

import jsonschema
import pytest

from tests.contract.test_requests import CONTRACTS, load, request_of, requests
from tests.unit.systems.test_readers import hubspot, portal, thin
from tests.unit.systems.test_target_laws import always
from tieout import systems
from tieout.core.exchange import Request
from tieout.systems.hubspot.source import signed_uri
from tieout.systems.hubspot.target import error_text

pytestmark = pytest.mark.skipif(
    not CONTRACTS.is_dir(), reason=f"no vendor contracts at {CONTRACTS}: set CONTRACTS_DIR to run these tests"
)
ALL = list(requests("hubspot")) if CONTRACTS.is_dir() else []


def mistakes(request: Request) -> list[str]:
    """What the description says against a request; our own object has the shape of any other."""
    spec = load("hubspot/openapi.subset.json")
    path, _, query = request.path.replace("/p_tieout_status/", "/companies/").partition("?")
    found = [one for one in spec["paths"] if re.fullmatch(re.sub(r"\{[^}]+\}", r"[0-9A-Z-]+", one), path)]
    operation = spec["paths"][found[0]].get(request.method.lower()) if found else None
    if operation is None:
        return [f"no {request.method} {path}"]
    known = {one["name"] for one in operation.get("parameters", [])}
    strange = [f"no parameter {name}" for name, _ in parse_qsl(query) if name not in known]
    if "requestBody" not in operation:
        return strange
    schema = {**operation["requestBody"]["content"]["application/json"]["schema"], "components": spec["components"]}
    errors = jsonschema.Draft202012Validator(schema).iter_errors(json.loads(request.body))
    return strange + [error.message for error in errors]


@pytest.mark.parametrize("one", ALL, ids=lambda one: one[0])
def test_every_status_that_an_example_leads_to_is_as_published(one: Any) -> None:
    assert mistakes(one[2]) == []


@pytest.mark.parametrize("properties", [{"tieout_version": 3}, {"tieout_version": None}, ["x"]], ids=str)
def test_a_property_that_is_no_text_is_seen(properties: Any) -> None:
    good = ALL[0][3]
    if isinstance(properties, dict):
        properties = {**good["properties"], **properties}
        assert mistakes(request_of(systems.target("hubspot"), "status", "upsert", {"properties": properties})) != []
    else:
        assert mistakes(Request("PATCH", "/crm/v3/objects/deals/1", json.dumps({"properties": properties}).encode()))


def test_an_address_that_is_not_published_is_seen() -> None:
    assert mistakes(Request("PUT", "/crm/v3/objects/deals/1", b"{}")) != []


def test_what_is_asked_for_a_deal_is_as_published() -> None:
    wire = portal()
    hubspot(wire)
    asked = [Request(method, path) for method, path in wire.asked if method == "GET"]
    assert [mistakes(one) for one in asked] == [[], []]
    body = b'{"inputs": [{"id": "71"}], "properties": ["name"], "propertiesWithHistory": []}'
    assert mistakes(Request("POST", "/crm/v3/objects/line_items/batch/read", body)) == []


def test_what_is_asked_for_a_company_is_as_published() -> None:
    read = next(one for one in thin("hubspot") if one.type == "company.changed")
    wire = always(200, {"id": read.object_id, "properties": {}})
    systems.reader("hubspot").again(wire, read)
    assert [mistakes(Request(method, path)) for method, path in wire.asked] == [[]]


def test_the_published_429_is_read_with_its_policy() -> None:
    from tieout.core.classify import Answer

    said = json.loads((CONTRACTS / "hubspot/samples/error_429.json").read_text("utf-8"))
    text = error_text(Answer(429, body=json.dumps(said["body"]).encode()))
    assert "TEN_SECONDLY_ROLLING" in text


def test_the_published_signature_vector_is_of_the_address_as_we_sign_it() -> None:
    from datetime import UTC, datetime

    from tieout.contract import Delivery

    vector = json.loads((CONTRACTS / "hubspot/samples/signature_vector.json").read_text("utf-8"))
    _, _, rest = vector["uri"].partition("https://")
    host, _, path = rest.partition("/")
    bare, _, query = f"/{path}".partition("?")
    one = Delivery("hubspot", "33", vector["method"], bare, {"host": host}, vector["body"].encode(),
                   datetime.now(UTC), query)  # fmt: skip
    assert signed_uri(one) == vector["uri"]
