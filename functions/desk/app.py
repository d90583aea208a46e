"""desk: pages, JSON API and login over the ledger; reads, and writes nothing but changes of governed tables."""

from __future__ import annotations

from typing import Any

from tieout.aws import start, wiring
from tieout.aws.web.desk import desk

start.over()


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """One HTTP request."""
    return desk(wiring.environment()).answer(event)
