"""Where a document goes: the route table, decided by its most specific row, and an explanation of the decision.

A route says which target account takes the documents of a *role* (``erp``, ``billing``, ``crm``) under the
conditions it names: entity, kind, product line, and the days from and until which it holds. The row with the
most conditions wins. Two rows with equally many that can hold for the same document on the same day are a
mistake that `ambiguities` reports when the table loads, so a decision is never a matter of order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import combinations
from typing import Final

from tieout.core.verdicts import NeedsHuman

CONDITIONS: Final = ("entity", "kind", "product_line")


@dataclass(frozen=True, slots=True)
class Route:
    """One row. A condition that is None holds for all; `first` and `last` are days inclusive, None open."""

    role: str
    system: str
    account: str
    entity: str | None = None
    kind: str | None = None
    product_line: str | None = None
    first: date | None = None
    last: date | None = None
    why: str = ""
    line: int = 0

    @property
    def target(self) -> str:
        """The target account as postings pin it: ``system:account``."""
        return f"{self.system}:{self.account}"

    @property
    def conditions(self) -> dict[str, str]:
        """The conditions that the row names."""
        return {name: value for name in CONDITIONS if (value := getattr(self, name)) is not None}

    def __str__(self) -> str:
        said = " ".join(f"{name}={value}" for name, value in self.conditions.items()) or "any document"
        days = f" from {self.first}" if self.first else ""
        days += f" until {self.last}" if self.last else ""
        return f"line {self.line}: {self.role} of {said}{days} → {self.target}"


@dataclass(frozen=True, slots=True)
class Decision:
    """The row that decided, why, and why each other row of the role did not."""

    route: Route
    why: str
    losers: tuple[tuple[Route, str], ...]

    @property
    def target(self) -> str:
        """The target account that was decided: ``system:account``."""
        return self.route.target

    def explain(self) -> str:
        """The decision in plain words, one row a line."""
        lines = [f"{self.target}, because {self.why}", f"  decided by {self.route}"]
        lines += [f"  {self.route.why}"] if self.route.why else []
        return "\n".join(lines + [f"  not {route}: {reason}" for route, reason in self.losers])


def decide(
    rows: Sequence[Route],
    *,
    entity: str,
    kind: str,
    on: date,
    role: str = "erp",
    product_line: str | None = None,
) -> Decision:
    """The route of a document on a day; `NeedsHuman` ``no_route`` when no row holds."""
    asked = {"entity": entity, "kind": kind, "product_line": product_line}
    fits: list[Route] = []
    losers: list[tuple[Route, str]] = []
    for row in rows:
        if row.role != role:
            continue
        reason = _misfit(row, asked, on)
        if reason:
            losers.append((row, reason))
        else:
            fits.append(row)
    if not fits:
        raise NeedsHuman(
            "no_route",
            f"no {role} row holds on {on}: " + "; ".join(f"{row} ({reason})" for row, reason in losers),
            role=role,
            entity=entity,
            kind=kind,
            on=on,
        )
    best = max(fits, key=lambda row: len(row.conditions))
    losers += [(row, "less specific") for row in fits if row is not best]
    named = ", ".join(f"{name} is {value}" for name, value in best.conditions.items())
    only = "it is the most specific row that holds" if len(fits) > 1 else "it is the only row that holds"
    return Decision(best, f"{only} on {on}" + (f" ({named})" if named else ""), tuple(losers))


def ambiguities(rows: Iterable[Route]) -> list[tuple[Route, Route]]:
    """Pairs of rows of which neither is more specific and that can both hold for one document on one day."""
    return [
        (one, other)
        for one, other in combinations(rows, 2)
        if one.role == other.role
        and len(one.conditions) == len(other.conditions)
        and not any(
            one.conditions[name] != other.conditions[name] for name in one.conditions.keys() & other.conditions.keys()
        )
        and (one.first or date.min) <= (other.last or date.max)
        and (other.first or date.min) <= (one.last or date.max)
    ]


def _misfit(row: Route, asked: dict[str, str | None], on: date) -> str:
    for name, wanted in row.conditions.items():
        if asked[name] != wanted:
            return f"{name} is {asked[name] or 'not known'}, not {wanted}"
    if row.first and on < row.first:
        return f"holds only from {row.first}"
    if row.last and on > row.last:
        return f"held only until {row.last}"
    return ""
