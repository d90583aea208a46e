"""Steps of a multi-step flow, each through the same posting protocol; the state machine only says what comes next.

A posting step waits by task token stored on the posting: whoever makes the posting terminal (or sees it definitely
refused) answers it, and probe repeats a lost answer. Asked twice, a step finds its posting and waits on.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final, TypeVar

from tieout import flows, systems
from tieout.contract import Advisor, Wire
from tieout.core import documents, keys, lanes, ledger
from tieout.core.clocks import EventInstant
from tieout.core.documents import Document, Opportunity, Status
from tieout.core.keys import Key
from tieout.core.ledger import stamp
from tieout.core.problems import problem
from tieout.core.rules import onboarding
from tieout.core.verdicts import NeedsHuman, NotYet, TryAgain, Verdict
from tieout.core.writes import Change, Item, Refused, Write
from tieout.work import broker, followers, make, render
from tieout.work.book import ANSWER_AGAIN, CASE_AGAIN, answer
from tieout.work.commit import View
from tieout.work.ports import Ports, Send

T = TypeVar("T")
#: How long a run may go without being looked at.
LOOK_AGAIN: Final = timedelta(minutes=5)
DONE: Final = frozenset({"DONE", "COMPENSATED"})
#: How often a token is handed to a posting that moves meanwhile.
TRIES: Final = 6


def step(event: Mapping[str, Any], ports: Ports) -> dict[str, Any]:
    """One call of a state machine: ``{step, run, token?, undo?}``. Raises the verdict of a step that fails."""
    key = Key(*event["run"])
    run = ports.ledger.read([key]).get(key)
    if run is None:
        raise NeedsHuman("step_failed", step=event["step"], flow="?", said="there is no such run")
    ledger.ours(run)
    flow = flows.named(run["flow"])
    name = str(event["step"])
    if name in ("done", "failed"):
        return finish(run, flow, ports, failed=name == "failed", error=event.get("error"))
    one = next(candidate for candidate in flow.steps if candidate.name == name)
    if one.does == "check":
        return check(run, ports)
    if one.does == "look":
        return look_for(run, one, ports)
    if one.does == "ask":
        return ask_about(run, one, ports)
    return ask_posting(run, flow, one, str(event["token"]), ports, undo=bool(event.get("undo")))


def deal(run: Item) -> Opportunity:
    """The document a run is about."""
    doc = documents.load(run["kind"], zlib.decompress(run["doc"]))
    if not isinstance(doc, Opportunity):
        raise NeedsHuman("step_failed", step="", flow=run["flow"], said=f"cannot onboard a {run['kind']}")
    return doc


def check(run: Item, ports: Ports) -> dict[str, Any]:
    """Validate the deal; the run is under way from here on."""
    advance(run, "RUNNING", ports, due_in=LOOK_AGAIN)
    onboarding.validate(deal(run))
    return {"ok": True}


def look_for(run: Item, one: flows.Step, ports: Ports) -> dict[str, Any]:
    """Look for the customer in the target before creating it; what is found is linked, not made again."""
    doc = deal(run)
    where = render.route(one.role, one.kind, doc)
    target = systems.target(where.partition(":")[0])
    found = ask_target(ports, where, lambda wire: target.look(wire, one.kind, onboarding.search_facts(doc)))
    if len(found) > 1:
        raise NeedsHuman("found_several", target=where)
    if not found:
        return {"found": False}
    link = keys.link_item("customer", doc.customer.canonical_id)
    change = Change(
        link,
        set={
            "what": "link", "canonical": doc.customer.canonical_id, f"at:{where}": found[0].remote,
            # What is shown under our reference is our own, of a run before.
            **({} if found[0].ref == target.reference.of(f"customer/{doc.customer.canonical_id}")
               else {f"found:{where}": found[0].remote}),
        },
        add={"rev": 1}, upsert=True,
    )  # fmt: skip
    ports.ledger.write([change])
    return {"found": True, "remote": found[0].remote}


def ask_about(run: Item, one: flows.Step, ports: Ports) -> dict[str, Any]:
    """Ask a target about the deal, where the route table names one; the answer is kept on the run.

    Only what a person must mend stops the flow. A target that is down, or a product that nobody has classed yet, costs
    the answer and nothing else: nothing was written, and nothing hangs on it.
    """
    doc = deal(run)
    where = render.route_if_any(one.role, one.kind, doc)
    if where is None:
        return {"asked": False}
    target = systems.target(where.partition(":")[0])
    try:
        if not isinstance(target, Advisor):
            raise NeedsHuman("route_unable", target=where, action=one.action, kind=one.kind)
        payload = render.question(ports, doc, target.asks[one.kind, one.action], target.name)
        said = ask_target(ports, where, lambda wire: target.ask(wire, one.kind, one.action, payload))
    except NeedsHuman:
        ports.ledger.write([Change(Key(run["pk"], run["sk"]), set={"stopped": one.name})])
        raise
    except Verdict as verdict:
        ports.log("not_answered", run=run["pk"], step=one.name, code=verdict.code)
        return {"asked": False, "code": verdict.code}
    ports.ledger.write([Change(Key(run["pk"], run["sk"]), set={one.action: {"of": where, **said}})])
    return {"asked": True}


def ask_target(ports: Ports, where: str, ask: Callable[[Wire], T]) -> T:
    """A look within the target's budget. Raises ``NotYet`` where it has no room now: the machine asks again."""
    view: View = {}
    slots = broker.slots_of({}, where, ports.owner)
    try:
        found = ask(broker.asking(ports, view, slots, systems.target(where.partition(":")[0])))
        broker.looked(ports, view, slots, None)
        return found
    except NotYet:
        raise
    except Verdict as verdict:
        broker.looked(ports, view, slots, verdict)
        raise
    finally:
        broker.give_back(ports, view, slots)


