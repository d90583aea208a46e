"""The law of targets at their sandboxes: what a system brings so that the standard suite can hold it (`test_law.py`).

A target over HTTP brings one module, ``cases/<name>.py``, with one class ``Case``: how a posting of each of its actions
is made, with whatever it hangs on already there. The suite finds it by the registry; a system without one is red.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar

from infra.accept import examples, outcome
from infra.local.sandbox import Sandboxes
from tests.integration.systems.conftest import Bench
from tieout import systems
from tieout.contract import Echo, Target, Wire, Work
from tieout.core import documents
from tieout.core.documents import Document
from tieout.core.exchange import Request

#: Gross totals in minor units at the edges of what is booked: the least, a carry, a float's trap, a very large one.
AMOUNTS = (1, 10, 99, 100, 1010, 2999, 108876, 123_456_789_01)


class Rig(ABC):
    """One target at its sandbox: its wire, and works that are ready to be sent."""

    name: ClassVar[str]
    account: ClassVar[str] = "acme"
    #: What a search that finds nothing is answered, where a look is a search and not a read by reference.
    nothing: ClassVar[bytes | None] = None
    #: The body of the 404 that a read by reference gets where there is nothing.
    absent: ClassVar[bytes] = b""
    #: Of each action whose document is set against its invoice by a call of its own: matches that call.
    applies: ClassVar[Mapping[tuple[str, str], str]] = {}
    #: Whether an undo deletes: that the object is not there is then what was asked for.
    gone_is_done: ClassVar[bool] = False

    @staticmethod
    @abstractmethod
    def error(text: str) -> Any:
        """The body of a refusal that says ``text``, in the vendor's shape."""

    @staticmethod
    def reads(method: str, path: str) -> bool:
        """Whether a call only looks."""
        return method == "GET"

    @classmethod
    def before(cls, path: str) -> bytes:
        """What a call that only looks is answered where nothing of ours is there yet."""
        return cls.nothing or b"{}"

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.target: Target = systems.target(self.name)
        self.wire: Wire = self.connect()

    def connect(self) -> Wire:
        """The account's transport."""
        return self.bench.wire(self.name, self.account)

    @abstractmethod
    def work(self, kind: str, action: str, mark: str = "") -> Work:
        """A posting of that action, with what it hangs on posted already; ``mark`` makes it another document."""

    def amount(self, minor: int, mark: str) -> Work | None:
        """An invoice over ``minor`` without tax; ``None`` where the target books no invoices."""
        return None

    def decisive(self, work: Work) -> str:
        """Matches the call that makes the document: the recorded request, where one request is all of it."""
        request = Request.load(work.payload)
        return f"{request.method} .*{re.escape(request.path.partition('?')[0])}$"

    def settles(self, kind: str, action: str, mark: str = "") -> Work:
        """A posting of an action of :attr:`applies`, over the whole of an invoice that is the same at each call."""
        raise NotImplementedError

    def owed(self) -> Mapping[str, int]:
        """What is open of each invoice at the sandbox; see :meth:`owed_in`."""
        return self.owed_in(self.bench.sandboxes)

    @classmethod
    def alone(cls, sandboxes: Sandboxes) -> None:
        """Have the sandbox apply nothing by itself; most never do."""
        assert cls.applies

    @classmethod
    def owed_in(cls, sandboxes: Sandboxes) -> Mapping[str, int]:
        """What is open of each invoice there, in minor units, by our reference."""
        raise NotImplementedError

    def post(self, work: Work) -> Echo:
        """Send one work and expect that the target shows it."""
        return self.bench.post(self.wire, self.target, work)

    def found(self, work: Work) -> str:
        """The state that a look shows, once the quiet period is over."""
        self.bench.advance(self.target.quiet.period)
        return self.bench.find(self.wire, self.target, work).state

    def book(self) -> list[tuple[str, str, int, str, str]]:
        """What the sandbox holds for us, in a form that two moments can be compared by."""
        return sorted(
            (one.kind, one.external_ref, one.total_minor, one.currency, one.status)
            for one in self.bench.sandboxes.book(self.name, self.account)
        )


def example_document(mapping: str) -> Document:
    """The document of a mapping's usual example."""
    said = next(one.read() for one in examples() if one.mapping == mapping and one.path.stem == "usual")
    document = dict(said["document"])
    return documents.load(document.pop("kind"), json.dumps(document).encode())


class ExampleRig(Rig):
    """A target whose works are made of what the usual examples of its mappings make."""

    currency = "USD"
    total = 54438

    def payload(self, kind: str, action: str) -> Mapping[str, Any]:
        """What the usual example of the action's mapping makes."""
        mapping = self.target.actions[kind, action].mapping
        return next(
            outcome(one)["makes"] for one in examples() if one.mapping == mapping and one.path.stem == "usual"
        )  # fmt: skip

    @abstractmethod
    def parents(self, kind: str, action: str, mark: str) -> Mapping[str, Any]:
        """Members of the payload that name what the document hangs on, posted here first."""

    def work(self, kind: str, action: str, mark: str = "") -> Work:
        """A posting of that action; see :class:`Rig`."""
        return self.make(kind, action, mark, **self.parents(kind, action, mark))

    def settles(self, kind: str, action: str, mark: str = "") -> Work:
        """A posting against the one invoice; see :class:`Rig`."""
        return self.make(kind, action, mark, **self.parents(kind, action, "settled"))

    def make(self, kind: str, action: str, mark: str = "", total: int | None = None, /, **change: Any) -> Work:
        """A posting whose payload is the example's with some members changed, whatever they are called."""
        ref = self.target.reference.of(f"{kind}{mark}")
        echo = self.target.actions[kind, action].echo
        body = self.target.build(kind, action, ref, {**self.payload(kind, action), **change})
        return Work(
            f"{kind}/{ref}", kind, action, ref, "US01", self.account, self.currency if "currency" in echo else None,
            (self.total if total is None else total) if "total" in echo else None, body, self.bench.now(),
        )  # fmt: skip


def case_of(name: str) -> type[Rig]:
    """What a target brings; ``ModuleNotFoundError`` where it brings nothing."""
    case: type[Rig] = import_module(f"tests.integration.systems.cases.{name}").Case
    return case


def rig(name: str, bench: Bench) -> Rig:
    """The rig of one target at its sandbox."""
    return case_of(name)(bench)
