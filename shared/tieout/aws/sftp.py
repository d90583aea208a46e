"""The file drop of an ERP that hosts its own SFTP: the same `Wire` as the bucket's, over one connection a call.

A file is written under a name that the ERP does not pick up (``….part``) and renamed when it is whole. Only the plain
rename is used, which fails where the new name exists, so that nothing is ever written over; until it is sent nothing
can have been done. The host key is pinned by the secret. Nothing of the machine's own SSH set-up is read.

Imported by the first call of an account whose secret names a host, and by nothing else: asyncssh costs a cold start.
"""

from __future__ import annotations

import asyncio
import hashlib
import posixpath
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import asyncssh

from tieout.core.classify import Answer
from tieout.core.verdicts import NeedsHuman, TryAgain, Uncertain
from tieout.work.ports import Unavailable

#: The most that is read of a file.
FILE_MOST: Final = 16 * 1024 * 1024
#: No answer of the server: the line is gone, and what was asked last may have been done.
LOST: Final = (
    asyncssh.ConnectionLost, asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection, asyncssh.ChannelOpenError, OSError,
    TimeoutError,
)  # fmt: skip

#: What a secret that is being filled in, or wrongly, ends with.
UNUSABLE: Final = (KeyError, ValueError, TypeError, asyncssh.KeyImportError)
#: Kinds of host key that are asked for, by preference.
KINDS: Final = (
    "ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "rsa-sha2-512", "rsa-sha2-256",
)  # fmt: skip

T = TypeVar("T")


class SftpWire:
    """The transport of one account, whose secret names host, user, password or key, host keys and folder.

    ``limit`` is the most seconds that a call may take. The secret is asked for at each call.
    """

    def __init__(self, account: str, secret: Callable[[], Mapping[str, Any]], limit: float) -> None:
        self.account = account
        self._secret = secret
        self._limit = limit

    def __repr__(self) -> str:
        return f"SftpWire({self.account})"

    @property
    def settings(self) -> Mapping[str, str]:
        """Non-secret settings of the account."""
        return {str(name): str(value) for name, value in dict(self._read().get("settings") or {}).items()}

    def call(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        """A file target cannot be called."""
        raise NotImplementedError("a file target takes files")

    def put_once(self, name: str, body: bytes) -> bool:
        """Write a file that does not exist yet; ``False`` where it does. Silence behind the rename is doubt."""
        return self._run(lambda session: session.put_once(name, body))

    def get(self, name: str) -> bytes | None:
        """The content of a file; ``None`` where there is none."""
        return self._run(lambda session: session.get(name))

    def names(self, folder: str) -> Sequence[tuple[str, datetime]]:
        """Names of the files in a folder, each with when its last byte was written, by the server's clock."""
        return self._run(lambda session: session.names(folder))

    def _read(self) -> Mapping[str, Any]:
        try:
            return self._secret()
        except Unavailable as error:
            raise TryAgain("secrets_unavailable", str(error)) from error

    def _run(self, does: Callable[[_Session], Awaitable[T]]) -> T:
        secret = self._read()
        # In a thread of its own, which is waited for: whoever calls may stand in an event loop already.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(lambda: asyncio.run(_session(secret, self._limit, does))).result()


async def _session(secret: Mapping[str, Any], limit: float, does: Callable[[_Session], Awaitable[T]]) -> T:
    session: _Session | None = None
    door = _Door(secret)
    try:
        async with asyncio.timeout(limit):
            connection = await asyncssh.connect(client_factory=lambda: door, **_how(secret, door, limit))
            try:
                session = _Session(await connection.start_sftp_client(), str(secret.get("folder") or ""))
                return await does(session)
            finally:
                connection.abort()
    except asyncssh.PermissionDenied as error:
        raise TryAgain("target_credentials", "the server refuses user and password or key", after=60) from error
    except asyncssh.SFTPPermissionDenied as error:
        raise NeedsHuman("target_forbidden", "the drop folder", said="the drop folder") from error
    except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath) as error:
        raise NeedsHuman("target_no_such_thing", "the drop folder", said="the drop folder") from error
    except (*LOST, asyncssh.Error) as error:
        if door.stranger:
            raise NeedsHuman("target_host_key", "another host key") from error
        if session is not None and session.renaming:
            raise Uncertain("target_lost", type(error).__name__) from error
        raise TryAgain("target_unreachable", type(error).__name__) from error


