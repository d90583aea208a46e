"""Probes of Step Functions: small machines whose tasks run `handler`, and answers to those that wait for one."""

from __future__ import annotations

import json
import tempfile
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol
from unittest.mock import patch

from infra.local.asl import StateError
from tests.conformance.dynamo import outcome
from tests.conformance.engines import Aws
from tests.conformance.handler import handler
from tests.conformance.letters import Calm
from tests.simulation import machines
from tests.simulation.hub import Hub

_LOOKS: Final = 60
_APART: Final = 0.25
_CAUGHT: Final = {"Type": "Succeed"}
Machine = Mapping[str, Any]


class Flow(Protocol):
    """One engine's machines."""

    def start(self, machine: Machine) -> str:
        """Starts one execution of a machine of its own."""

    def wait(self, seconds: float) -> object:
        """Lets the engine's time pass."""

    def end(self) -> tuple[str, Any]:
        """Status and data (or the error's name) of the execution, once it has ended."""

    def answer(self, token: str, result: Any, error: str = "") -> str:
        """Answers a waiting step: ``accepted``, or the refusal."""


class AwsFlow:
    """The verbs through the API."""

    def __init__(self, aws: Aws) -> None:
        self.aws, self.wait, self.arn, self.name = aws, aws.wait, "", uuid.uuid4().hex

    def start(self, machine: Machine) -> str:
        self.arn = self.aws.define(self.name, json.dumps(machine).replace("HANDLER", self.aws.function))
        return self.again({})

    def again(self, given: Any, name: str = "once") -> str:
        """The ARN of an execution by that name, or the refusal."""
        self.execution = ""

        def ask() -> None:
            request = {"stateMachineArn": self.arn, "name": name, "input": json.dumps(given)}
            self.execution = self.aws.machines.start_execution(**request)["executionArn"]

        refusal = outcome(ask)
        return self.execution or refusal

    def end(self, looks: int = _LOOKS) -> tuple[str, Any]:
        arn = self.arn.replace(":stateMachine:", ":execution:") + ":once"
        told: dict[str, Any] = {}
        for _ in range(looks):
            told = self.aws.machines.describe_execution(executionArn=arn)
            if told["status"] != "RUNNING":
                break
            self.aws.wait(_APART)
        over = told["status"] == "SUCCEEDED"
        return told["status"], json.loads(told["output"]) if over else told.get("error")

    def answer(self, token: str, result: Any, error: str = "") -> str:
        client = self.aws.machines
        if error:
            return outcome(lambda: client.send_task_failure(taskToken=token, error=error, cause="said so"))
        return outcome(lambda: client.send_task_success(taskToken=token, output=json.dumps(result)))


class ModelFlow:
    """The verbs on the simulation's machines, whose answers are never refused to a caller."""

    def __init__(self) -> None:
        self.hub = Hub(Calm())
        self.machines = machines.Machines(self.hub, self._invoke)
        self.machine: Machine = {}

    def _invoke(self, payload: Mapping[str, Any], done: Callable[[str, Any], None]) -> None:
        try:
            result: tuple[str, Any] = ("ok", handler(dict(payload), None))
        except Exception as error:
            result = ("error", error)
        self.hub.at(self.hub.now, lambda: done(*result))

    def start(self, machine: Machine) -> str:
        self.machine = machine
        self._with(lambda: self.machines.start("probe", "once", {}))
        return "once"

    def wait(self, seconds: float) -> None:
        until = self.hub.now + seconds
        while self.hub.heap and self.hub.heap[0][0] <= until:
            self._with(lambda: self.hub.run(until, lambda: True))
        self.hub.now = max(self.hub.now, until)

    def end(self) -> tuple[str, Any]:
        run = self.machines.executions["once"]
        for _ in range(_LOOKS):
            if run.status != "RUNNING":
                break
            self.wait(_APART)
        return run.status, run.data

    def answer(self, token: str, result: Any, error: str = "") -> str:
        told = StateError(error, "said so") if error else result
        self._with(lambda: self.machines.answer(token, told))
        return "accepted"

    def _with(self, does: Callable[[], object]) -> None:
        with patch.object(machines, "definition", lambda flow: self.machine):
            does()


def task(payload: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """One task that calls the handler and puts its answer at ``$.out``."""
    return {
        "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": "HANDLER", "Payload": dict(payload)},
        "ResultPath": "$.out", "TimeoutSeconds": 30, "Next": "Done", **more,
    }  # fmt: skip


def machine(first: Mapping[str, Any], **more: Any) -> Machine:
    """A machine of one task; ``Caught`` and ``Wrong`` are where a catch may lead."""
    states = {"First": first, "Done": _CAUGHT, "Caught": _CAUGHT, "Wrong": {"Type": "Fail", "Error": "Wrong"}}
    return {"StartAt": "First", "States": states, **more}


def catch(*names: str, to: str = "Caught") -> dict[str, Any]:
    return {"ErrorEquals": list(names), "ResultPath": "$.error", "Next": to}


def retry(*names: str, most: int) -> dict[str, Any]:
    return {"ErrorEquals": list(names), "IntervalSeconds": 1, "MaxAttempts": most, "BackoffRate": 1.0}


