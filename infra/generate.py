"""What is derived is committed and checked fresh: `python -m infra.generate [--check]` (`make generate`).

A generator is a function that returns the files it derives, path (from the root of the repository) to text. It
stands in ``GENERATORS`` under the pattern of the files it owns: a file that matches a pattern and that no generator
returns is stale, and is removed (with ``--check``: reported). To add one, write the function and its line.
"""

from __future__ import annotations

import argparse
import difflib
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from infra import documents, orchestration, pages, pages_credentials, pages_planner, pages_reliability, shapes
from tieout import flows, systems
from tieout.core.credentials import SCHEMES

ROOT = Path(__file__).resolve().parents[1]
COMMAND = "make generate"

#: What a generator returns: path from the root, and the text that must stand there.
Files = Mapping[str, str]
Generator = Callable[[], Files]


def machines() -> Files:
    """One state machine definition (Amazon States Language) for each flow of several steps."""
    return {
        f"infra/machines/{name}.asl.json": json.dumps(definition, indent=2, ensure_ascii=False) + "\n"
        for name, definition in sorted(orchestration.machines().items())
    }


def template() -> Files:
    """The blocks of `template.yaml` that follow from the systems and the flows; the rest of it stays as it is."""
    source = (ROOT / "template.yaml").read_text(encoding="utf-8")
    several_steps = [flow.name for flow in flows.FLOWS if flow.orchestrated]
    return {"template.yaml": fill(source, blocks(systems.SOURCES, systems.TARGETS, several_steps))}


GENERATORS: dict[str, Generator] = {
    "infra/machines/*.asl.json": machines,
    "template.yaml": template,
    "shared/tieout/systems/*/shapes.json": shapes.shapes,
    "docs/schemas/*.json": documents.schemas,
    "docs/documents.md": documents.page,
    "docs/mappings/*.md": pages.mapping_pages,
    "docs/mapping-mistakes.md": pages.mistake_page,
    "docs/tables.md": pages.table_page,
    "docs/flows.md": pages.flow_page,
    "docs/runbooks.md": pages.runbooks,
    "docs/systems.md": pages.system_page,
    "docs/credentials.md": pages_credentials.credential_page,
    "docs/state-machine.md": pages_reliability.state_page,
    "docs/verdicts.md": pages_reliability.verdict_page,
    "docs/gates.md": pages_reliability.gate_page,
    "docs/planner.md": pages_planner.planner_page,
}


# --- the blocks of template.yaml ----------------------------------------------------------------------------------

_BLOCK = re.compile(
    r"^(?P<indent> *)# derived: (?P<name>[a-z-]+)\n(?P<old>.*?)^(?P=indent)# end derived: (?P=name)\n",
    re.MULTILINE | re.DOTALL,
)


def fill(source: str, content: Mapping[str, str]) -> str:
    """``source`` with each marked block filled; ``ValueError`` for a block nobody fills or content without a block."""
    seen = set()

    def one(match: re.Match[str]) -> str:
        indent, name = match["indent"], match["name"]
        if name not in content:
            raise ValueError(f"template.yaml has a derived block {name!r} that no generator fills")
        seen.add(name)
        lines = (f"{indent}{line}".rstrip() + "\n" for line in content[name].splitlines())
        return f"{indent}# derived: {name}\n{''.join(lines)}{indent}# end derived: {name}\n"

    filled = _BLOCK.sub(one, source)
    if missing := sorted(set(content) - seen):
        raise ValueError(f"template.yaml has no derived block for {', '.join(missing)}")
    return filled


