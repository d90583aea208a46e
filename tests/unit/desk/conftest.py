"""The desk on books in memory, asked the way API Gateway asks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.fakes import MemoryLedger, Secrets
from tests.unit.desk.scene import NOW, Scene, full
from tieout.aws import clock
from tieout.aws.settings import Settings
from tieout.aws.web.desk import Desk
from tieout.aws.web.session import Person
from tieout.core.writes import Item
from tieout.work.ports import Ledger, Vault

KEY = "a-long-session-key-of-forty-three-letters-x"
OWN = "https://desk.example"
TEMPLATE = Path(__file__).parents[3] / "template.yaml"


class Projected(MemoryLedger):
    """Index rows hold exactly what the template projects, so that no list leans on what the cloud would not give."""

    def __init__(self, items: dict[Any, Item]) -> None:
        super().__init__()
        self.items = items
        text = TEMPLATE.read_text(encoding="utf-8")
        names = re.search(r"&what-a-list-shows\s+(?:#.*\s+)?\[([^\]]+)\]", text)
        assert names is not None
        listed = {name.strip() for name in names[1].split(",")}
        self._kept = {"pk", "sk", "due", "due_shard", "day", "at"} | listed

    def _cut(self, rows: Iterator[Item]) -> Iterator[Item]:
        for row in rows:
            yield {name: value for name, value in row.items() if name in self._kept}

    def open(self) -> Iterator[Item]:
        return self._cut(super().open())

    def day(self, day: str) -> Iterator[Item]:
        return self._cut(super().day(day))


def settings(**desk: str) -> Settings:
    said = {"url": OWN, "oidc_issuer": "https://id.example", "oidc_client_id": "tieout-desk", **desk}
    return Settings("test", "", "", "", "", "", "", {}, "", "tieout/test", {}, 15, said)


@dataclass
class Here:
    """What the desk needs of its environment."""

    ledger: Ledger
    vault: Vault
    secrets: Secrets = field(default_factory=lambda: Secrets({("desk", "session"): {"key": KEY}}))
    settings: Settings = field(default_factory=settings)


@dataclass
class Reply:
    """An answer as a browser would see it."""

    status: int
    headers: Mapping[str, str]
    body: str
    cookies: list[str]

    def json(self) -> Any:
        return json.loads(self.body)


def request_event(
    method: str,
    path: str,
    *,
    cookies: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    body: str = "",
    proof: Mapping[str, Any] | None = None,
    query: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    context: dict[str, Any] = {
        "domainName": "api.example", "stage": "$default", "http": {"method": method, "path": path},
    }  # fmt: skip
    if proof:
        context["authorizer"] = proof
    return {
        "rawPath": path,
        "rawQueryString": urlencode(query or {}),
        "headers": dict(headers or {}),
        "cookies": [f"{name}={value}" for name, value in (cookies or {}).items()],
        "requestContext": context,
        "body": body,
    }


class Visitor:
    """Asks the desk as somebody with roles, through either door."""

    def __init__(self, here: Here) -> None:
        self.here = here
        self.desk = Desk(here)

    def ask(self, event: dict[str, Any]) -> Reply:
        answer = json.loads(json.dumps(self.desk.answer(event)))
        return Reply(answer["statusCode"], answer["headers"], answer["body"], answer["cookies"])

    def page(self, path: str, *roles: str, method: str = "GET", **query: str) -> Reply:
        person = Person("u1", "Ann <b>Onymous</b>", roles or ("viewer",), "tok", int(NOW.timestamp()) + 600)
        return self.ask(request_event(method, path, proof={"lambda": person.context()}, query=query))

    def api(self, path: str, *roles: str, method: str = "GET", **query: str) -> Reply:
        claims = {"sub": "u1", "tieout_roles": f"[{' '.join(roles or ('viewer',))}]"}
        return self.ask(request_event(method, path, proof={"jwt": {"claims": claims, "scopes": None}}, query=query))


@pytest.fixture(scope="session")
def books() -> Scene:
    """Something of everything; nobody changes it."""
    return full()


@pytest.fixture
def here(books: Scene, monkeypatch: pytest.MonkeyPatch) -> Here:
    monkeypatch.setattr(clock, "source", lambda: NOW)
    return Here(Projected(books.ledger.items), books.vault)


@pytest.fixture
def visitor(here: Here) -> Visitor:
    return Visitor(here)
