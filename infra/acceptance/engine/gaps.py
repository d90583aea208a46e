"""Where MiniStack is not AWS and the unmodified template needs it to be: each gap, and how it is closed.

A gap is closed from outside, in MiniStack's own process. Nothing of the product or of the template is changed for it.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from types import SimpleNamespace
from typing import Any, Final

#: The interpreter of the runtime that the template names, found by whoever starts the engine.
RUNTIME_PYTHON: Final = "ACCEPTANCE_RUNTIME_PYTHON"


@dataclass(frozen=True)
class Gap:
    """One thing that AWS does and MiniStack does not, in words, and what closes it."""

    lacks: str
    closed_by: str
    close: Callable[[Callable[[], float]], None]


def _module(name: str) -> Any:
    return import_module(f"ministack.{name}")


def _service(name: str) -> Any:
    return _module(f"services.{name}")


def _handlers() -> dict[str, dict[str, Any]]:
    handlers: dict[str, dict[str, Any]] = _service("cloudformation.provisioners")._RESOURCE_HANDLERS
    return handlers


def _runtime(_: Callable[[], float]) -> None:
    runtime = _module("core.lambda_runtime")
    found = runtime._detect_runtime_binary

    def named(wanted: str) -> tuple[str, str]:
        binary, script = found(wanted)
        return (os.environ[RUNTIME_PYTHON] if wanted.startswith("python") else binary), script

    runtime._detect_runtime_binary = named


def _error_class(_: Callable[[], float]) -> None:
    runtime, functions = _module("core.lambda_runtime"), _service("lambda_svc")
    said, raised = '"error": str(e), "trace"', '"error": str(e), "type": type(e).__name__, "trace"'
    script = runtime._PYTHON_WORKER_SCRIPT
    if said not in script:
        raise RuntimeError("MiniStack's worker reports errors in another way than the one this gap knows")
    runtime._PYTHON_WORKER_SCRIPT = script.replace(said, raised)
    last, invoke, execute = threading.local(), runtime.Worker.invoke, functions._execute_function_warm

    def remembered(self: Any, *args: Any, **kwargs: Any) -> Any:
        answer = invoke(self, *args, **kwargs)
        last.type = answer.get("type")
        return answer

    def typed(*args: Any, **kwargs: Any) -> Any:
        last.type = None
        result = execute(*args, **kwargs)
        if result.get("error") and last.type and result["body"].get("errorType") == "Runtime.HandlerError":
            result["body"]["errorType"] = last.type
        return result

    runtime.Worker.invoke, functions._execute_function_warm = remembered, typed


def _batches(_: Callable[[], float]) -> None:
    actions = _module("core.iam_actions")
    extract = actions.extract_iam_action

    def single(service: str, *args: Any, **kwargs: Any) -> str | None:
        action: str | None = extract(service, *args, **kwargs)
        return action.removesuffix("Batch") if action and service == "sqs" else action

    actions.extract_iam_action = single


def _tokens(_: Callable[[], float]) -> None:
    actions, machines = _module("core.iam_actions"), _service("stepfunctions")
    name, wait, execute, call = (
        actions.extract_resource_arn, machines._invoke_with_callback, machines._execute_task, machines._call_lambda
    )  # fmt: skip
    here, owners = threading.local(), dict[str, str]()

    def running(state: Any, given: Any, execution: dict[str, Any], *rest: Any) -> Any:
        here.machine = execution["stateMachineArn"]
        return execute(state, given, execution, *rest)

    def waiting(resource: str, given: Any, token: str, state: Any) -> Any:
        owners[token], here.token = here.machine, token
        return wait(resource, given, token, state)

    def calling(function: str, event: Any) -> Any:
        token, here.token = getattr(here, "token", None), None
        try:
            return call(function, event)
        except machines._ExecutionError as error:
            if token:
                told = machines._task_tokens[token]
                told["error"] = {"Error": error.error, "Cause": error.cause}
                told["event"].set()
            raise

    def named(service: str, method: str, path: str, headers: Any, body: bytes, *rest: Any) -> str:
        if service == "states" and ".SendTask" in headers.get("x-amz-target", ""):
            return owners.get(json.loads(body).get("taskToken"), "*")
        arn: str = name(service, method, path, headers, body, *rest)
        return arn

    actions.extract_resource_arn = named
    machines._execute_task, machines._invoke_with_callback, machines._call_lambda = running, waiting, calling


def _numbers(_: Callable[[], float]) -> None:
    kind = _handlers()["AWS::Lambda::EventSourceMapping"]
    create = kind["create"]

    def typed(logical: str, properties: dict[str, Any], stack: str) -> Any:
        scaling = properties.get("ScalingConfig") or {}
        if "MaximumConcurrency" in scaling:
            scaling = {**scaling, "MaximumConcurrency": int(scaling["MaximumConcurrency"])}
            properties = {**properties, "ScalingConfig": scaling}
        return create(logical, properties, stack)

    kind["create"] = typed


def _routes(_: Callable[[], float]) -> None:
    """Integrations, authorizers and routes out of the OpenAPI document, as API Gateway imports it."""
    kinds = _handlers()
    create = kinds["AWS::ApiGatewayV2::Api"]["create"]

    def imported(logical: str, properties: dict[str, Any], stack: str) -> Any:
        body = properties.get("Body") or {}
        name = properties.get("Name") or body.get("info", {}).get("title")
        api, answers = create(logical, {**properties, "Name": name} if name else properties, stack)
        schemes = body.get("components", {}).get("securitySchemes", {})
        guards = {name: _authorizer(kinds, api, name, scheme, stack) for name, scheme in schemes.items()}
        for path, methods in body.get("paths", {}).items():
            for method, operation in methods.items():
                _route(kinds, api, f"{method.upper()} {path}", operation, guards, stack)
        return api, answers

    kinds["AWS::ApiGatewayV2::Api"]["create"] = imported


def _authorizer(kinds: dict[str, Any], api: str, name: str, scheme: dict[str, Any], stack: str) -> tuple[str, str]:
    """The authorization type of the routes behind it, and its id."""
    told = scheme["x-amazon-apigateway-authorizer"]
    jwt = told["type"] == "jwt"
    source = told.get("identitySource", [])
    made = kinds["AWS::ApiGatewayV2::Authorizer"]["create"](name, {
        "ApiId": api, "Name": name, "AuthorizerType": "JWT" if jwt else "REQUEST",
        "IdentitySource": source if isinstance(source, list) else [source],
        "JwtConfiguration": {key.title(): value for key, value in told.get("jwtConfiguration", {}).items()},
        "AuthorizerUri": told.get("authorizerUri", ""),
        "AuthorizerPayloadFormatVersion": told.get("authorizerPayloadFormatVersion", "2.0"),
        "AuthorizerResultTtlInSeconds": told.get("authorizerResultTtlInSeconds", 300),
        "EnableSimpleResponses": told.get("enableSimpleResponses", False),
    }, stack)  # fmt: skip
    return "JWT" if jwt else "CUSTOM", made[0]


def _route(
    kinds: dict[str, Any], api: str, key: str, operation: dict[str, Any], guards: dict[str, tuple[str, str]], stack: str
) -> None:
    told = operation["x-amazon-apigateway-integration"]
    target, _ = kinds["AWS::ApiGatewayV2::Integration"]["create"](key, {
        "ApiId": api, "IntegrationType": "AWS_PROXY", "IntegrationUri": told["uri"],
        "PayloadFormatVersion": told.get("payloadFormatVersion", "2.0"),
    }, stack)  # fmt: skip
    asked = next(iter(operation.get("security", [{"NONE": []}])[0]))
    kind, guard = guards.get(asked, ("NONE", ""))
    if kind == "NONE" and asked != "NONE":
        raise RuntimeError(f"route {key} asks for the authorizer {asked}, which the document does not declare")
    kinds["AWS::ApiGatewayV2::Route"]["create"](key, {
        "ApiId": api, "RouteKey": key, "Target": f"integrations/{target}",
        "AuthorizationType": kind, "AuthorizerId": guard,
    }, stack)  # fmt: skip


def _cookies(_: Callable[[], float]) -> None:
    functions = _service("lambda_svc")
    execute = functions._execute_function

    def told(function: Any, event: Any) -> Any:
        if isinstance(event, dict) and event.get("version") == "2.0" and "cookie" in event.get("headers", {}):
            event["cookies"] = event["headers"]["cookie"].split("; ")
        return execute(function, event)

    functions._execute_function = told


def _archive(_: Callable[[], float]) -> None:
    events = _service("eventbridge")

    def asked(answer: tuple[int, Any, bytes]) -> dict[str, Any]:
        status, _, body = answer
        said: dict[str, Any] = json.loads(body or b"{}")
        if status >= 400:
            raise ValueError(f"AWS::Events::Archive: {said.get('message', said)}")
        return said

    def create(logical: str, properties: dict[str, Any], stack: str) -> tuple[str, dict[str, Any]]:
        name = properties.get("ArchiveName") or f"{stack}-{logical}"
        pattern = properties.get("EventPattern", "")
        told = {
            "ArchiveName": name,
            "EventSourceArn": properties["SourceArn"],
            "Description": properties.get("Description", ""),
            "RetentionDays": int(properties.get("RetentionDays", 0)),
            "EventPattern": json.dumps(pattern) if isinstance(pattern, dict) else pattern,
        }
        return name, {"Arn": asked(events._create_archive(told))["ArchiveArn"], "ArchiveName": name}

    def delete(physical: str, properties: dict[str, Any]) -> None:
        asked(events._delete_archive({"ArchiveName": physical}))

    _handlers()["AWS::Events::Archive"] = {"create": create, "delete": delete}


def _metric_math(_: Callable[[], float]) -> None:
    kind = _handlers()["AWS::CloudWatch::Alarm"]
    create, delete = kind["create"], kind["delete"]
    unseen: set[str] = set()

    def noted(logical: str, properties: dict[str, Any], stack: str) -> Any:
        if not properties.get("Metrics"):
            return create(logical, properties, stack)
        name = properties.get("AlarmName") or f"{stack}-{logical}"
        unseen.add(name)
        return name, {"Arn": f"arn:aws:cloudwatch:us-east-1:000000000000:alarm:{name}"}

    def forgotten(physical: str, properties: dict[str, Any]) -> Any:
        return unseen.discard(physical) if physical in unseen else delete(physical, properties)

    kind.update(create=noted, delete=forgotten)


def _seconds(now: Callable[[], float]) -> None:
    """One clock for what waits and for what says the time; the story moves it to whatever is due next."""
    events, queues, api = _service("eventbridge"), _service("sqs"), _service("apigateway")
    events._now_ts, events._SCHEDULER_TICK_INTERVAL = now, 0.2
    queues.time = api.time = SimpleNamespace(
        time=now,
        gmtime=lambda: time.gmtime(now()),
        strftime=lambda form, moment=None: time.strftime(form, moment or time.gmtime(now())),
    )
    create = _handlers()["AWS::Events::Rule"]["create"]

    def counted(logical: str, properties: dict[str, Any], stack: str) -> Any:
        name, answers = create(logical, properties, stack)
        for rule in events._rules.values():
            rule.setdefault("CreationTime", now())  # a rate counts from the rule's creation
        return name, answers

    _handlers()["AWS::Events::Rule"]["create"] = counted


def _one_port(_: Callable[[], float]) -> None:
    _module("app")._port_is_bindable = lambda host, port: False


GAPS: Final = (
    Gap("functions run under the Python that runs MiniStack", "they run under the runtime that the template names",
        _runtime),
    Gap("what a function raises is always Runtime.HandlerError", "the class of what was raised is its errorType, so"
        " that state machines catch and retry by name", _error_class),
    Gap("a batch of messages is authorised as sqs:SendMessageBatch, an action that IAM does not have", "it is"
        " authorised as sqs:SendMessage, as SQS documents", _batches),
    Gap("an answer to a waiting step is authorised on any resource, and the failure of the function that was to answer"
        " is passed over", "it is authorised on the state machine that waits, which AWS names when it refuses; and the"
        " failure ends the wait", _tokens),
    Gap("a number that a parameter gives reaches the poller as text, and stops it", "MaximumConcurrency is made a"
        " number, as CloudFormation does by the resource's schema", _numbers),
    Gap("an HTTP API with a Body gets no route", "integrations, authorizers and routes are made from the Body",
        _routes),
    Gap("a request's cookies are not told apart", "they are a list of the event, as payload format 2.0 has it",
        _cookies),
    Gap("AWS::Events::Archive is unknown", "it is made by MiniStack's own CreateArchive", _archive),
    Gap("an alarm with metric math fails the stack", "it is noted by name and not made: such alarms are held by the"
        " house's lint, not by this", _metric_math),
    Gap("a minute lasts a minute", "schedules, queues and the API read the story's clock, which jumps to what is"
        " due next", _seconds),
    Gap("with TLS it also takes port 443 where it can", "it keeps to its one port", _one_port),
)  # fmt: skip
