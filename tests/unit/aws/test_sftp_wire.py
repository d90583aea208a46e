"""The file drop over SFTP, against a real server on loopback: written once, never over another; doubt."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from infra.local.sftp import SftpServer, public
from tests.fakes import World
from tieout.aws.sftp import SftpWire
from tieout.core.verdicts import NeedsHuman, TryAgain, Uncertain
from tieout.work import checkup
from tieout.work.ports import Unavailable

NAME = "out/b1-DE01.csv"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SftpServer]:
    for folder in ("out", "in"):
        (tmp_path / folder).mkdir()
    with SftpServer(tmp_path) as started:
        yield started


def wire(secret: Mapping[str, Any], limit: float = 10) -> SftpWire:
    return SftpWire("acme", lambda: secret, limit)


def files(server: SftpServer) -> list[str]:
    return sorted(str(one.relative_to(server.root)) for one in server.root.rglob("*") if one.is_file())


@pytest.mark.parametrize("by_key", [False, True])
def test_a_file_is_written_whole_under_its_name_and_read_back(server: SftpServer, *, by_key: bool) -> None:
    there = wire(server.secret(by_key=by_key))
    assert there.get(NAME) is None
    assert there.put_once(NAME, b"H,1\n" * 50_000) is True
    assert there.get(NAME) == b"H,1\n" * 50_000
    assert files(server) == [NAME]


def test_a_caller_that_stands_in_an_event_loop_already_is_served(server: SftpServer) -> None:
    async def caller() -> None:
        wire(server.secret()).put_once(NAME, b"a")

    asyncio.run(caller())
    assert files(server) == [NAME]


def test_a_name_that_is_taken_is_never_written_over(server: SftpServer) -> None:
    there = wire(server.secret())
    there.put_once(NAME, b"first")
    assert there.put_once(NAME, b"second") is False
    assert (server.root / NAME).read_bytes() == b"first"


def test_a_name_taken_between_the_look_and_the_rename_is_not_written_over_either(
    server: SftpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(self: object, path: object) -> bool:
        monkeypatch.undo()
        (server.root / NAME).write_bytes(b"first")
        return False

    monkeypatch.setattr(asyncssh.SFTPClient, "exists", nothing)
    assert wire(server.secret()).put_once(NAME, b"second") is False
    assert (server.root / NAME).read_bytes() == b"first"
    assert files(server) == [NAME], "what was not renamed is taken away"


def test_a_line_lost_before_the_rename_was_sent_has_done_nothing(server: SftpServer) -> None:
    server.cut = True
    there = wire(server.secret())
    with pytest.raises(TryAgain, match="target_unreachable"):
        there.put_once(NAME, b"body")
    assert there.get(NAME) is None
    assert there.put_once(NAME, b"body") is True


@pytest.mark.parametrize(("trouble", "landed"), [("drop_before", False), ("commit_then_drop", True)])
def test_a_line_lost_at_the_rename_is_in_doubt_and_a_look_ends_it(
    server: SftpServer, trouble: str, *, landed: bool
) -> None:
    server.trouble = [trouble]
    there = wire(server.secret())
    with pytest.raises(Uncertain, match="target_lost"):
        there.put_once(NAME, b"body")
    assert (there.get(NAME) is not None) is landed
    assert there.put_once(NAME, b"body") is not landed
    assert there.get(NAME) == b"body"
    assert files(server) == [NAME]


def test_a_rename_that_is_refused_while_the_name_is_free_has_done_nothing(server: SftpServer) -> None:
    server.trouble = ["refuse"]
    with pytest.raises(TryAgain, match="target_unreachable"):
        wire(server.secret()).put_once(NAME, b"body")
    assert files(server) == []


def test_another_host_key_than_the_pinned_one_stops_before_anything_is_said(server: SftpServer) -> None:
    for kind in ("ssh-ed25519", "ecdsa-sha2-nistp256"):
        secret = server.secret() | {"host_key": public(asyncssh.generate_private_key(kind))}
        with pytest.raises(NeedsHuman, match="target_host_key"):
            wire(secret).put_once(NAME, b"body")
    assert server.logins == 0


def test_one_of_several_pinned_keys_is_enough_while_a_server_changes_its_own(server: SftpServer) -> None:
    pinned = [public(asyncssh.generate_private_key("ssh-ed25519")), public(server.host_keys[0])]
    assert wire(server.secret() | {"host_key": pinned}).put_once(NAME, b"body") is True


def test_a_wrong_password_or_key_is_tried_again_later(server: SftpServer) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
    for secret in (server.secret() | {"password": "no"}, server.secret(by_key=True) | {"private_key": other}):
        with pytest.raises(TryAgain, match="target_credentials"):
            wire(secret).put_once(NAME, b"body")
    assert files(server) == []


@pytest.mark.parametrize("kind", ["ssh-rsa", "ecdsa-sha2-nistp256", "ssh-ed25519"])
def test_a_server_with_several_keys_is_known_by_the_pinned_one(tmp_path: Path, kind: str) -> None:
    (tmp_path / "out").mkdir()
    keys = [asyncssh.generate_private_key(one) for one in ("ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa")]
    with SftpServer(tmp_path, keys) as server:
        pinned = next(public(key) for key in keys if key.get_algorithm() == kind)
        assert wire(server.secret() | {"host_key": pinned}).put_once(NAME, b"body") is True


@pytest.mark.parametrize("gone", ["user", "host_key", "password", "port"])
def test_a_secret_that_lacks_a_field_is_waited_for(server: SftpServer, gone: str) -> None:
    secret = {**server.secret(), gone: "" if gone != "port" else "twenty-two"}
    if gone == "user":
        secret.pop("user")
    with pytest.raises(TryAgain, match="target_credentials"):
        wire(secret).put_once(NAME, b"body")


def test_no_server_there_has_done_nothing(server: SftpServer) -> None:
    with pytest.raises(TryAgain, match="target_unreachable"):
        wire(server.secret() | {"port": 1}).put_once(NAME, b"body")


def test_a_server_that_says_nothing_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        secret = {"host": "127.0.0.1", "port": silent.getsockname()[1], "user": "x", "password": "x",
                  "host_key": public(asyncssh.generate_private_key("ssh-ed25519"))}  # fmt: skip
        began = time.monotonic()
        with pytest.raises(TryAgain, match="target_unreachable"):
            wire(secret, limit=0.3).put_once(NAME, b"body")
        assert time.monotonic() - began < 5


def test_a_folder_that_is_not_there_is_for_a_person(server: SftpServer) -> None:
    with pytest.raises(NeedsHuman, match="target_no_such_thing"):
        wire(server.secret() | {"folder": "elsewhere"}).put_once(NAME, b"body")


def test_a_secret_that_cannot_be_read_is_tried_again() -> None:
    def unavailable() -> Mapping[str, Any]:
        raise Unavailable("secrets_unavailable")

    for ask in (lambda there: there.get(NAME), lambda there: there.put_once(NAME, b"")):
        does: Callable[[SftpWire], object] = ask
        with pytest.raises(TryAgain, match="secrets_unavailable"):
            does(SftpWire("acme", unavailable, 1))


def test_no_other_room_loads_the_library() -> None:
    code = (
        "import sys, tieout.aws.wiring, tieout.aws.http, tieout.work.post, tieout.systems.legacy.target; "
        "sys.exit('asyncssh' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_check_of_a_drop_connects_and_sees_a_folder_that_is_missing_and_a_stranger_s_key(server: SftpServer) -> None:
    secret = dict(server.secret())
    world = World(lambda system, account: SftpWire(account, lambda: secret, 10))
    world.secrets.values["legacy", "acme"] = secret

    def look() -> dict[str, tuple[str, str]]:
        return {one.what: (one.state, one.said) for one in checkup.check(world.ports(), "legacy:acme")}

    assert look() == {
        "credentials": ("good", "no end known"),
        "may list in/": ("good", "0 files"),
        "may list out/": ("good", "0 files"),
    }  # fmt: skip
    (server.root / "out").rmdir()
    assert look()["may list out/"] == ("bad", "target_no_such_thing: the drop folder")
    secret["host_key"] = public(asyncssh.generate_private_key("ssh-ed25519"))
    assert look()["may list in/"][0] == "bad"
