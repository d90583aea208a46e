"""A small soak: what `make soak` plays for a million events, with a tenth of the events and of the limits."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.simulation import soak


def test_after_an_outage_everything_drains_at_the_targets_limit_in_order_and_nothing_is_lost() -> None:
    figures = soak.play(0.1)
    assert figures.wrong == []
    assert figures.events == 108_000
    assert figures.most_in_window > 0.9 * figures.erp.rates[0].calls, "the limit was never reached: nothing was shown"
    assert figures.most_at_once["netsuite:acme"] == figures.erp.concurrency


def test_what_waits_behind_heads_does_not_keep_probe_from_the_budget_that_lets_them_go() -> None:
    """The whole soak stood still after its first window: half a million lanes and what waits in them were due, and the
    target's budget behind them. A hundredth of it, looked at a hundred times slower, is as much for probe."""
    figures = soak.play(0.01, probe=100.0)
    assert figures.wrong == []
    assert figures.events == 10_800


def test_a_soak_is_the_same_in_another_process() -> None:
    """With another order of hashes: what passes by luck must not fail by luck."""
    said = "from tests.simulation import soak; f = soak.play(0.001); print(f.took, f.rested, f.crossings, f.lines)"
    played = {
        subprocess.run(
            [sys.executable, "-c", said], env=os.environ | {"PYTHONHASHSEED": seed}, check=True, capture_output=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(played) == 1
