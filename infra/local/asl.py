"""Amazon States Language, the pure part: what a definition may say here, paths, intrinsic functions, choices.

Only what is listed in ``STATES`` and ``FIELDS`` is emulated. Anything else is refused when the machine is made,
with its name, so that a machine never behaves differently here than deployed without anybody knowing.
"""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import json
import re
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

TASKS = {"arn:aws:states:::lambda:invoke", "arn:aws:states:::lambda:invoke.waitForTaskToken"}
_COMMON = {"Type", "Comment", "InputPath", "OutputPath"}
_NEXT = {"Next", "End"}
_RESULT = {"ResultPath", "Parameters"}
STATES = {
    "Task": _COMMON | _NEXT | _RESULT
    | {"Resource", "ResultSelector", "Retry", "Catch", "TimeoutSeconds", "HeartbeatSeconds"},
    "Pass": _COMMON | _NEXT | _RESULT | {"Result"},
    "Wait": _COMMON | _NEXT | {"Seconds", "SecondsPath", "Timestamp", "TimestampPath"},
    "Choice": _COMMON | {"Choices", "Default"},
    "Succeed": _COMMON,
    "Fail": {"Type", "Comment", "Error", "Cause", "ErrorPath", "CausePath"},
}  # fmt: skip
MACHINE = {"Comment", "StartAt", "States", "TimeoutSeconds", "Version", "QueryLanguage"}
RETRY = {"ErrorEquals", "IntervalSeconds", "MaxAttempts", "BackoffRate", "MaxDelaySeconds", "JitterStrategy", "Comment"}
CATCH = {"ErrorEquals", "Next", "ResultPath", "Comment"}


class Unsupported(ValueError):
    """The definition says something that this interpreter does not do; the text names the state and the field."""


class StateError(Exception):
    """A state failed: an error name to match in Retry and Catch, and a cause."""

    def __init__(self, error: str, cause: str = "") -> None:
        super().__init__(f"{error}: {cause}")
        self.error, self.cause = error, cause


def check(name: str, definition: dict[str, Any]) -> None:
    """Raises `Unsupported` for whatever this interpreter would not run as AWS does."""
    _only(name, definition, MACHINE)
    if definition.get("QueryLanguage", "JSONPath") != "JSONPath":
        raise Unsupported(f"{name}: QueryLanguage {definition['QueryLanguage']}")
    states = definition["States"]
    targets = {definition["StartAt"]}
    for label, state in states.items():
        where = f"{name}.{label}"
        if state["Type"] not in STATES:
            raise Unsupported(f"{where}: state type {state['Type']}")
        _only(where, state, STATES[state["Type"]])
        if state["Type"] == "Task" and state["Resource"] not in TASKS and ":function:" not in state["Resource"]:
            raise Unsupported(f"{where}: Resource {state['Resource']}")
        for entry in state.get("Retry", []):
            _only(f"{where}.Retry", entry, RETRY)
        for entry in state.get("Catch", []):
            _only(f"{where}.Catch", entry, CATCH)
        targets |= set(_targets(where, state))
    if missing := targets - set(states):
        raise Unsupported(f"{name}: no such state: {', '.join(sorted(missing))}")


def _only(where: str, body: dict[str, Any], known: set[str]) -> None:
    if unknown := set(body) - known:
        raise Unsupported(f"{where}: {', '.join(sorted(unknown))}")


def _targets(where: str, state: dict[str, Any]) -> list[str]:
    found = [entry["Next"] for entry in [*state.get("Catch", []), *state.get("Choices", [])]]
    found += [state[key] for key in ("Next", "Default") if key in state]
    if state["Type"] in ("Task", "Pass", "Wait") and ("Next" in state) == bool(state.get("End")):
        raise Unsupported(f"{where}: needs either Next or End")
    return found


# --- paths --------------------------------------------------------------------------------------------------------

_STEP = re.compile(r"\.([A-Za-z_][\w-]*)|\[(\d+)\]|\['([^']+)'\]")


def steps(path: str) -> list[str | int]:
    """The steps of a reference path; `Unsupported` for wildcards, filters and slices."""
    rest, found = path.lstrip("$"), list[str | int]()
    while rest:
        match = _STEP.match(rest)
        if match is None:
            raise Unsupported(f"path {path}")
        found.append(int(match[2]) if match[2] is not None else match[1] or match[3])
        rest = rest[match.end() :]
    return found


def get(path: str, data: Any, context: Any) -> Any:
    """The value at the path (``$`` data, ``$$`` context object); `StateError` where there is none."""
    value = context if path.startswith("$$") else data
    for step in steps(path):
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            raise StateError("States.Runtime", f"The path {path} is not in the data") from None
    return value


def put(path: str | None, data: Any, result: Any) -> Any:
    """The data with the result put at the path; ``None`` discards the result, ``$`` replaces the data."""
    if path is None:
        return data
    way = steps(path)
    if not way:
        return result
    copy = json.loads(json.dumps(data))
    place = copy = copy if isinstance(copy, dict) else {}
    for step in way[:-1]:
        place = place.setdefault(step, {})
    place[way[-1]] = result
    return copy


def fill(template: Any, data: Any, context: Any) -> Any:
    """A payload template with each ``name.$`` replaced by what its path or function yields."""
    if isinstance(template, list):
        return [fill(item, data, context) for item in template]
    if not isinstance(template, dict):
        return template
    return {
        (key[:-2] if key.endswith(".$") else key): (
            evaluate(value, data, context) if key.endswith(".$") else fill(value, data, context)
        )
        for key, value in template.items()
    }


