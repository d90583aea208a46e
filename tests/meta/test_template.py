"""The stack keeps its house rules, each rule was shown to fail, and nothing is public that is not listed here."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from infra import expand
from infra.lint import house
from tests.meta.guards import ROOT
from tieout.aws import wiring

#: Who may call what without showing who they are. A new line here is a decision.
PUBLIC_ROUTES = {
    ("POST", "/hooks/{source}/{account}"),  # the signature over the raw body is the authorisation
    ("GET", "/auth/login"),
    ("GET", "/auth/callback"),
    ("POST", "/auth/logout"),
}


@cache
def _expanded() -> str:
    return json.dumps(expand.expand(expand.source()))


@pytest.fixture
def stack() -> dict[str, Any]:
    """The expanded template, a fresh copy."""
    template: dict[str, Any] = json.loads(_expanded())
    return template


def routes(template: dict[str, Any]) -> dict[tuple[str, str], set[str]]:
    """Method and path of each route of the HTTP API, and the authorizers that guard it; none named is ``NONE``."""
    found = {}
    for _, api in house.resources(template, "AWS::ApiGatewayV2::Api"):
        for path, methods in api["Properties"]["Body"]["paths"].items():
            for method, operation in methods.items():
                names = {name for entry in operation.get("security", []) for name in entry}
                found[method.upper(), path] = names or {"NONE"}
    return found


def test_only_the_listed_routes_are_public(stack: dict[str, Any]) -> None:
    assert {route for route, guards in routes(stack).items() if "NONE" in guards} == PUBLIC_ROUTES


def test_a_route_without_a_word_about_it_asks_for_a_token() -> None:
    source = expand.source()
    source["Resources"]["DeskFunction"]["Properties"]["Events"]["Forgotten"] = {
        "Type": "HttpApi",
        "Properties": {"ApiId": {"Ref": "Api"}, "Method": "GET", "Path": "/forgotten"},
    }
    assert routes(expand.expand(source))["GET", "/forgotten"] == {"Oidc"}


def test_pages_ask_for_a_session_and_the_json_api_for_a_token(stack: dict[str, Any]) -> None:
    guarded = {route: guards for route, guards in routes(stack).items() if route not in PUBLIC_ROUTES}
    assert guarded == {
        ("GET", "/v1/{proxy+}"): {"Oidc"},
        ("POST", "/v1/tables/{proxy+}"): {"Oidc"},
        ("POST", "/v1/settle/{proxy+}"): {"Oidc"},
        ("GET", "/desk"): {"DeskSession"},
        ("GET", "/desk/{proxy+}"): {"DeskSession"},
    }


def test_webhooks_come_in_through_the_api_and_nothing_else_is_open_to_the_world(stack: dict[str, Any]) -> None:
    assert not list(house.resources(stack, "AWS::Lambda::Url"))
    callers = {house.properties(one)["Principal"] for _, one in house.resources(stack, "AWS::Lambda::Permission")}
    assert callers == {"apigateway.amazonaws.com", "events.amazonaws.com"}


# --- the house rules ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", house.RULES.values(), ids=lambda rule: rule.__name__)
def test_the_stack_keeps_the_rule(rule: Callable[[house.Template], house.Problems], stack: dict[str, Any]) -> None:
    assert list(rule(stack)) == [], rule.__doc__


def _set(name: str, *keys: str | int, to: Any) -> Callable[[dict[str, Any]], None]:
    """A fault: one place of one resource set to another value, or taken away where ``to`` is None."""

    def plant(template: dict[str, Any]) -> None:
        place = template["Resources"][name]
        for key in keys[:-1]:
            place = place[key]
        if to is None:
            del place[keys[-1]]
        else:
            place[keys[-1]] = copy.deepcopy(to)

    return plant


def _allow(action: str, resource: str) -> Callable[[dict[str, Any]], None]:
    """A fault: one more right for intake."""

    def plant(template: dict[str, Any]) -> None:
        policy = template["Resources"]["IntakeRole"]["Properties"]["Policies"][0]["PolicyDocument"]
        policy["Statement"].append({"Effect": "Allow", "Action": action, "Resource": resource})

    return plant


def _drop(name: str) -> Callable[[dict[str, Any]], None]:
    """A fault: a resource taken away."""
    return lambda template: template["Resources"].pop(name)


def _crowd(template: dict[str, Any]) -> None:
    template["Resources"].update({f"More{n}": {"Type": "AWS::SQS::Queue"} for n in range(house.STACK)})


MAPPING = "IntakeFunctionInbox"
FAULTS: list[tuple[Callable[[house.Template], house.Problems], Callable[[dict[str, Any]], None], str]] = [
    (house.log_retention, _set("IntakeLogs", "Properties", "RetentionInDays", to=None), "keeps its logs for ever"),
    (house.log_retention, _set("PostFunction", "Properties", "LoggingConfig", to=None), "has no log group"),
    (house.dead_letters, _set("Inbox", "Properties", "RedrivePolicy", to=None), "Inbox has no dead-letter queue"),
    (house.dead_letters, _set("Inbox", "Properties", "RedrivePolicy", "maxReceiveCount", to=4), "fewer than five"),
    (house.dead_letters, _set("StripeLaneDead", "Properties", "FifoQueue", to=None), "not of the same kind"),
    (house.dead_letters, _drop("InboxDeadAlarm"), "no alarm watches the dead-letter queue InboxDead"),
    (house.queue_retention, _set("Inbox", "Properties", "MessageRetentionPeriod", to=345600), "14 days"),
    (house.partial_failures, _set(MAPPING, "Properties", "FunctionResponseTypes", to=None), "ReportBatchItemFailures"),
    (house.partial_failures, _set(MAPPING, "Properties", "FilterCriteria", to={"Filters": []}), "filters"),
    (house.partial_failures, _set("StripeLaneMapping", "Properties", "ScalingConfig", to=None), "MaximumConcurrency"),
    (house.visibility, _set("Inbox", "Properties", "VisibilityTimeout", to=180), "less than 181 s"),
    (house.visibility, _set("PostFunction", "Properties", "Timeout", to=61), "StripeLane hides"),
    (house.books_are_kept, _set("Ledger", "DeletionPolicy", to="Delete"), "set DeletionPolicy to Retain"),
    (house.books_are_kept, _set("Ledger", "UpdateReplacePolicy", to=None), "set UpdateReplacePolicy to Retain"),
    (house.books_are_kept, _set("Ledger", "Properties", "DeletionProtectionEnabled", to=False), "by a slip"),
    (
        house.books_are_kept,
        _set("Ledger", "Properties", "PointInTimeRecoverySpecification", to={"PointInTimeRecoveryEnabled": False}),
        "cannot be recovered",
    ),
    (
        house.books_are_kept,
        _set("Ledger", "Properties", "TimeToLiveSpecification", to={"AttributeName": "due", "Enabled": True}),
        "books do not expire",
    ),
    (
        house.own_roles,
        _set("PostFunction", "Properties", "Role", to={"Fn::GetAtt": ["IntakeRole", "Arn"]}),
        "shares IntakeRole",
    ),
    (
        house.own_roles,
        _set("PostFunction", "Properties", "Role", to="arn:aws:iam::1:role/x"),
        "PostFunction has no role",
    ),
    (house.own_roles, _set("PostRole", "Properties", "ManagedPolicyArns", to=["x"]), "takes a managed policy"),
    (house.no_stars, _allow("s3:*", "arn:aws:s3:::a"), "allows actions by a wildcard"),
    (house.no_stars, _allow("s3:GetObject", "*"), "allows something on every resource"),
    (house.no_stars, _set("MachineRole", "Metadata", to=None), "allows something on every resource"),
    (house.encrypted_both_ways, _set("Inbox", "Properties", "SqsManagedSseEnabled", to=False), "not encrypted"),
    (house.encrypted_both_ways, _set("Ledger", "Properties", "SSESpecification", to=None), "not encrypted"),
    (house.encrypted_both_ways, _drop("VaultPolicy"), "Vault has no policy that refuses plain HTTP"),
    (house.encrypted_both_ways, _drop("StripeLanePolicy"), "StripeLane has no policy that refuses plain HTTP"),
    (
        house.encrypted_both_ways,
        _set("Vault", "Properties", "PublicAccessBlockConfiguration", "BlockPublicPolicy", to=False),
        "becoming public",
    ),
    (
        house.standard_machines,
        _set("CustomerOnboarding", "Properties", "StateMachineType", to="EXPRESS"),
        "must be of type STANDARD",
    ),
    (house.told_timeout, _set("ProbeFunction", "Properties", "Timeout", to=50), "is told FUNCTION_TIMEOUT=60"),
    (house.watched_functions, _drop("PostErrorsAlarm"), "no alarm watches the errors of PostFunction"),
    (
        house.gaps_are_filled,
        _set("InboxDeadAlarm", "Properties", "Metrics", 2, "Expression", to="FILL(lies, 0) + went"),
        "does not fill gaps of went",
    ),
    (house.within_quotas, _allow("s3:GetObject", "x" * house.INLINE_POLICIES), "the policies of IntakeRole take about"),
    (
        house.within_quotas,
        _set("PostFunction", "Properties", "Environment", "Variables", "MORE", to="x" * house.ENVIRONMENT),
        "the environment of PostFunction takes about",
    ),
    (house.within_quotas, _crowd, "of 500 resources: nest some"),
]


@pytest.mark.parametrize(("rule", "plant", "said"), FAULTS, ids=lambda value: getattr(value, "__name__", None))
def test_a_planted_fault_breaks_the_rule(
    rule: Callable[[house.Template], house.Problems],
    plant: Callable[[dict[str, Any]], None],
    said: str,
    stack: dict[str, Any],
) -> None:
    plant(stack)
    assert said in "\n".join(message for _, message in rule(stack))


def test_every_rule_was_shown_to_fail() -> None:
    assert {rule for rule, _, _ in FAULTS} == set(house.RULES.values())


def test_an_alarm_on_a_figure_of_ours_asks_for_it_as_it_is_written(
    stack: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    alarms = [house.properties(one) for _, one in house.resources(stack, "AWS::CloudWatch::Alarm")]
    ours = [alarm for alarm in alarms if alarm.get("Namespace") == "Tieout"]
    assert ours
    for alarm in ours:
        asked = {one["Name"]: one["Value"] for one in alarm["Dimensions"]}
        wiring.count(asked["verb"], {alarm["MetricName"]: 1})
        line = json.loads(capsys.readouterr().out)
        (written,) = line["_aws"]["CloudWatchMetrics"]
        assert written["Namespace"] == alarm["Namespace"]
        assert any({name: line[name] for name in names} == asked for names in written["Dimensions"]), alarm


def test_cfn_lint_runs_the_house_rules(tmp_path: Path) -> None:
    bare = {"Resources": {"Bare": {"Type": "AWS::SQS::Queue", "Properties": {"MessageRetentionPeriod": 1209600}}}}
    (tmp_path / "bare.json").write_text(json.dumps(bare), encoding="utf-8")
    lint = [str(Path(sys.executable).with_name("cfn-lint")), "--append-rules", str(ROOT / "infra/lint")]
    done = subprocess.run([*lint, "--", str(tmp_path / "bare.json")], capture_output=True, text=True, check=False)
    assert "E9102" in done.stdout, done.stdout + done.stderr
    assert "E9109" in done.stdout
    assert "E9103" not in done.stdout


def test_the_desk_writes_changes_of_tables_postings_lanes_runs_and_wishes_for_checks_and_nothing_else(
    stack: dict[str, Any],
) -> None:
    """No emulator at hand holds roles to leading keys, so the template is asked."""
    [policy] = stack["Resources"]["DeskRole"]["Properties"]["Policies"]
    writes = {"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:BatchWriteItem"}
    keys: set[str] = set()
    for one in policy["PolicyDocument"]["Statement"]:
        actions = one["Action"] if isinstance(one["Action"], list) else [one["Action"]]
        if writes & set(actions):
            assert list(one["Condition"]) == ["ForAllValues:StringLike"]
            keys |= set(one["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"])
    assert keys == {"T#*", "P#*", "L#*", "F#*", "V#*"}
