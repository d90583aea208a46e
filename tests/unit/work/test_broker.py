"""The broker through the verbs: tokens for every call, and who waits for room and is let go."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest

from tests.toy import Stage, Toy, refuses, stage
from tieout.contract import Budget, Echo, Rate, Wire, Work
from tieout.core import capacity, ledger
from tieout.core.classify import Answer
from tieout.core.keys import Key
from tieout.core.ledger import stamp
from tieout.core.verdicts import NeedsHuman, NotYet, TryAgain, Uncertain
from tieout.core.writes import Item
from tieout.work import broker, post, probe, steps
from tieout.work.commit import View
from tieout.work.ports import Message, Send

KEY = Key("B#netsuite:acme")


@pytest.fixture
def on() -> Iterator[Stage]:
    with stage() as made:
        made.link("cus_1")
        yield made


class Calling(Toy):
    """A toy that reads back over its wire, as often as it is told."""

    reads = 1

    def send(self, wire: Wire, work: Any) -> Any:
        for _ in range(self.reads):
            wire.call("PUT", "/x")
        return super().send(wire, work)

    def find(self, wire: Wire, work: Work) -> Any:
        wire.call("GET", "/x")
        return super().find(wire, work)

    def look(self, wire: Wire, kind: str, facts: Mapping[str, str]) -> tuple[Echo, ...]:
        wire.call("GET", "/x")
        return ()


class Line:
    """A wire that counts."""

    account = "acme"
    settings: Mapping[str, str] = {}

    def __init__(self, sent: int = 1) -> None:
        self.calls, self.sent = 0, sent
        self.again: Callable[[], None] = lambda: None

    def call(self, method: str, path: str, *, headers: Any = None, body: bytes | None = None) -> Answer:
        self.calls += 1
        for _ in range(self.sent - 1):
            self.again()
            self.calls += 1
        return Answer(200)


def limited(on: Stage, calls: int, *, each: int = 1, reads: int = 1, sent: int = 1) -> Line:
    """The ERP with a limit of so many calls a minute."""
    toy, line = Calling("netsuite"), Line(sent)
    toy.budget = Budget(3, (Rate(calls, 60),), calls=each)
    toy.reads = reads
    on.targets["netsuite"] = toy
    on.world.wire = lambda target, account: line  # type: ignore[assignment,return-value]
    return line


def invoices(on: Stage, *numbers: int) -> None:
    for number in numbers:
        event = on.event("invoice.finalized", id=f"in_{number}", customer="cus_1", number=f"INV-{number}")
        on.take(event | {"id": f"evt_{number}"})


def budget(on: Stage) -> Item:
    return on.world.ledger.items[KEY]


def states(on: Stage) -> dict[str, str]:
    return {item["source_id"]: item["state"] for item in on.postings("invoice")}


def test_more_calls_than_the_limit_wait_and_go_a_window_later(on: Stage) -> None:
    line = limited(on, 3)
    invoices(on, 1, 2, 3, 4, 5)
    on.settle()
    assert line.calls == 3
    waiting = [item for item in on.postings("invoice") if item["state"] == ledger.HELD]
    assert {(item["code"], item["due_shard"]) for item in waiting} == {("budget_spent", "W#netsuite:acme")}
    on.probe(seconds=50)
    on.settle()
    assert line.calls == 3
    on.probe(seconds=20)
    on.settle()
    assert set(states(on).values()) == {ledger.POSTED}
    assert line.calls == 5
    assert budget(on)["tokens"] == {}


def test_a_batch_that_made_fewer_calls_than_it_took_tokens_gives_them_back(on: Stage) -> None:
    limited(on, 10, each=3)
    invoices(on, 1, 2)
    on.settle()
    assert sum(budget(on)["spent"]["60"].values()) == 2


def test_a_request_that_went_out_twice_for_one_call_counts_twice(on: Stage) -> None:
    limited(on, 10, each=2, sent=2)
    invoices(on, 1)
    on.settle()
    assert sum(budget(on)["spent"]["60"].values()) == 2


def test_a_second_try_without_a_token_waits_for_one_and_nothing_is_in_doubt(on: Stage) -> None:
    line = limited(on, 1, sent=2)
    invoices(on, 1)
    on.settle()
    assert line.calls == 1, "the limit is kept"
    assert (on.one("invoice")["state"], on.one("invoice")["code"]) == (ledger.HELD, "budget_spent")


def test_a_read_back_without_a_token_leaves_the_write_in_doubt_and_never_sends_it_again(on: Stage) -> None:
    line = limited(on, 1, reads=2)
    invoices(on, 1)
    on.settle()
    assert line.calls == 1
    assert on.one("invoice")["state"] == ledger.IN_DOUBT


def contended(on: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others write to the budget between each look at it and each booking of an answer."""
    real = on.world.ledger.write

    def write(writes: Any) -> None:
        if on.targets["netsuite"].calls and len(writes) > 1 and any(one.key == KEY for one in writes):
            budget(on)["rev"] += 1
        real(writes)

    monkeypatch.setattr(on.world.ledger, "write", write)


