"""State machines on the virtual clock: the ASL in ``infra/machines`` walked state by state, its tasks as workers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from infra.local import asl
from infra.local.asl import StateError
from tests.simulation.hub import AwsError, Fate, Hub, Worker
from tests.simulation.model import CALLS

HOME: Final = Path(__file__).resolve().parents[2] / "infra/machines"


@cache
def definition(flow: str) -> Mapping[str, Any]:
    """The states of a flow's machine."""
    states: Mapping[str, Any] = json.loads((HOME / f"{flow}.asl.json").read_text())
    return states


@dataclass
class Execution:
    """One execution: where it stands, its data, the token it waits for."""

    name: str
    flow: str
    data: Any
    state: str
    status: str = "RUNNING"
    token: str | None = None
    tokens: int = 0
    tries: dict[int, int] = field(default_factory=dict)
    attempt: int = 0
    #: Inputs of its tasks, and why they failed: what its history shows beside its data.
    shown: list[Any] = field(default_factory=list)


class Machines:
    """Every execution of one history. ``invoke`` starts a worker that runs the step."""

    def __init__(self, hub: Hub, invoke: Callable[[Mapping[str, Any], Callable[[str, Any], None]], None]) -> None:
        self.hub, self.invoke = hub, invoke
        self.executions: dict[str, Execution] = {}
        self.waiting: dict[str, Execution] = {}

    def start(self, flow: str, name: str, facts: Mapping[str, Any]) -> None:
        """One execution a name, for good."""
        if name in self.executions:
            return
        run = Execution(name, flow, json.loads(json.dumps(facts)), definition(flow)["StartAt"])
        self.executions[name] = run
        self.hub.at(self.hub.now, lambda: self._enter(run))

    def answer(self, token: str, result: Any) -> None:
        """Success or failure of a waiting task; a token that is spent changes nothing."""
        run = self.waiting.pop(token, None)
        if run is None or run.token != token or run.status != "RUNNING":
            return
        run.token = None
        self.hub.at(self.hub.now, lambda: self._finish(run, result))

    def _state(self, run: Execution) -> Any:
        return definition(run.flow)["States"][run.state]

    def _enter(self, run: Execution) -> None:
        state = self._state(run)
        match state["Type"]:
            case "Choice":
                rules = (rule["Next"] for rule in state["Choices"] if asl.holds(rule, run.data, {}))
                self._go(run, next(rules, None) or state["Default"])
            case "Succeed":
                run.status = "SUCCEEDED"
            case "Fail":
                run.status = "FAILED"
            case "Task":
                self._task(run, state)

    def _task(self, run: Execution, state: Any) -> None:
        run.attempt += 1
        attempt = run.attempt
        waits = state["Resource"].endswith(".waitForTaskToken")
        context: dict[str, Any] = {}
        if waits:
            run.tokens += 1
            run.token = f"{run.name}.{run.tokens}"
            self.waiting[run.token] = run
            context = {"Task": {"Token": run.token}}
        payload = asl.fill(state["Parameters"]["Payload"], run.data, context)

        run.shown.append(payload)

        def current() -> bool:
            return run.status == "RUNNING" and run.attempt == attempt

        def done(outcome: str, value: Any) -> None:
            if not current() or (waits and run.token is None):
                return  # answered while the function still ran
            if outcome == "error":
                self._fail(run, StateError(type(value).__name__, str(value)))
            elif outcome == "gone":
                self._fail(run, StateError("Sandbox.Timedout", "the function is gone"))
            elif not waits:
                self._finish(run, {"Payload": value})

        def late() -> None:
            if current():
                self._fail(run, StateError("States.Timeout", "not answered in time"))

        self.hub.at(self.hub.now + state["TimeoutSeconds"], late)
        self.invoke(payload, done)

    def _finish(self, run: Execution, result: Any) -> None:
        if isinstance(result, StateError):
            self._fail(run, result)
            return
        state = self._state(run)
        if "ResultSelector" in state:
            result = asl.fill(state["ResultSelector"], result, {})
        run.data = asl.put(state.get("ResultPath", "$"), run.data, result)
        self._go(run, state["Next"])

    def _go(self, run: Execution, to: str) -> None:
        run.state, run.tries, run.token = to, {}, None
        run.attempt += 1
        self.hub.at(self.hub.now, lambda: self._enter(run))

    def _fail(self, run: Execution, failure: StateError) -> None:
        state = self._state(run)
        run.token = None
        run.attempt += 1
        run.shown.append([failure.error, failure.cause])
        for number, retry in enumerate(state.get("Retry", [])):
            if asl.matches(retry["ErrorEquals"], failure.error):
                tries = run.tries.get(number, 0)
                if tries < retry.get("MaxAttempts", 3):
                    run.tries[number] = tries + 1
                    wait = retry.get("IntervalSeconds", 1) * retry.get("BackoffRate", 2.0) ** tries
                    self.hub.at(self.hub.now + wait, lambda: self._enter(run))
                    return
                break
        for catch in state.get("Catch", []):
            if asl.matches(catch["ErrorEquals"], failure.error):
                caught = {"Error": failure.error, "Cause": failure.cause}
                run.data = asl.put(catch.get("ResultPath", "$"), run.data, caught)
                self._go(run, catch["Next"])
                return
        run.status = "FAILED"

    @property
    def rests(self) -> bool:
        """Every execution has ended."""
        return all(run.status != "RUNNING" for run in self.executions.values())


class MachinesPort:
    """State machines as one worker sees them."""

    def __init__(self, machines: Machines, worker: Worker) -> None:
        self.machines, self.worker = machines, worker

    def _call(self, name: str, does: Callable[[], Any]) -> Any:
        def whole(fate: Fate) -> Any:
            if fate.fault == "throttled":
                raise AwsError("ThrottlingException")
            made = does()
            if fate.fault == "lost":
                raise AwsError("the answer never came")
            return made

        return self.machines.hub.cross(self.worker, f"machines.{name}", CALLS, whole)

    def start(self, flow: str, name: str, facts: Mapping[str, Any]) -> None:
        self._call("start", lambda: self.machines.start(flow, name, facts))

    def answer(self, token: str, result: Mapping[str, Any]) -> None:
        self._call("answer", lambda: self.machines.answer(token, dict(result)))

    def refuse(self, token: str, error: str, cause: str) -> None:
        self._call("answer", lambda: self.machines.answer(token, StateError(error, cause)))

    def status(self, flow: str, name: str) -> str:
        runs = self.machines.executions
        return str(self._call("status", lambda: runs[name].status if name in runs else "MISSING"))
