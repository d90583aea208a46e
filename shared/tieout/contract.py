"""What a system must declare to be let in: a :class:`Source` verifies and reads, a :class:`Target` posts and finds.

Declaration first, small methods after. A system holds no state and no client: what it needs of the world comes in
through a :class:`Wire` (its account's authenticated transport) and the :class:`Work` it is asked to do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal, Protocol, runtime_checkable

from tieout.core.classify import Answer, Row
from tieout.core.keys import BASE32, external_ref


# --- sources -----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Delivery:
    """One HTTP delivery as it arrived: header names in lower case, the body untouched, both from the front door."""

    source: str
    account: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    received: datetime
    #: The query string as it was sent, without its question mark.
    query: str = ""


@dataclass(frozen=True)
class Response:
    """What a source's sender expects to be told: status, headers, body."""

    status: int
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Numbered:
    """The place of an event among those that its source numbers without leaving one out.

    ``stream`` names the series within one source account; ``first`` to ``last``, both included, are the numbers that
    the event stands for. ``opens`` is the number with which the series begins, where the source says so: without it the
    first number ever seen is the beginning. ``patience`` is how long, in seconds, a number may be missing before it is
    a gap: what only comes out of order is none. A source that begins to count anew must name another stream.
    """

    stream: str
    first: int
    last: int
    opens: int | None = None
    patience: int = 900


@dataclass(frozen=True)
class Read:
    """One event, read tolerantly out of a delivery. ``object`` is the source's own object, parsed strictly.

    ``object_version`` orders the states of one object (never the arrival does); ``None`` where the kind never changes
    in place. ``ours`` is our own reference found on the object: an echo of what we created. ``volatile`` paths are
    left out of the event's fingerprint (delivery counters and the like). ``entity`` is the selling entity where the
    event itself names it; else the source account's row decides. ``alone`` is this event's own part of a body that
    holds several, so that a redelivery in other company is known again; ``None`` where the body is the event.
    ``sequence`` is its place where the source numbers its events, so that one that never comes is missed. ``thin`` says
    that ``object`` is not the whole of it, which must be read again before it can make a document. ``api`` is the
    vendor's API version in which the object is written, where the event says it. ``claimed`` says of a customer that
    the source itself calls it finance's, whether the books know it or not.
    """

    event_id: str
    type: str
    object_id: str
    object: Mapping[str, Any]
    occurred: datetime
    object_version: int | None = None
    ours: str | None = None
    entity: str | None = None
    unknown: Sequence[str] = ()
    alone: Mapping[str, Any] | None = None
    sequence: Numbered | None = None
    thin: bool = False
    api: str | None = None
    claimed: bool = False


class Source(Protocol):
    """An outside system that tells us things."""

    name: str
    #: Content types accepted at the front door (415 otherwise).
    content_types: tuple[str, ...]
    #: Seconds of clock difference accepted between the signature's timestamp and our front door; 0 where the sender
    #: signs nothing and shows a shared credential instead.
    replay_window: int
    #: What the sender is answered once the inbox has the event.
    success: Response
    #: Name of the secret's field that lists the active signing secrets (two during rotation).
    secrets_field: str
    #: Dotted paths of an event's body that may differ between deliveries of the same event.
    volatile: tuple[str, ...]
    #: Event types that we know and that are rightly none of our business.
    ignored: frozenset[str]
    #: Names of members whose own keys are the customer's (metadata, property bags): what is in them is no drift.
    open: frozenset[str]
    #: Event types that only name their object, each with the path from which the whole of it is read again.
    rereads: Mapping[str, str]

    def verify(self, delivery: Delivery, secrets: Sequence[str]) -> str:
        """The id of the secret that signed ``delivery``.

        Raises ``NeedsHuman('signature_missing' | 'signature_wrong' | 'signature_old')``; constant time over the
        untouched bytes.
        """

    def read(self, body: bytes) -> Sequence[Read]:
        """The events in ``body`` (one or many). Raises ``NeedsHuman('bad_json' | 'wrong_shape')``."""


@runtime_checkable
class Greets(Protocol):
    """A source whose sender shakes hands before it sends, and gives us up for good on the wrong refusal."""

    #: The status of every refusal: one after which this sender comes again.
    refusal: int

    def greet(self, delivery: Delivery) -> Response | None:
        """The answer to a handshake; ``None`` where ``delivery`` is none. An account without secrets greets nobody."""


# --- targets -----------------------------------------------------------------------------------------------------
class Finds(StrEnum):
    """A target's class: what it lets us do about a write whose outcome is unknown (DESIGN 4)."""

    UNIQUE = "U"
    SEARCHABLE = "S"
    LAGGING = "L"
    BLIND = "B"


