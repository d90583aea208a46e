"""HubSpot before the law: a status in a record of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tests.integration.systems.law import ExampleRig
from tieout.contract import Work


class Case(ExampleRig):
    name = "hubspot"
    account = "24881733"
    absent = b'{"status": "error", "category": "OBJECT_NOT_FOUND", "message": "resource not found"}'

    @staticmethod
    def error(text: str) -> Any:
        """A refusal in its shape."""
        return {"status": "error", "category": text.upper(), "message": text, "correlationId": "c"}

    def parents(self, kind: str, action: str, mark: str) -> Mapping[str, Any]:
        """A status hangs on nothing."""
        return {}

    def decisive(self, work: Work) -> str:
        """The upsert."""
        return f"POST .*{re.escape('/crm/v3/objects/p_tieout_status/batch/upsert')}$"
