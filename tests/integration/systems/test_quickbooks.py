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
from tieout.contract import Work
from tieout.core.money import Currency, Money
from tieout.core.verdicts import NeedsHuman, TryAgain, Uncertain


@pytest.fixture
def there(bench: Bench) -> Case:
    return Case(bench)


@pytest.fixture
def case(there: Case) -> Case:
    return there


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


# --- what is applied, and voids ----------------------------------------------------------------------------------
def memo(case: Case, minor: int, mark: str) -> Work:
    """A credit memo of one line without tax against the one invoice."""
    value = Money(minor, Currency.of("USD")).decimal
    line = case.payload("credit_note", "create")["Line"][0]
    line = {**line, "Amount": value, "SalesItemLineDetail": {**line["SalesItemLineDetail"], "UnitPrice": value}}
    more = {"Line": [line], "TxnTaxDetail": {"TotalTax": 0}, "DocNumber": f"CN-{mark}"}
    return case.make("credit_note", "create", mark, minor, **more, **case.parents("credit_note", "create", "settled"))


def left(case: Case) -> list[Decimal]:
    """What is open of each credit memo."""
    return [row["Balance"] for row in case.bench.sandboxes.of(QuickBooks).rows["creditmemo"].values()]


def test_a_credit_memo_is_applied_over_what_is_open_of_both_by_a_payment_of_nothing(case: Case) -> None:
    case.post(memo(case, 50_000, "part"))
    assert list(case.owed().values()) == [4_438]
    more = memo(case, 5_000, "more")
    for _ in range(2):
        case.post(more)
        assert list(case.owed().values()) == [0]
        assert left(case) == [0, Decimal("5.62")]
    assert case.found(more) == "complete"
    payments = case.bench.sandboxes.of(QuickBooks).rows["payment"].values()
    assert [(row["TotalAmt"], row["TxnDate"], len(row["Line"])) for row in payments] == [(0, "2026-11-02", 2)] * 2


def test_a_credit_memo_that_is_there_is_applied_and_never_made_again_when_its_request_is_forgotten(case: Case) -> None:
    work, there = case.settles("credit_note", "create"), case.bench.sandboxes.of(QuickBooks)
    case.bench.sandboxes.faults.add(Fault("drop_before", "POST .*/payment$"))
    with pytest.raises(Uncertain):
        case.target.send(case.wire, [work])
    there._answered.clear()
    there.unique_numbers = False
    assert case.found(work) == "partial"
    case.post(work)
    assert len(there.rows["creditmemo"]) == 1
    assert list(case.owed().values()) == [0]


def test_a_refusal_to_apply_is_doubt_and_then_a_persons(case: Case) -> None:
    work = case.settles("credit_note", "create")
    for verdict, said in ((Uncertain, "target_unclear"), (NeedsHuman, "period_closed")):
        case.bench.sandboxes.faults.add(Fault("closed_period", "POST .*/payment$"))
        with pytest.raises(verdict, match=said):
            case.target.send(case.wire, [work])
        assert case.found(work) == "partial"
    case.post(work)
    assert list(case.owed().values()) == [0]


def test_a_void_leaves_the_invoice_without_amounts_and_is_done_once(case: Case) -> None:
    work, there = case.work("invoice", "void"), case.bench.sandboxes.of(QuickBooks)
    echo = case.post(work)
    there._answered.clear()
    assert case.post(work) == echo
    [row] = there.rows["invoice"].values()
    assert (row["TotalAmt"], row["SyncToken"], row["PrivateNote"].split(" - ")[0]) == (0, "1", "Voided")


def test_a_void_of_what_is_paid_is_a_persons_because_quickbooks_would_set_the_payment_free(case: Case) -> None:
    case.post(memo(case, 100, "little"))
    invoice = case.parents("invoice", "void", "settled")["Id"]
    work = case.make("invoice", "void", "void", Id=invoice)
    with pytest.raises(NeedsHuman, match="target_refused"):
        case.target.send(case.wire, [work])
    assert list(case.owed().values()) == [54_338]


@pytest.mark.parametrize("change", [{"TotalAmt": Decimal("544.39")}, {"CurrencyRef": {"value": "EUR"}}])
def test_an_invoice_that_is_not_the_one_that_was_booked_is_not_voided(case: Case, change: dict[str, Any]) -> None:
    work, there = case.work("invoice", "void"), case.bench.sandboxes.of(QuickBooks)
    [row] = there.rows["invoice"].values()
    row.update(change)
    echo = case.target.send(case.wire, [work])[0]
    assert echo is not None
    assert (echo.total, echo.currency) != (54_438, "USD")
    assert case.found(work) == "ambiguous"
    assert not row["PrivateNote"].startswith("Voided")


def test_a_void_of_an_invoice_that_is_gone_is_a_persons(case: Case) -> None:
    work = case.make("invoice", "void", "void", Id="4711")
    with pytest.raises(NeedsHuman, match="target_no_such_thing"):
        case.target.send(case.wire, [work])
    assert case.found(work) == "absent"