@dataclass(frozen=True)
class Quiet:
    """What the quiet period is made of, in seconds. Asserted against the deployed function when wiring loads."""

    client_timeout: int
    longest_processing: int
    search_lag: int
    clock_skew: int
    period: int

    def least(self, function_timeout: int) -> int:
        """The shortest quiet period that is safe under a function time-out."""
        return function_timeout + self.client_timeout + self.longest_processing + self.search_lag + self.clock_skew


@dataclass(frozen=True)
class Reference:
    """How the target spells our external reference: its alphabet and length (at least 75 bits of hash)."""

    prefix: str = "TIE-"
    length: int = 30
    alphabet: str = BASE32

    def of(self, identity: str) -> str:
        """Our reference for ``identity``."""
        return external_ref(identity, self.prefix, self.length, self.alphabet)


@dataclass(frozen=True)
class Action:
    """One thing a target can be asked to do with one kind of document.

    ``mapping`` renders the payload. ``echo`` names what the target must show for success: of ``ref``, ``currency``,
    ``total``. ``once`` actions create and may be resent byte for byte in class U; the others change in place, and wait
    and look as well. ``undo`` names the compensating action. ``dated`` says of an action that takes a document back
    that it does so by a document of its own, with its own posting date, and leaves the original as it is.
    """

    mapping: str | None
    echo: tuple[Literal["ref", "currency", "total"], ...] = ("ref", "currency", "total")
    once: bool = True
    undo: str | None = None
    dated: bool = False


@dataclass(frozen=True)
class Rate:
    """At most ``calls`` in any window of ``seconds``, as the vendor counts them."""

    calls: int
    seconds: int


@dataclass(frozen=True)
class Budget:
    """Capacity of one target account, shared by all flows: concurrent calls, and each rate the vendor limits.

    ``calls`` is what one posting usually takes at most: its write, and a read-back or a second go with a new token.
    """

    concurrency: int
    rates: tuple[Rate, ...] = ()
    calls: int = 2


@dataclass(frozen=True)
class Work:
    """One posting as a target sees it. ``payload`` is what was rendered and recorded before the call."""

    key: str
    kind: str
    action: str
    ref: str
    entity: str
    account: str
    currency: str | None
    total: int | None
    payload: bytes
    now: datetime
    #: When an earlier attempt may already have reached the target; ``None`` for a first attempt.
    since: datetime | None = None
    batch: str | None = None


@dataclass(frozen=True)
class Echo:
    """What the target shows of our document: its own id and number, our reference, currency and total (minor units).

    ``later`` is true of a job that was taken and is not done: nothing is shown yet, and ``remote`` is the job's name,
    by which :attr:`Work.batch` asks for it.
    """

    remote: str
    ref: str | None = None
    number: str | None = None
    currency: str | None = None
    total: int | None = None
    later: bool = False


@dataclass(frozen=True)
class Found:
    """What a look at the target says about a posting in doubt."""

    state: Literal["complete", "absent", "partial", "ambiguous", "pending", "refused"]
    echo: Echo | None = None
    code: str = ""
    said: str = ""


