"""What the simulation's model alone can show: throttled, contended and repeated writes, and an index that lags."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.simulation.hub import AwsError, Fate, Hub, Worker
from tests.simulation.model import LedgerPort, Table
from tieout.core.keys import Key
from tieout.core.verdicts import TryAgain
from tieout.core.writes import Put, Refused

_KEY: Final = Key("P#probe", "-")


class _Fated:
    """The first write meets one fault, everything else goes well."""

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def draw(self, n: int, label: str, kinds: tuple[str, ...], now: float) -> Fate:
        assert self.fault in kinds, f"{label} knows no {self.fault}"
        return Fate(self.fault)


def _made(fault: str) -> tuple[str, Table]:
    """What one conditional put says, and the table behind it."""
    hub = Hub(_Fated(fault))
    table, said = Table(hub), []

    def work(worker: Worker) -> None:
        try:
            LedgerPort(table, worker).write([Put({"pk": _KEY.pk, "sk": _KEY.sk, "what": "probe"})])
            said.append("accepted")
        except (AwsError, TryAgain, Refused):
            said.append("refused")

    _run(hub, work)
    return said[0], table


def _run(hub: Hub, work: Callable[[Worker], None]) -> None:
    hub.spawn("probe", work, lambda outcome, value: None, None)
    hub.run(60, lambda: False)
    hub.close()


def throttled_write() -> str:
    return _told(*_made("throttled"))


def contended_write() -> str:
    return _told(*_made("contended"))


def repeated_write() -> str:
    return _told(*_made("retried"))


def _told(said: str, table: Table) -> str:
    return f"{said}, {'written once' if table.writes == 1 else 'nothing written' if not table.writes else 'more'}"


def late_index() -> str:
    hub = Hub(_Fated(""))
    table = Table(hub)
    table.lag = lambda: 5.0
    put = Put({"pk": _KEY.pk, "sk": _KEY.sk, "due_shard": "D#00", "due": "2026"})
    table.write([put], Worker("probe", 1, 0.0, None, lambda outcome, value: None))
    item, at_once = _KEY in table.items, table.earliest()
    hub.run(60, lambda: False)
    index = "at once" if at_once else "later" if table.earliest() else "never"
    return f"item {'at once' if item else 'later'}, index {index}"
