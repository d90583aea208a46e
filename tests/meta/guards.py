"""The guards of the house: each reads a tree and says what breaks a rule, one sentence for each place.

A guard takes the root of the tree, so that a test can point it at a small tree with a planted violation: a guard
that always passes is worse than none. `test_house.py` does both for each of them.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("shared/tieout", "functions")
VERDICTS = ("TryAgain", "Uncertain", "NotYet", "NeedsHuman", "Ignore")
HANDLER_LINES = 40
CLIENT_MAKERS = ("client", "_client", "_Lazy")

#: The rights that a client's method needs. What Lambda itself does with a function's role is in ``LAMBDAS_OWN``.
RIGHTS: dict[str, tuple[str, ...]] = {
    "batch_get_item": ("dynamodb:BatchGetItem",),
    "create_secret": ("secretsmanager:CreateSecret",),
    "delete_item": ("dynamodb:DeleteItem",),
    "describe_execution": ("states:DescribeExecution",),
    "get_item": ("dynamodb:GetItem",),
    "get_object": ("s3:GetObject", "s3:ListBucket"),  # without the second, what is missing reads as forbidden
    "get_secret_value": ("secretsmanager:GetSecretValue",),
    "list_objects_v2": ("s3:ListBucket",),
    "put_events": ("events:PutEvents",),
    "put_item": ("dynamodb:PutItem",),
    "put_object": ("s3:PutObject",),
    "put_secret_value": ("secretsmanager:PutSecretValue",),
    "query": ("dynamodb:Query",),
    "send_message": ("sqs:SendMessage",),
    "send_message_batch": ("sqs:SendMessage",),
    "send_task_failure": ("states:SendTaskFailure",),
    "send_task_success": ("states:SendTaskSuccess",),
    "start_execution": ("states:StartExecution",),
    "transact_write_items": ("dynamodb:ConditionCheckItem", "dynamodb:PutItem", "dynamodb:UpdateItem"),
    "update_item": ("dynamodb:UpdateItem",),
}
#: Reading a queue for an event source mapping, and writing the log.
LAMBDAS_OWN = {"logs:CreateLogStream", "logs:PutLogEvents"} | {
    f"sqs:{action}" for action in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")
}

Guard = Callable[[Path], Iterator[str]]


def modules(root: Path, *folders: str) -> Iterator[tuple[Path, ast.Module]]:
    """Path (from the root) and syntax tree of every Python file in ``folders``."""
    for folder in folders:
        for path in sorted((root / folder).rglob("*.py")):
            yield path.relative_to(root), ast.parse(path.read_text(encoding="utf-8"), str(path))


def tracked(root: Path) -> list[Path]:
    """The files of the tree: those that git knows or would add, or all of them where there is no repository."""
    if not (root / ".git").exists():
        return sorted(path for path in root.rglob("*") if path.is_file())
    listing = ["git", "-C", str(root), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listing, check=True, capture_output=True, text=True).stdout.split("\0")
    return [root / name for name in names if name and (root / name).is_file()]


def strings(node: ast.AST) -> Iterator[str]:
    """Every string constant under ``node``."""
    for found in ast.walk(node):
        if isinstance(found, ast.Constant) and isinstance(found.value, str):
            yield found.value


def chosen(node: ast.AST) -> Iterator[str]:
    """The string constants that ``node`` may come to: itself, or the arms of a choice."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from (*chosen(node.body), *chosen(node.orelse))
    elif isinstance(node, ast.BoolOp):
        for value in node.values:
            yield from chosen(value)