def document_for(run: Item, one: flows.Step, ports: Ports) -> Document:
    """The document that a step posts, made from the deal."""
    doc = deal(run)
    if one.kind == "customer":
        return onboarding.customer_of(doc)
    if one.kind == "subscription":
        return onboarding.subscription_of(doc)
    told = run.get("estimate")
    tax = f" Its tax is estimated at {told['tax']} {doc.currency}." if told else ""
    said = f"{doc.customer.legal_name} is set up in billing and finance.{tax} Nothing to do."
    return status_of(run, doc, "accepted", said, 1, ports)


def status_of(run: Item, doc: Opportunity, status: str, sentence: str, version: int, ports: Ports) -> Status:
    """What the CRM is told about a run."""
    return Status(
        source=doc.source, account=doc.account, source_id=f"opportunity.{doc.source_id}", entity=doc.entity,
        version=run["run"] * 100 + version, event_instant=EventInstant(ports.now()), key=run["pk"][:255],
        about_kind="opportunity", about_id=doc.source_id, status=status, sentence=sentence[:1000],  # type: ignore[arg-type]
        account_ref=doc.account_ref, amount=doc.amount, document_ref=None, code=None,
    )  # fmt: skip


def ask_posting(
    run: Item, flow: flows.Flow, one: flows.Step, token: str, ports: Ports, *, undo: bool
) -> dict[str, Any]:
    """Make the step's posting, or find it: its terminal state answers the token, now or later."""
    doc = document_for(run, one, ports)
    role_kind = one.kind
    target = render.route(one.role, role_kind, doc)
    action = one.undo if undo else one.action
    origin = make.Origin(run["event"], run["correlation"], ports.now(), ports.owner, ports.token(), ports.region)
    generation = run["run"] - 1
    if undo:
        forward = make.make(flow, one, doc, target, origin, generation=generation)
        done = ports.ledger.read([forward.put.key]).get(forward.put.key)
        if done is None or done["state"] not in (ledger.POSTED, ledger.COMPENSATED):
            ports.machines.answer(token, {"nothing_to_undo": one.name})
            return {"nothing_to_undo": one.name}
    more: dict[str, Any] = {"task_token": token, "run": [run["pk"], run["sk"]]}
    if one.role == "erp" and not undo:
        more |= followers.wanted(flow, doc)
    made = make.make(flow, one, doc, target, origin, action=action, generation=generation, more=more)
    if undo and done is not None:
        made.put.item.update(undoes=done["key"], reads=[list(forward.put.key), *made.put.item["reads"]])
    writes: list[Write] = [made.put, *([made.join] if made.join else []), *_linked(run, made)]
    try:
        ports.ledger.write(writes)
        ports.queues.send([made.send])
    except Refused as refusal:
        for seen in refusal.seen:
            ledger.ours(seen or {})
        _join(made, token, ports)
    return {"posting": made.key}


