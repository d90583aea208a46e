"""Every request that the mapping examples lead to, against what Odoo publishes of its JSON-2 API."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import jsonschema
import pytest

from tests.contract.test_requests import load, pytestmark, request_of, requests
from tieout import systems
from tieout.core.exchange import Request

__all__ = ["pytestmark"]


#: Fields of Odoo's own `account.move` that the description, whose list is written by hand, leaves out.
MORE = {"reversed_entry_id": {"type": "integer"}}


def mistakes(request: Request) -> list[str]:
    """What the published description says against a request: its address, its envelope, and an entry's fields."""
    spec = load("odoo/json2.openapi.json")
    operation = spec["paths"]["/json/2/{model}/{method}"]["post"]
    patterns = {one["name"]: one["schema"].get("pattern") for one in operation["parameters"] if one["in"] == "path"}
    parts = request.path.split("/")
    if request.method != "POST" or parts[:3] != ["", "json", "2"] or len(parts) != 5:
        return [f"no {request.method} {request.path}"]
    found = [
        f"{name} {value}" for name, value in zip(("model", "method"), parts[3:], strict=True)
        if not re.search(patterns[name], value)
    ]  # fmt: skip
    body = json.loads(request.body)
    envelope = operation["requestBody"]["content"]["application/json"]["schema"]
    found += [error.message for error in jsonschema.Draft202012Validator(envelope).iter_errors(body)]
    spec["components"]["schemas"]["account.move"]["properties"] |= MORE
    if parts[3] in spec["components"]["schemas"]:
        schema = {"$ref": f"#/components/schemas/{parts[3]}", "components": spec["components"]}
        entry = jsonschema.Draft202012Validator(schema)
        found += [error.message for values in body.get("vals_list", []) for error in entry.iter_errors(values)]
    return found


def test_every_odoo_request_is_one_that_odoo_publishes() -> None:
    seen = set()
    for name, kind, request, _ in requests("odoo"):
        assert mistakes(request) == [], name
        seen.add((kind, request.path))
    assert seen == {
        ("customer", "/json/2/res.partner/create"), ("invoice", "/json/2/account.move/create"),
        ("credit_note", "/json/2/account.move/create"), ("payment", "/json/2/account.payment.register/create"),
    }  # fmt: skip


@pytest.mark.parametrize(
    "mistake",
    [
        {"move_type": "invoice"},
        {"amount_total": 1},
        {"invoice_date": "2026-11-02T00:00:00"},
        {"ref_id": "7"},
        {"reversed_entry": "7"},
    ],
    ids=str,
)
def test_a_mistake_in_an_odoo_request_is_seen(mistake: Mapping[str, Any]) -> None:
    good = next(payload for _, found, _, payload in requests("odoo") if found == "invoice")
    assert mistakes(request_of(systems.target("odoo"), "invoice", "create", {**good, **mistake})) != []


def test_an_address_that_odoo_does_not_publish_is_seen() -> None:
    assert mistakes(Request("POST", "/json/2/account.move/_post", b"{}")) != []
    assert mistakes(Request("GET", "/json/2/account.move/create", b"{}")) != []
    assert mistakes(Request("POST", "/json/2/res.partner/create", b'{"args": []}')) != []
