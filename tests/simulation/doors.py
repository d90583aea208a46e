"""The front door in histories: senders that sign and ask again until heard, forgers, and a key that is retired.

Honest events come through the real `receive`; so do forged, tampered, unsigned, replayed and retired-key deliveries.
The checker works each signature out anew from the bytes, the headers and the days of the keys: nothing may be in the
inbox that no key of its time had signed, and nobody honest may be told that he is not.
"""

from __future__ import annotations

import hashlib
import hmac
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from tests.simulation.events import Event
from tests.simulation.hub import Fate, Worker
from tests.simulation.model import CALLS
from tieout.contract import Delivery, Response
from tieout.work.ports import Unavailable

if TYPE_CHECKING:
    from tests.simulation.world import World

#: Time-out of the function behind the door, in seconds, and how long a sender waits for its answer.
TIMEOUT, PATIENCE = 10.0, 12.0
#: Seconds for which a signature is good.
WINDOW: Final = 300
SECRETS: Final = {"stripe": "webhook_secrets", "salesforce": "callout_secrets"}
ATTACKS: Final = ("unsigned", "forged", "tampered", "swapped", "stranger", "old", "early", "retired")


@dataclass(frozen=True)
class Keys:
    """The signing keys of a history: the new one is let in, the sender changes over, the old one is retired."""

    old: str
    new: str
    admitted: float
    moved: float
    retired: float

    def active(self, at: float) -> list[str]:
        """What the door accepts at a virtual second."""
        return [*([self.old] if at < self.retired else []), *([self.new] if at >= self.admitted else [])]

    def used(self, at: float) -> str:
        """What an honest sender signs with."""
        return self.new if at >= self.moved else self.old


@dataclass
class Stored:
    """What the inbox took: the delivery as it came, and when."""

    at: float
    delivery: Delivery
    kind: str


class Doors:
    """The front door of one history, its senders and its forgers."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self.world, self.rng = world, rng
        first = 30 + rng.random() * 300
        change = first + 30 + rng.random() * 120
        salt = f"{rng.random():.6f}"
        self.keys = Keys(f"whsec_old_{salt}", f"whsec_new_{salt}", first, change, change + 60 + rng.random() * 300)
        self.stored: list[Stored] = []
        #: Honest deliveries that were refused for good, and forged ones that were taken.
        self.wrong: list[str] = []
        self.acknowledged: list[Event] = []
        self.attacks = 0

    # --- honest senders
    def send(self, event: Event) -> None:
        """An honest sender delivers, and again and again until it hears that it was taken."""
        self._knock(event, self._signed(event, self.keys.used(self.world.hub.now), self.world.hub.now), 0)

    def _again(self, event: Event, tries: int) -> None:
        wait = min(600.0, 20.0 * 2.0**tries)
        self.world.hub.at(self.world.hub.now + wait, lambda: self._knock(event, self._fresh(event), tries))

    def _fresh(self, event: Event) -> Delivery:
        return self._signed(event, self.keys.used(self.world.hub.now), self.world.hub.now)

    def _knock(self, event: Event, delivery: Delivery, tries: int) -> None:
        def heard(response: Response | None) -> None:
            if response is not None and response.status < 300:
                self.acknowledged.append(event)
                self.world.coming -= 1
                return
            if response is not None and response.status < 500:
                self.wrong.append(f"an honest delivery was answered {response.status}")
            self._again(event, tries + 1)

        self._call(delivery, "honest", heard, event)

    # --- forgers
    def attack(self, when: float, event: Event, kind: str) -> None:
        """Somebody who may not delivers something at that time."""
        self.world.coming += 1

        def arrives() -> None:
            def heard(response: Response | None) -> None:
                self.world.coming -= 1
                if response is not None and response.status < 300:
                    self.wrong.append(f"a delivery of kind {kind} was answered {response.status}")

            self.attacks += 1
            self._call(self._attack(event, kind), kind, heard, event)

        after = self.keys.retired + 1 if kind == "retired" else 0.0
        self.world.hub.at(max(when, after), arrives)

    def _attack(self, event: Event, kind: str) -> Delivery:
        now = self.world.hub.now
        key = self.keys.used(now)
        # An attacker wants something of his own booked: another event of the same kind.
        body = event.body.replace(b'"evt_', b'"evt_evil_').replace(b'"event_id": "0', b'"event_id": "f')
        mine = replace(event, body=body)
        good, evil = self._signed(event, key, now), self._signed(mine, key, now)
        match kind:
            case "unsigned":
                return replace(evil, headers={"content-type": "application/json"})
            case "forged":
                return self._signed(mine, "whsec_guessed", now)
            case "tampered":
                return replace(good, body=good.body.replace(b"0", b"1", 1))
            case "swapped":
                return replace(evil, headers=good.headers)
            case "stranger":
                return replace(evil, account="acct_unknown")
            case "old":
                return self._signed(mine, key, now - WINDOW - 1 - self.rng.random() * 900)
            case "early":
                return self._signed(mine, key, now + WINDOW + 2 + self.rng.random() * 900)
            case _:
                return self._signed(mine, self.keys.old, now)

    # --- the wire
    def _signed(self, event: Event, key: str, at: float) -> Delivery:
        stamp = str(int(self.world.hub.moment().timestamp() + at - self.world.hub.now))
        mac = hmac.new(key.encode(), stamp.encode() + b"." + event.body, hashlib.sha256).hexdigest()
        headers = {"content-type": "application/json"}
        if event.source == "stripe":
            headers["stripe-signature"] = f"t={stamp},v1={mac}"
        else:
            headers |= {"x-tieout-timestamp": stamp, "x-tieout-signature": f"v1={mac}"}
        return Delivery(
            event.source, event.account, "POST", f"/hooks/{event.source}/{event.account}", headers, event.body,
            self.world.hub.moment(),
        )  # fmt: skip

    def _call(self, delivery: Delivery, kind: str, heard: Any, event: Event) -> None:
        def done(outcome: str, value: Any) -> None:
            heard(value if outcome == "ok" else None)

        def work(worker: Worker) -> Response:
            answer: Response = self.world.code(worker).receive.receive(
                delivery, _Behind(self, worker, delivery, kind, event)
            )
            return answer

        limit = None if self.world.setting.hostile else TIMEOUT
        self.world.hub.spawn("receive", work, done, limit)


class _Behind:
    """What `receive` holds of the world during one delivery."""

    def __init__(self, doors: Doors, worker: Worker, delivery: Delivery, kind: str, event: Event) -> None:
        self.doors, self.worker, self.delivery, self.kind, self.event = doors, worker, delivery, kind, event

    def secret(self, system: str, account: str) -> Mapping[str, Any] | None:
        """The account's signing secrets as they are at this moment."""

        def does(fate: Fate) -> Mapping[str, Any] | None:
            if fate.fault == "throttled":
                raise Unavailable("secrets_unavailable")
            known = account in ("acct_us", "acct_de", "00D_acme")
            return {SECRETS[system]: self.doors.keys.active(self.doors.world.hub.now)} if known else None

        return self.doors.world.hub.cross(
            self.worker, "secrets.get", ("crash_before", "stall_after", "throttled"), does
        )

    def keep(self, name: str, body: bytes) -> str:
        """No event of a history is that large."""
        raise AssertionError(name)

    def enqueue(self, body: Mapping[str, Any]) -> None:
        """The inbox takes it: from here on it counts as received."""
        world = self.doors.world

        def does(fate: Fate) -> None:
            if fate.fault == "throttled":
                raise Unavailable("inbox_unavailable")
            self.doors.stored.append(Stored(world.hub.now, self.delivery, self.kind))
            world.inbound.append((world.hub.now, self.event))
            world.inbox.put(body)
            if fate.fault == "lost":
                raise Unavailable("inbox_unavailable")

        world.hub.cross(self.worker, "inbox.put", CALLS, does)


