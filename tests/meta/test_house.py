"""The house keeps its rules, and each guard was shown to fail: a small clean tree passes, a planted fault does not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.meta import guards
from tests.meta.guards import GUARDS, ROOT, Guard

#: A small tree that breaks no rule.
CLEAN = {
    "Makefile": "run:\n\ttrue\ntest:\n\ttrue\n",
    "README.md": "Two commands: `make run` and `make test`.\n",
    "docs/decisions/0001-keys.md": "# 0001 Keys\n\n2026-11-23\n\n**Road not taken**: none.\n",
    "events/stripe/invoice.paid.json": "{}",
    "functions/post/app.py": "def handler(event, context):\n    return None\n",
    "infra/machines/a.asl.json": '{"StartAt": "A", "States": {"A": {"Type": "Task", "TimeoutSeconds": 60}}}',
    "shared/Makefile": "SERVICES := sqs\n",
    "shared/tieout/aws/queues.py": """
        class Queues:
            def __init__(self):
                self._client = client("sqs")

            def send(self, body):
                self._client.send_message(MessageBody=body)
        """,
    "shared/tieout/aws/settings.py": 'def load(values):\n    return values["STAGE"], values["DESK_"]\n',
    "shared/tieout/core/money.py": "def units(value):\n    if isinstance(value, float):\n        raise TypeError\n",
    "shared/tieout/core/problems.py": 'PROBLEMS: dict = {"busy": Problem("The target is busy.")}\n',
    "shared/tieout/flows.py": 'FLOWS = (Flow("payment", On("stripe", "invoice.paid")),)\n',
    "shared/tieout/work/post.py": 'def post():\n    raise TryAgain("busy")\n',
    "template.yaml": """
        Globals:
          Function:
            Environment:
              Variables:
                STAGE: dev
        Resources:
          PostFunction:
            Properties:
              CodeUri: functions/post/
          PostRole:
            Action: [sqs:SendMessage, sqs:ReceiveMessage]
        """,
}

#: Guard, what is planted, and what the guard must then say.
PLANTED: list[tuple[Guard, dict[str, str], str]] = [
    (
        guards.handlers_are_short,
        {"functions/post/app.py": "def handler(event, context):\n" + "    event = event\n" * 39},
        "functions/post/app.py: 40 lines",
    ),
    (
        guards.functions_are_what_the_template_says,
        {"functions/extra/app.py": "def handler(event, context): ...\n"},
        "functions/extra: no function of template.yaml runs it",
    ),
    (
        guards.functions_are_what_the_template_says,
        {"template.yaml": "Resources:\n  CodeUri: functions/ghost/\n"},
        "functions/ghost/ has no app.py",
    ),
    (
        guards.only_settings_read_the_environment,
        {"shared/tieout/work/post.py": "import os\nSTAGE = os.environ.get('STAGE')\n"},
        "work/post.py:2: reads the environment",
    ),
    (
        guards.only_settings_read_the_environment,
        {"functions/post/app.py": "from os import getenv\n"},
        "functions/post/app.py:1: imports getenv",
    ),
    (
        guards.only_aws_and_functions_know_aws,
        {"shared/tieout/work/post.py": "def post():\n    from botocore.config import Config\n"},
        "imports botocore.config",
    ),
    (
        guards.layer_carries_the_clients,
        {"shared/Makefile": "SERVICES := s3\n"},
        "SERVICES lacks sqs",
    ),
    (
        guards.layer_carries_the_clients,
        {"shared/Makefile": "SERVICES := s3 sqs\n"},
        "SERVICES has s3",
    ),
    (
        guards.rights_are_used,
        {"template.yaml": "Action: [sqs:SendMessage, s3:PutObject]\n"},
        "allows s3:PutObject, which nothing calls",
    ),
    (
        guards.rights_are_used,
        {"template.yaml": "Action: []\n"},
        "no role of template.yaml allows sqs:SendMessage",
    ),
    (
        guards.rights_are_used,
        {"shared/tieout/aws/queues.py": "def purge(self):\n    self._client.purge_queue()\n"},
        "which right does purge_queue need",
    ),
    (
        guards.verdicts_have_no_subclasses,
        {"shared/tieout/work/post.py": "class Throttled(TryAgain): ...\n"},
        "Throttled derives from a verdict",
    ),
    (
        guards.codes_raised_are_listed,
        {"shared/tieout/work/post.py": 'def post(bad):\n    raise NeedsHuman("odd" if bad else "busy")\n'},
        "code 'odd' is not in core/problems.py",
    ),
    (
        guards.codes_raised_are_listed,
        {"shared/tieout/systems/x/target.py": 'ROWS = (Row(409, Uncertain, "clash"),)\n'},
        "code 'clash' is not in core/problems.py",
    ),
    (
        guards.codes_raised_are_listed,
        {"shared/tieout/mappings/x/mapping.yaml": "fields: {a: {lookup: b, missing: not_there}}\n"},
        "code 'not_there' is not in core/problems.py",
    ),
    (
        guards.codes_listed_are_raised,
        {"shared/tieout/work/post.py": '"""Says busy only here."""\n'},
        "nothing ever says 'busy'",
    ),
    (
        guards.no_floats_near_money,
        {"shared/tieout/core/money.py": "def units(value: str):\n    return int(float(value) * 100)\n"},
        "core/money.py:2: float",
    ),
    (
        guards.no_floats_near_money,
        {"shared/tieout/systems/x/target.py": "RATE = 0.19\n"},
        "the literal 0.19 is a float",
    ),
    (
        guards.no_floats_near_money,
        {"shared/tieout/core/money.py": "def units(value: float): ...\n"},
        "core/money.py:1: float",
    ),
    (
        guards.flows_events_are_captured,
        {"shared/tieout/flows.py": 'FLOWS = (Flow("void", On("stripe", "invoice.voided")),)\n'},
        "events/stripe/invoice.voided.json is missing",
    ),
    (
        guards.decisions_are_dated,
        {"docs/decisions/0002-undated.md": "# 0002\n\nRoad not taken: none.\n"},
        "0002-undated.md: no date",
    ),
    (
        guards.decisions_are_dated,
        {"docs/decisions/0002-short.md": "# 0002\n\n2026-11-23\n"},
        "does not say which road was not taken",
    ),
    (
        guards.decisions_are_dated,
        {"docs/decisions/0004-gap.md": "# 0004\n\n2026-11-23. Road not taken: none.\n"},
        "expected a name that starts with 0002-",
    ),
    (
        guards.documented_commands_exist,
        {"docs/start.md": "Then `make coffee`.\n"},
        "names `make coffee`",
    ),
    (
        guards.documented_commands_exist,
        {"README.md": "Only `make test`.\n"},
        "does not name `make run`",
    ),
    (
        guards.nothing_names_a_machine,
        {"docs/start.md": "See /" + "home/me/tieout.\n"},
        "docs/start.md:1: names",
    ),
    (
        guards.nothing_names_a_machine,
        {"shared/requirements.txt": "--index-url https://" + "pypi" + ".org/simple\n"},
        "shared/requirements.txt:1: names",
    ),
    (
        guards.settings_and_template_agree,
        {"shared/tieout/aws/settings.py": 'def load(values):\n    return values["STAGE"], values["SECRET_SAUCE"]\n'},
        "never sets SECRET_SAUCE",
    ),
    (
        guards.settings_and_template_agree,
        {"shared/tieout/aws/settings.py": "def load(values):\n    return None\n"},
        "never reads STAGE",
    ),
    (
        guards.machine_tasks_end,
        {"infra/machines/a.asl.json": '{"States": {"P": {"Branches": [{"States": {"A": {"Type": "Task"}}}]}}}'},
        "task A has no TimeoutSeconds",
    ),
]


def grow(root: Path, *plans: dict[str, str]) -> Path:
    """A tree of files under ``root``; a later plan overwrites an earlier one."""
    for plan in plans:
        for name, text in plan.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
    return root


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.__name__)
def test_the_house_keeps_its_rule(guard: Guard) -> None:
    assert list(guard(ROOT)) == [], guard.__doc__


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.__name__)
def test_a_clean_tree_passes(guard: Guard, tmp_path: Path) -> None:
    assert list(guard(grow(tmp_path, CLEAN))) == []


@pytest.mark.parametrize(("guard", "plan", "said"), PLANTED, ids=lambda value: getattr(value, "__name__", None))
def test_a_planted_fault_is_found(guard: Guard, plan: dict[str, str], said: str, tmp_path: Path) -> None:
    assert said in "\n".join(guard(grow(tmp_path, CLEAN, plan)))


def test_every_guard_was_shown_to_fail() -> None:
    assert {guard for guard, _, _ in PLANTED} == set(GUARDS)


# --- the import law ---------------------------------------------------------------------------------------------------

LAW_BREAKERS = {
    "A room imports rooms below it, never above or beside": ("core/zz_planted.py", "import tieout.work.ports\n"),
    "Systems do not know each other": ("systems/netsuite/zz_planted.py", "import tieout.systems.stripe.source\n"),
    "The product never imports infra": (
        "work/zz_planted.py",
        "import infra.generate\n",
    ),
    "Only aws and functions import boto3, botocore or Powertools": ("work/zz_planted_too.py", "import boto3\n"),
    "core has no IO, no clock, no chance and no environment": ("core/zz_planted_too.py", "import time\n"),
    "Functions do not know each other": ("../../functions/post/zz_planted.py", "import functions.intake.app\n"),
    "Functions and the command stand side by side at the top of the staircase": (
        "aws/zz_planted.py",
        "import functions.intake.app\n",
    ),
}


def lint_imports(root: Path) -> str:
    """What import-linter says of the tree at ``root``."""
    law = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    environment = {**os.environ, "PYTHONPATH": f"{root / 'shared'}{os.pathsep}{root}", "COLUMNS": "200"}
    done = subprocess.run(law, cwd=root, env=environment, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_the_import_law_catches_whoever_breaks_it(tmp_path: Path) -> None:
    for folder in ("shared", "functions", "infra"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    before = lint_imports(tmp_path)
    assert " kept, 0 broken" in before, before
    for path, text in LAW_BREAKERS.values():
        (tmp_path / "shared/tieout" / path).write_text(text, encoding="utf-8")
    said = lint_imports(tmp_path)
    assert {law for law in LAW_BREAKERS if f"{law} BROKEN" not in said} == set(), said


# --- reading the environment at import --------------------------------------------------------------------------------

IMPORT_ALL = """
import importlib, pkgutil, sys
from collections.abc import Mapping
from tieout.aws import settings

