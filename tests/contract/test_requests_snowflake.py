"""Every statement that the mapping examples lead to, and every look, against Snowflake's description of its SQL API."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any
from urllib.parse import parse_qs

import jsonschema
import pytest
import yaml

from tests.contract.test_requests import CONTRACTS, closed, requests
from tests.unit.systems.test_target_laws import FakeWire, work
from tieout import systems
from tieout.core.classify import Answer
from tieout.core.exchange import Request
from tieout.core.verdicts import Uncertain

pytestmark = pytest.mark.skipif(
    not CONTRACTS.is_dir(), reason=f"no vendor contracts at {CONTRACTS}: set CONTRACTS_DIR to run these tests"
)
#: Documented beside the request id (Snowflake's guide, resubmitting a request), and left out of the description.
BESIDE = frozenset({"retry"})


@cache
def spec() -> Mapping[str, Any]:
    """The description of the SQL API."""
    found: Mapping[str, Any] = yaml.safe_load((CONTRACTS / "warehouse/snowflake-sqlapi.yaml").read_text("utf-8"))
    return found


def mistakes(request: Request) -> list[str]:
    """What Snowflake's published description says against a request; a statement and its binds are compared too."""
    path, _, query = request.path.partition("?")
    template = re.sub(r"/statements/[^/]+$", "/statements/{statementHandle}", path)
    operation = spec()["paths"].get(template, {}).get(request.method.lower())
    if operation is None:
        return [f"no {request.method} {template}"]
    shared = spec()["components"]["parameters"]
    known = {shared[one["$ref"].rpartition("/")[2]]["name"] for one in spec()["paths"][template]["parameters"]} | BESIDE
    sent = {name: values[0] for name, values in parse_qs(query).items()}
    strange = [f"no parameter {name}" for name in sent if name not in known]
    if request.method == "GET":
        return strange
    body = json.loads(request.body)
    schema = closed(operation["requestBody"]["content"]["application/json"]["schema"])
    schema["properties"]["bindings"].pop("additionalProperties", None)
    strange += [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(body)]
    statement, bindings = str(body.get("statement", "")), body.get("bindings", {})
    if list(bindings) != [str(place) for place in range(1, statement.count("?") + 1)]:
        strange.append("binds and placeholders differ")
    if re.search(r"['\";]|--", statement):
        strange.append("a literal in a statement")
    return strange


def test_every_snowflake_request_is_one_that_snowflake_publishes_and_binds_every_value() -> None:
    seen = set()
    for name, kind, request, payload in requests("snowflake"):
        assert mistakes(request) == [], name
        sent = parse_qs(request.path.partition("?")[2])
        assert uuid.UUID(sent["requestId"][0]).version == 4
        statement = json.loads(request.body)["statement"]
        values = [value for value in payload.values() if isinstance(value, str) and len(value) > 3]
        assert not [value for value in values if value in statement]
        seen.add(kind)
    assert seen == {"invoice", "credit_note", "payment"}


def test_a_request_id_is_of_the_reference_and_the_bytes() -> None:
    target = systems.target("snowflake")
    payload = next(payload for _, kind, _, payload in requests("snowflake") if kind == "invoice")
    built = [
        Request.load(target.build("invoice", "create", ref, {**payload, **change}))
        for ref, change in (("TIE-A", {}), ("TIE-A", {}), ("TIE-B", {}), ("TIE-A", {"AMOUNT": "1.00"}))
    ]
    ids = [parse_qs(one.path.partition("?")[2])["requestId"][0] for one in built]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3


def test_a_look_and_a_handle_are_asked_for_as_snowflake_publishes() -> None:
    asked: list[Request] = []

    class Wire(FakeWire):
        def call(self, method: str, path: str, *, headers: Any = None, body: bytes | None = None) -> Answer:
            asked.append(Request(method, path, body or b"", headers))
            return Answer(200, {}, b'{"data": []}')

    target = systems.target("snowflake")
    one = work(target, "invoice", "create")
    assert target.find(Wire(lambda method, path: Answer(500)), one).state == "absent"
    target.find(Wire(lambda method, path: Answer(500)), replace(one, batch="e4ce975e-f7ff-4b5e-b15e-bf25f59371ae"))
    assert [request.method for request in asked] == ["POST", "POST", "GET"]
    assert [mistakes(request) for request in asked] == [[], [], []]


@pytest.mark.parametrize(
    ("mistake", "path"),
    [
        ({"statements": "SELECT 1"}, "/api/v2/statements"),
        ({"timeout": "60"}, "/api/v2/statements"),
        ({"parameters": {"query_tags": "x"}}, "/api/v2/statements"),
        ({"statement": "DELETE FROM T WHERE REF = 'x'"}, "/api/v2/statements"),
        ({"statement": "SELECT ?"}, "/api/v2/statements"),
        ({}, "/api/v2/statements?request_id=1"),
        ({}, "/api/v2/statement"),
    ],
    ids=str,
)
def test_a_mistake_in_a_snowflake_request_is_seen(mistake: Mapping[str, Any], path: str) -> None:
    good = next(request for _, _, request, _ in requests("snowflake"))
    body = json.dumps({**json.loads(good.body), **mistake}).encode()
    assert mistakes(Request("POST", path, body, good.headers)) != []


def test_the_vendors_own_example_is_valid_by_the_same_eyes_and_its_answers_are_read() -> None:
    content = spec()["paths"]["/api/v2/statements"]["post"]["requestBody"]["content"]["application/json"]
    assert mistakes(Request("POST", "/api/v2/statements", json.dumps(content["example"]).encode())) == []
    running = spec()["components"]["schemas"]["QueryStatus"]["example"]
    target = systems.target("snowflake")
    one = work(target, "payment", "create")
    [echo] = target.send(FakeWire(lambda method, path: Answer(202, {}, json.dumps(running).encode())), [one])
    assert echo is not None
    assert (echo.later, echo.remote) == (True, running["statementHandle"])
    with pytest.raises(Uncertain):
        target.send(FakeWire(lambda method, path: Answer(200, {}, json.dumps(running).encode())), [one])
