"""What each role grants, what of it the story asked for, and the template with one action less."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from infra.expand import source
from infra.lint.house import items
from infra.local.template import Made

Right = tuple[str, str]
#: What a service asks for in the role's name, and no function by itself: held by `infra.service_rights`.
_OF_SERVICES: Final = frozenset({
    "logs:CreateLogStream", "logs:PutLogEvents", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes",
})  # fmt: skip
#: Roles that no function has.
_OF_MACHINES: Final = "states.amazonaws.com"


class Unknown(ValueError):
    """There is no such right to take away; the text says what there is."""


def granted(template: Path) -> set[Right]:
    """Role and action of all that functions may do by themselves."""
    return {
        (name, action)
        for name, role in _roles(template).items()
        for statement in _statements(role)
        if statement["Effect"] == "Allow"
        for action in items(statement["Action"])
        if action not in _OF_SERVICES and _OF_MACHINES not in json.dumps(role["AssumeRolePolicyDocument"])
    }


def used(decisions: Iterable[Mapping[str, Any]], resources: Mapping[str, Made]) -> set[Right]:
    """Role, by its logical id, and action of all that was asked for and allowed."""
    names = {made.ref: name for name, made in resources.items()}
    return {(names[one["role"]], one["action"]) for one in decisions if one["allowed"]}


def without(template: Path, right: Right) -> Path:
    """A copy of a built template in which one role lacks one action. Raises ``Unknown``."""
    role, action = right
    parsed = source(template)
    wanted = parsed["Resources"].get(role, {})
    before = json.dumps(wanted)
    for policy in wanted.get("Properties", {}).get("Policies", []):
        kept = []
        for statement in policy["PolicyDocument"]["Statement"]:
            statement["Action"] = [one for one in items(statement["Action"]) if one != action]
            kept += [statement] if statement["Action"] else []
        policy["PolicyDocument"]["Statement"] = kept
    if f'"{action}"' not in before:
        known = sorted(f"{one}:{what}" for one, what in granted(template) if one == role) or sorted(_roles(template))
        raise Unknown(f"{role} has no {action}; there is {', '.join(known)}")
    copy = template.with_name(f"without-{role}-{action.replace(':', '-')}.yaml")
    copy.write_text(json.dumps(parsed, indent=1))  # JSON is YAML
    return copy


def _roles(template: Path) -> dict[str, Any]:
    found = source(template)["Resources"].items()
    return {name: one["Properties"] for name, one in found if one["Type"] == "AWS::IAM::Role"}


def _statements(role: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [one for policy in role.get("Policies", []) for one in items(policy["PolicyDocument"]["Statement"])]
