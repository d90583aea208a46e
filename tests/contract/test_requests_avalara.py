"""Every request that the mapping examples lead to, and the questions, against Avalara's own description of AvaTax."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any
from urllib.parse import parse_qs

import jsonschema
import pytest

from infra.accept import examples
from tests.contract.test_requests import CONTRACTS, closed, load, made_by, request_of, requests
from tests.unit.systems.test_target_laws import FakeWire, work
from tieout import systems
from tieout.contract import Advisor
from tieout.core.classify import Answer
from tieout.core.exchange import Request, judge
from tieout.core.verdicts import NeedsHuman, Uncertain
from tieout.systems.avalara.target import error_text

pytestmark = pytest.mark.skipif(
    not CONTRACTS.is_dir(), reason=f"no vendor contracts at {CONTRACTS}: set CONTRACTS_DIR to run these tests"
)
#: Paths from the older description, bodies from the newer models (see the contracts' own note).
BODIES = {
    "/api/v2/transactions/createoradjust": "CreateOrAdjustTransactionModel",
    "/api/v2/transactions/create": "CreateTransactionModel",
    "/api/v2/companies/{companyCode}/transactions/{transactionCode}/void": "VoidTransactionModel",
    "/api/v2/addresses/resolve": "AddressValidationInfo",
}


@cache
def models() -> Mapping[str, Any]:
    """The models, closed; dates are days."""
    text = json.dumps(load("avalara/models.schema.json")["$defs"]).replace(
        '"x-format": "date-time"', '"format": "date"'
    )
    found: dict[str, Any] = closed(json.loads(text))
    return found


def mistakes(request: Request) -> list[str]:
    """What Avalara's published description says against a request."""
    paths = load("avalara/openapi.subset.json")["paths"]
    path, _, query = request.path.partition("?")
    template = re.sub(
        r"/companies/[^/]+/transactions/[^/]+", "/companies/{companyCode}/transactions/{transactionCode}", path
    )
    operation = paths.get(template, {}).get(request.method.lower())
    if operation is None:
        return [f"no {request.method} {template}"]
    known = {one["name"]: one["schema"] for one in operation["parameters"]}
    sent = {name: values[0] for name, values in parse_qs(query).items()}
    headers = {name: value for name, value in request.headers.items() if name not in ("Content-Type", "Accept")}
    strange = [f"no parameter {name}" for name in (*sent, *headers) if name not in known]
    strange += [f"{name}={value}" for name, value in sent.items() if value not in known[name].get("enum", [value])]
    if not re.fullmatch(r"([^;]+; ){4}[^;]+", headers.get("X-Avalara-Client", "")):
        strange.append("X-Avalara-Client is no list of five")
    if request.method == "GET":
        return strange
    schema = {"$ref": f"#/$defs/{BODIES[template]}", "$defs": models()}
    validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    return strange + [error.message for error in validator.iter_errors(json.loads(request.body))]


def test_every_avalara_request_is_one_that_avalara_publishes() -> None:
    seen = set()
    for name, kind, request, _ in requests("avalara"):
        assert mistakes(request) == [], name
        seen.add((kind, request.path.partition("?")[0].rpartition("/")[2]))
    done = ("createoradjust", "void")
    assert seen == {(kind, what) for kind in ("invoice", "credit_note") for what in done}


def questions(payload: Mapping[str, Any]) -> Iterator[Request]:
    """What an estimate sends."""
    target = systems.target("avalara")
    assert isinstance(target, Advisor)
    asked: list[Request] = []

    class Wire(FakeWire):
        def call(self, method: str, path: str, *, headers: Any = None, body: bytes | None = None) -> Answer:
            asked.append(Request(method, path, body or b"", headers))
            return Answer(200, {}, b'{"validatedAddresses": []}')

    with pytest.raises(Uncertain):
        target.ask(Wire(lambda method, path: Answer(500)), "opportunity", "estimate", payload)
    yield from asked


def test_both_questions_are_ones_that_avalara_publishes() -> None:
    [usual] = [made_by(one) for one in examples() if one.name == "avalara.estimate/usual"]
    assert usual is not None
    asked = list(questions(usual))
    assert [request.path.rpartition("/")[2] for request in asked] == ["resolve", "create"]
    assert [mistakes(request) for request in asked] == [[], []]


def test_a_look_is_one_that_avalara_publishes() -> None:
    target = systems.target("avalara")
    for _, kind, request, payload in requests("avalara"):
        asked: list[tuple[str, str]] = []

        def answer(method: str, path: str, asked: list[tuple[str, str]] = asked) -> Answer:
            asked.append((method, path))
            return Answer(404)

        action = "void" if "/void" in request.path else "create"
        target.find(FakeWire(answer), work(target, kind, action))
        [(method, path)] = asked
        assert mistakes(Request(method, path, b"", {"X-Avalara-Client": "a; b; c; d; e"})) == [], payload


@pytest.mark.parametrize(
    "mistake",
    [
        {"currency": "USD"},
        {"date": "02.11.2026"},
        {"tax_date": "2026-11-31"},
        {"customerCode": None},
        {"addresses": {"shipTo": {"zip": "98110"}}},
        {"lines": [{"number": "1", "amount": 500, "tax": 44, "unitPrice": 100}]},
        {"lines": [{"number": 1, "amount": 500, "tax": 44}]},
    ],
    ids=str,
)
def test_a_mistake_in_an_avalara_request_is_seen(mistake: Mapping[str, Any]) -> None:
    good = next(payload for name, _, _, payload in requests("avalara") if name == "avalara.invoice/usual")
    assert mistakes(request_of(systems.target("avalara"), "invoice", "create", {**good, **mistake})) != []


def test_an_address_a_type_and_a_reason_that_avalara_does_not_publish_are_seen() -> None:
    head = {"X-Avalara-Client": "a; b; c; d; e"}
    void = "/api/v2/companies/A/transactions/T/void"
    assert mistakes(Request("POST", f"{void}?documentType=SalesInvoice", b'{"code": "DocVoided"}', head)) == []
    assert mistakes(Request("POST", f"{void}?documentType=Invoice", b'{"code": "DocVoided"}', head)) != []
    assert mistakes(Request("POST", void, b'{"code": "Voided"}', head)) != []
    assert mistakes(Request("POST", void, b'{"code": "DocVoided"}', {"X-Avalara-Client": "Tieout"})) != []
    assert mistakes(Request("POST", "/api/v2/transaction/create", b"{}", head)) != []


def test_the_vendors_own_request_is_valid_by_the_same_eyes_and_its_error_is_read() -> None:
    sample = load("avalara/samples/create_transaction.request.json")
    head = {"X-Avalara-Client": "a; b; c; d; e"}
    assert mistakes(Request("POST", "/api/v2/transactions/create", json.dumps(sample).encode(), head)) == []
    error = load("avalara/samples/error.json")
    answer = Answer(error["status"], {}, json.dumps(error["body"]).encode())
    assert "DocStatusError" in error_text(answer)
    assert "fault Client" in error_text(answer)
    with pytest.raises(NeedsHuman, match="target_refused"):
        judge(systems.target("avalara").verdicts, answer, error_text(answer))
