"""QuickBooks Online against its sandbox: what is its own beside the law of all targets."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from infra.local.sandbox import Fault
from infra.local.sandbox.quickbooks import QuickBooks
from tests.integration.systems.cases.quickbooks import Case
from tests.integration.systems.conftest import Bench
from tieout.core.verdicts import NeedsHuman, TryAgain


@pytest.fixture
def there(bench: Bench) -> Case:
    return Case(bench)


def customers(there: Case) -> list[tuple[str, str]]:
    rows = there.bench.sandboxes.of(QuickBooks).rows["customer"].values()
    return [(row["DisplayName"], row["SyncToken"]) for row in rows]


def test_a_customer_whose_name_changed_here_or_there_is_changed_and_not_made_again(there: Case) -> None:
    ident = there.post(there.make("customer", "upsert")).remote
    renamed = there.make("customer", "upsert", DisplayName="O'Brien \\ Sons", CompanyName="O'Brien \\ Sons")
    assert there.found(renamed) == "absent"
    assert there.post(renamed).remote == ident
    assert there.found(renamed) == "complete"
    there.bench.sandboxes.of(QuickBooks).rows["customer"][ident]["DisplayName"] = "Renamed by a person"
    assert there.found(renamed) == "absent"
    assert there.post(renamed).remote == ident
    assert customers(there) == [("O'Brien \\ Sons", "2")]


def test_a_customer_that_somebody_changed_meanwhile_is_tried_again_and_not_overwritten(there: Case) -> None:
    work = there.make("customer", "upsert")
    there.post(work)
    [row] = there.bench.sandboxes.of(QuickBooks).rows["customer"].values()

    class Meanwhile:
        """Somebody saves the customer between our read and our write."""

        account, settings = there.wire.account, there.wire.settings

        def call(self, method: str, path: str, **more: Any) -> Any:
            if method == "POST":
                row["SyncToken"] = "7"
            return there.wire.call(method, path, **more)

        put_once, get = there.wire.put_once, there.wire.get

    with pytest.raises(TryAgain, match="target_conflict"):
        there.target.send(Meanwhile(), [work])
    there.post(work)
    assert row["SyncToken"] == "8"


def test_a_name_that_another_customer_has_is_for_a_person(there: Case) -> None:
    there.post(there.make("customer", "upsert", "one"))
    with pytest.raises(NeedsHuman, match="target_refused") as raised:
        there.target.send(there.wire, [there.make("customer", "upsert", "two")])
    assert "6240 Duplicate Name" in raised.value.facts["said"]


def test_a_reference_on_two_customers_is_for_a_person(there: Case) -> None:
    work = there.make("customer", "upsert")
    there.post(work)
    rows = there.bench.sandboxes.of(QuickBooks).rows["customer"]
    rows["99"] = {**next(iter(rows.values())), "Id": "99"}
    with pytest.raises(NeedsHuman, match="found_several"):
        there.target.send(there.wire, [work])
    assert there.found(work) == "ambiguous"


def test_a_date_before_the_closing_date_is_a_closed_period(there: Case) -> None:
    work = there.work("invoice", "create")
    there.bench.sandboxes.of(QuickBooks).closing_date = date(2026, 11, 30)
    with pytest.raises(NeedsHuman, match="period_closed"):
        there.target.send(there.wire, [work])


def test_a_price_times_quantity_that_misses_the_line_is_refused_and_one_unit_at_the_net_is_not(there: Case) -> None:
    good = there.amount(1000, "a")
    assert good is not None
    line = there.payload("invoice", "create")["Line"][0]
    detail = {**line["SalesItemLineDetail"], "Qty": 3, "UnitPrice": Decimal("3.33")}
    trap = there.make(
        "invoice", "create", "b", 1000, Line=[{**line, "Amount": Decimal("10.00"), "SalesItemLineDetail": detail}],
        **there.customer(),
    )  # fmt: skip
    with pytest.raises(NeedsHuman, match="target_refused"):
        there.target.send(there.wire, [trap])
    there.post(good)


def test_a_tax_that_quickbooks_computes_otherwise_is_never_taken_for_posted(there: Case) -> None:
    work = there.work("invoice", "create")
    there.post(work)
    [row] = there.bench.sandboxes.of(QuickBooks).rows["invoice"].values()
    row["TotalAmt"] += Decimal("0.01")
    assert there.found(work) == "ambiguous"


def test_a_number_that_is_taken_and_a_payment_too_large_are_for_a_person(there: Case) -> None:
    invoice = there.post(there.work("invoice", "create")).remote
    with pytest.raises(NeedsHuman, match="target_refused") as raised:
        there.target.send(there.wire, [there.work("invoice", "create", "again")])
    assert "6140" in raised.value.facts["said"]
    line = there.payload("payment", "create")["Line"][0]
    linked = [{"TxnId": invoice, "TxnType": "Invoice"}]
    too_much = {"Line": [{**line, "Amount": Decimal("544.39"), "LinkedTxn": linked}], **there.customer()}
    with pytest.raises(NeedsHuman, match="target_refused"):
        there.target.send(there.wire, [there.make("payment", "create", **too_much)])


def test_what_is_looked_for_is_asked_of_fields_that_may_be_asked(there: Case) -> None:
    there.post(there.make("customer", "upsert"))
    for facts in ({"email": "finance@bluebird.example"}, {"name": "Bluebird Robotics Inc"}):
        assert [one.number for one in there.target.look(there.wire, "customer", facts)] == ["Bluebird Robotics Inc"]
    assert there.target.look(there.wire, "customer", {"name": "x' or DisplayName != '"}) == []
    assert there.target.look(there.wire, "customer", {"tax_id": "84-2210456"}) == []


def test_a_reference_that_names_nothing_is_said_as_such(there: Case) -> None:
    work = there.make("invoice", "create", CustomerRef={"value": "4711"})
    with pytest.raises(NeedsHuman, match="target_reference_missing"):
        there.target.send(there.wire, [work])


def test_throttling_is_told_from_refusal(there: Case) -> None:
    work = there.work("invoice", "create")
    there.bench.sandboxes.faults.add(Fault("concurrency_429", "POST .*/invoice"))
    with pytest.raises(TryAgain, match="target_busy"):
        there.target.send(there.wire, [work])