def _linked(run: Item, made: make.Made) -> list[Write]:
    """The run lists its postings, so that one look shows all that hangs on it."""
    return [Change(Key(run["pk"], run["sk"]), append={"done": [made.key]})]


def _join(made: make.Made, token: str, ports: Ports) -> None:
    """The posting exists: hand it the newest token and, where it is finished, answer at once.

    What is finished already is due again with the token, so that probe repeats an answer that gets lost; and the token
    is written on the state that was seen, so that nobody finishes the posting unheard in between.
    """
    for _ in range(TRIES):
        item = ports.ledger.read([made.put.key]).get(made.put.key)
        if item is None:
            raise NeedsHuman(
                "step_failed", step=made.put.item["step"], flow=made.put.item["flow"], said="refused twice"
            )
        ledger.ours(item)
        again = ledger.due(item["pk"], ports.now() + ANSWER_AGAIN) if item["state"] in ledger.TERMINAL else {}
        seen = {"state": item["state"], "tail": item["tail"]}
        try:
            ports.ledger.write([Change(made.put.key, set={"task_token": token, **again}, when=seen)])
            break
        except Refused:
            continue
    else:
        raise TryAgain("ledger_contended", "the posting moved on six times")
    item = item | {"task_token": token}
    if item["state"] == ledger.NEW:
        ports.queues.send([Send.of(item | {"sends": item.get("sends", 1) + int(item["lines"]) + 50})])
    answer(ports, item)


# --- the run -----------------------------------------------------------------------------------------------------
def advance(run: Item, to: str, ports: Ports, *, due_in: timedelta | None, **values: Any) -> None:
    """One line of the run's history, conditional on its tail; a run that has moved on is left alone."""
    if run["state"] == to or run["state"] in DONE:
        return
    now = ports.now()
    line = ledger.history_line(run, to, now, ports.owner, code=values.get("code"))
    final = {"day": line["at"][:10], "at": line["at"]} if to in DONE else {}
    change = Change(
        Key(run["pk"], run["sk"]),
        set={
            "state": to, "updated": line["at"], "tail": line["hash"], "lines": line["n"], **values, **final,
            **(ledger.due(run["pk"], now + due_in) if due_in else {}),
        },
        remove=() if due_in else ("due", "due_shard"),
        append={"history": [line]},
        when={"tail": run["tail"]},
    )  # fmt: skip
    try:
        ports.ledger.write([change])
    except Refused:
        ports.log("run_moved_on", run=run["pk"], to=to)


def finish(run: Item, flow: flows.Flow, ports: Ports, *, failed: bool, error: Any) -> dict[str, Any]:
    """The last call of a machine: the run is done, or what it had made is taken back and a case says why."""
    if not failed:
        advance(run, "DONE", ports, due_in=None)
        return {"state": "DONE"}
    broken = _failed_step(run, ports)
    undone = [posting for posting in _postings(run, ports) if posting["action"] == "undo"]
    taken_back = {posting.get("undoes") for posting in undone if posting["state"] == ledger.POSTED}
    for posting in _postings(run, ports):
        if posting["key"] in taken_back and posting["state"] == ledger.POSTED:
            _settle(posting, ledger.COMPENSATED, ports)
        elif posting["state"] == ledger.REFUSED and posting["action"] != "undo":
            _settle(posting, ledger.SUPERSEDED, ports)
    said = _said(error)
    facts = {"step": broken, "flow": flow.name, "said": said}
    case = {"opened": stamp(ports.now()), "owner": problem("step_failed").owner}
    advance(run, "CASE", ports, due_in=CASE_AGAIN, code="step_failed", facts=facts, case=case)
    _tell_failure(run, flow, facts, ports)
    return {"state": "CASE"}


