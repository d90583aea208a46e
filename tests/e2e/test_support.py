"""Support hears of what finance refused, in the world on moto: off by default, on by one row of the route table."""

from __future__ import annotations

from infra.local.sandbox.zendesk import Zendesk
from tests.e2e.scene import Scene, scene
from tests.e2e.test_table_change import ask
from tests.routed import routed
from tieout.core import ledger
from tieout.core.routing import Route

SUPPORT = Route("support", "zendesk", "acme", entity="US01")


def refused(on: Scene) -> None:
    """The ERP knows no item for a while."""
    items = on.sandboxes.netsuite.masters["item"]
    kept = list(items)
    items.clear()
    on.bill()
    on.settle()
    items += kept


def retry(on: Scene, posting: str) -> None:
    """The item is back, and a person lets the invoice go again."""
    wish = {"posting": posting, "action": "retry", "why": "the item is there again"}
    status, told = ask(on.world, "anna", "operator", "/v1/settle/ask", **wish)
    assert status == 200, told
    on.world.invoke("probe", {})
    on.settle()


def test_a_refused_invoice_is_a_ticket_until_finance_has_it_and_everything_ties_out() -> None:
    with routed(SUPPORT), scene() as on:
        refused(on)
        [posting] = on.postings()
        [ticket] = on.sandboxes.of(Zendesk).tickets.values()
        assert posting["state"] == ledger.REFUSED
        assert (ticket["status"], ticket["comment"]["public"]) == ("open", False)
        assert ticket["comment"]["body"].startswith(f"Invoice {posting['number']} is not booked yet.")
        retry(on, posting["key"])
        assert on.postings()[0]["state"] == ledger.POSTED
        [ticket] = on.sandboxes.of(Zendesk).tickets.values()
        assert ticket["status"] == "solved"
        assert "was accepted by finance" in ticket["subject"]
        assert on.differences() == []


def test_without_a_row_there_is_no_ticket() -> None:
    with scene() as on:
        refused(on)
        assert on.postings()[0]["state"] == ledger.REFUSED
        assert on.sandboxes.of(Zendesk).tickets == {}


def test_a_ticket_that_support_solves_is_told_to_the_crm_and_an_own_one_is_an_echo() -> None:
    with routed(SUPPORT), scene() as on:
        refused(on)
        there = on.sandboxes.of(Zendesk)
        [ours] = there.tickets
        theirs = there.open_ticket("Double charge")
        for ident in (ours, theirs):
            there.set_status(ident, "solved")
        on.settle()
        events = {
            item["find"]: (item["state"], item.get("code")) for item in on.events() if item["source"] == "zendesk"
        }
        assert events == {str(ours): (ledger.IGNORED, "echo"), str(theirs): (ledger.MADE, None)}
        said = [row for row in on.sandboxes.salesforce.statuses() if row["Document__c"].startswith("Ticket")]
        assert [row["Sentence__c"] for row in said] == [f"Ticket {theirs}, Double charge: solved. Support has it."]
        assert on.postings()[0]["state"] == ledger.REFUSED, "support being done is not finance having booked"
        assert on.differences() == []
