"""Every request that the mapping examples lead to, against Intuit's own entities (closed)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import jsonschema
import pytest

from tests.contract.test_requests import load, pytestmark, request_of, requests
from tests.unit.systems.test_target_laws import FakeWire, work
from tieout import systems
from tieout.core.classify import Answer
from tieout.core.exchange import Request

__all__ = ["pytestmark"]

ENTITIES = {"/customer": "Customer", "/invoice": "Invoice", "/creditmemo": "CreditMemo", "/payment": "Payment"}

KNOWN = ("requestid", "minorversion", "operation")


def mistakes(request: Request) -> list[str]:
    """What Intuit's published entities say against a request."""
    path, _, query = request.path.partition("?")
    if request.method != "POST" or path not in ENTITIES:
        return [f"no {request.method} {path}"]
    strange = [f"no parameter {name}" for name in parse_qs(query) if name not in KNOWN]
    asked = parse_qs(query).get("operation")
    if asked not in (None, ["void"]) or (asked and path != "/invoice"):
        strange.append(f"no operation {asked} of {path}")
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
        seen.add((kind, "requestid" in asked, "operation" in asked))
    assert seen == {
        ("customer", False, False), ("invoice", True, False), ("invoice", True, True), ("credit_note", True, False),
        ("payment", True, False),
    }  # fmt: skip


class Company(FakeWire):
    """A company that shows one credit memo and one invoice, of which so much is open; it remembers what was written."""

    def __init__(self, due: float) -> None:
        super().__init__(lambda method, path: self.shown(path))
        self.due, self.writes = due, list[Request]()

    def call(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        if method == "POST":
            self.writes.append(Request(method, path, body or b"", headers or {}))
        return super().call(method, path)

    def shown(self, path: str) -> Answer:
        if path.startswith("/query"):
            return Answer(200, {}, b'{"QueryResponse": {}}')
        entity = ENTITIES["/" + path.split("/")[1].partition("?")[0]]
        memo = entity == "CreditMemo"
        row = {"Id": "7" if memo else "145", "SyncToken": "3", "CurrencyRef": {"value": "USD"}, "TotalAmt": 544.38,
               "Balance": 544.38 if memo else self.due, "PrivateNote": "TIE-A"}  # fmt: skip
        void = {"PrivateNote": "Voided - TIE-A", "TotalAmt": 0, "Balance": 0} if "operation=void" in path else {}
        return Answer(200, {}, json.dumps({entity: row | void}).encode())


def test_the_calls_behind_a_record_are_ones_that_intuit_publishes() -> None:
    """The payment of nothing that applies a credit memo, the memo without its link, and the void at its version."""
    target, credited, voided = systems.target("quickbooks"), Company(due=500), Company(due=544.38)
    target.send(credited, [work(target, "credit_note", "create")])
    target.send(voided, [work(target, "invoice", "void")])
    writes = [*credited.writes, *voided.writes]
    paths = [one.path.partition("?")[0] for one in writes]
    assert (paths, [mistakes(one) for one in writes]) == (["/creditmemo", "/payment", "/invoice"], [[]] * 3)
    memo, payment, void = (json.loads(one.body) for one in writes)
    assert "LinkedTxn" not in memo
    assert (payment["TotalAmt"], [line["Amount"] for line in payment["Line"]]) == (0, [500, 500])
    assert void == {"Id": "145", "SyncToken": "3"}
    bad = Request("POST", writes[1].path, writes[1].body.replace(b"TxnType", b"Type"))
    assert mistakes(bad) != []
    assert mistakes(Request("POST", "/creditmemo?operation=void", b"{}")) != []


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
