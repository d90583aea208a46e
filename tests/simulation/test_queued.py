"""What waits for room goes by class and then by age, where nothing else goes wrong."""

from __future__ import annotations

from unittest.mock import patch

from tests.simulation import queued
from tests.simulation.cheap import cheap
from tieout.core import gates


def test_a_backlog_goes_by_class_and_then_by_age() -> None:
    with cheap():
        assert queued.broken() == ""


def test_enough_waits_for_there_to_be_an_order() -> None:
    with cheap():
        assert all(len(queued.play(seed)[0].table.entered) >= 10 for seed in range(3))


def test_who_overtakes_is_seen() -> None:
    with patch.object(gates, "rank", lambda posting: ""), cheap():
        assert "which waited in a better place" in queued.broken()