def blocks(sources: tuple[str, ...], targets: tuple[str, ...], flow_names: list[str]) -> dict[str, str]:
    """The text of every derived block, without its indentation."""
    both = tuple(dict.fromkeys((*sources, *targets)))
    return {
        "source-secrets": _items(_secret(name) for name in sources),
        "target-secrets": _items(_secret(name) for name in targets),
        "system-secrets": _items(_secret(name) for name in both),
        "rotating-tokens": _items(_secret(name, "*/token-??????") for name in _rotating(targets)),
        "lane-urls": f"LANE_QUEUES: !Sub '{_object({name: '${' + _id(name) + 'Lane}' for name in targets})}'",
        "lane-arns": _items(f"!GetAtt {_id(name)}Lane.Arn" for name in targets),
        "dead-lane-arns": _items(f"!GetAtt {_id(name)}LaneDead.Arn" for name in targets),
        "lanes": "\n\n".join(_LANE.format(name=name, id=_id(name)).strip() for name in targets),
        "machine-arns-json": f"MACHINES: !Sub '{_object({name: _machine(name) for name in flow_names})}'",
        "machine-arns": _items(f"!Sub {_machine(name)}" for name in flow_names),
        "execution-arns": _items(f"!Sub {_machine(name, 'execution')}:*" for name in flow_names),
        "machines": "\n\n".join(_MACHINE.format(name=name, id=_id(name)).strip() for name in flow_names),
    }


def _id(name: str) -> str:
    """A CloudFormation logical id: ``customer-onboarding`` is ``CustomerOnboarding``."""
    return "".join(part.capitalize() for part in re.split(r"[-_]", name))


def _items(values: Iterable[str]) -> str:
    return "\n".join(f"- {value}" for value in values)


def _object(values: Mapping[str, str]) -> str:
    return json.dumps(values, separators=(",", ":"))


def _secret(system: str, name: str = "*") -> str:
    place = "arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret"
    return f"!Sub {place}:tieout/${{Stage}}/{system}/{name}"


def _rotating(targets: tuple[str, ...]) -> tuple[str, ...]:
    """Targets whose renewals are stored; all of them as long as there is none, for a policy must name something."""
    known = [name for name in targets if name in systems.TARGETS]
    found = tuple(name for name in known if SCHEMES[systems.target(name).auth["scheme"]].rotates)
    return found or targets


def _machine(flow: str, what: str = "stateMachine") -> str:
    """The ARN by its fixed name, not by reference: the machine calls post, and post answers the machine."""
    return f"arn:${{AWS::Partition}}:states:${{AWS::Region}}:${{AWS::AccountId}}:{what}:${{AWS::StackName}}-{flow}"


_LANE = """
{id}Lane:
  Type: AWS::SQS::Queue
  Properties:
    FifoQueue: true
    DeduplicationScope: messageGroup
    FifoThroughputLimit: perMessageGroupId
    MessageRetentionPeriod: 1209600
    VisibilityTimeout: 360 # six times post's time-out
    SqsManagedSseEnabled: true
    RedrivePolicy:
      deadLetterTargetArn: !GetAtt {id}LaneDead.Arn
      maxReceiveCount: 5

{id}LanePolicy:
  Type: AWS::SQS::QueuePolicy
  Properties:
    Queues: [!Ref {id}Lane]
    PolicyDocument:
      Version: "2012-10-17"
      Statement:
        - Effect: Deny
          Principal: "*"
          Action: sqs:*
          Resource: !GetAtt {id}Lane.Arn
          Condition: {{Bool: {{"aws:SecureTransport": "false"}}}}

{id}LaneMapping:
  Type: AWS::Lambda::EventSourceMapping
  Properties:
    EventSourceArn: !GetAtt {id}Lane.Arn
    FunctionName: !Ref PostFunction
    BatchSize: 10
    FunctionResponseTypes: [ReportBatchItemFailures]
    ScalingConfig: {{MaximumConcurrency: !Ref LaneConcurrency}}

{id}LaneDead:
  Type: AWS::SQS::Queue
  Properties:
    FifoQueue: true
    MessageRetentionPeriod: 1209600
    VisibilityTimeout: 360
    SqsManagedSseEnabled: true

{id}LaneDeadPolicy:
  Type: AWS::SQS::QueuePolicy
  Properties:
    Queues: [!Ref {id}LaneDead]
    PolicyDocument:
      Version: "2012-10-17"
      Statement:
        - Effect: Deny
          Principal: "*"
          Action: sqs:*
          Resource: !GetAtt {id}LaneDead.Arn
          Condition: {{Bool: {{"aws:SecureTransport": "false"}}}}

{id}LaneDeadMapping:
  Type: AWS::Lambda::EventSourceMapping
  Properties:
    EventSourceArn: !GetAtt {id}LaneDead.Arn
    FunctionName: !Ref ProbeFunction
    BatchSize: 10
    FunctionResponseTypes: [ReportBatchItemFailures]
    ScalingConfig: {{MaximumConcurrency: 2}}

{id}LaneDeadAlarm:
  Type: AWS::CloudWatch::Alarm
  Properties:
    AlarmDescription: A posting's message to {name} died in its lane. Probe takes it into the ledger; see the desk.
    Metrics:
      - Id: lies
        ReturnData: false
        MetricStat:
          Metric:
            Namespace: AWS/SQS
            MetricName: ApproximateNumberOfMessagesVisible
            Dimensions: [{{Name: QueueName, Value: !GetAtt {id}LaneDead.QueueName}}]
          Period: 60
          Stat: Maximum
      - Id: went
        ReturnData: false
        MetricStat:
          Metric:
            Namespace: AWS/SQS
            MetricName: NumberOfMessagesReceived
            Dimensions: [{{Name: QueueName, Value: !GetAtt {id}LaneDead.QueueName}}]
          Period: 60
          Stat: Sum
      - {{Id: dead, Expression: "FILL(lies, 0) + FILL(went, 0)", Label: dead letters, ReturnData: true}}
    ComparisonOperator: GreaterThanThreshold
    Threshold: 0
    EvaluationPeriods: 1
    TreatMissingData: notBreaching
    AlarmActions: !If [HasAlarmTopic, [!Ref AlarmTopicArn], !Ref AWS::NoValue]
"""

