"""The one place where the product asks what time it is, so that a test or the local world may own time."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime


def _system() -> datetime:
    return datetime.now(UTC)


#: Replaced by whoever owns time (the local world, a test); the system clock otherwise.
source: Callable[[], datetime] = _system


def now() -> datetime:
    """The present instant, timezone-aware UTC."""
    return source()


def pause(seconds: float) -> None:
    """Let so many seconds pass; nothing where somebody else owns time."""
    if source is _system:
        time.sleep(seconds)
