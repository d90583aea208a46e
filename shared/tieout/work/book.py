"""Booking: writing down what became of a posting, with all that follows from it, in one write.

With the move go, in the same transaction: the place in the lane, the customer's cross-references, the names by which
people search, the posting that tells the CRM, and what follows (`followers`). What is sent afterwards can be lost; each
has a due time.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from tieout import flows, systems
from tieout.contract import Echo
from tieout.core import documents, keys, lanes, ledger
from tieout.core.clocks import EventInstant
from tieout.core.documents import Customer, Status
from tieout.core.keys import Key
from tieout.core.money import Currency, Money
from tieout.core.problems import problem
from tieout.core.verdicts import Verdict
from tieout.core.writes import Change, Item, Refused, Write
from tieout.work import followers, make
from tieout.work.commit import Fenced, View, commit
from tieout.work.ports import Ports, Send

#: How soon an answer owed to a state machine is repeated if it was lost.
ANSWER_AGAIN: Final = timedelta(seconds=60)
#: How soon a person's case is looked at again (was the cause mended?).
CASE_AGAIN: Final = timedelta(minutes=10)
#: Kinds that are applied to the document above them.
APPLIES: Final = frozenset({"payment", "credit_note"})
#: The class of what tells the CRM: after everything that is booked.
TELL_PRIORITY: Final = 60
TELL: Final = flows.Step("tell", to="crm.status", action="upsert")


def alone(view: View) -> Sequence[Write]:
    """Nothing is to be written with it."""
    return ()


@dataclass
class Outcome:
    """What becomes of a posting: the state, why, and when to look again."""

    to: str
    verdict: Verdict | None = None
    echo: Echo | None = None
    due_at: datetime | None = None
    aside: bool = False
    set: dict[str, Any] = field(default_factory=dict)
    remove: Sequence[str] = ()
    note: dict[str, Any] = field(default_factory=dict)
    #: Postings that end unsent with this one, as they were seen.
    also: Sequence[Item] = ()
    #: Further writes that must land with this one, made from the view as it is when it is written.
    extra: Callable[[View], Sequence[Write]] = alone


def book(ports: Ports, view: View, posting: Item, outcome: Outcome) -> list[Send]:
    """Write ``outcome`` of ``posting``; the messages that should be sent now.

    Raises ``Fenced`` where the posting has moved on without us. ``view`` is refreshed.
    """
    token = ports.token()
    now = ports.now()
    expected = (posting["state"], posting["epoch"], posting["tail"])
    pk = Key(posting["pk"], posting["sk"])
    if posting["kind"] == Customer.kind and outcome.to == ledger.POSTED:
        _read_links(ports, view, posting)
    sends: list[Send] = []

    def compose(seen: View) -> list[Write]:
        item = seen.get(pk)
        if item is None or (item["state"], item["epoch"], item["tail"]) != expected:
            raise Fenced(posting["key"])
        sends.clear()
        writes = _move(ports, item, outcome, now, token)
        for other in outcome.also:
            writes += _end_with(ports, seen, item, other, now, token)
        writes += _lane(seen, item, outcome, now, sends)
        if outcome.to == ledger.POSTED and item["kind"] != Status.kind:
            echo = outcome.echo or Echo("")
            writes += make.aliases([item["ref"], echo.number, echo.remote], pk)
            if item["kind"] == Customer.kind:
                writes += _links(seen, item, outcome)
        if outcome.to == ledger.POSTED:
            writes += _mark(item)
        writes += _tell(seen, item, outcome, ports, now, token, sends)
        writes += _follow(seen, item, outcome, ports, now, token, sends)
        return [*writes, *outcome.extra(seen)]

    commit(ports.ledger, view, token, compose)
    _announce(ports, posting, outcome)
    answer(ports, view.get(pk))
    return sends


def answer(ports: Ports, item: Item | None) -> None:
    """Tell the state machine that waits for this posting, once it is terminal or definitely refused.

    A lost answer is repeated by probe: the posting stays due until the answer was given.
    """
    if item is None or not item.get("task_token"):
        return
    if item["state"] == ledger.REFUSED:
        cause = problem(item["code"]).say(item.get("facts", {}))
        ports.machines.refuse(item["task_token"], "NeedsHuman", cause)
    elif item["state"] in ledger.TERMINAL:
        ports.machines.answer(item["task_token"], {"posting": item["key"], "state": item["state"]})
        # Only the token that was answered: a step asked again meanwhile has left a newer one, which is owed still.
        owed = {"task_token": item["task_token"]}
        done = Change(Key(item["pk"], item["sk"]), remove=("due", "due_shard", "task_token"), when=owed)
        try:
            ports.ledger.write([done])
        except Refused:
            ports.log("answered_an_older_token", posting=item["key"])


def _move(ports: Ports, item: Item, outcome: Outcome, now: datetime, token: str) -> list[Write]:
    verdict = outcome.verdict
    values = dict(outcome.set)
    note = dict(outcome.note)
    if verdict is not None:
        values |= {"code": verdict.code, "facts": {"target": item["target"], **verdict.facts}}
        note |= {"code": verdict.code}
        if problem(verdict.code).case and "case" not in item:
            values["case"] = {"opened": ledger.stamp(now), "owner": problem(verdict.code).owner}
    if followers.worth_a_ticket(item, outcome.to):
        values |= followers.count(item)
    if outcome.echo is not None:
        values |= {"remote": outcome.echo.remote}
        note |= {"remote": outcome.echo.remote, "total": outcome.echo.total, "currency": outcome.echo.currency}
        if outcome.echo.number:
            values["remote_number"] = outcome.echo.number
    due_at = outcome.due_at
    if outcome.to in ledger.TERMINAL and item.get("task_token"):
        due_at = now + ANSWER_AGAIN
    # Whoever has an answer has outlived its call.
    outlived = ("lapses",) if "lapses" in item and item["state"] == ledger.SENDING and "lapses" not in values else ()
    return ledger.move(
        item,
        outcome.to,
        now,
        ports.owner,
        token,
        due_at=due_at,
        set=values,
        remove=(*outcome.remove, *outlived),
        **note,
    )


def _end_with(ports: Ports, seen: View, item: Item, other: Item, now: datetime, token: str) -> list[Write]:
    """The move of a posting that ends unsent with ``item``; raises ``Fenced`` where it is not any more as it was."""
    found = seen.get(Key(other["pk"], other["sk"]))
    if found is None or any(found[name] != other[name] for name in ("state", "epoch", "tail")):
        raise Fenced(item["key"])
    ended = Outcome(ledger.SUPERSEDED, note={"with": item["key"]}, remove=("aside",))
    return _move(ports, found, ended, now, token)


def _mark(item: Item) -> list[Write]:
    """What the document above knows of this one from now on: that something is applied to it, or that it is gone.

    The planner asks it before a document is taken back. No history line: the document above has not moved. What only
    follows an acceptance (tax, support) applies nothing.
    """
    if "after" in item:
        return []
    above = next((Key(*key) for key in item.get("reads", ()) if key[0].startswith("P#")), None)
    if above is None:
        return []
    if item["action"] == "void":
        return [Change(above, set={"taken_back": item["key"]})]
    return [Change(above, add={"applied": 1})] if item["kind"] in APPLIES else []


def _lane(seen: View, item: Item, outcome: Outcome, now: datetime, sends: list[Send]) -> list[Write]:
    if not item.get("lane") or not (outcome.to in ledger.TERMINAL or outcome.aside):
        return []
    lane = seen.get(keys.lane_item(item["lane"]))
    if lane is not None and outcome.to == ledger.SUPERSEDED:
        change, following = lanes.drop(lane, [item["key"], *(other["key"] for other in outcome.also)], now)
        if following:
            sends.append(follow(item, following))
        return [change]
    if lane is None or lanes.head(lane) != item["key"]:
        return []
    leave = lanes.stand_aside if outcome.aside else lanes.leave
    change, following = leave(lane, item["key"], now)
    if following:
        sends.append(follow(item, following))
    return [change]


def follow(item: Item, following: str) -> Send:
    """The message that wakes the next of a lane; what it reads is found when it is picked up."""
    system = item["target"].partition(":")[0]
    return Send(system, following, item["target"], item.get("lane"), (), sends=int(keys.digest(item["tail"])[0]) + 1000)


def _read_links(ports: Ports, view: View, posting: Item) -> None:
    canonical = keys.link_item("customer", _canonical(posting))
    view[canonical] = None
    view.update(ports.ledger.read([canonical]))


def _canonical(posting: Item) -> str:
    return documents.load("customer", zlib.decompress(posting["doc"])).canonical_id  # type: ignore[attr-defined,no-any-return]


def _links(seen: View, item: Item, outcome: Outcome) -> list[Write]:
    """The customer's cross-references: under its canonical identity, and under every id that a source uses for it."""
    if outcome.echo is None or item["action"] == "undo":
        return []
    canonical = _canonical(item)
    target, remote = item["target"], outcome.echo.remote
    system, _, account = target.partition(":")
    key = keys.link_item("customer", canonical)
    known = seen.get(key) or {}
    names = set(known.get("aliases", []))
    here = {"canonical": canonical, "what": "link", f"at:{target}": remote}
    inherited = {name: value for name, value in known.items() if name.startswith("at:")} | here
    writes: list[Write] = []
    if system in systems.SOURCES:
        alias = keys.object_id(system, account, remote)
        names.add(alias)
        if alias != canonical:
            writes.append(Change(keys.link_item("customer", alias), set={**inherited, "find": remote}, upsert=True))
    others = names - {keys.object_id(system, account, remote), canonical}
    writes += [Change(keys.link_item("customer", name), set=here, upsert=True) for name in sorted(others)]
    first = Change(
        key, set={**here, "aliases": sorted(names)}, add={"rev": 1}, when={"rev": known.get("rev")}, upsert=True
    )
    return [first, *writes]


