"""What holds for every test: no network beyond this machine, no real AWS account, the same examples each time."""

from __future__ import annotations

import ipaddress
import os
import socket
from typing import Any

import hypothesis
import pytest

#: Credentials that belong to nobody, so that a forgotten emulator can never reach somebody's account.
_NOBODY = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_SESSION_TOKEN": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}
os.environ.update(_NOBODY)
for name in ("AWS_PROFILE", "AWS_REGION", "AWS_ENDPOINT_URL"):
    os.environ.pop(name, None)

hypothesis.settings.register_profile("house", derandomize=True, deadline=None, print_blob=True)
hypothesis.settings.load_profile("house")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest test first: it takes minutes, and at the end every other worker would wait for it."""
    items.sort(key=lambda item: item.path.name != "test_soak.py")


class NoNetwork(RuntimeError):
    """A test tried to leave this machine."""


def _stays_here(address: object) -> bool:
    """Whether ``address`` is a local socket or the loopback interface."""
    if not isinstance(address, tuple):
        return True
    host = str(address[0])
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@pytest.fixture(autouse=True, scope="session")
def _no_network() -> Any:
    """Refuse every connection that leaves this machine."""
    with pytest.MonkeyPatch.context() as patch:
        for method in ("connect", "connect_ex"):
            real = getattr(socket.socket, method)

            def guarded(self: socket.socket, address: object, real: Any = real) -> Any:
                if not _stays_here(address):
                    raise NoNetwork(f"a test tried to reach {address}")
                return real(self, address)

            patch.setattr(socket.socket, method, guarded)
        yield
