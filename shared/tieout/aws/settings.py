"""The one file that reads the environment, and never at import.

A Lambda function has one environment; the local world hosts several functions in one process and lays each
invocation's own environment over the process's through ``environ``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass

#: This invocation's environment where one process hosts several functions; else ``os.environ`` is read.
environ: ContextVar[Mapping[str, str] | None] = ContextVar("environ", default=None)


class SettingMissing(RuntimeError):
    """A variable that this function needs is not set; the message names it and the template that sets it."""


@dataclass(frozen=True)
class Settings:
    """What one function was deployed with. An empty string or mapping means: this function does not use it."""

    stage: str
    region_tag: str
    ledger_table: str
    idempotency_table: str
    vault_bucket: str
    drop_bucket: str
    inbox_queue_url: str
    lane_queues: Mapping[str, str]
    bus_name: str
    secrets_prefix: str
    machines: Mapping[str, str]
    function_timeout: int
    desk: Mapping[str, str]


def read() -> Mapping[str, str]:
    """The environment of this invocation."""
    overlay = environ.get()
    return os.environ if overlay is None else overlay


def _json(values: Mapping[str, str], name: str) -> dict[str, str]:
    return {str(key): str(value) for key, value in json.loads(values.get(name) or "{}").items()}


def load() -> Settings:
    """Settings of this invocation; raises ``SettingMissing`` when the stage is unknown."""
    values = read()
    if not values.get("STAGE"):
        raise SettingMissing("STAGE is not set: every function gets it from Globals in template.yaml")
    return Settings(
        stage=values["STAGE"],
        region_tag=values.get("REGION_TAG", ""),
        ledger_table=values.get("LEDGER_TABLE", ""),
        idempotency_table=values.get("IDEMPOTENCY_TABLE", ""),
        vault_bucket=values.get("VAULT_BUCKET", ""),
        drop_bucket=values.get("DROP_BUCKET", ""),
        inbox_queue_url=values.get("INBOX_QUEUE_URL", ""),
        lane_queues=_json(values, "LANE_QUEUES"),
        bus_name=values.get("BUS_NAME", ""),
        secrets_prefix=values.get("SECRETS_PREFIX", f"tieout/{values['STAGE']}"),
        machines=_json(values, "MACHINES"),
        function_timeout=int(values.get("FUNCTION_TIMEOUT", "60")),
        desk={key[5:].lower(): value for key, value in values.items() if key.startswith("DESK_")},
    )
