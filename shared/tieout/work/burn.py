"""The burn forecast out of the books: what waits at each target, by class, against the end of the period."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from tieout import flows, systems
from tieout.core import keys, ledger
from tieout.core.clocks import PostingDate
from tieout.core.documents import Status
from tieout.core.verdicts import NotYet
from tieout.core.windows import Job
from tieout.core.writes import Item
from tieout.tables import Tables
from tieout.work.book import TELL_PRIORITY
from tieout.work.ports import Ledger, Ports
from tieout.work.post import WAITS

if TYPE_CHECKING:
    from tieout.core.forecast import Forecast

JOB: Final = Job("burn", timedelta(minutes=15), "nobody sees a backlog run into the end of a period",
                 patience=timedelta(hours=1))  # fmt: skip


def forecasts(books: Ledger, tables: Tables, now: datetime, target: str = "") -> tuple[Forecast, ...]:
    """The forecast of every target account at which something waits or that was used; one where ``target`` names it.

    Reads every row of what is open: as many as wait.
    """
    from tieout.core.forecast import forecast  # four times an hour: not for every cold start of probe

    waiting: dict[str, Counter[int]] = defaultdict(Counter)
    entities: dict[str, set[str]] = defaultdict(set)
    for row in books.open():
        where = str(row.get("target", ""))
        if row.get("what") == "budget":
            waiting[row["pk"].removeprefix("B#")].update()
        elif row.get("what") == "posting" and _waits(row):
            waiting[where][_class_of(row)] += 1
            entities[where].add(str(row.get("entity", "")))
    wanted = [one for one in sorted(waiting) if one.partition(":")[0] in systems.TARGETS and target in ("", one)]
    items = books.read([keys.budget_item(one) for one in wanted]) if wanted else {}
    made = []
    for one in wanted:
        system = systems.target(one.partition(":")[0])
        item = items.get(keys.budget_item(one), {})
        ends = [end for name in sorted(entities[one]) if (end := _end(tables, name, now)) is not None]
        end = min(ends, key=lambda end: end[2], default=None)
        made.append(forecast(one, item, system.budget, system.quiet.clock_skew, waiting[one], now, end))
    return tuple(made)


def _waits(row: Item) -> bool:
    """Whether only its turn and room at its target keep a posting from being sent."""
    return row["state"] == ledger.NEW or (row["state"] == ledger.HELD and row.get("code") in WAITS)


def _class_of(row: Item) -> int:
    if row.get("kind") == Status.kind:
        return TELL_PRIORITY
    return next((flow.priority for flow in flows.FLOWS if flow.name == row.get("flow")), 50)


def _end(tables: Tables, entity: str, now: datetime) -> tuple[str, str, datetime] | None:
    """When the period of an entity's today ends: at midnight after its last day, where the entity is."""
    calendar = tables.calendars.get(entity)
    if calendar is None:
        return None
    zone = ZoneInfo(calendar.zone)
    try:
        period = calendar.period_of(PostingDate(now.astimezone(zone).date()))
    except NotYet:
        return None
    over = datetime.combine(period.last + timedelta(days=1), time(), zone)
    return entity, period.name, over.astimezone(UTC)


def plain(one: Forecast) -> dict[str, Any]:
    """A forecast as the API shows it."""
    return {
        "target": one.target, "waiting": one.total,
        "by_class": [{"priority": priority, "waiting": count} for priority, count in one.waiting.items()],
        "an_hour": one.an_hour, "needs_seconds": one.needs // timedelta(seconds=1), "ends": ledger.stamp(one.ends),
        "entity": one.entity or None, "period": one.period or None,
        "deadline": ledger.stamp(one.deadline) if one.deadline else None, "fits": one.fits, "sentence": one.sentence,
    }  # fmt: skip


def watch(ports: Ports, tables: Tables) -> dict[str, int]:
    """The figures of one metric line: what waits, and at how many targets it runs into the end of a period."""
    found = forecasts(ports.ledger, tables, ports.now())
    for one in found:
        if not one.fits:
            ports.log("burn_late", target=one.target, waiting=one.total, needs=one.needs // timedelta(seconds=1))
    return {"burn_late": sum(not one.fits for one in found), "waiting_for_room": sum(one.total for one in found)}
