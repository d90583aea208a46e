"""The template as CloudFormation gets it: `python -m infra.expand` prints the SAM-expanded template as JSON.

Used by the lint of the expanded template and by the meta-tests. Local code folders stand in it as S3 objects of
a bucket that does not exist: whoever needs the code reads `template.yaml` itself.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import boto3
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).resolve().parents[1]

#: Where a local path stands in a resource, by type; `sam package` replaces them with what it uploads.
_LOCAL = {
    "AWS::Serverless::Function": "CodeUri",
    "AWS::Serverless::LayerVersion": "ContentUri",
    "AWS::Serverless::StateMachine": "DefinitionUri",
}


def source(path: Path = ROOT / "template.yaml") -> dict[str, Any]:
    """The template as written, short-form intrinsics in their long form."""
    parsed: dict[str, Any] = yaml_parse(path.read_text(encoding="utf-8"))
    return parsed


def expand(template: dict[str, Any], region: str = "us-east-1") -> dict[str, Any]:
    """The SAM transform of ``template`` (left as it is), without a cloud account."""
    given = json.loads(json.dumps(template))  # no anchors: each place its own copy
    for resource in given["Resources"].values():
        if place := _LOCAL.get(resource["Type"]):
            resource["Properties"][place] = "s3://packaged/" + resource["Properties"][place].strip("/")
    # No managed policies are handed in: our roles name their actions, and one that does not shall fail here.
    translator = Translator({}, Parser(), boto_session=boto3.Session(region_name=region))
    expanded: dict[str, Any] = translator.translate(given, {}, passthrough_metadata=True)
    return expanded


if __name__ == "__main__":
    json.dump(expand(source()), sys.stdout, indent=2)