def name_of(node: ast.AST) -> str:
    """``a.b.c`` for a name or an attribute; empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{name_of(node.value)}.{node.attr}"
    return ""


# --- rooms ----------------------------------------------------------------------------------------------------------


def handlers_are_short(root: Path) -> Iterator[str]:
    """A handler unwraps, calls one verb and wraps: its file stays under 40 lines."""
    for path, tree in modules(root, "functions"):
        if any(isinstance(node, ast.FunctionDef) and node.name == "handler" for node in tree.body):
            lines = len((root / path).read_text(encoding="utf-8").splitlines())
            if lines >= HANDLER_LINES:
                yield f"{path}: {lines} lines in a handler's file; move what is not wrapping into a verb"


def functions_are_what_the_template_says(root: Path) -> Iterator[str]:
    """Each function folder belongs to a function of the template, and each function has its handler."""
    template = (root / "template.yaml").read_text(encoding="utf-8")
    declared = set(re.findall(r"^ +CodeUri: functions/([a-z_]+)/$", template, re.MULTILINE))
    present = {path.parent.name for path in (root / "functions").glob("*/app.py")}
    for name in sorted(declared - present):
        yield f"template.yaml: functions/{name}/ has no app.py"
    for name in sorted(present - declared):
        yield f"functions/{name}: no function of template.yaml runs it"
    for module in re.findall(r"^ +Handler: ([a-z_]+)\.handler$", template, re.MULTILINE):
        if not any((root / "functions").glob(f"*/{module}.py")):
            yield f"template.yaml: no {module}.py in any function folder"


def only_settings_read_the_environment(root: Path) -> Iterator[str]:
    """One file reads the environment; nothing else imports or touches it."""
    for path, tree in modules(root, *PRODUCT):
        if path.as_posix() == "shared/tieout/aws/settings.py":
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and name_of(node) in ("os.environ", "os.getenv", "os.environb"):
                yield f"{path}:{node.lineno}: reads the environment; only aws/settings.py may"
            if isinstance(node, ast.ImportFrom) and node.module == "os":
                for alias in node.names:
                    if alias.name in ("environ", "getenv", "environb"):
                        yield f"{path}:{node.lineno}: imports {alias.name}; only aws/settings.py may"


def only_aws_and_functions_know_aws(root: Path) -> Iterator[str]:
    """boto3, botocore and Powertools are imported in aws and in functions (import-linter holds this too)."""
    for path, tree in modules(root, "shared/tieout"):
        if path.parts[2] == "aws":
            continue
        for node in ast.walk(tree):
            if not isinstance(node, ast.Import | ast.ImportFrom):
                continue
            imported = [alias.name for alias in node.names]
            for name in [node.module or ""] if isinstance(node, ast.ImportFrom) else imported:
                if name.partition(".")[0] in ("boto3", "botocore", "aws_lambda_powertools"):
                    yield f"{path}:{node.lineno}: imports {name}; only aws and functions may"


def layer_carries_the_clients(root: Path) -> Iterator[str]:
    """The layer keeps botocore's description of exactly those services that aws makes clients of."""
    text = (root / "shared/Makefile").read_text(encoding="utf-8")
    kept = set((re.search(r"^SERVICES := (.*)$", text, re.MULTILINE) or ["", ""])[1].split())
    used = {
        node.args[0].value
        for _, tree in modules(root, "shared/tieout/aws", "functions")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and name_of(node.func).split(".")[-1] in CLIENT_MAKERS
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    }
    for service in sorted(used - kept):
        yield f"shared/Makefile: SERVICES lacks {service}, of which tieout.aws makes a client"
    for service in sorted(kept - used):
        yield f"shared/Makefile: SERVICES has {service}, of which nothing makes a client"


def rights_are_used(root: Path) -> Iterator[str]:
    """Every AWS call of tieout.aws has a right in some role of the template, and every right has a call."""
    called: dict[str, str] = {}
    for path, tree in modules(root, "shared/tieout/aws"):
        for node in ast.walk(tree):
            if not isinstance(node, ast.Attribute) or not name_of(node.value).endswith("._client"):
                continue
            place = f"{path}:{node.lineno}"
            if node.attr not in RIGHTS:
                yield f"{place}: which right does {node.attr} need? Add it to RIGHTS in tests/meta/guards.py"
            called |= dict.fromkeys(RIGHTS.get(node.attr, ()), place)
    template = (root / "template.yaml").read_text(encoding="utf-8")
    allowed = set(
        re.findall(r"\b((?:dynamodb|events|logs|s3|secretsmanager|sqs|states):[A-Z]\w+)\b(?!\x22?:)", template)
    )
    machines_own = set(re.findall(r"logs:\w+(?:LogDeliver\w+|LogGroups|ResourcePolic\w+)", template))
    for right in sorted(called.keys() - allowed):
        yield f"{called[right]}: no role of template.yaml allows {right}"
    for right in sorted(allowed - called.keys() - LAMBDAS_OWN - machines_own):
        yield f"template.yaml allows {right}, which nothing calls"


# --- verdicts -------------------------------------------------------------------------------------------------------


