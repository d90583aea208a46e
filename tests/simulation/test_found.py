"""What the simulation has found, each as the smallest test that shows it."""

from __future__ import annotations

from tests.toy import stage
from tieout.core import ledger


def test_a_void_tells_the_crm_after_its_invoice_and_not_in_its_place() -> None:
    """Seeds 28 and 38: both postings counted their own history lines, so that their statuses took the same key."""
    with stage() as on:
        invoice = on.event("invoice.finalized")
        customer = invoice["data"]["object"]["customer"]
        on.link(customer)
        on.take(invoice)
        on.settle()
        void = on.event("invoice.finalized", status="void")
        void["type"], void["id"] = "invoice.voided", "evt_void"
        void["data"]["object"]["status_transitions"]["voided_at"] = void["created"]
        on.take(void)
        on.settle()
        assert [item["state"] for item in on.postings("invoice")] == [ledger.POSTED, ledger.POSTED]
        told = [item["version"] for item in on.postings("status")]
        assert len(told) == 2
        assert told == sorted(told)
