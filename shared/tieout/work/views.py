"""What is asked of the books, and what is answered: plain values that a page, a script and a test read alike.

Instants are UTC; money is minor units of its currency and is never added across currencies.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from tieout.core import ledger
from tieout.core.money import Money

#: Days that a list looks back where nobody says otherwise, today (UTC) included.
DAYS: Final = 7
MOST_DAYS: Final = 31
LIMIT: Final = 50
MOST: Final = 500
#: Words of ``ledger.SHOWN`` in the order of a posting's life.
SHOWN_ORDER: Final = ("pending", "held", "rejected", "accepted", "compensated", "superseded")


class NotThere(LookupError):
    """Nothing goes by that name."""


class BadQuestion(ValueError):
    """The question cannot be understood; the text says what would be."""


@dataclass(frozen=True)
class Line:
    """One posting, event or run as a list shows it. Instants are UTC."""

    what: str
    key: str
    state: str
    shown: str
    kind: str
    name: str
    updated: datetime
    opened: datetime
    entity: str = ""
    target: str = ""
    money: Money | None = None
    code: str = ""
    sentence: str = ""
    owner: str = ""
    flow: str = ""
    source: str = ""
    source_id: str = ""
    remote: str = ""
    type: str = ""
    deliveries: int = 0
    deadline: datetime | None = None
    late: bool = False
    open: bool = False
    case: bool = False


@dataclass(frozen=True)
class Listing:
    """A page of lines, newest first. ``cursor`` asks for the next one; ``whole`` is false where rows were left out."""

    lines: Sequence[Line]
    cursor: str = ""
    whole: bool = True


@dataclass(frozen=True)
class Sum:
    """How many, and how much in each currency."""

    count: int = 0
    money: Sequence[Money] = ()


@dataclass(frozen=True)
class Board:
    """One row of the board: a kind in a currency (empty for kinds without money), by what is shown of it."""

    kind: str
    currency: str
    cells: Mapping[str, Sum]


@dataclass(frozen=True)
class AtTarget:
    """How one target account stands: by what is shown, and how old its oldest open posting is."""

    target: str
    cells: Mapping[str, int]
    late: int
    oldest: datetime | None


@dataclass(frozen=True)
class Overview:
    """The desk's first look: what is open whenever it came, and what became final since ``since`` (a UTC day)."""

    at: datetime
    since: date
    states: Mapping[str, Sum]
    board: Sequence[Board]
    targets: Sequence[AtTarget]
    late: Sequence[Line]
    late_count: int
    cases: Sum
    deliveries: int
    events: Mapping[str, int]
    runs: Mapping[str, int]
    recent: Sequence[Line]


@dataclass(frozen=True)
class Case:
    """An open problem: its sentence, whose it is, the money that hangs on it, until when, and what to do."""

    line: Line
    code: str
    sentence: str
    cause: str
    remedy: str
    owner: str
    severity: str
    recovers: bool
    opened: datetime
    age: timedelta
    #: What may be done to it now, by name (`tieout settle`); empty where nothing can or need be.
    actions: Sequence[str] = ()


@dataclass(frozen=True)
class Cause:
    """All open cases of one code."""

    code: str
    cause: str
    remedy: str
    owner: str
    severity: str
    recovers: bool
    sum: Sum
    oldest: datetime
    cases: Sequence[Case]


@dataclass(frozen=True)
class Moment:
    """One line of a timeline. History lines carry their number and hash; ``broken`` where the chain does not hold."""

    at: datetime
    said: str
    state: str = ""
    before: str = ""
    by: str = ""
    note: Mapping[str, Any] = field(default_factory=dict)
    number: int = 0
    hash: str = ""
    broken: bool = False
    link: str = ""
    what: str = "history"


@dataclass(frozen=True)
class LaneView:
    """The lane of a posting: who is ahead of it, how many behind, who stands aside."""

    name: str
    head: str
    ahead: Sequence[str]
    behind: int
    aside: Sequence[str]


@dataclass(frozen=True)
class PostingView:
    """Everything about one posting. ``payload`` and ``document`` are kept until it is terminal, then in the vault
    and in the target's book only."""

    line: Line
    facts: Mapping[str, Any]
    status: str
    timeline: Sequence[Moment]
    chain_whole: bool
    breaks: Sequence[int]
    lane: LaneView | None
    event: Line | None
    run: Line | None
    parent: Line | None
    told: Sequence[Line]
    related: Sequence[Line]
    payload: Any = None
    document: Any = None
    document_date: date | None = None


@dataclass(frozen=True)
class EventView:
    """Everything about one event: its one outcome, what it made, where its bytes are, and bodies that contradict it."""

    line: Line
    facts: Mapping[str, Any]
    status: str
    vault: str
    received: datetime
    postings: Sequence[Line]
    run: Line | None
    conflicts: Sequence[Line]


@dataclass(frozen=True)
class RunView:
    """One run of a multi-step flow: its history and the postings of its steps."""

    line: Line
    facts: Mapping[str, Any]
    status: str
    timeline: Sequence[Moment]
    chain_whole: bool
    breaks: Sequence[int]
    event: Line | None
    postings: Sequence[Line]
    document: Any = None


@dataclass(frozen=True)
class LinkView:
    """What one customer is called in each system."""

    identity: str
    canonical: str
    at: Mapping[str, str]


@dataclass(frozen=True)
class Found:
    """What goes by a name."""

    name: str
    lines: Sequence[Line]
    links: Sequence[LinkView]


@dataclass(frozen=True)
class Filter:
    """What a list is narrowed to. ``state`` is a ledger state, what is shown, or ``open``, ``late`` or ``case``."""

    state: str = ""
    entity: str = ""
    target: str = ""
    kind: str = ""
    text: str = ""
    days: int = DAYS
    limit: int = LIMIT
    cursor: str = ""


def plain(value: Any) -> Any:
    """A value of this module as JSON has it: money as minor units and text, instants as the ledger writes them."""
    match value:
        case Money():
            return {
                "currency": str(value.currency),
                "minor": value.minor,
                "exponent": value.currency.exponent,
                "amount": value.text,
            }
        case datetime():
            return ledger.stamp(value.astimezone(UTC))
        case date():
            return value.isoformat()
        case timedelta():
            return int(value.total_seconds())
        case bytes():
            return base64.b64encode(value).decode()
        case Mapping():
            return {str(name): plain(one) for name, one in value.items()}
        case list() | tuple():
            return [plain(one) for one in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name)) for one in fields(value)}
    return value
