"""Reads the very template that is deployed: YAML tags, SAM transform, parameters, conditions, dependency order.

The SAM transform is AWS's own (aws-sam-translator). What it leaves behind is plain CloudFormation, whose
intrinsic functions are resolved here against what `infra.local.make` has made so far.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml

REGION = "eu-central-1"
ACCOUNT = "123456789012"
NO_VALUE = object()

_SUB = re.compile(r"\$\{(!?)([^}]+)\}")


class TemplateError(ValueError):
    """The template says something that the local world cannot follow; the text names the place."""


@dataclass
class Made:
    """A resource that exists: what ``Ref`` answers, and what ``GetAtt`` answers."""

    ref: str
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Resource:
    """One CloudFormation resource after the SAM transform, its properties not yet resolved."""

    name: str
    type: str
    properties: dict[str, Any]
    needs: frozenset[str]


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Safe loader that reads the short forms of CloudFormation's intrinsic functions."""


def _intrinsic(loader: Any, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _intrinsic)


class Template:
    """The stack: resources in the order in which they can be made, and a resolver for their properties."""

    def __init__(self, path: str | Path, parameters: Mapping[str, str] | None = None) -> None:
        self.path = Path(path).resolve()
        raw = yaml.load(self.path.read_text(encoding="utf-8"), Loader=_Loader)
        self.parameters = self._parameters(raw.get("Parameters", {}), dict(parameters or {}))
        self.folders: dict[str, Path] = {}
        self._localise(raw)
        expanded = json.loads(_expanded(json.dumps(raw, default=str), json.dumps(self.parameters)))
        self._mappings: dict[str, Any] = expanded.get("Mappings", {})
        self._conditions: dict[str, Any] = expanded.get("Conditions", {})
        self.outputs: dict[str, Any] = expanded.get("Outputs", {})
        self.resources = self._in_order(expanded["Resources"])

    def _parameters(self, declared: dict[str, Any], given: dict[str, str]) -> dict[str, Any]:
        if unknown := set(given) - set(declared):
            raise TemplateError(f"no such parameter: {', '.join(sorted(unknown))}")
        values: dict[str, Any] = {}
        for name, spec in declared.items():
            if name not in given and "Default" not in spec:
                raise TemplateError(f"parameter {name} has no default and was not given")
            value = given.get(name, spec.get("Default"))
            allowed = spec.get("AllowedValues")
            if allowed and value not in allowed:
                raise TemplateError(f"parameter {name} is {value!r}, allowed are {allowed}")
            is_list = spec.get("Type") in ("CommaDelimitedList", "List<Number>")
            values[name] = [part.strip() for part in str(value).split(",")] if is_list else str(value)
        return values

    def _localise(self, raw: dict[str, Any]) -> None:
        """Notes local code folders and puts state machine files inline, as ``sam package`` would upload them."""
        shared_uri = raw.get("Globals", {}).get("Function", {}).get("CodeUri")
        for name, resource in raw["Resources"].items():
            properties = resource.setdefault("Properties", {})
            match resource["Type"]:
                case "AWS::Serverless::Function" if "InlineCode" not in properties:
                    uri = properties.get("CodeUri", shared_uri)
                    if not isinstance(uri, str):
                        raise TemplateError(f"{name}: CodeUri must be a local folder, not {uri!r}")
                    self.folders[name] = self.path.parent / uri
                    properties["CodeUri"] = f"s3://local/{name}"
                case "AWS::Serverless::LayerVersion":
                    properties["ContentUri"] = f"s3://local/{name}"
                case "AWS::Serverless::StateMachine" if isinstance(properties.get("DefinitionUri"), str):
                    file = self.path.parent / properties.pop("DefinitionUri")
                    if not file.exists():
                        raise TemplateError(f"{name}: DefinitionUri {file} does not exist")
                    properties["Definition"] = yaml.safe_load(file.read_text(encoding="utf-8"))  # JSON is YAML

    def _in_order(self, raw: dict[str, Any]) -> dict[str, Resource]:
        kept: dict[str, Resource] = {}
        for name, body in raw.items():
            if "Condition" in body and not self.condition(body["Condition"]):
                continue
            properties = body.get("Properties", {})
            after = body.get("DependsOn", [])
            needs = set(_references(properties)) | set([after] if isinstance(after, str) else after)
            kept[name] = Resource(name, body["Type"], properties, frozenset(needs & raw.keys()))
        graph = {name: sorted(resource.needs & kept.keys()) for name, resource in kept.items()}
        return {name: kept[name] for name in TopologicalSorter(graph).static_order()}

    def condition(self, name: Any) -> bool:
        """Whether the condition of that name holds, or an inline condition does."""
        value = self._conditions[name] if isinstance(name, str) else name
        answer = self.resolve(value, {})
        return answer is True or answer == "true"

    def resolve(self, value: Any, made: Mapping[str, Made]) -> Any:
        """The value with every intrinsic function replaced by what it stands for."""
        if isinstance(value, list):
            return [out for item in value if (out := self.resolve(item, made)) is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (key, argument), *_ = value.items()
            if key == "Ref" or key.startswith("Fn::") or (key == "Condition" and isinstance(argument, str)):
                return self._intrinsic(key, argument, made)
        pairs = ((key, self.resolve(item, made)) for key, item in value.items())
        return {key: item for key, item in pairs if item is not NO_VALUE}

    def _intrinsic(self, key: str, argument: Any, made: Mapping[str, Made]) -> Any:
        match key:
            case "Ref":
                return self._ref(argument, made)
            case "Condition":
                return self.condition(argument)
            case "Fn::GetAtt":
                return self._attribute(argument, made)
            case "Fn::Sub":
                return self._sub(argument, made)
            case "Fn::If":
                return self.resolve(argument[1 if self.condition(argument[0]) else 2], made)
        items = self.resolve(argument, made)
        match key:
            case "Fn::Join":
                return items[0].join(str(item) for item in items[1])
            case "Fn::Split":
                return items[1].split(items[0])
            case "Fn::Select":
                return items[1][int(items[0])]
            case "Fn::FindInMap":
                return self._mappings[items[0]][items[1]][items[2]]
            case "Fn::Equals":
                return str(items[0]) == str(items[1])
            case "Fn::And":
                return all(item in (True, "true") for item in items)
            case "Fn::Or":
                return any(item in (True, "true") for item in items)
            case "Fn::Not":
                return items[0] not in (True, "true")
            case "Fn::Base64":
                return base64.b64encode(str(items).encode()).decode()
        raise TemplateError(f"the local world does not know the function {key}")

    def _ref(self, name: str, made: Mapping[str, Made]) -> Any:
        if name in made:
            return made[name].ref
        if name in self.parameters:
            return self.parameters[name]
        pseudo = {
            "AWS::Region": REGION, "AWS::AccountId": ACCOUNT, "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com", "AWS::StackName": "tieout-local", "AWS::NoValue": NO_VALUE,
            "AWS::StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/tieout-local/0",
            "AWS::NotificationARNs": [],
        }  # fmt: skip
        if name in pseudo:
            return pseudo[name]
        raise TemplateError(f"Ref to {name}, which does not exist here (or is switched off by its condition)")

    def _attribute(self, argument: list[str], made: Mapping[str, Made]) -> Any:
        name, attribute = argument[0], ".".join(str(part) for part in argument[1:])
        if name not in made:
            raise TemplateError(f"GetAtt {name}.{attribute}: {name} does not exist here")
        if attribute not in made[name].attributes:
            raise TemplateError(f"GetAtt {name}.{attribute}: the local world does not know this attribute")
        return made[name].attributes[attribute]

    def _sub(self, argument: Any, made: Mapping[str, Made]) -> str:
        text, local = (argument, {}) if isinstance(argument, str) else (argument[0], argument[1])

        def one(match: re.Match[str]) -> str:
            literal, name = match.group(1), match.group(2).strip()
            if literal:
                return "${" + name + "}"
            if name in local:
                return str(self.resolve(local[name], made))
            return str(self._attribute(name.split(".", 1), made) if "." in name else self._ref(name, made))

        return _SUB.sub(one, text)


@lru_cache(maxsize=8)
def _expanded(raw: str, parameters: str) -> str:
    """The template (JSON) after AWS's SAM transform, as JSON; remembered, because tests raise many worlds."""
    from samtranslator.translator.transform import transform

    class NoManagedPolicies:
        """AWS's managed policies are not looked up: nothing is denied here."""

        def load(self) -> dict[str, str]:
            return {}

    logging.getLogger("samtranslator").setLevel(logging.ERROR)  # it warns of metrics that it did not send
    with patch.dict(os.environ, {"AWS_DEFAULT_REGION": REGION}):
        return json.dumps(transform(json.loads(raw), json.loads(parameters), NoManagedPolicies()))


def _references(value: Any) -> Iterator[str]:
    """Names that the value refers to by Ref, GetAtt or Sub (parameters included; the caller filters)."""
    if isinstance(value, list):
        for item in value:
            yield from _references(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == "Ref" and isinstance(item, str):
                yield item
            elif key == "Fn::GetAtt":
                yield str(item[0] if isinstance(item, list) else item.split(".")[0])
            elif key == "Fn::Sub":
                text = item if isinstance(item, str) else item[0]
                yield from (name.strip().split(".")[0] for bang, name in _SUB.findall(text) if not bang)
                yield from _references([] if isinstance(item, str) else list(item[1].values()))
            else:
                yield from _references(item)
