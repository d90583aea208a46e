"""Restart of a failed flow run, asked for by a person: run n+1, linked with run n, from the same document.

A new run makes its postings in a new generation. That is only safe where nothing of the old one is left standing, so
each of its postings must have ended taken back or unsent; else the restart is refused and names what still stands.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from tieout.core import keys, ledger
from tieout.core.documents import Status
from tieout.core.keys import Key
from tieout.core.writes import Change, Item, Put, Refused
from tieout.work.ports import Ledger
from tieout.work.settle import Moved, reason
from tieout.work.views import BadQuestion, NotThere

#: What a new run does not take over from the one before it.
_OWN: Final = ("done", "history", "code", "facts", "case", "day", "at", "looks", "next_run", "segments")


def restart(books: Ledger, run: str, why: str, by: str, now: datetime, token: str) -> Item:
    """Close the failed ``run`` (``flow#identity/r0001``) and make the next one, in one write; the new run.

    The probe starts its state machine. Raises `NotThere`, `BadQuestion` (no reason, not failed, something of it still
    stands) and `Moved` where somebody else was first.
    """
    said = reason(why)
    old = _run(books, run)
    if old.get("next_run"):
        raise Moved(f"it was restarted as {old['next_run']} by {old['history'][-1]['by']}")
    if (old["state"], old.get("code")) != (ledger.CASE, "step_failed"):
        raise BadQuestion(f"a run in {old['state']} ({old.get('code', 'no code')}) cannot be restarted")
    if standing := _standing(books, old):
        raise BadQuestion(f"something of it still stands: {standing['key']} is {standing['state']}; settle that first")
    new = _next(old, by, now, token, said)
    line = ledger.history_line(old, "COMPENSATED", now, by, action="restart", why=said, next=new["sk"])
    close = Change(
        Key(old["pk"], old["sk"]),
        set={
            "state": "COMPENSATED", "updated": line["at"], "tail": line["hash"], "lines": line["n"], "token": token,
            "next_run": new["sk"], "day": line["at"][:10], "at": line["at"],
        },
        remove=("due", "due_shard", "case"),
        append={"history": [line]},
        when={"state": old["state"], "tail": old["tail"]},
    )  # fmt: skip
    try:
        books.write([close, Put(new)])
    except Refused:
        seen = _run(books, run)
        if seen.get("token") != token:
            raise Moved(f"it is {seen['state']} now (moved by {seen['history'][-1]['by']})") from None
    return new


def _run(books: Ledger, run: str) -> Item:
    name, _, number = run.rpartition("/")
    key = Key(f"F#{name}", number)
    item = books.read([key]).get(key)
    if item is None or item.get("what") != "run":
        raise NotThere(f"no run {run[:200]}")
    if ledger.newer(item):
        raise Moved("a newer release of Tieout has it; try again when that release runs here")
    return item


def _standing(books: Ledger, run: Item) -> Item | None:
    """A posting of the run that is not proven gone: neither unsent nor taken back. What told the CRM may stand."""
    wanted = [keys.posting_item(key) for key in dict.fromkeys(run.get("done", []))]
    found = books.read(wanted)
    for key in wanted:
        item = found.get(key)
        if item is None or item["kind"] == Status.kind:
            continue
        gone = (ledger.POSTED,) if item["action"] == "undo" else (ledger.SUPERSEDED, ledger.COMPENSATED)
        if item["state"] not in gone:
            return item
    return None


def _next(old: Item, by: str, now: datetime, token: str, why: str) -> Item:
    number = int(old["run"]) + 1
    identity = str(old["pk"]).removeprefix("F#").partition("#")[2].rpartition("/v")[0]
    key = keys.run_item(old["flow"], f"{identity}/v{old['version']}", number)
    line = ledger.history_line({}, ledger.NEW, now, by, event=old["event"], action="restart", why=why, before=old["sk"])
    span = ledger.instant(old["late"]) - ledger.instant(old["opened"])
    return {
        **{name: value for name, value in old.items() if name not in _OWN},
        "pk": key.pk, "sk": key.sk, "state": ledger.NEW, "run": number, "restarts": old["sk"], "done": [],
        "execution": keys.execution_name(old["flow"], identity, old["version"], number), "token": token,
        "opened": ledger.stamp(now), "updated": ledger.stamp(now), "late": ledger.stamp(now + span),
        "history": [line], "tail": line["hash"], "lines": 1, **ledger.due(key.pk, now),
    }  # fmt: skip
