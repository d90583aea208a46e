"""The authorizer of the desk's pages: a genuine session that still holds, or nothing."""

from __future__ import annotations

from typing import Any

from tieout.aws import wiring
from tieout.aws.web.door import authorize


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """One request that API Gateway asks about; simple response format."""
    return authorize(event, wiring.environment())
