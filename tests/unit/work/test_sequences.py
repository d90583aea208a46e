"""A source that numbers its events: what stays away is a case, what only comes late is none."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest

from tests.toy import Stage, stage
from tieout import systems
from tieout.contract import Numbered, Read
from tieout.core import keys
from tieout.core.ledger import CASE, WAITING
from tieout.core.parse import read_any
from tieout.core.writes import Item, Write
from tieout.work import ask, intake
from tieout.work.ports import Message
from tieout.work.sequences import WHOLE

STREAM = keys.stream_item("stripe", "acct_us", "hooks")


class Numbering:
    """A source that is like another one and numbers what it sends."""

    def __init__(self, like: Any) -> None:
        self._like = like

    def __getattr__(self, name: str) -> Any:
        return getattr(self._like, name)

    def read(self, body: bytes) -> Sequence[Read]:
        whole = read_any(body)
        first, last = whole["first"], whole["last"]
        return [replace(one, sequence=Numbered("hooks", first, last)) for one in self._like.read(body)]


@pytest.fixture
def on() -> Iterator[Stage]:
    real = systems.source
    with stage() as made, patch.object(systems, "source", lambda name: Numbering(real(name))):
        yield made


def come(on: Stage, *numbers: int) -> None:
    """Deliveries with these numbers, one event each, in this order."""
    for number in numbers:
        on.take({**on.event("invoice.finalized", id=f"in_{number}"), "id": f"evt_{number}", "first": number,
                 "last": number})  # fmt: skip


def series(on: Stage) -> Item:
    return on.world.ledger.items[STREAM]


def test_numbers_that_follow_one_another_cost_one_write_a_batch_and_no_read(on: Stage) -> None:
    come(on, 7)
    on.world.ledger.calls.clear()
    come(on, 8)
    assert on.world.ledger.calls == ["write", "write"], "the event, then its number"
    assert (series(on)["state"], series(on)["upto"]) == (WHOLE, 8)
    assert "due" not in series(on)


def test_a_source_that_numbers_nothing_costs_nothing() -> None:
    with stage() as on:
        on.take(on.event("invoice.finalized", id="in_1"))
        assert on.world.ledger.calls == ["write"]


def test_what_comes_out_of_order_is_no_gap(on: Stage) -> None:
    come(on, 7, 9, 10)
    assert series(on)["state"] == WAITING
    on.probe(minutes=10)
    assert series(on)["state"] == WAITING
    come(on, 8)
    assert (series(on)["state"], series(on)["upto"]) == (WHOLE, 10)
    assert "due" not in series(on)


def test_a_number_that_stays_away_is_a_case_that_names_it_and_its_owner(on: Stage) -> None:
    come(on, 7, 9, 12)
    done = on.probe(minutes=16)
    assert done["case opened: numbers missing"] == 1
    (cause,) = (one for one in ask.cases(on.world.ledger, on.world.time) if one.code == "sequence_gap")
    assert "8, 10 to 11 did not come" in cause.cases[0].sentence
    assert cause.owner == "integration"
    assert ("case.opened", {"stream": STREAM.pk, "code": "sequence_gap", "owner": "integration"}) in on.world.bus.told


def test_a_case_is_told_of_once(on: Stage) -> None:
    come(on, 7, 9)
    on.probe(minutes=16)
    on.probe(hours=2)
    assert len([kind for kind, facts in on.world.bus.told if facts.get("code") == "sequence_gap"]) == 1
    assert series(on)["due"], "it is looked at again"


def test_late_arrivals_fill_the_gap_and_close_the_case(on: Stage) -> None:
    come(on, 7, 9, 11)
    on.probe(minutes=16)
    come(on, 8)
    assert series(on)["state"] == CASE
    assert series(on)["facts"]["missing"] == "10"
    come(on, 10)
    assert series(on)["state"] == WHOLE
    assert not {"code", "case", "holes", "due"} & series(on).keys()


def test_a_hole_found_later_has_its_own_patience(on: Stage) -> None:
    come(on, 7, 9)
    on.world.later(minutes=14)
    come(on, 11)
    on.probe(minutes=2)
    assert series(on)["facts"]["missing"] == "8"
    on.probe(minutes=14)
    assert series(on)["facts"]["missing"] == "8, 10"


def test_the_same_delivery_again_changes_nothing(on: Stage) -> None:
    come(on, 7, 8)
    before = dict(series(on))
    come(on, 7, 8)
    assert series(on) == before


def test_a_number_that_cannot_be_written_comes_again(on: Stage) -> None:
    come(on, 7)
    real = on.world.ledger.write

    def fails(writes: Sequence[Write]) -> None:
        if writes[0].key == STREAM:
            raise RuntimeError("throttled")
        real(writes)

    with patch.object(on.world.ledger, "write", fails), pytest.raises(AssertionError):
        come(on, 8)
    assert series(on)["upto"] == 7
    come(on, 8)
    assert series(on)["upto"] == 8


def test_two_events_of_one_batch_are_one_write(on: Stage) -> None:
    come(on, 7)
    both = [{**on.event("invoice.finalized", id=f"in_{n}"), "id": f"evt_{n}", "first": n, "last": n} for n in (9, 8)]
    messages = [Message(f"m{n}", envelope(one)) for n, one in enumerate(both)]
    on.world.ledger.calls.clear()
    assert intake.intake(messages, on.world.ports()) == []
    assert on.world.ledger.calls == ["write"] * 3
    assert (series(on)["state"], series(on)["upto"]) == (WHOLE, 9)


def envelope(event: dict[str, Any]) -> dict[str, Any]:
    body = json.dumps(event).encode()
    return {
        "v": 1, "source": "stripe", "account": "acct_us", "received_at": "2026-11-20T12:00:00.000Z",
        "delivery": keys.delivery_id("stripe", "acct_us", body), "body_b64": base64.b64encode(body).decode(),
    }  # fmt: skip


def test_a_lost_answer_counts_the_numbers_once(on: Stage) -> None:
    come(on, 7)
    real, lost = on.world.ledger.write, [True]

    def loses(writes: Sequence[Write]) -> None:
        real(writes)
        if writes[0].key == STREAM and lost:
            lost.clear()
            real(writes)  # the client sends it again, and is refused by its own first attempt

    with patch.object(on.world.ledger, "write", loses):
        come(on, 8)
    assert (series(on)["upto"], series(on)["rev"]) == (8, 2)
