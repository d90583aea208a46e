"""Journal entries of the NetSuite sandbox: what makes an entry one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

from infra.local.sandbox.wire import Json


def understand(rows: Sequence[Json], reference: Callable[[str, Json, str], Json]) -> tuple[list[Json], Decimal, str]:
    """The lines, the sum of their debits, and what is wrong with them (empty where nothing is)."""
    lines: list[Json] = []
    debit = credit = Decimal(0)
    for place, row in enumerate(rows):
        if "account" not in row:
            return [], Decimal(0), "Please enter value(s) for: Account"
        sides = [name for name in ("debit", "credit") if row.get(name)]
        if len(sides) != 1 or Decimal(row[sides[0]]) < 0:
            return [], Decimal(0), "Each line needs a debit or a credit."
        debit, credit = debit + Decimal(row.get("debit") or 0), credit + Decimal(row.get("credit") or 0)
        account = reference("account", row["account"], f"line.items[{place}].account")
        lines.append({**row, "line": place, "account": account})
    if debit != credit:
        return [], Decimal(0), f"The amounts in a journal entry must balance: {debit} against {credit}."
    return lines, debit, ""


def shown_lines(lines: Sequence[Json]) -> list[Json]:
    """The sublist as GET expands it: the side that a line is not on is left out."""
    return [{name: value for name, value in line.items() if value is not None} for line in lines]
