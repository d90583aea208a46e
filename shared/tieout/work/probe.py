"""Probe: nothing waits unseen. Every state that is not terminal carries a due time, and this re-drives all of them.

NEW is sent again; a lease that ran out is in doubt; in doubt is looked at after the quiet period and adopted, resent or
given to a person; held is asked again; delivered is matched with its acknowledgement; a lost answer to a state machine
is repeated; what landed in a dead-letter queue is booked.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from tieout import systems
from tieout.contract import Finds, Found
from tieout.core import gates, keys, lanes, ledger
from tieout.core.keys import Key
from tieout.core.ledger import stamp
from tieout.core.verdicts import NeedsHuman, NotYet, Uncertain, Verdict
from tieout.core.windows import Job
from tieout.core.writes import Change, Item, Refused, Write
from tieout.work import broker, plans, sequences, steps, windows
from tieout.work import intake as intake_verb
from tieout.work import post as post_verb
from tieout.work.book import CASE_AGAIN, Outcome, answer
from tieout.work.commit import Fenced, View, together
from tieout.work.ports import Message, Ports, Send, Unavailable

#: Safe to run twice at once, because every write is conditional; what it would miss has an alarm of its own.
JOB: Final = Job("probe", timedelta(minutes=1), "nothing that waits is looked at", once=False)
#: Work is not begun with less than this many seconds left.
MARGIN: Final = 15.0
LANE_AGAIN: Final = timedelta(seconds=90)
#: Seconds between two looks at a target at which something waits, while a run of probe lasts.
TAP_EVERY: Final = 5.0
#: Letting go asks no target and makes some fifty calls of the ledger: it goes on when other work is not begun any more.
TAP_MARGIN: Final = 5.0
#: What is not to be looked at before that is left to the next run.
TAP_WITHIN: Final = timedelta(minutes=1)
#: What stands behind a head is looked at for its own sake only this rarely.
TURN_AGAIN: Final = timedelta(hours=6)
#: How often a dead letter is tried before a person gets it.
BURY_AT: Final = 3
#: A lane that stands still is looked at ever more rarely: its head has a due time of its own.
LANE_LEAST, LANE_MOST = 90, 3600
#: The longest time in seconds between two looks for a posting in doubt.
LOOK_MOST: Final = 300
#: How soon a look for which there was no room is tried again at the earliest.
ROOM_AGAIN: Final = timedelta(seconds=20)
#: How many calls in a row may end with the process that made them, nothing of them found at the target, before a person
#: gets their document: it may be what ends them.
MOST_LAPSES: Final = 8


def probe(ports: Ports, limit: int = 200, then: Callable[[], object] = lambda: None) -> Counter[str]:
    """Look at everything that is due, ``limit`` rows at a time while there is time; counts by what was done.

    Never raises for one item's sake. ``then`` is what else there is to do in this run, before the rest of it is spent
    waiting at targets at which something waits.
    """
    done: Counter[str] = Counter()
    now = stamp(ports.now())
    seen: set[Key] = set()
    waited: set[Key] = set()
    tapped = ports.now()
    while True:
        rows = [Key(row["pk"], row["sk"]) for row in ports.ledger.due(now, limit)]
        fresh = [key for key in rows if key not in seen]
        waited |= _page(ports, fresh, now, done)
        seen.update(fresh)
        if waited and ports.now() - tapped >= timedelta(seconds=TAP_EVERY):
            # However much else is due: what waits at a target goes as soon as there is room for it.
            _let_all_go(ports, sorted(waited), done)
            tapped = ports.now()
        # What was looked at and is still listed (the index lags) must not be looked at for ever.
        if len(rows) < limit or not fresh or ports.remaining() < MARGIN:
            break
    try:
        then()
    finally:
        _tap(ports, sorted(waited), done)
    return done


def _tap(ports: Ports, budgets: Sequence[Key], done: Counter[str]) -> None:
    """Stay with the targets at which something waits and let go what has room, every few seconds of the minute."""
    while budgets and ports.remaining() > TAP_MARGIN + TAP_EVERY:
        before = ports.now()
        ports.pause(TAP_EVERY)
        if ports.now() <= before:
            return
        budgets = _let_all_go(ports, budgets, done)


def _let_all_go(ports: Ports, budgets: Sequence[Key], done: Counter[str]) -> Sequence[Key]:
    """Let go what has room at each of the targets; those at which something may go before the next run."""
    batch = post_verb.Batch(ports)
    try:
        batch.read(budgets)
        budgets = [key for key in budgets if _soon(batch.view.get(key) or {}, ports)]
        for key in budgets:
            done[_let_go(batch, batch.view[key] or {})] += 1
        ports.queues.send(batch.sends)
    except Verdict as obstacle:
        ports.log("probe_obstacle", item="tap", code=obstacle.code)
    return budgets


def _soon(budget: Item, ports: Ports) -> bool:
    """Whether something waits there that may go before the next run: not behind a long pause, nor for a release."""
    return bool(budget.get("waits")) and budget.get("due", "") <= stamp(ports.now() + TAP_WITHIN)


def _page(ports: Ports, rows: Sequence[Key], now: str, done: Counter[str]) -> set[Key]:
    """Look at some rows; the budgets among them at which something waits."""
    batch = post_verb.Batch(ports)
    batch.read(rows)
    # The index lags: only the item says when it is due. A look before the quiet period is over books twice (seed 1588).
    items = [item for item in list(batch.view.values()) if item and item.get("due") and item["due"] <= now]
    _ask_sources([item for item in items if _asks(item)], batch.ports, done)
    items = [item for item in items if not _asks(item)]
    batch.read([
        *(keys.lane_item(item["lane"]) for item in items if item.get("what") == "posting" and item.get("lane")),
        *(keys.posting_item(head) for item in items if item.get("what") == "lane" and (head := lanes.head(item))),
    ])  # fmt: skip
    for item in items:
        if ports.remaining() < MARGIN:
            done["left for the next run"] += 1
            continue
        try:
            done[look_at(batch, item)] += 1
        except Fenced:
            done["moved on"] += 1
        except (Refused, Verdict) as obstacle:
            ports.log("probe_obstacle", item=item["pk"], code=getattr(obstacle, "code", type(obstacle).__name__))
            done["not now"] += 1
        except Exception as error:
            # One poison item must not hide what is due behind it; it stays due, and the log and the count name it.
            ports.log("probe_failed", item=item["pk"], error=type(error).__name__)
            done["failed"] += 1
    try:
        together(ports.ledger, batch.later)
    except Verdict as obstacle:
        ports.log("probe_obstacle", item="later", code=obstacle.code)  # they stay due
    for slots in batch.slots.values():
        broker.give_back(ports, batch.view, slots)
    ports.queues.send(list({send.posting: send for send in batch.sends}.values()))
    return {key for key, item in batch.view.items() if key.pk.startswith("B#") and item and item.get("waits")}


def _asks(item: Item) -> bool:
    """Whether an item is an event that waits, for its source or for a release, and that this release knows."""
    return item.get("what") == "event" and "waits" in item and not ledger.newer(item)


def _ask_sources(items: Sequence[Item], ports: Ports, done: Counter[str]) -> None:
    """Events that wait for their source, all of them at once: their objects are asked for once each."""
    if not items:
        return
    if ports.remaining() < MARGIN:
        done["left for the next run"] += len(items)
        return
    from tieout.work import waiting  # seldom: most events carry their object

    try:
        done.update(waiting.resume(items, ports))
    except Exception as error:
        ports.log("resume_failed", events=len(items), error=type(error).__name__)
        done["failed"] += len(items)


def look_at(batch: post_verb.Batch, item: Item) -> str:
    """One due item; what was done, in a word."""
    what = item.get("what")
    if ledger.newer(item):
        return "left to a newer release"
    if what == "posting":
        return _STATES[item["state"]](batch, item)
    if what == "lane":
        return _lane(batch, item)
    if what == "budget":
        return _let_go(batch, item)
    if what == "run":
        return steps.look(batch.ports, item)
    if what == "stream":
        return sequences.look(batch.ports, item)
    if what == "job":
        return windows.look(batch.ports, item)
    postpone(batch, item, CASE_AGAIN * 6)
    return "case still open"


def postpone(batch: post_verb.Batch, item: Item, by: timedelta, **values: object) -> None:
    """Look again later; no line of history. Written with others at the end of the page."""
    change = Change(
        Key(item["pk"], item["sk"]),
        set={**ledger.due(item["pk"], batch.ports.now() + by), **values},
        add={"looks": 1},
        when={"state": item["state"], "tail": item["tail"]} if "tail" in item else {},
    )
    batch.later.append(change)


# --- postings by state -------------------------------------------------------------------------------------------
def _new(batch: post_verb.Batch, item: Item) -> str:
    lane = batch.view.get(keys.lane_item(item["lane"])) if item.get("lane") else None
    if item.get("lane") and lanes.head(lane) != item["key"]:
        if _withdrawn(batch, item):
            return "withdrawn with what it takes back"
        # Whoever finishes the head wakes it, and the lane's own due time finds a wake-up that was lost: nobody polls.
        # Only a void may have to end without its turn, together with the document that it takes back.
        soon = ledger.backoff(item.get("looks", 0), item["key"], least=LANE_LEAST, most=LANE_MOST)
        postpone(batch, item, soon if item["action"] == "void" else TURN_AGAIN)
        return "waits its turn"
    sends = item.get("sends", 1) + 1
    postpone(batch, item, ledger.RESEND_AFTER + ledger.backoff(item.get("looks", 0), item["key"]), sends=sends)
    batch.sends.append(Send.of(item | {"sends": sends}))
    return "sent again"


def _withdrawn(batch: post_verb.Batch, item: Item) -> bool:
    """Whether a void ended together with its document, which is unsent and goes on by nobody's hand but a person's."""
    if item["action"] != "void":
        return False
    batch.read([Key(*key) for key in item.get("reads", ())])
    ended = plans.withdraw(batch.ports, batch.view, item)
    batch.sends += ended or []
    return ended is not None


def _held(batch: post_verb.Batch, item: Item) -> str:
    now = batch.ports.now()
    late = gates.LATE.get(item.get("code", ""))
    if late and stamp(now) > item.get("late", "~"):
        facts = {**item.get("facts", {}), "since": item["opened"]}
        known = {name: value for name, value in facts.items() if name in ("what", "gate", "since", "target")}
        batch.book(item, Outcome(ledger.HELD, NotYet(late, **known), due_at=now + CASE_AGAIN))
        return "case opened: parent late" if late == "parent_late" else "case opened: customer late"
    if item.get("aside"):
        if _withdrawn(batch, item):
            return "withdrawn with what it takes back"
        return _aside(batch, item)
    if "released" in item:
        return _lost_release(batch, item)
    return _new(batch, item)


def _lost_release(batch: post_verb.Batch, item: Item) -> str:
    """What was let go and did not arrive within a minute waits again, in its old place."""
    slots = batch.share(item["target"])
    batch.read([slots.key])
    verdict = NotYet(item["code"], **{**item.get("facts", {}), "gate": "budget", "until": stamp(batch.ports.now())})
    post_verb.wait(batch, item, verdict)
    slots.returned += 1
    return "waits for room again"


def _let_go(batch: post_verb.Batch, item: Item) -> str:
    """A target's budget: let go what it takes until the next look."""
    target = item["pk"].removeprefix("B#")
    broker.measure(batch.ports, batch.view, batch.slots, target)
    sends = broker.let_go(batch.ports, batch.view, target)
    batch.sends += sends
    return "let go" if sends else "nothing to let go"


