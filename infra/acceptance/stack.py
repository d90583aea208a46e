"""`sam build` and `sam deploy` of the unmodified template, as a customer types them, against another address.

The one thing told to the build is the machine: the layer's wheels are for this one instead of Lambda's arm64.
"""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from infra.acceptance import second
from infra.local.template import Made

NAME: Final = "tieout-acceptance"
#: As the layer's Makefile names them for Lambda, newest first.
_LINUX: Final = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")
_SAM: Final = second.ROOT / ".venv-sam/bin/sam"
_WITHIN: Final = 600  # seconds


class Failed(RuntimeError):
    """A command of the way to a deployed stack failed; the text is what it said last."""


def build(work: Path) -> Path:
    """The built template; its folder holds the functions and the layer."""
    target = work / "build"
    wheels = " ".join(f"{kind}_{platform.machine()}" for kind in _LINUX)
    binaries = second.ROOT / ".venv/bin"
    _run(
        ["build", "--template-file", "template.yaml", "--build-dir", str(target), "--parallel"],
        work, {"PLATFORMS": wheels, "PYTHON": str(binaries / "python"), "PATH": f"{binaries}:{os.environ['PATH']}"},
    )  # fmt: skip
    return target / "template.yaml"


def deploy(template: Path, address: str, work: Path, parameters: Mapping[str, str]) -> dict[str, Made]:
    """Every resource of the deployed stack by its logical id."""
    given = [f"{name}={value}" for name, value in parameters.items()]
    _run(
        ["deploy", "--config-file", str(second.ROOT / "samconfig.toml"), "--template-file", str(template),
         "--stack-name", NAME, "--region", "us-east-1",
         "--no-confirm-changeset", "--no-progressbar", "--parameter-overrides", *given],
        work, {"AWS_ENDPOINT_URL": address, "AWS_CA_BUNDLE": str(second.certificate(work))},
    )  # fmt: skip
    asked = second.client("cloudformation", address, second.certificate(work))
    found = asked.get_paginator("list_stack_resources").paginate(StackName=NAME)
    summaries = [one for page in found for one in page["StackResourceSummaries"]]
    unfinished = [one["LogicalResourceId"] for one in summaries if one["ResourceStatus"] != "CREATE_COMPLETE"]
    if unfinished:
        raise Failed(f"not created: {', '.join(unfinished)}")
    return {one["LogicalResourceId"]: Made(one["PhysicalResourceId"]) for one in summaries}


def _run(words: list[str], work: Path, settings: Mapping[str, str]) -> None:
    if not _SAM.exists():
        raise Failed(f"{_SAM} is not there; make .venv-sam/.ready sets it up")
    environment: dict[str, Any] = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "SAM_CLI_TELEMETRY": "0",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        **{key.upper(): value for key, value in second.ROOT_KEY.items()},
        **settings,
    }
    log = work / f"sam-{words[0]}.log"
    with log.open("w") as out:
        done = subprocess.run(
            [str(_SAM), *words], env=environment, cwd=second.ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            timeout=_WITHIN, check=False,
        )  # fmt: skip
    if done.returncode:
        raise Failed(f"sam {words[0]} failed:\n" + "\n".join(log.read_text().splitlines()[-25:]))
