"""A tenth of the soak: what `make soak` plays for six hours of outage."""

from __future__ import annotations

from tests.simulation import soak


def test_after_an_outage_everything_drains_at_the_targets_limit_in_order_and_nothing_is_lost() -> None:
    figures = soak.play(0.1)
    assert figures.wrong == []
    assert figures.events == 108_000
    assert figures.most_in_window > 0.9 * soak.ERP.rates[0].calls, "the limit was never reached, so nothing was shown"
    assert figures.most_at_once["netsuite:acme"] == soak.ERP.concurrency