def _said(error: Any) -> str:
    """What a machine caught, for people: of what a function raised its message, and never where in our code it was."""
    if not isinstance(error, Mapping):
        return "unknown"
    cause = str(error.get("Cause") or error.get("Error") or "unknown")
    try:
        raised = json.loads(cause)
    except ValueError:
        return cause[:300]
    return str(raised.get("errorMessage") or "unknown")[:300] if isinstance(raised, Mapping) else cause[:300]


def _failed_step(run: Item, ports: Ports) -> str:
    refused = [posting["step"] for posting in _postings(run, ports) if posting["state"] == ledger.REFUSED]
    return refused[0] if refused else str(run.get("stopped", "validate"))


def _postings(run: Item, ports: Ports) -> list[Item]:
    wanted = [keys.posting_item(key) for key in dict.fromkeys(run.get("done", []))]
    found = ports.ledger.read(wanted)
    return [found[key] for key in wanted if key in found]


def _settle(posting: Item, to: str, ports: Ports) -> None:
    writes = ledger.move(posting, to, ports.now(), ports.owner, ports.token(), due_at=None, remove=("task_token",))
    if posting.get("lane"):
        key = keys.lane_item(posting["lane"])
        lane = ports.ledger.read([key]).get(key)
        if lane is not None and lanes.head(lane) == posting["key"]:
            writes.append(lanes.leave(lane, posting["key"], ports.now())[0])
    try:
        ports.ledger.write(writes)
    except Refused:
        ports.log("posting_moved_on", posting=posting["key"])


def _tell_failure(run: Item, flow: flows.Flow, facts: Mapping[str, str], ports: Ports) -> None:
    """The CRM hears in a sentence that the deal was not set up, and who has it."""
    doc = deal(run)
    entry = problem("step_failed")
    said = f"{doc.name} is not set up. {entry.say(facts)} {entry.owner} has it. Next: {entry.remedy}"
    about = status_of(run, doc, "rejected", said, 2, ports)
    one = flow.steps[-1]
    origin = make.Origin(run["event"], run["correlation"], ports.now(), ports.owner, ports.token(), ports.region)
    made = make.make(flow, one, about, render.route("crm", "status", doc), origin, generation=run["run"] - 1)
    try:
        ports.ledger.write([made.put, *([made.join] if made.join else [])])
        ports.queues.send([made.send])
    except Refused:
        ports.log("told_already", run=run["pk"])


def look(ports: Ports, run: Item) -> str:
    """Probe's look at a run that is due: started again, or found to have ended without saying so."""
    if run["state"] == "CASE":
        _postpone(run, ports, CASE_AGAIN * 6)
        return "case still open"
    status = ports.machines.status(run["flow"], run["execution"])
    if status == "MISSING":
        ports.machines.start(run["flow"], run["execution"], {
            "flow": run["flow"], "run": [run["pk"], run["sk"]], "correlation": run["correlation"],
        })  # fmt: skip
        _postpone(run, ports, timedelta(seconds=60))
        return "flow started again"
    if status == "RUNNING":
        _postpone(run, ports, LOOK_AGAIN)
        return "flow is running"
    if status == "SUCCEEDED":
        advance(run, "DONE", ports, due_in=None)
        return "flow is done"
    stuck = [posting for posting in _postings(run, ports) if posting["state"] not in ledger.TERMINAL]
    undoing = [posting["step"] for posting in stuck if posting["action"] == "undo"]
    code = "undo_failed" if undoing else "step_failed"
    step_name = undoing[0] if undoing else stuck[0]["step"] if stuck else "?"
    facts = {"step": step_name, "flow": run["flow"], "said": f"its state machine ended as {status}"}
    case = {"opened": stamp(ports.now()), "owner": problem(code).owner}
    advance(run, "CASE", ports, due_in=CASE_AGAIN, code=code, facts=facts, case=case)
    return "case opened: flow ended"


def _postpone(run: Item, ports: Ports, by: timedelta) -> None:
    due = ledger.due(run["pk"], ports.now() + by)
    ports.ledger.write([Change(Key(run["pk"], run["sk"]), set=due, when={"state": run["state"], "tail": run["tail"]})])
