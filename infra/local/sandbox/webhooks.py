"""Sending events to the product: later, again when it is not accepted, twice or out of order when told so.

The body of an event never changes; its headers are made anew for each attempt, because vendors sign each attempt
with the time of the attempt.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from infra.local.sandbox.agenda import Agenda
from infra.local.sandbox.faults import Faults

Send = Callable[[str, dict[str, str], bytes], int]


@dataclass(frozen=True)
class When:
    """How an event travels: first attempt after ``delay`` seconds of world time, ``times`` copies, or not at all."""

    delay: int = 0
    times: int = 1
    hold: bool = False


NOW = When()


@dataclass(frozen=True)
class Attempt:
    """One delivery that was tried; ``status`` 0 means that nobody answered."""

    event_id: str
    path: str
    at: datetime
    status: int


class Courier:
    """Carries events of one source account to one webhook path."""

    def __init__(self, agenda: Agenda, send: Send, path: str, retries: Sequence[int]) -> None:
        self._agenda = agenda
        self._send = send
        self._path = path
        self._retries = tuple(retries)
        self.attempts: list[Attempt] = []
        #: Orders to misbehave while sending; the sandboxes give theirs to each courier.
        self.faults: Faults | None = None

    def post(self, event_id: str, body: bytes, sign: Callable[[bytes], dict[str, str]], when: When = NOW) -> None:
        """Put an event on its way; it is tried again after each wait of ``retries`` until a 2xx comes back."""
        when = self._struck(when)
        if when.hold:
            return
        for _ in range(when.times):
            self._agenda.after(when.delay, lambda: self._try(event_id, body, sign, 0))

    def _struck(self, when: When) -> When:
        """How the event travels after all, where a fault strikes it."""
        fault = self.faults.take(f"HOOK {self._path}") if self.faults else None
        match fault.kind if fault else "":
            case "webhook_twice":
                return replace(when, times=when.times + 1)
            case "webhook_late":
                return replace(when, delay=when.delay + int(fault.number("seconds", 600)))  # type: ignore[union-attr]
            case "webhook_lost":
                return replace(when, hold=True)
        return when

    def _try(self, event_id: str, body: bytes, sign: Callable[[bytes], dict[str, str]], tried: int) -> None:
        status = self._attempt(body, sign(body))
        self.attempts.append(Attempt(event_id, self._path, self._agenda.clock(), status))
        if not 200 <= status < 300 and tried < len(self._retries):
            self._agenda.after(self._retries[tried], lambda: self._try(event_id, body, sign, tried + 1))

    def _attempt(self, body: bytes, headers: dict[str, str]) -> int:
        try:
            return self._send(self._path, headers, body)
        except Exception:  # a vendor does not care why the endpoint did not answer
            return 0


def hmac_hex(secret: str, message: bytes) -> str:
    """Hex HMAC-SHA256, the signature both Stripe and our callout contract use."""
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()
