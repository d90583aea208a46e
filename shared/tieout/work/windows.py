"""Scheduled jobs: a window is claimed by one run, written down when it is done, and owed by the next where it is not.

One item a job, ``J#name``: the last window that is done, and who is at which now. A schedule may fire twice (the second
claims nothing) or not at all: the next run is told since when it is owed and does it too, and counts what was missed. A
run that died leaves its window owed once its lease is over. A job that stays behind beyond its patience is a case, seen
by probe, that its next finished run closes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from tieout.core import keys, ledger, windows
from tieout.core.keys import Key
from tieout.core.ledger import CASE, stamp
from tieout.core.problems import problem
from tieout.core.windows import Job, Run
from tieout.core.writes import Change, Item, Refused
from tieout.work.book import CASE_AGAIN
from tieout.work.ports import Ports

#: What a run counts of the windows before its own that nobody did.
MISSED: Final = "windows missed"
_CASE: Final = ("state", "code", "facts", "case", "owner_team")
#: How often a write is tried against a run that finishes at the same moment.
_TRIES: Final = 4


def run(job: Job, ports: Ports, work: Callable[[Run], Mapping[str, int]]) -> dict[str, int]:
    """Do ``work`` for the window that is now, and for those before it that are owed; what it counted.

    Nothing is counted where the window is done or another run is at it. Whatever ``work`` raises is raised: the window
    stays owed. Three calls of the ledger for a job that runs once, one for a job whose work may be done twice.
    """
    here = claim(job, ports) if job.once else Run(windows.window(job, ports.now()), windows.window(job, ports.now()))
    if here is None:
        return {}
    counts = dict(work(here))
    missed = finish(job, ports, here)
    if missed:
        ports.log("windows_missed", job=job.name, missed=missed, until=stamp(here.window))
        counts[MISSED] = missed
    return counts


def claim(job: Job, ports: Ports) -> Run | None:
    """Take the window that is now; ``None`` where it is done, or another run is at it."""
    key, now = keys.job_item(job.name), ports.now()
    item = ports.ledger.read([key]).get(key) or {}
    here = windows.owed(job, _done(item), now)
    if here is None:
        return None
    if item.get("window") == stamp(here.window) and item.get("lease", "") > stamp(now):
        return None
    lease = stamp(now + timedelta(seconds=ports.function_timeout + 10))
    at = {"window": stamp(here.window), "owner": ports.owner, "lease": lease}
    # What is due is so since the last window that was done: a job that fails in each must not put it off for ever.
    due = {} if item.get("due") else ledger.due(key.pk, windows.overdue(job, here.window - job.every))
    change = Change(key, set={**_facts(job), **at, **due}, add={"rev": 1}, when={"rev": item.get("rev")}, upsert=True)
    try:
        ports.ledger.write([change])
    except Refused as refusal:
        seen = refusal.seen[0] or {}
        if seen.get("owner") != ports.owner or seen.get("window") != at["window"]:
            return None
    return here


def finish(job: Job, ports: Ports, here: Run) -> int:
    """Write down that a window is done; how many before it nobody has done. A newer one that is done stands."""
    key, done = keys.job_item(job.name), stamp(here.window)
    due = ledger.due(key.pk, windows.overdue(job, here.window)) if job.once else {}
    values = {**_facts(job), "done": done, "updated": stamp(ports.now()), **due}
    seen: Item | None = None
    when: dict[str, Any] = {"done": stamp(here.window - job.every), "state": None}
    for attempt in range(_TRIES):
        if attempt:
            before = _done(seen or {})
            if before is not None and before >= here.window:
                return 0
            when = {"done": (seen or {}).get("done")}
        change = Change(key, set=values, remove=("lease", *_CASE), add={"rev": 1}, when=when, upsert=True)
        try:
            ports.ledger.write([change])
        except Refused as refusal:
            seen = refusal.seen[0]
            continue
        before = _done(seen) if seen else None
        return (here.window - before) // job.every - 1 if before else 0
    ports.log("window_not_written", job=job.name, window=done)
    return 0


def _done(item: Mapping[str, Any]) -> datetime | None:
    return ledger.instant(item["done"]) if item.get("done") else None


def _facts(job: Job) -> dict[str, Any]:
    return {"what": "job", "v": ledger.SCHEMA, "number": job.name, "means": job.means}


def look(ports: Ports, item: Item) -> str:
    """Probe's look at a job that should have finished a window by now: a case; what was done, in a word."""
    key, now = Key(item["pk"], item["sk"]), ports.now()
    entry = problem("job_behind")
    values: dict[str, Any] = ledger.due(key.pk, now + CASE_AGAIN * 6)
    opens = item.get("state") != CASE
    if opens:
        facts = {"job": item["number"], "since": str(item.get("done", item.get("window", ""))), "means": item["means"]}
        values |= {"state": CASE, "code": "job_behind", "facts": facts, "owner_team": entry.owner, "opened": stamp(now)}
        values |= {"case": {"opened": stamp(now), "owner": entry.owner}, "updated": stamp(now)}
    ports.ledger.write([Change(key, set=values, add={"rev": 1}, when={"rev": item["rev"]})])
    if opens:
        ports.bus.tell("case.opened", {"job": item["number"], "code": "job_behind", "owner": entry.owner})
    return "case opened: job behind" if opens else "job still behind"
