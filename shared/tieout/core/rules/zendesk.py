"""Rules that read and write Zendesk's words: states and priorities come in capitals, ids go as numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tieout.core.rules.registry import rule
from tieout.core.verdicts import NeedsHuman

STATES: Final[Mapping[str, str]] = {
    "new": "new", "open": "open", "pending": "waiting", "hold": "waiting", "solved": "solved", "closed": "closed",
}  # fmt: skip
PRIORITIES: Final = ("low", "normal", "high", "urgent")


@rule
def zendesk_state(status: str) -> str:
    """Where a ticket stands in our words: pending (on the customer) and hold (on somebody else) both wait."""
    said = status.lower()
    if said not in STATES:
        raise NeedsHuman("wrong_shape", f"status {status[:32]!r}", source="zendesk", reason=f"no status {status[:32]}")
    return STATES[said]


@rule
def zendesk_priority(priority: str | None = None) -> str | None:
    """How soon a ticket matters; absent where nobody has said."""
    said = (priority or "").lower()
    return said if said in PRIORITIES else None


@rule
def whole_number(digits: str | None = None) -> int | None:
    """An id of digits as the number that a target wants; absent where there is none."""
    return int(digits) if digits and digits.isascii() and digits.isdigit() else None
