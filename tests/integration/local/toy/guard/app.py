"""Lets in who has the cookie."""

from __future__ import annotations

from typing import Any


def handler(event: dict[str, Any], context: Any) -> Any:
    return {"isAuthorized": "session=good" in event["cookies"], "context": {"user": "u1"}}
