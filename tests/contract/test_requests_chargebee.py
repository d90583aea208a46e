"""Every request that the mapping examples lead to, against Chargebee's own parameters (closed)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import jsonschema
import pytest

from infra.local.sandbox.wire import parse_form
from tests.contract.test_requests import load, pytestmark, request_of, requests
from tieout import systems
from tieout.core.exchange import Request

__all__ = ["pytestmark"]

#: Not among the operations of the contract file; it takes nothing that we send.
UNDESCRIBED = "/customers/{id}/delete"


def root(path: str) -> str:
    """The path as the contract names it, with ``{id}`` where an id stands."""
    parts = path.removeprefix("/api/v2/").split("/")
    return "/" + "/".join("{id}" if place == 1 else part for place, part in enumerate(parts))


def typed(form: Mapping[str, Any], properties: Mapping[str, Any]) -> dict[str, Any]:
    """A form as its JSON view: lists by row, whole numbers and truth as such, metadata out of its text."""
    values: dict[str, Any] = {}
    for name, value in form.items():
        kind = properties.get(name, {}).get("type")
        if name == "meta_data":
            values[name] = json.loads(value)
        elif kind == "array" and isinstance(value, dict):
            count = len(next(iter(value.values())))
            rows = [{column: cells[place] for column, cells in value.items()} for place in range(count)]
            values[name] = [{**row, **{k: int(v) for k, v in row.items() if k == "quantity"}} for row in rows]
        elif kind == "boolean" and value in ("true", "false"):
            values[name] = value == "true"
        else:
            values[name] = int(value) if kind == "number" and value.isdigit() else value
    return values


def mistakes(request: Request) -> list[str]:
    """What Chargebee's published parameters say against a request."""
    spec = load("chargebee/request_params.schema.json")
    operation = f"{request.method} {root(request.path)}"
    if operation == f"POST {UNDESCRIBED}":
        return [] if not request.body else ["delete takes nothing"]
    if operation not in spec["x-roots"]:
        return [f"no {operation}"]
    name = spec["x-roots"][operation]["$ref"].removeprefix("#/$defs/")
    schema = {"$ref": f"#/$defs/{name}", "$defs": spec["$defs"]}
    body = typed(parse_form(request.body.decode()), spec["$defs"][name]["properties"])
    return [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(body)]


def test_every_chargebee_request_is_one_that_chargebee_publishes() -> None:
    seen = set()
    for name, kind, request, _ in requests("chargebee"):
        assert mistakes(request) == [], name
        seen.add((kind, root(request.path)))
    assert seen == {
        ("customer", "/customers"), ("customer", UNDESCRIBED),
        ("subscription", "/customers/{id}/subscription_for_items"),
        ("subscription", "/subscriptions/{id}/cancel_for_items"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "mistake"),
    [
        ("customer", {"name": "Bluebird"}),
        ("customer", {"auto_collection": "never"}),
        ("customer", {"billing_address": {"postal_code": "10115"}}),
        ("subscription", {"net_term_days": "NET30"}),
        ("subscription", {"subscription_items": [{"price": "pro-USD-Monthly"}]}),
    ],
    ids=str,
)
def test_a_mistake_in_a_chargebee_request_is_seen(kind: str, mistake: Mapping[str, Any]) -> None:
    good = next(payload for _, found, _, payload in requests("chargebee") if found == kind)
    assert mistakes(request_of(systems.target("chargebee"), kind, "create", {**good, **mistake})) != []


def test_an_address_that_chargebee_does_not_publish_is_seen() -> None:
    assert mistakes(Request("POST", "/api/v2/customer", b"")) != []
    assert mistakes(Request("POST", "/api/v2/customers/x/delete", b"force=true")) != []
