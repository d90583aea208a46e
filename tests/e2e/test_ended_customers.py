"""A customer that was archived or merged in the ERP, and a search there that lags: a case, never a second document."""

from __future__ import annotations

import io
from contextlib import redirect_stdout

import pytest

from infra.local.sandbox import Fault, Line
from tests.e2e.scene import Scene
from tests.e2e.test_applied import booking
from tieout import systems
from tieout.core import ledger
from tieout.work import ask
from tieout.work.settle import Wish, settle

#: Of each ERP: the call that makes an invoice, and what it says of one for a customer that is no more.
MAKES = {"quickbooks": "POST .*/invoice$", "xero": "PUT .*/Invoices$"}
SAYS = {"quickbooks": "made inactive", "xero": "must be un-archived"}


def invoices(on: Scene, erp: str) -> int:
    return len([one for one in on.sandboxes.book(erp, "acme") if one.kind == "invoice"])


def bill(on: Scene) -> None:
    on.stripe.finalize_invoice(on.customer, [Line(50_000, 1, "prod_pro", "Pro", tax_rate="txr_us_ny_8875")])


@pytest.mark.parametrize(("erp", "kind"), [("quickbooks", "archived_customer"), ("xero", "merged_customer")])
def test_an_invoice_to_a_customer_that_was_ended_is_a_case_of_finance_until_the_customer_is_back(
    erp: str, kind: str
) -> None:
    with booking(erp) as on:
        on.sandboxes.faults.add(Fault(kind, MAKES[erp]))
        bill(on)
        on.settle()
        [refused] = on.postings()
        assert refused["state"] == ledger.REFUSED
        [cause] = ask.cases(on.ledger, on.world.clock.now())
        [case] = cause.cases
        assert cause.owner == "finance-ops"
        assert SAYS[erp] in case.sentence
        assert len(on.sandboxes.calls(MAKES[erp])) <= 2, "no storm: it waits for a person"
        on.world.clock.advance(3 * 3600)
        on.settle()
        assert len(on.sandboxes.calls(MAKES[erp])) <= 2
        assert invoices(on, erp) == 0
        on.sandboxes.faults.clear()  # somebody brings the customer back
        settle(on.ledger, Wish(refused["key"], "retry", "it is active again"), "anna", on.world.clock.now(), "t1")
        on.world.clock.advance(60)
        with redirect_stdout(io.StringIO()):
            on.world.invoke("probe", {})
        on.settle()
        assert [item["state"] for item in on.postings()] == [ledger.POSTED]
        assert invoices(on, erp) == 1
        assert on.differences() == []


@pytest.mark.parametrize("erp", ["quickbooks", "xero"])
def test_a_search_that_lags_as_declared_never_leads_to_a_second_invoice(erp: str) -> None:
    with booking(erp) as on:
        lag = systems.target(erp).quiet.search_lag
        on.sandboxes.faults.add(Fault("commit_then_drop", MAKES[erp]))
        on.sandboxes.faults.add(Fault("search_lag", f"GET /{erp}/", times=0, args={"seconds": lag}))
        bill(on)
        on.settle()
        [posted] = on.postings()
        assert posted["state"] == ledger.POSTED
        assert len(on.sandboxes.calls(MAKES[erp])) == 1, "what is not shown yet is not sent again"
        assert invoices(on, erp) == 1
        assert on.differences() == []
