"""Reliability bugs, kept: each is a change to the product's source that the simulation must turn red.

``python -m tests.simulation.mutants`` plays each mutant in a process of its own whose imports see the changed source:
first every schedule of one fault, then seeds, then every schedule of two faults of the core, until something breaks.
"""

from __future__ import annotations

import argparse
import importlib.abc
import importlib.machinery
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Final

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
LANES, IN, S, C, K = (
    "tieout.core.lanes", "tieout.work.intake", "tieout.work.steps", "tieout.work.commit", "tieout.work.make",
)  # fmt: skip
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
    _m("the lease is a second", (P, "lease = timedelta(seconds=ports.function_timeout + 10)", "lease = timedelta(seconds=1)")),
    _m("a lease never ends", (W, 'if item["lease"] > stamp(now):', 'if item["lease"] > "":')),
    _m("a lease is taken over while it runs", (W, 'if item["lease"] > stamp(now):', "if False:"),
       (P, "due_at=now + lease", "due_at=now + timedelta(seconds=2)")),
    _m("the claim is not conditional on being the head",
       (LANES, 'when={"queue[0]": posting_key, "v": lane.get("v")}', "when={}"), (P, "if item.get(\"lane\") and lanes.head(lane) != item[\"key\"]:", "if False:"),
       argued="the lane gate stands before it; only a posting that comes back in front between the two gets by"),
    _m("a held posting is overtaken", (LANES, 'when={"queue[0]": posting_key, "v": lane.get("v")}', "when={}"),
       (P, "if item.get(\"lane\") and lanes.head(lane) != item[\"key\"]:", "if False:"),
       ("tieout.core.gates", "for gate in GATES:", "for gate in (*GATES[:2], *GATES[3:]):")),
    _m("budget slots are written unconditionally", (P, 'when={"rev": budget.get("rev")},\n            upsert=True,', "upsert=True,")),
    _m("the budget's limit is not looked at", (P, "if len(leases) >= self.limit:", "if False:")),
    # --- what an answer means
    _m("a time-out means not done", (P, DOUBT, "return Outcome(ledger.NEW, verdict, due_at=due_at)")),
    _m("a time-out means refused", (P, DOUBT, "return Outcome(ledger.REFUSED, verdict, due_at=due_at)")),
    _m("a lease that ran out means not done", (W, "Outcome(ledger.IN_DOUBT, verdict, due_at=due_at, set={\"epoch\": item[\"epoch\"] + 1})",
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
    _m("Retry-After is believed without limit", ("tieout.core.classify", "RETRY_AFTER_MOST = 900", "RETRY_AFTER_MOST = 10**8")),
    _m("the read-back's failure means not done", ("tieout.core.exchange", "raise Uncertain(\"target_unclear\", f\"HTTP {answer.status}, answer too long\"", "raise TypeError(\"too long\""),
       ("tieout.work.post", "except Verdict as verdict:\n        failure = verdict\n", "except Verdict as verdict:\n        failure = TryAgain(verdict.code) if 'read-back' in verdict.log else verdict\n")),
    # --- nothing waits unseen
    _m("a new posting is not due", (L, "        **due(pk, now + RESEND_AFTER),\n", "")),
    _m("a move sets no due time", (L, "        values |= due(item[\"pk\"], due_at)\n", "")),
    _m("probe does not send again", (W, "    batch.sends.append(Send.of(item | {\"sends\": sends}))\n    return \"sent again\"", "    return \"sent again\"")),
    _m("the due index is believed", (W, ' and item["due"] <= now]', "]")),
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
    # --- pauses and blind targets
    _m("a pause is not heeded", ("tieout.core.gates", "if until and until > stamp(scene.now):", "if until and until < until:"),
       ("tieout.core.capacity", "if paused > stamp(now):", "if False:")),
    _m("a blind target is sent to again", (W, 'Outcome(ledger.AMBIGUOUS, NeedsHuman("cannot_look"), due_at=now + CASE_AGAIN)', "Outcome(ledger.NEW, due_at=now + CASE_AGAIN)")),
    _m("a blind target is believed to have it", (W, 'Outcome(ledger.AMBIGUOUS, NeedsHuman("cannot_look"), due_at=now + CASE_AGAIN)', 'Outcome(ledger.POSTED, echo=Found("complete").echo, note={"found": "adopted"})')),
    _m("a blind target is asked all the same", (W, "if target.finds is Finds.BLIND:", "if target.finds is target:")),
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
    from tests.simulation import coverage, exhaustive, history
    from tests.simulation.cheap import cheap

    with cheap():
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
        for seed in range(seeds):
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


def main() -> int:
    """Hunt all mutants; 0 where at least 95 % are killed and each survivor is argued."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutants", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20_000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--one", type=int, default=-1)
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    if given.one >= 0:
        print(hunt(MUTANTS[given.one], given.seeds))
        return 0
    chosen = [number for number, mutant in enumerate(MUTANTS) if given.only in mutant.name]
    survivors, stale = [], []
    with ThreadPoolExecutor(given.jobs) as pool:
        for number, (said, took) in zip(chosen, pool.map(lambda n: _in_process(n, given.seeds), chosen), strict=True):
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
