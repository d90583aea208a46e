"""Operator actions through the deployed API: the desk writes, the probe goes on with it."""

from __future__ import annotations

from datetime import timedelta

from infra.local.sandbox import Line
from tests.e2e.scene import Scene, scene
from tests.e2e.test_onboarding import refuse_customers, win
from tests.e2e.test_table_change import ask
from tieout.core.keys import Key
from tieout.core.writes import Change


def unknown_product(on: Scene) -> str:
    """An invoice that is held because its product has no item; its posting's key."""
    on.stripe.tables["products"]["prod_new"] = on.stripe.tables["products"]["prod_pro"] | {"id": "prod_new"}
    on.stripe.finalize_invoice(on.customer, [Line(10_000, 1, "prod_new", "New", tax_rate="txr_us_exempt")])
    on.settle()
    [held] = on.postings()
    assert (held["state"], held["code"]) == ("HELD", "item_not_mapped")
    return str(held["key"])


def test_a_cancelled_invoice_is_at_no_target_and_takes_two_people() -> None:
    with scene() as on:
        wish = {"posting": unknown_product(on), "action": "cancel", "why": "entered twice in billing"}
        status, told = ask(on.world, "vera", "viewer", "/v1/settle/ask", **wish)
        assert status == 403, told
        status, told = ask(on.world, "anna", "operator", "/v1/settle/ask", **wish)
        assert (status, told["state"], told["wish"]["by"]) == (200, "HELD", "anna")
        status, told = ask(on.world, "anna", "approver", "/v1/settle/agree", posting=wish["posting"])
        assert status == 403, told
        status, told = ask(on.world, "ben", "approver", "/v1/settle/agree", posting=wish["posting"])
        assert (status, told["state"]) == (200, "SUPERSEDED")
        on.world.advance(timedelta(minutes=20))
        on.world.invoke("probe", {})
        on.settle()
        [ended] = on.postings()
        assert (ended["state"], ended["history"][-1]["by"]) == ("SUPERSEDED", "ben")
        assert on.in_netsuite() == []


def test_a_released_posting_is_asked_again_and_held_again_while_its_cause_stands() -> None:
    with scene() as on:
        wish = {"posting": unknown_product(on), "action": "release", "why": "the row should be there by now"}
        status, told = ask(on.world, "anna", "operator", "/v1/settle/ask", **wish)
        assert (status, told["line"]["by"]) == (200, "anna")
        on.world.invoke("probe", {})
        on.settle()
        [held] = on.postings()
        assert (held["state"], held["code"]) == ("HELD", "item_not_mapped")
        assert on.in_netsuite() == []


def test_a_failed_onboarding_is_restarted_as_run_two_and_each_system_has_one_customer() -> None:
    with scene(customer=False) as on:
        kept = list(on.sandboxes.netsuite.masters["subsidiary"])
        refuse_customers(on)
        win(on)
        [failed] = on.items("run")
        assert (failed["state"], failed["code"]) == ("CASE", "step_failed")
        on.sandboxes.netsuite.masters["subsidiary"].extend(kept)
        name = f"{failed['pk'].removeprefix('F#')}/{failed['sk']}"
        wish = {"run": name, "why": "the subsidiary is set up in the ERP now"}
        status, told = ask(on.world, "vera", "viewer", "/v1/settle/restart", **wish)
        assert status == 403, told
        status, told = ask(on.world, "anna", "operator", "/v1/settle/restart", **wish)
        assert (status, told["state"], told["run"][-5:]) == (200, "NEW", "r0002"), told
        status, again = ask(on.world, "cleo", "operator", "/v1/settle/restart", **wish)
        assert (status, "restarted as r0002 by anna" in again["detail"]) == (409, True), again
        on.world.invoke("probe", {})
        on.settle()
        first, second = sorted(on.items("run"), key=lambda item: str(item["sk"]))
        assert (first["state"], first["next_run"]) == ("COMPENSATED", "r0002")
        assert (second["state"], second["restarts"]) == ("DONE", "r0001")
        made = {item["generation"] for item in on.items("posting") if item["step"] == "subscribe"}
        assert made == {1}
        live = [one for one in on.sandboxes.book("stripe", "acct_us") if one.kind == "customer"]
        assert [one.status for one in live].count("active") == 1
        assert len(on.in_netsuite("customer")) == 1
        assert on.differences() == []


def test_a_run_is_not_restarted_while_something_of_it_stands() -> None:
    with scene(customer=False) as on:
        refuse_customers(on)
        win(on)
        [failed] = on.items("run")
        [made] = [one for one in on.items("posting") if (one["step"], one["action"]) == ("billing", "create")]
        standing = Change(Key(made["pk"], made["sk"]), set={"state": "POSTED"})  # as if its undo had never been
        on.ledger.write([standing])
        name = f"{failed['pk'].removeprefix('F#')}/{failed['sk']}"
        status, told = ask(on.world, "anna", "operator", "/v1/settle/restart", run=name, why="try it once more")
        assert (status, "still stands" in told["detail"]) == (400, True), told
        assert len(on.items("run")) == 1