def _aside(batch: post_verb.Batch, item: Item) -> str:
    """A posting that stood aside for its parent: back to the front of its lane once the parent is there."""
    reads = [Key(*key) for key in item.get("reads", ())]
    batch.read(reads)
    lane = batch.view.get(keys.lane_item(item["lane"]))
    scene = gates.Scene(item, lane, {key: batch.view.get(key) for key in reads}, None, batch.ports.now(), "")
    try:
        gates.parent(scene)
    except NotYet:
        postpone(batch, item, ledger.backoff(item.get("looks", 0), item["key"], least=20))
        return "still waits for its parent"
    except NeedsHuman:
        pass  # it will not come: the gate says so to the head of the lane, where a case blocks what it must

    def back(seen: View) -> list[Write]:
        # With the posting's own move, which is refused where it has gone on: else a finished one would block its lane.
        now_lane = seen.get(keys.lane_item(item["lane"]))
        if now_lane is None or item["key"] in now_lane.get("queue", []):
            return []
        return [lanes.come_back(now_lane, item["key"], batch.ports.now())]

    again = batch.ports.now() + ledger.RESEND_AFTER
    batch.book(item, Outcome(ledger.NEW, due_at=again, remove=("aside", "hold"), extra=back))
    batch.sends.append(Send.of(item | {"sends": item.get("sends", 1) + int(item["lines"]) + 100}))
    return "released"


