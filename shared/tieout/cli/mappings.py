"""``tieout mappings``: what the mappings say, whether they are sound, why a field has its value, what a change does.

Reads the mappings and tables of this checkout; no deployment is asked. Exit codes: 0 same or sound, 1 differences or
failures, 2 misunderstood.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from tieout import mappings, tables
from tieout.cli import examples, show
from tieout.cli.client import PROBLEM, USAGE, Failure
from tieout.cli.command import AsJson, command, out
from tieout.core.changes import Amounts, Outcome, Report, compare
from tieout.core.mapping import CompiledMapping, Lineage
from tieout.core.nodes import GovernanceError, suggest
from tieout.core.problems import PROBLEMS
from tieout.core.verdicts import Verdict

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The mappings: governed, versioned, with examples.")
Name = Annotated[str, typer.Argument(help="A mapping, for example netsuite.invoice; an older version with @2.")]
#: The most characters of one value in a table.
CELL = 60
MaybeName = Annotated[str, typer.Argument(help="Only this mapping.")]


# --- what there is -----------------------------------------------------------------------------------------------
@app.command("ls")
@command
def ls(as_json: AsJson = False) -> None:
    """Every mapping: version, owner, what it makes, how many fields and examples it has."""
    found = [summary(name) for name in mappings.names()]
    if as_json:
        show.as_json(out(), found)
        return
    made = show.table(
        "mapping", "version", "older", "owner", "makes", "fields", "examples", right=("fields", "examples")
    )
    for one in found:
        older = ", ".join(map(str, one["older"]))
        made.add_row(one["name"], str(one["version"]), older, one["owner"], one["makes"], str(one["fields"]),
                     str(one["examples"]))  # fmt: skip
    out().print(made)


def summary(name: str) -> dict[str, Any]:
    """One line of the list."""
    mapping = mappings.load(name, tables.load().columns())
    return {
        "name": name, "version": mapping.version, "older": mappings.older(name), "owner": mapping.owner,
        "makes": mapping.makes, "fields": len(mapping.rules), "examples": len(list(examples.of_mapping(name))),
    }  # fmt: skip


@app.command("show")
@command
def show_one(
    name: Name,
    source: Annotated[bool, typer.Option("--source", help="The Python that it was compiled to.")] = False,
    as_json: AsJson = False,
) -> None:
    """One mapping: its fields with rule and meaning, tables, functions and examples."""
    mapping = chosen(name)
    console = out()
    if source:
        console.file.write(show.clean(mapping.source))
    elif as_json:
        show.as_json(console, described(mapping))
    else:
        versions = ", ".join(f"@{one}" for one in mappings.older(mapping.name))
        head = f"{mapping.name} version {mapping.version}, {mapping.owner}, makes {mapping.makes}"
        console.print(Text(show.clean(head + (f" (older: {versions})" if versions else ""))))
        if mapping.means:
            console.print(Text(show.clean(mapping.means), style="dim"))
        made = show.table("field", "rule", "means")
        for rule in mapping.rules:
            said = rule.rule + (", optional" if rule.optional else "")
            made.add_row(*(Text(show.clean(cell)) for cell in (rule.field, said, rule.means)))
        console.print(made)
        for what, names in (("tables", mapping.tables), ("functions", mapping.functions)):
            if names:
                console.print(Text(show.clean(f"{what}: {', '.join(sorted(names))}")))
        for example in examples.of_mapping(mapping.name):
            console.print(Text(show.clean(f"example {example.path.stem}: {example.read()['why']}")))


def described(mapping: CompiledMapping) -> dict[str, Any]:
    """A mapping as plain values."""
    return {
        "name": mapping.name,
        "version": mapping.version,
        "older": mappings.older(mapping.name),
        "owner": mapping.owner,
        "makes": mapping.makes,
        "means": mapping.means,
        "fields": [
            {
                "field": rule.field, "rule": rule.rule, "means": rule.means, "line": rule.line,
                "optional": rule.optional, "missing": rule.missing or None,
            }
            for rule in mapping.rules
        ],
        "tables": sorted(mapping.tables),
        "functions": sorted(mapping.functions),
        "examples": [{"name": one.path.stem, "why": one.read()["why"]} for one in examples.of_mapping(mapping.name)],
    }  # fmt: skip


def chosen(name: str) -> CompiledMapping:
    """The mapping of a name; `Failure` for one that does not exist, `GovernanceError` for one that is not sound."""
    if name.partition("@")[0] not in mappings.names():
        raise Failure(
            USAGE, f"There is no mapping {name}{suggest(name, mappings.names())}", "See `tieout mappings ls`."
        )
    return mappings.load(name, tables.load().columns())


# --- whether they are sound --------------------------------------------------------------------------------------
@app.command("check")
@command
def check(name: MaybeName = "", as_json: AsJson = False) -> None:
    """Load every mapping and every older version strictly; each mistake with file, line and suggestion."""
    columns = tables.load().columns()
    names = [chosen(name).name] if name else mappings.names()
    every = [full for one in names for full in (one, *(f"{one}@{number}" for number in mappings.older(one)))]
    mistakes = []
    for full in every:
        try:
            mistakes += [f"{_at(full)}: code {rule.missing!r} is not in the catalogue of problems"
                         for rule in mappings.load(full, columns).rules
                         if rule.missing and rule.missing not in PROBLEMS]  # fmt: skip
        except GovernanceError as error:
            mistakes += map(str, error.mistakes)
    if as_json:
        show.as_json(out(), {"checked": every, "mistakes": mistakes})
    else:
        for mistake in mistakes:
            out().print(Text(show.clean(mistake), style="red"), soft_wrap=True)
        out().print(f"{len(every)} mappings and versions read, {len(mistakes)} mistakes")
    if mistakes:
        raise typer.Exit(PROBLEM)


def _at(full: str) -> str:
    name, at, version = full.partition("@")
    return f"mappings/{name}/" + (f"versions/{version}.yaml" if at else "mapping.yaml")


@app.command("test")
@command
def run_examples(name: MaybeName = "", as_json: AsJson = False) -> None:
    """Run the examples; for each that comes out otherwise, the fields that differ."""
    if name:
        chosen(name)
    every = [one for one in examples.examples() if name in ("", one.mapping)]
    failed = []
    for example in every:
        said = example.read()
        expected = Outcome(said.get("makes"), said.get("stops_with", ""))
        made = examples.run(said, chosen(example.mapping), tables.load())
        found = compare(example.name, expected, made, Amounts({}))
        if found is not None:
            failed.append(found)
    report = Report("what the example says", "what the mapping makes", len(every), tuple(failed))
    if as_json:
        show.as_json(out(), report.plain())
    elif failed:
        _print(report)
        out().print("If the new outcome is right, run `make accept` and review its diff.")
    else:
        out().print(f"{len(every)} examples, all as they say")
    if failed:
        raise typer.Exit(PROBLEM)


# --- why a field has its value -----------------------------------------------------------------------------------
@app.command("explain")
@command
def explain(
    name: Name,
    file: Annotated[Path, typer.Argument(help="An example, a stored document, or an event in its source's folder.")],
    as_json: AsJson = False,
) -> None:
    """For each output field: the rule, what it read, and the table row with its effective days."""
    mapping, governed = chosen(name), tables.load()
    found = _inputs(mapping, file, governed)
    if not found:
        raise Failure(PROBLEM, f"{file} holds nothing that {mapping.name} reads.")
    for _, said in found:
        try:
            trace = examples.explained(said, mapping, governed)
        except Verdict as verdict:
            raise Failure(PROBLEM, f"{mapping.name} stops with {verdict.code}: {verdict.log}",
                          PROBLEMS[verdict.code].remedy if verdict.code in PROBLEMS else "") from None  # fmt: skip
        if as_json:
            show.as_json(out(), {"mapping": f"{mapping.name}@{mapping.version}", "fields": [_plain(x) for x in trace]})
        else:
            _print_trace(mapping, trace)


def _inputs(mapping: CompiledMapping, file: Path, governed: tables.Tables) -> list[tuple[str, Mapping[str, Any]]]:
    own = mappings.HOME / mapping.name / "examples" / f"{file.name.removesuffix('.json')}.json"
    path = file if file.is_file() or not own.is_file() else own
    if not path.is_file():
        raise Failure(USAGE, f"There is no file {file}.", "Say a path, or the name of one of the mapping's examples.")
    try:
        return list(examples.stored(path, mapping, governed))
    except (ValueError, Verdict) as error:
        raise Failure(USAGE, str(error)) from None


def _print_trace(mapping: CompiledMapping, trace: tuple[Lineage, ...]) -> None:
    console = out()
    console.print(f"{mapping.name} version {mapping.version}")
    made = show.table("field", "value", "rule", "read", "row")
    for one in trace:
        read = ", ".join(f"{path} = {_short(value)}" for path, value in one.inputs.items())
        cells = (one.field, _short(one.value), f"{one.line}: {one.rule}", read, one.row)
        made.add_row(*(Text(show.clean(cell)) for cell in cells))
    console.print(made)


def _short(value: Any) -> str:
    """A value for a table's cell; whole objects are cut, `--json` shows them."""
    text = str(value)
    return text if len(text) <= CELL else text[: CELL - 1] + "…"


