"""A held invoice goes on by itself once two people have given its product a row: through the API, without a release."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from infra.local.sandbox import Line
from infra.local.world import World
from tests.e2e.scene import scene

FORM = {"content-type": "application/x-www-form-urlencoded"}


def ask(world: World, who: str, role: str, path: str, **form: str) -> tuple[int, dict[str, Any]]:
    """What the API answers to somebody."""
    headers = FORM | {"authorization": f"Bearer {world.token(who, (role,))}"}
    answer = world.http("POST", path, headers, urlencode(form))
    return answer.status, json.loads(answer.body)


def test_a_held_invoice_goes_on_once_two_people_gave_its_product_a_row() -> None:
    with scene() as on:
        on.stripe.tables["products"]["prod_new"] = on.stripe.tables["products"]["prod_pro"] | {"id": "prod_new"}
        on.stripe.finalize_invoice(on.customer, [Line(10_000, 1, "prod_new", "New", tax_rate="txr_us_exempt")])
        on.settle()
        [held] = on.postings()
        assert (held["state"], held["code"]) == ("HELD", "item_not_mapped")

        today = on.world.clock.now().date().replace(day=1).isoformat()
        wish = {"table": "items", "key": "prod_new", "target": "netsuite", "column.value": "101", "from": today,
                "why": "the new product is booked as Pro"}  # fmt: skip
        status, change = ask(on.world, "anna", "operator", "/v1/tables/changes", **wish)
        assert status == 200, change
        status, told = ask(on.world, "ben", "approver", f"/v1/tables/changes/{change['change']}/approve")
        assert (status, told["state"]) == (200, "APPROVED")

        on.world.advance(timedelta(minutes=10))  # this world waits for a person; a real probe comes every minute
        on.world.invoke("probe", {})
        on.settle()
        [posted] = on.postings()
        assert posted["state"] == "POSTED"
        assert ";items=1." in posted["mapping"]
        assert "+" in posted["mapping"].partition("items=")[2].partition(";")[0], "the version names the change"
