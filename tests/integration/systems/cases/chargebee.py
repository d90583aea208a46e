"""Chargebee before the law: what the usual examples make, with what it hangs on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.integration.systems.law import ExampleRig


class Case(ExampleRig):
    name = "chargebee"
    gone_is_done = True
    account = "acme-eu"
    absent = b'{"message": "not found", "type": "invalid_request", "api_error_code": "resource_not_found"}'

    @staticmethod
    def error(text: str) -> Any:
        """A refusal in its shape."""
        return {"message": text, "type": "invalid_request", "api_error_code": text, "http_status_code": 400}

    def parents(self, kind: str, action: str, mark: str) -> Mapping[str, Any]:
        """A customer for a subscription; for an undo, what it takes back."""
        if action == "undo":
            return {"id": self.post(self.work(kind, "create", f"{mark} undone")).remote}
        if kind == "subscription":
            return {"customer": self.post(self.work("customer", "create", f"{mark} of it")).remote}
        return {}