def _plain(one: Lineage) -> dict[str, Any]:
    return {
        "field": one.field, "value": str(one.value), "rule": one.rule, "line": one.line, "means": one.means,
        "inputs": {path: str(value) for path, value in one.inputs.items()}, "row": one.row or None,
    }  # fmt: skip


# --- what a change does ------------------------------------------------------------------------------------------
@app.command("diff")
@command
def diff(
    name: Annotated[str, typer.Argument(help="A mapping, for example netsuite.invoice.")],
    before: Annotated[str, typer.Option("--from", help="A version or a file; the newest older one if left out.")] = "",
    after: Annotated[str, typer.Option("--to", help="A version or a file; the current one if left out.")] = "",
    over: Annotated[Path | None, typer.Option(help="A folder of documents; else the examples and events/.")] = None,
    as_json: AsJson = False,
) -> None:
    """What another version changes over stored documents: fields, money by currency, who begins or ceases to stop."""
    current, older = chosen(name), mappings.older(name)
    if not before and not older:
        raise Failure(USAGE, f"{name} has no older version.", "Say --from VERSION or FILE, or keep versions/<n>.yaml.")
    if over is not None and not over.is_dir():
        raise Failure(USAGE, f"There is no folder {over}.")
    one = version(current.name, before or str(older[-1]))
    other = version(current.name, after or str(current.version))
    report = differences(one, other, over, (_said(one, before), _said(other, after)))
    if as_json:
        show.as_json(out(), report.plain())
    else:
        _print(report)
    if report.differences:
        raise typer.Exit(PROBLEM)


