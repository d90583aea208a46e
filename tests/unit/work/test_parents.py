"""Parents before children, for every flow: the wait has a reason, and outlives its service level only as a case."""

from __future__ import annotations

import base64
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from tests.routed import routed
from tests.toy import Stage, stage
from tieout import flows, systems, tables
from tieout.core import keys, ledger
from tieout.core.routing import Route
from tieout.core.writes import Item
from tieout.flows import Flow
from tieout.work import intake
from tieout.work.ports import Message

EVENTS: Final = Path(__file__).resolve().parents[3] / "events"
#: Kinds that cannot be booked before something else is: their flows must say what.
CHILDREN: Final = frozenset({"invoice", "payment", "credit_note", "refund", "subscription"})


#: The release has no ledger for the German company's journal entries.
LEDGER: Final = Route("ledger", "sap", "acme", entity="DE01")


def captured(flow: Flow) -> bytes:
    """The event that starts the flow, as it was captured."""
    return (EVENTS / flow.on.source / f"{flow.on.type}.json").read_bytes()


WAITING: Final = [flow for flow in flows.FLOWS if flow.parent]
#: Flows whose events carry their whole object; of a thin one the same documents come out, once it was read again.
WHOLE: Final = [flow for flow in WAITING if not systems.source(flow.on.source).read(captured(flow))[0].thin]


def take(on: Stage, flow: Flow) -> Item:
    """The captured event of a flow, taken in on a ledger that knows nothing else; its one posting."""
    accounts = [str(row.key) for row in tables.load().tables["source_accounts"].rows]
    account = next(one for one in accounts if one.startswith(f"{flow.on.source}:")).partition(":")[2]
    body = captured(flow)
    envelope = {
        "v": 1, "source": flow.on.source, "account": account, "received_at": "2026-11-20T12:00:00.000Z",
        "delivery": keys.delivery_id(flow.on.source, account, body), "body_b64": base64.b64encode(body).decode(),
    }  # fmt: skip
    assert intake.intake([Message("m1", envelope)], on.world.ports()) == []
    on.settle()
    return on.one(flow.makes)


def test_every_flow_of_a_dependent_kind_says_what_it_waits_for() -> None:
    silent = [flow.name for flow in flows.FLOWS if flow.makes in CHILDREN and not flow.parent]
    assert not silent
    assert [flow.name for flow in WAITING if flow.lane is None] == [], "who waits stands aside in a lane"
    assert {flow.on.source for flow in WAITING} >= {"stripe", "chargebee"}


@pytest.mark.parametrize("flow", WHOLE, ids=lambda flow: flow.name)
def test_a_child_waits_for_its_parent_with_a_reason_and_then_as_a_case_with_an_owner(flow: Flow) -> None:
    with routed(LEDGER), stage() as on:
        posting = take(on, flow)
        wait, late = {
            "customer": ("customer_not_linked", "customer_late"),
            "invoice": ("parent_missing", "parent_late"),
            "credit_note": ("parent_missing", "parent_late"),
            "payment": ("parent_missing", "parent_late"),
            "journal_entry": ("parent_missing", "parent_late"),
        }[str(flow.parent)]
        assert (posting["state"], posting["code"]) == (ledger.HELD, wait)
        assert posting["facts"]["what"]
        assert "case" not in posting
        on.world.later(minutes=flow.sla / timedelta(minutes=1))
        on.probe(minutes=20)
        posting = on.one(flow.makes)
        assert (posting["state"], posting["code"]) == (ledger.HELD, late)
        assert posting["case"]["owner"]
        assert {one for target in on.targets.values() for one in target.order} <= {"status.upsert"}


@pytest.mark.parametrize("flow", [flow for flow in WHOLE if flow.parent == "customer"], ids=lambda flow: flow.name)
def test_a_customer_that_becomes_known_late_lets_its_invoice_through_and_ends_the_case(flow: Flow) -> None:
    with stage() as on:
        posting = take(on, flow)
        lines = int(posting["lines"])
        on.probe(minutes=40)
        for _ in range(3):
            on.settle()
            on.probe(minutes=30)
        assert on.one("invoice")["code"] == "customer_late"
        assert int(on.one("invoice")["lines"]) == lines + 1, "a repeated wait adds no line"
        (link,) = (key for key in on.one("invoice")["reads"] if key[0].startswith("X#"))
        on.world.ledger.items[keys.Key(*link)] = {
            "pk": link[0], "sk": link[1], "canonical": "salesforce:acme:001", f"at:{posting['target']}": "501",
        }  # fmt: skip
        on.probe(minutes=40)
        on.settle()
        posting = on.one("invoice")
        assert posting["state"] in (ledger.POSTED, ledger.DELIVERED)
        assert "case" not in posting
