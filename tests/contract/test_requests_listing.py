"""What Stripe and Chargebee are asked for lost events and cut lines, against their own descriptions."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import jsonschema
import pytest

from infra.local.sandbox.wire import parse_form
from tests.contract.test_requests import CONTRACTS, load
from tests.unit.systems.test_readers import PAYOUT, balance, paid_out, thin
from tests.unit.systems.test_target_laws import FakeWire, always
from tieout import systems
from tieout.contract import Span
from tieout.core.verdicts import Verdict

pytestmark = pytest.mark.skipif(
    not CONTRACTS.is_dir(), reason=f"no vendor contracts at {CONTRACTS}: set CONTRACTS_DIR to run these tests"
)
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
SPAN = Span(NOW - timedelta(hours=1), NOW, ("invoice.finalized", "invoice.paid"))


def asked(wire: FakeWire) -> str:
    (_, path) = wire.asked[0]
    return path


def stripe_mistakes(path: str) -> list[str]:
    bare, _, query = path.partition("?")
    templates: Mapping[str, Any] = load("stripe/openapi.2024-04-10.subset.json")["paths"]
    found = [one for one in templates if re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", one), bare)]
    if not found:
        return [f"no {bare}"]
    known = {one["name"] for one in templates[found[0]]["get"]["parameters"]}
    return [f"no parameter {name}" for name, _ in parse_qsl(query) if name.partition("[")[0] not in known]


def test_stripe_s_list_of_events_takes_what_it_is_asked() -> None:
    wire = always(200, {"data": []})
    systems.lister("stripe").listed(wire, SPAN, "evt_1")
    assert stripe_mistakes(asked(wire)) == []
    assert stripe_mistakes("/v1/events?since=1") == ["no parameter since"]


def test_stripe_s_lines_are_asked_for_where_they_are() -> None:
    for read in thin("stripe"):
        if "lines" not in read.object:
            continue
        wire = always(200, {"data": [], "has_more": False})
        systems.reader("stripe").again(wire, read)
        if read.type not in ("credit_note.created", "credit_note.voided"):  # our subset holds no path of credit notes
            assert stripe_mistakes(asked(wire)) == []


def test_what_hangs_on_a_payout_is_asked_for_where_it_is() -> None:
    wire = balance(PAYOUT, pages=2)
    paid_out(wire)
    assert len(wire.asked) == 3
    [ended] = [read for read in thin("stripe") if read.type == "customer.subscription.deleted"]
    systems.reader("stripe").again(again := always(200, {"id": ended.object_id}), ended)
    for _, path in (*wire.asked, *again.asked):
        assert stripe_mistakes(path) == []
    assert stripe_mistakes("/v1/balance_transactions?transfer=po_1") == ["no parameter transfer"]


def chargebee_mistakes(path: str) -> list[str]:
    spec = load("chargebee/request_params.schema.json")
    form = parse_form(path.partition("?")[2])
    flat = {name: value for name, value in form.items() if name != "sort_by"}
    flat |= {f"sort_by[{way}]": value for way, value in form.get("sort_by", {}).items()}
    numbers: dict[str, Any] = {name: int(value) if str(value).isdigit() else value for name, value in flat.items()}
    for bound in ("after", "before"):
        if isinstance(numbers.get("occurred_at"), dict) and bound in numbers["occurred_at"]:
            numbers["occurred_at"] = numbers["occurred_at"] | {bound: int(numbers["occurred_at"][bound])}
    if isinstance(numbers.get("event_type"), dict):
        numbers["event_type"] = {way: json.loads(value) for way, value in numbers["event_type"].items()}
    schema = {"$ref": "#/$defs/Event.ListInputParam", "$defs": spec["$defs"]}
    return [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(numbers)]


def test_chargebee_s_list_of_events_takes_what_it_is_asked() -> None:
    wire = always(200, {"list": []})
    systems.lister("chargebee").listed(wire, SPAN, "o")
    assert chargebee_mistakes(asked(wire)) == []
    assert chargebee_mistakes("?since=1") != []
    assert chargebee_mistakes("?occurred_at[later]=1") != []


def test_chargebee_s_published_errors_are_read() -> None:
    wire = always(400, {"message": "offset : invalid value", "api_error_code": "param_wrong_value", "param": "offset"})
    with pytest.raises(Verdict, match="param_wrong_value offset"):
        systems.lister("chargebee").listed(wire, SPAN, "o")
