"""Asking a source: one slot of its account's budget for several calls, each only while there is time to book it.

What its answers say of the account is told to the budget item, so that a 429 to a reader pauses the posts as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from tieout.contract import Asked, Folder, Wire
from tieout.core import capacity, keys
from tieout.core.classify import Answer
from tieout.core.verdicts import TryAgain, Verdict
from tieout.work.broker import Metered, Slots, lease_of
from tieout.work.commit import View, commit
from tieout.work.ports import Ports
from tieout.work.post import RECORD_MARGIN


@dataclass
class Asking:
    """One turn of asking the account ``target`` (``system:account``); ``view`` shows its budget item, or is filled."""

    ports: Ports
    view: View
    target: str
    #: What an answer has said of the account: nothing more is asked in this turn.
    over: Verdict | None = None
    good: int = 0
    slots: Slots = field(init=False)

    def begin(self, system: Asked, account: str) -> Wire:
        """Take the slot. Raises ``NotYet`` where none is free or the account is paused, and what the wire raises."""
        timed = Timed(self.ports.wire(system, account), self.ports, system.quiet.client_timeout)
        key = keys.budget_item(self.target)
        if key not in self.view:
            self.view[key] = self.ports.ledger.read([key]).get(key)
        self.slots = Slots(self.target, system, self.ports.owner)
        now, lease = self.ports.now(), lease_of(self.ports)
        commit(self.ports.ledger, self.view, "", lambda seen: self.slots.take(seen, now, lease))
        self.slots.taken(now)
        return Metered(self.ports, self.view, self.slots, timed, writes=False)

    def heard(self, verdict: Verdict | None) -> None:
        """Note an answer: good, about one object alone, or about the account."""
        if verdict is not None and (capacity.about_the_account(verdict) or verdict.code == "target_credentials"):
            self.over = verdict
        else:
            self.good += 1

    def end(self) -> None:
        """Give the slot back, and tell the budget item how the account has answered."""
        self.slots.good = self.good
        now = self.ports.now()
        try:
            commit(self.ports.ledger, self.view, "", lambda seen: self.slots.tell(seen, self.over, now, giving=True))
        except TryAgain:
            self.ports.log("slot_left_to_expire", target=self.target)


@dataclass
class Timed:
    """A wire that begins no call which the rest of the invocation cannot see to its end and record."""

    wire: Wire
    ports: Ports
    client_timeout: int
    account: str = field(init=False)

    def __post_init__(self) -> None:
        self.account = self.wire.account

    @property
    def settings(self) -> Mapping[str, str]:
        """Non-secret settings of the account."""
        return self.wire.settings

    def call(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        """One call, where there is time for it. Raises ``TryAgain('deadline_near')``."""
        if self.ports.remaining() < self.client_timeout + RECORD_MARGIN:
            raise TryAgain("deadline_near", after=1)
        return self.wire.call(method, path, headers=headers, body=body)

    def put_once(self, name: str, body: bytes) -> bool:
        """As the wire does."""
        return self.wire.put_once(name, body)

    def get(self, name: str) -> bytes | None:
        """As the wire does."""
        return self.wire.get(name)

    def names(self, folder: str) -> Sequence[tuple[str, datetime]]:
        """As the wire of a file target does."""
        return cast("Folder", self.wire).names(folder)
