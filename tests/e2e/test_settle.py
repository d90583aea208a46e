"""Operator actions through the deployed API: the desk writes, the probe goes on with it."""

from __future__ import annotations

from datetime import timedelta

from infra.local.sandbox import Line
from tests.e2e.scene import Scene, scene
from tests.e2e.test_table_change import ask


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
