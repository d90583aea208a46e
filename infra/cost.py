"""What a million invoices cost: public list prices (us-east-1, 2026-11) times counted calls, units and bytes.

The prices are facts of the day and stand here alone; the counts come from ``tests/bench/test_cost.py``, which runs the
real handlers. Target calls and data transfer out are the customer's own and not in here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

MILLION = Decimal(1_000_000)

#: Dollars for a million of each unit.
PRICES: Mapping[str, Decimal] = {
    "http api requests": Decimal("1.00"),
    "lambda requests": Decimal("0.20"),
    "lambda gigabyte-milliseconds": Decimal("0.0133334"),  # arm64: a gigabyte-second is $0.0000133334
    "sqs standard requests": Decimal("0.40"),
    "sqs fifo requests": Decimal("0.50"),
    "dynamodb write units": Decimal("0.625"),
    "dynamodb read units": Decimal("0.125"),
    "s3 puts": Decimal("5.00"),
    "log kilobytes": Decimal("0.50") * MILLION / (1024 * 1024),
    "state transitions": Decimal("25.00"),
}
#: What one log line costs beside its bytes is nothing; PutMetricData is never called, so it has no price here.


@dataclass(frozen=True)
class Line:
    """One line of the bill for a million invoices."""

    unit: str
    per_invoice: Decimal
    dollars: Decimal


def bill(used: Mapping[str, Decimal], invoices: int) -> list[Line]:
    """The bill for a million invoices from what ``invoices`` of them used; ``KeyError`` for a unit without a price."""
    lines = []
    for unit, amount in used.items():
        each = Decimal(amount) / invoices
        lines.append(Line(unit, each, (each * PRICES[unit]).quantize(Decimal("0.001"))))
    return sorted(lines, key=lambda line: -line.dollars)


def total(lines: list[Line]) -> Decimal:
    """Dollars for a million invoices."""
    return sum((line.dollars for line in lines), Decimal(0))
