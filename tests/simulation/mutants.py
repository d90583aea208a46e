"""Reliability bugs, kept: each is a change to the product's source that the simulation must turn red.

``python -m tests.simulation.mutants`` plays each mutant in a process of its own whose imports see the changed source:
first some seeds, one poisoned lane and every schedule of one fault, then more seeds, then every schedule of two faults
of the core, until something breaks. ``--keep FILE`` remembers what was found by the sources it was found in, so that a
hunt that was stopped goes on where it stood.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.abc
import importlib.machinery
import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Final

#: Seeds that are tried before any schedule: most bugs do not outlive them.
FIRST: Final = 200
SHARED: Final = Path(__file__).resolve().parents[2] / "shared"


@dataclass(frozen=True)
class Mutant:
    """One bug: which text of which module becomes what. ``argued`` says why a survivor is no gap."""

    name: str
    edits: tuple[tuple[str, str, str], ...]
    argued: str = ""


def _m(name: str, *edits: tuple[str, str, str], argued: str = "") -> Mutant:
    return Mutant(name, edits, argued)


L, P, B, W = "tieout.core.ledger", "tieout.work.post", "tieout.work.book", "tieout.work.probe"
PLANS: Final = "tieout.work.plans"
Q, T = "tieout.work.broker", "tieout.core.tokens"
LANES, IN, S, C, K = (
    "tieout.core.lanes", "tieout.work.intake", "tieout.work.steps", "tieout.work.commit", "tieout.work.make",
)  # fmt: skip
SET, RES = "tieout.work.settle", "tieout.work.restart"
WHEN: Final = 'when={"state": item["state"], "epoch": item["epoch"], "tail": item["tail"]},'
DOUBT: Final = 'return Outcome(ledger.IN_DOUBT, verdict, due_at=due_at, set={"since": stamp(now)})'
LEAVE: Final = 'if not item.get("lane") or not (outcome.to in ledger.TERMINAL or outcome.aside):'
BOOKED: Final = 'batch.book(item, Outcome(ledger.NEW, due_at=again, remove=("aside", "hold"), extra=back))'

MUTANTS: Final[Sequence[Mutant]] = (
    # --- fencing and the conditional write
    _m("a move is unconditional", (L, WHEN, "when={},")),
    _m("a move looks at the state only", (L, WHEN, 'when={"state": item["state"]},')),
    _m("a booking does not look whether the posting moved on",
       (B, "if item is None or (item[\"state\"], item[\"epoch\"], item[\"tail\"]) != expected:", "if item is None:"),
       (L, WHEN, "when={},"), (L, 'if to not in MOVES[item["state"]]:', "if False:")),
    _m("a refused write counts as written", (C, "            continue\n", "            return view\n")),
    _m("any refusal counts as our own write", (C, "landed = landed or bool(", "landed = True or bool(")),
    _m("the lease is a second", (Q, "return timedelta(seconds=ports.function_timeout + 10)", "return timedelta(seconds=1)")),
    _m("a lease never ends", (W, 'if item["lease"] > stamp(now):', 'if item["lease"] > "":')),
    _m("a lease is taken over while it runs", (W, 'if item["lease"] > stamp(now):', "if False:"),
       (P, "due_at=now + lease", "due_at=now + timedelta(seconds=2)")),
    _m("the claim is not conditional on being the head",
       (LANES, 'when={"queue[0]": posting_key, "v": lane.get("v")}', "when={}"), (P, "if item.get(\"lane\") and lanes.head(lane) != item[\"key\"]:", "if False:"),
       argued="the lane gate stands before it; only a posting that comes back in front between the two gets by"),
    _m("a held posting is overtaken", (LANES, 'when={"queue[0]": posting_key, "v": lane.get("v")}', "when={}"),
       (P, "if item.get(\"lane\") and lanes.head(lane) != item[\"key\"]:", "if False:"),
       ("tieout.core.gates", "for gate in GATES:", "for gate in (*GATES[:2], *GATES[3:]):")),
    _m("budget slots are written unconditionally", (Q, 'add={"rev": 1}, when={"rev": budget.get("rev")}, upsert=True', 'add={"rev": 1}, upsert=True')),
    _m("the budget's limit is not looked at", (Q, 'if len(leases) >= capacity.limit(budget, self.system.budget.concurrency):', "if False:")),
    # --- tokens, and who waits for room
    _m("tokens are not looked at", (Q, "if free < least - self.tokens:", "if False:")),
    _m("an answered call does not count", (T, "cells[number] = cells.get(number, 0) + 1", "cells[number] = cells.get(number, 0)")),
    _m("an answered call counts for half its window", (T, "return (rate.seconds + skew) * 1000", "return rate.seconds * 500")),
    _m("a window ends by any clock", (T, "return (rate.seconds + skew) * 1000", "return rate.seconds * 1000")),
    _m("the tokens of a dead worker are free", (T, 'if held["until"] <= at:', "if False:")),
    _m("tokens are free while nobody has told", (T, 'out = sum(held["n"] for held in _live(item, now).values())\n    return', "out = 0\n    return")),
    _m("a lost call counts as answered", (Q, "            late = timedelta(seconds=self._slots.system.quiet.longest_processing)\n", ""),
       (Q, "until = now + lease + timedelta(seconds=self.system.quiet.longest_processing)", "until = now + lease")),
    _m("looks are not metered", (Q, "return Metered(ports, view, slots, ports.wire(target, account), writes=False)", "return ports.wire(target, account)")),
    _m("looks take no slot", (Q, "    if not slots.held or slots.tokens < 1:\n", "    if False:\n")),
    _m("looks do not ask the breaker", (Q, "    if paused > stamp(now):\n        raise NotYet", "    if False:\n        raise NotYet"), ("tieout.core.capacity", "if paused > stamp(now):", "if False:")),
    _m("what waits goes by age alone", (L, 'int(posting.get("priority", 50)) * STEP', "0 * STEP")),
    _m("what waits first is passed over", (Q, "for row in rows[: room + passed]]", "for row in rows[-(room + passed) :]]")),
    _m("who comes later overtakes", ("tieout.core.gates", "rank(scene.posting) >= waits:", "rank(scene.posting) >= '~':")),
    _m("what waits is never let go", (Q, "room = min(capacity.room(budget, system.budget, system.quiet.clock_skew, now), LET_GO_MOST)", "room = 0")),
    _m("a budget at which something waits is not due", (Q, "        values |= ledger.due(key.pk, look)\n    if not values", "        pass\n    if not values"),
       (Q, 'values |= ledger.due(self.key.pk, ledger.instant(values["paused_until"]))', "pass"), (Q, "values |= ledger.due(self.key.pk, now + IDLE_AGAIN)", "pass")),
    _m("what was let go and lost is not due", (Q, 'set={**ledger.due(item["pk"], now + ledger.RESEND_AFTER), "released"', 'set={**ledger.due(item["pk"], now + 9999 * ledger.RESEND_AFTER), "released"')),
    _m("what does not come back is under way for ever", ("tieout.core.capacity", "if at > lost and count > 0}", "if count > 0}"),
       ("tieout.core.capacity", "        known[at] -= back\n", "")),
    # --- what an answer means
    _m("a time-out means not done", (P, DOUBT, "return Outcome(ledger.NEW, verdict, due_at=due_at)")),
    _m("a time-out means refused", (P, DOUBT, "return Outcome(ledger.REFUSED, verdict, due_at=due_at)")),
    _m("a lease that ran out means not done", (W, "Outcome(ledger.IN_DOUBT, verdict, due_at=due_at, set=ended)",
       "Outcome(ledger.NEW, verdict, due_at=now)")),
    _m("no quiet period after a lost answer", (P, "timedelta(seconds=one.target.quiet.period)", "timedelta(seconds=1)")),
    _m("no quiet period after a lease", (W, "timedelta(seconds=target.quiet.period)", "timedelta(seconds=1)")),
    _m("a quarter of the quiet period", (P, "timedelta(seconds=one.target.quiet.period)", "timedelta(seconds=one.target.quiet.period // 4)"),
       (W, "timedelta(seconds=target.quiet.period)", "timedelta(seconds=target.quiet.period // 4)")),
    _m("the look is skipped", (W, "return _found(batch, item, found)\n", 'return _found(batch, item, Found("absent"))\n')),
    _m("absent counts as booked", (W, 'if found.state == "complete" and found.echo is not None:',
       'from tieout.contract import Echo\n    found = Found("complete", found.echo or Echo("?", item["ref"], None, item.get("currency"), item.get("total")))\n    if found.echo is not None:')),
    _m("the echo is not compared", (P, "difference = differs(one.item, one.target, echo)", 'difference = ""')),
    _m("what is adopted is not compared", (W, "difference = post_verb.differs(item, target, found.echo)", 'difference = ""')),
    _m("429 means refused", ("tieout.core.classify", 'Row(429, TryAgain, "target_busy"', 'Row(429, NeedsHuman, "target_busy"')),
    _m("503 means not done", ("tieout.systems.netsuite.target", 'Row(503, Uncertain, "target_down")', 'Row(503, TryAgain, "target_down")')),
    _m("an undeclared 5xx means not done", ("tieout.core.classify", 'return Uncertain("target_unclear"', 'return TryAgain("target_unclear"')),
    _m("Retry-After is believed without limit", ("tieout.core.classify", "RETRY_AFTER_MOST = 900", "RETRY_AFTER_MOST = 10**8"),
       ("tieout.core.capacity", "ASKED_MOST: Final = 900", "ASKED_MOST: Final = 10**8")),
    _m("the read-back's failure means not done", ("tieout.core.exchange", "raise Uncertain(\"target_unclear\", f\"HTTP {answer.status}, answer too long\"", "raise TypeError(\"too long\""),
       ("tieout.work.post", "except Verdict as verdict:\n        failure = verdict\n", "except Verdict as verdict:\n        failure = TryAgain(verdict.code) if 'read-back' in verdict.log else verdict\n")),
    # --- nothing waits unseen
    _m("a new posting is not due", (L, "        **due(pk, now + RESEND_AFTER),\n", "")),
    _m("a move sets no due time", (L, "        values = due(item[\"pk\"], due_at) | values\n", "")),
    _m("probe does not send again", (W, "    batch.sends.append(Send.of(item | {\"sends\": sends}))\n    return \"sent again\"", "    return \"sent again\"")),
    _m("the due index is believed", (W, ' and item["due"] <= now]', "]"),
       argued="only a doubt acts on the index alone, and an answer must be lost within its lag of an older due time; a unit test"),
    _m("probe leaves SENDING alone", (W, "ledger.SENDING: _sending,", "ledger.SENDING: _case,")),
    _m("probe leaves IN_DOUBT alone", (W, "ledger.IN_DOUBT: _in_doubt,", "ledger.IN_DOUBT: _case,")),
    _m("a final posting stays due", (L, '"lease", "due", "due_shard", "code"', '"lease", "code"')),
    _m("looking again brings back a due time", (P, 'add={"looks": 1},\n        when={"state": item["state"], "tail": item["tail"]},', 'add={"looks": 1},'),
       (W, 'when={"state": item["state"], "tail": item["tail"]} if "tail" in item else {},', "when={},")),
    _m("a run is not due until its machine has it", (IN, "**ledger.due(key.pk, origin.now + START_AGAIN),", ""),
       argued="the inbox hands the event over again until the start was made; the due time is the second net"),
    _m("a terminal posting's answer is not owed", (B, "due_at = now + ANSWER_AGAIN", "due_at = None")),
    _m("a dead letter of the inbox is dropped", (W, "taken = not intake_verb.intake([message], ports)", "taken = True")),
    # --- lanes
    _m("booking does not leave the lane", (B, LEAVE, "if True:")),
    _m("a refused posting leaves its lane", (B, LEAVE, LEAVE.replace("or outcome.aside", "or outcome.aside or outcome.to == ledger.REFUSED"))),
    _m("a doubtful posting leaves its lane", (B, LEAVE, LEAVE.replace("or outcome.aside", "or outcome.aside or outcome.to == ledger.IN_DOUBT"))),
    _m("what stood aside is forgotten", (LANES, 'queue = [*lane.get("aside", []), *lane["queue"][1:]]', 'queue = list(lane["queue"][1:])')),
    _m("what stood aside comes last", (LANES, 'queue = [*lane.get("aside", []), *lane["queue"][1:]]', 'queue = [*lane["queue"][1:], *lane.get("aside", [])]')),
    _m("what stands aside turns round", (LANES, '[*lane.get("aside", []), posting_key], now)', '[posting_key, *lane.get("aside", [])], now)')),
    _m("a lane is rewritten unconditionally", (LANES, 'when={"rev": lane["rev"], "queue[0]": head(lane)},', "when={},")),
    _m("a posting comes back to its lane apart from its move", (W, BOOKED,
       'for one in back(batch.view):\n        batch.ports.ledger.write([one])\n    ' + BOOKED.replace(", extra=back", ""))),
    _m("a parent is not waited for", ("tieout.core.gates", "for gate in GATES:", "for gate in (*GATES[:3], *GATES[4:]):")),
    _m("a posting does not join its lane", (IN, "if made.join:\n            writes.append", "if False:\n            writes.append")),
    # --- intake and identity
    _m("the event's key is the message's", (IN, "key = keys.event(arrival.source, arrival.account, taken.event_id)", "key = keys.event(arrival.source, arrival.account, arrival.message.id)")),
    _m("the posting's key holds the event", (K, "who = identity(doc)\n    version", 'who = identity(doc) + ("." + keys.part(origin.event) if doc.kind == "invoice" else "")\n    version')),
    _m("the reference leaves out the action", (K, "system.reference.of(key if offered.once else", "system.reference.of(who if offered.once else")),
    _m("the event is written before its postings", (IN, "            ports.ledger.write(writes)\n        except Refused as refusal:", "            ports.ledger.write(writes[:1])\n            ports.ledger.write(writes[1:] or writes[:0] or [__import__('tieout.core.writes', fromlist=['Check']).Check(key, {})])\n        except Refused as refusal:")),
    _m("a failed delivery is acknowledged", (IN, "            failed.append(arrival.message.id)\n    failed += _number", "            pass\n    failed += _number")),
    _m("the generation counts what was made", (S, 'generation = run["run"] - 1\n', 'generation = run["run"] - 1 + len(run.get("done", []))\n')),
    # --- money, history, status
    _m("float money", (K, '"total": amount.minor}', '"total": amount.minor / 1}')),
    _m("money in major units", (K, '"total": amount.minor}', '"total": amount.minor // 100}')),
    _m("the chain does not hold together", (L, '"prev": item.get("tail", ""),', '"prev": "",')),
    _m("a status counts its posting's lines", (B, "version=told + 1,", 'version=item["lines"] + 1,')),
    _m("the newest status is superseded", (P, 'len(lane["queue"]) < 2', 'len(lane["queue"]) < 1'), (P, '"newer": lane["queue"][1]', '"newer": "x"')),
    # --- multi-step flows
    _m("a joined token is not due", (S, 'set={"task_token": token, **again}', 'set={"task_token": token}')),
    _m("a token is handed over unconditionally", (S, 'set={"task_token": token, **again}, when=seen)', 'set={"task_token": token})')),
    _m("one batch name for all", (P, 'ports.owner.replace(".", "-")', '"b"')),
    # --- what the source takes back
    _m("a void takes its document with it whatever hangs on it", (PLANS, 'aside", ())} == {posting["key"], document["key"]}', 'aside", ())} >= {posting["key"]}')),
    _m("a document that was in doubt ends with its void", (PLANS, 'if any(line["to"] == ledger.IN_DOUBT for line in document.get("history", ())):', "if False:")),
    _m("a document ends with its void though it is being sent", (B, 'if found is None or any(found[name] != other[name] for name in ("state", "epoch", "tail")):', "if found is None:"),
       (L, WHEN, "when={},"), (L, 'if to not in MOVES[item["state"]]:', "if False:")),
    _m("a void ends and leaves its document", (B, "for other in outcome.also:\n            writes", "for other in ():\n            writes")),
    _m("a document that ended with its void stays in its lane", (B, '[item["key"], *(other["key"] for other in outcome.also)]', '[item["key"]]')),
    _m("a void waits behind what will never be sent", (W, 'if item["action"] != "void":\n        return False', "return False")),
    _m("a paid invoice is taken back by nobody's leave", ("tieout.core.gates", "if not approved(scene.posting):", "if False:")),
    _m("what is applied is not known", (B, 'return [Change(above, add={"applied": 1})] if', "return [] if")),
    _m("what hangs on a withdrawn document waits for ever", ("tieout.core.gates", 'if above["state"] == SUPERSEDED:', "if False:")),
    # --- pauses and blind targets
    _m("a pause is not heeded", ("tieout.core.gates", "if until and until > stamp(scene.now):", "if until and until < until:"),
       ("tieout.core.capacity", "if paused > stamp(now):", "if False:")),
    _m("a blind target is sent to again", (W, 'Outcome(ledger.AMBIGUOUS, NeedsHuman("cannot_look"), due_at=now + CASE_AGAIN)', "Outcome(ledger.NEW, due_at=now + CASE_AGAIN)")),
    _m("a blind target is believed to have it", (W, 'Outcome(ledger.AMBIGUOUS, NeedsHuman("cannot_look"), due_at=now + CASE_AGAIN)', 'Outcome(ledger.POSTED, echo=Found("complete").echo, note={"found": "adopted"})')),
    _m("a blind target is asked all the same", (W, "if target.finds is Finds.BLIND:", "if target.finds is target:")),
    # --- what a line of history explains
    _m("a failure is booked without its reason", (B, 'note |= {"code": verdict.code}', "note |= {}")),
    _m("a posting forgets its event", (L, 'event=facts.get("event"), target', "target")),
    # --- people
    _m("nobody looks whether it has moved on", (SET, 'if wish.seen and wish.seen != posting["tail"]:', "if False:")),
    _m("who asked may agree", (SET, 'if by == asked["by"]:', "if False:")),
    _m("one person ends money", ("tieout.core.settle", 'return action.second and bool(posting.get("total"))', "return False")),
    _m("what is cancelled keeps its place in the lane", (SET, "writes = [*move, *_leave(books, posting, now)]", "writes = [*move]")),
    _m("what is claimed may be cancelled", ("tieout.core.settle", "frozenset({NEW, HELD, REFUSED}), SUPERSEDED", "frozenset({NEW, HELD, REFUSED, IN_DOUBT}), SUPERSEDED"),
       (L, "IN_DOUBT: frozenset({POSTED,", "IN_DOUBT: frozenset({SUPERSEDED, POSTED,")),
    _m("an action is done and not written down", (SET, 'due_at=now, remove=spent, **note)', 'due_at=now, remove=spent)')),
    _m("a look again believes what it was looked at for", (SET, "Only NEW renders again.\n", 'Only NEW renders again.\n    if action.name == "look":\n        return _write(books, posting, ledger.move(posting, ledger.POSTED, now, by, token, due_at=None, **note))\n')),
    _m("a run is restarted while something of it stands", (RES, "if standing := _standing(books, old):", "if standing := None:"),
       argued="needs a machine that ends while a posting of it is open (an outage beyond its retries), and a restart after it"),
    _m("a run is restarted by two at once", (RES, 'when={"state": old["state"], "tail": old["tail"]},', "when={},"), (RES, "books.write([close, Put(new)])", "books.write([close])"),
       (RES, "    return new\n", "    new.pop('x', None); books.write([Change(Key(new['pk'], new['sk']), set={k: v for k, v in new.items() if k not in ('pk', 'sk')}, upsert=True)])\n    return new\n")),
    _m("the limits gate is not asked", ("tieout.core.gates", "if total is None or limit is None or abs(int(total)) <= limit:", "if True:")),
    # --- a poisoned lane
    _m("a mistake of ours is nobody's case", (P, "except FAULTS as error:", "except ZeroDivisionError as error:")),
    _m("one poisoned posting takes its batch along", (P, "except FAULTS as error:", "except ZeroDivisionError as error:"), (P, "except Exception as error:", "except OSError as error:")),
    # --- leaks and borders
    _m("a log line shows a document",
       (B, 'ports.log("booked", posting=item["key"], to=outcome.to, code=code)', 'ports.log("booked", posting=item["key"], doc=zlib.decompress(item["doc"]) if "doc" in item else "")')),
    _m("a lane's message carries the document",
       (IN, 'batch.sends += [made.send for made in taken.made]', 'batch.sends += [__import__("dataclasses").replace(made.send, reads=[*made.send.reads, ("X#doc", __import__("zlib").decompress(made.put.item["doc"]).decode())]) for made in taken.made]')),
    _m("an execution's input carries the deal", (IN, 'facts = {"flow": run["flow"],', 'facts = {"deal": __import__("zlib").decompress(run["doc"]).decode(), "flow": run["flow"],')),
    _m("a history line names the customer", (L, 'kept = {name: value for name, value in note.items() if value not in (None, "", {}, [])}', 'kept = {name: value for name, value in note.items() if value not in (None, "", {}, [])}\n    if item.get("doc"):\n        kept["doc"] = __import__("zlib").decompress(item["doc"]).decode()')),
    _m("the residency gate is not asked", ("tieout.core.gates", "for gate in GATES:", "for gate in GATES[1:]:")),
    _m("the fence is not read", ("tieout.work.render", "fence=str(fence) if fence else None,", "fence=None,")),
    # --- the front door
    _m("the age of a signature is not judged", ("tieout.systems.stripe.source", "if abs(age) > self.replay_window:", "if False:")),
    _m("any signature will do", ("tieout.systems.stripe.source", "if not signed_by:", "if not signed_by and not given:"), ("tieout.systems.stripe.source", "age = int(delivery.received.timestamp()) - int(stamp)", "age = int(delivery.received.timestamp()) - int(stamp or times[0])")),
    _m("only the first secret counts", ("tieout.systems.stripe.source", "for secret, time in product(secrets, times):", "for secret, time in product(secrets[:1], times):")),
    _m("a delivery is acknowledged though the inbox did not take it", ("tieout.work.receive", "        return refusal(NeedsHuman(str(unavailable)))\n", "        return source.success\n")),
    # --- two releases
    _m("what a newer release wrote is worked on", (L, 'return item is not None and int(item.get("v", SCHEMA)) > SCHEMA', "return False")),
    _m("what a newer release put into the wait is let go", (Q, "if not ledger.newer(item)]", "if True]")),
    _m("an event that meets a newer release's lane dies", (IN, "taken = _left(arrival, taken, ports.now(), waiting)", 'raise TryAgain("newer_release")')),
    _m("an answer that meets a newer release's lane is left to its lease", (P, 'if verdict.code == "newer_release":', "if False:")),
    _m("a lane of a newer release is joined", (LANES, 'below={"waiting": MOST_WAITING, "v": SCHEMA + 1},', 'below={"waiting": MOST_WAITING},')),
    _m("a lane that became a newer release's is claimed in", (LANES, 'when={"queue[0]": posting_key, "v": lane.get("v")}', 'when={"queue[0]": posting_key}'),
       argued="the other release's first write into a lane must fall between a claim's reading and its write; a unit test"),
    # --- tokens
    _m("everybody renews a rotating token", ("tieout.aws.tokens", "            return False\n", "            return True\n")),
    _m("a renewed pair is used and not stored", ("tieout.aws.auth", "            self._unstored = pair\n            self._keep(pair)\n", "")),
    _m("a call whose answer is lost is left running", (P, "        echoes = target.send(wire, [one.work for one in claimed])\n",
       "        try:\n            echoes = target.send(wire, [one.work for one in claimed])\n        except Uncertain:\n            target.send(wire, [one.work for one in claimed])\n            raise\n")),
    _m("an older version is adopted", (W, 'if found.state == "complete" and found.echo is not None:', "if found.echo is not None:")),
    _m("the posting's key holds its target", (K, "key = keys.posting(doc.kind, who, done, step.name, generation, version)", 'key = keys.posting(doc.kind, f"{who}.{keys.part(target)}", done, step.name, generation, version)')),
)  # fmt: skip


class _Loader(importlib.machinery.SourceFileLoader):
    """Compiles the changed source; nothing is cached."""

    edits: tuple[tuple[str, str], ...] = ()

    def get_code(self, fullname: str) -> CodeType | None:
        """The mutant's code."""
        path = self.get_filename(fullname)
        source = Path(path).read_text()
        for old, new in self.edits:
            if source.count(old) < 1:
                raise SystemExit(f"STALE {fullname}: the text to change is gone: {old[:60]!r}")
            source = source.replace(old, new)
        return compile(source, path, "exec")


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, mutant: Mutant) -> None:
        self.mutant = mutant

    def find_spec(self, name: str, path: object = None, target: object = None) -> importlib.machinery.ModuleSpec | None:
        """The changed module's spec; nothing for the others."""
        edits = tuple((old, new) for module, old, new in self.mutant.edits if module == name)
        if not edits:
            return None
        loader = _Loader(name, str(SHARED / f"{name.replace('.', '/')}.py"))
        loader.edits = edits
        return importlib.machinery.ModuleSpec(name, loader, origin=loader.path)


