"""receive: webhook → verified → inbox queue → the source's own answer, before any work."""

from __future__ import annotations

from typing import Any

from tieout.aws import start, wiring
from tieout.work.receive import receive

start.over()


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """One delivery behind ``POST /hooks/{source}/{account}``."""
    here = wiring.environment()
    return wiring.http_answer(receive(wiring.delivery(event), wiring.DoorsOfReceive(here)))