# --- intrinsic functions ------------------------------------------------------------------------------------------

_TOKEN = re.compile(r"\s*(States\.\w+\(|'(?:\\.|[^'\\])*'|\$[^\s,)]*|-?\d+(?:\.\d+)?|true|false|null|[,)])")


def _format(text: str, *values: Any) -> str:
    for value in values:
        text = text.replace("{}", value if isinstance(value, str) else json.dumps(value), 1)
    return text


INTRINSICS: dict[str, Callable[..., Any]] = {
    "Format": _format,
    "JsonToString": lambda value: json.dumps(value, separators=(",", ":")),
    "StringToJson": json.loads,
    "Array": lambda *values: list(values),
    "ArrayGetItem": lambda values, index: values[index],
    "ArrayLength": len,
    "ArrayContains": lambda values, value: value in values,
    "MathAdd": lambda left, right: left + right,
    "JsonMerge": lambda left, right, _deep: {**left, **right},
    "StringSplit": lambda text, splitter: [part for part in text.split(splitter) if part],
    "Base64Encode": lambda text: base64.b64encode(text.encode()).decode(),
    "Base64Decode": lambda text: base64.b64decode(text).decode(),
    "Hash": lambda data, algorithm: hashlib.new(algorithm.replace("-", "").lower(), data.encode()).hexdigest(),
    "UUID": lambda: str(uuid.uuid4()),
}


def evaluate(expression: str, data: Any, context: Any) -> Any:
    """A path or an intrinsic function call, evaluated."""
    if expression.startswith("$"):
        return get(expression, data, context)
    value, rest = _parse(expression, data, context)
    if rest.strip():
        raise Unsupported(f"expression {expression}")
    return value


def _parse(text: str, data: Any, context: Any) -> tuple[Any, str]:
    match = _TOKEN.match(text)
    if match is None:
        raise Unsupported(f"expression {text}")
    token, rest = match[1], text[match.end() :]
    if token.startswith("$"):
        return get(token, data, context), rest
    if token.startswith("'"):
        return re.sub(r"\\(.)", r"\1", token[1:-1]), rest
    if not token.startswith("States."):
        return json.loads(token), rest
    name, values = token[7:-1], []
    if name not in INTRINSICS:
        raise Unsupported(f"intrinsic function States.{name}")
    while not rest.lstrip().startswith(")"):
        value, rest = _parse(rest, data, context)
        values.append(value)
        rest = rest.lstrip().removeprefix(",")
    try:
        return INTRINSICS[name](*values), rest.lstrip()[1:]
    except (TypeError, ValueError, IndexError, KeyError) as wrong:
        raise StateError("States.IntrinsicFailure", f"States.{name}: {wrong}") from wrong


# --- choices ------------------------------------------------------------------------------------------------------

_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "Equals": lambda left, right: left == right,
    "LessThan": lambda left, right: left < right,
    "GreaterThan": lambda left, right: left > right,
    "LessThanEquals": lambda left, right: left <= right,
    "GreaterThanEquals": lambda left, right: left >= right,
}
_KIND: dict[str, Callable[[Any], bool]] = {
    "String": lambda value: isinstance(value, str),
    "Numeric": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "Boolean": lambda value: isinstance(value, bool),
    "Timestamp": lambda value: isinstance(value, str),
    "Null": lambda value: value is None,
}
_COMPARE = re.compile(r"^(String|Numeric|Boolean|Timestamp)(\w*Equals|LessThan|GreaterThan)(Path)?$")


def holds(rule: dict[str, Any], data: Any, context: Any) -> bool:
    """Whether a choice rule holds."""
    if "And" in rule:
        return all(holds(part, data, context) for part in rule["And"])
    if "Or" in rule:
        return any(holds(part, data, context) for part in rule["Or"])
    if "Not" in rule:
        return not holds(rule["Not"], data, context)
    (operator,) = set(rule) - {"Variable", "Next", "Comment"}
    wanted = rule[operator]
    try:
        value = get(rule["Variable"], data, context)
    except StateError:
        if operator == "IsPresent":
            return wanted is False
        raise
    if operator.startswith("Is"):
        return _is(operator[2:], value) is wanted
    if operator == "StringMatches":
        pattern = re.sub(r"([\[\]?])", r"[\1]", wanted)
        return isinstance(value, str) and fnmatch.fnmatchcase(value, pattern)
    match = _COMPARE.match(operator)
    if match is None:
        raise Unsupported(f"choice operator {operator}")
    if match[3]:
        wanted = get(wanted, data, context)
    if not (_KIND[match[1]](value) and _KIND[match[1]](wanted)):
        return False
    if match[1] == "Timestamp":
        value, wanted = datetime.fromisoformat(value), datetime.fromisoformat(wanted)
    return _ORDER[match[2]](value, wanted)


def _is(kind: str, value: Any) -> bool:
    return True if kind == "Present" else _KIND[kind](value)


# --- errors -------------------------------------------------------------------------------------------------------


def matches(names: list[str], error: str) -> bool:
    """Whether a Retry or Catch names this error: exactly, or by one of AWS's collective names."""
    if error in names:
        return True
    if "States.ALL" in names:
        return error not in ("States.DataLimitExceeded", "States.Runtime")
    if "States.Timeout" in names and error == "States.HeartbeatTimeout":
        return True
    return "States.TaskFailed" in names and not error.startswith("States.")
