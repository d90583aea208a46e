"""The pure part of the state machine interpreter."""

from __future__ import annotations

from typing import Any

import pytest

from infra.local import asl

DATA = {"a": {"b": [1, {"c": "x"}]}, "n": 3, "t": "text", "none": None, "key-with-dash": True}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$.a.b[1].c", "x"),
        ("$.n", 3),
        ("$['key-with-dash']", True),
        ("$.key-with-dash", True),
        ("$", DATA),
        ("$$.Who", "me"),
    ],
)
def test_a_path_finds_its_value(path: str, value: Any) -> None:
    assert asl.get(path, DATA, {"Who": "me"}) == value


def test_a_path_to_nothing_is_a_runtime_error_and_a_filter_is_refused() -> None:
    with pytest.raises(asl.StateError, match=r"States\.Runtime"):
        asl.get("$.nothing", DATA, {})
    with pytest.raises(asl.Unsupported, match="path"):
        asl.get("$.a.b[?(@.c)]", DATA, {})


@pytest.mark.parametrize(
    ("path", "result", "data"),
    [(None, 1, {"a": 0}), ("$", 1, 1), ("$.b", 1, {"a": 0, "b": 1}), ("$.b.c", 1, {"a": 0, "b": {"c": 1}})],
)
def test_a_result_is_put_where_the_path_says(path: str | None, result: Any, data: Any) -> None:
    assert asl.put(path, {"a": 0}, result) == data


def test_a_template_is_filled_with_paths_and_functions_at_any_depth() -> None:
    template = {"x.$": "$.n", "y": [{"z.$": "States.Format('{}-{}', $.t, States.MathAdd($.n, 1))"}], "k": "$.n"}
    assert asl.fill(template, DATA, {}) == {"x": 3, "y": [{"z": "text-4"}], "k": "$.n"}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("States.JsonToString($.a)", '{"b":[1,{"c":"x"}]}'),
        ("States.StringToJson('{\"q\": 1}')", {"q": 1}),
        ("States.ArrayGetItem(States.Array(1, true, null, 'it\\'s'), 3)", "it's"),
        ("States.Hash('a', 'SHA-256')", "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"),
        ("States.Base64Encode('a')", "YQ=="),
    ],
)
def test_intrinsic_functions(expression: str, value: Any) -> None:
    assert asl.evaluate(expression, DATA, {}) == value


def test_an_unknown_function_is_refused_and_a_failing_one_is_an_intrinsic_failure() -> None:
    with pytest.raises(asl.Unsupported, match="ArrayRange"):
        asl.evaluate("States.ArrayRange(1, 2, 3)", DATA, {})
    with pytest.raises(asl.StateError, match="IntrinsicFailure"):
        asl.evaluate("States.StringToJson('{')", DATA, {})


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"Variable": "$.n", "NumericGreaterThan": 2}, True),
        ({"Variable": "$.n", "NumericLessThanEquals": 2}, False),
        ({"Variable": "$.t", "StringEquals": "text"}, True),
        ({"Variable": "$.t", "NumericEquals": 3}, False),
        ({"Variable": "$.t", "StringMatches": "te*"}, True),
        ({"Variable": "$.t", "StringEqualsPath": "$.t"}, True),
        ({"Variable": "$.gone", "IsPresent": False}, True),
        ({"Variable": "$.none", "IsNull": True}, True),
        ({"And": [{"Variable": "$.n", "IsNumeric": True}, {"Not": {"Variable": "$.t", "IsString": True}}]}, False),
        ({"Or": [{"Variable": "$.n", "NumericEquals": 3}, {"Variable": "$.gone", "IsNull": True}]}, True),
    ],
)
def test_choices(rule: dict[str, Any], expected: bool) -> None:
    assert asl.holds(rule, DATA, {}) is expected


@pytest.mark.parametrize(
    ("names", "error", "expected"),
    [
        (["Verdict"], "Verdict", True),
        (["Verdict"], "VerdictChild", False),
        (["States.ALL"], "Anything", True),
        (["States.ALL"], "States.Runtime", False),
        (["States.TaskFailed"], "Anything", True),
        (["States.TaskFailed"], "States.Timeout", False),
        (["States.Timeout"], "States.HeartbeatTimeout", True),
    ],
)
def test_errors_match_by_exact_name_or_collective_name(names: list[str], error: str, expected: bool) -> None:
    assert asl.matches(names, error) is expected
