"""The function behind pollers and state machines: what it does stands in what it is given.

Runs on every engine, on MiniStack as a deployed Lambda function; so it imports nothing of ours.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


class Flaky(Exception):
    """An error with a name of its own."""


class NeedsHuman(Exception):
    """Another one."""


def handler(event: dict[str, Any], context: object) -> Any:
    return _batch(event["Records"]) if "Records" in event else _step(event)


def _batch(records: list[dict[str, Any]]) -> Any:
    words = {record["messageId"]: record["body"].partition("-")[0] for record in records}
    if "raises" in words.values():
        raise Flaky("the whole batch")
    if "silent" in words.values():
        return None
    if "nulls" in words.values():
        return {"batchItemFailures": None}
    named = {"foreign": "nobody", "empty": "", "null": None}
    failures: list[dict[str, Any]] = [{"itemIdentifier": one} for one, word in words.items() if word == "named"]
    failures += [{"itemIdentifier": named[word]} for word in words.values() if word in named]
    failures += [{"itemId": one} for one, word in words.items() if word == "keyless"]
    return {"batchItemFailures": failures}


def _step(event: dict[str, Any]) -> Any:
    tries = int(event.get("tries", 0))
    if "token" in event:
        written = Path(event["box"] + ".new")
        written.write_text(event["token"])
        written.rename(event["box"])
    if event.get("raises") and tries < event.get("until", 99):
        raise {"Flaky": Flaky, "NeedsHuman": NeedsHuman}[event["raises"]](f"after {tries}")
    return f"after {tries}"
