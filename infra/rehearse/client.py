"""A person at Tryton's own client: what REST does not reach, over the JSON-RPC that the client itself speaks."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import httpx

from infra.rehearse.server import PASSWORD, USER, Server

WIZARD = "wizard.account.move.reconcile_lines"


class Client:
    """One session of the installation's accountant in one company."""

    def __init__(self, server: Server, company: int) -> None:
        self.url = f"{server.base_url}/rpc/"
        self.context = {"company": company, "language": "en"}
        self.headers: dict[str, str] = {}
        user, token, *_ = self._call("common.db.login", USER, {"password": PASSWORD}, "en")
        self.headers = {"authorization": f"Session {b64encode(f'{USER}:{user}:{token}'.encode()).decode()}"}

    def reconcile(self, lines: Sequence[int]) -> None:
        """Reconcile lines that balance. ``AssertionError`` where Tryton asks for a write-off or refuses."""
        chosen = {"active_model": "account.move.line", "active_ids": list(lines), "active_id": lines[0]}
        session, start, _ = self._call(f"{WIZARD}.create", self.context)
        asked = self._call(f"{WIZARD}.execute", session, {}, start, self.context | chosen)
        if "view" in asked:
            raise AssertionError(f"Tryton asks for a write-off of lines {lines}")
        self._call(f"{WIZARD}.delete", session, self.context)

    def _call(self, method: str, *params: Any) -> Any:
        said = httpx.post(
            self.url, headers=self.headers, json={"id": 1, "method": method, "params": params}, timeout=60
        )
        answer = said.raise_for_status().json()
        if "error" in answer:
            raise AssertionError(f"{method}: {answer['error']}")
        return answer["result"]
