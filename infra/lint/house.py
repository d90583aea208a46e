"""The house rules of the stack (DESIGN 13): each a function from an expanded template to what is wrong in it.

cfn-lint loads this folder, expands SAM first, and runs every entry of ``RULES``. A rule yields the path of the
offending place and one sentence. Intrinsics stand in their long form (``{"Ref": ...}``, ``{"Fn::GetAtt": [...]}``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cfnlint.rules import CloudFormationLintRule, RuleMatch

Template = Mapping[str, Any]
Path = list[str | int]
Problems = Iterator[tuple[Path, str]]

FOURTEEN_DAYS = 1_209_600
#: Quotas of AWS that cannot be raised: a role's inline policies in characters (IAM and STS quotas), all variables of a
#: function in bytes (Lambda quotas), resources of a template (CloudFormation quotas).
INLINE_POLICIES, ENVIRONMENT, STACK = 10_240, 4_096, 500
#: What stands for a value that only a deployment knows: a stack of a long name, and its queues' ARNs.
_PSEUDO = {
    "AWS::Partition": "aws",
    "AWS::Region": "ap-southeast-2",
    "AWS::AccountId": "123456789012",
    "AWS::StackName": "tieout-of-a-long-name",
    "Stage": "production-europe",
}
_UNKNOWN = (
    "https://sqs.ap-southeast-2.amazonaws.com/123456789012/tieout-of-a-long-name-SomethingLane-A1B2C3D4E5F6G.fifo"
)
_FILLED = re.compile(r"FILL\(\w+, *0\)")


# --- reading a template -------------------------------------------------------------------------------------------


def resources(template: Template, type_: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Logical id and resource of every resource of ``type_``."""
    for name, resource in template.get("Resources", {}).items():
        if resource.get("Type") == type_:
            yield name, resource


def target_of(value: object) -> str | None:
    """The logical id that a ``Ref``, a ``GetAtt`` or a plain ``${X.Arn}`` names; None for anything else."""
    match value:
        case {"Ref": str(name)} | {"Fn::GetAtt": [str(name), *_]}:
            return name
        case {"Fn::GetAtt": str(name)}:
            return name.split(".")[0]
        case _:
            return None


def properties(resource: Mapping[str, Any]) -> dict[str, Any]:
    """The properties of ``resource``; none written is none given."""
    found: dict[str, Any] = resource.get("Properties") or {}
    return found


def dead_letter_queues(template: Template) -> dict[str, str]:
    """Each dead-letter queue and the queue that it serves."""
    return {
        dead: name
        for name, queue in resources(template, "AWS::SQS::Queue")
        if (dead := target_of(properties(queue).get("RedrivePolicy", {}).get("deadLetterTargetArn")))
    }


def items(value: object) -> list[Any]:
    """``value`` as a list: IAM takes one string where it takes several."""
    return list(value) if isinstance(value, list) else [value]


def statements(template: Template) -> Iterator[tuple[str, Path, dict[str, Any]]]:
    """Every statement of every identity policy: the logical id of its resource, its path, the statement."""
    for name, role in resources(template, "AWS::IAM::Role"):
        for index, policy in enumerate(properties(role).get("Policies", [])):
            for number, statement in enumerate(items(policy["PolicyDocument"]["Statement"])):
                place: Path = ["Resources", name, "Properties", "Policies", index, "PolicyDocument", "Statement"]
                yield name, [*place, number], statement


# --- the rules ----------------------------------------------------------------------------------------------------


def log_retention(template: Template) -> Problems:
    """Each function writes to a log group of this template; each log group forgets after a time."""
    groups = dict(resources(template, "AWS::Logs::LogGroup"))
    for name, function in resources(template, "AWS::Lambda::Function"):
        if target_of(properties(function).get("LoggingConfig", {}).get("LogGroup")) not in groups:
            yield ["Resources", name], f"{name} has no log group of its own in this template"
    for name, group in groups.items():
        if "RetentionInDays" not in properties(group):
            yield ["Resources", name], f"{name} keeps its logs for ever: set RetentionInDays"


