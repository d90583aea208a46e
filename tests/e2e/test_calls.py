"""AWS calls of our own code on the clean path, counted through the real handlers and adapters (budget A1).

n records in a batch: receive 1 each; intake at most 1 + 2/n; post at most 2 + 2/n each.
"""

from __future__ import annotations

from collections import Counter

from tests.e2e.scene import Scene, scene
from tieout.core import ledger

N = 10


def aws_calls(on: Scene, function: str) -> Counter[str]:
    """AWS calls that left one function; calls of targets are none."""
    return Counter(
        {name: count for (who, name), count in on.world.calls.items() if who == function and "http" not in name}
    )


def warm(on: Scene) -> None:
    """One invoice first, so that every environment is warm and holds its secrets."""
    on.bill()
    on.settle()
    on.world.calls.clear()


def clean_batch(on: Scene, *, crm: bool = False) -> dict[str, Counter[str]]:
    """Ten invoices in one batch of each function; calls by function.

    With ``crm`` the ten status postings are worked through as well, in a batch of their own.
    """
    for _ in range(N):
        on.bill()
    lanes = [mapping for mapping in on.world.mappings if "lane" in mapping.queue.lower()]
    assert on.world.sandboxes
    on.world.sandboxes.tick(on.world.clock.now())
    for opened in ((), ("netsuite",), ("netsuite", "salesforce") if crm else ()):
        for mapping in lanes:
            mapping.enabled = mapping.queue.lower().partition("lane")[0].rpartition("-")[2] in opened
        on.world.pump()
    return {name: aws_calls(on, name) for name in ("receive", "intake", "post", "probe")}


def test_the_clean_path_costs_what_the_budget_allows() -> None:
    with scene() as on:
        warm(on)
        calls = clean_batch(on)
        assert {item["state"] for item in on.postings()} == {ledger.POSTED}
        assert sum(calls["receive"].values()) == N, calls["receive"]
        assert sum(calls["intake"].values()) <= N + 2, calls["intake"]
        assert sum(calls["post"].values()) <= 2 * N + 2, calls["post"]
        assert not calls["probe"]


def test_a_duplicate_calls_no_target_and_makes_no_second_document() -> None:
    with scene() as on:
        invoice = on.bill()
        on.settle()
        on.world.calls.clear()
        on.stripe.send(on.event_of(invoice))
        on.settle()
        intake = aws_calls(on, "intake")
        assert sum(intake.values()) <= 3, intake
        assert not [name for _, name in on.world.calls if name.startswith("http")]