def _sending(batch: post_verb.Batch, item: Item) -> str:
    """The lease ran out: whoever had it may or may not have written. Quiet first, then look."""
    now = batch.ports.now()
    if item["lease"] > stamp(now):
        return "still leased"
    target = systems.target(item["target"].partition(":")[0])
    verdict = Uncertain("target_lost", "the lease ran out in SENDING", target=item["target"])
    due_at = now + timedelta(seconds=target.quiet.period)
    ended = {"epoch": item["epoch"] + 1, "lapses": item.get("lapses", 0) + 1}
    batch.book(item, Outcome(ledger.IN_DOUBT, verdict, due_at=due_at, set=ended))
    return "in doubt"


def _in_doubt(batch: post_verb.Batch, item: Item) -> str:
    ports, now = batch.ports, batch.ports.now()
    target = systems.target(item["target"].partition(":")[0])
    if target.finds is Finds.BLIND:
        batch.book(item, Outcome(ledger.AMBIGUOUS, NeedsHuman("cannot_look"), due_at=now + CASE_AGAIN))
        return "case opened: blind target"
    slots = batch.share(item["target"])
    asked = False
    try:
        wire = broker.asking(ports, batch.view, slots, target)
        asked = True
        found = target.find(wire, post_verb.work_of(item, now, looking=True))
    except Verdict as verdict:
        ports.log("look_failed", posting=item["key"], code=verdict.code)
        if asked:
            broker.looked(ports, batch.view, slots, verdict)
        postpone(batch, item, _look_again(item, verdict, now))
        return "could not look"
    broker.looked(ports, batch.view, slots, None)
    return _found(batch, item, found)


