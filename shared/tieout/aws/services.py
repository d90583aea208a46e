"""Queues, vault, secrets, machines and bus on AWS, behind the ports of ``work``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from tieout.core import keys
from tieout.work.ports import Send, Unavailable

_GROUP_MOST: Final = 128
#: How long a secret is used before it is fetched again; a rotated secret is accepted at most this much later.
SECRET_AGE: Final = timedelta(minutes=5)


class SqsQueues:
    """The inbox and the lane queues."""

    def __init__(self, client: Any, inbox: str, lanes: Mapping[str, str]) -> None:
        self._client = client
        self._inbox = inbox
        self._lanes = lanes

    def receive_into_inbox(self, body: Mapping[str, Any]) -> None:
        """One message on the inbox; see the port."""
        try:
            self._client.send_message(QueueUrl=self._inbox, MessageBody=json.dumps(body, separators=(",", ":")))
        except (ClientError, BotoCoreError) as error:
            raise Unavailable("inbox_unavailable") from error

    def send(self, sends: Sequence[Send]) -> None:
        """Messages to the lane queues, ten a call; see the port."""
        by_system: dict[str, list[Send]] = {}
        for send in sends:
            by_system.setdefault(send.system, []).append(send)
        for system, many in by_system.items():
            for start in range(0, len(many), 10):
                entries = [_entry(number, send) for number, send in enumerate(many[start : start + 10])]
                self._client.send_message_batch(QueueUrl=self._lanes[system], Entries=entries)


def _entry(number: int, send: Send) -> dict[str, str]:
    lane = send.lane or send.posting
    return {
        "Id": str(number),
        "MessageBody": json.dumps(send.body(), separators=(",", ":")),
        "MessageGroupId": keys.deduplication_id(lane, 0)[:_GROUP_MOST],
        "MessageDeduplicationId": keys.deduplication_id(send.posting, send.sends),
    }


class S3Vault:
    """Raw bytes in the vault bucket; a pointer is the object's key."""

    def __init__(self, client: Any, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def put(self, name: str, body: bytes) -> str:
        """Store; see the port."""
        try:
            self._client.put_object(Bucket=self._bucket, Key=name, Body=body)
        except (ClientError, BotoCoreError) as error:
            raise Unavailable("inbox_unavailable") from error
        return name

    def get(self, pointer: str) -> bytes:
        """Fetch; see the port."""
        try:
            answer: bytes = self._client.get_object(Bucket=self._bucket, Key=pointer)["Body"].read()
        except (ClientError, BotoCoreError) as error:
            raise Unavailable("inbox_unavailable") from error
        return answer


class S3Drop:
    """The file drop of a file target: one prefix of the drop bucket."""

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix

    def put_once(self, name: str, body: bytes) -> bool:
        """Write a file that does not exist yet; ``False`` where it does."""
        try:
            self._client.put_object(Bucket=self._bucket, Key=self._prefix + name, Body=body, IfNoneMatch="*")
        except ClientError as error:
            if error.response["Error"]["Code"] in ("PreconditionFailed", "ConditionalRequestConflict"):
                return False
            raise
        return True

    def get(self, name: str) -> bytes | None:
        """The content of a file; ``None`` where there is none."""
        try:
            content: bytes = self._client.get_object(Bucket=self._bucket, Key=self._prefix + name)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
                return None
            raise
        return content

    def names(self, folder: str) -> Sequence[tuple[str, datetime]]:
        """Names below the prefix, each with when it was written."""
        found: list[tuple[str, datetime]] = []
        asked = {"Bucket": self._bucket, "Prefix": self._prefix + folder}
        while True:
            page = self._client.list_objects_v2(**asked)
            rows = page.get("Contents", ())
            found += [(row["Key"].removeprefix(self._prefix), row["LastModified"]) for row in rows]
            if not page.get("IsTruncated"):
                return found
            asked["ContinuationToken"] = page["NextContinuationToken"]


class SecretsManager:
    """Credentials by their conventional path, kept for five minutes; what is not there is remembered as shortly."""

    def __init__(self, client: Any, prefix: str, now: Callable[[], datetime]) -> None:
        self._client = client
        self._prefix = prefix
        self._now = now
        self._kept: dict[tuple[str, str], tuple[datetime, Mapping[str, Any] | None]] = {}

    def get(self, system: str, account: str) -> Mapping[str, Any] | None:
        """One account's secret; see the port."""
        kept = self._kept.get((system, account))
        if kept and self._now() - kept[0] < SECRET_AGE:
            return kept[1]
        value = self._fetch(f"{self._prefix}/{system}/{account}")
        self._kept[system, account] = (self._now(), value)
        return value

    def _fetch(self, name: str) -> Mapping[str, Any] | None:
        try:
            # The stage is named because an emulator answers without it from the wrong version.
            answer = self._client.get_secret_value(SecretId=name, VersionStage="AWSCURRENT")
        except ClientError as error:
            if error.response["Error"]["Code"] in ("ResourceNotFoundException", "ValidationException"):
                return None
            raise Unavailable("secrets_unavailable") from error
        except BotoCoreError as error:
            raise Unavailable("secrets_unavailable") from error
        value: Mapping[str, Any] = json.loads(answer["SecretString"])
        return value


class StepFunctions:
    """State machines of the multi-step flows."""

    def __init__(self, client: Any, machines: Mapping[str, str]) -> None:
        self._client = client
        self._machines = machines

    def start(self, flow: str, name: str, facts: Mapping[str, Any]) -> None:
        """Start or join; see the port."""
        try:
            self._client.start_execution(stateMachineArn=self._machines[flow], name=name, input=json.dumps(facts))
        except ClientError as error:
            if error.response["Error"]["Code"] != "ExecutionAlreadyExists":
                raise

    def answer(self, token: str, result: Mapping[str, Any]) -> None:
        """Success of a waiting step; see the port."""
        self._tell(self._client.send_task_success, taskToken=token, output=json.dumps(result))

    def refuse(self, token: str, error: str, cause: str) -> None:
        """Failure of a waiting step; see the port."""
        self._tell(self._client.send_task_failure, taskToken=token, error=error, cause=cause[:32_000])

    def _tell(self, call: Callable[..., Any], **request: str) -> None:
        try:
            call(**request)
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("TaskTimedOut", "InvalidToken", "TaskDoesNotExist"):
                raise

    def status(self, flow: str, name: str) -> str:
        """How an execution stands; see the port."""
        arn = self._machines[flow].replace(":stateMachine:", ":execution:") + f":{name}"
        try:
            return str(self._client.describe_execution(executionArn=arn)["status"])
        except ClientError as error:
            if error.response["Error"]["Code"] == "ExecutionDoesNotExist":
                return "MISSING"
            raise


class EventBus:
    """EventBridge: desk, metrics and alarms. Losing it loses no truth, so its failures are only logged."""

    def __init__(self, client: Any, name: str, log: Callable[..., None]) -> None:
        self._client = client
        self._name = name
        self._log = log

    def tell(self, kind: str, facts: Mapping[str, Any]) -> None:
        """Publish one fact; see the port."""
        if not self._name:
            return
        entry = {"EventBusName": self._name, "Source": "tieout", "DetailType": kind, "Detail": json.dumps(facts)}
        try:
            self._client.put_events(Entries=[entry])
        except (ClientError, BotoCoreError) as error:
            self._log("bus_unavailable", kind=kind, error=type(error).__name__)
