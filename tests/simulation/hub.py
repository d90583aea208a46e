"""The hub: a virtual clock, and workers that take turns at every call they make to the world.

A worker is a greenlet that runs a real verb. Each call of a port is a *boundary*: the worker sleeps there for the
call's latency, so that others run meanwhile, and a fate decides what becomes of the call. A worker that has died keeps
its stack, but every further call raises `Crash` without effect, so that no ``finally`` of the product does what a dead
process could not do.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol, TypeVar

import greenlet

T = TypeVar("T")
#: The virtual clock's zero.
START: Final = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)

CRASH_BEFORE, CRASH_AFTER, STALL_BEFORE, STALL_AFTER = "crash_before", "crash_after", "stall_before", "stall_after"


class Crash(BaseException):
    """The process is gone. Nothing in the product can catch it."""


class AwsError(Exception):
    """What an adapter lets through when AWS fails for good: a throttle after all retries, a lost connection."""


class TooLong(Exception):
    """A history does not come to rest."""


@dataclass
class Fate:
    """What becomes of one crossing: the fault (empty for none), how long the call takes, and the fault's own size."""

    fault: str = ""
    latency: float = 0.01
    size: float = 0.5


class Fates(Protocol):
    """Who decides what happens at the n-th crossing."""

    def draw(self, n: int, label: str, kinds: tuple[str, ...], now: float) -> Fate:
        """The fate of this crossing; its fault is one of ``kinds`` or none."""


@dataclass
class Worker:
    """One invocation of a function."""

    role: str
    number: int
    started: float
    timeout: float | None
    done: Callable[[str, Any], None]
    skew: float = 0.0
    thread: Any = None
    dead: bool = False
    over: bool = False
    result: Any = None
    #: When it first read the ledger: what was booked before that, it must obey.
    read_at: float | None = None
    #: The newest schema that its release knows.
    schema: int = 1
    package: str = "tieout"

    @property
    def name(self) -> str:
        """As traces and owners show it."""
        return f"{self.role}{self.number}"


@dataclass
class Hub:
    """Time, turns and the trace of one history."""

    fates: Fates
    now: float = 0.0
    heap: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    sequence: int = 0
    crossings: int = 0
    workers: int = 0
    live: int = 0
    current: Worker | None = None
    trace: list[tuple[float, str, str, str]] = field(default_factory=list)
    struck: Counter[tuple[str, str]] = field(default_factory=Counter)
    offered: list[str] = field(default_factory=list)
    kinds: dict[str, tuple[str, ...]] = field(default_factory=dict)
    faults: list[int] = field(default_factory=list)
    main: Any = field(default_factory=greenlet.getcurrent)
    all: list[Worker] = field(default_factory=list)
    #: What functions let through, as their logs would show it.
    raised: list[str] = field(default_factory=list)

    def at(self, when: float, does: Callable[[], None]) -> None:
        """Have something done at a virtual second."""
        self.sequence += 1
        heapq.heappush(self.heap, (when, self.sequence, does))

    def moment(self, skew: float = 0.0) -> datetime:
        """The virtual instant, as a clock that is off by ``skew`` seconds shows it."""
        return START + timedelta(seconds=self.now + skew)

    def run(self, until: float, rests: Callable[[], bool]) -> bool:
        """Let everything happen until the world rests; ``False`` where it does not before ``until``."""
        while self.heap:
            when, _, does = heapq.heappop(self.heap)
            if when > until:
                return False
            self.now = max(self.now, when)
            does()
            if rests():
                return True
        return rests()

    # --- workers
    def spawn(
        self, role: str, work: Callable[[Worker], Any], done: Callable[[str, Any], None], timeout: float | None,
        skew: float = 0.0,
    ) -> Worker:  # fmt: skip
        """Start an invocation now. ``done`` hears ``ok`` and the result, ``error`` and the exception, or ``gone``."""
        self.workers += 1
        self.live += 1
        worker = Worker(role, self.workers, self.now, timeout, done, skew)

        def body() -> None:
            try:
                outcome, value = "ok", work(worker)
            except Crash:
                outcome, value = "gone", None
            except Exception as error:
                outcome, value = "error", error
                self.raised.append(f"{type(error).__name__} {error}")
            if not worker.dead:
                self._over(worker, outcome, value)

        worker.thread = greenlet.greenlet(body, self.main)
        self.all.append(worker)
        self.at(self.now, lambda: self._resume(worker))
        if timeout is not None:
            self.at(self.now + timeout, lambda: self.kill(worker, "timeout"))
        return worker

    def _over(self, worker: Worker, outcome: str, value: Any) -> None:
        if not worker.over:
            worker.over = True
            self.live -= 1
            self.note(worker.name, f"end {outcome}", type(value).__name__ if outcome == "error" else "")
            worker.done(outcome, value)

    def _resume(self, worker: Worker) -> None:
        before, self.current = self.current, worker
        worker.thread.switch()
        self.current = before

    def kill(self, worker: Worker, why: str) -> None:
        """The process ends here and now; nobody in it notices."""
        if not worker.over:
            worker.dead = True
            self.note(worker.name, why, "")
            self._over(worker, "gone", None)

    def sleep(self, worker: Worker, seconds: float) -> None:
        """Let the others run for a while."""
        self.at(self.now + seconds, lambda: self._resume(worker))
        self.main.switch()
        if worker.dead:
            raise Crash

    def close(self) -> None:
        """End what still sleeps, so that no stack outlives its history."""
        for worker in self.all:
            if worker.thread and not worker.thread.dead:
                worker.dead = worker.over = True
                worker.thread.throw(Crash)

    def note(self, who: str, what: str, fault: str) -> None:
        """One line of the trace."""
        self.trace.append((self.now, who, what, fault))

    # --- boundaries
    def cross(
        self, worker: Worker, label: str, kinds: tuple[str, ...], does: Callable[[Fate], T], after: bool = True
    ) -> T:
        """One call to the world: what it costs, whether the worker lives to make it and to hear its answer."""
        if worker.dead:
            raise Crash
        self.crossings += 1
        label = f"{worker.role}.{label}"
        fate = self.fates.draw(self.crossings, label, kinds, self.now)
        self.offered.append(label)
        self.kinds[label] = kinds
        self.trace.append((self.now, worker.name, label, fate.fault))
        if fate.fault:
            self.struck[label, fate.fault] += 1
            self.faults.append(self.crossings)
        if fate.fault == CRASH_BEFORE:
            self._die(worker)
        self.sleep(worker, fate.latency + (fate.size if fate.fault == STALL_BEFORE else 0.0))
        answer = does(fate)
        if fate.fault == CRASH_AFTER:
            self._die(worker)
        if fate.fault == STALL_AFTER:
            self.sleep(worker, fate.size)
        return answer

    def _die(self, worker: Worker) -> None:
        self.kill(worker, "crash")
        raise Crash

    def digest(self, ends: list[str]) -> str:
        """A hash over the whole trace and the ends of all chains: two runs of one seed must agree on it."""
        return hashlib.sha256(repr((self.trace, ends)).encode()).hexdigest()[:16]
