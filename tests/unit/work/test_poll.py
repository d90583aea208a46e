"""What a source told in vain is found in its list: nothing is skipped, nothing is taken twice, the past is not ours."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest

from tests.toy import Stage, stage
from tieout import systems, tables
from tieout.contract import Budget, Page, Poll, Quiet, Span, Wire
from tieout.core import keys, ledger
from tieout.core.classify import Row
from tieout.core.parse import write_json
from tieout.core.verdicts import NeedsHuman, TryAgain
from tieout.core.writes import Item, Write
from tieout.work import intake, poll, raw, windows
from tieout.work.ports import Message

TARGET = "stripe:acct_us"
FIVE = timedelta(minutes=5)
CURSOR = keys.cursor_item(TARGET)


@dataclass
class Listing:
    """A source that lists two events a page, oldest first, and fails as told."""

    name: str = "stripe"
    auth: Mapping[str, str] = field(default_factory=dict)
    quiet: Quiet = field(default_factory=lambda: Quiet(10, 0, 0, 1, 0))
    budget: Budget = field(default_factory=lambda: Budget(concurrency=2))
    verdicts: Sequence[Row] = ()
    poll: Poll = field(
        default_factory=lambda: Poll(
            timedelta(minutes=10), timedelta(minutes=5), timedelta(minutes=5), timedelta(days=30)
        )
    )
    happened: list[tuple[datetime, bytes]] = field(default_factory=list)
    asked: list[tuple[Span, str]] = field(default_factory=list)
    trouble: list[Exception | None] = field(default_factory=list)

    def listed(self, wire: Wire, span: Span, page: str) -> Page:
        self.asked.append((span, page))
        if self.trouble and (error := self.trouble.pop(0)):
            raise error
        rows = [body for at, body in self.happened if span.since <= at < span.until]
        start = int(page or 0)
        return Page(rows[start : start + 2], str(start + 2) if len(rows) > start + 2 else "")


@dataclass
class Scene:
    on: Stage
    lister: Listing
    calls: int = 0

    def happens(self, ident: str, **changes: Any) -> bytes:
        """An event that is listed from now on, and whose delivery nobody brings."""
        event = self.on.event("invoice.finalized", id=ident, number=f"N-{ident}", **changes) | {"id": f"evt_{ident}"}
        body = write_json(event)
        self.lister.happened.append((self.on.world.time, body))
        return body

    def poll(self, **later: float) -> Mapping[str, int]:
        self.on.world.later(**later)
        done = poll.poll(self.on.world.ports(), tables.load())
        return {what: count for what, count in done.items() if what != windows.MISSED}

    def arrive(self) -> None:
        """Intake of all that is on the inbox."""
        for body in self.on.world.queues.inbox:
            self.calls += 1
            assert intake.intake([Message(f"p{self.calls}", body)], self.on.world.ports()) == []
        self.on.world.queues.inbox.clear()

    @property
    def cursor(self) -> Item:
        return self.on.world.ledger.items[CURSOR]

    def made(self) -> list[str]:
        return sorted(item["source_id"] for item in self.on.postings("invoice"))


@pytest.fixture
def scene() -> Iterator[Scene]:
    lister = Listing()
    with (
        stage() as on,
        patch.object(systems, "lister", lambda name: lister),
        patch.object(poll, "accounts", lambda known: [TARGET]),
    ):
        on.world.wire = lambda system, account: SimpleNamespace(account=account)
        made = Scene(on, lister)
        made.happens("before")
        assert made.poll(minutes=6) == {"asked for the first time": 1}
        on.world.later(minutes=10)
        yield made


def test_a_lost_event_is_found_and_what_was_before_the_first_asking_is_not_ours(scene: Scene) -> None:
    scene.happens("in_1")
    assert scene.poll(minutes=20) == {"recovered": 1}
    scene.arrive()
    assert scene.made() == ["in_1"]
    (event,) = [item for item in scene.on.world.ledger.items.values() if item.get("what") == "event"]
    assert (event["state"], event["via"]) == (ledger.MADE, "poll")


def test_an_event_that_came_is_known_and_not_sent_again(scene: Scene) -> None:
    body = scene.happens("in_1")
    scene.on.take(json.loads(body))
    assert scene.poll(minutes=20) == {"known": 1}
    assert scene.on.world.queues.inbox == []


def test_young_events_are_left_to_their_delivery(scene: Scene) -> None:
    scene.on.world.later(minutes=18)
    scene.happens("in_1")
    assert scene.poll(minutes=2) == {}
    assert scene.poll(minutes=10) == {"recovered": 1}


def test_spans_overlap_and_leave_nothing_out(scene: Scene) -> None:
    for minute in range(60):
        scene.happens(f"in_{minute:02}")
        scene.poll(minutes=1)
        scene.arrive()
    scene.poll(minutes=10)
    scene.poll(minutes=10)
    scene.arrive()
    assert scene.made() == [f"in_{minute:02}" for minute in range(60)]
    spans = [span for span, page in scene.lister.asked if not page]
    assert all(after.since == before.until - scene.lister.poll.overlap for before, after in pairwise(spans))


@pytest.mark.parametrize("where", range(3))
@pytest.mark.parametrize("error", [TryAgain("target_unreachable"), TryAgain("target_busy", after=60),
                                   NeedsHuman("source_forbidden"), ZeroDivisionError()])  # fmt: skip
def test_a_page_that_fails_is_listed_again_and_nothing_is_skipped(scene: Scene, where: int, error: Exception) -> None:
    for number in range(5):
        scene.happens(f"in_{number}")
    scene.lister.trouble = [None] * where + [error]
    scene.poll(minutes=20)
    scene.arrive()
    assert len(scene.made()) == 2 * where
    for _ in range(4):
        scene.poll(minutes=10)
        scene.arrive()
    assert scene.made() == [f"in_{number}" for number in range(5)]
    assert scene.on.world.ledger.items[keys.budget_item(TARGET)]["leases"] == {}


def test_a_page_is_gone_on_with_where_the_last_run_stopped(scene: Scene) -> None:
    for number in range(5):
        scene.happens(f"in_{number}")
    scene.lister.trouble = [None, TryAgain("target_unreachable")]
    scene.poll(minutes=20)
    scene.arrive()
    scene.lister.asked.clear()
    scene.poll(minutes=10)
    assert [page for _, page in scene.lister.asked] == ["2", "4"]


def test_a_place_that_the_source_knows_no_more_is_begun_anew(scene: Scene) -> None:
    for number in range(5):
        scene.happens(f"in_{number}")
    scene.lister.trouble = [None, NeedsHuman("target_refused", said="offset : invalid value")]
    assert scene.poll(minutes=20) == {"could not ask": 1}
    assert (scene.cursor["page"], "until" in scene.cursor) == ("", True)
    scene.lister.asked.clear()
    scene.poll(minutes=10)
    scene.arrive()
    assert scene.lister.asked[0][1] == ""
    assert len(scene.made()) == 5


def test_a_death_between_a_page_and_its_cursor_only_lists_it_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        scene.happens(f"in_{number}")
    write, deaths = scene.on.world.ledger.write, [0, 1]

    def dies(writes: Sequence[Write]) -> None:
        if any(one.key == CURSOR for one in writes) and deaths.pop(0):
            raise ConnectionError
        write(writes)

    monkeypatch.setattr(scene.on.world.ledger, "write", dies)
    assert scene.poll(minutes=20) == {"failed": 1}
    monkeypatch.undo()
    assert len(scene.on.world.queues.inbox) == 4
    scene.arrive()
    scene.poll(minutes=10)
    scene.poll(minutes=10)
    scene.arrive()
    assert scene.made() == [f"in_{number}" for number in range(5)]


def test_an_inbox_that_takes_nothing_leaves_the_page_to_be_listed_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.happens("in_1")

    def full(body: Mapping[str, Any]) -> None:
        raise TryAgain("inbox_unavailable")

    monkeypatch.setattr(scene.on.world.queues, "receive_into_inbox", full)
    scene.poll(minutes=20)
    monkeypatch.undo()
    assert scene.poll(minutes=10) == {"recovered": 1}


def test_two_runs_at_once_are_one(scene: Scene) -> None:
    scene.happens("in_1")
    scene.on.world.later(minutes=20)
    asked: list[Any] = []
    real = scene.lister.listed

    def meanwhile(wire: Wire, span: Span, page: str) -> Page:
        asked.append(poll.poll(scene.on.world.ports(), tables.load()))
        return real(wire, span, page)

    with patch.object(scene.lister, "listed", meanwhile):
        assert scene.poll() == {"recovered": 1}
    assert asked == [{}]


def test_a_list_that_writes_the_event_otherwise_than_its_delivery_makes_no_conflict(scene: Scene) -> None:
    body = json.loads(scene.happens("in_1"))
    scene.poll(minutes=20)
    scene.arrive()
    scene.on.take(body | {"api_version": "2024-04-10"})
    (event,) = [item for item in scene.on.world.ledger.items.values() if item.get("what") == "event"]
    assert event["deliveries"] == 2
    scene.on.take(body | {"api_version": "2024-04-10", "data": {"object": {**body["data"]["object"], "x": 1}}})
    assert len([item for item in scene.on.world.ledger.items.values() if item.get("what") == "event"]) == 1


def test_what_is_listed_and_cannot_be_read_is_a_case(scene: Scene) -> None:
    scene.lister.happened.append((scene.on.world.time + timedelta(minutes=13), b'{"id": "evt_x"}'))
    assert scene.poll(minutes=20) == {"recovered": 1}
    scene.arrive()
    (event,) = [item for item in scene.on.world.ledger.items.values() if item.get("what") == "event"]
    assert (event["state"], event["code"]) == (ledger.CASE, "wrong_shape")
    assert scene.poll(minutes=10) == {"known": 1}, "spans overlap: what is a case already is not sent again"


def test_an_account_that_stays_unasked_is_a_case_that_its_next_listing_closes(scene: Scene) -> None:
    scene.lister.trouble = [TryAgain("target_unreachable")] * 9
    for _ in range(9):
        scene.poll(minutes=10)
    assert scene.on.probe(minutes=1)["case opened: job behind"] == 1
    job = scene.on.world.ledger.items[keys.job_item(f"poll {TARGET}")]
    assert (job["state"], job["code"]) == (ledger.CASE, "job_behind")
    scene.poll(minutes=10)
    assert "state" not in scene.on.world.ledger.items[keys.job_item(f"poll {TARGET}")]


def test_no_page_begins_that_could_not_be_booked(scene: Scene) -> None:
    for number in range(5):
        scene.happens(f"in_{number}")
    scene.on.world.remaining = 18.0
    assert scene.poll(minutes=20) == {"recovered": 2}
    scene.on.world.remaining = 14.0
    assert scene.poll(minutes=10) == {"left for the next run": 1}
    scene.on.world.remaining = 900.0
    scene.arrive()
    scene.poll(minutes=10)
    scene.arrive()
    assert len(scene.made()) == 5


def test_a_large_event_goes_by_the_vault_as_a_delivery_does(scene: Scene) -> None:
    scene.happens("in_1", description="x" * 800_000)
    scene.poll(minutes=20)
    (body,) = scene.on.world.queues.inbox
    assert "body_b64" not in body
    assert scene.on.world.vault.get(body["body_at"])


def test_every_account_of_a_lister_is_asked() -> None:
    assert {"stripe:acct_us", "stripe:acct_de", "chargebee:acme-eu"} <= set(poll.accounts(tables.load()))


def test_the_inbox_has_the_bytes_that_were_listed(scene: Scene) -> None:
    body = scene.happens("in_1")
    scene.poll(minutes=20)
    (message,) = scene.on.world.queues.inbox
    assert base64.b64decode(message["body_b64"]) == body


def test_a_state_of_an_object_that_came_by_another_event_is_known(scene: Scene) -> None:
    made = scene.on.event("customer.created", id="cus_7", email="a@b.example")
    told = made | {"id": "evt_told", "created": 1_795_000_000}
    scene.on.take(told)
    listed = [made | {"id": "evt_same", "created": 1_795_000_000}, made | {"id": "evt_newer", "created": 1_795_000_001}]
    for one in listed:
        scene.lister.happened.append((scene.on.world.time, write_json(one)))
    assert scene.poll(minutes=20) == {"known": 1, "recovered": 1}
    (message,) = scene.on.world.queues.inbox
    assert json.loads(base64.b64decode(message["body_b64"]))["id"] == "evt_newer"


def test_an_event_that_lies_open_in_its_message_is_taken_in_with_exact_numbers(scene: Scene) -> None:
    from tieout.aws import wiring

    event = scene.on.event("invoice.finalized", id="in_1") | {"odd": 0.10000000000000000001}
    text = json.dumps({"v": 1, "source": "stripe", "account": "acct_us", "delivery": "b_1",
                       "received_at": "2026-11-20T12:00:00Z"})[:-1]  # fmt: skip
    body = f'{text},"body":{json.dumps(event)[:-1]},"exact":19.990000000000000001}}}}'
    (message,) = wiring.messages({"Records": [{"messageId": "m", "body": body}]})
    assert intake.intake([message], scene.on.world.ports()) == []
    (item,) = [one for one in scene.on.world.ledger.items.values() if one.get("what") == "event"]
    assert (item["state"], item["received"]) == (ledger.MADE, "2026-11-20T12:00:00.000Z")
    assert b"19.990000000000000001" in raw.raw(scene.on.world.vault, item["vault"])


def test_a_place_of_the_source_s_own_is_kept_from_run_to_run_and_from_page_to_page(scene: Scene) -> None:
    given: list[Page | Exception] = [
        Page([], "p1", "one"), Page([], "", "two"), Page([], ""), Page([], "p2", "three"), TryAgain("target_down"),
        Page([], ""),
    ]  # fmt: skip
    asked: list[tuple[str, str]] = []

    def listed(wire: Wire, span: Span, page: str) -> Page:
        asked.append((span.place, page))
        answer = given.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with patch.object(scene.lister, "listed", listed):
        while given:
            scene.poll(minutes=20)
    assert asked == [("", ""), ("", "p1"), ("two", ""), ("two", ""), ("two", "p2"), ("three", "p2")]
    assert scene.cursor["place"] == "three", "what no page names anew stays"
