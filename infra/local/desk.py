"""Opens the desk of a local world to people and to the command: its session key, and a file that says where it is.

The file is ``.tieout/local.json`` in the folder the world was started in, readable by its owner only. It holds a token
of that world and the sandboxes' signing secrets, which are worth nothing anywhere else, and goes when the world does.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from infra.local.world import World

FILE = Path(".tieout") / "local.json"
ROLES = ("viewer", "operator", "approver", "auditor", "admin")
#: The world's clock may jump ahead by days while it is open; the command's token outlives that.
YEARS = 10 * 365 * 24 * 3600
#: Where each source's secret lists what it signs with.
SIGNING = {"stripe": "webhook_secrets", "salesforce": "callout_secrets"}


@contextmanager
def opened(world: World, folder: Path = Path()) -> Iterator[str]:
    """The address at which a person signs in; the connection file is there while the world is open."""
    world.put_secret("desk/session", {"key": secrets.token_urlsafe(48)})
    path = folder / FILE
    path.parent.mkdir(exist_ok=True)
    _write(path, mine := connection(world))
    try:
        yield f"{world.address}/auth/login"
    finally:
        # Another world may have been opened here since; the file is then its own.
        if path.is_file() and json.loads(path.read_text(encoding="utf-8")) == mine:
            path.unlink()


def connection(world: World) -> dict[str, Any]:
    """What the command needs: address, token, and the signing secret of each source account."""
    known = world.sandboxes.secrets() if world.sandboxes else {}
    signing = {
        name: value[SIGNING[name.partition("/")[0]]][0]
        for name, value in known.items()
        if SIGNING.get(name.partition("/")[0]) in value
    }
    # A provider of its own stands at a served world, and its issuer is what the template's authorizer was told.
    token = world.token("local", ROLES, exp=int(world.clock.epoch()) + YEARS)
    return {"url": world.address, "token": token, "webhook_secrets": signing}


def _write(path: Path, value: dict[str, Any]) -> None:
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=2)
