"""Where a rotating pair is kept in the tests: in memory, for one process."""

from __future__ import annotations

from tieout.core.credentials import Pair


class Store:
    """A token store of one process; ``stored`` remembers every pair."""

    def __init__(self) -> None:
        self.pair: Pair | None = None
        self.stored: list[Pair] = []

    def read(self) -> Pair | None:
        return self.pair

    def claim(self) -> bool:
        return True

    def store(self, pair: Pair) -> None:
        self.pair = pair
        self.stored.append(pair)

    def release(self) -> None: ...
