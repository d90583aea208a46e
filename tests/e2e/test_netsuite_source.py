"""What people do in NetSuite reaches billing and the CRM through the deployed regime, and our own postings do not."""

from __future__ import annotations

from datetime import timedelta

import pytest

from infra.local.sandbox import Fault
from tests.e2e.scene import Scene, scene
from tests.e2e.test_poll import hours
from tieout.core import ledger
from tieout.core.writes import Item

LIST = "POST /netsuite/acme/services/rest/query/v1/suiteql"


def told(on: Scene) -> list[Item]:
    return [item for item in on.events() if item["source"] == "netsuite"]


def in_crm(on: Scene) -> dict[str, str]:
    """Sentence of each status in the CRM that NetSuite's people are behind, by its document."""
    return {
        str(row["Document__c"]): str(row["Sentence__c"])
        for row in on.sandboxes.salesforce.statuses()
        if " in finance" in row["Sentence__c"]
    }


def billed(on: Scene) -> list[str]:
    """Names of the customers in billing, but for the one that was there before."""
    rows = on.stripe.tables["customers"].values()
    return [str(row["name"]) for row in rows if row["name"] != "Initech"]


def test_a_customer_opened_there_is_billed_and_a_cheque_booked_there_is_told_while_ours_are_not() -> None:
    with scene() as on:
        hours(on, 0.2)
        on.bill()
        hours(on, 0.2)
        there = on.sandboxes.netsuite
        (invoice,) = (one for one in there.records.values() if one.type == "invoice")
        cheque = there.receive_payment(invoice, "100.00")
        opened = there.open_customer("US01", companyName="Nod Publishers", email="ap@nod.example")
        hours(on, 1)
        assert {(item["type"], item["find"], item["state"]) for item in told(on)} == {
            ("customer.created", opened.id, ledger.MADE), ("customer.changed", opened.id, ledger.MADE),
            ("payment.changed", cheque.id, ledger.MADE),
        }  # fmt: skip
        assert {item["via"] for item in told(on)} == {"poll"}
        assert {item["state"] for item in on.items("posting")} == {ledger.POSTED}
        assert billed(on) == ["Nod Publishers"]
        said = in_crm(on)
        assert set(said) == {cheque.fields["tranId"], opened.fields["entityId"]}
        assert f"100.00 for {invoice.fields['tranId']}" in said[cheque.fields["tranId"]]


def test_a_customer_changed_again_and_again_is_billed_once_and_its_last_state_told() -> None:
    with scene() as on:
        hours(on, 0.2)
        there = on.sandboxes.netsuite
        opened = there.open_customer("US01", companyName="Nod Publishers", email="ap@nod.example")
        for number in range(4):
            on.world.advance(timedelta(minutes=7))
            opened = there.change(opened, phone=str(number), creditHoldOverride={"id": "ON"} if number == 3 else None)
            hours(on, 0.2)
        hours(on, 1)
        assert billed(on) == ["Nod Publishers"]
        assert "on credit hold" in in_crm(on)[opened.fields["entityId"]]
        assert {item["state"] for item in told(on)} <= {ledger.MADE, ledger.DUPLICATE, ledger.OLD_NEWS}


@pytest.mark.parametrize("kind", ["concurrency_429", "truncated", "drop_before", "ok_with_errors", "html_500"])
def test_a_list_that_fails_is_asked_for_again(kind: str) -> None:
    with scene() as on:
        hours(on, 0.2)
        fault = on.sandboxes.faults.add(Fault(kind, LIST, times=3))
        opened = on.sandboxes.netsuite.open_customer("US01", companyName="Nod Publishers")
        hours(on, 1.5)
        assert fault.struck == 3
        assert {item["find"] for item in told(on)} == {opened.id}
        assert {item["state"] for item in on.items("posting")} == {ledger.POSTED}


def test_lists_that_move_and_records_seen_late_lose_nobody() -> None:
    with scene() as on:
        hours(on, 0.2)
        there = on.sandboxes.netsuite
        there.page = 2
        opened = [there.open_customer("US01", companyName=f"Buyer {number}") for number in range(9)]
        there.save_slowly(there.open_customer("US01", companyName="Slow"), 20 * 60)
        left = list(opened)

        def move() -> None:
            if left:
                there.change(left.pop(0), phone="1")

        there.after_query = move
        hours(on, 2)
        customers = [item for item in told(on) if item["type"] == "customer.created"]
        assert len(customers) == 10
        assert {item["state"] for item in on.items("posting")} == {ledger.POSTED}
