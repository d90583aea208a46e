"""Post: gates, render, claim, send, read back, book, next of the lane.

One batch of messages from lane queues. The clean path costs two AWS calls a record (claim, book) and two a batch (one
read for all records, one send of what follows); the batch's slot of the target's budget is taken inside the first claim
and given back inside the last booking. Nothing is returned to the queue to wait: a record is finished, or booked with a
due time, and acknowledged.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from tieout import systems
from tieout.contract import Echo, Target, Work
from tieout.core import capacity, gates, keys, lanes, ledger
from tieout.core.documents import Status
from tieout.core.keys import Key
from tieout.core.late import Action, Decision
from tieout.core.ledger import stamp
from tieout.core.verdicts import Ignore, NeedsHuman, NotYet, TryAgain, Uncertain, Verdict
from tieout.core.writes import Change, Item, Write
from tieout.work import broker, plans, render
from tieout.work.book import CASE_AGAIN, Outcome, alone, book
from tieout.work.broker import Slots
from tieout.work.commit import Fenced, View, commit
from tieout.work.ports import Message, Ports, Send

#: States from which a posting may be claimed; a held one is asked every gate again.
CLAIMABLE: Final = frozenset({ledger.NEW, ledger.HELD})
#: What a mistake in our own rules raises, and no service out of reach does.
FAULTS: Final = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, AssertionError)
#: Seconds needed after a call for the write that books its answer.
RECORD_MARGIN: Final = 5
#: Codes of those who wait for room at their target.
WAITS: Final = frozenset({"budget_spent", "target_paused"})
#: How often the acknowledgement of a delivered batch is looked for.
ACK_AGAIN: Final = timedelta(seconds=60)


@dataclass
class Claimed:
    """A posting that is ours to send: its item as claimed, the work for the target."""

    item: Item
    work: Work
    target: Target


@dataclass
class Batch:
    """One run of post over the messages of one event."""

    ports: Ports
    view: View = field(default_factory=dict)
    sends: list[Send] = field(default_factory=list)
    slots: dict[str, Slots] = field(default_factory=dict)
    #: Changes that have nothing to do with each other and may be written together, whoever is refused.
    later: list[Change] = field(default_factory=list)

    def load(self, bodies: Sequence[Send]) -> None:
        """Read everything the records' gates look at: one call for the messages that name what they read."""
        wanted: list[Key] = []
        for body in bodies:
            wanted.append(keys.posting_item(body.posting))
            wanted.append(keys.budget_item(body.target))
            wanted += [keys.lane_item(body.lane)] if body.lane else []
            wanted += [Key(*key) for key in body.reads]
        self.read(wanted)
        missing = [
            Key(*key)
            for body in bodies
            for key in (self.view.get(keys.posting_item(body.posting)) or {}).get("reads", ())
            if Key(*key) not in self.view
        ]
        if missing:
            self.read(missing)

    def read(self, wanted: Sequence[Key]) -> None:
        """Read into the view; what does not exist is remembered as absent."""
        distinct = list(dict.fromkeys(wanted))
        self.view.update(dict.fromkeys(distinct))
        self.view.update(self.ports.ledger.read(distinct))

    def share(self, target: str) -> Slots:
        """This batch's share of the budget of a target account."""
        return broker.slots_of(self.slots, target, self.ports.owner)

    def book(self, item: Item, outcome: Outcome) -> None:
        """Book one outcome and collect what is to be sent."""
        self.sends += book(self.ports, self.view, item, outcome)