RAISES: Final = {"raises": "Flaky"}
COUNTED: Final = {"tries.$": "$$.State.RetryCount"}


# --- retry and catch by name ---------------------------------------------------------------------------------------
def retried(flow: Flow) -> str:
    flow.start(machine(task({**RAISES, **COUNTED, "until": 2}, Retry=[retry("Flaky", most=3)])))
    return _ending(flow)


def never_retried(flow: Flow) -> str:
    patience = [retry("NeedsHuman", most=0), retry("States.ALL", most=2)]
    flow.start(machine(task({"raises": "NeedsHuman", **COUNTED}, Retry=patience, Catch=[catch("NeedsHuman")])))
    return _ending(flow)


def caught_by_name(flow: Flow) -> str:
    ways = [catch("NeedsHuman", to="Wrong"), catch("Flaky")]
    flow.start(machine(task(RAISES, Catch=ways)))
    return _ending(flow)


def caught_as_task_failed(flow: Flow) -> str:
    flow.start(machine(task(RAISES, Catch=[catch("States.TaskFailed")])))
    return _ending(flow)


def uncaught(flow: Flow) -> str:
    flow.start(machine(task(RAISES, Catch=[catch("NeedsHuman", to="Wrong")])))
    return _ending(flow)


def _ending(flow: Flow) -> str:
    """How it ended, and with what: the handler's answer, or the error that was caught or not."""
    status, data = flow.end()
    if isinstance(data, dict) and "error" in data:
        cause = data["error"].get("Cause", "")
        told = json.loads(cause).get("errorMessage", "") if cause.startswith("{") else ""
        return f"caught {data['error']['Error']} {told}".strip()
    if isinstance(data, dict) and "out" in data:
        return f"{status} {data['out']['Payload'] if isinstance(data['out'], dict) else data['out']}"
    return f"{status} {data or ''}".strip()


# --- tasks that wait for a token -----------------------------------------------------------------------------------
def _waits(box: Path, payload: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    asked = {"box": str(box), "token.$": "$$.Task.Token", **(payload or {})}
    return task(asked, Resource="arn:aws:states:::lambda:invoke.waitForTaskToken", **more)


def _token(flow: Flow, box: Path) -> str:
    for _ in range(_LOOKS):
        flow.wait(_APART)
        if box.exists():
            return box.read_text()
    raise TimeoutError("the function was never told a token")


def answered(flow: Flow) -> str:
    with tempfile.TemporaryDirectory() as folder:
        box = Path(folder) / "token"
        flow.start(machine(_waits(box)))
        said = flow.answer(_token(flow, box), "given")
        return f"{said}, {_ending(flow)}"


def refused(flow: Flow) -> str:
    with tempfile.TemporaryDirectory() as folder:
        box = Path(folder) / "token"
        flow.start(machine(_waits(box, Catch=[catch("NeedsHuman")])))
        said = flow.answer(_token(flow, box), None, "NeedsHuman")
        return f"{said}, {_ending(flow)}"


def answered_twice(flow: Flow) -> str:
    with tempfile.TemporaryDirectory() as folder:
        box = Path(folder) / "token"
        flow.start(machine(_waits(box)))
        token = _token(flow, box)
        flow.answer(token, "first")
        ending = _ending(flow)
        return f"{ending}, then {_short(flow.answer(token, 'second'))}"


def unknown_token(flow: Flow) -> str:
    return _short(flow.answer("nobody-was-ever-told-this", "given"))


def answered_late(flow: Flow) -> str:
    with tempfile.TemporaryDirectory() as folder:
        box = Path(folder) / "token"
        flow.start(machine(_waits(box, TimeoutSeconds=2, Catch=[catch("States.Timeout")])))
        token = _token(flow, box)
        flow.wait(3)
        ending = _ending(flow)
        return f"{ending}, then {_short(flow.answer(token, 'late'))}"


def teller_fails(flow: Flow) -> str:
    with tempfile.TemporaryDirectory() as folder:
        way = _waits(Path(folder) / "token", RAISES, TimeoutSeconds=3, Catch=[catch("States.ALL")])
        flow.start(machine(way))
        return _ending(flow).removesuffix(" after 0")


def _short(said: str) -> str:
    return said.rpartition(".")[2]


# --- executions by name --------------------------------------------------------------------------------------------
def _waiting(flow: AwsFlow, box: Path) -> str:
    return flow.start(machine(_waits(box)))


def same_name(flow: AwsFlow) -> str:
    with tempfile.TemporaryDirectory() as folder:
        first = _waiting(flow, Path(folder) / "token")
        return "the same execution" if flow.again({}) == first else "another answer"


def same_name_other_input(flow: AwsFlow) -> str:
    with tempfile.TemporaryDirectory() as folder:
        _waiting(flow, Path(folder) / "token")
        return _short(flow.again({"other": 1}))


def same_name_after_its_end(flow: AwsFlow) -> str:
    flow.start(machine(task({})))
    flow.end()
    return _short(flow.again({}))


def out_of_time(flow: AwsFlow) -> str:
    with tempfile.TemporaryDirectory() as folder:
        flow.start(machine(_waits(Path(folder) / "token"), TimeoutSeconds=2))
        flow.wait(3)
        return flow.end(looks=4)[0]
