"""A real SFTP server on loopback, in a folder of its own, whose line breaks when it is told to.

``trouble`` holds what the next renames do, in order: ``drop_before`` (the line is gone, the file keeps its ``.part``),
``commit_then_drop`` (renamed, and the line is gone), ``refuse`` (a plain failure). ``cut`` breaks the next write.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncssh

USER, PASSWORD = "tieout", "local-only-password"  # of a server that listens on loopback alone


class Files(asyncssh.SFTPServer):
    """The server's file system, and where it breaks."""

    def __init__(self, channel: asyncssh.SSHServerChannel[bytes], there: SftpServer) -> None:
        super().__init__(channel, chroot=str(there.root).encode())
        self._there = there

    def rename(self, oldpath: bytes, newpath: bytes) -> Any:
        kind = self._there.trouble.pop(0) if self._there.trouble else ""
        if kind == "refuse":
            raise asyncssh.SFTPFailure("told to refuse")
        if kind == "drop_before":
            self.connection.abort()
            raise asyncssh.SFTPFailure("the line is gone")
        super().rename(oldpath, newpath)
        if kind == "commit_then_drop":
            self.connection.abort()

    def write(self, file_obj: object, offset: int, data: bytes) -> Any:
        if self._there.cut:
            self._there.cut = False
            self.connection.abort()
            raise asyncssh.SFTPFailure("the line is gone")
        return super().write(file_obj, offset, data)


class _Door(asyncssh.SSHServer):
    def __init__(self, there: SftpServer) -> None:
        self._there = there

    def begin_auth(self, username: str) -> bool:
        self._there.logins += 1
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == (USER, PASSWORD)

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return username == USER and key == self._there.user_key.convert_to_public()


class SftpServer:
    """Use as a context manager. ``secret`` is what the product's secret store holds for an account on it."""

    def __init__(self, root: Path, host_keys: Sequence[asyncssh.SSHKey] = ()) -> None:
        self.root = root
        self.host_keys = host_keys or [asyncssh.generate_private_key("ssh-ed25519")]
        self.trouble: list[str] = []
        self.cut = False
        self.logins = 0
        self.port = 0
        self.user_key = asyncssh.generate_private_key("ssh-ed25519")
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="sftp", daemon=True)

    def secret(self, *, by_key: bool = False) -> dict[str, Any]:
        """Host, user, password or key, and the pinned host key."""
        own = {"private_key": self.user_key.export_private_key().decode()} if by_key else {"password": PASSWORD}
        return {"host": "127.0.0.1", "port": self.port, "user": USER, "host_key": public(self.host_keys[0]), **own}

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        listening = await asyncssh.listen(
            "127.0.0.1", 0, server_host_keys=list(self.host_keys), server_factory=lambda: _Door(self),
            sftp_factory=lambda channel: Files(channel, self), allow_scp=False, config=None,
        )  # fmt: skip
        async with listening:
            self.port = listening.get_port()
            self._ready.set()
            await self._stop.wait()

    def __enter__(self) -> SftpServer:
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError("the SFTP server does not listen")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(5)


def public(key: asyncssh.SSHKey) -> str:
    """The public half of a key, as a secret holds it."""
    return key.export_public_key().decode().strip()


class FolderDrop:
    """The same folder as the ERP sees it from the inside: keys that begin with its prefix.

    With ``now`` the server lives in world time: a file is written when that says.
    """

    def __init__(self, root: Path, prefix: str, now: Callable[[], datetime] | None = None) -> None:
        self._root, self._prefix, self._now = root, prefix, now

    def list(self, prefix: str) -> Iterable[str]:
        """Keys that begin with a prefix."""
        found = (self._prefix + str(one.relative_to(self._root)) for one in self._root.rglob("*") if one.is_file())
        return sorted(key for key in found if key.startswith(prefix))

    def get(self, key: str) -> bytes:
        """Content of a file; KeyError if it is gone."""
        try:
            return (self._root / key.removeprefix(self._prefix)).read_bytes()
        except FileNotFoundError as gone:
            raise KeyError(key) from gone

    def put(self, key: str, body: bytes) -> None:
        """Write a file."""
        path = self._root / key.removeprefix(self._prefix)
        path.write_bytes(body)
        if self._now is not None:
            os.utime(path, (self._now().timestamp(),) * 2)