class _Door(asyncssh.SSHClient):
    """Knows the pinned keys, and whether another one was shown: how that ends differs from server to server.

    Raises ``TryAgain`` where no key can be read.
    """

    def __init__(self, secret: Mapping[str, Any]) -> None:
        self.stranger = False
        try:
            pinned = secret["host_key"]
            self.keys = [asyncssh.import_public_key(one) for one in ([pinned] if isinstance(pinned, str) else pinned)]
        except UNUSABLE as error:
            raise _credentials(error) from error
        mine = {name.decode() for key in self.keys for name in key.sig_algorithms}
        #: Of the kinds that we know, those that are pinned are asked for first.
        self.kinds = sorted(KINDS, key=lambda kind: kind not in mine)

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Whether it is one of the pinned ones."""
        self.stranger = key not in self.keys
        return not self.stranger


def _how(secret: Mapping[str, Any], door: _Door, limit: float) -> dict[str, Any]:
    """What asyncssh is told; raises ``TryAgain`` where the secret lacks a field or our key cannot be read."""
    try:
        own = (
            [asyncssh.import_private_key(secret["private_key"], secret.get("passphrase"))]
            if (secret.get("private_key"))
            else None
        )
        if own is None and not secret.get("password"):
            raise KeyError("password or private_key")
        return {
            "host": str(secret["host"]), "port": int(secret.get("port") or 22), "username": str(secret["user"]),
            "password": None if own else str(secret["password"]), "client_keys": own, "known_hosts": ([], [], []),
            "server_host_key_algs": door.kinds, "config": None, "agent_path": None, "gss_host": None,
            "connect_timeout": limit, "login_timeout": limit,
        }  # fmt: skip
    except UNUSABLE as error:
        raise _credentials(error) from error


def _credentials(error: Exception) -> TryAgain:
    return TryAgain("target_credentials", f"the secret: {type(error).__name__}", after=60)


class _Session:
    """One connection's view of the drop folder. ``renaming`` is true from the moment in which a rename is sent."""

    def __init__(self, sftp: asyncssh.SFTPClient, folder: str) -> None:
        self.renaming = False
        self._sftp, self._folder = sftp, folder

    async def put_once(self, name: str, body: bytes) -> bool:
        path = posixpath.join(self._folder, name)
        if await self._sftp.exists(path):
            return False
        # Another body has another name: what a writer thought dead still writes is not mixed into ours.
        part = f"{path}.{hashlib.sha256(body).hexdigest()[:12]}.part"
        async with self._sftp.open(part, "wb") as file:
            await file.write(body)
        if await self._sftp.getsize(part) != len(body):
            raise TryAgain("target_unreachable", "the file arrived in part")
        self.renaming = True
        try:
            await self._sftp.rename(part, path)
        except (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection):
            raise
        except asyncssh.SFTPError:
            # Refused: either the name is taken, or it never came to be.
            taken = await self._sftp.exists(path)
            self.renaming = False
            with suppress(asyncssh.SFTPError):
                await self._sftp.remove(part)
            if taken:
                return False
            raise
        return True

    async def get(self, name: str) -> bytes | None:
        try:
            async with self._sftp.open(posixpath.join(self._folder, name), "rb", encoding=None) as file:
                content: Any = await file.read(FILE_MOST + 1)
        except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
            return None
        if len(content) > FILE_MOST:
            raise Uncertain("target_unclear", "the file is too long")
        return bytes(content)

    async def names(self, folder: str) -> list[tuple[str, datetime]]:
        found = []
        async for one in self._sftp.scandir(posixpath.join(self._folder, folder)):
            if one.attrs.type == asyncssh.FILEXFER_TYPE_REGULAR and one.attrs.mtime is not None:
                name = one.filename.decode() if isinstance(one.filename, bytes) else one.filename
                found.append((folder + name, datetime.fromtimestamp(one.attrs.mtime, UTC)))
        return found
