"""Events that wait: they go on as if they had come now, and what they only named is asked of their source again.

Driven by probe. The bytes of the event come out of the vault, so nothing but the ledger has to remember it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tieout import systems
from tieout.contract import Read
from tieout.core.writes import Item
from tieout.work import intake, reread
from tieout.work.ports import Message, Ports
from tieout.work.raw import raw


def resume(items: Sequence[Item], ports: Ports) -> Counter[str]:
    """Ask for what these events wait for and book what comes of it; counts by what was done."""
    done: Counter[str] = Counter()
    batch = intake.Batch(ports)
    opened = []
    for item in items:
        try:
            opened.append((item, *_open(item, ports)))
        except Exception as error:
            ports.log("resume_failed", event=item["pk"], error=type(error).__name__)
            done["failed"] += 1
    wanted = [reread.Wanted(arrival.source, arrival.account, read) for _, arrival, read in opened if read.thin]
    batch.whole = reread.again(wanted, ports, waiting=True) if wanted else {}
    for item, arrival, read in opened:
        try:
            taken = intake.understand(arrival, read, batch, looks=int(item.get("looks", 0)))
            taken = intake.record(arrival, batch, taken, item)
        except Exception as error:
            ports.log("resume_failed", event=item["pk"], error=type(error).__name__)
            done["failed"] += 1
            continue
        if taken.again is None:
            done["read again from its source" if read.thin else "joined after its wait"] += 1
        else:
            done[f"still waits for its {taken.waits}"] += 1
    intake.send_and_start(batch)
    return done


def _open(item: Item, ports: Ports) -> tuple[intake.Arrival, Read]:
    """The event's delivery and its own part of it, as intake had them."""
    body = raw(ports.vault, item["vault"])
    message = Message(item["messages"][-1], {})
    arrival = intake.Arrival(
        message, item["source"], item["account"], item["delivery"], item["received"], body, item["vault"]
    )
    reads = systems.source(item["source"]).read(body)
    return arrival, next(read for read in reads if read.event_id == item["event_id"])
