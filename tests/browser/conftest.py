"""A real browser before the real template: the local world serves the desk, and people sign in at its provider.

These tests need a Chromium (``TIEOUT_CHROMIUM`` names one, else it is looked for on the path) and skip without.
``TIEOUT_SHOTS`` names a folder to keep the screenshots in, for whoever wants to look at them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from infra.local.clock import WorldClock
from infra.local.world import World
from tests.unit.desk.scene import NOW, Scene, full
from tieout.aws.ledger import encode

playwright = pytest.importorskip("playwright.sync_api", reason="make test installs playwright (requirements-dev.lock)")
ROOT = Path(__file__).parents[2]
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
HOW = (
    "no Chromium: install one (Debian, Ubuntu: apt-get install chromium; macOS: brew install chromium; anywhere: "
    ".venv/bin/python -m playwright install chromium) or name one in TIEOUT_CHROMIUM"
)


def executable() -> str | None:
    """The browser to use, if there is one."""
    named = os.environ.get("TIEOUT_CHROMIUM")
    if named:
        return named
    return next((found for name in NAMES if (found := shutil.which(name))), None)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as engine:
        path = executable() or (own if Path(own := engine.chromium.executable_path).exists() else None)
        if path is None:
            pytest.skip(HOW)
        root = hasattr(os, "geteuid") and os.geteuid() == 0
        browser = engine.chromium.launch(executable_path=path, args=["--no-sandbox"] if root else [])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def scene() -> Scene:
    return full()


@pytest.fixture(scope="module")
def address(chromium: Any, scene: Scene) -> Iterator[str]:
    """The desk of a world whose ledger and vault hold the scene."""
    with World(ROOT / "template.yaml", clock=WorldClock("jump", NOW), port=0, dues=lambda: None) as world:
        world.put_secret("desk/session", {"key": "a-session-key-for-the-browser-tests-only"})
        dynamo, table = world.client("dynamodb"), world.resources["Ledger"].ref
        for item in scene.ledger.items.values():
            dynamo.put_item(TableName=table, Item={name: encode(value) for name, value in item.items()})
        for name, body in scene.vault.kept.items():
            world.client("s3").put_object(Bucket=world.resources["Vault"].ref, Key=name, Body=body)
        assert world.address is not None
        yield world.address


@dataclass
class Visit:
    """One person's browser window, and everything that went wrong in it."""

    page: Any
    address: str
    scene: Scene
    shots: Path
    wrong: list[str] = field(default_factory=list)

    def watch(self) -> None:
        def note(one: Any) -> None:
            if one.type in ("error", "warning"):
                self.wrong.append(one.text)

        self.page.on("console", note)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("requestfailed", lambda one: self.wrong.append(f"{one.url}: {one.failure}"))

    def sign_in(self, name: str = "oscar", to: str = "/desk") -> None:
        self.page.goto(f"{self.address}/auth/login?next={quote(to, safe='')}")
        with self.page.expect_navigation(url=f"{self.address}{to}"):
            self.page.get_by_role("link", name=name).click()
        self.wrong.clear()  # what the provider's own page lacks is not the desk's

    def open(self, path: str) -> Any:
        answer = self.page.goto(self.address + path)
        assert answer is not None
        return answer

    def posting(self, state: str, kind: str = "invoice") -> str:
        items = self.scene.ledger.items.values()
        key = next(i["key"] for i in items if i.get("what") == "posting" and (i["state"], i["kind"]) == (state, kind))
        return "/desk/postings/" + quote(str(key), safe="")

    def shot(self, name: str) -> bytes:
        return bytes(self.page.screenshot(path=self.shots / f"{name}.png", full_page=True))


@pytest.fixture(params=["light"])
def visit(request: pytest.FixtureRequest, chromium: Any, address: str, scene: Scene, tmp_path: Path) -> Iterator[Visit]:
    """Somebody's window; ``indirect`` parameters ``light`` and ``dark`` choose the scheme."""
    context = chromium.new_context(viewport={"width": 1366, "height": 860}, color_scheme=request.param)
    kept = os.environ.get("TIEOUT_SHOTS")
    made = Visit(context.new_page(), address, scene, Path(kept) if kept else tmp_path)
    made.watch()
    yield made
    context.close()