def hunt(mutant: Mutant, seeds: int) -> str:
    """What kills the mutant, as a sentence; ``survived`` where nothing does."""
    sys.meta_path.insert(0, _Finder(mutant))
    from tests.simulation import coverage, desk, exhaustive, history, poison, queued
    from tests.simulation.cheap import cheap

    with cheap():
        for seed in range(min(FIRST, seeds)):
            found = history.attempt(seed, coverage.focus(seed))
            if found:
                return f"seed {seed}: {found[0]}"
        for seed, pair in history.kept_seeds():
            found = history.once_more(seed, pair)
            if found:
                return f"seed {seed} of seeds.txt: {found[0]}"
        told = poison.broken() or queued.broken()
        if told:
            return told
        for which in (*desk.singles(), *desk.pairs()):
            found = exhaustive.attempt(which, ())
            if found:
                return f"{which.name}: {found[0]}"
        scenes = exhaustive.scenes()
        for name, (scene, _) in scenes.items():
            for schedule in exhaustive.schedules(scene, 1):
                found = exhaustive.attempt(scene, schedule)
                if found:
                    return f"{name}, {len(schedule)} fault(s) {list(schedule)}: {found[0]}"
        for schedule in exhaustive.schedules(scenes["onboarding, steps asked again"][0], 2):
            found = exhaustive.attempt(scenes["onboarding, steps asked again"][0], schedule)
            if found:
                return f"onboarding, {len(schedule)} fault(s) {list(schedule)}: {found[0]}"
        for seed in range(FIRST, seeds):
            found = history.attempt(seed, coverage.focus(seed))
            if found:
                return f"seed {seed}: {found[0]}"
        for name in ("core, one invoice, class S", "core, invoice and payment in a lane"):
            scene = scenes[name][0]
            for schedule in exhaustive.schedules(scene, 2):
                found = exhaustive.attempt(scene, schedule)
                if found:
                    return f"{name}, {len(schedule)} fault(s) {list(schedule)}: {found[0]}"
    return "survived"