def dead_letters(template: Template) -> Problems:
    """Each queue has a dead-letter queue of its own kind, tried at least five times and watched by an alarm."""
    queues = dict(resources(template, "AWS::SQS::Queue"))
    dead = dead_letter_queues(template)
    watched = str([alarm for _, alarm in resources(template, "AWS::CloudWatch::Alarm")])
    for name, queue in queues.items():
        place: Path = ["Resources", name]
        redrive = properties(queue).get("RedrivePolicy", {})
        target = target_of(redrive.get("deadLetterTargetArn"))
        if name in dead:
            if f"['{name}', 'QueueName']" not in watched:
                yield place, f"no alarm watches the dead-letter queue {name}"
        elif target not in queues:
            yield place, f"{name} has no dead-letter queue in this template"
        elif properties(queues[target]).get("FifoQueue", False) != properties(queue).get("FifoQueue", False):
            yield place, f"{name} and its dead-letter queue {target} are not of the same kind (FIFO or standard)"
        elif int(redrive.get("maxReceiveCount", 0)) < 5:
            yield place, f"{name} gives up after fewer than five tries: set maxReceiveCount to 5 or more"


def queue_retention(template: Template) -> Problems:
    """Each queue keeps a message for fourteen days, the most there is."""
    for name, queue in resources(template, "AWS::SQS::Queue"):
        if properties(queue).get("MessageRetentionPeriod") != FOURTEEN_DAYS:
            yield ["Resources", name], f"{name} must keep messages for 14 days ({FOURTEEN_DAYS} s)"


def partial_failures(template: Template) -> Problems:
    """Each queue mapping reports failures item by item, has a limit, and filters nothing (a filter deletes)."""
    for name, mapping in resources(template, "AWS::Lambda::EventSourceMapping"):
        given, place = properties(mapping), ["Resources", name]
        if "ReportBatchItemFailures" not in given.get("FunctionResponseTypes", []):
            yield [*place], f"{name} would repeat a whole batch for one failure: set ReportBatchItemFailures"
        if "FilterCriteria" in given:
            yield [*place], f"{name} filters: SQS deletes what a filter leaves out, and nothing may be lost"
        if "MaximumConcurrency" not in given.get("ScalingConfig", {}):
            yield [*place], f"{name} has no MaximumConcurrency: throttled messages would die unread"


def visibility(template: Template) -> Problems:
    """A message stays hidden for at least six time-outs of its function, and the batching window."""
    functions = dict(resources(template, "AWS::Lambda::Function"))
    queues = dict(resources(template, "AWS::SQS::Queue"))
    for name, mapping in resources(template, "AWS::Lambda::EventSourceMapping"):
        given = properties(mapping)
        queue = target_of(given.get("EventSourceArn")) or ""
        function = functions.get(target_of(given.get("FunctionName")) or "", {})
        if queue not in queues:
            yield ["Resources", name], f"{name} reads from something that is not a queue of this template"
            continue
        window = int(given.get("MaximumBatchingWindowInSeconds", 0))
        needed = 6 * int(properties(function).get("Timeout", 3)) + window
        if int(properties(queues[queue]).get("VisibilityTimeout", 30)) < needed:
            yield (
                ["Resources", queue],
                f"{queue} hides a message for less than {needed} s, six time-outs of its function",
            )


def books_are_kept(template: Template) -> Problems:
    """A table without an expiry holds books: recoverable, protected, and kept when the stack goes."""
    for name, table in resources(template, "AWS::DynamoDB::Table"):
        given, place = properties(table), ["Resources", name]
        if given.get("TimeToLiveSpecification"):
            if name == "Ledger":
                yield [*place], "books do not expire: the ledger has no time to live"
            continue
        if not given.get("PointInTimeRecoverySpecification", {}).get("PointInTimeRecoveryEnabled"):
            yield [*place], f"{name} cannot be recovered: enable point-in-time recovery"
        if not given.get("DeletionProtectionEnabled"):
            yield [*place], f"{name} can be deleted by a slip: set DeletionProtectionEnabled"
        for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
            if table.get(policy) != "Retain":
                yield [*place], f"{name} would go with the stack: set {policy} to Retain"