class Wire(Protocol):
    """The authenticated transport of one account, built from its system's ``auth`` declaration.

    Raises ``TryAgain('target_unreachable')`` where no first byte left us and ``Uncertain('target_lost')`` where an
    answer did not come. A path is appended to the account's base URL; a whole address is asked without credentials, on
    that host or on one that the system declares (`Elsewhere`).
    """

    account: str

    @property
    def settings(self) -> Mapping[str, str]:
        """Non-secret settings of the account (company id, location names), from its secret's ``settings`` field."""

    def call(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        """One call; the answer as it came, whatever its status."""

    def put_once(self, name: str, body: bytes) -> bool:
        """File targets: write a file that does not exist yet; ``False`` where it does."""

    def get(self, name: str) -> bytes | None:
        """File targets: the content of a file; ``None`` where there is none."""


@runtime_checkable
class AsksAgain(Protocol):
    """A wire whose request may go out a second time for one call (after a 401), where ``again`` does not raise."""

    again: Callable[[], None]


class Folder(Wire, Protocol):
    """The wire of a file target's account, where it is also looked for files that nobody here has asked for."""

    def names(self, folder: str) -> Sequence[tuple[str, datetime]]:
        """Names of the files in ``folder`` (``in/``) as `Wire.get` takes them, each with when it was changed last."""


class Called(Protocol):
    """An outside system as its transport sees it: a target, or a source that is asked."""

    name: str
    auth: Mapping[str, str]
    quiet: Quiet


@runtime_checkable
class Elsewhere(Protocol):
    """A system that hands out addresses on other hosts: names, or endings of names that begin with a dot."""

    elsewhere: Sequence[str]


class Asked(Called, Protocol):
    """A source that can be asked as well. Asking writes nothing, so whatever goes wrong is asked again.

    Of ``quiet`` only ``client_timeout`` and ``clock_skew`` mean something: nothing is ever in doubt. The account's
    budget is the one of all who call it.
    """

    budget: Budget
    #: Its amendments to the verdict table of reading (`core.classify.READING`).
    verdicts: Sequence[Row]


class Reader(Asked, Protocol):
    """A source that is asked for the whole of an object that its event only names or cuts."""

    def again(self, wire: Wire, read: Read) -> Read:
        """``read`` with the whole object in place of what the event showed. Raises a verdict.

        ``TryAgain('source_behind')`` where the source still shows an older state than the event tells of.
        """


@dataclass(frozen=True)
class Poll:
    """How a source is asked for the events that it may have told in vain.

    Every ``every`` it lists what happened since the last listing's end, less ``overlap`` (its clock and ours, and what
    it lists late), up to ``settle`` ago: younger events are left to their delivery. Further back than ``reach`` it
    lists nothing.
    """

    every: timedelta
    settle: timedelta
    overlap: timedelta
    reach: timedelta


@dataclass(frozen=True)
class Span:
    """What is asked for: events of these types that happened from ``since`` until before ``until``.

    ``place`` is what a page before gave to be kept (`Page.place`); empty where none has.
    """

    since: datetime
    until: datetime
    types: Sequence[str]
    place: str = ""


@dataclass(frozen=True)
class Page:
    """One page of a listing: each event as the body of its own delivery, and the next page (empty: it was the last).

    ``place`` is kept from run to run, for a source whose list is not asked for by time but has places of its own.
    """

    bodies: Sequence[bytes]
    next: str = ""
    place: str = ""


class Lister(Asked, Protocol):
    """A source that lists its events, so that one whose delivery was lost is found."""

    poll: Poll

    def listed(self, wire: Wire, span: Span, page: str) -> Page:
        """One page of the events of a span; ``page`` is empty for the first. Raises a verdict."""


@runtime_checkable
class Switched(Protocol):
    """A way of asking that an account has to be set to: without the setting it needs no credentials of its own."""

    #: Name of the setting, and its value.
    switch: tuple[str, str]


@runtime_checkable
class Keeps(Protocol):
    """A reader whose source forgets whom it tells, unless somebody says so again in time."""

    def keep(self, wire: Wire, secret: str, now: datetime) -> Mapping[str, int]:
        """Make or renew what must not run out; what was done, counted. ``secret`` is what the source shows us later.

        One that is `Switched` is called where its setting is on, and may be given no secret.

        Safe to do again at any time. Raises a verdict.
        """


@runtime_checkable
class Measured(Protocol):
    """A target whose account says itself how many calls it takes at once."""

    def allows(self, wire: Wire) -> int | None:
        """Calls at once that the account allows us now; ``None`` where it does not say. Raises a verdict."""


class Target(Protocol):
    """An outside system that we write to."""

    name: str
    #: Auth as data: the scheme's name and its settings, carried out by the shell (``aws/auth.py``).
    auth: Mapping[str, str]
    finds: Finds
    quiet: Quiet
    reference: Reference
    budget: Budget
    #: What it can be asked: ``{(kind, action): Action}``.
    actions: Mapping[tuple[str, str], Action]
    #: Its amendments to the common verdict table.
    verdicts: Sequence[Row]
    #: True where many postings go out as one file or job and are acknowledged later (DELIVERED).
    batches: bool
    #: Seconds after which a missing acknowledgement opens a case (targets that acknowledge later).
    ack_due: int

    def build(self, kind: str, action: str, ref: str, payload: Mapping[str, Any]) -> bytes:
        """The request to send, as bytes that are recorded before the call and resent as they are. Pure."""

    def send(self, wire: Wire, work: Sequence[Work]) -> Sequence[Echo | None]:
        """Send recorded requests (one, or a batch where ``batches``); what the target echoes of each.

        ``None``, or an echo that is ``later``, stands for *delivered, acknowledged later*. Raises a verdict. An empty
        answer is read back here, once.
        """

    def find(self, wire: Wire, work: Work) -> Found:
        """Look whether ``work`` has landed: by our reference, and where in place, by the state it should have left."""

    def look(self, wire: Wire, kind: str, facts: Mapping[str, str]) -> Sequence[Echo]:
        """Existing objects that may be the same as the one described by ``facts`` (name, tax id, e-mail)."""


@runtime_checkable
class Advisor(Protocol):
    """A target that can also be asked something, which leaves nothing behind and so needs no posting."""

    #: What it can be asked, and the mapping that puts the question: ``{(kind, question): mapping}``.
    asks: Mapping[tuple[str, str], str]

    def ask(self, wire: Wire, kind: str, question: str, payload: Mapping[str, Any]) -> Mapping[str, str]:
        """The answer, as plain facts. Raises a verdict; ``NeedsHuman`` says that what is asked about cannot stand."""
