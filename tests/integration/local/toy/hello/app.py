"""Answers with what it was asked."""

from __future__ import annotations

import json
from typing import Any


def handler(event: dict[str, Any], context: Any) -> Any:
    if event["rawPath"].endswith("/boom"):
        raise ValueError("boom")
    return {
        "statusCode": 202,
        "headers": {"Content-Type": "application/json"},
        "cookies": ["a=1; HttpOnly"],
        "body": json.dumps(event),
    }