def _worth_telling(item: Item, outcome: Outcome) -> bool:
    if not item.get("tell") or item["kind"] == Status.kind:
        return False
    if outcome.to in (ledger.POSTED, ledger.COMPENSATED, ledger.REFUSED, ledger.AMBIGUOUS) or outcome.also:
        return True
    return outcome.to == ledger.HELD and outcome.verdict is not None and problem(outcome.verdict.code).case


def sentence(item: Item, outcome: Outcome) -> str:
    """What a person in sales reads: what happened, who has it, what next."""
    name = {"invoice": "Invoice", "credit_note": "Credit note", "payment": "Payment", "customer": "Customer"}
    what = f"{name.get(item['kind'], item['kind'].capitalize())} {item.get('number') or item['source_id']}"
    if outcome.to == ledger.POSTED:
        done = {"void": "was reversed in", "undo": "was withdrawn from"}.get(item["action"], "was accepted by")
        where = f" as {outcome.echo.number or outcome.echo.remote}" if outcome.echo else ""
        return f"{what} {done} finance ({item['target']}){where}. Nothing to do."
    if outcome.to == ledger.SUPERSEDED:
        return f"{what} was taken back before finance had booked it. Nothing was booked, and there is nothing to do."
    if outcome.to == ledger.COMPENSATED:
        return f"{what} was taken back. Nothing to do."
    entry = problem(outcome.verdict.code if outcome.verdict else "late")
    facts = {"target": item["target"], **(outcome.verdict.facts if outcome.verdict else {})}
    return f"{what} is not booked yet. {entry.say(facts)} {entry.owner} has it. Next: {entry.remedy}"


