"""The whole way to an ERP that no default route names: from a won deal to a paid, credited and voided invoice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from infra.local.sandbox import Fault, Line
from tests.e2e.scene import Scene, scene
from tests.e2e.test_onboarding import win
from tests.routed import routed
from tieout.core import ledger
from tieout.core.routing import Route

KINDS = ("customer", "invoice", "credit_note", "payment")
#: The call of each target that makes an invoice, and the one behind which it is in the books.
MAKES = {"businesscentral": "POST .*/salesInvoices$", "sap": "POST .*journalentrycreaterequestconfi$"}


@pytest.fixture(params=["businesscentral", "sap"])
def erp(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def on(erp: str) -> Iterator[Scene]:
    """A world where Acme Inc keeps its books elsewhere, with a customer that came by a won deal."""
    rows = [Route("erp", erp, "acme", entity="US01", kind=kind) for kind in KINDS]
    with routed(*rows), scene(customer=False) as made:
        win(made)
        [row] = [one for one in made.sandboxes.book("stripe", "acct_us") if one.kind == "customer"]
        made.customer = row.document_id
        yield made


def taxed_invoice(on: Scene) -> str:
    line = Line(50_000, 1, "prod_pro", "Pro", tax_rate="txr_us_ny_8875")
    return str(on.stripe.finalize_invoice(on.customer, [line])["id"])


def booked(on: Scene, erp: str) -> list[tuple[str, int, str]]:
    return sorted((one.kind, one.total_minor, one.currency) for one in on.sandboxes.book(erp, "acme"))


def states(on: Scene) -> dict[tuple[str, str], Any]:
    return {(item["kind"], item["action"]): item["state"] for item in on.items("posting") if item["step"] == "post"}


def test_an_invoice_its_payment_and_a_credit_note_are_in_the_books_to_the_cent(on: Scene, erp: str) -> None:
    invoice = taxed_invoice(on)
    on.settle()
    on.stripe.pay(invoice)
    on.settle()
    other = taxed_invoice(on)
    on.settle()
    on.stripe.credit(other, 20_000)
    on.settle()
    assert set(states(on).values()) == {ledger.POSTED}, states(on)
    [credit] = on.postings("credit_note")
    assert booked(on, erp) == sorted([
        ("customer", 0, ""), ("invoice", 54438, "USD"), ("invoice", 54438, "USD"), ("payment", 54438, "USD"),
        ("credit_note", credit["total"], "USD"),
    ])  # fmt: skip
    assert on.in_netsuite() == []
    assert on.differences() == []


def test_a_voided_invoice_is_taken_back(on: Scene, erp: str) -> None:
    invoice = taxed_invoice(on)
    on.settle()
    on.stripe.void(invoice)
    on.settle()
    assert set(states(on).values()) <= {ledger.POSTED, ledger.COMPENSATED}
    assert [row for row in booked(on, erp) if row[0] != "customer"] == [
        ("credit_note", 54438, "USD"), ("invoice", 54438, "USD"),
    ]  # fmt: skip


@pytest.mark.parametrize("fault", ["commit_then_drop", "drop_before"])
def test_what_breaks_in_the_middle_of_an_invoice_is_found_and_finished_once(on: Scene, erp: str, fault: str) -> None:
    on.sandboxes.faults.add(Fault(fault, MAKES[erp], after=1 if erp == "sap" else 0))
    taxed_invoice(on)
    on.settle()
    [posting] = on.postings()
    assert posting["state"] == ledger.POSTED
    assert [row for row in booked(on, erp) if row[0] == "invoice"] == [("invoice", 54438, "USD")]
    assert on.differences() == []


def test_a_customer_whose_subscription_is_refused_is_blocked_there_again(erp: str) -> None:
    rows = [Route("erp", erp, "acme", entity="US01", kind=kind) for kind in KINDS]
    with routed(*rows), scene(customer=False) as on:
        on.stripe.tables["prices"].clear()
        win(on)
        steps = {
            (item["step"], item["action"]): item["state"] for item in on.items("posting") if item["step"] != "tell"
        }
        assert (steps["erp", "upsert"], steps["erp", "undo"]) == (ledger.COMPENSATED, ledger.POSTED), steps
        assert [one.status for one in on.sandboxes.book(erp, "acme")] == ["blocked"]
        assert on.differences() == []
