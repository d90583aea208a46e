"""One service may call the other where the template makes it, and each check was shown to fail."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from infra import expand
from infra.service_rights import missing


@cache
def _expanded() -> str:
    return json.dumps(expand.expand(expand.source()))


@pytest.fixture
def stack() -> dict[str, Any]:
    """The expanded template, a fresh copy."""
    template: dict[str, Any] = json.loads(_expanded())
    return template


def _without(role: str, action: str) -> Callable[[dict[str, Any]], None]:
    """A fault: one action taken out of a role."""

    def plant(template: dict[str, Any]) -> None:
        for policy in template["Resources"][role]["Properties"]["Policies"]:
            for statement in policy["PolicyDocument"]["Statement"]:
                given = statement["Action"]
                kept = [one for one in (given if isinstance(given, list) else [given]) if one != action]
                statement["Action"] = kept

    return plant


def _drop(name: str) -> Callable[[dict[str, Any]], None]:
    """A fault: a resource taken away."""
    return lambda template: template["Resources"].pop(name)


def _forget(name: str, key: str) -> Callable[[dict[str, Any]], None]:
    """A fault: a property taken away."""
    return lambda template: template["Resources"][name]["Properties"].pop(key)


def _trusts_nobody_we_know(template: dict[str, Any]) -> None:
    trust = template["Resources"]["MachineRole"]["Properties"]["AssumeRolePolicyDocument"]
    trust["Statement"][0]["Principal"]["Service"] = "lambda.amazonaws.com"


def _fails_into_the_inbox(template: dict[str, Any]) -> None:
    destination = {"OnFailure": {"Destination": {"Fn::GetAtt": ["InboxDead", "Arn"]}}}
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Lambda::EventInvokeConfig":
            resource["Properties"]["DestinationConfig"] = destination


FAULTS = [
    (_without("IntakeRole", "sqs:DeleteMessage"), "the role of IntakeFunction may not sqs:DeleteMessage on Inbox"),
    (_without("PostRole", "sqs:ReceiveMessage"), "may not sqs:ReceiveMessage on NetsuiteLane"),
    (_without("MachineRole", "lambda:InvokeFunction"), "the machine may not invoke PostFunction"),
    (_without("ReceiveRole", "logs:PutLogEvents"), "may not logs:PutLogEvents on ReceiveLogs"),
    (_without("MachineRole", "logs:CreateLogDelivery"), "may not logs:CreateLogDelivery"),
    (_fails_into_the_inbox, "the role of ProbeFunction may not sqs:SendMessage on InboxDead"),
    (_drop("ReceiveFunctionHookPermission"), "may not invoke ReceiveFunction for POST /hooks/{source}/{account}"),
    (_drop("ApiDeskSessionAuthorizerPermission"), "may not invoke DeskAuthorizerFunction for the authorizer"),
    (_drop("ProbeFunctionEveryMinutePermission"), "EventBridge may not invoke ProbeFunction"),
    (_trusts_nobody_we_know, "MachineRole does not trust states.amazonaws.com"),
    (_forget("ReceiveFunctionHookPermission", "SourceArn"), "may invoke for anybody's resource"),
]


def test_every_service_may_call_what_the_template_makes_it_call(stack: dict[str, Any]) -> None:
    assert missing(stack) == []


@pytest.mark.parametrize(("plant", "said"), FAULTS, ids=[said for _, said in FAULTS])
def test_a_right_that_is_taken_away_is_missed(
    plant: Callable[[dict[str, Any]], None], said: str, stack: dict[str, Any]
) -> None:
    plant(stack)
    assert said in "\n".join(missing(stack))
