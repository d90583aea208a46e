"""What Zuora is asked, and what the reading of its answers expects, against its own OpenAPI document."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qs

import pytest

from infra.accept import examples
from tests.contract.test_requests import CONTRACTS, load
from tests.contract.test_requests_listing import SPAN
from tests.unit.systems.test_target_laws import always
from tieout import systems
from tieout.systems.zuora.reader import error_text

pytestmark = pytest.mark.skipif(
    not CONTRACTS.is_dir(), reason=f"no vendor contracts at {CONTRACTS}: set CONTRACTS_DIR to run these tests"
)
#: What our subset of the document holds of the object query; the two others are of the same form.
HELD = {"InvoicePosted": "ExpandedInvoice", "AccountCreated": "ExpandedAccount"}
SCHEMAS = {"zuora.invoice": "ExpandedInvoice", "zuora.account": "ExpandedAccount",
           "zuora.payment": "ExpandedPayment", "zuora.credit_memo": "ExpandedCreditMemo"}  # fmt: skip


def spec() -> dict[str, Any]:
    return load("zuora/openapi.subset.json")


def mistakes(path: str) -> list[str]:
    """What the document says against asking for a path."""
    bare, _, query = path.partition("?")
    template = re.sub(r"/[^/]+$", "/{key}", bare)
    operation = spec()["paths"].get(template, {}).get("get")
    if operation is None:
        return [f"no GET {template}"]
    known = {one["name"] for one in operation["parameters"]}
    return [f"no parameter {name}" for name in parse_qs(query) if name not in known]


@pytest.mark.parametrize("type_", HELD)
def test_what_is_asked_for_is_in_the_document_and_what_is_expanded_is_a_field_of_the_answer(type_: str) -> None:
    path = systems.source("zuora").rereads[type_].format(id="8ad0")
    assert mistakes(path) == []
    fields = {name.casefold() for name in spec()["components"]["schemas"][HELD[type_]]["properties"]}
    assert {name.casefold() for name in parse_qs(path.partition("?")[2])["expand[]"]} <= fields


def test_a_planted_mistake_is_seen() -> None:
    assert mistakes("/object-query/invoicez/1") == ["no GET /object-query/invoicez/{key}"]
    assert mistakes("/object-query/invoices/1?include=items") == ["no parameter include"]


@pytest.mark.parametrize("example", [one for one in examples() if one.mapping in SCHEMAS], ids=lambda one: one.name)
def test_the_objects_that_the_mappings_are_proven_on_have_the_document_s_fields(example: Any) -> None:
    about = example.read().get("object")
    if about is None or about.get("success") is False:
        pytest.skip("no object of Zuora's")
    known = set(spec()["components"]["schemas"][SCHEMAS[example.mapping]]["properties"])
    assert set(about) <= known


def test_the_token_form_has_the_fields_that_the_document_names() -> None:
    form = spec()["paths"]["/oauth/token"]["post"]["requestBody"]["content"]["application/x-www-form-urlencoded"]
    assert set(form["schema"]["properties"]) == {"client_id", "client_secret", "grant_type"}
    assert systems.reader("zuora").auth["token_path"] == "/oauth/token"


def test_the_published_failure_under_http_200_is_read_by_its_sort() -> None:
    said = json.loads((CONTRACTS / "zuora/samples/error.success_false.json").read_text("utf-8"))
    assert error_text(said["body"]).startswith("reason 20 (53100320)")


def test_the_history_of_callouts_is_asked_for_by_parameters_that_it_has_and_read_by_members_that_it_shows() -> None:
    wire = always(200, {"success": True, "calloutHistories": []})
    systems.lister("zuora").listed(wire, SPAN, "")
    path, _, query = wire.asked[0][1].partition("?")
    known = {one["name"] for one in spec()["paths"][path]["get"]["parameters"] if one["in"] == "query"}
    assert set(parse_qs(query)) <= known
    schemas = spec()["components"]["schemas"]
    assert {"calloutHistories", "nextPage", "success"} <= set(schemas["GetCalloutHistoryVOsType"]["properties"])
    assert {"eventCategory", "eventContext"} <= set(schemas["GetCalloutHistoryVOType"]["properties"])
