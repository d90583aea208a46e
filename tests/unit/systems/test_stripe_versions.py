"""Two API versions of Stripe side by side: what an endpoint of 2024-04-10 sends makes the same documents as endive."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.toy import Stage, stage
from tieout import flows, systems
from tieout.core import documents, ledger
from tieout.work import render

EVENTS = Path(__file__).parents[3] / "events" / "stripe"
TYPES = ("invoice.finalized", "invoice.paid", "invoice.voided", "credit_note.created", "customer.created")
OLD = "2024-04-10"


def current(type_: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((EVENTS / f"{type_}.json").read_text("utf-8"))
    return found


def taxes_of_old(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tax entries as they were before 2025-03-31.basil."""
    return [
        {"amount": row["amount"], "inclusive": row["tax_behavior"] == "inclusive",
         "tax_rate": row["tax_rate_details"]["tax_rate"], "taxability_reason": row["taxability_reason"],
         "taxable_amount": row["taxable_amount"]}
        for row in rows
    ]  # fmt: skip


def of_old(event: Mapping[str, Any]) -> dict[str, Any]:
    """The event as an endpoint of 2024-04-10 gets it: the fields that later versions took away or moved, put back."""
    old = copy.deepcopy(dict(event)) | {"api_version": OLD}
    about = old["data"]["object"]
    kind = about["object"]
    if kind not in ("invoice", "credit_note"):
        return old
    total = taxes_of_old(about.pop("total_taxes"))
    about["total_tax_amounts" if kind == "invoice" else "tax_amounts"] = total
    if kind == "invoice":
        parent = about.pop("parent") or {}
        details = parent.get("subscription_details") or {}
        about |= {
            "subscription": details.get("subscription"), "subscription_details": {"metadata": details.get("metadata")},
            "tax": sum(row["amount"] for row in total) if total else None, "paid": about["status"] == "paid",
            "charge": "ch_1" if about["status"] == "paid" else None, "payment_intent": "pi_1", "quote": None,
            "paid_out_of_band": False, "rendering_options": None, "application_fee_amount": None,
        }  # fmt: skip
        about.pop("payments", None)
    for line in about["lines"]["data"]:
        line["tax_amounts"] = taxes_of_old(line.pop("taxes"))
        line.pop("quantity_decimal", None)
        pricing = line.pop("pricing", None)
        if pricing:
            line["price"] = {
                "id": pricing["price_details"]["price"], "object": "price",
                "product": pricing["price_details"]["product"], "unit_amount_decimal": pricing["unit_amount_decimal"],
                "unit_amount": int(pricing["unit_amount_decimal"]),
            }  # fmt: skip
            line.pop("parent")
            line |= {"type": "invoiceitem", "invoice_item": "ii_1", "proration": False, "plan": None}
    return old


def document(event: Mapping[str, Any], type_: str) -> documents.Document:
    [read] = systems.source("stripe").read(json.dumps(event).encode())
    flow = flows.match("stripe", type_)
    assert flow is not None
    return render.document(flow.reads, read, "stripe", "acct_us" if "eur" not in json.dumps(event) else "acct_de")


@pytest.mark.parametrize("type_", TYPES)
def test_the_older_shape_makes_the_same_document_to_the_last_field(type_: str) -> None:
    event = current(type_)
    old = of_old(event)
    assert event["api_version"] == "2026-09-30.endive"
    assert document(old, type_) == document(event, type_)


@pytest.mark.parametrize("type_", TYPES[:4])
def test_the_older_shape_really_is_another(type_: str) -> None:
    old = of_old(current(type_))["data"]["object"]
    assert "total_taxes" not in old
    assert all("taxes" not in line and "pricing" not in line for line in old["lines"]["data"])


def test_an_event_says_in_which_version_it_is_written() -> None:
    for event in (current("invoice.finalized"), of_old(current("invoice.finalized"))):
        assert systems.source("stripe").read(json.dumps(event).encode())[0].api == event["api_version"]


def test_two_endpoints_of_two_versions_are_one_document_and_no_conflict_of_money() -> None:
    with stage() as on:
        one: Stage = on
        event = one.event("invoice.finalized", id="in_1")
        one.take(event)
        one.take(of_old(event) | {"id": "evt_of_the_other_endpoint"})
        states = sorted(item["state"] for item in one.world.ledger.items.values() if item.get("what") == "event")
        assert states == [ledger.DUPLICATE, ledger.MADE]
        assert len(one.postings("invoice")) == 1
