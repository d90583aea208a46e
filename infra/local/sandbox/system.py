"""What every sandbox over HTTP has in common: a base address, a lock, a book, ids that a seed decides."""

from __future__ import annotations

import hashlib
import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from infra.local.sandbox.agenda import Agenda, Clock
from infra.local.sandbox.books import Entry
from infra.local.sandbox.faults import CUSTOMERS, PARTIAL
from infra.local.sandbox.wire import Json, Reply, Request

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
Deliver = Callable[[str, dict[str, str], bytes], int]


@dataclass(frozen=True)
class Ground:
    """What every sandbox stands on: world time, what is due, the seed of its ids, and the way to the product."""

    clock: Clock
    agenda: Agenda
    seed: int
    send: Deliver


class Ids:
    """Ids that look random and are the same for the same seed and the same order of asking."""

    def __init__(self, *scope: object) -> None:
        self._scope = "/".join(map(str, scope))
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def next(self, prefix: str, length: int) -> str:
        """``prefix`` and ``length`` letters or digits."""
        with self._lock:
            self._counts[prefix] += 1
            count = self._counts[prefix]
        return prefix + self.code(f"{prefix}/{count}", length)

    def code(self, name: str, length: int) -> str:
        """Letters and digits that depend on the scope and the name only."""
        digest = int.from_bytes(hashlib.sha512(f"{self._scope}/{name}".encode()).digest(), "big")
        letters = []
        for _ in range(length):
            digest, index = divmod(digest, len(ALPHABET))
            letters.append(ALPHABET[index])
        return "".join(letters)


class System(ABC):
    """One account of one vendor. Work is done under one lock, as a vendor's database would order it."""

    name: str
    #: Which kinds of fault that not every vendor has this one has (``faults.PARTIAL``).
    does: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, account: str, clock: Clock, agenda: Agenda, seed: int) -> None:
        self.account = account
        self.clock = clock
        self.agenda = agenda
        self.ids = Ids(seed, self.name, account)
        self.lock = threading.RLock()
        self.base_url = ""
        #: Customers that were archived or merged, by the vendor's own id, each with the kind of fault that did it.
        self.aside: dict[str, str] = {}
        #: When each row that a search may not show yet was made.
        self.born: dict[str, datetime] = {}

    @property
    def prefix(self) -> str:
        """Where it is mounted, ``/stripe/acct_us``."""
        return f"/{self.name}/{self.account}"

    def now(self) -> datetime:
        """World time."""
        return self.clock()

    def epoch(self) -> int:
        """World time in whole seconds since 1970."""
        return int(self.clock().timestamp())

    @contextmanager
    def admitted(self, request: Request) -> Iterator[Reply | None]:
        """Around a whole call; yields a refusal when there are too many at once."""
        yield None

    @abstractmethod
    def authorise(self, request: Request) -> Reply | None:
        """The refusal of a caller that did not prove who it is, or None."""

    @abstractmethod
    def act(self, request: Request) -> Reply:
        """Do the work of an authorised request; called under the lock."""

    def customer_of(self, request: Request) -> str:
        """The id of the customer that a call names; empty where it names none."""
        return ""

    def searches(self, request: Request) -> bool:
        """Whether a call is a search that may lag."""
        return False

    def means(self, kind: str, request: Request) -> bool:
        """Whether a kind of fault has any meaning for this call."""
        if kind not in PARTIAL:
            return True
        if kind not in self.does:
            return False
        return bool(self.customer_of(request)) if kind in CUSTOMERS else self.searches(request)

    def set_aside(self, kind: str, customer: str) -> None:
        """Somebody there archives a customer, or merges it into another, as ``kind`` says."""
        with self.lock:
            self.aside[customer] = kind

    def bring_back(self) -> None:
        """Somebody there takes it back: every customer is what it was."""
        with self.lock:
            self.aside.clear()

    def indexed(self, ident: str, request: Request) -> bool:
        """Whether a search that lags by ``request.lag`` seconds shows a row."""
        made = self.born.get(ident)
        return made is None or not request.lag or made <= self.now() - timedelta(seconds=request.lag)

    def process(self, request: Request) -> Reply:
        """Do the work of an authorised request."""
        request.pause()
        with self.lock:
            return self.act(request)

    @abstractmethod
    def misbehave(self, kind: str, args: Json) -> Reply:
        """The vendor's own words for rate_limit, concurrency_429, closed_period and ok_with_errors."""

    @abstractmethod
    def forget_tokens(self) -> Reply | None:
        """Make every token stale; a reply where the vendor has no tokens but could still say 401."""

    @abstractmethod
    def secret(self) -> Json:
        """What the product's secret store holds for this account."""

    @abstractmethod
    def book(self) -> list[Entry]:
        """What it holds, exactly."""
