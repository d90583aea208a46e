"""A lake that loads the extract: it reads manifests from the file drop, believes none unseen, and merges.

What a manifest says is proven before a line is loaded: the file is there and has that hash, and count and totals add up
by kind, action and currency. A document is loaded once, by source, account, kind, action, object and version, however
many files hold it. A file without a manifest is no part of the extract.

Simplifications: it speaks no HTTP; it looks whenever its book is asked for.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from decimal import Decimal

from infra.local.sandbox.books import Entry, to_minor
from infra.local.sandbox.legacy import Drop
from infra.local.sandbox.system import Ground, System
from infra.local.sandbox.wire import Json, Reply, Request, loads

KEY = ("source", "account", "kind", "action", "object_id", "version")


class Lake(System):
    """One account. ``wrong`` lists manifests that did not hold, each with the reason."""

    name = "extract"
    drop: Drop | None = None

    def authorise(self, request: Request) -> Reply | None:
        """Nobody calls it."""
        return Reply.json(403, {"error": "a lake is not called"})

    def act(self, request: Request) -> Reply:
        """Nobody calls it."""
        return Reply.json(403, {"error": "a lake is not called"})

    def misbehave(self, kind: str, args: Json) -> Reply:
        """Nobody calls it."""
        return Reply.json(403, {"error": "a lake is not called"})

    def forget_tokens(self) -> Reply | None:
        """There are none."""
        return None

    def secret(self) -> Json:
        """Nothing: who may write to the drop is a matter of the bucket."""
        return {}

    def load(self) -> tuple[dict[tuple[str, ...], Json], list[str]]:
        """The documents of all manifests that hold, and what is wrong with the others."""
        rows: dict[tuple[str, ...], Json] = {}
        wrong: list[str] = []
        root = f"extract/{self.account}/"
        keys = sorted(self.drop.list(f"{root}manifests/")) if self.drop else []
        for key in keys:
            assert self.drop is not None
            manifest = json.loads(self.drop.get(key))
            try:
                lines = self._proven(manifest, self.drop.get(root + manifest["file"]))
            except (KeyError, ValueError) as error:
                wrong.append(f"{key}: {error}")
                continue
            for line in lines:
                rows.setdefault(tuple(str(line[name]) for name in KEY), line)
        return rows, wrong

    def _proven(self, manifest: Json, content: bytes) -> list[Json]:
        """The lines of a file. Raises ValueError where the manifest does not hold."""
        if hashlib.sha256(content).hexdigest() != manifest["sha256"]:
            raise ValueError("another hash")
        lines: list[Json] = [loads(line) for line in content.splitlines()]
        if len(lines) != manifest["records"]:
            raise ValueError("another count")
        sums: dict[str, Decimal] = defaultdict(Decimal)
        for line in lines:
            if line["entity"] != manifest["entity"]:
                raise ValueError("a line of another entity")
            sums[f"{line['kind']}:{line['action']}:{line['currency']}"] += Decimal(line["amount"])
        if {name: Decimal(one["amount"]) for name, one in manifest["control"].items()} != dict(sums):
            raise ValueError("another total")
        return lines

    def book(self) -> list[Entry]:
        """What was loaded, one entry a document: its states in words."""
        states: dict[str, list[Json]] = {}
        for line in self.load()[0].values():
            states.setdefault(line["ref"], []).append(line)
        return [
            Entry(
                self.name, self.account, ref, lines[0]["kind"], ref, lines[0]["currency"],
                to_minor(Decimal(lines[0]["amount"]), lines[0]["currency"]), lines[0]["entity"],
                " ".join(sorted(f"{line['action']} {line['version']}" for line in lines)),
            )
            for ref, lines in states.items()
        ]  # fmt: skip


def stand(ground: Ground) -> Lake:
    """The sandbox of this system, found by the server."""
    return Lake("acme", ground.clock, ground.agenda, ground.seed)
