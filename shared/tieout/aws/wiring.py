"""Wiring: the only place where ports meet adapters. Built once per environment, at the first invocation.

Clients are made lazily, so that a function makes only those it uses, and with the knobs that knowledge of botocore's
cost suggests: no parameter validation (mypy and the contract tests check shapes), a fixed user agent, bounded retries.
"""

from __future__ import annotations

import base64
import json
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from tieout import systems
from tieout.aws import clock, settings
from tieout.aws.ledger import DynamoLedger
from tieout.aws.services import EventBus, S3Drop, S3Vault, SecretsManager, SqsQueues, StepFunctions
from tieout.contract import Called, Delivery, Response, Wire
from tieout.core.credentials import SCHEMES
from tieout.core.verdicts import NeedsHuman, TryAgain
from tieout.work.ports import Message, Ports, Unavailable

if TYPE_CHECKING:  # receive is wired too, and loads neither table nor transport
    from tieout.aws.auth import TokenStore
    from tieout.tables import Tables

_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 4},
    connect_timeout=3,
    read_timeout=10,
    parameter_validation=False,
    user_agent="tieout",
)


class QuietTooShort(RuntimeError):
    """A target's quiet period is shorter than what a write may still take to land; nothing starts with it."""


@lru_cache(maxsize=64)
def _client(service: str, environment: int) -> Any:
    return boto3.client(service, config=_CONFIG)  # type: ignore[call-overload]


def client(service: str) -> Any:
    """The boto3 client of a service, one per environment."""
    return _client(service, id(settings.environ.get(None)))


class _Lazy:
    """Makes a client when it is first used."""

    def __init__(self, service: str) -> None:
        self._service = service

    def __getattr__(self, name: str) -> Any:
        return getattr(client(self._service), name)


class Environment:
    """Everything one function environment keeps between invocations: settings, adapters, secrets, transports."""

    def __init__(self) -> None:
        self.settings = settings.load()
        self.id = uuid.uuid4().hex[:12]
        self.secrets = SecretsManager(_Lazy("secretsmanager"), self.settings.secrets_prefix, clock.now)
        self.ledger = DynamoLedger(_Lazy("dynamodb"), self.settings.ledger_table)
        self.queues = SqsQueues(_Lazy("sqs"), self.settings.inbox_queue_url, self.settings.lane_queues)
        self.vault = S3Vault(_Lazy("s3"), self.settings.vault_bucket)
        self.machines = StepFunctions(_Lazy("stepfunctions"), self.settings.machines)
        self.bus = EventBus(_Lazy("events"), self.settings.bus_name, log)
        self.wires: dict[tuple[int, str], Wire] = {}
        self._quiet = False
        self._tables: Callable[[], Tables] | None = None

    def tables(self) -> Tables:
        """The governed tables with approved changes, read at the first use and once a minute."""
        if self._tables is None:
            from tieout.work.change import Served

            self._tables = Served(self.ledger, clock.now)
        return self._tables()

    def wire(self, system: Called, account: str) -> Wire:
        """The authenticated transport of one account; ``NeedsHuman`` where it has no credentials."""
        key = (id(system), account)  # a system that reads and writes may have an authentication for each
        if key not in self.wires:
            from tieout.aws.http import http_wire

            scheme = SCHEMES[system.auth["scheme"]]
            if scheme.name == "drop":
                self.wires[key] = self._drop(system, account)
            else:
                tokens = self._tokens_of(system.name, account) if scheme.rotates else None
                secret = partial(self._secret, system.name, account)
                self.wires[key] = http_wire(system, account, secret, clock.now, tokens)
        return self.wires[key]

    def _tokens_of(self, system: str, account: str) -> TokenStore:
        from tieout.aws.tokens import SecretTokens

        name = f"{self.settings.secrets_prefix}/{system}/{account}"
        target = f"{system}:{account}"
        return SecretTokens(_Lazy("secretsmanager"), name, target, self.ledger, self.id, clock.now)

    def _drop(self, system: Called, account: str) -> Wire:
        """A file target's account: the SFTP host that its secret names, else the drop bucket's prefix."""
        from tieout.aws.http import drop_wire

        try:
            secret = self.secrets.get(system.name, account) or {}
        except Unavailable as error:
            raise TryAgain("secrets_unavailable", str(error)) from error
        if secret.get("host"):
            from tieout.aws.sftp import SftpWire

            return SftpWire(account, partial(self._secret, system.name, account), float(system.quiet.client_timeout))
        told = {str(name): str(value) for name, value in (secret.get("settings") or {}).items()}
        return drop_wire(account, S3Drop(_Lazy("s3"), self.settings.drop_bucket, f"{system.name}/{account}/"), told)

    def _secret(self, system: str, account: str) -> Mapping[str, Any]:
        secret = self.secrets.get(system, account)
        if secret is None:
            raise NeedsHuman("target_credentials", f"no secret for {system}/{account}", target=f"{system}:{account}")
        return secret

    def ports(self, context: Any = None) -> Ports:
        """Ports for one invocation: its owner name and its remaining time."""
        if not self._quiet:
            assert_quiet(self.settings.function_timeout)
            self._quiet = True
        left = getattr(context, "get_remaining_time_in_millis", lambda: 900_000)
        return Ports(
            ledger=self.ledger,
            queues=self.queues,
            vault=self.vault,
            secrets=self.secrets,
            machines=self.machines,
            bus=self.bus,
            wire=self.wire,
            now=clock.now,
            token=lambda: uuid.uuid4().hex,
            log=log,
            owner=f"{self.id}.{uuid.uuid4().hex[:8]}",
            region=self.settings.region_tag,
            function_timeout=self.settings.function_timeout,
            remaining=lambda: left() / 1000,
            pause=clock.pause,
            tables=self.tables,
        )


