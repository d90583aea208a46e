"""Reading again: an event that only names its object, or shows a part of it, gets the whole before it goes on.

One look at the ledger finds which events are known already (those are not asked for again), each object is asked for
once a batch within the budget of its account, and what was read is kept in the vault, one object a batch. What cannot
be read now is no failure of the event: it waits for its source with a due time, and probe asks again.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from tieout import systems
from tieout.contract import Read, Reader, Wire
from tieout.core import capacity, keys, ledger
from tieout.core.keys import Key
from tieout.core.parse import write_json
from tieout.core.verdicts import NeedsHuman, TryAgain, Verdict
from tieout.work.asking import Asking
from tieout.work.book import CASE_AGAIN
from tieout.work.commit import View
from tieout.work.ports import Ports

#: How long an object that is not shown is taken to be late in coming, and not to be gone.
GONE_AFTER: Final = timedelta(minutes=10)
#: How long an event waits for its source before a person hears of it; it goes on waiting.
LATE_AFTER: Final = timedelta(hours=1)


@dataclass(frozen=True)
class Wanted:
    """One event whose object is to be read again."""

    source: str
    account: str
    read: Read

    @property
    def event(self) -> Key:
        """Key of the event's item."""
        return keys.event(self.source, self.account, self.read.event_id)

    @property
    def about(self) -> tuple[str, str, str | None, str]:
        """What makes two events ask for the same: one object, as one type of event reads it."""
        return self.read.type, self.read.object_id, self.read.api, self.source + ":" + self.account


@dataclass(frozen=True)
class Whole:
    """An event's read as if it had carried all of its object, and where in the vault that is kept."""

    read: Read
    vault: str


#: What came of asking, by event.
Found = dict[Key, Whole | Verdict]


class Waits(Exception):
    """The event waits for its source, and why."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(str(verdict))
        self.verdict = verdict


def again(wanted: Sequence[Wanted], ports: Ports, *, waiting: bool = False) -> Found:
    """Ask the sources for the whole of every object; a verdict for what cannot be had now.

    ``waiting`` says that the events are in the ledger and wait for just this; without it a known event is a delivery
    that came twice, and nothing is asked for its sake.
    """
    accounts = {f"{one.source}:{one.account}": (one.source, one.account) for one in wanted}
    events = [] if waiting else [one.event for one in wanted]
    budgets = {target: keys.budget_item(target) for target in accounts}
    view: View = dict.fromkeys([*events, *budgets.values()])
    view.update(ports.ledger.read(list(view)))
    known = {key for key in events if view[key] is not None}
    # Whatever is decided of a known event: its put is refused, and the item that is there stands.
    found: Found = {key: TryAgain("source_behind", "the event is known") for key in known}
    read: dict[Key, Read] = {}
    for target, (source, account) in accounts.items():
        fresh = [one for one in wanted if (one.source, one.account) == (source, account) and one.event not in known]
        if fresh:
            for key, one in _ask(source, fresh, Asking(ports, view, target)).items():
                if isinstance(one, Verdict):
                    found[key] = one
                else:
                    read[key] = one
    return found | _keep(read, ports)


def _keep(read: Mapping[Key, Read], ports: Ports) -> Found:
    """What was read, one object in the vault: a line an event, as raw deliveries are kept."""
    if not read:
        return {}
    lines = [
        json.dumps({"event": key.pk, "body_b64": base64.b64encode(write_json(one.object)).decode()}, sort_keys=True)
        for key, one in read.items()
    ]
    content = "\n".join(lines).encode()
    name = f"reread/{ports.now():%Y-%m-%d}/{hashlib.sha256(content).hexdigest()[:40]}.jsonl"
    pointer = ports.vault.put(name, content)
    return {key: Whole(one, f"{pointer}#{number}") for number, (key, one) in enumerate(read.items())}


# --- one account -------------------------------------------------------------------------------------------------
def _ask(source: str, wanted: Sequence[Wanted], asking: Asking) -> dict[Key, Read | Verdict]:
    """The whole of each object, or the verdict. One that is about the account ends the asking for all."""
    try:
        reader = systems.reader(source)
    except KeyError:
        nobody = NeedsHuman("source_unreadable", "no reader", said="this system is not asked")
        return {one.event: _of(nobody, one, asking.target) for one in wanted}
    try:
        wire = asking.begin(reader, wanted[0].account)
    except Verdict as verdict:
        return {one.event: _of(verdict, one, asking.target) for one in wanted}
    try:
        answers: dict[tuple[Any, ...], Read | Verdict] = {}
        for one in wanted:
            if one.about not in answers:
                # Events that come together are asked for once, for the newest of them: the answer holds for all.
                same = [two.read for two in wanted if two.about == one.about]
                newest = max(same, key=lambda read: read.object_version or 0)
                answers[one.about] = asking.over or _one(reader, wire, newest, asking)
        return {one.event: _for(answers[one.about], one, asking.target) for one in wanted}
    finally:
        asking.end()


def _one(reader: Reader, wire: Wire, read: Read, asking: Asking) -> Read | Verdict:
    try:
        whole = reader.again(wire, read)
    except Verdict as verdict:
        asking.heard(verdict)
        return verdict
    asking.heard(None)
    return whole


def _for(answer: Read | Verdict, one: Wanted, target: str) -> Read | Verdict:
    """The answer as this very event's."""
    if isinstance(answer, Verdict):
        return _of(answer, one, target)
    return replace(
        one.read, object=answer.object, object_version=answer.object_version, ours=answer.ours,
        entity=answer.entity or one.read.entity, thin=False, claimed=answer.claimed,
    )  # fmt: skip