def _in_process(number: int, seeds: int) -> tuple[str, float]:
    began = time.monotonic()
    command = [sys.executable, "-m", "tests.simulation.mutants", "--one", str(number), "--seeds", str(seeds)]
    out = subprocess.run(command, capture_output=True, text=True, check=False)
    said = (out.stdout.strip() or out.stderr.strip() or "nothing").splitlines()[-1]
    return said, time.monotonic() - began


class Kept:
    """What a hunt has found, in a file of a line a mutant, for as long as no source changes."""

    def __init__(self, file: Path | None, seeds: int) -> None:
        self.file, self.seeds, self.lock = file, seeds, threading.Lock()
        self.sources = sources()
        lines = file.read_text().splitlines() if file and file.exists() else []
        told = [json.loads(line) for line in lines]
        self.known = {one["name"]: one for one in told if (one["sources"], one["seeds"]) == (self.sources, seeds)}

    def hunt(self, number: int) -> tuple[str, float]:
        """What became of a mutant, and in how many seconds: hunted now, or remembered."""
        name = MUTANTS[number].name
        if name not in self.known:
            said, took = _in_process(number, self.seeds)
            found = {"name": name, "said": said, "took": took, "seeds": self.seeds, "sources": self.sources}
            self.known[name] = found
            if self.file:
                with self.lock, self.file.open("a") as out:
                    out.write(json.dumps(found) + "\n")
        return str(self.known[name]["said"]), float(self.known[name]["took"])


