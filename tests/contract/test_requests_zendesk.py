"""Every request that the mapping examples lead to, the captured event and the signature, against Zendesk's own."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import jsonschema
import pytest

from tests.contract.test_requests import CONTRACTS, EVENTS, closed, load, request_of, requests
from tieout import systems
from tieout.contract import Delivery
from tieout.core.exchange import Request

pytestmark = pytest.mark.skipif(
    not CONTRACTS.is_dir(), reason=f"no vendor contracts at {CONTRACTS}: set CONTRACTS_DIR to run these tests"
)
#: The published description leaves out the body of create_or_update; it is that of create.
BODIES = {
    "POST /api/v2/tickets": "TicketCreateRequest",
    "PUT /api/v2/tickets/{ticket_id}": "TicketUpdateRequest",
    "POST /api/v2/organizations/create_or_update": "CreateOrganizationRequest",
}


def mistakes(request: Request) -> list[str]:
    """What Zendesk's published description says against a request; its bags of custom fields stay open."""
    spec = load("zendesk/support.subset.json")
    path, _, query = request.path.partition("?")
    template = re.sub(r"/tickets/[^/]+$", "/tickets/{ticket_id}", path)
    operation = spec["paths"].get(template, {}).get(request.method.lower())
    if operation is None:
        return [f"no {request.method} {template}"]
    strange = [f"no parameter {name}" for name in parse_qs(query)]
    schemas = closed(spec["components"]["schemas"])
    schema = {
        "$ref": f"#/components/schemas/{BODIES[f'{request.method} {template}']}",
        "components": {"schemas": schemas},
    }
    validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    return strange + [error.message for error in validator.iter_errors(json.loads(request.body))]


def test_every_zendesk_request_is_one_that_zendesk_publishes() -> None:
    seen = set()
    for name, kind, request, _ in requests("zendesk"):
        assert mistakes(request) == [], name
        assert len(request.headers.get("Idempotency-Key", "")) <= 255
        seen.add((kind, request.method))
    assert seen == {("ticket", "POST"), ("ticket", "PUT"), ("customer", "POST")}


@pytest.mark.parametrize(
    ("kind", "action", "mistake"),
    [
        ("ticket", "create", {"title": "Invoice"}),
        ("ticket", "create", {"status": "waiting"}),
        ("ticket", "create", {"organization_id": "9001"}),
        ("ticket", "create", {"comment": {"text": "refused"}}),
        ("ticket", "update", {"priority": "NORMAL"}),
        ("customer", "upsert", {"name": None}),
        ("customer", "upsert", {"organization_fields": {"finance_status": True}}),
        ("customer", "upsert", {"fields": {}}),
    ],
    ids=str,
)
def test_a_mistake_in_a_zendesk_request_is_seen(kind: str, action: str, mistake: Mapping[str, Any]) -> None:
    method = {"create": "POST", "update": "PUT", "upsert": "POST"}[action]
    good = next(
        payload for _, found, request, payload in requests("zendesk") if (found, request.method) == (kind, method)
    )
    assert mistakes(request_of(systems.target("zendesk"), kind, action, {**good, **mistake})) != []


def test_an_address_that_zendesk_does_not_publish_is_seen() -> None:
    assert mistakes(Request("POST", "/api/v2/ticket", b"{}")) != []
    assert mistakes(Request("POST", "/api/v2/tickets?async=1", b'{"ticket": {"comment": {"body": "x"}}}')) != []


def test_a_look_asks_only_for_what_zendesk_publishes() -> None:
    paths = load("zendesk/support.subset.json")["paths"]
    assert "external_id" in {one["name"] for one in paths["/api/v2/tickets"]["get"]["parameters"]}
    named = {one["$ref"].rpartition("/")[2] for one in paths["/api/v2/organizations/search"]["parameters"]}
    assert named == {"OrganizationExternalId", "OrganizationName"}


def test_zendesks_own_event_is_read_and_the_captured_one_has_its_shape() -> None:
    sample = load("zendesk/samples/event.ticket_status_changed.json")["body"]
    [read] = systems.source("zendesk").read(json.dumps(sample).encode())
    assert (read.type, read.object_id, read.unknown, read.ours) == ("ticket.status_changed", "5158", (), None)
    captured = json.loads((EVENTS / "zendesk" / "ticket.status_changed.json").read_bytes())
    assert set(captured) == set(sample)
    assert set(captured["detail"]) == set(sample["detail"])


def test_zendesks_signature_vector_verifies_and_one_bit_less_does_not() -> None:
    vector = load("zendesk/samples/signature_vector.json")
    headers = {
        "x-zendesk-webhook-signature": vector["x-zendesk-webhook-signature"],
        "x-zendesk-webhook-signature-timestamp": vector["timestamp"],
    }
    received = datetime(2026, 1, 8, 10, 13, tzinfo=UTC)
    body = vector["body"].encode()
    delivery = Delivery("zendesk", "acme", "POST", "/", headers, body, received)
    assert systems.source("zendesk").verify(delivery, ["old", vector["secret"]]).startswith("s_")
    flipped = Delivery("zendesk", "acme", "POST", "/", headers, body[:-1] + b"]", received)
    with pytest.raises(Exception, match="signature_wrong"):
        systems.source("zendesk").verify(flipped, [vector["secret"]])