def own_roles(template: Template) -> Problems:
    """Each function has a role of its own in this template, and no role takes a managed policy."""
    users: dict[str, str] = {}
    roles = dict(resources(template, "AWS::IAM::Role"))
    for name, function in resources(template, "AWS::Lambda::Function"):
        role = target_of(properties(function).get("Role"))
        if role not in roles:
            yield ["Resources", name], f"{name} has no role in this template"
        elif role in users:
            yield ["Resources", name], f"{name} shares {role} with {users[role]}: one role per function"
        else:
            users[role] = name
    for name, resource in roles.items():
        if properties(resource).get("ManagedPolicyArns"):
            yield ["Resources", name], f"{name} takes a managed policy: write out the actions it needs"


def no_stars(template: Template) -> Problems:
    """No right is given for every action or every resource, save where ``Metadata.StarReason`` says why."""
    for name, place, statement in statements(template):
        if statement.get("Effect") != "Allow":
            continue
        if any("*" in str(action) for action in items(statement.get("Action", "*"))):
            yield place, f"{name} allows actions by a wildcard: name them"
        excused = template["Resources"][name].get("Metadata", {}).get("StarReason")
        if "*" in items(statement.get("Resource", "*")) and not excused:
            yield place, f"{name} allows something on every resource: name them, or say why in Metadata.StarReason"


def encrypted_both_ways(template: Template) -> Problems:
    """Queues, tables and buckets are encrypted at rest; queues and buckets refuse plain HTTP; buckets are private."""
    refusing = {
        target_of(one)
        for type_, key in (("AWS::SQS::QueuePolicy", "Queues"), ("AWS::S3::BucketPolicy", "Bucket"))
        for _, policy in resources(template, type_)
        for one in items(properties(policy).get(key))
        if any(
            statement.get("Effect") == "Deny"
            and statement.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
            for statement in properties(policy)["PolicyDocument"]["Statement"]
        )
    }
    for type_, key in (
        ("AWS::SQS::Queue", "SqsManagedSseEnabled"),
        ("AWS::DynamoDB::Table", "SSESpecification"),
        ("AWS::S3::Bucket", "BucketEncryption"),
    ):
        for name, resource in resources(template, type_):
            if not properties(resource).get(key):
                yield ["Resources", name], f"{name} is not encrypted: set {key}"
            if type_ != "AWS::DynamoDB::Table" and name not in refusing:
                yield ["Resources", name], f"{name} has no policy that refuses plain HTTP"
    for name, bucket in resources(template, "AWS::S3::Bucket"):
        block = properties(bucket).get("PublicAccessBlockConfiguration", {})
        if len(block) != 4 or not all(block.values()):
            yield ["Resources", name], f"{name} does not block every way of becoming public"


def standard_machines(template: Template) -> Problems:
    """A state machine that moves money is Standard: Express runs a step more than once."""
    for name, machine in resources(template, "AWS::StepFunctions::StateMachine"):
        if properties(machine).get("StateMachineType", "STANDARD") != "STANDARD":
            yield ["Resources", name], f"{name} must be of type STANDARD"


def told_timeout(template: Template) -> Problems:
    """What a function is told of its time-out is its time-out: the ledger's quiet period is reckoned from it."""
    for name, function in resources(template, "AWS::Lambda::Function"):
        given = properties(function)
        told = given.get("Environment", {}).get("Variables", {}).get("FUNCTION_TIMEOUT")
        if told != str(given.get("Timeout")):
            yield (
                ["Resources", name],
                f"{name} is told FUNCTION_TIMEOUT={told}, and has a Timeout of {given.get('Timeout')}",
            )


