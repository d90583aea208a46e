"""The JSON API of a running deployment, and where to find one: as said, or in the local world's file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx

#: What the local world writes into the repository it was started in.
LOCAL: Final = Path(".tieout") / "local.json"
TIMEOUT: Final = 30.0
PROBLEM, USAGE, UNREACHABLE = 1, 2, 3


class Failure(Exception):
    """A command ends here: with an exit code, what happened, and what to do."""

    def __init__(self, code: int, said: str, hint: str = "") -> None:
        super().__init__(said)
        self.code, self.said, self.hint = code, said, hint


@dataclass(frozen=True)
class Connection:
    """Where a deployment is and how to get in. ``local`` is the local world, which has a clock of its own."""

    url: str
    token: str = ""
    secrets: Mapping[str, str] = field(default_factory=dict)
    local: bool = False


def find_local(start: Path | None = None) -> dict[str, Any]:
    """The local world's connection file in this folder or one above it; empty where there is none."""
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        path = folder / LOCAL
        if path.is_file():
            try:
                found = json.loads(path.read_text(encoding="utf-8"))
            except ValueError:
                raise Failure(USAGE, f"{path} is not JSON.", "Stop the local world and start it again.") from None
            return found if isinstance(found, dict) else {}
        if (folder / ".git").exists():
            break
    return {}


def connect(url: str, token: str) -> Connection:
    """The deployment that is meant. Raises ``Failure`` where none is named anywhere."""
    found = find_local()
    if url:
        mine = url.rstrip("/") == str(found.get("url", "")).rstrip("/")
        return Connection(url.rstrip("/"), token or (str(found.get("token", "")) if mine else ""),
                          found.get("webhook_secrets", {}) if mine else {}, mine)  # fmt: skip
    if not found.get("url"):
        raise Failure(
            USAGE,
            "No deployment is named.",
            "Give --url (or TIEOUT_URL) and --token (or TIEOUT_TOKEN), or start a local world with `make run`.",
        )
    return Connection(
        str(found["url"]).rstrip("/"), token or str(found.get("token", "")), found.get("webhook_secrets", {}), True
    )


class Api:
    """Questions to ``/v1``; every failure is a ``Failure`` that says what to do."""

    def __init__(self, connection: Connection, transport: httpx.BaseTransport | None = None) -> None:
        self.connection = connection
        headers = {"authorization": f"Bearer {connection.token}"} if connection.token else {}
        self._http = httpx.Client(base_url=connection.url, headers=headers, timeout=TIMEOUT, transport=transport)

    def get(self, path: str, **asked: Any) -> dict[str, Any]:
        """The answer to one question; empty parameters are left out."""
        said = {name: str(value) for name, value in asked.items() if value not in ("", None)}
        answer = self.send(self._http.build_request("GET", path, params=said))
        return self._read(answer)

    def one(self, what: str, key: str) -> dict[str, Any]:
        """One thing by its key."""
        return self.get(f"/v1/{what}/{quote(key, safe='')}")

    def post(self, path: str, headers: Mapping[str, str], body: bytes) -> httpx.Response:
        """One delivery to the front door; whatever it answers."""
        return self.send(self._http.build_request("POST", path, headers=dict(headers), content=body))

    def submit(self, path: str, form: Mapping[str, str]) -> dict[str, Any]:
        """Ask the API to do something; fields that are empty are left out."""
        said = {name: value for name, value in form.items() if value}
        return self._read(self.send(self._http.build_request("POST", path, data=said)))

    def now(self) -> float | None:
        """The local world's own time in seconds since 1970; ``None`` for a real deployment, whose time is ours."""
        if not self.connection.local:
            return None
        from datetime import datetime

        try:
            answer = self._http.get("/_local/clock")
            return datetime.fromisoformat(answer.json()["now"]).timestamp() if answer.status_code == 200 else None
        except (httpx.HTTPError, ValueError, KeyError):
            return None

    def send(self, request: httpx.Request) -> httpx.Response:
        """Send, or say plainly that nobody is there."""
        try:
            return self._http.send(request)
        except httpx.HTTPError as error:
            hint = "Is the local world still running? `make run` starts one." if self.connection.local else ""
            said = f"{self.connection.url} cannot be reached ({type(error).__name__})."
            raise Failure(UNREACHABLE, said, hint or "Check --url and your network.") from error

    def _read(self, answer: httpx.Response) -> dict[str, Any]:
        try:
            body = answer.json()
        except ValueError:
            body = None
        if answer.status_code == 200 and isinstance(body, dict):
            return body
        if answer.status_code == 200:
            hint = "Check --url: the API's address is what the stack's output ApiUrl says."
            raise Failure(UNREACHABLE, f"{self.connection.url} answered something that is not Tieout's API.", hint)
        said = str(body.get("detail") or body.get("message") or "") if isinstance(body, dict) else ""
        match answer.status_code:
            case 401:
                hint = "Give a valid token with --token or TIEOUT_TOKEN; tokens of an hour expire."
                raise Failure(UNREACHABLE, f"Not let in: {said or 'no valid token'}.", hint)
            case 403:
                hint = "Ask for a role: the token's claim tieout_roles must name one."
                raise Failure(UNREACHABLE, f"Not let in: {said or 'no role'}.", hint)
            case 404:
                raise Failure(PROBLEM, said or "Nothing goes by that name.", "`tieout show ID` searches by any id.")
            case 409:
                raise Failure(PROBLEM, said or "The world is not any more as it was.", "Look again, then decide.")
            case 400:
                raise Failure(USAGE, said or "The question was not understood.", "See --help.")
        raise Failure(UNREACHABLE, f"The deployment answered {answer.status_code}. {said}".strip(), "Try again soon.")
