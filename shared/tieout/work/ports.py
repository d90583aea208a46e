"""What the verbs need of the world, each beside its users; ``aws`` fills them, tests fill them with small fakes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from tieout.contract import Called, Wire
from tieout.core.keys import Key
from tieout.core.writes import Item, Write

if TYPE_CHECKING:  # receive knows the ports and loads no table
    from tieout.tables import Tables


class Unavailable(Exception):
    """A service behind a port is throttled or out of reach; nothing is known to have been done."""


@dataclass(frozen=True)
class Message:
    """A message as a queue handed it over: its id, its parsed body, how often it was received."""

    id: str
    body: Mapping[str, Any]
    receives: int = 1
    source: str = ""


@dataclass(frozen=True)
class Send:
    """A message to a lane queue: which posting, its lane, and the ledger items its gates will look at."""

    system: str
    posting: str
    target: str
    lane: str | None
    reads: Sequence[Sequence[str]]
    sends: int

    def body(self) -> dict[str, Any]:
        """The message body; :meth:`read` is its reverse."""
        return {
            "v": 1,
            "posting": self.posting,
            "target": self.target,
            "lane": self.lane,
            "reads": [list(key) for key in self.reads],
            "sends": self.sends,
        }

    @classmethod
    def of(cls, posting: Item) -> Send:
        """The send that a posting is due for."""
        return cls(
            system=posting["target"].partition(":")[0],
            posting=posting["key"],
            target=posting["target"],
            lane=posting.get("lane"),
            reads=posting.get("reads", ()),
            sends=posting.get("sends", 1),
        )


class Ledger(Protocol):
    """Events, postings, lanes, links and runs: the truth. Decision 0001 lists its keys and indexes."""

    def read(self, keys: Iterable[Key]) -> dict[Key, Item]:
        """The items that exist, strongly consistent; one call for each hundred."""

    def write(self, writes: Sequence[Write]) -> None:
        """All or nothing. Raises ``Refused`` with what was found where a condition did not hold."""

    def due(self, until: str, limit: int = 200) -> list[Item]:
        """Index rows of items due at or before ``until``: targets' budgets, then the earliest over all shards."""

    def waiting(self, target: str, limit: int) -> list[Item]:
        """Index rows of the postings that wait for room at ``target``, in order of their rank."""

    def open(self) -> Iterator[Item]:
        """Index rows of everything that has a due time, whenever that is."""

    def day(self, day: str) -> Iterator[Item]:
        """Index rows of what became final on ``day`` (YYYY-MM-DD, UTC)."""

    def find(self, name: str) -> list[Key]:
        """Items that go by ``name``: a source's object id, a document number, our reference, a target's id."""

    def family(self, pk: str) -> list[Item]:
        """All items of one partition, in order of their sort key."""


class Queues(Protocol):
    """The inbox and the lane queues."""

    def receive_into_inbox(self, body: Mapping[str, Any]) -> None:
        """Put one event on the inbox. Raises ``Unavailable``."""

    def send(self, sends: Sequence[Send]) -> None:
        """Send to the lane queues, ten a call. A lost send is found by its due time."""


class Vault(Protocol):
    """Raw bytes, kept."""

    def put(self, name: str, body: bytes) -> str:
        """Store bytes under a name; the pointer to them."""

    def get(self, pointer: str) -> bytes:
        """The bytes behind a pointer. Raises ``Unavailable``."""


class Secrets(Protocol):
    """Credentials, fetched once per environment and refreshed when they age."""

    def get(self, system: str, account: str) -> Mapping[str, Any] | None:
        """The secret of one account; ``None`` where there is none. Raises ``Unavailable``."""


class Machines(Protocol):
    """State machines of the multi-step flows."""

    def start(self, flow: str, name: str, facts: Mapping[str, Any]) -> None:
        """Start an execution; one that already runs under this name is the same one."""

    def answer(self, token: str, result: Mapping[str, Any]) -> None:
        """Tell a waiting step that it succeeded. A token that is spent or timed out is no error."""

    def refuse(self, token: str, error: str, cause: str) -> None:
        """Tell a waiting step that it failed, by the verdict's class name."""

    def status(self, flow: str, name: str) -> str:
        """``RUNNING``, ``SUCCEEDED``, ``FAILED``, ``TIMED_OUT``, ``ABORTED`` or ``MISSING``."""


class Bus(Protocol):
    """Tells desk, metrics and alarms; losing it loses no truth."""

    def tell(self, kind: str, facts: Mapping[str, Any]) -> None:
        """Publish one fact; failures are swallowed and logged by the adapter."""


@dataclass(frozen=True)
class Ports:
    """Everything a verb may touch. ``log`` takes facts (codes, ids, counts), never a payload."""

    ledger: Ledger
    queues: Queues
    vault: Vault
    secrets: Secrets
    machines: Machines
    bus: Bus
    wire: Callable[[Called, str], Wire]
    now: Callable[[], datetime]
    token: Callable[[], str]
    log: Callable[..., None]
    owner: str
    region: str
    function_timeout: int
    remaining: Callable[[], float] = field(default=lambda: 900.0)
    #: Lets a few seconds pass; where time does not move by itself it does not, and who waited goes on without.
    pause: Callable[[float], None] = field(default=lambda seconds: None)
    #: The governed tables with approved changes over them; ``None`` for those of the release alone.
    tables: Callable[[], Tables] | None = None
