"""Capacity of one target account, as values of its budget item: how many calls at once now, and whether it answers.

The limit is adaptive: a 429 halves it, a round of good answers raises it by one, up to what the target declares. The
breaker opens after answers that did not come, one after the other; when its pause is over, one batch goes as the trial
and everybody else waits for what it finds. Pure: each function says what is to be set on the item that was read.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from tieout.core.ledger import instant, stamp
from tieout.core.verdicts import NotYet, Verdict
from tieout.core.writes import Item

#: So many answers in a row that did not come open the breaker.
OPENS_AFTER: Final = 5
#: The first pause of an opened breaker in seconds; each trial that fails doubles it, up to the second figure.
PAUSE_LEAST, PAUSE_MOST = 10, 300
#: The longest pause in seconds that a target may ask for: an absurd Retry-After must not park it for a year.
ASKED_MOST: Final = 900
#: How soon what waits for somebody else's trial asks again.
TRIAL_AGAIN: Final = timedelta(seconds=15)
#: Codes of answers that did not come: no connection, no answer, or one that says nothing (a bare 5xx).
SILENT: Final = frozenset({"target_unreachable", "target_lost", "target_timeout", "target_unclear"})


def limit(item: Item, ceiling: int) -> int:
    """Calls at once that the account takes now: at least one, at most its declared ``ceiling``."""
    return max(1, min(ceiling, int(item.get("limit", ceiling))))


def live(leases: Mapping[str, str] | None, now: datetime) -> dict[str, str]:
    """The leases that have not run out, by owner."""
    return {owner: until for owner, until in (leases or {}).items() if until > stamp(now)}


def admit(item: Item, target: str, owner: str, now: datetime, until: datetime) -> dict[str, Any]:
    """What a batch that wants a slot sets beside it: nothing, or the breaker's trial.

    Raises ``NotYet('target_paused')`` while the target is paused, or while somebody else tries it.
    """
    paused = str(item.get("paused_until", ""))
    if paused > stamp(now):
        raise NotYet("target_paused", gate="breaker", until=paused, target=target)
    if not item.get("trips"):
        return {}
    others = live(item.get("trial"), now).keys() - {owner}
    if others:
        again = min(now + TRIAL_AGAIN, min(instant(item["trial"][other]) for other in others))
        raise NotYet("target_paused", gate="breaker", until=stamp(again), target=target)
    return {"trial": {owner: stamp(until)}}


def answered(item: Item, owner: str, ceiling: int, good: int) -> dict[str, Any]:
    """What ``good`` answers set: no failures, one more call after a full round; the trial's close the breaker."""
    if good <= 0:
        return {}
    now, count = limit(item, ceiling), int(item.get("good", 0)) + good
    while now < ceiling and count >= now:
        count -= now
        now += 1
    values: dict[str, Any] = {"failures": 0, "limit": now, "good": count if now < ceiling else 0}
    return values | ({"trips": 0} if owner in item.get("trial", {}) else {})


def about_the_account(verdict: Verdict) -> bool:
    """Whether a failure says something about the account (or nothing was asked of it), not about one document."""
    return verdict.code in SILENT or verdict.code in ("deadline_near", "target_busy") or "after" in verdict.facts


def objected(item: Item, owner: str, ceiling: int, verdict: Verdict, now: datetime) -> dict[str, Any]:
    """What an answer that is not good for the account sets; nothing for one that is about the document alone."""
    if verdict.code in SILENT:
        return _silent(item, owner, now)
    # One storm is one sign: what was under way when the pause began is refused too, and does not halve again.
    if verdict.code != "target_busy" or str(item.get("paused_until", "")) > stamp(now):
        return {}
    return {"limit": max(1, limit(item, ceiling) // 2), "good": 0}


def _silent(item: Item, owner: str, now: datetime) -> dict[str, Any]:
    failures, trips = int(item.get("failures", 0)) + 1, int(item.get("trips", 0))
    paused = str(item.get("paused_until", ""))
    tried = owner in item.get("trial", {})
    if not tried and (failures < OPENS_AFTER or (trips and paused > stamp(now))):
        return {"failures": failures}
    pause = min(PAUSE_LEAST * 2 ** min(trips, 10), PAUSE_MOST)
    return {"failures": 0, "trips": trips + 1, "paused_until": max(stamp(now + timedelta(seconds=pause)), paused)}