def _look_again(item: Item, verdict: Verdict, now: datetime) -> timedelta:
    """How soon to look again after a look that did not come to an answer.

    Where only room was wanting, as soon as there may be some: a backlog that takes all room for hours must not make
    the doubts of the outage its last. Where the target is away, ever more rarely, but once it is back, doubts of its
    first hour must not wait for another.
    """
    until = verdict.facts.get("until")
    wait = ledger.instant(until) - now if until else timedelta()
    if verdict.code == "budget_spent":
        return max(wait, ROOM_AGAIN)
    return max(wait, ledger.backoff(item.get("looks", 0), item["key"], least=20, most=LOOK_MOST))


def _found(batch: post_verb.Batch, item: Item, found: Found) -> str:
    """Book what a look at the target has shown."""
    now = batch.ports.now()
    target = systems.target(item["target"].partition(":")[0])
    facts = {"target": item["target"], "said": found.said, "batch": item.get("batch", "")}
    if found.state == "complete" and found.echo is not None:
        difference = post_verb.differs(item, target, found.echo)
        if difference:
            verdict = NeedsHuman("target_echo_differs", difference=difference, **facts)
            batch.book(item, Outcome(ledger.AMBIGUOUS, verdict, due_at=now + CASE_AGAIN))
            return "case opened: differs"
        batch.book(item, Outcome(ledger.POSTED, echo=found.echo, note={"found": "adopted"}))
        return "adopted"
    if found.state == "refused":
        verdict = NeedsHuman(found.code or "record_rejected", **facts)
        batch.book(item, Outcome(ledger.REFUSED, verdict, due_at=now + CASE_AGAIN))
        return "refused by the target"
    if found.state == "pending":
        return _pending(batch, item)
    if found.state == "absent" and item["state"] == ledger.IN_DOUBT and item.get("lapses", 0) >= MOST_LAPSES:
        verdict = NeedsHuman("ends_its_process", times=item["lapses"], **facts)
        batch.book(item, Outcome(ledger.REFUSED, verdict, due_at=now + CASE_AGAIN))
        return "case opened: ends its process"
    if found.state in ("absent", "partial") and item["state"] == ledger.IN_DOUBT:
        # A half that is there is for the target's send to go on with: it looks before it writes.
        batch.book(item, Outcome(ledger.NEW, due_at=now + ledger.RESEND_AFTER, note={"found": found.state}))
        batch.sends.append(Send.of(item | {"sends": item.get("sends", 1) + int(item["lines"]) + 100}))
        return "proven absent, sent again" if found.state == "absent" else "half done, sent again"
    verdict = NeedsHuman("found_several", **facts)
    batch.book(item, Outcome(ledger.AMBIGUOUS, verdict, due_at=now + CASE_AGAIN))
    return "case opened: ambiguous"


