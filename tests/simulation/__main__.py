"""The simulation as a command: ``python -m tests.simulation run | replay | exhaustive | soak``.

``run`` plays seeds on several processes and prints histories, violations, the 95 % bound, how often each (boundary,
fault) pair was struck, and whether one in a hundred seeds gives the same trace in another process. ``replay`` prints
the trace of one seed, shrunk to the fewest faults that still break something.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from tests.simulation import coverage, desk, exhaustive, history, releases, soak
from tests.simulation.cheap import cheap

CHUNK: Final = 50
#: The part of an enumeration that is not a scene of faults alone.
PEOPLE: Final = "people at the desk"
#: Seconds between two lines of progress.
TELL_EVERY: Final = 30


def _play_some(job: tuple[Sequence[int], bool]) -> dict[str, Any]:
    """Play some seeds; figures that can be added up."""
    seeds, focused = job
    struck: Counter[tuple[str, str]] = Counter()
    out: dict[str, Any] = {
        "played": len(seeds),
        "bad": [],
        "digests": {},
        "crossings": 0,
        "fenced": 0,
        "faulty": 0,
        "slowest": 0.0,
        "with": Counter(),
    }
    with cheap():
        for seed in seeds:
            result = history.play(seed, coverage.focus(seed) if focused else None)
            struck.update(result.struck)
            out["crossings"] += result.crossings
            out["fenced"] += result.fenced
            out["faulty"] += bool(result.faults)
            out["with"].update(result.parts)
            out["slowest"] = max(out["slowest"], result.seconds)
            if seed % 100 == 0:
                out["digests"][seed] = result.digest
            if result.violations:
                out["bad"].append((seed, result.violations))
    out["struck"] = struck
    return out


def digests(seeds: Sequence[int]) -> dict[int, str]:
    """The trace hash of some seeds."""
    with cheap():
        return {seed: history.play(seed, coverage.focus(seed)).digest for seed in seeds}


def commit() -> str:
    """The commit that is simulated."""
    told = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return told.stdout.strip() or "unknown"


def run(first: int, count: int, jobs: int, least: int) -> int:
    """Play seeds; the exit code. Stopped (SIGINT or SIGTERM), it tells what it has."""
    began = time.monotonic()
    seeds = range(first, first + count)
    chunks = [(list(seeds[start : start + CHUNK]), True) for start in range(0, count, CHUNK)]
    struck: Counter[tuple[str, str]] = Counter()
    bad: list[tuple[int, list[str]]] = []
    told: dict[int, str] = {}
    sums: Counter[str] = Counter()
    parts: Counter[str] = Counter()
    slowest = 0.0
    played = 0
    with multiprocessing.Pool(jobs) as pool:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            for out in pool.imap_unordered(_play_some, chunks):
                played += out["played"]
                struck.update(out["struck"])
                bad += out["bad"]
                told |= out["digests"]
                parts.update(out["with"])
                sums.update({name: out[name] for name in ("crossings", "fenced", "faulty")})
                slowest = max(slowest, out["slowest"])
        except KeyboardInterrupt:
            print(f"stopped after {played} of {count} histories")
            pool.terminate()
            count = max(played, 1)
    took = time.monotonic() - began
    print(
        f"{count} histories ({sums['faulty']} with faults) in {took:.0f} s, {count / took:.1f}/s; "
        f"{sums['crossings'] / count:.0f} boundaries each"
    )
    print(f"violations: {len(bad)}; 95 % bound on the share of violating histories: {3 / count:.2g}")
    print(f"stale writes refused: {sums['fenced']}; slowest rest {slowest:.0f} virtual s after the last fault")
    print(
        "with " + ", ".join(f"{name} {parts[name]}" for name in sorted(parts)) + f". {releases.why_not()}".rstrip(". ")
    )
    fails = bool(bad) or not sums["fenced"]
    fails |= _cover(struck, least)
    fails |= _same(told)
    for seed, found in sorted(bad)[:20]:
        print(f"  seed {seed} at commit {commit()}: {found[0]}")
        print(f"    python -m tests.simulation replay {seed}")
    return 1 if fails else 0


def _cover(struck: Counter[tuple[str, str]], least: int) -> bool:
    """The coverage table; whether a declared pair was struck too rarely."""
    pairs = coverage.pairs()
    unknown = set(struck) - coverage.declared()
    width = max(len(label) for label, _ in pairs)
    for label in sorted({label for label, _ in pairs}):
        row = ", ".join(f"{kind} {struck[label, kind]}" for one, kind in pairs if one == label)
        print(f"  {label:{width}} {row}")
    rare = [(pair, struck[pair]) for pair in pairs if struck[pair] < least]
    rarest = min(struck[pair] for pair in pairs)
    print(f"(boundary, fault) pairs: {len(pairs)}, rarest struck {rarest} times, {len(rare)} under {least}")
    if unknown:
        print(f"  not declared in coverage.py: {sorted(unknown)}")
    for pair, times in rare[:10]:
        print(f"  rare: {pair} {times}")
    return bool(rare or unknown)


def _same(told: dict[int, str]) -> bool:
    """Whether the sampled seeds give another trace in another process with another hash seed."""
    if not told:
        return False
    code = (
        "import json, sys; from tests.simulation.__main__ import digests; "
        "print(json.dumps(digests(json.loads(sys.argv[1]))))"
    )
    env = {**os.environ, "PYTHONHASHSEED": "4711"}
    asked = json.dumps(sorted(told))
    out = subprocess.run([sys.executable, "-c", code, asked], capture_output=True, text=True, check=True, env=env)
    again = {int(seed): digest for seed, digest in json.loads(out.stdout.splitlines()[-1]).items()}
    differ = [seed for seed in told if told[seed] != again[seed]]
    print(f"determinism: {len(told)} seeds twice in different processes, {len(differ)} differ {differ[:5]}")
    return bool(differ)


def shrink(seed: int, focus: tuple[str, str] | None) -> frozenset[int]:
    """Crossings whose faults can be left out while something still breaks."""
    without: frozenset[int] = frozenset()
    step = 8
    while step:
        faults = [n for n in history.play(seed, focus, without).faults if n not in without]
        for start in range(0, len(faults), step):
            attempt = without | frozenset(faults[start : start + step])
            if history.play(seed, focus, attempt).violations:
                without = attempt
        step //= 2
    return without


def replay(seed: int, focused: bool, shrunk: bool) -> int:
    """Print what happens in one seed; the exit code."""
    focus = coverage.focus(seed) if focused else None
    with cheap():
        history.play(seed, focus)  # what is loaded once (another release, the events) is no part of a replay
        began = time.perf_counter()
        result = history.play(seed, focus, keep=True)
        took = time.perf_counter() - began
        if result.violations and shrunk:
            result = history.play(seed, focus, shrink(seed, focus), keep=True)
    for at, who, what, fault in result.trace:
        print(f"{at:10.2f}  {who:10} {what:28} {fault}")
    print(f"seed {seed} at commit {commit()}, {'hostile' if result.hostile else 'as deployed'}, trace {result.digest}")
    print(f"replayed in {took:.2f} s, with {', '.join(result.parts) or 'nothing but faults'}")
    print(*(result.violations or ["no violation"]), sep="\n")
    return 1 if result.violations else 0


def _enumerate(job: tuple[str, exhaustive.Schedule, int]) -> tuple[str, exhaustive.Count]:
    name, first, depth = job
    with cheap():
        return name, exhaustive.enumerate_from(exhaustive.scenes()[name][0], first, depth)


def enumerate_scenes(depth: int, jobs: int, only: str) -> int:
    """Play every schedule of every scene and tell each as it ends; the exit code. Stopped, it tells what it has."""
    chosen = {name: (scene, min(depth, most)) for name, (scene, most) in exhaustive.scenes().items() if only in name}
    if not chosen and only not in PEOPLE:
        print(f"no scene has {only!r} in its name; there are: {', '.join([*exhaustive.scenes(), PEOPLE])}")
        return 2
    with cheap():
        work = [(name, first, most) for name, (scene, most) in chosen.items() for first in exhaustive.firsts(scene)]
    open_parts = Counter(name for name, _, _ in work)
    parts = Counter(open_parts)
    counts = {name: exhaustive.Count() for name in chosen}
    began = told = time.monotonic()
    print(f"at commit {commit()}", flush=True)
    with multiprocessing.Pool(jobs) as pool:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            for name, part in pool.imap_unordered(_enumerate, work):
                counts[name].add(part)
                open_parts[name] -= 1
                if not open_parts[name]:
                    _tell(name, chosen[name][1], counts[name])
                if time.monotonic() - told > TELL_EVERY:
                    told = time.monotonic()
                    played, done = sum(c.schedules for c in counts.values()), len(work) - open_parts.total()
                    line = f"{told - began:.0f} s: {played} schedules, {done} of {len(work)} parts"
                    print(line, file=sys.stderr, flush=True)
        except KeyboardInterrupt:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # one is enough: what is known is told before the end
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            pool.terminate()
            for name in (name for name, left in open_parts.items() if left):
                print(f"stopped after {parts[name] - open_parts[name]} of {parts[name]} parts, not the whole of:")
                _tell(name, chosen[name][1], counts[name])
            return 1
    if only in PEOPLE:
        counts[PEOPLE] = _people(min(depth, 2))
    print(f"{sum(c.schedules for c in counts.values())} schedules in {time.monotonic() - began:.0f} s")
    return 1 if any(count.bad for count in counts.values()) else 0


def _tell(name: str, depth: int, count: exhaustive.Count) -> None:
    print(f"{name}: {count.schedules} schedules of at most {depth} faults, {len(count.bad)} bad", flush=True)
    for schedule, found in count.bad[:5]:
        print(f"  {schedule}: {found[0]}", flush=True)


def soaked(scale: float) -> int:
    """Play a soak and print what came of it; the exit code."""
    figures = soak.play(scale, lambda line: print(line, file=sys.stderr, flush=True))
    print(f"at commit {commit()}: {figures}")
    return 1 if figures.wrong else 0


def _people(depth: int) -> exhaustive.Count:
    """What people do, with at most ``depth`` faults at the desk's calls, and of two people one less."""
    with cheap():
        count, bad = desk.enumerate_people(depth, depth - 1)
    print(f"{PEOPLE}: {count} schedules of at most {depth} faults ({depth - 1} where two act at once), {len(bad)} bad")
    for name, schedule, found in bad[:5]:
        print(f"  {name} {schedule}: {found[0]}")
    return exhaustive.Count(count, [(schedule, found) for _, schedule, found in bad])


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("run")
    one.add_argument("--seeds", type=int, default=20_000)
    one.add_argument("--first", type=int, default=0)
    one.add_argument("--jobs", type=int, default=2)
    one.add_argument("--least", type=int, default=100)
    two = verbs.add_parser("replay")
    two.add_argument("seed", type=int)
    two.add_argument("--plain", action="store_true", help="without the seed's focus on one pair")
    two.add_argument("--whole", action="store_true", help="do not shrink")
    three = verbs.add_parser("exhaustive")
    three.add_argument("--depth", type=int, default=3, help="most faults in a schedule; a scene may bound it lower")
    three.add_argument("--jobs", type=int, default=2, help="processes")
    three.add_argument("--only", default="", help="only scenes with this in their names")
    four = verbs.add_parser("soak")
    four.add_argument("--scale", type=float, default=1.0, help="share of six hours; 0.1 is a tenth")
    given = parser.parse_args()
    if given.verb == "soak":
        return soaked(given.scale)
    if given.verb == "run":
        return run(given.first, given.seeds, given.jobs, given.least)
    if given.verb == "replay":
        return replay(given.seed, not given.plain, not given.whole)
    return enumerate_scenes(given.depth, given.jobs, given.only)


if __name__ == "__main__":
    sys.exit(main())