_MACHINE = """
{id}:
  Type: AWS::Serverless::StateMachine
  Properties:
    Name: !Sub ${{AWS::StackName}}-{name}
    Type: STANDARD
    DefinitionUri: infra/machines/{name}.asl.json
    DefinitionSubstitutions: {{PostFunctionArn: !GetAtt PostFunction.Arn}}
    Role: !GetAtt MachineRole.Arn
    Logging:
      Level: ERROR
      IncludeExecutionData: false # ids and codes only; what they stand for is in the ledger
      Destinations: [{{CloudWatchLogsLogGroup: {{LogGroupArn: !GetAtt MachineLogs.Arn}}}}]
"""


# --- the command --------------------------------------------------------------------------------------------------


def render(generators: Mapping[str, Generator] = GENERATORS) -> dict[str, str]:
    """Every derived file, path to text; ``ValueError`` where a generator returns what its pattern does not own."""
    files: dict[str, str] = {}
    for pattern, generator in generators.items():
        for path, text in generator().items():
            if not Path(path).match(pattern):
                raise ValueError(f"{path} does not match {pattern}, the pattern of its generator")
            files[path] = text
    return files


def differences(root: Path = ROOT, generators: Mapping[str, Generator] = GENERATORS) -> dict[str, str | None]:
    """What would change under ``root``: path to its new text, or to None where the file is to go."""
    fresh = render(generators)
    changed: dict[str, str | None] = {path: text for path, text in fresh.items() if _read(root / path) != text}
    for pattern in generators:
        for found in root.glob(pattern):
            if (path := found.relative_to(root).as_posix()) not in fresh:
                changed[path] = None
    return changed


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def main(arguments: list[str] | None = None) -> int:
    """Write what is derived, or with ``--check`` say what is stale and return 1."""
    parser = argparse.ArgumentParser(prog="python -m infra.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when something is stale")
    check = parser.parse_args(arguments).check
    changed = differences()
    for path, text in sorted(changed.items()):
        if check:
            before, after = (_read(ROOT / path) or "").splitlines(), (text or "").splitlines()
            print(
                "\n".join(difflib.unified_diff(before, after, f"{path} (committed)", f"{path} (derived)", lineterm=""))
            )
        elif text is None:
            (ROOT / path).unlink()
        else:
            (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / path).write_text(text, encoding="utf-8")
        print(f"{'stale' if check else 'written' if text is not None else 'removed'}: {path}")
    if check and changed:
        print(f"Run `{COMMAND}` and commit what it writes.")
    return 1 if check and changed else 0


if __name__ == "__main__":
    sys.exit(main())
