"""The clock of the local world: real time, real time sped up by a factor, or time that only jumps.

Everything that reads time (the product, queue visibility, state machine waits, schedules, sandboxes) reads this
one clock, so that a quiet period of minutes takes no time to show and a test sees the same history every time.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta


class WorldClock:
    """World time. ``mode`` is ``"real"``, ``"jump"`` or a factor (60 = a world minute a second).

    In ``jump`` mode time stands still between calls of `advance`.
    """

    def __init__(self, mode: str | float = "jump", start: datetime | None = None) -> None:
        if isinstance(mode, str) and mode not in ("real", "jump"):
            mode = float(mode)
        if isinstance(mode, (int, float)) and mode <= 0:
            raise ValueError(f"the clock factor must be above zero, not {mode}")
        self.mode = mode
        self._start = start or datetime.now(UTC).replace(microsecond=0)
        self._began = time.monotonic()
        self._skipped = timedelta()
        self._lock = threading.Lock()

    @property
    def jumps(self) -> bool:
        """True where time only moves when it is told to."""
        return self.mode == "jump"

    @property
    def factor(self) -> float:
        """World seconds per real second while nobody advances the clock."""
        return {"real": 1.0, "jump": 0.0}[self.mode] if isinstance(self.mode, str) else float(self.mode)

    @property
    def skipped(self) -> timedelta:
        """Sum of all explicit advances; the part of world time that no real time stands for."""
        return self._skipped

    def now(self) -> datetime:
        """World time, UTC, aware."""
        run = timedelta(seconds=(time.monotonic() - self._began) * self.factor)
        return self._start + run + self._skipped

    def epoch(self) -> float:
        """World time in seconds since 1970."""
        return self.now().timestamp()

    def epoch_ms(self) -> float:
        """World time in milliseconds since 1970."""
        return self.now().timestamp() * 1000

    def advance(self, seconds: float | timedelta) -> datetime:
        """Moves world time forward by so many seconds and returns the new time."""
        step = seconds if isinstance(seconds, timedelta) else timedelta(seconds=seconds)
        if step < timedelta():
            raise ValueError("world time never runs backwards")
        with self._lock:
            self._skipped += step
        return self.now()

    def advance_to(self, moment: datetime) -> datetime:
        """Moves world time forward to ``moment``; does nothing when that has passed."""
        gap = moment - self.now()
        return self.advance(gap) if gap > timedelta() else self.now()

    def __str__(self) -> str:
        if self.mode == "jump":
            return "jump (world time moves to whatever is due next)"
        return "real time" if self.mode == "real" else f"factor {self.factor:g} (a real second is {self.factor:g} s)"