# --- what must hold of it ----------------------------------------------------------------------------------------
def broken(world: World) -> list[str]:
    """I18: nothing unsigned, expired or signed by a retired key is stored; I1: what was acknowledged is in the log."""
    doors = world.doors
    if doors is None:
        return []
    found = [f"I18 {what}" for what in doors.wrong]
    for one in doors.stored:
        reason = _why_not(doors, one)
        if reason:
            found.append(f"I18 a delivery of kind {one.kind} is in the inbox at {one.at:.2f}: {reason}")
    there = {event.body for _, event in world.inbound}
    found += [f"I1 {event.object} was acknowledged and never received" for event in doors.acknowledged
              if event.body not in there]  # fmt: skip
    return found


def _why_not(doors: Doors, one: Stored) -> str:
    """Why a stored delivery should not have been: worked out from its bytes, by nobody's code but this."""
    headers = one.delivery.headers
    if one.delivery.source == "stripe":
        parts = dict(part.split("=", 1) for part in headers.get("stripe-signature", "").split(",") if "=" in part)
        stamp, given = parts.get("t", ""), parts.get("v1", "")
    else:
        stamp, given = headers.get("x-tieout-timestamp", ""), headers.get("x-tieout-signature", "")[3:]
    if not stamp or not given:
        return "it carries no signature"
    signed = {
        key for key in (doors.keys.old, doors.keys.new)
        if hmac.new(key.encode(), stamp.encode() + b"." + one.delivery.body, hashlib.sha256).hexdigest() == given
    }  # fmt: skip
    came = one.delivery.received.timestamp() - doors.world.hub.moment().timestamp() + doors.world.hub.now
    if not signed:
        return "no key of ours made its signature"
    # The secret was read between the delivery's arrival and its place in the inbox: either end counts.
    if not signed & {*doors.keys.active(came), *doors.keys.active(one.at)}:
        return "its key was not active then"
    if abs(one.delivery.received.timestamp() - int(stamp)) > WINDOW + 1:
        return f"it was signed at {stamp}"
    return ""
