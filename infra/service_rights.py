"""Rights that one AWS service needs on another, read off the expanded template.

No emulator checks these: API Gateway, EventBridge and Lambda's pollers call whatever they are told
to. On AWS a missing one is an API that answers 500, a schedule that never runs, or a queue that nobody reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from infra.lint.house import Template, items, properties, resources, target_of

READS: Final = frozenset({"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"})
WRITES_LOGS: Final = frozenset({"logs:CreateLogStream", "logs:PutLogEvents"})
#: What Step Functions asks for to log at all (Developer Guide, "Logging using CloudWatch Logs").
DELIVERS_LOGS: Final = frozenset(
    f"logs:{verb}"
    for verb in (
        "CreateLogDelivery", "GetLogDelivery", "UpdateLogDelivery", "DeleteLogDelivery", "ListLogDeliveries",
        "PutResourcePolicy", "DescribeResourcePolicies", "DescribeLogGroups",
    )
)  # fmt: skip
_FUNCTION: Final = re.compile(r"functions/\$\{(\w+)\.Arn\}/invocations")
_PARAMETER: Final = re.compile(r"\{[^}]+\}")


def missing(template: Template) -> list[str]:
    """One sentence for each right that a service lacks, and for each that it has from everywhere."""
    checks = (_pollers, _routes, _authorizers, _rules, _machines, _logs, _failures, _trust, _deputies)
    return [problem for check in checks for problem in check(template)]


def _allowed(template: Template, role: str | None) -> set[tuple[str, str | None]]:
    """Action and logical id of each whole resource that the role's own policies allow without a condition."""
    if role is None or role not in template["Resources"]:
        return set()
    return {
        (action, target_of(resource))
        for policy in properties(template["Resources"][role]).get("Policies", [])
        for statement in items(policy["PolicyDocument"]["Statement"])
        if statement["Effect"] == "Allow" and "Condition" not in statement
        for action in items(statement["Action"])
        for resource in items(statement["Resource"])
    }


def _role(template: Template, name: str | None) -> str | None:
    owner = template["Resources"].get(name or "", {})
    return target_of(properties(owner).get("Role") or properties(owner).get("RoleArn"))


def _pollers(template: Template) -> Iterator[str]:
    for name, mapping in resources(template, "AWS::Lambda::EventSourceMapping"):
        queue, function = (target_of(properties(mapping)[key]) for key in ("EventSourceArn", "FunctionName"))
        has = {action for action, place in _allowed(template, _role(template, function)) if place == queue}
        for action in sorted(READS - has):
            yield f"{name}: the role of {function} may not {action} on {queue}"


def _permissions(template: Template, function: str, service: str) -> list[Any]:
    """Where that service may invoke the function from: the SourceArn of each permission."""
    return [
        properties(one).get("SourceArn")
        for _, one in resources(template, "AWS::Lambda::Permission")
        if properties(one).get("Action") == "lambda:InvokeFunction"
        and properties(one).get("Principal") == service
        and target_of(properties(one).get("FunctionName")) == function
    ]


def _ends(template: Template, function: str, api: str) -> list[str]:
    """What follows the API's id in the permissions that API Gateway has on the function from this API."""
    found = []
    for arn in _permissions(template, function, "apigateway.amazonaws.com"):
        match arn:
            case {"Fn::Sub": [str(text), {"__ApiId__": {"Ref": str(id_)}, **more}]} if id_ == api:
                end = text.partition("${__ApiId__}")[2]
                found.append(end.replace("${__Stage__}", str(more.get("__Stage__"))))
    return found


def _routes(template: Template) -> Iterator[str]:
    for api, resource in resources(template, "AWS::ApiGatewayV2::Api"):
        for path, methods in properties(resource)["Body"]["paths"].items():
            for method, operation in methods.items():
                function = _invoked(operation["x-amazon-apigateway-integration"]["uri"])
                need = f"/*/{method.upper()}{_PARAMETER.sub('*', path)}"
                if function is None or need not in _ends(template, function, api):
                    yield f"{api}: API Gateway may not invoke {function} for {method.upper()} {path}"


def _authorizers(template: Template) -> Iterator[str]:
    for api, resource in resources(template, "AWS::ApiGatewayV2::Api"):
        schemes = properties(resource)["Body"].get("components", {}).get("securitySchemes", {})
        for name, scheme in schemes.items():
            uri = scheme.get("x-amazon-apigateway-authorizer", {}).get("authorizerUri")
            if uri is None:
                continue  # a JWT authorizer calls no function
            function = _invoked(uri)
            if function is None or "/authorizers/*" not in _ends(template, function, api):
                yield f"{api}: API Gateway may not invoke {function} for the authorizer {name}"


