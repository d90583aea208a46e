"""The engines under comparison: our local world's AWS (moto with its shims), MiniStack, and the simulation's model."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from moto import mock_aws

from infra.local.clock import WorldClock
from infra.local.queues import Queues
from infra.local.shim import DynamoShim

ROOT: Final = Path(__file__).resolve().parents[2]
MINISTACK: Final = ROOT / ".venv-acceptance/bin/ministack"
LOCAL, SECOND, MODEL = "local", "ministack", "model"
_STARTS_WITHIN: Final = 60  # seconds


@dataclass(frozen=True)
class Aws:
    """One engine: its clients, and how its seconds pass."""

    name: str
    dynamodb: Any
    sqs: Any
    wait: Callable[[float], object]


@contextmanager
def local() -> Iterator[Aws]:
    """moto as `infra/local` runs it: one lock, DynamoDB's request rules, our deliveries, time that only jumps."""
    clock, lock = WorldClock("jump"), threading.RLock()
    with ExitStack() as stack:
        stack.enter_context(mock_aws())
        Queues(clock, lock, random.Random(1), waits=False).install(stack)
        DynamoShim(clock, lock).install(stack)
        dynamodb = boto3.client("dynamodb", region_name="us-east-1")
        yield Aws(LOCAL, dynamodb, boto3.client("sqs", region_name="us-east-1"), clock.advance)


@contextmanager
def second() -> Iterator[Aws]:
    """MiniStack on a free port of the loopback interface; its own default is every interface of the machine.

    Raises ``RuntimeError`` where it does not come up within a minute.
    """
    port = _free_port()
    settings = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "IOT_MTLS_ENABLED": "0", "SFTP_ENABLED": "0"}
    process = subprocess.Popen(
        [str(MINISTACK)],
        env={"PATH": os.environ.get("PATH", ""), "HOME": os.environ.get("HOME", "/"), **settings},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        dynamodb, sqs = (_client(name, port) for name in ("dynamodb", "sqs"))
        _until_ready(process, dynamodb)
        yield Aws(SECOND, dynamodb, sqs, time.sleep)
    finally:
        process.terminate()
        process.wait(timeout=20)


def _client(name: str, port: int) -> Any:
    return boto3.client(
        name,  # type: ignore[call-overload]
        region_name="us-east-1",
        endpoint_url=f"http://127.0.0.1:{port}",
        config=Config(retries={"total_max_attempts": 1}, max_pool_connections=20, read_timeout=30),
    )


def _until_ready(process: subprocess.Popen[bytes], dynamodb: Any) -> None:
    until = time.monotonic() + _STARTS_WITHIN
    while time.monotonic() < until and process.poll() is None:
        with suppress(BotoCoreError, ClientError):
            dynamodb.list_tables()
            return
        time.sleep(0.2)
    raise RuntimeError(f"MiniStack did not come up (exit status {process.poll()})")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
