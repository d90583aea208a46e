"""Step Functions on the world's clock: a small interpreter that is pumped, put under moto's own API.

An execution only moves when `Machines.step` is called, one state at a time, so that a test decides what happens
between any two of them. Waits, retries and time-outs are moments on the world's clock.
"""

from __future__ import annotations

import json
import random
import threading
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

from moto.core.exceptions import AWSError
from moto.core.responses import EmptyResult
from moto.stepfunctions import exceptions as errors
from moto.stepfunctions import responses

from infra.local import asl
from infra.local.asl import StateError
from infra.local.clock import WorldClock
from infra.local.functions import Outcome
from infra.local.template import ACCOUNT, REGION

LIMIT = 262_144  # bytes of a state's data


class TaskTimedOut(AWSError):
    """A token whose task is over: answered, timed out, or stopped."""

    TYPE = "TaskTimedOut"
    STATUS = 400


@dataclass
class Machine:
    """A state machine: also what moto's DescribeStateMachine reads."""

    name: str
    arn: str
    definition: str
    creation_date: datetime
    parsed: dict[str, Any]
    type: str = "STANDARD"
    roleArn: str = f"arn:aws:iam::{ACCOUNT}:role/local"
    description: str | None = None
    latest_version = None
    encryptionConfiguration = tracingConfiguration = loggingConfiguration = None


@dataclass
class Execution:
    """One execution: also what moto's DescribeExecution reads. ``history`` lists what happened, oldest first."""

    machine: Machine
    name: str
    execution_arn: str
    execution_input: str
    start_date: datetime
    state: str
    data: Any
    status: str = "RUNNING"
    stop_date: datetime | None = None
    output: str | None = None
    output_details = None
    error: str | None = None
    cause: str | None = None
    due: datetime | None = None  # None: ready now, unless a token is out
    token: str | None = None
    answer: tuple[str, str] | StateError | None = None
    deadline: datetime | None = None
    beat: datetime | None = None
    tries: dict[int, int] = field(default_factory=dict)
    entered: datetime | None = None
    history: list[dict[str, Any]] = field(default_factory=list)

    @property
    def state_machine_arn(self) -> str:
        return self.machine.arn


