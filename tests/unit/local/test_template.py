"""Reading a template: tags, parameters, conditions, order, and what cannot be followed."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.local.template import Made, Template, TemplateError

TEXT = """
Transform: AWS::Serverless-2016-10-31
Parameters:
  Stage: {Type: String, Default: dev, AllowedValues: [dev, prod]}
  Names: {Type: CommaDelimitedList, Default: "a, b"}
Mappings: {Sizes: {dev: {Batch: 5}, prod: {Batch: 10}}}
Conditions:
  IsProd: !Equals [!Ref Stage, prod]
  NotProd: !Not [!Condition IsProd]
Resources:
  User:
    Type: AWS::SQS::QueuePolicy
    Properties:
      A: !Sub ["${Queue.Arn}/${X}/${!literal}", {X: !Select [1, !Ref Names]}]
      B: !If [IsProd, yes-prod, !Ref AWS::NoValue]
      C: !Join ["-", [!Ref Stage, !FindInMap [Sizes, !Ref Stage, Batch]]]
      D: {Condition: {Bool: {x: "false"}}}
  Queue: {Type: AWS::SQS::Queue}
  Ghost: {Type: AWS::SQS::Queue, Condition: IsProd}
"""


def read(tmp_path: Path, text: str = TEXT, **parameters: str) -> Template:
    (tmp_path / "t.yaml").write_text(text)
    return Template(tmp_path / "t.yaml", parameters)


def test_intrinsic_functions_are_resolved_against_what_was_made(tmp_path: Path) -> None:
    template = read(tmp_path)
    made = {"Queue": Made("url", {"Arn": "arn:q"})}
    assert template.resolve(template.resources["User"].properties, made) == {
        "A": "arn:q/b/${literal}", "C": "dev-5", "D": {"Condition": {"Bool": {"x": "false"}}}
    }  # fmt: skip


def test_resources_come_in_dependency_order_without_those_switched_off(tmp_path: Path) -> None:
    assert list(read(tmp_path).resources) == ["Queue", "User"]
    assert set(read(tmp_path, Stage="prod").resources) == {"Queue", "User", "Ghost"}


@pytest.mark.parametrize(
    ("parameters", "word"), [({"Stage": "test"}, "allowed"), ({"Other": "x"}, "no such parameter")]
)
def test_a_wrong_parameter_is_refused(tmp_path: Path, parameters: dict[str, str], word: str) -> None:
    with pytest.raises(TemplateError, match=word):
        read(tmp_path, **parameters)


def test_what_does_not_exist_is_named(tmp_path: Path) -> None:
    template = read(tmp_path)
    with pytest.raises(TemplateError, match="Ghost"):
        template.resolve({"Ref": "Ghost"}, {})
    with pytest.raises(TemplateError, match=r"Queue\.Colour"):
        template.resolve({"Fn::GetAtt": ["Queue", "Colour"]}, {"Queue": Made("url", {})})
    with pytest.raises(TemplateError, match="Cidr"):
        template.resolve({"Fn::Cidr": ["10.0.0.0/16"]}, {})


def test_a_missing_state_machine_file_is_named(tmp_path: Path) -> None:
    text = "Resources: {M: {Type: AWS::Serverless::StateMachine, Properties: {DefinitionUri: gone.json}}}"
    with pytest.raises(TemplateError, match=r"M: DefinitionUri .*gone\.json does not exist"):
        read(tmp_path, text)