def verdicts_have_no_subclasses(root: Path) -> Iterator[str]:
    """Five verdicts and no more: Step Functions matches errors by exact class name."""
    for path, tree in modules(root, *PRODUCT):
        for node in ast.walk(tree):
            if not isinstance(node, ast.ClassDef):
                continue
            bases = {name_of(base).split(".")[-1] for base in node.bases}
            if bases & set(VERDICTS) or ("Verdict" in bases and node.name not in VERDICTS):
                yield f"{path}:{node.lineno}: {node.name} derives from a verdict; give the verdict a code instead"


def listed_codes(root: Path) -> dict[str, int]:
    """Each code of the catalogue, and its line."""
    tree = ast.parse((root / "shared/tieout/core/problems.py").read_text(encoding="utf-8"))
    for node in tree.body:
        target = node.target if isinstance(node, ast.AnnAssign) else None
        if isinstance(target, ast.Name) and target.id == "PROBLEMS" and isinstance(node, ast.AnnAssign):
            assert isinstance(node.value, ast.Dict)
            return {
                key.value: key.lineno
                for key in node.value.keys
                if isinstance(key, ast.Constant) and isinstance(key.value, str)
            }
    raise AssertionError("core/problems.py has no PROBLEMS")


def raised_codes(root: Path) -> Iterator[tuple[str, str]]:
    """Place and code of every verdict that is made, every row of a verdict table, every ``missing`` of a mapping."""
    for path, tree in modules(root, *PRODUCT):
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            called = name_of(node.func).split(".")[-1]
            given = node.args[:1] if called in VERDICTS else node.args[2:3] if called == "Row" else []
            given += [word.value for word in node.keywords if word.arg == "code"]
            for argument in given:
                for code in chosen(argument):
                    if code:
                        yield f"{path}:{node.lineno}", code
    for mapping in sorted((root / "shared/tieout/mappings").rglob("mapping.yaml")):
        for code in re.findall(r"\bmissing: *([a-z_]+)", mapping.read_text(encoding="utf-8")):
            yield str(mapping.relative_to(root)), code


def codes_raised_are_listed(root: Path) -> Iterator[str]:
    """Every code has its entry in core/problems.py: sentence, cause, remedy, owner."""
    listed = listed_codes(root)
    for place, code in raised_codes(root):
        if code not in listed:
            yield f"{place}: code {code!r} is not in core/problems.py"


def codes_listed_are_raised(root: Path) -> Iterator[str]:
    """Every entry of core/problems.py is said somewhere: by a verdict, a table, a mapping or a gate."""
    said = {code for _, code in raised_codes(root)}
    for path, tree in modules(root, *PRODUCT):
        if path.name != "problems.py":
            said |= set(strings(tree))
    for code, line in listed_codes(root).items():
        if code not in said:
            yield f"shared/tieout/core/problems.py:{line}: nothing ever says {code!r}"


# --- money ----------------------------------------------------------------------------------------------------------