def _pending(batch: post_verb.Batch, item: Item) -> str:
    now = batch.ports.now()
    if item["state"] == ledger.IN_DOUBT:
        batch.book(item, Outcome(ledger.DELIVERED, due_at=now + post_verb.ACK_AGAIN, note={"found": "delivered"}))
        return "delivered after all"
    target = systems.target(item["target"].partition(":")[0])
    late = ledger.instant(item["since"]) + timedelta(seconds=target.ack_due)
    if now >= late and item.get("code") != "ack_missing":
        verdict = NeedsHuman("ack_missing", target=item["target"], batch=item.get("batch", ""))
        batch.book(item, Outcome(ledger.DELIVERED, verdict, due_at=now + CASE_AGAIN))
        return "case opened: no acknowledgement"
    postpone(batch, item, post_verb.ACK_AGAIN if now < late else CASE_AGAIN)
    return "awaits acknowledgement"


def _case(batch: post_verb.Batch, item: Item) -> str:
    answer(batch.ports, item)
    postpone(batch, item, CASE_AGAIN)
    return "case still open"


def _terminal(batch: post_verb.Batch, item: Item) -> str:
    answer(batch.ports, item)
    return "answered its state machine"


_STATES: Final[dict[str, Callable[[post_verb.Batch, Item], str]]] = {
    ledger.NEW: _new,
    ledger.HELD: _held,
    ledger.SENDING: _sending,
    ledger.IN_DOUBT: _in_doubt,
    ledger.DELIVERED: _in_doubt,
    ledger.AMBIGUOUS: _case,
    ledger.REFUSED: _case,
    ledger.POSTED: _terminal,
    ledger.SUPERSEDED: _terminal,
    ledger.COMPENSATED: _terminal,
}