class Machines:
    """Every machine and execution of the world, and the backend that moto's Step Functions API talks to."""

    def __init__(
        self, clock: WorldClock, lock: threading.RLock, rng: random.Random, invoke: Callable[[str, Any], Outcome]
    ) -> None:
        self._clock, self._lock, self._rng, self._invoke = clock, lock, rng, invoke
        self.machines: dict[str, Machine] = {}
        self.executions: dict[str, Execution] = {}
        self._tokens: dict[str, Execution] = {}

    def install(self, stack: ExitStack) -> None:
        """Puts this interpreter under moto's API until the stack is closed."""

        def send_task_failure(response: Any) -> Any:  # moto drops the cause
            self.send_task_failure(response._get_param("taskToken"), response._get_param("error"),
                                   response._get_param("cause"))  # fmt: skip
            return EmptyResult()

        stack.enter_context(patch.object(responses, "get_backend", lambda account, region: self))
        stack.enter_context(patch.object(responses.StepFunctionResponse, "send_task_failure", send_task_failure))

    def define(self, name: str, definition: str) -> Machine:
        """Makes a machine; `asl.Unsupported` names what this interpreter does not do."""
        parsed = json.loads(definition)
        asl.check(name, parsed)
        arn = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{name}"
        self.machines[arn] = Machine(name, arn, definition, self._clock.now(), parsed)
        return self.machines[arn]

    # --- what moto's API calls ------------------------------------------------------------------------------------

    def start_execution(self, arn: str, name: str | None, execution_input: str) -> Execution:
        with self._lock:
            machine = self.describe_state_machine(arn)
            name = name or str(uuid.uuid4())
            key = f"arn:aws:states:{REGION}:{ACCOUNT}:execution:{machine.name}:{name}"
            data = self._input(execution_input)
            if known := self.executions.get(key):
                if known.status == "RUNNING" and known.execution_input == execution_input:
                    return known
                raise errors.ExecutionAlreadyExists(f"Execution Already Exists: '{key}'")
            if len(name) > 80:
                raise errors.InvalidName(f"Invalid Name: '{name}'")
            first = machine.parsed["StartAt"]
            run = Execution(machine, name, key, execution_input, self._clock.now(), first, data)
            if "TimeoutSeconds" in machine.parsed:
                run.deadline = self._clock.now() + timedelta(seconds=machine.parsed["TimeoutSeconds"])
            self.executions[key] = run
            self._note(run, "ExecutionStarted", input=execution_input)
            return run

    def _input(self, text: str) -> Any:
        if len(text.encode()) > LIMIT:
            raise errors.InvalidExecutionInput("The input is longer than 262144 bytes")
        try:
            return json.loads(text)
        except ValueError as wrong:
            raise errors.InvalidExecutionInput(f"Invalid State Machine Execution Input: '{wrong}'") from wrong

    def stop_execution(self, execution_arn: str) -> Execution:
        with self._lock:
            run = self.describe_execution(execution_arn)
            if run.status == "RUNNING":
                self._end(run, "ABORTED")
            return run

    def describe_execution(self, execution_arn: str) -> Execution:
        if execution_arn not in self.executions:
            raise errors.ExecutionDoesNotExist(f"Execution Does Not Exist: '{execution_arn}'")
        return self.executions[execution_arn]

    def list_executions(
        self, arn: str, status_filter: str | None = None, max_results: int | None = None, next_token: str | None = None
    ) -> tuple[list[Execution], str | None]:
        found = [run for run in self.executions.values() if run.machine.arn == arn]
        return [run for run in reversed(found) if status_filter in (None, run.status)], None

    def describe_state_machine(self, arn: str) -> Machine:
        if arn not in self.machines:
            raise errors.StateMachineDoesNotExist(f"State Machine Does Not Exist: '{arn}'")
        return self.machines[arn]

    def list_state_machines(self, **_: Any) -> tuple[list[Machine], str | None]:
        return list(self.machines.values()), None

    def get_execution_history(self, execution_arn: str) -> dict[str, Any]:
        return {"events": self.describe_execution(execution_arn).history}

    def send_task_success(self, task_token: str, outcome: str) -> None:
        self._answer(task_token, ("output", outcome))

    def send_task_failure(self, task_token: str, error: str | None = None, cause: str | None = None) -> None:
        self._answer(task_token, StateError(error or "States.TaskFailed", cause or ""))

    def send_task_heartbeat(self, task_token: str) -> None:
        with self._lock:
            run = self._waiting(task_token)
            self._set_beat(run, run.machine.parsed["States"][run.state])

    def _answer(self, token: str, answer: tuple[str, str] | StateError) -> None:
        with self._lock:
            run = self._waiting(token)
            run.answer, run.token = answer, None

    def _waiting(self, token: str) -> Execution:
        run = self._tokens.get(token)
        if run is None:
            raise errors.InvalidToken()
        if run.token != token or run.status != "RUNNING":
            raise TaskTimedOut("Task Timed Out: 'Provided task does not exist anymore'")
        return run

    # --- running --------------------------------------------------------------------------------------------------

    def ready(self) -> list[Execution]:
        """Executions that can move now."""
        now = self._clock.now()
        with self._lock:
            return [
                run for run in self.executions.values()
                if run.status == "RUNNING" and (moment := self._moment(run)) is not None and moment <= now
            ]  # fmt: skip

    def next_due(self) -> datetime | None:
        """The next moment at which an execution moves by itself."""
        with self._lock:
            moments = [self._moment(run) for run in self.executions.values() if run.status == "RUNNING"]
        return min((moment for moment in moments if moment), default=None)

    def _moment(self, run: Execution) -> datetime | None:
        ends = [run.deadline] if run.deadline else []
        if run.token and run.answer is None:
            ends += [moment for moment in (run.due, run.beat) if moment]
        else:
            ends.append(run.due if run.due and run.answer is None else run.start_date)
        return min(ends, default=None)

    def step(self, run: Execution) -> None:
        """Moves the execution by one state, one retry, or one time-out."""
        state = run.machine.parsed["States"][run.state]
        now = self._clock.now()
        try:
            if run.deadline and now >= run.deadline:
                self._end(run, "TIMED_OUT", StateError("States.Timeout", "The execution took too long"))
            elif run.answer is not None:
                self._finish_token(run, state)
            elif run.token:
                late = "States.Timeout" if run.due and now >= run.due else "States.HeartbeatTimeout"
                raise StateError(late, f"{run.state} was not answered in time")
            else:
                self._enter(run, state)
        except StateError as failure:
            self._fail(run, state, failure)

    def _enter(self, run: Execution, state: dict[str, Any]) -> None:
        context = self._context(run)
        if run.entered is None:
            run.entered = self._clock.now()
            self._note(run, f"{state['Type']}StateEntered", name=run.state, input=json.dumps(run.data))
        data = self._at(state.get("InputPath", "$"), run.data, context)
        match state["Type"]:
            case "Task":
                self._task(run, state, data, context)
            case "Pass":
                made = asl.fill(state["Parameters"], data, context) if "Parameters" in state else data
                self._leave(run, state, asl.put(state.get("ResultPath", "$"), run.data, state.get("Result", made)))
            case "Choice":
                chosen = next((rule["Next"] for rule in state["Choices"] if asl.holds(rule, data, context)), None)
                if (chosen := chosen or state.get("Default")) is None:
                    raise StateError("States.NoChoiceMatched", f"no choice of {run.state} holds")
                self._leave(run, {**state, "Next": chosen}, data)
            case "Wait":
                if run.due is None:
                    run.due = self._wake(run.entered, state, data, context)
                if self._clock.now() >= run.due:
                    self._leave(run, state, data)
            case "Succeed":
                self._leave(run, {**state, "End": True}, data)
            case "Fail":
                error, cause = (
                    str(self._at(state[f"{key}Path"], data, context) if f"{key}Path" in state else state.get(key, ""))
                    for key in ("Error", "Cause")
                )
                self._end(run, "FAILED", StateError(error, cause))

    def _task(self, run: Execution, state: dict[str, Any], data: Any, context: dict[str, Any]) -> None:
        run.due = None
        waits = state["Resource"].endswith(".waitForTaskToken")
        if waits:
            run.token = context["Task"]["Token"] = uuid.UUID(int=self._rng.getrandbits(128)).hex
            self._tokens[run.token] = run
            if "TimeoutSeconds" in state:
                run.due = self._clock.now() + timedelta(seconds=state["TimeoutSeconds"])
            self._set_beat(run, state)
        payload = asl.fill(state["Parameters"], data, context) if "Parameters" in state else data
        direct = ":function:" in state["Resource"]
        arn = state["Resource"] if direct else payload["FunctionName"]
        self._note(run, "TaskScheduled", name=run.state, resource=arn)
        outcome = self._invoke(arn, payload if direct else payload.get("Payload", {}))
        if run.answer is not None:
            return  # answered while the function still ran: what became of the function no longer matters
        if outcome.failed:
            raise StateError(str(outcome.error_type), json.dumps(outcome.cause()))
        if not waits:
            wrapped = {"ExecutedVersion": "$LATEST", "Payload": outcome.value, "StatusCode": 200}
            self._succeed(run, state, outcome.value if direct else wrapped)

    def _finish_token(self, run: Execution, state: dict[str, Any]) -> None:
        answer, run.answer = run.answer, None
        if isinstance(answer, StateError):
            raise answer
        assert answer is not None
        self._succeed(run, state, json.loads(answer[1]))

    def _succeed(self, run: Execution, state: dict[str, Any], result: Any) -> None:
        context = self._context(run)
        self._note(run, "TaskSucceeded", name=run.state, output=json.dumps(result))
        if "ResultSelector" in state:
            result = asl.fill(state["ResultSelector"], result, context)
        self._leave(run, state, asl.put(state.get("ResultPath", "$"), run.data, result))

    def _leave(self, run: Execution, state: dict[str, Any], data: Any) -> None:
        run.data = self._at(state.get("OutputPath", "$"), data, self._context(run))
        if len(json.dumps(run.data).encode()) > LIMIT:
            raise StateError("States.DataLimitExceeded", f"the output of {run.state} is longer than 262144 bytes")
        self._note(run, f"{state['Type']}StateExited", name=run.state, output=json.dumps(run.data))
        if state.get("End"):
            self._end(run, "SUCCEEDED")
        else:
            self._go(run, state["Next"])

    def _go(self, run: Execution, state: str) -> None:
        run.state, run.tries = state, {}
        run.due = run.beat = run.token = run.answer = run.entered = None

    def _fail(self, run: Execution, state: dict[str, Any], failure: StateError) -> None:
        run.token = run.answer = run.beat = run.due = None
        self._note(run, "TaskFailed", name=run.state, error=failure.error, cause=failure.cause)
        for number, retry in enumerate(state.get("Retry", [])):
            if not asl.matches(retry["ErrorEquals"], failure.error):
                continue
            tries = run.tries.get(number, 0)
            if tries < retry.get("MaxAttempts", 3):
                run.tries[number] = tries + 1
                delay = retry.get("IntervalSeconds", 1) * retry.get("BackoffRate", 2.0) ** tries
                delay = min(delay, retry.get("MaxDelaySeconds", delay))
                if retry.get("JitterStrategy") == "FULL":
                    delay *= self._rng.random()
                run.due = self._clock.now() + timedelta(seconds=delay)
                return
            break
        for catch in state.get("Catch", []):
            if asl.matches(catch["ErrorEquals"], failure.error):
                caught = {"Error": failure.error, "Cause": failure.cause}
                run.data = asl.put(catch.get("ResultPath", "$"), run.data, caught)
                self._go(run, catch["Next"])
                return
        self._end(run, "FAILED", failure)

    def _end(self, run: Execution, status: str, failure: StateError | None = None) -> None:
        run.status, run.stop_date, run.token = status, self._clock.now(), None
        if status == "SUCCEEDED":
            run.output = json.dumps(run.data)
        if failure:
            run.error, run.cause = failure.error, failure.cause
        self._note(run, f"Execution{status.title().replace('_', '')}", error=run.error, cause=run.cause)

    def _set_beat(self, run: Execution, state: dict[str, Any]) -> None:
        if "HeartbeatSeconds" in state:
            run.beat = self._clock.now() + timedelta(seconds=state["HeartbeatSeconds"])

    def _wake(self, entered: datetime, state: dict[str, Any], data: Any, context: Any) -> datetime:
        if "Seconds" in state or "SecondsPath" in state:
            seconds = state["Seconds"] if "Seconds" in state else asl.get(state["SecondsPath"], data, context)
            return entered + timedelta(seconds=seconds)
        text = state["Timestamp"] if "Timestamp" in state else asl.get(state["TimestampPath"], data, context)
        return datetime.fromisoformat(text)

    def _at(self, path: str | None, data: Any, context: Any) -> Any:
        return {} if path is None else asl.get(path, data, context)

    def _context(self, run: Execution) -> dict[str, Any]:
        return {
            "Execution": {
                "Id": run.execution_arn, "Name": run.name, "Input": json.loads(run.execution_input),
                "StartTime": run.start_date.isoformat().replace("+00:00", "Z"),
            },
            "StateMachine": {"Id": run.machine.arn, "Name": run.machine.name},
            "State": {
                "Name": run.state, "RetryCount": sum(run.tries.values()),
                "EnteredTime": (run.entered or run.start_date).isoformat().replace("+00:00", "Z"),
            },
            "Task": {"Token": run.token} if run.token else {},
        }  # fmt: skip

    def _note(self, run: Execution, kind: str, **details: Any) -> None:
        shown = {key: value for key, value in details.items() if value is not None}
        number = len(run.history) + 1
        run.history.append({"id": number, "timestamp": self._clock.now(), "type": kind, "details": shown})
