"""Makes the resources of the template: one maker for each type, through boto3 on moto or as an engine of our own.

Every property is either used, or listed as having no meaning in one process (tags, encryption, roles). A property
that is neither stops the start with its name; a type that is neither is named in ``not_emulated``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from infra.local.api import Api
from infra.local.functions import Function
from infra.local.machines import Machines
from infra.local.mappings import Mapping, queue_arn
from infra.local.schedules import Schedule, following
from infra.local.template import ACCOUNT, REGION, Made, Resource, Template

#: Types that exist in name only: they say who may do what, who is told, and what is kept; nothing acts on them.
RECORDED = {
    "AWS::ApiGatewayV2::Stage", "AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard", "AWS::IAM::ManagedPolicy",
    "AWS::IAM::Policy", "AWS::IAM::Role", "AWS::Lambda::LayerVersion", "AWS::Lambda::Permission",
    "AWS::Logs::LogGroup", "AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy",
}  # fmt: skip
QUEUE_ATTRIBUTES = {
    "VisibilityTimeout", "MessageRetentionPeriod", "DelaySeconds", "ReceiveMessageWaitTimeSeconds", "RedrivePolicy",
    "FifoQueue", "ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit", "MaximumMessageSize",
}  # fmt: skip


class NotEmulated(ValueError):
    """The template uses a property or a value whose effect the local world does not have; the text names it."""


class Place(Protocol):
    """What a maker may use of the world."""

    template: Template
    functions: dict[str, Function]
    machines: Machines
    api: Api
    mappings: list[Mapping]
    schedules: list[Schedule]
    not_emulated: list[str]
    recorded: list[str]

    def client(self, service: str) -> Any: ...

    def call_later(self, target: str, event: Any) -> None:
        """Delivers the event to a function or queue, asynchronously."""


class Maker:
    """Makes all resources of a template in one place."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.made: dict[str, Made] = {}
        self._stack = "tieout-local"

    def make_all(self) -> dict[str, Made]:
        """Makes every resource in dependency order; returns what ``Ref`` and ``GetAtt`` answer."""
        makers: dict[str, Callable[[str, dict[str, Any]], Made]] = {
            "AWS::ApiGatewayV2::Api": self._api,
            "AWS::DynamoDB::Table": self._table,
            "AWS::Events::EventBus": self._bus,
            "AWS::Events::Rule": self._rule,
            "AWS::Lambda::EventInvokeConfig": self._invoke_config,
            "AWS::Lambda::EventSourceMapping": self._mapping,
            "AWS::Lambda::Function": self._function,
            "AWS::S3::Bucket": self._bucket,
            "AWS::SQS::Queue": self._queue,
            "AWS::Scheduler::Schedule": self._schedule,
            "AWS::SecretsManager::Secret": self._secret,
            "AWS::StepFunctions::StateMachine": self._machine,
        }
        for resource in self._place.template.resources.values():
            properties = self._place.template.resolve(resource.properties, self.made)
            if maker := makers.get(resource.type):
                self.made[resource.name] = maker(resource.name, properties)
            else:
                known = resource.type in RECORDED
                (self._place.recorded if known else self._place.not_emulated).append(f"{resource.type} {resource.name}")
                self.made[resource.name] = self._in_name_only(resource, properties)
        return self.made

    def _in_name_only(self, resource: Resource, properties: dict[str, Any]) -> Made:
        stage = properties.get("StageName", "$default")
        if resource.type == "AWS::ApiGatewayV2::Stage" and stage != "$default":
            raise NotEmulated(f"{resource.name}: stage {stage}, only $default is emulated")
        names = ("LogGroupName", "RoleName", "AlarmName", "LayerName", "StageName", "DashboardName")
        name = next((properties[key] for key in names if key in properties), f"{self._stack}-{resource.name}")
        service, kind = resource.type.split("::")[1:]
        arn = f"arn:aws:{service.lower()}:{REGION}:{ACCOUNT}:{kind.lower()}/{name}"
        if resource.type == "AWS::Logs::LogGroup":
            arn = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{name}:*"
        return Made(arn if resource.type == "AWS::Lambda::LayerVersion" else name, {"Arn": arn, "RoleId": name})

    def _function(self, name: str, properties: dict[str, Any]) -> Made:
        _known(name, properties, "Handler Environment Timeout MemorySize FunctionName PackageType Code Role Runtime "
               "Layers Architectures Tags Description LoggingConfig TracingConfig ReservedConcurrentExecutions "
               "DeadLetterConfig EphemeralStorage SnapStart")  # fmt: skip
        if "DeadLetterConfig" in properties or properties.get("PackageType", "Zip") != "Zip":
            raise NotEmulated(f"{name}: DeadLetterConfig or PackageType")
        full = properties.get("FunctionName", f"{self._stack}-{name}")
        short = full.removeprefix(f"{self._stack}-")
        arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{full}"
        variables = {key: str(value) for key, value in properties.get("Environment", {}).get("Variables", {}).items()}
        self._place.functions[arn] = Function(
            name=short,
            arn=arn,
            folder=self._place.template.folders.get(name, Path("code-is-inline")),
            handler=properties["Handler"],
            environment={"AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION, **variables},
            timeout=float(properties.get("Timeout", 3)),
            memory=int(properties.get("MemorySize", 128)),
        )
        return Made(full, {"Arn": arn})

    def _invoke_config(self, name: str, properties: dict[str, Any]) -> Made:
        _known(
            name, properties, "FunctionName Qualifier MaximumRetryAttempts MaximumEventAgeInSeconds DestinationConfig"
        )
        if properties.get("DestinationConfig"):
            raise NotEmulated(f"{name}: DestinationConfig")
        self._find_function(properties["FunctionName"]).retries = int(properties.get("MaximumRetryAttempts", 2))
        return Made(name)

    def _find_function(self, reference: str) -> Function:
        """A function by name or ARN (a version or alias after it is cut off)."""
        for arn, function in self._place.functions.items():
            if reference in (arn, arn.rsplit(":", 1)[1]) or reference.startswith(f"{arn}:"):
                return function
        raise NotEmulated(f"no such function: {reference}")

    def _queue(self, name: str, properties: dict[str, Any]) -> Made:
        _known(name, properties, "QueueName Tags SqsManagedSseEnabled KmsMasterKeyId KmsDataKeyReusePeriodSeconds "
               "RedriveAllowPolicy", QUEUE_ATTRIBUTES)  # fmt: skip
        suffix = ".fifo" if properties.get("FifoQueue") else ""
        queue = properties.get("QueueName", f"{self._stack}-{name}{suffix}")
        attributes = {key: _text(value) for key, value in properties.items() if key in QUEUE_ATTRIBUTES}
        url = self._place.client("sqs").create_queue(QueueName=queue, Attributes=attributes)["QueueUrl"]
        return Made(url, {"Arn": queue_arn(queue), "QueueName": queue, "QueueUrl": url})

    def _table(self, name: str, properties: dict[str, Any]) -> Made:
        passed = {"AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode",
                  "ProvisionedThroughput", "DeletionProtectionEnabled"}  # fmt: skip
        _known(name, properties, "TableName TimeToLiveSpecification PointInTimeRecoverySpecification SSESpecification "
               "Tags TableClass OnDemandThroughput ContributorInsightsSpecification", passed)  # fmt: skip
        table = properties.get("TableName", f"{self._stack}-{name}")
        dynamodb = self._place.client("dynamodb")
        dynamodb.create_table(TableName=table, **{key: properties[key] for key in passed & properties.keys()})
        if ttl := properties.get("TimeToLiveSpecification"):
            dynamodb.update_time_to_live(TableName=table, TimeToLiveSpecification=ttl)
        if properties.get("PointInTimeRecoverySpecification", {}).get("PointInTimeRecoveryEnabled"):
            switch = {"PointInTimeRecoveryEnabled": True}
            dynamodb.update_continuous_backups(TableName=table, PointInTimeRecoverySpecification=switch)
        return Made(table, {"Arn": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{table}"})

    def _bucket(self, name: str, properties: dict[str, Any]) -> Made:
        _known(name, properties, "BucketName VersioningConfiguration PublicAccessBlockConfiguration OwnershipControls "
               "BucketEncryption LifecycleConfiguration Tags LoggingConfiguration ObjectLockEnabled")  # fmt: skip
        bucket = properties.get("BucketName", f"{self._stack}-{name}".lower())
        s3 = self._place.client("s3")
        s3.create_bucket(
            Bucket=bucket,
            CreateBucketConfiguration={"LocationConstraint": REGION},
            ObjectLockEnabledForBucket=bool(properties.get("ObjectLockEnabled", False)),
        )
        if versioning := properties.get("VersioningConfiguration"):
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=versioning)
        host = f"{bucket}.s3.{REGION}.amazonaws.com"
        return Made(bucket, {"Arn": f"arn:aws:s3:::{bucket}", "DomainName": host, "RegionalDomainName": host})

    def _secret(self, name: str, properties: dict[str, Any]) -> Made:
        _known(name, properties, "Name Description SecretString GenerateSecretString KmsKeyId Tags")
        secret = properties.get("Name", f"{self._stack}-{name}")
        text = properties.get("SecretString", "")
        if spec := properties.get("GenerateSecretString"):
            word = "local-" + "x" * (int(spec.get("PasswordLength", 32)) - 6)
            key = spec.get("GenerateStringKey")
            text = json.dumps({**json.loads(spec["SecretStringTemplate"]), key: word}) if key else word
        arn = self._place.client("secretsmanager").create_secret(Name=secret, SecretString=text)["ARN"]
        return Made(arn, {"Id": arn, "Arn": arn})

    def _bus(self, name: str, properties: dict[str, Any]) -> Made:
        _known(name, properties, "Name Description Tags KmsKeyIdentifier Policy LogConfig")
        arn = self._place.client("events").create_event_bus(Name=properties["Name"])["EventBusArn"]
        return Made(properties["Name"], {"Arn": arn, "Name": properties["Name"]})

    def _rule(self, name: str, properties: dict[str, Any]) -> Made:
        _known(name, properties, "Name Description EventBusName EventPattern ScheduleExpression State Targets RoleArn")
        targets = properties.get("Targets", [])
        for target in targets:
            _known(f"{name} target", target, "Arn Id Input InputTransformer RetryPolicy RoleArn")
            if target["Arn"].split(":")[2] not in ("lambda", "sqs"):
                raise NotEmulated(f"{name}: target {target['Arn']}, only functions and queues are emulated")
        rule = properties.get("Name", f"{self._stack}-{name}")
        arn = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{rule}"
        on = properties.get("State", "ENABLED") == "ENABLED"
        if expression := properties.get("ScheduleExpression"):
            for target in targets if on else []:
                self._arm(rule, expression, target, {"source": "aws.events", "resources": [arn]})
        else:
            events = self._place.client("events")
            bus = properties.get("EventBusName", "default")
            pattern = json.dumps(properties["EventPattern"])
            if bus not in {one["Name"] for one in events.list_event_buses()["EventBuses"]}:
                events.create_event_bus(Name=bus)  # a partner's, which stands there before the stack
            events.put_rule(Name=rule, EventBusName=bus, EventPattern=pattern, State="ENABLED" if on else "DISABLED")
            kept = [
                {key: target[key] for key in ("Arn", "Id", "Input", "InputTransformer") if key in target}
                for target in targets
            ]
            events.put_targets(Rule=rule, EventBusName=bus, Targets=kept)
        return Made(rule, {"Arn": arn})

    def _schedule(self, name: str, properties: dict[str, Any]) -> Made:
        _known(name, properties, "Name Description ScheduleExpression ScheduleExpressionTimezone State Target "
               "FlexibleTimeWindow GroupName KmsKeyArn")  # fmt: skip
        _known(f"{name} target", properties["Target"], "Arn RoleArn Input RetryPolicy DeadLetterConfig")
        if properties.get("ScheduleExpressionTimezone", "UTC") != "UTC":
            raise NotEmulated(f"{name}: ScheduleExpressionTimezone")
        full = properties.get("Name", f"{self._stack}-{name}")
        arn = f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/{full}"
        if properties.get("State", "ENABLED") == "ENABLED":
            base = {"source": "aws.scheduler", "resources": [arn]}
            self._arm(full, properties["ScheduleExpression"], properties["Target"], base)
        return Made(full, {"Arn": arn})

    def _arm(self, name: str, expression: str, target: dict[str, Any], base: dict[str, Any]) -> None:
        from datetime import UTC, datetime

        following(expression, datetime(2026, 1, 1, tzinfo=UTC))  # refuse what is not known now, not when it is due
        place = self._place

        def fire(moment: datetime) -> None:
            time = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
            event = {"version": "0", "id": f"{name}-{time}", "detail-type": "Scheduled Event", "account": ACCOUNT,
                     "time": time, "region": REGION, "detail": {}, **base}  # fmt: skip
            place.call_later(target["Arn"], json.loads(target["Input"]) if "Input" in target else event)

        place.schedules.append(Schedule(name, expression, fire))

    def _mapping(self, name: str, properties: dict[str, Any]) -> Made:
        _known(name, properties, "BatchSize Enabled EventSourceArn FunctionName FunctionResponseTypes ScalingConfig "
               "MaximumBatchingWindowInSeconds Tags")  # fmt: skip
        source = properties["EventSourceArn"]
        if source.split(":")[2] != "sqs":
            raise NotEmulated(f"{name}: event source {source}, only queues are emulated")
        queue, size = source.rsplit(":", 1)[1], int(properties.get("BatchSize", 10))
        if size > 10 and (queue.endswith(".fifo") or not properties.get("MaximumBatchingWindowInSeconds")):
            raise NotEmulated(f"{name}: BatchSize {size} needs a standard queue and a batching window, as on AWS")
        reports = "ReportBatchItemFailures" in properties.get("FunctionResponseTypes", [])
        function = self._find_function(properties["FunctionName"])
        self._place.mappings.append(Mapping(queue, function, size, reports, properties.get("Enabled") is not False))
        return Made(name)

    def _machine(self, name: str, properties: dict[str, Any]) -> Made:
        _known(name, properties, "DefinitionString DefinitionSubstitutions StateMachineName StateMachineType RoleArn "
               "LoggingConfiguration TracingConfiguration Tags EncryptionConfiguration")  # fmt: skip
        if properties.get("StateMachineType", "STANDARD") != "STANDARD":
            raise NotEmulated(f"{name}: StateMachineType {properties['StateMachineType']}")
        text = properties["DefinitionString"]
        for key, value in properties.get("DefinitionSubstitutions", {}).items():
            text = text.replace("${" + key + "}", str(value))
        machine = self._place.machines.define(properties.get("StateMachineName", f"{self._stack}-{name}"), text)
        return Made(machine.arn, {"Arn": machine.arn, "Name": machine.name})

    def _api(self, name: str, properties: dict[str, Any]) -> Made:
        _known(name, properties, "Body Name Description ProtocolType Tags FailOnWarnings DisableExecuteApiEndpoint")
        self._place.api.load(name, properties["Body"])
        endpoint = f"https://{name.lower()}.execute-api.{REGION}.amazonaws.com"
        return Made(name.lower(), {"ApiEndpoint": endpoint, "ApiId": name.lower()})


def _known(name: str, properties: dict[str, Any], words: str, more: set[str] | None = None) -> None:
    if unknown := set(properties) - set(words.split()) - (more or set()):
        raise NotEmulated(f"{name}: {', '.join(sorted(unknown))}")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value) if isinstance(value, dict) else str(value)
