"""Dollars per million invoices, from counted calls, write units and bytes of the real handlers (budget D1)."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Sequence
from contextlib import redirect_stdout
from decimal import Decimal
from typing import Any
from unittest.mock import patch

from infra import cost
from tests.e2e.scene import Scene, scene
from tests.e2e.test_calls import N, clean_batch, warm
from tieout.aws.ledger import DynamoLedger
from tieout.core import ledger
from tieout.core.writes import Check, Item, Write, apply

#: What the bill may be now: a ratchet over today's figure. The budget is 10 now and 5 later (D1).
MOST_DOLLARS = Decimal(60)
#: Assumed, because no local figure can show it: billed milliseconds of a warm batch of ten, by function.
BILLED_MS = {"receive": 12, "intake": 150, "post": 2_400}
INDEXES = {"due": ("due_shard", "due"), "day": ("day", "at"), "find": ("find", "pk")}
PROJECTED = (
    "what", "state", "kind", "entity", "target", "currency", "total", "code", "facts", "owner_team",
    "opened", "updated", "late", "flow", "number", "source", "source_id", "remote", "type", "deliveries",
)  # fmt: skip


def size(value: Any) -> int:
    """Bytes of a value as DynamoDB counts them."""
    match value:
        case bytes():
            return len(value)
        case bool() | None:
            return 1
        case int():
            return len(str(abs(value))) // 2 + 2
        case str():
            return len(value.encode())
        case list():
            return 3 + sum(size(one) + 1 for one in value)
        case dict():
            return 3 + sum(len(name) + size(one) + 1 for name, one in value.items())
    raise TypeError(type(value).__name__)


def units(item: Item | None) -> int:
    return -(-sum(len(name) + size(value) for name, value in (item or {}).items()) // 1024)


def index_units(before: Item | None, after: Item | None) -> int:
    """Write units of all indexes for one change: two where an entry moves, one where it comes, goes or changes."""
    spent = 0
    for keys in INDEXES.values():
        old = tuple((before or {}).get(key) for key in keys)
        new = tuple((after or {}).get(key) for key in keys)
        was, now = None not in old, None not in new
        if was and now and old != new:
            spent += 2
        elif was != now or (
            was and keys[0] != "find" and any((before or {}).get(n) != (after or {}).get(n) for n in PROJECTED)
        ):
            spent += 1
    return spent


def _shown(item: Item | None) -> list[Any]:
    return [(item or {}).get(name) for name in PROJECTED]


class Meter:
    """Counts the write units of every ledger write."""

    def __init__(self) -> None:
        self.units: Counter[str] = Counter()
        #: Reads what was there before, without being counted as a call of a function; metering is off without it.
        self.reader: DynamoLedger | None = None

    def patch(self) -> Any:
        real, meter = DynamoLedger.write, self

        def metered(books: DynamoLedger, writes: Sequence[Write]) -> None:
            if meter.reader is None:
                real(books, writes)
                return
            before = meter.reader.read([write.key for write in writes])
            real(books, writes)
            twice = 2 if len(writes) > 1 else 1
            for write in writes:
                old = before.get(write.key)
                new = apply(write, old)
                meter.units["items"] += twice * max(units(old), units(new))
                if not isinstance(write, Check):
                    meter.units["indexes"] += index_units(old, new)

        return patch.object(DynamoLedger, "write", metered)


def used(on: Scene, meter: Meter) -> dict[str, Decimal]:
    """What ten clean invoices used, statuses to the CRM included."""
    written = io.StringIO()
    warm(on)
    meter.reader = on.ledger
    before = Counter(on.world.runtime.invocations)
    with redirect_stdout(written):
        calls = clean_batch(on, crm=True)
    meter.reader = None
    batches = {name: on.world.runtime.invocations[name] - before[name] for name in ("receive", "intake", "post")}
    milliseconds = sum(BILLED_MS[name] * count for name, count in batches.items())
    fifo = calls["intake"]["sqs.SendMessageBatch"] + calls["post"]["sqs.SendMessageBatch"]
    return {
        "http api requests": Decimal(N),
        "lambda requests": Decimal(sum(batches.values())),
        "lambda gigabyte-milliseconds": Decimal(milliseconds),
        # sent once, received and deleted in batches
        "sqs standard requests": Decimal(N + 2 * batches["intake"]),
        "sqs fifo requests": Decimal(fifo + 2 * batches["post"]),
        "dynamodb write units": Decimal(meter.units["items"] + meter.units["indexes"]),
        "dynamodb read units": Decimal(5 * 2 * N),
        "s3 puts": Decimal(calls["intake"]["s3.PutObject"]),
        "log kilobytes": Decimal(len(written.getvalue())) / 1024,
        "state transitions": Decimal(0),
    }


def test_a_million_invoices_cost_no_more_than_the_ratchet() -> None:
    meter = Meter()
    with meter.patch(), scene() as on:
        amounts = used(on, meter)
        assert {item["state"] for item in on.postings()} == {ledger.POSTED}
    lines = cost.bill(amounts, N)
    for line in lines:
        print(f"{line.unit:32} {line.per_invoice:12.3f} an invoice   $ {line.dollars:8.3f} a million")
    print(f"{'together':32} {'':12}              $ {cost.total(lines):8.3f} a million  ({json.dumps(meter.units)})")
    assert cost.total(lines) <= MOST_DOLLARS
    assert amounts["state transitions"] == 0, "a single posting never goes through a state machine"
    assert amounts["log kilobytes"] * 1024 / N <= 1200, "log bytes an invoice, its status to the CRM included"
