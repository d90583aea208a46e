"""State machines derived from the flow table: one Amazon States Language definition for each flow of several steps.

Every step calls the post function. A posting step waits by task token; what fails for good (``NeedsHuman``) is caught
and what was done before it is undone in reverse order. What fails for another reason is retried, and in the end left to
probe: nothing is undone before the posting it concerns is terminal.
"""

from __future__ import annotations

from typing import Any

from tieout import flows

#: How long a posting step may wait for its posting, in seconds, before it is asked again (its posting stays as it is).
STEP_TIMEOUT = 86_400
CALL_TIMEOUT = 120
_RETRY: list[dict[str, Any]] = [
    # A definite refusal is not retried; an unfinished wait is asked again for a month; whatever else broke (a crash,
    # a throttled function) is retried with back-off, because every step finds what an earlier try has made.
    {"ErrorEquals": ["NeedsHuman"], "MaxAttempts": 0},
    # A step that found no room at its target asks for a day: a pause or an outage is nobody's case.
    {"ErrorEquals": ["NotYet"], "IntervalSeconds": 60, "MaxAttempts": 1440, "BackoffRate": 1.0},
    {"ErrorEquals": ["States.Timeout"], "IntervalSeconds": 1, "MaxAttempts": 30, "BackoffRate": 1.0},
    {"ErrorEquals": ["States.ALL"], "IntervalSeconds": 2, "MaxAttempts": 8, "BackoffRate": 2.0},
]


def machines() -> dict[str, dict[str, Any]]:
    """Flow name → definition."""
    return {flow.name: machine(flow) for flow in flows.FLOWS if flow.orchestrated}


def _title(name: str) -> str:
    return name.replace("-", " ").capitalize()


def _call(step: str, *, wait: bool, undo: bool = False, error: bool = False) -> dict[str, Any]:
    payload: dict[str, Any] = {"step": step, "run.$": "$.run"}
    payload |= {"token.$": "$$.Task.Token"} if wait else {}
    payload |= {"undo": True} if undo else {}
    payload |= {"error.$": "$.error"} if error else {}
    result: dict[str, Any] = (
        {"ResultPath": None}
        if wait
        else {"ResultSelector": {"result.$": "$.Payload"}, "ResultPath": f"$.{step.replace('-', '_')}"}
    )
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke" + (".waitForTaskToken" if wait else ""),
        "Parameters": {"FunctionName": "${PostFunctionArn}", "Payload": payload},
        "TimeoutSeconds": STEP_TIMEOUT if wait else CALL_TIMEOUT,
        "Retry": _RETRY,
        **result,
    }


def machine(flow: flows.Flow) -> dict[str, Any]:
    """The definition of one flow."""
    states: dict[str, Any] = {}
    done: list[flows.Step] = []
    following = {one.name: _title(after.name) for one, after in zip(flow.steps, flow.steps[1:], strict=False)}
    spared = {one.spares: one for one in flow.steps if one.spares}
    for one in flow.steps:
        name, after = _title(one.name), following.get(one.name, "Done")
        state = _call(one.name, wait=one.does == "post")
        undo_first = _undo_name(done[-1]) if done else "Failed"
        state["Catch"] = [
            {"ErrorEquals": ["NeedsHuman"], "ResultPath": "$.error", "Next": undo_first},
            {"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Unfinished"},
        ]
        state["Next"] = after
        if one.name in spared:
            looked = spared[one.name].name
            states[name] = {
                "Type": "Choice",
                "Choices": [{"Variable": f"$.{looked}.result.found", "BooleanEquals": True, "Next": after}],
                "Default": f"{name} posting",
            }
            name = f"{name} posting"
        states[name] = state
        if one.undo:
            done.append(one)
    states |= _undoing(done)
    states["Done"] = _call("done", wait=False) | {"Next": "Finished"}
    states["Finished"] = {"Type": "Succeed"}
    states["Failed"] = _call("failed", wait=False, error=True) | {"Next": "Taken back"}
    states["Taken back"] = {"Type": "Succeed"}
    states["Unfinished"] = {
        "Type": "Fail",
        "Error": "Unfinished",
        "Cause": "A step could not be brought to an end; probe opens a case.",
    }
    return {
        "Comment": f"Derived from flow {flow.name} in shared/tieout/flows.py by make generate; do not edit.",
        "StartAt": _title(flow.steps[0].name),
        "States": states,
    }


def _undo_name(one: flows.Step) -> str:
    return f"Undo {one.name}"


def _undoing(done: list[flows.Step]) -> dict[str, Any]:
    """The compensations, in reverse order of the steps; the first step's is followed by the end."""
    states: dict[str, Any] = {}
    for position, one in enumerate(done):
        state = _call(one.name, wait=True, undo=True)
        state["Catch"] = [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Unfinished"}]
        state["Next"] = _undo_name(done[position - 1]) if position else "Failed"
        states[_undo_name(one)] = state
    return states
