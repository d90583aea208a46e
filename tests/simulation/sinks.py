"""I16: names, addresses, tax numbers, bank accounts and secrets appear nowhere but where documents are kept.

What is looked through: every log line and every fact told to the bus, every exception that a function let through,
the messages of the lane queues and their dead-letter queues, the inputs, data and causes of every execution of a state
machine, and every history line of every posting and run. The inbox and its dead-letter queue carry the event's own
bytes, by design; the ledger carries the document compressed, and is not a sink.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.simulation.world import World

#: As the events of the simulation hold them (an event's own, or put in by `events`).
CANARIES: Final = (
    "Northwind Traders", "ap@northwind.example", "75 Varick", "DE89370400440532013000",
    "Bluebird Robotics", "finance@bluebird.example", "20 Jay Street", "84-2210456",
    "whsec_", "tok_access_", "tok_refresh_", "Bearer ",
)  # fmt: skip


def broken(world: World) -> list[str]:
    """Each canary that was found, and where."""
    lines = [line for item in (*world.postings(), *world.runs()) for line in world.lines(item)]
    places = {
        "a log line, a fact on the bus or an exception": "\n".join((*world.said, *world.hub.raised)),
        "a message": "\n".join(world.sent),
        "an execution": json.dumps([
            [run.data, run.shown] for run in world.machines.executions.values()
        ], default=str),
        "a history line": json.dumps(lines, default=str),
    }  # fmt: skip
    return [f"I16 {name!r} is in {place}" for place, text in places.items() for name in CANARIES if name in text]