def no_floats_near_money(root: Path) -> Iterator[str]:
    """No float in core, systems and mappings; ``isinstance(x, float)``, to refuse one, is allowed."""
    folders = ("core", "systems", "mappings")
    for path, tree in modules(root, *(f"shared/tieout/{folder}" for folder in folders)):
        refusing = {
            id(inner)
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and name_of(node.func) == "isinstance"
            for inner in ast.walk(node)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and node.id == "float" and id(node) not in refusing:
                yield f"{path}:{node.lineno}: float; money is integer minor units, a payload's number a Decimal"
            if isinstance(node, ast.Constant) and isinstance(node.value, float):
                yield f"{path}:{node.lineno}: the literal {node.value} is a float"


# --- what is captured, derived, written down ------------------------------------------------------------------------


def flows_events_are_captured(root: Path) -> Iterator[str]:
    """Each flow's event has its file: ``events/<source>/<type>.json``."""
    for _, tree in modules(root, "shared/tieout"):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and name_of(node.func) == "On" and len(node.args) == 2:
                source, type_ = (next(strings(argument), "") for argument in node.args)
                if not (root / "events" / source / f"{type_}.json").is_file():
                    yield f"events/{source}/{type_}.json is missing: a flow starts on it"


def decisions_are_dated(root: Path) -> Iterator[str]:
    """Decisions are numbered without gaps, dated, and name the road not taken."""
    paths = sorted((root / "docs/decisions").glob("*.md"))
    if not paths:
        yield "docs/decisions: no decision is written down"
    for number, path in enumerate(paths, start=1):
        text, place = path.read_text(encoding="utf-8"), path.relative_to(root)
        if not re.match(rf"{number:04}-[a-z0-9-]+\.md$", path.name):
            yield f"{place}: expected a name that starts with {number:04}-"
        if not re.search(r"\b20\d\d-\d\d-\d\d\b", "\n".join(text.splitlines()[:6])):
            yield f"{place}: no date (YYYY-MM-DD) in its first lines"
        if "road not taken" not in text.casefold():
            yield f"{place}: does not say which road was not taken"


def documented_commands_exist(root: Path) -> Iterator[str]:
    """README and docs name only targets that the Makefile has, and README names the two commands."""
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    readme = root / "README.md"
    if not readme.is_file():
        yield "README.md is missing"
    for path in [readme, *sorted((root / "docs").rglob("*.md"))]:
        if not path.is_file():
            continue
        text = path.read_text(encoding="utf-8")
        for target in re.findall(r"(?:`|^ *\$? ?)make ([a-z-]+)", text, re.MULTILINE):
            if target not in targets:
                yield f"{path.relative_to(root)}: names `make {target}`, which the Makefile does not have"
        if path == readme:
            for command in ("make run", "make test"):
                if command not in text:
                    yield f"README.md does not name `{command}`"


#: An absolute path of somebody's machine, or the host of a package registry. Brackets keep it from matching itself.
_FOREIGN = re.compile(
    r"(?<![\w.}/])/(?:[w]ork|[r]oot|[t]mp|[h]ome|[U]sers)/\w|(?:[p]ypi|[p]ythonhosted|[n]pmjs|[d]ebian)\.(?:org|com)"
)


def nothing_names_a_machine(root: Path) -> Iterator[str]:
    """No path of a machine and no registry host stands in the tree."""
    for path in tracked(root):
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(lines, start=1):
            if found := _FOREIGN.search(line):
                yield f"{path.relative_to(root)}:{number}: names {found[0]!r}"


def settings_and_template_agree(root: Path) -> Iterator[str]:
    """What aws/settings.py reads, the template sets, and the other way round."""
    tree = ast.parse((root / "shared/tieout/aws/settings.py").read_text(encoding="utf-8"))
    name = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*_?")
    read = {text for text in strings(tree) if name.fullmatch(text)}
    template = (root / "template.yaml").read_text(encoding="utf-8")
    given = set(re.findall(r"^ {8,10}([A-Z][A-Z0-9_]+): ", template, re.MULTILINE))
    ours = {text for text in given if not text.startswith("POWERTOOLS_") and text != "LOG_LEVEL"}
    prefixes = tuple(text for text in read if text.endswith("_"))
    for missing in sorted(text for text in read - ours if text not in prefixes):
        yield f"template.yaml never sets {missing}, which aws/settings.py reads"
    for unread in sorted(text for text in ours - read if not text.startswith(prefixes)):
        yield f"aws/settings.py never reads {unread}, which template.yaml sets"


def machine_tasks_end(root: Path) -> Iterator[str]:
    """Each Task of each derived state machine has a time-out, and each definition starts somewhere."""

    def states(definition: object) -> Iterator[tuple[str, dict[str, object]]]:
        if isinstance(definition, dict):
            yield from definition.get("States", {}).items()
            for value in definition.values():
                yield from states(value)
        elif isinstance(definition, list):
            for value in definition:
                yield from states(value)

    for path in sorted((root / "infra/machines").glob("*.asl.json")):
        definition = json.loads(path.read_text(encoding="utf-8"))
        for name, state in states(definition):
            if state.get("Type") == "Task" and not {"TimeoutSeconds", "TimeoutSecondsPath"} & state.keys():
                yield f"{path.relative_to(root)}: task {name} has no TimeoutSeconds and could wait for a year"


GUARDS: tuple[Guard, ...] = (
    handlers_are_short,
    functions_are_what_the_template_says,
    only_settings_read_the_environment,
    only_aws_and_functions_know_aws,
    layer_carries_the_clients,
    rights_are_used,
    verdicts_have_no_subclasses,
    codes_raised_are_listed,
    codes_listed_are_raised,
    no_floats_near_money,
    flows_events_are_captured,
    decisions_are_dated,
    documented_commands_exist,
    nothing_names_a_machine,
    settings_and_template_agree,
    machine_tasks_end,
)
