"""Capacity of one target account, as values of its budget item: how many calls at once now, and whether it answers.

The limit is adaptive: a 429 halves it, a round of good answers raises it by one, up to what the target declares. The
breaker opens after answers that did not come, one after the other; when its pause is over, one batch goes as the trial
and everybody else waits for what it finds. Pure: each function says what is to be set on the item that was read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from tieout.core import tokens
from tieout.core.ledger import instant, stamp
from tieout.core.verdicts import NotYet, TryAgain, Verdict
from tieout.core.writes import Item

#: So many answers in a row that did not come open the breaker.
OPENS_AFTER: Final = 5
#: The first pause of an opened breaker in seconds; each trial that fails doubles it, up to the second figure.
PAUSE_LEAST, PAUSE_MOST = 10, 300
#: The longest pause in seconds that a target may ask for: an absurd Retry-After must not park it for a year.
ASKED_MOST: Final = 900
#: How soon what waits for somebody else's trial asks again.
TRIAL_AGAIN: Final = timedelta(seconds=15)
#: Codes of answers that did not come: no connection, no answer, or one that says nothing (a 5xx).
SILENT: Final = frozenset({"target_unreachable", "target_lost", "target_timeout", "target_unclear", "target_down"})
#: What is let go at a time lasts for so long: longer than between two looks of a probe that stays at the tap.
AHEAD: Final = timedelta(seconds=20)
#: What was let go and has not come back for so long is lost, and is let go again by whoever finds it.
LOST_AFTER: Final = timedelta(seconds=90)
#: Milliseconds of a slot that a posting is taken to need until it is known.
SLOT_MS: Final = 1000


class Budget(Protocol):
    """What a target declares: calls at once, calls in a window, and the most calls that one posting makes."""

    @property
    def concurrency(self) -> int:
        """Calls at once."""

    @property
    def rates(self) -> Sequence[tokens.Rate]:
        """Calls in a window, each window that the vendor limits."""

    @property
    def calls(self) -> int:
        """Calls of one posting."""


def ceiling_of(item: Item, declared: int) -> int:
    """The most calls at once: as the account itself said when it was last asked, else as declared."""
    return max(1, int(item.get("ceiling", declared)))


def limit(item: Item, declared: int) -> int:
    """Calls at once that the account takes now: at least one, at most its ceiling."""
    ceiling = ceiling_of(item, declared)
    return max(1, min(ceiling, int(item.get("limit", ceiling))))


def live(leases: Mapping[str, str] | None, now: datetime) -> dict[str, str]:
    """The leases that have not run out, by owner."""
    at = stamp(now)
    return {owner: until for owner, until in (leases or {}).items() if until > at}


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


def answered(item: Item, owner: str, declared: int, good: int) -> dict[str, Any]:
    """What ``good`` answers set: no failures, one more call after a full round; the trial's close the breaker."""
    if good <= 0:
        return {}
    ceiling = ceiling_of(item, declared)
    now, count = limit(item, declared), int(item.get("good", 0)) + good
    while now < ceiling and count >= now:
        count -= now
        now += 1
    values: dict[str, Any] = {"failures": 0, "limit": now, "good": count if now < ceiling else 0}
    return values | ({"trips": 0} if owner in item.get("trial", {}) else {})


def about_the_account(verdict: Verdict) -> bool:
    """Whether a failure says something about the account (or nothing was asked of it), not about one document."""
    return verdict.code in SILENT or verdict.code in ("deadline_near", "target_busy") or "after" in verdict.facts


def objected(item: Item, owner: str, declared: int, verdict: Verdict, now: datetime) -> dict[str, Any]:
    """What an answer that is not good for the account sets; nothing for one that is about the document alone."""
    if verdict.code in SILENT:
        return _silent(item, owner, now)
    # One storm is one sign: what was under way when the pause began is refused too, and does not halve again.
    if verdict.code != "target_busy" or str(item.get("paused_until", "")) > stamp(now):
        return {}
    return {"limit": max(1, limit(item, declared) // 2), "good": 0}


def _silent(item: Item, owner: str, now: datetime) -> dict[str, Any]:
    failures, trips = int(item.get("failures", 0)) + 1, int(item.get("trips", 0))
    paused = str(item.get("paused_until", ""))
    tried = owner in item.get("trial", {})
    if not tried and (failures < OPENS_AFTER or (trips and paused > stamp(now))):
        return {"failures": failures}
    pause = min(PAUSE_LEAST * 2 ** min(trips, 10), PAUSE_MOST)
    return {"failures": 0, "trips": trips + 1, "paused_until": max(stamp(now + timedelta(seconds=pause)), paused)}


def asked_pause(item: Item, verdict: Verdict, now: datetime) -> dict[str, Any]:
    """What a target that asks for a pause sets: everybody leaves it alone until then."""
    after = verdict.facts.get("after")
    if not isinstance(verdict, TryAgain) or not after or verdict.code == "deadline_near":
        return {}
    until = stamp(now + timedelta(seconds=min(int(after), ASKED_MOST)))
    return {"paused_until": max(until, str(item.get("paused_until", "")))}


# --- what waits --------------------------------------------------------------------------------------------------
def paced(item: Item, took: timedelta, handled: int) -> dict[str, Any]:
    """The milliseconds of a slot that a posting needs, an average that forgets: an eighth of what was seen now."""
    seen = max(1, took // timedelta(milliseconds=1) // handled)
    return {"ms": (int(item.get("ms", seen)) * 7 + seen) // 8}


def afloat(item: Item, now: datetime) -> dict[str, int]:
    """Postings that were let go and have not come back, by when; what is gone for too long is lost."""
    lost = stamp(now - LOST_AFTER)
    return {at: count for at, count in item.get("afloat", {}).items() if at > lost and count > 0}


def let_out(item: Item, count: int, now: datetime) -> dict[str, Any]:
    """What letting ``count`` postings go sets."""
    known = afloat(item, now)
    return {"afloat": known | ({stamp(now): known.get(stamp(now), 0) + count} if count else {})}


def came_back(item: Item, count: int, now: datetime) -> dict[str, Any]:
    """What the return of ``count`` postings sets, the oldest first."""
    if count <= 0:
        return {}
    known = afloat(item, now)
    for at in sorted(known):
        back = min(count, known[at])
        known[at] -= back
        count -= back
    return {"afloat": {at: left for at, left in known.items() if left}}


def _ahead(item: Item, budget: Budget, skew: int, now: datetime) -> int:
    """Postings that the account takes while nobody looks: by its slots, and by the tokens that are free."""
    many = (
        limit(item, budget.concurrency) * (AHEAD // timedelta(milliseconds=1)) // max(1, int(item.get("ms", SLOT_MS)))
    )
    free = tokens.free(item, budget.rates, skew, now)
    most = max(many, limit(item, budget.concurrency))
    return most if free is None else min(most, max(0, free) // budget.calls)


def room(item: Item, budget: Budget, skew: int, now: datetime) -> int:
    """How many of those that wait may go now: none in a pause, one as a trial, else as many as until the next look."""
    if str(item.get("paused_until", "")) > stamp(now):
        return 0
    out = sum(afloat(item, now).values())
    if item.get("trips"):
        return 0 if out or live(item.get("trial"), now) else 1
    return max(0, _ahead(item, budget, skew, now) - out)


def low(item: Item, budget: Budget, skew: int, now: datetime) -> bool:
    """Whether so little is under way that more should be let go at once, not at the next look."""
    here = room(item, budget, skew, now)
    return here > 0 and here >= sum(afloat(item, now).values())