def assert_quiet(function_timeout: int) -> None:
    """The quiet inequality of every target, on load. Raises ``QuietTooShort``: better no function than a duplicate."""
    for name in systems.TARGETS:
        quiet = systems.target(name).quiet
        if quiet.period < quiet.least(function_timeout):
            raise QuietTooShort(
                f"{name}: the quiet period is {quiet.period} s, but a write of a function with a time-out of "
                f"{function_timeout} s may land up to {quiet.least(function_timeout)} s later"
            )


_environments: dict[int, Environment] = {}


def environment() -> Environment:
    """This environment's wiring; one for each overlay where a process hosts several functions."""
    key = id(settings.environ.get(None))
    if key not in _environments:
        _environments[key] = Environment()
    return _environments[key]


def reset() -> None:
    """Forget everything kept between invocations, as a new environment would."""
    _environments.clear()
    _client.cache_clear()
    transport = sys.modules.get("tieout.aws.http")
    if transport is not None:
        transport.forget()


# --- logs and metrics --------------------------------------------------------------------------------------------
def log(what: str, /, **facts: object) -> None:
    """One JSON line: codes, ids and counts, never a payload. Control characters are escaped by JSON itself."""
    values = {"log": what, "service": settings.read().get("POWERTOOLS_SERVICE_NAME", "tieout"), **facts}
    if settings.read().get("LOG_LEVEL") != "ERROR":
        sys.stdout.write(json.dumps(values, default=str, separators=(",", ":")) + "\n")


def count(verb: str, counts: Mapping[str, int]) -> None:
    """One EMF line a batch: CloudWatch makes metrics of it, no PutMetricData is ever called."""
    if not counts or settings.read().get("LOG_LEVEL") == "ERROR":
        return
    from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

    metrics = EphemeralMetrics(namespace="Tieout", service=verb)
    metrics.add_dimension(name="verb", value=verb)
    for name, value in counts.items():
        metrics.add_metric(name=name.replace(" ", "_"), unit=MetricUnit.Count, value=value)
    metrics.flush_metrics()


# --- the shapes of Lambda's events -------------------------------------------------------------------------------
def delivery(event: Mapping[str, Any]) -> Delivery:
    """One webhook out of an HTTP API event (payload format 2.0); the body as the untouched bytes."""
    raw = event.get("body") or ""
    body = base64.b64decode(raw) if event.get("isBase64Encoded") else raw.encode("utf-8", "surrogateescape")
    http = event["requestContext"]["http"]
    path = event.get("pathParameters") or {}
    return Delivery(
        source=path.get("source", ""),
        account=path.get("account", ""),
        method=http["method"],
        path=http["path"],
        headers={name.lower(): value for name, value in (event.get("headers") or {}).items()},
        body=body,
        received=datetime.fromtimestamp(event["requestContext"]["timeEpoch"] / 1000, UTC),
        query=event.get("rawQueryString") or "",
    )


def http_answer(response: Response) -> dict[str, Any]:
    """A response in the shape of an HTTP API."""
    headers = {"content-type": "application/json", "cache-control": "no-store", **response.headers}
    return {"statusCode": response.status, "headers": headers, "body": response.body, "isBase64Encoded": False}


def messages(event: Mapping[str, Any]) -> list[Message]:
    """The messages of an SQS event; a body that is not a JSON object is an empty one, refused by its reader."""
    return [
        Message(
            id=record["messageId"],
            body=_object(record["body"]),
            receives=int(record.get("attributes", {}).get("ApproximateReceiveCount", 1)),
            source=record.get("eventSourceARN", "").rpartition(":")[2],
        )
        for record in event.get("Records", [])
    ]


def _object(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text, parse_float=Decimal)  # an event from a partner bus lies open in its message
    except (ValueError, ArithmeticError):
        value = None
    return value if isinstance(value, dict) else {"unreadable": text[:1000]}


def failures(ids: Sequence[str]) -> dict[str, Any]:
    """The partial-failure answer of an SQS batch."""
    return {"batchItemFailures": [{"itemIdentifier": one} for one in ids]}


class DoorsOfReceive:
    """What receive needs, and nothing else: secrets, inbox, and the vault for large bodies."""

    def __init__(self, here: Environment) -> None:
        self._here = here

    def secret(self, system: str, account: str) -> Mapping[str, Any] | None:
        """The account's secret."""
        return self._here.secrets.get(system, account)

    def keep(self, name: str, body: bytes) -> str:
        """Keep a large body."""
        return self._here.vault.put(name, body)

    def enqueue(self, body: Mapping[str, Any]) -> None:
        """Put the event on the inbox."""
        self._here.queues.receive_into_inbox(body)