def _of(verdict: Verdict, one: Wanted, target: str) -> Verdict:
    """The verdict with the names that its sentence needs."""
    facts = {"target": target, "what": f"{one.read.type} {one.read.object_id}", **verdict.facts}
    return type(verdict)(verdict.code, verdict.log, **facts)


# --- waiting -----------------------------------------------------------------------------------------------------
def outcome(verdict: Verdict, event: Key, received: str, looks: int, now: datetime) -> tuple[str, Verdict, datetime]:
    """What an event is that waits for its source: WAITING or, where a person should know, CASE; and when to ask again.

    Either way it is asked for again: a permission that is granted, or an object that comes after all, needs nobody.
    """
    waited = now - ledger.instant(received)
    if verdict.code == "source_gone" and waited <= GONE_AFTER:
        verdict = TryAgain("source_behind", verdict.log, **verdict.facts)
    if isinstance(verdict, NeedsHuman):
        return ledger.CASE, verdict, now + CASE_AGAIN
    if waited > LATE_AFTER:
        facts = {"target": verdict.facts["target"], "what": verdict.facts["what"], "since": received}
        return ledger.CASE, NeedsHuman("source_late", verdict.log, said=verdict.code, **facts), now + CASE_AGAIN
    until, after = verdict.facts.get("until"), verdict.facts.get("after")
    if until:
        return ledger.WAITING, verdict, max(ledger.instant(until), now + timedelta(seconds=1))
    if after:
        return ledger.WAITING, verdict, now + timedelta(seconds=min(int(after), capacity.ASKED_MOST))
    return ledger.WAITING, verdict, now + ledger.backoff(looks, event.pk, least=10, most=600)


def of_a_release(event: Key, received: str, looks: int, now: datetime) -> tuple[str, Verdict, datetime]:
    """The same of an event whose lane (or what else it would touch) a newer release of Tieout has written."""
    if now - ledger.instant(received) > LATE_AFTER:
        return ledger.CASE, NeedsHuman("release_late", since=received), now + CASE_AGAIN
    return ledger.WAITING, TryAgain("newer_release"), now + ledger.backoff(looks, event.pk, least=10, most=600)
