from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra.local.clock import WorldClock
from infra.local.world import World
from tests.integration.local.toybox import START, TOY


@pytest.fixture
def world() -> Iterator[World]:
    with World(TOY, clock=WorldClock("jump", START), dues=lambda: None) as world:
        yield world
