"""Tryton as a process of its own, from an empty database to a listening server that can be killed and started."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

BIN = Path(".venv-rehearse/bin")
SQLITE = "sqlite://"
#: The administrator of the database, who is its accountant too. It lives as long as the rehearsal does.
USER, PASSWORD = "admin", "local-only-admin-1"
SETTINGS = """[database]
uri = {uri}
path = {folder}
[web]
listen = 127.0.0.1:{port}
root = {folder}/web
"""


def free_port() -> int:
    """A port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def await_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a process takes connections (a minute at most); ``RuntimeError`` with its log where it does not."""
    for _ in range(600):
        if process.poll() is not None:
            raise RuntimeError(log.read_text("utf-8", "replace")[-2000:])
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"nobody answers at port {port}")


class Server:
    """One Tryton server on loopback, in a folder of its own. ``uri`` names the engine: SQLite, or a cluster."""

    def __init__(self, folder: Path, uri: str = SQLITE, bin_folder: Path = BIN) -> None:
        self.folder, self.uri = folder, uri
        self.bin = bin_folder.absolute()
        self.port = free_port()
        self.settings = folder / "trytond.conf"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def base_url(self) -> str:
        """Where the database answers."""
        return f"http://127.0.0.1:{self.port}/erp"

    def create(self, year: int) -> Mapping[str, Any]:
        """Make the database, with two companies that have closed months of ``year``; the ids a payload needs."""
        (self.folder / "web").mkdir()
        if self.uri == SQLITE:
            (self.folder / "erp.sqlite").touch()  # Tryton fills a file, it does not make one
        self.settings.write_text(SETTINGS.format(folder=self.folder, port=self.port, uri=self.uri), "utf-8")
        word = self.folder / "password"
        word.write_text(f"{PASSWORD}\n", "utf-8")
        self._run(
            "trytond-admin", "-c", str(self.settings), "-d", "erp", "-u", "account_invoice",
            "--activate-dependencies", "--email", "admin@example.com",
            env={"TRYTONPASSFILE": str(word)},
        )  # fmt: skip
        out = self.folder / "erp.json"
        script = Path(__file__).parent / "bootstrap.py"
        database = "sqlite:///erp" if self.uri == SQLITE else f"{self.uri}/erp"
        self._run("python", str(script), str(self.settings), database, str(year), str(out))
        made: Mapping[str, Any] = json.loads(out.read_bytes())
        return made

    def _run(self, command: str, *arguments: str, env: Mapping[str, str] | None = None) -> None:
        with (self.folder / "setup.log").open("ab") as log:
            done = subprocess.run(
                [self.bin / command, *arguments], env={**os.environ, **(env or {})}, stdout=log, stderr=log, check=False
            )
        if done.returncode:
            said = (self.folder / "setup.log").read_text("utf-8", "replace")[-2000:]
            raise RuntimeError(f"{command} ended with {done.returncode}:\n{said}")

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        log = self.folder / "server.log"
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [self.bin / "trytond", "-c", str(self.settings), "-d", "erp"], stdout=out, stderr=out
            )
        await_port(self.port, self.process, log)

    def kill(self) -> None:
        """SIGKILL: what a power cut is."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
