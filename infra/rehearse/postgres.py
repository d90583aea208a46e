"""A PostgreSQL cluster of the rehearsal's own: in a temporary folder, on a socket and a loopback port, gone at the end.

Debian's package ``postgresql`` brings the binaries; the cluster that it may start by itself is left alone. The server
refuses to run as root, so that root runs it as the user ``postgres`` that the package made.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.rehearse.server import free_port

HOW = "install Debian's package `postgresql` (apt-get install postgresql), or put its initdb and pg_ctl on PATH"
USER = "postgres"


class NotInstalled(RuntimeError):
    """There is no PostgreSQL on this machine; the text says how to get one."""


def binaries() -> Path:
    """The folder of the newest PostgreSQL's commands. Raises `NotInstalled`."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    homes = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda one: int(one.parts[-3]))
    if not homes:
        raise NotInstalled(f"no PostgreSQL is installed: {HOW}")
    return homes[-1].parent


@contextmanager
def cluster(folder: Path) -> Iterator[str]:
    """A running cluster with an empty database ``erp``; yields its address without the database."""
    commands, port = binaries(), free_port()
    home = folder / "cluster"
    home.mkdir(mode=0o700)
    user = _owner(folder, home)
    run = _Runner(commands, home, user)
    run("initdb", "-D", str(home / "data"), "-U", USER, "-A", "trust", "--no-sync", "-E", "UTF8", "--locale", "C.UTF-8")
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={home} -c fsync=off"
    run("pg_ctl", "-D", str(home / "data"), "-w", "-l", str(home / "log"), "-o", options, "start")
    try:
        run("createdb", "-h", "127.0.0.1", "-p", str(port), "-U", USER, "erp")
        yield f"postgresql://{USER}@127.0.0.1:{port}"
    finally:
        run("pg_ctl", "-D", str(home / "data"), "-m", "immediate", "stop")


def _owner(folder: Path, home: Path) -> int | None:
    """The user that runs the server, where we are root; it owns the cluster's folder and may pass through ours."""
    if os.getuid() != 0:
        return None
    try:
        user = pwd.getpwnam(USER)
    except KeyError:
        raise NotInstalled(f"PostgreSQL refuses to run as root, and there is no user {USER}: {HOW}") from None
    folder.chmod(0o711)
    os.chown(home, user.pw_uid, user.pw_gid)
    return user.pw_uid


class _Runner:
    def __init__(self, commands: Path, home: Path, user: int | None) -> None:
        self._commands, self._home, self._user = commands, home, user

    def __call__(self, command: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._commands / command, *arguments], user=self._user, cwd=self._home, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}"[-2000:])
