"""Zendesk before the law: a ticket for its update, an organization under a name of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.integration.systems.law import ExampleRig
from tieout.contract import Work


class Case(ExampleRig):
    name = "zendesk"
    nothing = b'{"tickets": [], "organizations": []}'

    @staticmethod
    def error(text: str) -> Any:
        """A refusal in its shape."""
        return {"error": text, "description": "Record validation errors"}

    def parents(self, kind: str, action: str, mark: str) -> Mapping[str, Any]:
        """The ticket that an update changes; a name that no other organization has."""
        if action == "update":
            return {"id": self.post(self.work("ticket", "create", mark)).remote}
        return {"name": f"Bluebird Robotics {mark}".strip()} if kind == "customer" else {}

    def make(self, kind: str, action: str, mark: str = "", total: int | None = None, /, **change: Any) -> Work:
        """Tickets without an organization: the example's is another account's."""
        if (kind, action) == ("ticket", "create"):
            change = {"organization_id": None, **change}
        return super().make(kind, action, mark, total, **change)
