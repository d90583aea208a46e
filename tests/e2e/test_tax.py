"""Tax beside the books, in the world on moto: recorded, credited and voided behind what finance accepted."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest

from infra.local.sandbox import Fault, Line
from infra.local.sandbox.avalara import NOWHERE, Avalara
from tests.e2e.scene import Scene, scene
from tests.e2e.test_onboarding import win
from tests.routed import routed
from tieout.core import ledger
from tieout.core.routing import Route
from tieout.core.writes import Item

TAX = Route("tax", "avalara", "acme", entity="US01")
PLACE = {"line1": "20 Jay Street", "city": "Brooklyn", "state": "NY", "postal_code": "11201", "country": "US"}


@pytest.fixture
def on() -> Iterator[Scene]:
    with routed(TAX), scene() as made:
        made.stripe.tables["customers"][made.customer]["address"] |= PLACE
        yield made


def recorded(on: Scene) -> list[tuple[str, str, int, str]]:
    """What AvaTax holds: kind, currency, gross, status."""
    return sorted((one.kind, one.currency, one.total_minor, one.status) for one in on.sandboxes.book("avalara", "acme"))


def tax_of(on: Scene, kind: str, action: str = "create") -> Item:
    """The posting at the tax system."""
    [found] = [item for item in on.postings(kind) if (item["step"], item["action"]) == ("tax", action)]
    return found


def taxed_invoice(on: Scene) -> str:
    line = Line(50_000, 1, "prod_pro", "Pro", tax_rate="txr_us_ny_8875")
    return str(on.stripe.finalize_invoice(on.customer, [line])["id"])


def test_an_accepted_invoice_is_recorded_with_the_tax_that_it_charged(on: Scene) -> None:
    taxed_invoice(on)
    on.settle()
    posting = tax_of(on, "invoice")
    assert posting["state"] == ledger.POSTED
    assert recorded(on) == [("invoice", "USD", 54438, "committed")]
    [row] = on.sandboxes.of(Avalara).rows.values()
    assert (row["totalTax"], row["region"], row["code"]) == (Decimal("44.38"), "NY", posting["ref"])
    assert [one.total_minor for one in on.in_netsuite()] == [54438]
    assert on.differences() == []


def test_a_credit_follows_its_invoice_to_its_place_and_day_and_everything_ties_out(on: Scene) -> None:
    invoice = taxed_invoice(on)
    on.settle()
    on.stripe.credit(invoice, 20_000)
    on.settle()
    credit = tax_of(on, "credit_note")
    assert credit["state"] == ledger.POSTED
    assert recorded(on) == [
        ("credit_note", "USD", credit["total"], "committed"),
        ("invoice", "USD", 54438, "committed"),
    ]
    first, second = on.sandboxes.of(Avalara).rows.values()
    assert (second["taxDate"], second["region"]) == (first["taxDate"], "NY")
    assert on.differences() == []


def test_a_voided_invoice_takes_its_tax_back(on: Scene) -> None:
    invoice = taxed_invoice(on)
    on.settle()
    on.stripe.void(invoice)
    on.settle()
    assert tax_of(on, "invoice", "void")["state"] == ledger.POSTED
    assert recorded(on) == [("invoice", "USD", 54438, "cancelled")]
    assert tax_of(on, "invoice", "void")["ref"] == tax_of(on, "invoice")["ref"]
    assert on.differences() == []


def test_what_avatax_committed_without_answering_is_recorded_once(on: Scene) -> None:
    on.sandboxes.faults.add(Fault("commit_then_drop", "POST /avalara/acme/.*createoradjust"))
    taxed_invoice(on)
    on.settle()
    assert tax_of(on, "invoice")["state"] == ledger.POSTED
    [row] = on.sandboxes.of(Avalara).rows.values()
    assert row["version"] == 1, "it was looked for, not sent again"
    assert on.differences() == []


def test_avatax_being_closed_to_us_holds_no_book_back(on: Scene) -> None:
    on.sandboxes.of(Avalara).companies.clear()
    invoice = taxed_invoice(on)
    on.settle()
    on.stripe.pay(invoice)
    on.settle()
    assert tax_of(on, "invoice")["state"] == ledger.REFUSED
    assert {item["state"] for item in on.postings("payment")} == {ledger.POSTED}
    assert [one.kind for one in on.in_netsuite()] == ["invoice"]


def test_without_a_row_no_tax_is_recorded_and_the_deal_is_not_asked_about() -> None:
    with scene() as on:
        on.stripe.tables["customers"][on.customer]["address"] |= PLACE
        taxed_invoice(on)
        on.settle()
        assert [item["step"] for item in on.postings()] == ["post"]
        assert on.sandboxes.calls(" /avalara/") == []


def test_onboarding_tells_the_crm_what_tax_a_deal_will_bear() -> None:
    with routed(TAX), scene(customer=False) as on:
        win(on)
        (run,) = on.items("run")
        assert run["state"] == "DONE"
        assert run["estimate"]["of"] == "avalara:acme"
        said = [row["Sentence__c"] for row in on.sandboxes.salesforce.statuses()]
        assert any(f"Its tax is estimated at {run['estimate']['tax']} USD." in one for one in said)
        assert on.sandboxes.of(Avalara).rows == {}
        assert on.differences() == []


def test_a_deal_with_an_address_that_does_not_exist_is_not_onboarded() -> None:
    with routed(TAX), scene(customer=False) as on:
        for account in on.sandboxes.salesforce.rows["Account"].values():
            account["BillingCity"] = NOWHERE
        win(on)
        (run,) = on.items("run")
        assert (run["state"], run["code"]) == ("CASE", "step_failed")
        assert run["facts"]["step"] == "tax"
        assert "not deliverable" in run["facts"]["said"]
        assert [item for item in on.items("posting") if item["kind"] != "status"] == []


def test_an_estimate_that_cannot_be_had_costs_the_estimate_only() -> None:
    with routed(TAX), scene(customer=False) as on:
        on.sandboxes.faults.add(Fault("html_500", "POST /avalara/", times=0))
        win(on)
        (run,) = on.items("run")
        assert run["state"] == "DONE"
        assert "estimate" not in run
