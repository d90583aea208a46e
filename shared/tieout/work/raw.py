"""Raw bytes by their pointer: what intake put into the vault, as the desk and a replay read it back."""

from __future__ import annotations

import base64
import json

from tieout.work.ports import Vault


def raw(vault: Vault, pointer: str) -> bytes:
    """The bytes of one delivery, from a pointer as event items carry it: one line of a batch object, or an object."""
    name, _, number = pointer.partition("#")
    content = vault.get(name)
    return base64.b64decode(json.loads(content.split(b"\n")[int(number)])["body_b64"]) if number else content
