"""Ways in which a sandbox can be told to misbehave, as the vendors do.

A ``Fault`` matches ``METHOD /system/account/path`` by regular expression, skips its first ``after`` matches, then
strikes ``times`` times (0: always). What each kind does:

=====================  ============================================================================================
``commit_then_drop``   the work is done, then the socket closes without an answer
``drop_before``        the socket closes, nothing was done
``timeout_before_commit``  silence for ``seconds`` real seconds, then the socket closes; nothing was done
``timeout_after_commit``  the work is done, then silence for ``seconds`` real seconds, then the socket closes
``late_commit``        the socket closes at once; the work is done ``seconds`` of world time later
``truncated``          the work is done; half of the announced body arrives (an empty body: the socket closes)
``not_json``           200 with a page where the answer should be; the work is done, unless ``undone``
``wrong_type``         200 with a JSON text of another type; the work is done, unless ``undone``
``huge``               200 with an answer of 40 MB; the work is done, unless ``undone``
``more_fields``        the work is done; each object of the answer has members that nobody knows
``rate_limit``         429 with ``Retry-After: retry_after``; nothing was done
``concurrency_429``    the vendor's own answer to too many calls at once; nothing was done
``closed_period``      the vendor's own refusal of a date in a closed period
``ok_with_errors``     200 with an error inside; nothing was done
``html_500``           500 with a page of a load balancer; done first if ``committed``
``unavailable``        503 for ``seconds`` of world time from its first strike; done first if ``committed``
``stale_token``        every token in use stops being valid, so that this call gets 401
``slow``               ``seconds`` real seconds pass while the call is in work; then the normal answer
``archived_customer``  the customer that the call names is archived first, as the vendor does it; then the work is done
``merged_customer``    the customer that the call names is merged into another first; then the work is done
``search_lag``         a search does not show what was made in the last ``seconds`` (60) of world time
``webhook_twice``      what the sandbox sends is sent twice (``HOOK /hooks/stripe/acct_us``)
``webhook_late``       it is sent ``seconds`` of world time later
``webhook_lost``       it is never sent, as when a vendor gives up
=====================  ============================================================================================

The kinds of ``PARTIAL`` strike only where the vendor is known to do so (``System.does``), and only a call that names a
customer, or that searches: elsewhere the call is none of theirs, and whoever names such a system is told. A customer
stays archived or merged until the world behaves again. ``Faults.clear`` is what a person does there.

On the file drop of the legacy ERP (``DROP /legacy/acme/out/<file>``) only these have a meaning: ``drop_before``
(the file is never seen), ``commit_then_drop`` (booked, never acknowledged), ``late_commit`` (``seconds`` later than
usual), ``truncated`` (half an acknowledgement). On a file in which it tells (``DROP /legacy/acme/in/<file>``):
``drop_before`` (it never comes, and its number with it), ``truncated`` (half of it), ``late_commit`` (a ``.part``, and
the file ``seconds`` later).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from infra.local.sandbox.agenda import Clock

KINDS = frozenset({
    "not_json", "wrong_type", "huge", "more_fields",
    "commit_then_drop", "drop_before", "timeout_before_commit", "timeout_after_commit", "late_commit", "truncated",
    "rate_limit", "concurrency_429", "closed_period", "ok_with_errors", "html_500", "unavailable", "stale_token",
    "slow", "webhook_twice", "webhook_late", "webhook_lost", "archived_customer", "merged_customer", "search_lag",
})  # fmt: skip
#: Kinds that some vendors do and others do not: of a customer, and of a search.
CUSTOMERS = frozenset({"archived_customer", "merged_customer"})
PARTIAL = CUSTOMERS | {"search_lag"}


def meanings() -> list[tuple[str, str]]:
    """Each kind with what it does, out of the table of this module."""
    text = __doc__ or ""
    rows = re.findall(r"^``(\w+)``  +(.+)$", text, re.MULTILINE)
    known = {kind: meaning.replace("``", "") for kind, meaning in rows}
    return [(kind, known.get(kind, "see the table of sandbox/faults.py")) for kind in sorted(KINDS)]


@dataclass
class Fault:
    """One order to misbehave; see the table of the module. Raises ValueError for a kind that does not exist."""

    kind: str
    match: str = ".*"
    times: int = 1
    after: int = 0
    args: Mapping[str, Any] = field(default_factory=dict)
    seen: int = 0
    struck: int = 0
    since: datetime | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no fault is called {self.kind!r}; there are {', '.join(sorted(KINDS))}")
        re.compile(self.match)

    def number(self, name: str, default: float) -> float:
        """A numeric argument (seconds)."""
        return float(self.args.get(name, default))

    def describe(self) -> dict[str, Any]:
        """For the command line."""
        return {
            "kind": self.kind, "match": self.match, "times": self.times, "after": self.after,
            "args": dict(self.args), "seen": self.seen, "struck": self.struck,
        }  # fmt: skip

    def strikes(self, line: str, now: datetime) -> bool:
        """Whether it strikes this call; counts."""
        if self.kind == "unavailable" and self.since is not None:
            # an outage is over by the clock, not by the number of calls that met it
            return bool(re.search(self.match, line)) and now < self.since + timedelta(
                seconds=self.number("seconds", 60)
            )
        if (self.times and self.struck >= self.times) or not re.search(self.match, line):
            return False
        self.seen += 1
        if self.seen <= self.after:
            return False
        self.struck += 1
        self.since = self.since or now
        return True


#: Kinds that strike what is sent, not what is asked.
SENDING = frozenset(kind for kind in KINDS if kind.startswith("webhook_"))


class Faults:
    """The orders in force, first one first. Safe to use from several threads."""

    def __init__(self, clock: Clock, forget: Callable[[], None] = lambda: None) -> None:
        self._clock = clock
        self._forget = forget
        self._lock = threading.Lock()
        self._orders: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        """Give an order; the same object tells later how often it struck."""
        with self._lock:
            self._orders.append(fault)
        return fault

    def clear(self) -> None:
        """Behave again; whatever the orders left behind is forgotten."""
        with self._lock:
            self._orders.clear()
        self._forget()

    def take(self, line: str, means: Callable[[str], bool] = lambda kind: kind not in PARTIAL) -> Fault | None:
        """The fault that strikes ``METHOD /path`` now, or None; at most one a call.

        ``means`` says whether a kind has any meaning for that call; what has none does not count it.
        """
        with self._lock:
            sends = line.startswith("HOOK ")
            able = (order for order in self._orders if (order.kind in SENDING) == sends and means(order.kind))
            return next((order for order in able if order.strikes(line, self._clock())), None)

    def describe(self) -> list[dict[str, Any]]:
        """All orders with their counts."""
        with self._lock:
            return [order.describe() for order in self._orders]
