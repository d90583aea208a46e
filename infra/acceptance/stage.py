"""The deployed stack as a stage for the story: outside systems on the loopback, and a clock that jumps to what is due.

Time runs as on any machine. Only when nothing moves any more does the story's clock jump to the next thing that will
move by itself: an item of the ledger, a queue's message, an outside system, and the schedule that looks for them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx

from infra.acceptance import second
from infra.local.clock import WorldClock
from infra.local.outside import put_secret
from infra.local.sandbox import Sandboxes
from infra.local.story import MOVES, first_due
from infra.local.template import Made

#: So often in a row must the engine look the same before it counts as quiet, and so long apart.
_LOOKS, _APART = 3, 0.15
#: A function that takes longer than this would have been stopped.
_BUSY_AT_MOST: Final = 180.0
_GRAIN: Final = timedelta(milliseconds=10)
_STAGE: Final = "dev"


class NotQuiet(RuntimeError):
    """The stack did not come to rest; the text says what still moved."""


class Denied(RuntimeError):
    """IAM refused a function something: a role lacks an action, or has it for other resources only."""

    def __init__(self, decisions: list[dict[str, Any]]) -> None:
        self.decisions = decisions
        super().__init__("; ".join(f"{d['role']} may not {d['action']} on {d['resource']}" for d in decisions))


class AheadClock(WorldClock):
    """Real time and what was jumped, which is also written where the functions and the engine read it."""

    def __init__(self, file: Path) -> None:
        super().__init__("real", start=datetime.now(UTC))
        self._file = file

    def advance(self, seconds: float | timedelta) -> datetime:
        """Moves the story's time forward, here and in the engine."""
        super().advance(seconds)
        written = self._file.with_suffix(".new")
        written.write_text(str(self.skipped.total_seconds()))
        written.replace(self._file)
        return self.now()


class FileDrop:
    """The legacy ERP's file drop: the deployed bucket, seen from outside."""

    def __init__(self, s3: Any, bucket: str) -> None:
        self._s3, self._bucket = s3, bucket

    def list(self, prefix: str) -> Iterable[str]:
        """Keys that begin with a prefix."""
        found = self._s3.list_objects_v2(Bucket=self._bucket, Prefix=prefix)
        return [one["Key"] for one in found.get("Contents", [])]

    def get(self, key: str) -> bytes:
        """Content of a file; KeyError if it is gone."""
        try:
            return bytes(self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read())
        except self._s3.exceptions.NoSuchKey as gone:
            raise KeyError(key) from gone

    def put(self, key: str, body: bytes) -> None:
        """Writes a file."""
        self._s3.put_object(Bucket=self._bucket, Key=key, Body=body)


class Deployed:
    """A stack that `infra.acceptance.stack` has deployed, with the outside systems around it. A context manager."""

    def __init__(self, address: str, work: Path, resources: Mapping[str, Made], clock: AheadClock) -> None:
        self.address, self.resources, self.clock = address, resources, clock
        self.sandboxes = Sandboxes(clock)
        self._certificate = second.certificate(work)
        self._http = httpx.Client(verify=str(self._certificate), timeout=60)
        self._clients: dict[str, Any] = {}

    def __enter__(self) -> Deployed:
        self.sandboxes.deliver = self._deliver
        self.sandboxes.drop = FileDrop(self.client("s3"), self.resources["Drop"].ref)
        self.sandboxes.start()
        for name, value in self.sandboxes.secrets().items():
            self.put_secret(name, value)
        return self

    def __exit__(self, *_: object) -> None:
        self.sandboxes.stop()
        self._http.close()

    def client(self, service: str) -> Any:
        """A client of the account itself."""
        if service not in self._clients:
            self._clients[service] = second.client(service, self.address, self._certificate)
        return self._clients[service]

    def put_secret(self, name: str, value: Any) -> None:
        """Puts a secret under the stage's prefix."""
        put_secret(self.client("secretsmanager"), _STAGE, name, value)

    def logical(self, physical: str) -> str:
        """The name in the template of what exists under ``physical``."""
        return next((name for name, made in self.resources.items() if made.ref == physical), physical)

    def get(self, target: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """One request of a person to the API; redirects are shown, not followed."""
        return self._http.get(self.url(target), headers=headers)

    def post(self, path: str, form: Mapping[str, str], headers: Mapping[str, str]) -> httpx.Response:
        """One form of a person to the API."""
        return self._http.post(self.url(path), data=dict(form), headers=headers)

    def url(self, path: str) -> str:
        """Where a path of the API is reached from this machine."""
        return f"{self.address}/_aws/execute-api/{self.resources['Api'].ref}/$default{path}"

    def _deliver(self, path: str, headers: dict[str, str], body: bytes) -> int:
        return self._http.post(self.url(path), headers=headers, content=body).status_code

    def engine(self, page: str) -> Any:
        """What the engine says of itself."""
        return self._http.get(f"{self.address}/_acceptance/{page}").raise_for_status().json()

    # --- time
    def run(self, limit: timedelta) -> datetime | None:
        """Waits and jumps until nothing moves by itself within ``limit``; returns when the next thing will."""
        end = self.clock.now() + limit
        while True:
            state = self.rest()
            due = self._next(state)
            if due is None or due > end:
                return due
            self.clock.advance_to(due + _GRAIN)

    def rest(self) -> dict[str, Any]:
        """Waits until nothing moves; what the engine says then. Raises ``Denied`` as soon as IAM refuses something."""
        until, same, before = time.monotonic() + _BUSY_AT_MOST, 0, None
        while time.monotonic() < until:
            done = self.sandboxes.tick()
            state: dict[str, Any] = self.engine("state")
            if state["denied"]:
                raise Denied(state["denied"])
            due = state["fires_next"] is not None and state["fires_next"] <= self.clock.epoch()
            busy = done or state["running"] or state["ready"] or due
            same = 0 if busy or state != before else same + 1
            if same == _LOOKS:
                return state
            before = state
            time.sleep(_APART)
        raise NotQuiet(f"still busy after {_BUSY_AT_MOST:.0f} s: {before}")

    def _next(self, state: Mapping[str, Any]) -> datetime | None:
        moments = [self.sandboxes.next_due(), _moment(state["visible_next"])]
        wanted = first_due(self._open(), {name for name, (is_, _) in state["executions"].items() if is_ == "RUNNING"})
        fires = _moment(state["fires_next"])
        if wanted and fires:
            moments.append(max(wanted, fires))
        return min((moment for moment in moments if moment), default=None)

    def _open(self) -> list[dict[str, str]]:
        names = ("due", *MOVES)
        pages = self.client("dynamodb").get_paginator("scan").paginate(
            TableName=self.resources["Ledger"].ref,
            FilterExpression="attribute_exists(#0)",
            ProjectionExpression=", ".join(f"#{n}" for n in range(len(names))),
            ExpressionAttributeNames={f"#{n}": name for n, name in enumerate(names)},
        )  # fmt: skip
        return [{name: value["S"] for name, value in item.items()} for page in pages for item in page["Items"]]


def _moment(epoch: float | None) -> datetime | None:
    return None if epoch is None else datetime.fromtimestamp(epoch, UTC)