def sources() -> str:
    """One word for everything that a hunt depends on: the product's sources and the simulation's."""
    files = sorted([*SHARED.rglob("*.py"), *SHARED.rglob("*.yaml"), *Path(__file__).parent.glob("*.py")])
    return hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)).hexdigest()[:16]


def main() -> int:
    """Hunt all mutants; 0 where at least 95 % are killed and each survivor is argued."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutants", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20_000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--one", type=int, default=-1)
    parser.add_argument("--only", default="")
    parser.add_argument("--keep", type=Path, default=None)
    given = parser.parse_args()
    if given.one >= 0:
        print(hunt(MUTANTS[given.one], given.seeds))
        return 0
    chosen = [number for number, mutant in enumerate(MUTANTS) if given.only in mutant.name]
    survivors, stale = [], []
    kept = Kept(given.keep, given.seeds)
    with ThreadPoolExecutor(given.jobs) as pool:
        for number, (said, took) in zip(chosen, pool.map(lambda n: kept.hunt(n), chosen), strict=True):
            mutant = MUTANTS[number]
            print(f"{number + 1:3} {mutant.name:58} {took:6.1f} s  {said[:150]}", flush=True)
            survivors += [mutant] if said == "survived" else []
            stale += [mutant] if "STALE" in said or "Traceback" in said or said == "nothing" else []
    killed = len(chosen) - len(survivors) - len(stale)
    print(
        f"{killed} of {len(chosen)} mutants killed; survived {[m.name for m in survivors]}, stale {[m.name for m in stale]}"
    )
    enough = killed >= 0.95 * len(chosen) and all(mutant.argued for mutant in survivors)
    return 0 if enough and not stale else 1


if __name__ == "__main__":
    sys.exit(main())