def _invoked(uri: Any) -> str | None:
    """The function that an integration calls."""
    text = uri["Fn::Sub"]
    if isinstance(text, list):
        places = {name: target_of(value) for name, value in text[1].items()}
        found = re.search(r"functions/\$\{(\w+)\}/invocations", text[0])
        return places.get(found[1]) if found else None
    found = _FUNCTION.search(text)
    return found[1] if found else None


def _rules(template: Template) -> Iterator[str]:
    for rule, resource in resources(template, "AWS::Events::Rule"):
        for target in properties(resource)["Targets"]:
            function = target_of(target["Arn"]) or ""
            if template["Resources"].get(function, {}).get("Type") == "AWS::SQS::Queue":
                if not _fills(template, function):
                    yield f"{rule}: EventBridge may not send to {function}"
                continue
            sources = {target_of(arn) for arn in _permissions(template, function, "events.amazonaws.com")}
            if rule not in sources:
                yield f"{rule}: EventBridge may not invoke {function}"


def _fills(template: Template, queue: str) -> bool:
    """Whether the queue's own policy lets EventBridge send from this account's rules, and from them alone."""
    return any(
        statement["Effect"] == "Allow"
        and statement["Principal"] == {"Service": "events.amazonaws.com"}
        and "sqs:SendMessage" in items(statement["Action"])
        and target_of(statement["Resource"]) == queue
        and "${AWS::AccountId}:rule/" in str(statement.get("Condition", {}).get("ArnLike", {}).get("aws:SourceArn"))
        for _, policy in resources(template, "AWS::SQS::QueuePolicy")
        for statement in items(properties(policy)["PolicyDocument"]["Statement"])
    )


def _machines(template: Template) -> Iterator[str]:
    for name, machine in resources(template, "AWS::StepFunctions::StateMachine"):
        allowed = _allowed(template, _role(template, name))
        for given in properties(machine).get("DefinitionSubstitutions", {}).values():
            called = target_of(given)
            kind = template["Resources"].get(called or "", {}).get("Type")
            if kind == "AWS::Lambda::Function" and ("lambda:InvokeFunction", called) not in allowed:
                yield f"{name}: the machine may not invoke {called}"


def _logs(template: Template) -> Iterator[str]:
    for name, function in resources(template, "AWS::Lambda::Function"):
        group = target_of(properties(function).get("LoggingConfig", {}).get("LogGroup"))
        has = {action for action, place in _allowed(template, _role(template, name)) if place == group}
        for action in sorted(WRITES_LOGS - has):
            yield f"{name}: its role may not {action} on {group}, and it would leave no trace"
    for name, machine in resources(template, "AWS::StepFunctions::StateMachine"):
        if properties(machine).get("LoggingConfiguration"):
            has = {action for action, _ in _allowed(template, _role(template, name))}
            for action in sorted(DELIVERS_LOGS - has):
                yield f"{name}: its role may not {action}, and the machine cannot be made with its log"


def _failures(template: Template) -> Iterator[str]:
    for name, config in resources(template, "AWS::Lambda::EventInvokeConfig"):
        function = target_of(properties(config).get("FunctionName"))
        for way in properties(config).get("DestinationConfig", {}).values():
            place = target_of(way["Destination"])
            if ("sqs:SendMessage", place) not in _allowed(template, _role(template, function)):
                yield f"{name}: the role of {function} may not sqs:SendMessage on {place}"


def _trust(template: Template) -> Iterator[str]:
    for kind, service in (
        ("AWS::Lambda::Function", "lambda.amazonaws.com"),
        ("AWS::StepFunctions::StateMachine", "states.amazonaws.com"),
    ):
        for name, _ in resources(template, kind):
            role = _role(template, name)
            trust = properties(template["Resources"].get(role or "", {})).get("AssumeRolePolicyDocument", {})
            if not any(
                service in items(one.get("Principal", {}).get("Service")) for one in items(trust.get("Statement", {}))
            ):
                yield f"{name}: {role} does not trust {service}"


def _deputies(template: Template) -> Iterator[str]:
    for name, one in resources(template, "AWS::Lambda::Permission"):
        if not properties(one).get("SourceArn"):
            yield f"{name}: {properties(one).get('Principal')} may invoke for anybody's resource (no SourceArn)"
