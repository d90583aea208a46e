"""A toy target with a book, for tests of the protocol: it does what it is told to, wrongly where it is told to."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch

from tests.fakes import World
from tieout import systems
from tieout.contract import Action, Budget, Echo, Finds, Found, Quiet, Reference, Wire, Work
from tieout.core import keys
from tieout.core.keys import Key
from tieout.core.verdicts import Uncertain, Verdict
from tieout.core.writes import Item
from tieout.work import intake, post, probe
from tieout.work.ports import Message

EVENTS = Path(__file__).resolve().parents[1] / "events"


class Toy:
    """A target that books by reference. ``trouble`` holds what the next calls do instead, in order."""

    name = "toy"
    auth: ClassVar[Mapping[str, str]] = {}
    finds = Finds.UNIQUE
    quiet = Quiet(client_timeout=10, longest_processing=60, search_lag=0, clock_skew=5, period=200)
    reference = Reference()
    budget = Budget(concurrency=2)
    verdicts = ()
    ack_due = 600

    def __init__(self, name: str = "netsuite", *, batches: bool = False) -> None:
        self.name = name
        self.batches = batches
        self.book: dict[str, Echo] = {}
        self.order: list[str] = []
        self.calls = 0
        self.trouble: list[Callable[[Toy, Work], Echo | None]] = []
        self.acks: dict[str, Found] = {}
        kinds = ("invoice", "payment", "credit_note", "customer", "status", "subscription", "ticket",
                 "journal_entry")  # fmt: skip
        self.actions: Mapping[tuple[str, str], Action] = {
            (kind, action): Action(
                mapping=None,
                echo=("ref",)
                if kind in ("customer", "status", "subscription", "ticket")
                else ("ref", "currency", "total"),
                once=kind not in ("customer", "status", "ticket"),
                dated=action == "void",
            )
            for kind in kinds
            for action in ("create", "void", "upsert", "undo", "update")
        }

    def build(self, kind: str, action: str, ref: str, payload: Mapping[str, Any]) -> bytes:
        return json.dumps({"kind": kind, "action": action, "ref": ref, **payload}).encode()

    def commit(self, work: Work) -> Echo:
        """Book it, once per reference."""
        known = self.book.get(work.ref)
        if known is None:
            known = Echo(f"id{len(self.book) + 1}", work.ref, f"N{len(self.book) + 1}", work.currency, work.total)
            self.book[work.ref] = known
        self.order.append(f"{work.kind}.{work.action}")
        return known

    def send(self, wire: Wire, work: Sequence[Work]) -> Sequence[Echo | None]:
        self.calls += 1
        return [self.trouble.pop(0)(self, one) if self.trouble else self._ordinary(one) for one in work]

    def _ordinary(self, work: Work) -> Echo | None:
        echo = self.commit(work)
        return None if self.batches else echo

    def find(self, wire: Wire, work: Work) -> Found:
        self.calls += 1
        if self.batches:
            return self.acks.get(work.ref, Found("pending"))
        echo = self.book.get(work.ref)
        return Found("complete", echo) if echo else Found("absent")

    def look(self, wire: Wire, kind: str, facts: Mapping[str, str]) -> Sequence[Echo]:
        return ()


def refuses(verdict: Verdict) -> Callable[[Toy, Work], Echo | None]:
    """Nothing is booked, and this is the answer."""

    def act(toy: Toy, work: Work) -> Echo | None:
        raise verdict

    return act


def commits_and_drops(toy: Toy, work: Work) -> Echo | None:
    """Booked, and the answer is lost."""
    toy.commit(work)
    raise Uncertain("target_lost")


class Stage:
    """A world in memory with toy targets, and the verbs as one-liners."""

    def __init__(self) -> None:
        self.world = World(wire=lambda target, account: None)  # type: ignore[arg-type,return-value]
        self.targets = {name: Toy(name, batches=name == "legacy") for name in systems.TARGETS}
        self.count = 0

    def event(self, name: str, **changes: Any) -> dict[str, Any]:
        """A captured event with its id and its object's id changed."""
        whole: dict[str, Any] = json.loads((EVENTS / f"stripe/{name}.json").read_text())
        whole["data"]["object"] |= changes
        return whole

    def take(self, event: Mapping[str, Any], account: str = "acct_us", message: str | None = None) -> None:
        """Intake of one delivery."""
        self.count += 1
        body = json.dumps(event).encode()
        envelope = {
            "v": 1, "source": "stripe", "account": account, "received_at": "2026-11-20T12:00:00.000Z",
            "delivery": keys.delivery_id("stripe", account, body), "body_b64": base64.b64encode(body).decode(),
        }  # fmt: skip
        assert intake.intake([Message(message or f"m{self.count}", envelope)], self.world.ports()) == []

    def link(self, customer: str, account: str = "acct_us", target: str = "netsuite:acme") -> None:
        """A customer that onboarding has made known at the target."""
        key = keys.link_item("customer", f"stripe:{account}:{customer}")
        self.world.ledger.items[key] = {
            "pk": key.pk, "sk": key.sk, "canonical": "salesforce:acme:001", f"at:{target}": "501", "rev": 1,
        }  # fmt: skip

    def post(self) -> int:
        """Work through what was sent; how many messages there were."""
        sends = self.world.queues.take()
        messages = [Message(f"s{number}", send.body()) for number, send in enumerate(sends)]
        if messages:
            assert post.post(messages, self.world.ports()) == []
        return len(messages)

    def settle(self) -> None:
        """Post until nothing is sent any more."""
        while self.post():
            pass

    def probe(self, **later: float) -> Mapping[str, int]:
        """Let time pass and look at what is due."""
        self.world.later(**later)
        return probe.probe(self.world.ports())

    def postings(self, kind: str = "") -> list[Item]:
        """Postings of a kind, by key."""
        items = self.world.ledger.items.values()
        return [item for item in items if item.get("what") == "posting" and item["kind"] == (kind or item["kind"])]

    def one(self, kind: str) -> Item:
        """The only posting of a kind."""
        (item,) = self.postings(kind)
        return item

    def lane(self, posting: Item) -> Item:
        """The lane of a posting."""
        return self.world.ledger.items[Key(f"L#{posting['lane']}")]


@contextmanager
def stage() -> Iterator[Stage]:
    """A stage whose toy targets stand where the real ones would."""
    made = Stage()
    with patch.object(systems, "target", lambda name: made.targets[name]):
        yield made