def watched_functions(template: Template) -> Problems:
    """The errors of each function raise an alarm."""
    watched = {
        target_of(dimension.get("Value"))
        for _, alarm in resources(template, "AWS::CloudWatch::Alarm")
        if properties(alarm).get("MetricName") == "Errors"
        for dimension in properties(alarm).get("Dimensions", [])
    }
    for name, _ in resources(template, "AWS::Lambda::Function"):
        if name not in watched:
            yield ["Resources", name], f"no alarm watches the errors of {name}"


def gaps_are_filled(template: Template) -> Problems:
    """Metric math takes a missing figure for nothing: without FILL, a gap in one figure hides the other for ever."""
    for name, alarm in resources(template, "AWS::CloudWatch::Alarm"):
        metrics = properties(alarm).get("Metrics", [])
        for metric in metrics:
            bare = _FILLED.sub("", metric.get("Expression", ""))
            for other in metrics:
                if re.search(rf"\b{other['Id']}\b", bare):
                    yield ["Resources", name], f"{name} does not fill gaps of {other['Id']} in {metric['Expression']!r}"


def within_quotas(template: Template) -> Problems:
    """What grows with each system stays within what AWS takes, in a stack of a long name in a far region."""
    for name, role in resources(template, "AWS::IAM::Role"):
        size = sum(_size(policy["PolicyDocument"]) for policy in properties(role).get("Policies", []))
        if size > INLINE_POLICIES:
            yield ["Resources", name], f"the policies of {name} take about {size} of {INLINE_POLICIES} characters"
    for name, function in resources(template, "AWS::Lambda::Function"):
        given = properties(function).get("Environment", {}).get("Variables", {})
        size = sum(len(key) + _size(value) for key, value in given.items())
        if size > ENVIRONMENT:
            yield ["Resources", name], f"the environment of {name} takes about {size} of {ENVIRONMENT} bytes"
    if len(template["Resources"]) > STACK:
        yield ["Resources"], f"the stack has {len(template['Resources'])} of {STACK} resources: nest some"


def _size(value: Any) -> int:
    """About how many characters a value has once CloudFormation has filled it in; white space is free."""
    return len(json.dumps(_filled(value), separators=(",", ":")))


def _filled(value: Any) -> Any:
    if isinstance(value, list):
        return [_filled(one) for one in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        kind, of = next(iter(value.items()))
        if kind in ("Ref", "Fn::GetAtt"):
            return _PSEUDO.get(str(of), _UNKNOWN)
        if kind == "Fn::Sub":
            text = of if isinstance(of, str) else of[0]
            return re.sub(r"\$\{([^}]+)\}", lambda found: _PSEUDO.get(found[1], _UNKNOWN), text)
    return {key: _filled(one) for key, one in value.items()}


#: Every house rule under its cfn-lint id (E9100 and up are ours).
RULES: dict[str, Callable[[Template], Problems]] = {
    "E9101": log_retention,
    "E9102": dead_letters,
    "E9103": queue_retention,
    "E9104": partial_failures,
    "E9105": visibility,
    "E9106": books_are_kept,
    "E9107": own_roles,
    "E9108": no_stars,
    "E9109": encrypted_both_ways,
    "E9110": standard_machines,
    "E9111": told_timeout,
    "E9112": watched_functions,
    "E9113": gaps_are_filled,
    "E9114": within_quotas,
}


# --- as cfn-lint wants them ---------------------------------------------------------------------------------------


def _as_cfn_lint(id_: str, check: Callable[[Template], Problems]) -> type:
    """A class that cfn-lint finds in this module, makes an object of and asks for matches."""

    def match(_self: object, cfn: Any) -> list[Any]:
        return [RuleMatch(place, message) for place, message in check(cfn.template)]

    return type(
        check.__name__,
        (CloudFormationLintRule,),
        {
            "id": id_,
            "shortdesc": check.__name__.replace("_", " "),
            "description": check.__doc__,
            "source_url": "infra/lint/house.py",
            "tags": ["house"],
            "match": match,
        },
    )


globals().update({f"Rule{id_}": _as_cfn_lint(id_, check) for id_, check in RULES.items()})