def version(name: str, which: str) -> CompiledMapping:
    """A version by its number, or a draft by its file."""
    columns = tables.load().columns()
    return mappings.load(f"{name}@{which}", columns) if which.isdecimal() else mappings.load_file(
        name, Path(which), columns
    )  # fmt: skip


def differences(
    before: CompiledMapping, after: CompiledMapping, over: Path | None, said: tuple[str, str] = ("", "")
) -> Report:
    """Both versions over the same documents. Raises `Failure` for a corpus that cannot be read or is empty."""
    governed = tables.load()
    try:
        inputs = examples.corpus(after, over, governed)
    except (ValueError, Verdict) as error:
        raise Failure(USAGE, str(error)) from None
    if not inputs:
        raise Failure(USAGE, f"There is no document that {after.name} reads.", "Say another folder with --over.")
    spelled = {rule.field: rule.amount for mapping in (before, after) for rule in mapping.rules if rule.amount}
    found = []
    for name, given in inputs:
        amount, currency = examples.total(given, after, governed)
        if amount is None:
            amount, currency = examples.total(given, before, governed)
        was, now = (examples.run(given, mapping, governed) for mapping in (before, after))
        found.append(compare(name, was, now, Amounts(spelled, currency), amount))
    names = (said[0] or _said(before, ""), said[1] or _said(after, ""))
    return Report(*names, len(inputs), tuple(one for one in found if one is not None))


def _said(mapping: CompiledMapping, which: str) -> str:
    return f"{mapping.name}@{mapping.version}" + ("" if which.isdecimal() or not which else f" ({Path(which).name})")


def _print(report: Report) -> None:
    console = out()
    for line in report.lines():
        console.print(Text(show.clean(line)), soft_wrap=True)
