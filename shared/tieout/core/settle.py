"""What a person may do to a posting that does not go on by itself: one declared table, a row an action.

An action never writes a result by itself: it hands the posting back to the protocol (rendered again, asked again,
looked at again), or ends what has never reached the target. States that are missing here belong to the machine: whoever
holds the lease or the probe ends them, and a person who interfered could only make two documents out of one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tieout.core.ledger import AMBIGUOUS, HELD, IN_DOUBT, NEW, REFUSED, SUPERSEDED
from tieout.core.writes import Item


@dataclass(frozen=True)
class Action:
    """One thing a person may do: from which states, to which (``""`` keeps the state), and what it means.

    ``second`` says that where money hangs on the posting somebody else must agree. ``steps`` says whether a posting of
    a multi-step flow takes it: its state machine has its own answer to what a step did. ``codes`` are the only
    problems that it answers; empty for any.
    """

    name: str
    states: frozenset[str]
    to: str
    sentence: str
    second: bool = False
    steps: bool = False
    codes: tuple[str, ...] = ()


ROWS: Final = (
    Action("retry", frozenset({REFUSED}), NEW, "Render it again from today's tables and mapping, and send it."),
    Action("release", frozenset({HELD}), "", "Ask its gates again now instead of at its next look.", steps=True),
    Action("approve", frozenset({HELD}), "",
           "Approve its amount, above the limit or taken back though it is paid: the gates let this very amount "
           "through.", second=True, steps=True, codes=("above_limit", "void_of_paid")),
    Action("look", frozenset({AMBIGUOUS}), IN_DOUBT,
           "Look at the target again: what shows our reference, currency and total is adopted, what is proven "
           "absent is sent again, all else is a case again.", steps=True),
    Action("cancel", frozenset({NEW, HELD, REFUSED}), SUPERSEDED,
           "End it unsent: nothing of it is at the target, and nothing will be.", second=True),
)  # fmt: skip
ACTIONS: Final[Mapping[str, Action]] = {one.name: one for one in ROWS}


def fits(action: Action, posting: Item) -> bool:
    """Whether ``action`` may be done to ``posting`` as it stands."""
    if action.codes and posting.get("code") not in action.codes:
        return False
    return posting["state"] in action.states and (action.steps or "run" not in posting)


def allowed(posting: Item) -> tuple[str, ...]:
    """Names of the actions that ``posting`` takes as it stands, in the order of the table."""
    return tuple(name for name, action in ACTIONS.items() if fits(action, posting))


def needs_second(action: Action, posting: Item) -> bool:
    """Whether a second person must agree: the action says so, and the posting has an amount other than zero."""
    return action.second and bool(posting.get("total"))


def approved(posting: Item) -> bool:
    """Whether a second person has approved this very amount, with a reason."""
    given, total = posting.get("approved") or {}, posting.get("total")
    return bool(given.get("by") and given.get("why") and given.get("total", total) == total)
