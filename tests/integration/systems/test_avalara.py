"""What is peculiar to AvaTax: who reckons, the day that counts, voids, estimates and addresses."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import Any

import pytest

from infra.local.sandbox import Fault
from infra.local.sandbox.avalara import NOWHERE, Avalara
from tests.integration.systems.cases.avalara import Case
from tests.integration.systems.conftest import Bench
from tieout.contract import Advisor
from tieout.core.verdicts import NeedsHuman, TryAgain, Uncertain


@pytest.fixture
def case(bench: Bench) -> Case:
    return Case(bench)


@pytest.fixture
def there(bench: Bench) -> Avalara:
    return bench.sandboxes.of(Avalara)


def estimate(case: Case, **change: Any) -> Any:
    from infra.accept import examples, outcome

    assert isinstance(case.target, Advisor)
    usual = next(one for one in examples() if one.name == "avalara.estimate/usual")
    return case.target.ask(case.wire, "opportunity", "estimate", {**outcome(usual)["makes"], **change})


def test_what_the_source_reckoned_is_recorded_to_the_cent_whatever_avatax_would_have_said(
    case: Case, there: Avalara
) -> None:
    case.post(case.work("invoice", "create"))
    [row] = there.rows.values()
    assert (row["totalTax"], row["taxDate"]) == (Decimal("44.38"), "2026-11-02")
    assert row["totalTax"] != Decimal("500.00") * Decimal("6.5") / 100


def test_what_avatax_reckons_must_come_to_the_documents_own_total(case: Case) -> None:
    case.post(case.reckoned(53250))
    other = case.reckoned(54438)
    echo = case.target.send(case.wire, [other])[0]
    assert echo is not None
    assert echo.total == 53250, "which is not what the invoice says, so post leaves it in doubt"
    assert case.found(other) == "ambiguous"


def test_a_credit_is_negative_there_and_dated_back_to_its_invoice(case: Case, there: Avalara) -> None:
    payload = {**case.payload("credit_note", "create"), "engine": "tax"}
    work = case.make("credit_note", "create", "", 53250, **payload)
    assert case.post(work).total == 53250
    [row] = there.rows.values()
    assert (row["totalAmount"], row["totalTax"]) == (Decimal("-500.00"), Decimal("-32.50"))
    assert (row["date"], row["taxDate"]) == ("2026-12-01", "2026-11-02"), "6.5 percent then, 6.8 today"


def test_a_void_of_what_is_void_is_done_and_one_of_nothing_is_for_a_person(case: Case, there: Avalara) -> None:
    void = case.work("invoice", "void")
    first = case.post(void)
    assert case.post(void) == first
    there.rows.clear()
    with pytest.raises(NeedsHuman, match="target_no_such_thing"):
        case.target.send(case.wire, [void])


def test_an_invoice_that_somebody_voided_there_is_for_a_person_and_not_recorded_again(
    case: Case, there: Avalara
) -> None:
    work = case.work("invoice", "create")
    case.post(work)
    next(iter(there.rows.values()))["status"] = "Cancelled"
    assert case.found(work) == "ambiguous"
    with pytest.raises(NeedsHuman, match="target_refused"):
        case.target.send(case.wire, [work])


def test_what_the_erp_reckons_is_never_recorded_a_second_time(case: Case) -> None:
    for kind, action in case.target.actions:
        with pytest.raises(NeedsHuman, match="tax_reckoned_elsewhere"):
            case.make(kind, action, engine="erp")


def test_a_tax_told_by_document_only_is_not_spread_over_lines(case: Case) -> None:
    [line] = case.payload("invoice", "create")["lines"]
    bare = {name: value for name, value in line.items() if name != "tax"}
    with pytest.raises(NeedsHuman, match="tax_not_by_line"):
        case.make("invoice", "create", lines=[bare])
    case.make("invoice", "create", tax=Decimal(0), lines=[bare])


def test_an_estimate_leaves_nothing_behind_and_says_what_avatax_reckons(case: Case, there: Avalara) -> None:
    assert estimate(case) == {"tax": "177.51", "total": "2177.51"}
    assert (there.rows, there.asked) == ({}, 1)


def test_an_address_that_does_not_exist_is_told_under_200_and_stops(case: Case, there: Avalara) -> None:
    places = {"shipFrom": {"locationCode": "HQ-US"}, "shipTo": {"line1": "1 Road", "city": NOWHERE, "country": "US"}}
    with pytest.raises(NeedsHuman, match="address_not_found") as raised:
        estimate(case, addresses=places)
    assert "not deliverable" in raised.value.facts["said"]
    assert there.asked == 0


def test_an_address_abroad_is_not_resolved_because_avatax_cannot(case: Case) -> None:
    places = {"shipFrom": {"locationCode": "HQ-US"}, "shipTo": {"line1": "1 Weg", "city": NOWHERE, "country": "DE",
              "postalCode": "10115"}}  # fmt: skip
    assert estimate(case, addresses=places)["tax"] == "0.00"


@pytest.mark.parametrize(
    ("fault", "verdict"),
    [("rate_limit", TryAgain), ("html_500", Uncertain), ("ok_with_errors", Uncertain), ("drop_before", Uncertain)],
)
def test_a_question_that_fails_gets_its_verdict(case: Case, fault: str, verdict: type[Exception]) -> None:
    case.bench.sandboxes.faults.add(Fault(fault, "POST .*/transactions/create$"))
    with pytest.raises(verdict):
        estimate(case)


def test_a_company_of_another_account_is_refused(case: Case) -> None:
    work = case.make("invoice", "create", companyCode="ACME-XX")
    with pytest.raises(NeedsHuman, match="target_refused"):
        case.target.send(case.wire, [dataclasses.replace(work)])
