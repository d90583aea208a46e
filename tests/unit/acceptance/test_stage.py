"""The deployed stack as a stage: when it is quiet, how far the clock jumps, and what ends a story."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.acceptance import second, stage
from infra.acceptance.stage import AheadClock, Denied, Deployed, NotQuiet

SECOND = timedelta(seconds=1)
HOURS = timedelta(hours=6)
LISTED = {"what": "posting", "state": "HELD", "execution": "", "code": ""}
QUIET: dict[str, Any] = {
    "invocations": 1, "running": 0, "ready": 0, "messages": {}, "visible_next": None, "fires_next": None,
    "denied": [], "executions": {},
}  # fmt: skip


class Told(Deployed):
    """A stage whose engine says what it is told, and whose ledger holds what it is given."""

    def __init__(self, clock: AheadClock, **state: Any) -> None:
        super().__init__("http://127.0.0.1:1", Path("nowhere"), {}, clock)
        self.state, self.rows = QUIET | state, list[dict[str, str]]()

    def engine(self, page: str) -> Any:
        return json.loads(json.dumps(self.state))

    def _open(self) -> list[dict[str, str]]:
        return self.rows


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AheadClock:
    monkeypatch.setattr(stage, "_APART", 0.0)
    monkeypatch.setattr(second, "certificate", lambda work: True)
    monkeypatch.setattr(httpx, "Client", lambda **_: None)
    return AheadClock(second.clock_file(tmp_path))


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def test_nothing_due_is_the_end(clock: AheadClock) -> None:
    assert Told(clock).run(HOURS) is None
    assert clock.skipped == timedelta()


def test_what_is_due_behind_the_limit_is_told_and_not_waited_for(clock: AheadClock) -> None:
    later = clock.now() + HOURS + HOURS
    assert Told(clock, visible_next=later.timestamp()).run(HOURS) == datetime.fromtimestamp(later.timestamp(), UTC)
    assert clock.skipped == timedelta()


def test_the_clock_jumps_to_the_schedule_that_will_find_what_is_due(clock: AheadClock, tmp_path: Path) -> None:
    on = Told(clock, fires_next=clock.epoch() + 50)
    on.rows = [{**LISTED, "due": _stamp(clock.now() + 20 * SECOND)}]
    due = on._next(on.rest())
    assert due is not None
    assert abs((due - clock.now()).total_seconds() - 50) < 5
    clock.advance_to(due)
    assert abs(float(second.clock_file(tmp_path).read_text()) - 50) < 5


def test_what_waits_for_a_person_does_not_move_the_clock(clock: AheadClock) -> None:
    on = Told(clock, fires_next=clock.epoch() + 50)
    on.rows = [{**LISTED, "state": "REFUSED", "due": _stamp(clock.now())}]
    assert on.run(HOURS) is None


def test_a_refusal_of_iam_ends_the_story_and_is_named(clock: AheadClock) -> None:
    decision = {"role": "PostRole", "action": "sqs:SendMessage", "resource": "Lane", "allowed": False, "times": 1}
    with pytest.raises(Denied, match="PostRole may not sqs:SendMessage on Lane"):
        Told(clock, denied=[decision], running=1).run(HOURS)


@pytest.mark.parametrize("busy", [{"running": 1}, {"ready": 1}, {"fires_next": 1.0}])
def test_a_stack_that_does_not_rest_is_said_to(
    busy: dict[str, Any], clock: AheadClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "_BUSY_AT_MOST", 0.05)
    with pytest.raises(NotQuiet, match="still busy"):
        Told(clock, **busy).rest()


def test_a_function_asks_the_storys_clock(tmp_path: Path) -> None:
    second.clock_file(tmp_path).write_text("86400")
    inside = second.ROOT / "infra/acceptance/engine/inside"
    asked = "from tieout.aws import clock; print(clock.now().isoformat())"
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{inside}{os.pathsep}{second.ROOT / 'shared'}",
        "ACCEPTANCE_CLOCK": str(second.clock_file(tmp_path)),
    }
    said = subprocess.run([sys.executable, "-c", asked], env=environment, capture_output=True, text=True, check=True)
    ahead = datetime.fromisoformat(said.stdout.strip()) - datetime.now(UTC)
    assert timedelta(hours=23) < ahead <= timedelta(days=1)