class Nobody(Mapping):
    def __getitem__(self, name): raise AssertionError(f"{name} was read at import")
    def __iter__(self): raise AssertionError("the environment was read at import")
    def __len__(self): raise AssertionError("the environment was read at import")

settings.environ.set(Nobody())
import tieout, functions
for package in (tieout, functions):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if module.name.rpartition(".")[2] != "__main__":
            importlib.import_module(module.name)
for handler in sys.argv[1:]:
    importlib.import_module(handler)
"""


def import_everything(root: Path) -> subprocess.CompletedProcess[str]:
    """Import every module of the product in a fresh interpreter whose environment may not be read."""
    handlers = [
        ".".join(path.relative_to(root).with_suffix("").parts) for path in sorted(root.glob("functions/*/[a-z]*.py"))
    ]
    environment = {"PYTHONPATH": f"{root / 'shared'}{os.pathsep}{root}", "PATH": os.environ["PATH"]}
    command = [sys.executable, "-c", IMPORT_ALL, *handlers]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)


def test_no_module_reads_the_environment_when_it_is_imported() -> None:
    done = import_everything(ROOT)
    assert done.returncode == 0, done.stderr


def test_a_module_that_reads_it_at_import_is_found(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "shared", tmp_path / "shared", ignore=shutil.ignore_patterns("__pycache__"))
    grow(tmp_path, {"functions/__init__.py": "", "functions/early/app.py": EARLY})
    assert "STAGE was read at import" in import_everything(tmp_path).stderr


EARLY = """
from tieout.aws import settings

HERE = settings.load()
"""
