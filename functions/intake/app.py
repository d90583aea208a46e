"""intake: inbox queue → vault, event, document, ledger, lane."""

from __future__ import annotations

from typing import Any

from tieout.aws import start, wiring
from tieout.work.intake import intake

start.over()


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """One batch from the inbox; what must come again is named."""
    arrived = wiring.messages(event)
    failed = intake(arrived, wiring.environment().ports(context))
    wiring.count("intake", {"taken": len(arrived) - len(failed), "again": len(failed)})
    return wiring.failures(failed)
