"""Scheduled jobs through the real handler: the minute is written down, the hourly job claims its hour."""

from __future__ import annotations

import io
from collections import Counter
from contextlib import redirect_stdout
from typing import Any
from unittest.mock import patch

from tests.e2e.scene import Scene, scene
from tieout.core import keys
from tieout.core.ledger import CASE
from tieout.work import ask


def wake(on: Scene, *, fails: bool = False) -> Counter[str]:
    """One run of the schedule; the ledger calls that it made."""
    on.world.calls.clear()
    with redirect_stdout(io.StringIO()):
        outcome = on.world.invoke("probe", {})
    assert outcome.failed is fails, outcome
    return Counter({name: n for (who, name), n in on.world.calls.items() if who == "probe" and "http" not in name})


def job(on: Scene, name: str) -> dict[str, Any]:
    key = keys.job_item(name)
    return on.ledger.read([key]).get(key, {})


def test_a_job_claims_its_hour_and_the_next_run_says_what_was_missed() -> None:
    with scene() as on:
        wake(on)
        first = job(on, "credentials")["done"]
        calls = wake(on)
        assert job(on, "credentials")["rev"] == 2, "claimed and finished once in this hour"
        assert calls["dynamodb.UpdateItem"] == 1, calls
        on.world.clock.advance(3 * 3600)
        wake(on)
        assert job(on, "credentials")["done"] > first
        assert job(on, "probe")["done"] > first
        assert "lease" not in job(on, "credentials")


def test_a_job_that_fails_in_each_window_is_a_case() -> None:
    with scene() as on:
        with patch("tieout.work.credentials.watch", side_effect=RuntimeError("out of order")):
            for _ in range(5):
                wake(on, fails=True)
                on.world.clock.advance(3600)
            wake(on, fails=True)
        (cause,) = (one for one in ask.cases(on.ledger, on.world.clock.now()) if one.code == "job_behind")
        assert "nobody sees a credential die ahead" in cause.cases[0].sentence
        on.world.clock.advance(120)
        wake(on)
        assert job(on, "credentials").get("state") != CASE
