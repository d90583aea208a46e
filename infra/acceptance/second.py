"""MiniStack as a process of its own on the loopback interface, plain or with its gaps closed.

Its own defaults bind every interface of the machine; here it is told otherwise.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

ROOT: Final = Path(__file__).resolve().parents[2]
_ENVIRONMENT: Final = ROOT / ".venv-acceptance/bin"
_LAUNCHER: Final = ROOT / "infra/acceptance/engine/launch.py"
_STARTS_WITHIN: Final = 60  # seconds
_SETTINGS: Final = {"BIND_HOST": "127.0.0.1", "IOT_MTLS_ENABLED": "0", "SFTP_ENABLED": "0"}
#: The account's own credentials inside the emulator; nobody else's.
ROOT_KEY: Final = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}


class NotStarted(RuntimeError):
    """The emulator did not come up; the text says what is missing."""


@contextmanager
def plain() -> Iterator[str]:
    """MiniStack as it is published, over HTTP and without IAM; yields its address."""
    with _running([str(_ENVIRONMENT / "ministack")], {}, None) as port:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def whole(work: Path, runtime: str) -> Iterator[str]:
    """MiniStack with its gaps closed, IAM on and over TLS; yields its address.

    ``work`` is an empty folder for its certificate (`certificate`), its log and its functions. ``runtime`` is the
    Python of the template's functions.
    """
    _certify(work)
    settings = {
        "AUTH": "true",
        "USE_SSL": "1",
        "MINISTACK_SSL_CERT": str(certificate(work)),
        "MINISTACK_SSL_KEY": str(private_key(work)),
        "SFN_WAIT_SCALE": "0",
        "TMPDIR": str(work),
        "SSL_CERT_FILE": str(certificate(work)),
        "ACCEPTANCE_CLOCK": str(clock_file(work)),
        "ACCEPTANCE_RUNTIME_PYTHON": runtime,
    }
    clock_file(work).write_text("0")
    launch = [str(_ENVIRONMENT / "python"), str(_LAUNCHER)]
    with (work / "ministack.log").open("w") as log, _running(launch, settings, log) as port:
        yield f"https://127.0.0.1:{port}"


def certificate(work: Path) -> Path:
    """What a client of `whole` must trust."""
    return work / "certificate.pem"


def private_key(work: Path) -> Path:
    """The certificate's key."""
    return work / "key.pem"


def clock_file(work: Path) -> Path:
    """The file that says how many seconds the story's clock is ahead of the machine's."""
    return work / "ahead"


def client(service: str, address: str, verify: Path | None = None) -> Any:
    """A client of the account itself, which may do everything."""
    return boto3.client(
        service,  # type: ignore[call-overload]
        region_name="us-east-1",
        endpoint_url=address,
        verify=str(verify) if verify else None,
        config=Config(retries={"total_max_attempts": 1}, max_pool_connections=20, read_timeout=30),
        **ROOT_KEY,
    )


def python(runtime: str) -> str | None:
    """An interpreter for a Lambda runtime such as ``python3.13``, or None where this machine has none."""
    shims = Path.home().glob(f".pyenv/versions/{runtime.removeprefix('python')}*/bin/python")
    places = [shutil.which(runtime), sys.executable, *map(str, shims)]
    wanted = f"import sys; sys.exit('python%d.%d' % sys.version_info[:2] != {runtime!r})"
    for place in filter(None, places):
        if subprocess.run([place, "-c", wanted], capture_output=True, check=False).returncode == 0:
            return place
    return None


@contextmanager
def _running(command: Sequence[str], settings: Mapping[str, str], log: Any) -> Iterator[int]:
    if not Path(command[0]).exists():
        raise NotStarted(f"{command[0]} is not there; make .venv-acceptance/.ready sets it up")
    port = _free_port()
    process = subprocess.Popen(
        command,
        env={"PATH": os.environ.get("PATH", ""), "HOME": os.environ.get("HOME", "/"), **_SETTINGS, **settings,
             "GATEWAY_PORT": str(port)},
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=log or subprocess.DEVNULL,
        stderr=log or subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _until_ready(process, port, settings)
        yield port
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _until_ready(process: subprocess.Popen[bytes], port: int, settings: Mapping[str, str]) -> None:
    tls = settings.get("MINISTACK_SSL_CERT")
    asked = client("dynamodb", f"http{'s' if tls else ''}://127.0.0.1:{port}", Path(tls) if tls else None)
    until = time.monotonic() + _STARTS_WITHIN
    while time.monotonic() < until and process.poll() is None:
        with suppress(BotoCoreError, ClientError):
            asked.list_tables()
            return
        time.sleep(0.2)
    raise NotStarted(f"MiniStack did not come up (exit status {process.poll()})")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _certify(work: Path) -> None:
    """A key and a certificate for 127.0.0.1 that live as long as the folder."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Tieout acceptance, this machine only")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate(work).write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret = private_key(work)
    secret.touch(mode=0o600)
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
