"""The template that is deployed comes up in the local world as it stands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.world import World

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def real() -> Iterator[World]:
    with World(ROOT / "template.yaml") as world:
        yield world


def test_only_what_is_listed_in_the_docs_is_not_emulated(real: World) -> None:
    assert real.not_emulated == ["AWS::Events::Archive BusArchive"]
    text = (ROOT / "docs" / "local-world.md").read_text(encoding="utf-8")
    kinds = {name.split(" ")[0] for name in [*real.not_emulated, *real.recorded]}
    assert {kind for kind in kinds if f"`{kind}`" not in text} == set()


def test_every_function_has_its_handler_and_every_lane_a_consumer(real: World) -> None:
    for function in real.functions.values():
        stem = function.handler.rsplit(".", 1)[0]
        assert (function.folder / f"{stem}.py").exists(), function.name
    fed = {mapping.queue for mapping in real.mappings}
    assert fed == set(real.queues.all())


def test_the_api_asks_for_authority_everywhere_but_on_the_listed_routes(real: World) -> None:
    public = {f"{route.method} {route.path}" for route in real.api.routes if route.authorizer is None}
    assert public == {"POST /hooks/{source}/{account}", "GET /auth/login", "GET /auth/callback", "POST /auth/logout"}
    assert real.http("GET", "/v1/postings").status == 401
    assert real.http("GET", "/desk").status == 401
