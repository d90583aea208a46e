"""Two workers on one lane at once, and what a held posting blocks, through the real handlers."""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from typing import Any

from infra.local.sandbox import Fault
from tests.e2e.scene import Scene, scene
from tieout.core import ledger
from tieout.work.ports import Send


def batch(on: Scene, *sends: Send) -> dict[str, Any]:
    """An SQS event with these messages, as post would get it."""
    return {
        "Records": [
            {"messageId": f"m{number}", "body": json.dumps(send.body()), "attributes": {}, "eventSourceARN": "a:b:lane"}
            for number, send in enumerate(sends)
        ]
    }


def hold_the_lanes(on: Scene) -> None:
    """Nothing is taken off the lane queues by itself."""
    for mapping in on.world.mappings:
        mapping.enabled = "Lane" not in mapping.queue and "lane" not in mapping.queue.lower()


def test_two_workers_on_one_lane_at_once_keep_the_order_and_post_once() -> None:
    with scene() as on:
        hold_the_lanes(on)
        invoice = on.bill()
        on.stripe.pay(invoice["id"])
        with redirect_stdout(io.StringIO()):
            on.world.pump()
        sends = [Send.of(item) for item in on.items("posting")]
        assert len(sends) == 2
        event = batch(on, *sends)
        backwards = batch(on, *reversed(sends))
        with redirect_stdout(io.StringIO()), ThreadPoolExecutor(4) as pool:
            outcomes = list(pool.map(lambda one: on.world.invoke("post", one), [event, backwards, event, backwards]))
        assert not any(outcome.failed for outcome in outcomes)
        for mapping in on.world.mappings:
            mapping.enabled = True
        on.settle()
        calls = [call.path for call in on.sandboxes.calls(r"PUT /netsuite/") if 200 <= call.status < 300]
        assert ["invoice" in path for path in calls] == [True, False]
        assert {item["state"] for item in on.items("posting")} <= {ledger.POSTED, ledger.SUPERSEDED}
        assert on.differences() == []


def test_a_refused_invoice_blocks_its_payment_and_no_other_lane() -> None:
    with scene() as on:
        on.sandboxes.faults.add(Fault("closed_period", r"PUT /netsuite/acme/.*/invoice/", times=1))
        first = on.bill()
        on.settle()
        on.stripe.pay(first["id"])
        second = on.bill(20_000)
        on.settle()
        shown = {item["source_id"]: (item["state"], item.get("code")) for item in on.postings()}
        assert shown[second["id"]] == (ledger.POSTED, None)
        held = shown[first["id"]]
        assert held[1] == "period_closed"
        (payment,) = on.postings("payment")
        assert payment["state"] == ledger.NEW, "it waits behind its invoice, untouched"
        assert len(on.in_netsuite("payment")) == 0
        assert any(case["code"] == "period_closed" for case in on.ending().cases)
