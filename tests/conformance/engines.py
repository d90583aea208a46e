"""The engines under comparison: our local world's AWS (moto with its shims), MiniStack, and the simulation's model."""

from __future__ import annotations

import random
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import boto3
from moto import mock_aws

from infra.acceptance import second as ministack
from infra.local.clock import WorldClock
from infra.local.functions import Outcome
from infra.local.machines import Machines
from infra.local.mappings import Mapping, Pollers
from infra.local.queues import Queues
from infra.local.shim import DynamoShim
from infra.local.template import ACCOUNT, REGION
from tests.conformance.handler import handler

ROOT: Final = Path(__file__).resolve().parents[2]
LOCAL, SECOND, MODEL = "local", "ministack", "model"
_ROLE: Final = f"arn:aws:iam::{ACCOUNT}:role/probe"


@dataclass(frozen=True)
class Aws:
    """One engine: its clients, how its seconds pass, and how it comes by functions and machines."""

    name: str
    dynamodb: Any
    sqs: Any
    machines: Any
    wait: Callable[[float], object]
    #: The handler as state machines name it.
    function: str
    #: Has the handler fed from a queue, by its name.
    feed: Callable[[str], None]
    #: Makes a state machine of that name; its ARN.
    define: Callable[[str, str], str]


@contextmanager
def local() -> Iterator[Aws]:
    """moto as `infra/local` runs it: one lock, DynamoDB's request rules, our deliveries, time that only jumps."""
    clock, lock = WorldClock("jump"), threading.RLock()
    with ExitStack() as stack:
        stack.enter_context(mock_aws())
        Queues(clock, lock, random.Random(1), waits=False).install(stack)
        DynamoShim(clock, lock).install(stack)
        machines = Machines(clock, lock, random.Random(1), lambda arn, event: _called(event))
        machines.install(stack)
        sqs = boto3.client("sqs", region_name=REGION)
        pollers = Pollers(_Runtime(), sqs)  # type: ignore[arg-type]

        def wait(seconds: float) -> None:
            clock.advance(seconds)
            while any([pollers.poll(one) for one in pollers.mappings] + [_step(machines)]):
                pass

        def feed(name: str) -> None:
            pollers.mappings.append(Mapping(name, None, 10, reports_failures=True))  # type: ignore[arg-type]

        yield Aws(
            LOCAL, boto3.client("dynamodb", region_name=REGION), sqs, boto3.client("stepfunctions", region_name=REGION),
            wait, "arn:aws:lambda:handler", feed, lambda name, text: machines.define(name, text).arn,
        )  # fmt: skip


class _Runtime:
    """The local world's runtime, with one function."""

    def invoke(self, function: object, event: Any) -> Outcome:
        return _called(event)


def _called(event: Any) -> Outcome:
    try:
        return Outcome(handler(event, None))
    except Exception as error:
        return Outcome(None, type(error).__name__, str(error))


def _step(machines: Machines) -> bool:
    ready = machines.ready()
    for run in ready:
        machines.step(run)
    return bool(ready)


@contextmanager
def second() -> Iterator[Aws]:
    """MiniStack as it is published, on a free port of the loopback interface."""
    with ministack.plain() as address:
        dynamodb, sqs, machines, functions = (
            ministack.client(name, address) for name in ("dynamodb", "sqs", "stepfunctions", "lambda")
        )
        made = functions.create_function(
            FunctionName="probe", Runtime="python3.13", Handler="handler.handler", Role=_ROLE, Timeout=10,
            Code={"ZipFile": _zipped()},
        )["FunctionArn"]  # fmt: skip

        def feed(name: str) -> None:
            url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
            told = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
            functions.create_event_source_mapping(
                EventSourceArn=told["QueueArn"], FunctionName="probe", BatchSize=10,
                FunctionResponseTypes=["ReportBatchItemFailures"],
            )  # fmt: skip

        def define(name: str, text: str) -> str:
            answer = machines.create_state_machine(name=name, definition=text, roleArn=_ROLE)
            return str(answer["stateMachineArn"])

        yield Aws(SECOND, dynamodb, sqs, machines, time.sleep, made, feed, define)


def _zipped() -> bytes:
    """The handler as a deployment package."""
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("handler.py", (Path(__file__).parent / "handler.py").read_text())
    return packed.getvalue()