def post(messages: Sequence[Message], ports: Ports) -> list[str]:
    """Work through a batch; ids of the messages that were not understood (their posting stays due)."""
    batch = Batch(ports)
    bodies, failed = _bodies(messages)
    batch.load(bodies)
    try:
        together: list[Claimed] = []
        for position, body in enumerate(bodies):
            later = [other for other in bodies[position + 1 :] if other.target == body.target]
            try:
                claimed = prepare(batch, body, records=1 + len(later))
                if claimed is None:
                    continue
                if claimed.target.batches:
                    together.append(claimed)
                else:
                    finish(batch, [claimed], last=not later)
            except Fenced as fenced:
                ports.log("fenced", posting=str(fenced))
            except Exception as error:
                # One poison posting must not take the others of its batch with it: its message comes again, and
                # whatever it was claimed with stays due.
                ports.log("post_failed", posting=body.posting, error=type(error).__name__)
                failed += [message.id for message in messages if message.body.get("posting") == body.posting]
        for target in dict.fromkeys(claimed.item["target"] for claimed in together):
            finish(batch, [claimed for claimed in together if claimed.item["target"] == target], last=True)
    finally:
        for slots in batch.slots.values():
            broker.give_back(ports, batch.view, slots)
        ports.queues.send(_still_needed(batch))
    if ports.remaining() > RECORD_MARGIN * 2:
        ports.queues.send(broker.let_go_where_room(ports, batch.view, batch.slots))
    return failed


def _bodies(messages: Sequence[Message]) -> tuple[list[Send], list[str]]:
    bodies: dict[str, Send] = {}
    failed: list[str] = []
    for message in messages:
        try:
            body = message.body
            send = Send(
                system=str(body["target"]).partition(":")[0],
                posting=body["posting"],
                target=body["target"],
                lane=body.get("lane"),
                reads=body.get("reads", ()),
                sends=int(body.get("sends", 0)),
            )
            bodies.setdefault(send.posting, send)
        except (KeyError, TypeError, ValueError):
            failed.append(message.id)
    return list(bodies.values()), failed


def _still_needed(batch: Batch) -> list[Send]:
    """What was to be sent, less what this very batch has finished meanwhile."""
    finished = {item["key"] for item in batch.view.values() if item and item.get("state") in ledger.TERMINAL}
    return list({send.posting: send for send in batch.sends if send.posting not in finished}.values())


# --- before the call ---------------------------------------------------------------------------------------------
def prepare(batch: Batch, body: Send, records: int = 1) -> Claimed | None:
    """Ask the gates, render and claim; ``None`` where there is nothing to send now (booked, or somebody else's).

    ``records`` is how many postings of this batch are still to come for the target, this one included.
    """
    item = batch.view.get(keys.posting_item(body.posting))
    if item is None or item["state"] not in CLAIMABLE:
        batch.ports.log("nothing_to_post", posting=body.posting, state=(item or {}).get("state", "absent"))
        return None
    _load_lane(batch, item)
    if _of_a_newer_release(batch, item):
        batch.ports.log("left_to_a_newer_release", posting=body.posting)
        return None
    target = systems.target(item["target"].partition(":")[0])
    batch.share(item["target"]).returned += "released" in item
    if _superseded(batch, item):
        return None
    try:
        ended = plans.withdraw(batch.ports, batch.view, item)
        if ended is not None:
            batch.sends += ended
            return None
        broker.await_slot(batch.ports, batch.view, batch.share(item["target"]))
        return claim(batch, item, target, _rendered(batch, item, target), records)
    except Verdict as verdict:
        hold(batch, item, verdict)
        return None


def _load_lane(batch: Batch, item: Item) -> None:
    key = keys.lane_item(item["lane"]) if item.get("lane") else None
    if key is not None and key not in batch.view:
        batch.read([key])


def _rendered(batch: Batch, item: Item, target: Target) -> render.Rendered:
    """Gates and rendering. A fault of ours in them is the same at each try, and nothing was sent: it is a case."""
    try:
        scene = _scene(batch, item)
        gates.ask(scene)
        return render.render(batch.ports, batch.view, item, target, scene.late)
    except FAULTS as error:
        batch.ports.log("not_rendered", posting=item["key"], error=type(error).__name__)
        raise NeedsHuman("not_rendered", error=type(error).__name__) from error


def _of_a_newer_release(batch: Batch, item: Item) -> bool:
    """Whether the posting, or anything that it would be decided by, has a shape that this release does not know."""
    lane = [keys.lane_item(item["lane"])] if item.get("lane") else []
    looked = [*lane, keys.budget_item(item["target"]), *(Key(*key) for key in item.get("reads", ()))]
    return ledger.newer(item) or any(ledger.newer(batch.view.get(key)) for key in looked)