def _tell(
    seen: View, item: Item, outcome: Outcome, ports: Ports, now: datetime, token: str, sends: list[Send]
) -> list[Write]:
    """The posting that tells the CRM, written with what it tells of. Newer supersedes older.

    All postings of a document share its status, so the number comes from the status's own lane: how many were told
    before, which the same write proves.
    """
    if not _worth_telling(item, outcome):
        return []
    link = _link(seen, item)
    shown = ledger.SHOWN[outcome.to]
    amount = Money(item["total"], Currency(item["currency"])) if "total" in item else None
    source_id = f"{item['kind']}.{item['source_id']}"
    lane = keys.lane_item(f"status:{keys.object_id(item['source'], item['account'], source_id)}")
    told = int((seen.get(lane) or {}).get("next", 0))
    about = Status(
        source=item["source"],
        account=item["account"],
        source_id=source_id,
        entity=item["entity"],
        version=told + 1,
        event_instant=EventInstant(now),
        key=item["key"][:255],
        about_kind=item["kind"],
        about_id=item["source_id"],
        document_ref=((outcome.echo.number or outcome.echo.remote) if outcome.echo else item.get("number")),
        status=shown,  # type: ignore[arg-type]
        sentence=sentence(item, outcome)[:1000],
        code=outcome.verdict.code if outcome.verdict else None,
        account_ref=(link or {}).get("canonical") or item.get("party"),
        amount=amount,
    )
    made = tell(about, item, ports, now, token)
    sends.append(made.send)
    assert made.join is not None
    assert made.join.key == lane
    return [made.put, replace(made.join, when={"next": told or None})]


def _link(seen: View, item: Item) -> Item | None:
    return next((seen.get(Key(*key)) for key in item.get("reads", ()) if key[0].startswith("X#")), None)


def _follow(
    seen: View, item: Item, outcome: Outcome, ports: Ports, now: datetime, token: str, sends: list[Send]
) -> list[Write]:
    """What follows of itself, written with what it follows: postings behind an acceptance, support's ticket."""
    origin = make.Origin(item["event"], item["correlation"], now, ports.owner, token, ports.region)
    made = list(followers.behind_acceptance(item, origin)) if outcome.to == ledger.POSTED else []
    if followers.worth_a_ticket(item, outcome.to):
        said = sentence(item, outcome)
        made.append(followers.ticket(item, outcome.to, outcome.verdict, said, _link(seen, item), origin))
    sends += [one.send for one in made]
    writes: list[Write] = [one.put for one in made]
    return writes + [one.join for one in made if one.join]


def tell(about: Status, item: Item, ports: Ports, now: datetime, token: str) -> make.Made:
    """The posting of a status document to the CRM that ``item`` names."""
    flow = flows.Flow(
        item["flow"], flows.named(item["flow"]).on, reads="", makes="status", steps=(TELL,), owner=item["owner_team"],
        sla=timedelta(minutes=30), lane="status", in_place=True, priority=TELL_PRIORITY,
    )  # fmt: skip
    origin = make.Origin(item["event"], item["correlation"], now, ports.owner, token, ports.region)
    return make.make(flow, TELL, about, item["tell"], origin)


def _announce(ports: Ports, item: Item, outcome: Outcome) -> None:
    """Tell the bus of a new case; nothing depends on it."""
    code = outcome.verdict.code if outcome.verdict else ""
    ports.log("booked", posting=item["key"], to=outcome.to, code=code)
    if code and problem(code).case and item.get("code") != code:
        ports.bus.tell("case.opened", {"posting": item["key"], "code": code, "owner": problem(code).owner})
