"""Snowflake before the law: rows of the mapping examples, which hang on nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.integration.systems.law import ExampleRig
from tieout.contract import Work
from tieout.core.money import Currency, Money


class Case(ExampleRig):
    name = "snowflake"
    nothing = b'{"statementHandle": "h", "data": []}'

    @staticmethod
    def error(text: str) -> Any:
        """A failed statement in its shape."""
        return {"code": "003001", "sqlState": "42501", "message": text, "statementHandle": "h"}

    @staticmethod
    def reads(method: str, path: str) -> bool:
        """Only what changes something goes under a request id."""
        return method == "GET" or "requestId" not in path

    def parents(self, kind: str, action: str, mark: str) -> Mapping[str, Any]:
        """Another object for another mark."""
        return {"OBJECT_ID": f"in_{kind}{mark}"}

    def amount(self, minor: int, mark: str) -> Work | None:
        """A row over the amount."""
        text = Money(minor, Currency.of(self.currency)).text
        return self.make("invoice", "create", mark, minor, AMOUNT=text, **self.parents("invoice", "create", mark))