def test_an_answer_in_hand_is_booked_however_busy_the_budget_is(on: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was left to its lease, doubted, and looked for after the quiet period."""
    contended(on, monkeypatch)
    invoices(on, 1)
    on.settle()
    assert (on.one("invoice")["state"], on.targets["netsuite"].calls) == (ledger.POSTED, 1)
    assert budget(on)["leases"] == {}


def test_an_account_in_trouble_is_told_apart_where_its_budget_is_busy(
    on: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    contended(on, monkeypatch)
    on.targets["netsuite"].trouble.append(refuses(Uncertain("target_lost")))
    invoices(on, 1)
    on.settle()
    assert on.one("invoice")["state"] == ledger.IN_DOUBT
    assert on.one("invoice")["code"] == "target_lost"
    assert (budget(on)["failures"], budget(on)["leases"]) == (1, {})


def test_a_read_back_takes_a_token_of_its_own_where_there_is_one(on: Stage) -> None:
    line = limited(on, 2, reads=2)
    invoices(on, 1)
    on.settle()
    assert (line.calls, on.one("invoice")["state"]) == (2, ledger.POSTED)


def test_a_look_at_a_doubtful_posting_takes_a_token_and_waits_for_one(on: Stage) -> None:
    line = limited(on, 1)
    on.targets["netsuite"].trouble.append(refuses(Uncertain("target_lost")))
    invoices(on, 1)
    on.settle()
    busy = {"n": 1, "until": stamp(on.world.time + timedelta(hours=1))}
    on.probe(seconds=300)
    assert line.calls == 2
    assert on.one("invoice")["state"] == ledger.NEW
    on.targets["netsuite"].trouble.append(refuses(Uncertain("target_lost")))
    on.settle()
    on.probe(seconds=100)
    on.settle()
    on.world.ledger.items[KEY]["tokens"] = {"somebody": busy}
    before = line.calls
    assert on.probe(seconds=300)["could not look"] == 1
    assert line.calls == before


def test_a_look_leaves_a_paused_target_alone_until_then(on: Stage) -> None:
    on.targets["netsuite"].trouble.append(refuses(Uncertain("target_lost")))
    invoices(on, 1)
    on.settle()
    until = on.world.time + timedelta(hours=1)
    on.world.ledger.items[KEY]["paused_until"] = stamp(until)
    assert on.probe(minutes=10)["could not look"] == 1
    assert on.targets["netsuite"].calls == 1
    assert on.one("invoice")["due"] == stamp(until)
    on.probe(minutes=55)
    assert on.targets["netsuite"].calls == 2


def test_a_step_that_looks_asks_for_room_and_gives_it_back(on: Stage) -> None:
    line = limited(on, 5)
    seen: list[int] = []

    def ask(wire: Wire) -> tuple[Echo, ...]:
        wire.call("GET", "/x")
        seen.append(len(budget(on)["leases"]))
        return ()

    steps.ask_target(on.world.ports(), "netsuite:acme", ask)
    assert (line.calls, seen, budget(on)["leases"]) == (1, [1], {})
    on.world.ledger.items[KEY]["paused_until"] = stamp(on.world.time + timedelta(minutes=1))
    with pytest.raises(NotYet, match="target_paused"):
        steps.ask_target(on.world.ports(), "netsuite:acme", ask)


def test_a_step_whose_look_fails_tells_the_breaker(on: Stage) -> None:
    def ask(wire: Wire) -> tuple[Echo, ...]:
        raise TryAgain("target_unreachable")

    for _ in range(5):
        with pytest.raises(TryAgain):
            steps.ask_target(on.world.ports(), "netsuite:acme", ask)
    assert budget(on)["trips"] == 1
    with pytest.raises(NotYet):
        steps.ask_target(on.world.ports(), "netsuite:acme", ask)


def test_a_batch_without_a_slot_waits_a_moment_for_one_before_it_books_that_it_waits(on: Stage) -> None:
    holds = {"other": stamp(on.world.time + timedelta(minutes=1)), "third": stamp(on.world.time + timedelta(minutes=1))}
    on.world.ledger.items[KEY] = {"pk": KEY.pk, "sk": KEY.sk, "what": "budget", "rev": 1, "leases": holds}
    invoices(on, 1, 2)
    ports, waited = on.world.ports(), list[float]()

    def passes(seconds: float) -> None:
        on.world.later(seconds=seconds)
        waited.append(seconds)
        if len(waited) == 2:
            del holds["other"]

    object.__setattr__(ports, "pause", passes)
    messages = [Message(send.posting, send.body()) for send in on.world.queues.take()]
    post.post(messages, ports)
    assert waited == [1.0, 1.0]
    assert set(states(on).values()) == {ledger.POSTED}


class Telling(Calling):
    """A toy whose account says what it allows at once."""

    allowed: int | None = 2

    def allows(self, wire: Wire) -> int | None:
        wire.call("GET", "/limits")
        if self.allowed is None:
            raise NeedsHuman("target_forbidden")
        return self.allowed


def test_what_an_account_allows_is_asked_once_an_hour_within_its_budget_and_is_the_ceiling(on: Stage) -> None:
    line = limited(on, 50)
    toy = Telling("netsuite")
    on.targets["netsuite"] = toy
    invoices(on, 1)
    on.settle()
    before = line.calls
    on.probe(minutes=6)
    assert (budget(on)["ceiling"], line.calls, budget(on)["leases"]) == (2, before + 1, {})
    toy.allowed = 15
    on.probe(minutes=6)
    assert budget(on)["ceiling"] == 2
    on.probe(minutes=61)
    assert capacity.limit(budget(on) | {"limit": 99}, toy.budget.concurrency) == 15
    toy.allowed = None
    on.probe(minutes=61)
    assert budget(on)["ceiling"] == 15, "what is not told changes nothing"


# --- who waits ---------------------------------------------------------------------------------------------------
def paused(on: Stage, minutes: int = 60) -> None:
    until = on.world.time + timedelta(minutes=minutes)
    old = on.world.ledger.items.get(KEY, {"pk": KEY.pk, "sk": KEY.sk, "what": "budget", "rev": 1})
    on.world.ledger.items[KEY] = old | {"paused_until": stamp(until), **ledger.due(KEY.pk, until)}


def test_what_waits_is_listed_as_open_and_polled_by_nobody(on: Stage) -> None:
    paused(on)
    invoices(on, 1, 2, 3)
    on.settle()
    assert set(states(on).values()) == {ledger.HELD}
    on.probe(minutes=2)
    before = {item["key"]: item["rev"] if "rev" in item else item["tail"] for item in on.postings("invoice")}
    for _ in range(20):
        assert not on.world.queues.take()
        on.probe(minutes=2)
    assert {item["key"]: item.get("rev", item["tail"]) for item in on.postings("invoice")} == before
    assert {item.get("looks", 0) for item in on.postings("invoice")} == {0}
    listed = {row["pk"] for row in on.world.ledger.open()}
    assert {item["pk"] for item in on.postings("invoice")} <= listed


def test_when_the_pause_is_over_what_waits_goes_by_class_and_then_by_age(on: Stage) -> None:
    invoices(on, 1)
    on.settle()
    paused(on)
    invoices(on, 2, 3)
    on.settle()
    on.world.later(minutes=30)
    on.take(on.event("invoice.paid", id="in_1", customer="cus_1") | {"id": "evt_paid"})
    on.settle()
    on.targets["netsuite"].order.clear()
    for minutes in (31, 1, 1):
        on.probe(minutes=minutes)
        on.settle()
    assert on.targets["netsuite"].order == ["payment.create", "invoice.create", "invoice.create"]
    assert budget(on)["waits"] == ""


def test_who_comes_later_with_no_better_place_waits_behind_and_who_has_one_goes_at_once(on: Stage) -> None:
    invoices(on, 1)
    on.settle()
    paused(on, minutes=5)
    invoices(on, 2)
    on.settle()
    on.world.later(minutes=6)
    invoices(on, 3)
    on.take(on.event("invoice.paid", id="in_1", customer="cus_1") | {"id": "evt_paid"})
    payment = on.one("payment")
    on.world.queues.sent.append(Send.of(payment))
    on.post()
    assert (states(on)["in_2"], states(on)["in_3"]) == (ledger.HELD, ledger.HELD)
    assert on.one("payment")["state"] == ledger.POSTED


def test_a_release_that_is_lost_waits_again_and_goes_at_the_next_look(on: Stage) -> None:
    paused(on, minutes=5)
    invoices(on, 1)
    on.settle()
    on.probe(minutes=6)
    assert len(on.world.queues.take()) == 1  # and nobody ever sees it
    assert sum(budget(on)["afloat"].values()) == 1
    assert on.probe(minutes=2)["waits for room again"] == 1
    assert sum(budget(on)["afloat"].values()) == 0
    on.probe(minutes=1)
    on.settle()
    assert on.one("invoice")["state"] == ledger.POSTED


def test_while_the_breaker_is_half_open_only_one_is_let_go(on: Stage) -> None:
    paused(on, minutes=5)
    budget(on)["trips"] = 1
    invoices(on, 1, 2, 3)
    on.settle()
    on.probe(minutes=6)
    assert len(on.world.queues.sent) == 1
    on.settle()
    assert set(states(on).values()) == {ledger.POSTED}, "its good answer lets the others go at once"


def test_two_who_would_let_go_at_once_let_go_once(on: Stage) -> None:
    paused(on, minutes=5)
    invoices(on, 1, 2)
    on.settle()
    on.world.later(minutes=6)
    fresh: View = {KEY: dict(budget(on))}
    stale: View = {KEY: dict(budget(on))}
    first = broker.let_go(on.world.ports(), fresh, "netsuite:acme")
    assert len(first) == 2
    assert broker.let_go(on.world.ports(), stale, "netsuite:acme") == []


def test_what_another_was_moving_out_meanwhile_takes_no_room(on: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers behind each other, the second before the first had moved all: what it did not let go counted for a
    minute and a half as under way, and the target stood idle with calls free."""
    paused(on, minutes=5)
    invoices(on, 1, 2)
    on.settle()
    on.world.later(minutes=6)
    seen = broker._first(on.world.ports(), "netsuite:acme", 5)
    assert len(broker.let_go(on.world.ports(), {KEY: dict(budget(on))}, "netsuite:acme")) == 2
    monkeypatch.setattr(broker, "_first", lambda *given: seen)
    view: View = {KEY: dict(budget(on))}
    assert broker.let_go(on.world.ports(), view, "netsuite:acme") == []
    assert sum(capacity.afloat(budget(on), on.world.time).values()) == 2
    assert view[KEY] == budget(on)


def test_probe_stays_with_a_target_at_which_something_waits_while_time_passes(on: Stage) -> None:
    line = limited(on, 2)
    invoices(on, 1, 2, 3)
    on.settle()
    ports = on.world.ports()

    def passes(seconds: float) -> None:
        on.world.later(seconds=seconds)
        on.world.remaining -= seconds

    object.__setattr__(ports, "pause", passes)
    on.world.later(seconds=40)
    on.world.remaining = 60.0
    probe.probe(ports)
    on.settle()
    assert on.world.remaining <= 60.0 - probe.TAP_EVERY
    assert line.calls == 3


def test_probe_lets_go_between_two_pages_of_what_else_is_due(on: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backlog of what is due must not be gone through first: the target stood idle for as long."""
    line = limited(on, 1)
    invoices(on, 1, 2, 3)
    on.settle()
    assert line.calls == 1
    ports = on.world.ports()
    due = [{"pk": f"P#{number}", "sk": "-", "due": ""} for number in range(3)]

    def slow(ports: Any, rows: Any, now: str, done: Any) -> set[Key]:
        """A page of half a minute with nothing in it but the word that something waits at a target."""
        on.world.later(seconds=30)
        return {KEY}

    monkeypatch.setattr(probe, "_page", slow)
    monkeypatch.setattr(ports.ledger, "due", lambda now, limit: [due.pop()] if due else [])
    assert not on.world.queues.sent
    assert probe.probe(ports, limit=1)["let go"]
    assert on.world.queues.sent


def test_a_doubt_of_a_long_outage_is_looked_at_soon_after_its_end(on: Stage) -> None:
    on.targets["netsuite"].trouble.append(refuses(Uncertain("target_lost")))
    invoices(on, 1)
    on.settle()
    on.one("invoice")["looks"] = 40
    on.world.ledger.items[KEY]["paused_until"] = stamp(on.world.time + timedelta(minutes=10, seconds=5))
    assert on.probe(minutes=10)["could not look"] == 1
    assert on.one("invoice")["due"] <= stamp(on.world.time + timedelta(seconds=probe.LOOK_MOST))


def test_a_doubt_for_whose_look_there_was_no_room_is_looked_at_again_as_soon_as_there_may_be(on: Stage) -> None:
    """However often it was looked at: else a backlog that takes all room leaves old doubts to its very end."""
    limited(on, 1)
    on.targets["netsuite"].trouble.append(refuses(Uncertain("target_lost")))
    invoices(on, 1)
    on.settle()
    on.one("invoice")["looks"] = 40
    busy = {"n": 1, "until": stamp(on.world.time + timedelta(hours=1))}
    on.world.ledger.items[KEY]["tokens"] = {"somebody": busy}
    assert on.probe(minutes=10)["could not look"] == 1
    assert on.one("invoice")["due"] <= stamp(on.world.time + probe.ROOM_AGAIN)
