"""The command against the real JSON API, in one process: HTTP calls go straight into the desk's handler."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from tests.unit.desk.conftest import Here, Projected, request_event
from tests.unit.desk.scene import NOW, full
from tieout.aws import clock
from tieout.aws.web.desk import Desk
from tieout.cli import app as application
from tieout.cli.client import Api, Connection

Run = Callable[..., Result]


class Front:
    """What stands behind the address: the desk, and a front door that notes what it is sent."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.roles = "[operator]"
        self.hooks: list[httpx.Request] = []
        self.hook_status = 200

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.raw_path.decode().partition("?")[0]
        if path.startswith("/hooks/"):
            self.hooks.append(request)
            return httpx.Response(self.hook_status, text='{"received":true}')
        if path == "/_local/clock":
            return httpx.Response(200, json={"now": NOW.isoformat()})
        if request.headers.get("authorization") != "Bearer good":
            return httpx.Response(401, json={"message": "Unauthorized"})
        proof = {"jwt": {"claims": {"sub": "cli", "tieout_roles": self.roles}}}
        event = request_event("GET", path, proof=proof, query=dict(request.url.params))
        answer = self.desk.answer(event)
        return httpx.Response(answer["statusCode"], headers=answer["headers"], text=answer["body"])


@pytest.fixture(scope="session")
def front() -> Front:
    scene = full()
    return Front(Desk(Here(Projected(scene.ledger.items), scene.vault)))


@pytest.fixture
def run(front: Front, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run the command in an empty folder that has a local world's connection file."""
    monkeypatch.setattr(clock, "source", lambda: NOW)
    monkeypatch.chdir(tmp_path)
    for name in ("TIEOUT_URL", "TIEOUT_TOKEN", "TIEOUT_WEBHOOK_SECRET"):
        monkeypatch.delenv(name, raising=False)
    secrets = {"stripe/acct_us": "whsec_us", "stripe/acct_de": "whsec_de", "salesforce/acme": "sf_secret"}
    known = {"url": "http://local.test", "token": "good", "webhook_secrets": secrets}
    (tmp_path / ".tieout").mkdir()
    (tmp_path / ".tieout" / "local.json").write_text(json.dumps(known), encoding="utf-8")
    front.hooks.clear()
    front.roles, front.hook_status = "[operator]", 200

    def make(connection: Connection) -> Api:
        return Api(connection, httpx.MockTransport(front))

    monkeypatch.setattr(application, "Api", make)

    def invoke(*words: str, **more: Any) -> Result:
        return CliRunner().invoke(application.app, list(words), env={"NO_COLOR": "1"}, **more)

    return invoke