def _superseded(batch: Batch, item: Item) -> bool:
    """A status that a newer one stands behind need not be sent any more."""
    lane = batch.view.get(keys.lane_item(item.get("lane", "")))
    if item["kind"] != Status.kind or lane is None or lanes.head(lane) != item["key"] or len(lane["queue"]) < 2:
        return False
    batch.book(item, Outcome(ledger.SUPERSEDED, note={"newer": lane["queue"][1]}))
    return True


def _scene(batch: Batch, item: Item) -> gates.Scene:
    return gates.Scene(
        posting=item,
        lane=batch.view.get(keys.lane_item(item["lane"])) if item.get("lane") else None,
        reads={Key(*key): batch.view.get(Key(*key)) for key in item.get("reads", ())},
        budget=batch.view.get(keys.budget_item(item["target"])),
        now=batch.ports.now(),
        region=batch.ports.region,
        late=render.lateness(batch.ports, item),
        plan=plans.of_void(batch.ports, batch.view, item),
        rules=render.rules(batch.ports, item),
    )


def hold(batch: Batch, item: Item, verdict: Verdict) -> None:
    """Book that a posting does not go now. A repeated *not yet* adds no line."""
    now = batch.ports.now()
    if verdict.code == "behind":
        return  # NEW and in its place: the booking of the head, or the lane's own due time, wakes it
    if broker.waits_for_room(verdict):
        wait(batch, item, verdict)
        return
    known = (verdict.code, gates.LATE.get(verdict.code, verdict.code))
    if isinstance(verdict, NotYet | TryAgain) and item["state"] == ledger.HELD and item.get("code") in known:
        batch.ports.ledger.write([postpone(item, now + _again(verdict, item, now))])
        return
    if isinstance(verdict, NeedsHuman):
        batch.book(item, Outcome(ledger.REFUSED, verdict, due_at=now + CASE_AGAIN))
        return
    aside = verdict.facts.get("gate") == "parent" and verdict.code == "parent_missing"
    batch.book(
        item,
        Outcome(
            ledger.HELD,
            verdict,
            due_at=now + _again(verdict, item, now),
            aside=aside,
            set={"hold": dict(verdict.facts), "aside": aside},
        ),
    )


def wait(batch: Batch, item: Item, verdict: Verdict) -> None:
    """Book that a posting waits for room at its target; who waits already waits on, without a line of history."""
    now = batch.ports.now()
    if item["state"] != ledger.HELD or item.get("code") not in WAITS:
        extra = partial(broker.wait, item=item, verdict=verdict, now=now)
        held = {"hold": dict(verdict.facts), **ledger.waiting(item)}
        gone = ("released", "looks")
        batch.book(item, Outcome(ledger.HELD, verdict, due_at=now, set=held, remove=gone, extra=extra))
        return
    change = Change(
        Key(item["pk"], item["sk"]),
        set={"code": verdict.code, "facts": {"target": item["target"], **verdict.facts}, **ledger.waiting(item)},
        remove=("released",),
        when={"state": item["state"], "tail": item["tail"]},
    )

    def compose(seen: View) -> list[Write]:
        found = seen.get(change.key)
        if found is None or (found["state"], found["tail"]) != (item["state"], item["tail"]):
            raise Fenced(item["key"])
        return [change, *broker.wait(seen, item, verdict, now)]

    commit(batch.ports.ledger, batch.view, "", compose)


def postpone(item: Item, at: datetime) -> Change:
    """Look again later; no line of history."""
    return Change(
        Key(item["pk"], item["sk"]),
        set=ledger.due(item["pk"], at),
        add={"looks": 1},
        when={"state": item["state"], "tail": item["tail"]},
    )


def _again(verdict: Verdict, item: Item, now: datetime) -> timedelta:
    until = verdict.facts.get("until")
    if until:
        return max(ledger.instant(until) - now, timedelta(seconds=1))
    after = verdict.facts.get("after")
    if after:
        return timedelta(seconds=min(int(after), capacity.ASKED_MOST))
    return ledger.backoff(int(item.get("looks", 0)) + int(item.get("attempts", 0)), item["key"], least=20)