# --- lanes -------------------------------------------------------------------------------------------------------
def _lane(batch: post_verb.Batch, item: Item) -> str:
    """A lane that stands still although its head could go: its wake-up was lost."""
    head = lanes.head(item)
    now = batch.ports.now()
    posting = batch.view.get(keys.posting_item(head)) if head else None
    again = ledger.backoff(item.get("looks", 0), item["pk"], least=LANE_LEAST, most=LANE_MOST)
    asleep = posting is not None and not item.get("looks") and _asleep(posting, now)
    if posting is not None and posting["state"] != ledger.NEW and not asleep:
        again = TURN_AGAIN  # the head has a due time of its own, and whoever takes it off makes the lane due
    change = Change(
        Key(item["pk"], item["sk"]),
        set=ledger.due(item["pk"], now + again) if head else {"updated": stamp(now)},
        remove=() if head else ("due", "due_shard"),
        add={"looks": 1},
        when={"rev": item["rev"]},
    )
    batch.later.append(change)
    if head is None:
        return "lane is empty"
    backs_off = posting is not None and posting.get("attempts", 0) and posting.get("due", "") > stamp(now + LANE_AGAIN)
    if posting is None or (not asleep and (posting["state"] != ledger.NEW or backs_off)):
        return "lane waits for its head"
    sends = int(keys.digest(stamp(now))[0]) + 2000
    batch.sends.append(Send.of(posting | {"sends": sends}))
    return "lane woken"


def _asleep(posting: Item, now: datetime) -> bool:
    """Whether a held posting became the head of its lane while it was put off for long, as what stands behind is."""
    held = posting["state"] == ledger.HELD and str(posting.get("due_shard", "")).startswith("D#")
    return held and posting["due"] > stamp(now + LANE_AGAIN) and "until" not in posting.get("hold", {})


# --- dead letters ------------------------------------------------------------------------------------------------
def dead(messages: Sequence[Message], ports: Ports) -> list[str]:
    """Book what landed in a dead-letter queue; ids of the messages that could not be booked yet.

    A lane's message is only transport: its posting is made due now. An inbox message is taken in again; where that
    fails ``BURY_AT`` times it becomes an event with a case that points at its bytes. Not at once: what fails here is
    most often a throttled service, and a person could only wait for it as well.
    """
    failed = []
    for message in messages:
        try:
            if "posting" in message.body:
                _wake(str(message.body["posting"]), ports)
                continue
            taken = not intake_verb.intake([message], ports)
        except Exception as error:
            ports.log("dead_letter", message=message.id, receives=message.receives, error=type(error).__name__)
            taken = False
        if not taken and not _buried(message, ports):
            failed.append(message.id)
    return failed


def _buried(message: Message, ports: Ports) -> bool:
    """Whether the message was made a case; not before it has failed often, nor where the vault is out of reach."""
    if message.receives < BURY_AT or "posting" in message.body:
        return False  # a lane's message may come for as long as it is kept: its posting is due in any case
    try:
        _bury(message, ports)
    except Unavailable:
        return False
    return True


def _wake(posting: str, ports: Ports) -> None:
    key = keys.posting_item(posting)
    item = ports.ledger.read([key]).get(key)
    if item is None or item["state"] in ledger.TERMINAL or ledger.newer(item):
        return
    due = ledger.due(key.pk, ports.now())
    ports.ledger.write([Change(key, set=due, when={"state": item["state"], "tail": item["tail"]})])


def _bury(message: Message, ports: Ports) -> None:
    """The last resort: the message itself, as it is, in the vault, and an event item with a case."""
    body = dict(message.body)
    raw = repr(sorted(body.items())).encode()
    name = str(body.get("delivery") or f"m_{hashlib.sha256(raw).hexdigest()[:32]}")
    arrival = intake_verb.Arrival(
        message, str(body.get("source", "unknown")), str(body.get("account", "unknown")), name,
        str(body.get("received_at") or stamp(ports.now())), raw, ports.vault.put(f"dead/{name}", raw),
    )  # fmt: skip
    verdict = NeedsHuman("dead_letter", receives=message.receives)
    fingerprint = hashlib.sha256(raw).hexdigest()
    taken = intake_verb.Taken(f"delivery.{name}", "", "", fingerprint, ledger.CASE, verdict)
    intake_verb.record(arrival, intake_verb.Batch(ports), taken)
