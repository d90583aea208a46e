"""I13: a poisoned lane costs the others nothing, stands still itself, and somebody hears of it at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from unittest.mock import patch

import pytest

from tests.simulation import poison
from tests.simulation.cheap import cheap
from tests.simulation.poison import Outcome
from tieout.work import post

SEEDS = range(12)


@cache
def played(kind: str) -> Sequence[Outcome]:
    with cheap():
        return [poison.play(seed, kind) for seed in SEEDS]


def p99(outcomes: Sequence[Outcome]) -> float:
    return poison.p99([delay for one in outcomes for delay in one.delays])


@pytest.mark.parametrize("kind", poison.KINDS)
def test_one_poisoned_lane_delays_the_others_by_a_tenth_at_most(kind: str) -> None:
    assert p99(played(kind)) <= 1.1 * p99(played(""))


@pytest.mark.parametrize("kind", poison.KINDS)
def test_the_poisoned_lane_stands_still_and_is_a_case_within_five_minutes(kind: str) -> None:
    assert all(one.blocked for one in played(kind))
    assert all(one.alarmed is not None and one.alarmed <= 300 for one in played(kind))


def test_rules_that_fail_without_becoming_a_case_are_seen() -> None:
    """As it was before: the message came again and again, and nobody was told."""
    with patch.object(post, "FAULTS", ()), cheap():
        assert poison.play(0, "not rendered").alarmed is None


def test_a_poison_that_takes_its_batch_along_is_seen() -> None:
    with patch.object(post, "FAULTS", ()), patch.object(post, "Exception", OSError, create=True), cheap():
        taken = [poison.play(seed, "not rendered") for seed in SEEDS]
    assert p99(taken) > 1.1 * p99(played(""))