# --- the claim ---------------------------------------------------------------------------------------------------
def claim(batch: Batch, item: Item, target: Target, rendered: render.Rendered, records: int = 1) -> Claimed:
    """Claim the posting with its intent: one conditional write on posting, lane and, for the first, the budget.

    Raises ``Fenced`` where somebody else has it, ``NotYet`` where it is no longer the head or no slot is free.
    """
    ports = batch.ports
    if ports.remaining() < target.quiet.client_timeout + RECORD_MARGIN:
        raise TryAgain("deadline_near", after=1)
    now, token = ports.now(), ports.token()
    lease = broker.lease_of(ports)
    expected = (item["state"], item["epoch"], item["tail"])
    pk = Key(item["pk"], item["sk"])
    slots = batch.share(item["target"])
    redated = rendered.lateness is not None and rendered.lateness.action is Action.REDATE
    intent = {
        **(_new_date(rendered.lateness) if redated and rendered.lateness else {}),
        "epoch": item["epoch"] + 1,
        "attempts": item["attempts"] + 1,
        "owner": ports.owner,
        "lease": stamp(now + lease),
        "payload": zlib.compress(rendered.payload, 6),
        "mapping": rendered.mapping,
        "since": stamp(now),
        # One batch a run: what this run claims together goes out in one file.
        **({"batch": ports.owner.replace(".", "-")} if target.batches else {}),
    }

    def compose(seen: View) -> list[Write]:
        found = seen.get(pk)
        if found is None or (found["state"], found["epoch"], found["tail"]) != expected:
            raise Fenced(item["key"])
        lane = seen.get(keys.lane_item(item["lane"])) if item.get("lane") else None
        if item.get("lane") and lanes.head(lane) != item["key"]:
            raise NotYet("behind", gate="lane", head=lanes.head(lane) or "nothing")
        moved = ledger.move(
            found, ledger.SENDING, now, ports.owner, token, due_at=now + lease, set=intent,
            remove=("code", "facts", "hold", "case", "looks", "aside", "released", "batch"), epoch=intent["epoch"],
            ref=item["ref"],
            mapping=rendered.mapping, sha256=rendered.sha256, redated=intent.get("posting_date"),
            late=", ".join(rendered.lateness.reasons) if rendered.lateness else "",
        )  # fmt: skip
        held = [lanes.hold_head(lane, item["key"], intent["epoch"])] if lane else []
        return [*moved, *held, *slots.take(seen, now, lease, records)]

    commit(ports.ledger, batch.view, token, compose)
    slots.taken(now)
    claimed = batch.view[pk]
    assert claimed is not None
    return Claimed(claimed, work_of(claimed, now), target)


def _new_date(decision: Decision) -> dict[str, str]:
    """What a re-dated posting records: the day it is booked under, the day it would have been, and why."""
    return {
        "posting_date": decision.posting_date.iso,
        "original_posting_date": decision.original.iso,
        "late_by": ", ".join(decision.reasons),
    }


def work_of(item: Item, now: datetime, *, looking: bool = False) -> Work:
    """A posting as its target sees it."""
    return Work(
        key=item["key"],
        kind=item["kind"],
        action=item["action"],
        ref=item["ref"],
        entity=item["entity"],
        account=item["target"].partition(":")[2],
        currency=item.get("currency"),
        total=item.get("total"),
        payload=zlib.decompress(item["payload"]),
        now=now,
        since=ledger.instant(item["since"]) if looking and item.get("since") else None,
        batch=item.get("batch"),
    )


