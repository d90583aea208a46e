"""Which route decided, and why the others did not: for a document to come, or for a posting that exists."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from tieout import flows, tables
from tieout.cli.client import USAGE, Failure
from tieout.core.routing import Decision
from tieout.core.verdicts import NeedsHuman


@dataclass(frozen=True)
class Explanation:
    """A decision, what was asked, and where it concerns a posting, the target that the posting is pinned to."""

    entity: str
    kind: str
    role: str
    on: date
    decision: Decision | None
    said: str
    pinned: str = ""

    def plain(self) -> dict[str, Any]:
        """For scripts."""
        decision = self.decision
        return {
            "entity": self.entity,
            "kind": self.kind,
            "role": self.role,
            "on": self.on.isoformat(),
            "target": decision.target if decision else None,
            "why": decision.why if decision else self.said,
            "row": str(decision.route) if decision else None,
            "row_why": decision.route.why if decision else None,
            "not": [{"row": str(row), "because": because} for row, because in decision.losers] if decision else [],
            "pinned": self.pinned or None,
            "same": decision is not None and decision.target == self.pinned if self.pinned else None,
        }


def explain(entity: str, kind: str, role: str, on: date, pinned: str = "") -> Explanation:
    """The decision of the route table. Raises ``Failure`` for an entity that the tables do not know."""
    known = tables.load()
    if entity not in known.entities:
        raise Failure(USAGE, f"There is no entity {entity}.", f"Known are {', '.join(sorted(known.entities))}.")
    try:
        decision = known.route(entity=entity, kind=kind, on=on, role=role)
    except NeedsHuman as none:
        return Explanation(entity, kind, role, on, None, none.log, pinned)
    return Explanation(entity, kind, role, on, decision, decision.explain(), pinned)


def of_posting(view: dict[str, Any]) -> Explanation:
    """The decision for a posting as the API shows it, by today's tables, beside the target it was pinned to."""
    facts = view["facts"]
    day = view.get("document_date") or facts.get("posting_date") or str(view["line"]["opened"])[:10]
    return explain(
        str(facts["entity"]), str(facts["kind"]), role_of(facts), date.fromisoformat(str(day)), str(facts["target"])
    )


def role_of(facts: dict[str, Any]) -> str:
    """The role that the posting's step asked the route table for."""
    flow = next((one for one in flows.FLOWS if one.name == facts.get("flow")), None)
    steps = {step.name: step.role for step in flow.steps} if flow else {}
    return steps.get(str(facts.get("step")), "") or (flow.tell if flow and flow.tell else "erp")