# --- the call and what came of it --------------------------------------------------------------------------------
def finish(batch: Batch, claimed: Sequence[Claimed], *, last: bool) -> None:
    """Call the target for what was claimed and book each answer; the last booking gives the budget's slot back."""
    ports, target = batch.ports, claimed[0].target
    account = claimed[0].work.account
    echoes: Sequence[Echo | None] = ()
    failure: Verdict | None = None
    try:
        if ports.remaining() < target.quiet.client_timeout + RECORD_MARGIN:
            raise TryAgain("deadline_near", after=1)
        wire = broker.Metered(
            ports, batch.view, batch.share(claimed[0].item["target"]), ports.wire(target, account), writes=True
        )
        echoes = target.send(wire, [one.work for one in claimed])
    except Verdict as verdict:
        failure = verdict
    for position, one in enumerate(claimed):
        outcome = (
            failed(one, failure, ports.now()) if failure is not None else succeeded(one, echoes[position], ports.now())
        )
        slots = batch.share(one.item["target"])
        slots.handled += 1
        slots.spoiled |= failure is not None and capacity.about_the_account(failure)
        end = position == len(claimed) - 1
        if end and (failure is None or not capacity.about_the_account(failure)):
            slots.good += 1
        giving = last and end
        try:
            if giving or (end and failure is not None):
                outcome.extra = partial(slots.tell, verdict=failure, now=ports.now(), giving=giving)
            apart = _book(batch, one, outcome)
            if apart:
                broker.object_apart(ports, batch.view, slots, failure)
            elif giving or (end and failure is not None):
                slots.told(gave=giving)
        except Fenced as fenced:
            ports.log("fenced_after_call", posting=str(fenced), to=outcome.to)


def _book(batch: Batch, one: Claimed, outcome: Outcome) -> bool:
    """Book what became of a call; whether it was booked without what the budget should have heard with it.

    Where a newer release has joined the lane meanwhile, it is left in doubt: that release looks at the target, and
    takes the posting out of its lane. The budget is everybody's, the posting and its lane are ours: an answer in hand
    is not left to its lease, and doubted for the quiet period, because others write to the budget all the time.
    """
    try:
        batch.book(one.item, outcome)
    except TryAgain as verdict:
        if verdict.code == "newer_release":
            batch.book(one.item, replace(failed(one, Uncertain(verdict.code), batch.ports.now()), extra=outcome.extra))
        elif verdict.code == "ledger_contended" and outcome.extra is not alone:
            batch.book(one.item, replace(outcome, extra=alone))
            return True
        else:
            raise
    return False


def succeeded(one: Claimed, echo: Echo | None, now: datetime) -> Outcome:
    """What an answered call becomes: POSTED where the target shows our document, DELIVERED where it answers later."""
    if echo is None or echo.later:
        job = echo.remote if echo else one.item.get("batch")
        return Outcome(ledger.DELIVERED, due_at=now + ACK_AGAIN, set={"batch": job} if job else {}, note={"batch": job})
    difference = differs(one.item, one.target, echo)
    if difference:
        verdict = Uncertain("target_echo_differs", difference, difference=difference)
        return failed(one, verdict, now)
    return Outcome(ledger.POSTED, echo=echo)


def differs(item: Item, target: Target, echo: Echo) -> str:
    """How the target's document differs from ours in what the action says it must echo; empty where it does not."""
    shown: dict[str, Any] = {"ref": echo.ref, "currency": echo.currency, "total": echo.total}
    ours: dict[str, Any] = {"ref": item["ref"], "currency": item.get("currency"), "total": item.get("total")}
    names = target.actions[item["kind"], item["action"]].echo
    return "; ".join(f"{name}: {shown[name]} there, {ours[name]} here" for name in names if shown[name] != ours[name])


def failed(one: Claimed, verdict: Verdict, now: datetime) -> Outcome:
    """What a failed call becomes, by its verdict's class alone."""
    item = one.item
    match verdict:
        case Uncertain():
            due_at = now + timedelta(seconds=one.target.quiet.period)
            return Outcome(ledger.IN_DOUBT, verdict, due_at=due_at, set={"since": stamp(now)})
        case TryAgain():
            return Outcome(ledger.NEW, verdict, due_at=now + _again(verdict, item, now))
        case NotYet():
            return Outcome(
                ledger.HELD, verdict, due_at=now + _again(verdict, item, now), set={"hold": dict(verdict.facts)}
            )
        case Ignore():
            raise TypeError(f"{verdict.code}: a target cannot be ignored")
        case _:
            return Outcome(ledger.REFUSED, verdict, due_at=now + CASE_AGAIN)
