"""Pages derived from what is governed: mappings, tables, flows, problems, systems, and the mistakes a mapping can have.

Each function is a generator of `infra.generate`: path from the root of the repository, and the text that must stand
there. Nothing here is written by hand twice: who owns a field, what a code means or which row holds is read where the
product reads it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from infra import orchestration
from tests.unit.core.mapping_mistakes import DOCUMENT_MISTAKES, HEADER_MISTAKES, MISTAKES
from tieout import flows, mappings, systems, tables
from tieout.cli import examples
from tieout.core.lookup import GIVEN, Row, Table
from tieout.core.mapping import CompiledMapping
from tieout.core.problems import PROBLEMS, Problem
from tieout.core.rules import RULES

ROOT: Final = Path(__file__).resolve().parents[1]
Files = Mapping[str, str]
SEVERITIES: Final = ("critical", "error", "warning", "info")


def cell(value: Any) -> str:
    """Text inside a Markdown table."""
    return re.sub(r"\s+", " ", "" if value is None else str(value)).strip().replace("|", "\\|")


def code(text: Any) -> str:
    """Text as code, also inside a table; nothing stays nothing."""
    said = cell(text)
    return f"`{said}`" if said else ""


def grid(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A Markdown table."""
    yield f"| {' | '.join(heads)} |"
    yield "|" + "---|" * len(heads)
    for row in rows:
        yield f"| {' | '.join(row)} |"


def page(title: str, source: str, *parts: Iterable[str]) -> str:
    """A derived page: title, where it comes from, and its parts with a blank line between."""
    lines = [f"# {title}", "", f"Derived from {source} by `make generate`; do not edit."]
    for part in parts:
        lines += ["", *part]
    return "\n".join(lines).rstrip() + "\n"


# --- mappings ------------------------------------------------------------------------------------------------------


def mapping_pages() -> Files:
    """One page for each mapping, and their index."""
    known = tables.load().columns()
    found = [mappings.load(name, known) for name in mappings.names()]
    pages = {f"docs/mappings/{one.name}.md": _mapping(one) for one in found}
    rows = [
        (f"[{one.name}]({one.name}.md)", str(one.version), one.owner, code(one.makes), str(len(one.rules)),
         cell(one.means)) for one in found
    ]  # fmt: skip
    head = "How to add one is in [Adding a mapping](../adding-a-mapping.md); what each mistake says, in"
    index = page(
        "Mappings",
        "`shared/tieout/mappings/`",
        [f"{head} [Mistakes](../mapping-mistakes.md)."],
        grid(("Mapping", "Version", "Owner", "Makes", "Fields", "Means"), rows),
    )
    return {**pages, "docs/mappings/index.md": index}


def _mapping(mapping: CompiledMapping) -> str:
    older = ", ".join(str(number) for number in mappings.older(mapping.name))
    facts = [
        f"Version {mapping.version}{f' (older ones: {older})' if older else ''}, owned by {mapping.owner}. "
        f"Makes {_makes(mapping)}.",
        *([f"{mapping.means[:1].upper()}{mapping.means[1:]}."] if mapping.means else []),
        *_used_by(mapping),
    ]
    fields = [
        (code(rule.field), code(rule.rule), "yes" if rule.optional else "", _code_link(rule.missing), cell(rule.means))
        for rule in mapping.rules
    ]
    parts: list[Iterable[str]] = [
        facts,
        ["## Fields", "", *grid(("Field", "Rule", "Optional", "Stops with", "Means"), fields)],
    ]
    if mapping.tables:
        parts.append(["## Tables", "", *(_table_line(name) for name in sorted(mapping.tables))])
    if mapping.functions:
        said = ((code(name), _first_line(RULES[name].__doc__)) for name in sorted(mapping.functions))
        parts.append(["## Functions", "", *grid(("Function", "Gives"), said)])
    parts.append(["## Examples", "", *grid(("Example", "Why", "Comes out as"), _examples(mapping.name))])
    return page(mapping.name, f"`shared/tieout/mappings/{mapping.name}/`", *parts)


def _makes(mapping: CompiledMapping) -> str:
    return f"the document {code(mapping.makes)}" if mapping.kind else f"the payload {code(mapping.makes)}"


def _used_by(mapping: CompiledMapping) -> list[str]:
    reading = [flow.name for flow in flows.FLOWS if flow.reads == mapping.name]
    kinds = sorted(examples.kinds(mapping))
    said = []
    if reading:
        said.append(f"Read by {_flows(reading)}.")
    if kinds:
        said.append(f"Used to post: {', '.join(kinds)}.")
    return said


def _flows(names: Sequence[str]) -> str:
    return ", ".join(f"[{name}](../flows.md#{name})" for name in names)


def _table_line(name: str) -> str:
    if name in GIVEN:
        return f"- {code(name)}: {GIVEN[name]}; from the ledger's links"
    return f"- [{name}](../tables.md#{name}): {tables.load().tables[name].means}"


def _examples(name: str) -> Iterator[tuple[str, str, str]]:
    for example in examples.of_mapping(name):
        said = example.read()
        stops = said.get("stops_with")
        ends = f"stops with {_code_link(stops)}" if stops else "made"
        path = f"../../shared/tieout/mappings/{name}/examples/{example.path.name}"
        yield f"[{example.path.stem}]({path})", cell(said["why"]), ends


def _code_link(name: str, home: str = "../runbooks.md") -> str:
    return f"[`{name}`]({home}#{name})" if name in PROBLEMS else code(name)


def _first_line(text: str | None) -> str:
    return cell((text or "").strip().partition("\n")[0])


# --- tables --------------------------------------------------------------------------------------------------------


def table_page() -> Files:
    """Every governed table with its rows and their effective days."""
    known = tables.load()
    order = "A row is looked for at the entity, then at its fallback (`*`), then at the organisation, then at its"
    parts: list[Iterable[str]] = [
        [
            f"The tables of this release, version `{known.version}`. {order} fallback; at each of the four a row for",
            "the target goes before a row for any. Approved changes (`tieout tables ls`) lie over these rows.",
        ],
        grid(
            ("Table", "Owner", "Version", "Rows", "Means"),
            [(f"[{name}](#{name})", one.owner, code(one.version), str(len(one.rows)), cell(one.means))
             for name, one in sorted(known.tables.items())],
        ),
        *(_table(one) for _, one in sorted(known.tables.items())),
        ["## routes", "", "Which target account takes a document; the most specific row wins.", "",
         *grid(("Role", "Entity", "Kind", "Product line", "Effective", "Target", "Why"),
               [(one.role, cell(one.entity or "any"), cell(one.kind or "any"), cell(one.product_line or "any"),
                 _days(one.first, one.last), code(one.target), cell(one.why)) for one in known.routes])],
        ["## calendars", "", "Accounting periods of each entity, in its time zone.", "",
         *grid(("Entity", "Time zone", "From", "Until", "Open"), list(_calendars(known)))],
    ]  # fmt: skip
    return {"docs/tables.md": page("Tables", "`shared/tieout/tables/`", *parts)}


def _table(table: Table) -> Iterator[str]:
    columns = sorted(table.columns)
    heads = ["Key", *(name.capitalize().replace("_", " ") for name in columns), "Entity", "Target", "Effective", "Why"]
    rows = [_row(row, columns) for row in table.rows]
    used = [index for index in range(len(heads)) if index == 0 or any(row[index] for row in rows)]
    yield f"## {table.name}"
    yield ""
    yield f"{table.means[:1].upper()}{table.means[1:]}. Owned by {table.owner}, version `{table.version}`."
    yield ""
    yield from grid([heads[index] for index in used], [[row[index] for index in used] for row in rows])


def _row(row: Row, columns: Sequence[str]) -> list[str]:
    cells = [code(row.cells.get(name)) for name in columns]
    return [code(row.key), *cells, cell(row.entity), cell(row.target), _days(row.first, row.last), cell(row.why)]


def _days(first: object, last: object) -> str:
    if not first and not last:
        return ""
    return (f"from {first}" if first else "") + (" " if first and last else "") + (f"until {last}" if last else "")


def _calendars(known: tables.Tables) -> Iterator[tuple[str, ...]]:
    for entity, calendar in sorted(known.calendars.items()):
        periods = calendar.periods
        opened = [period.name for period in periods if period.is_open]
        span = f"{opened[0]} to {opened[-1]}" if opened else "none"
        yield entity, known.entity(entity).zone, str(periods[0].first), str(periods[-1].last), span


# --- flows ---------------------------------------------------------------------------------------------------------


def flow_page() -> Files:
    """THE TABLE, and a drawing of each state machine that is derived from it."""
    rows = [
        (f"[{flow.name}](#{flow.name})", f"{flow.on.source} {code(flow.on.type)}", flow.makes,
         " → ".join(step.to or step.name for step in flow.steps), cell(flow.lane or "none"), cell(flow.tell),
         flow.owner, f"{int(flow.sla.total_seconds()) // 60} min") for flow in flows.FLOWS
    ]  # fmt: skip
    parts: list[Iterable[str]] = [
        grid(("Flow", "Starts on", "Makes", "Steps", "Lane", "Tells", "Owner", "Late after"), rows),
        (
            "## What each role is asked for", "",
            "What a route names for a role must offer what flows ask of it. Something else is the case `route_unable`; "
            "a void that it does not offer is [the planner's](planner.md) to decide.",
        ),
        grid(("Role", "Is asked for"), _roles()),
        *(_flow(flow) for flow in flows.FLOWS),
    ]  # fmt: skip
    return {"docs/flows.md": page("Flows", "`shared/tieout/flows.py`", *parts)}


def _roles() -> Iterator[tuple[str, str]]:
    """Of each role of the route table: the kinds and actions that flows ask for."""
    asked: dict[str, dict[str, set[str]]] = {}
    for flow in flows.FLOWS:
        for step in (*flow.steps, *flow.then):
            if step.does == "post":
                actions = {step.action, *([step.undo] if step.undo else [])}
                asked.setdefault(step.role, {}).setdefault(step.kind, set()).update(actions)
        if flow.tell:
            asked.setdefault(flow.tell, {}).setdefault("status", set()).add("upsert")
        if flow.support:
            asked.setdefault(flow.support, {}).setdefault("ticket", set()).update({"create", "update"})
    for role in sorted(asked):
        kinds = asked[role]
        said = "; ".join(f"{kind} ({', '.join(sorted(kinds[kind]))})" for kind in sorted(kinds))
        yield role, said


def _flow(flow: flows.Flow) -> Iterator[str]:
    yield f"## {flow.name}"
    yield ""
    order = f"Kept in order behind its {flow.lane}" if flow.lane else "Order does not matter"
    waits = f"; waits for its {flow.parent}" if flow.parent else ""
    known = "; only for customers that the books know or their source claims for finance" if flow.known else ""
    changes = "; changes in place, so its version is part of the posting key" if flow.in_place else ""
    yield f"{order}{waits}{known}{changes}. Priority {flow.priority}. {flow.why}".strip()
    yield ""
    yield f"- reads {code(flow.on.source + ' ' + flow.on.type)} by [{flow.reads}](mappings/{flow.reads}.md)"
    for step in flow.steps:
        does = {"post": f"posts {step.to} ({step.action})", "look": f"looks for {step.to} first", "check": "checks",
                "ask": f"asks {step.to} ({step.action}), where the route table names a target"}  # fmt: skip
        more = f", and spares {step.spares} where it is found" if step.spares else ""
        undo = f"; undone by {step.undo}" if step.undo else ""
        yield f"- {step.name}: {does[step.does]}{more}{undo}{_by(step)}"
    for step in flow.then:
        waits = "; waits for its own posting of the document above" if step.behind else ""
        yield f"- behind the acceptance, where the route table names a target: posts {step.to} ({step.action}){waits}"
    if flow.support:
        yield f"- a refusal makes a ticket, where the route table has a row of {code(flow.support)}"
    if flow.orchestrated:
        yield ""
        yield from _drawing(flow)


def _by(step: flows.Step) -> str:
    """The mappings that post a step, for every target that may take it."""
    found = []
    for name in systems.TARGETS if step.does == "post" else ():
        action = systems.target(name).actions.get((step.kind, step.action))
        if action is not None and action.mapping is not None and _takes(name, step.role):
            found.append(f"[{action.mapping}](mappings/{action.mapping}.md)")
    return f", by {' or '.join(found)}" if found else ""


def _takes(system: str, role: str) -> bool:
    return any(route.system == system and route.role == role for route in tables.load().routes)


def _drawing(flow: flows.Flow) -> Iterator[str]:
    states: Mapping[str, Mapping[str, Any]] = orchestration.machine(flow)["States"]
    yield "```mermaid"
    yield "stateDiagram-v2"
    for name in states:
        yield f'    state "{name}" as {_id(name)}'
    yield f"    [*] --> {_id(flow.steps[0].name)}"
    for name, state in states.items():
        for choice in state.get("Choices", ()):
            yield f"    {_id(name)} --> {_id(choice['Next'])}: found"
        if "Default" in state:
            yield f"    {_id(name)} --> {_id(state['Default'])}: not found"
        if "Next" in state:
            yield f"    {_id(name)} --> {_id(state['Next'])}"
        for caught in state.get("Catch", ()):
            if "NeedsHuman" in caught["ErrorEquals"]:
                yield f"    {_id(name)} --> {_id(caught['Next'])}: refused"
        if state["Type"] in ("Succeed", "Fail"):
            yield f"    {_id(name)} --> [*]"
    yield "```"
    yield ""
    yield "Every step may also end in *Unfinished* after its last attempt; probe then opens a case, nothing is undone."


def _id(name: str) -> str:
    return re.sub(r"\W+", "_", name.casefold())


# --- problems ------------------------------------------------------------------------------------------------------


def runbooks() -> Files:
    """What each code means, whose it is and what to do; one heading a code, so that a case can link to it."""
    by_mapping: dict[str, list[str]] = {}
    known = tables.load().columns()
    for name in mappings.names():
        for missing in {rule.missing for rule in mappings.load(name, known).rules if rule.missing}:
            by_mapping.setdefault(missing, []).append(name)
    rows = [
        (f"[`{name}`](#{name})", one.severity, one.owner, "yes" if one.case else "", "yes" if one.recovers else "",
         cell(one.sentence))
        for severity in SEVERITIES
        for name, one in sorted(PROBLEMS.items()) if one.severity == severity
    ]  # fmt: skip
    return {
        "docs/runbooks.md": page(
            "Runbooks",
            "`shared/tieout/core/problems.py`",
            ["Every way a piece of work can fail to finish. Words in braces are filled with the facts of the case."],
            grid(("Code", "Severity", "Owner", "Opens a case", "Recovers by itself", "Sentence"), rows),
            *(_problem(name, one, by_mapping.get(name, ())) for name, one in sorted(PROBLEMS.items())),
        )
    }


def _problem(name: str, one: Problem, by: Sequence[str]) -> Iterator[str]:
    yield f"## {name}"
    yield ""
    yield f"> {cell(one.sentence)}"
    yield ""
    yield f"- Cause: {cell(one.cause)}"
    yield f"- What to do: {cell(one.remedy)}"
    recovers = "goes on by itself once the cause is gone" if one.recovers else "waits for a person"
    shown = "opens a case" if one.case else "opens no case"
    yield f"- Owner: {one.owner}; severity: {one.severity}; {shown}; {recovers}"
    if by:
        yield f"- Said by: {', '.join(f'[{mapping}](mappings/{mapping}.md)' for mapping in by)}"


# --- systems -------------------------------------------------------------------------------------------------------

_RULE = re.compile(r"^\| *(\d+) *\| *([^|]+?) *\| *([^|]+?) *\|$", re.MULTILINE)


def system_page() -> Files:
    """Every system: roles, safety class, capacity, and how it stands by the ten quality rules of its README."""
    names = sorted(systems.SYSTEMS)
    rules = {name: {int(n): (title, state) for n, title, state in _RULE.findall(_readme(name))} for name in names}
    titles = {number: title for one in rules.values() for number, (title, _) in one.items()}
    states = [
        [f"{number}. {titles[number]}", *(_state(rules[name].get(number)) for name in names)]
        for number in sorted(titles)
    ]
    notes = [
        f"- {name}, rule {number}: {state}"
        for name in names
        for number, (_, state) in sorted(rules[name].items())
        if state != "done"
    ]
    return {
        "docs/systems.md": page(
            "Systems",
            "`shared/tieout/systems/`",
            grid(("System", "Roles", "Class", "Quiet", "At once", "Posts"), [_system(name) for name in names]),
            ["Class U has a unique key, S is searchable at once, L with a lag, B is blind. *Quiet* is how long an",
             "answer in doubt is left alone before anybody looks."],
            ["## The ten rules", "", *grid(("Rule", *names), states), "", *notes],
        )
    }  # fmt: skip


def _system(name: str) -> tuple[str, ...]:
    link = f"[{name}](../shared/tieout/systems/{name}/README.md)"
    roles = systems.SYSTEMS[name]
    if "target" not in roles:
        return link, ", ".join(roles), "", "", "", ""
    target = systems.target(name)
    kinds = ", ".join(sorted({kind for kind, _ in target.actions}))
    quiet = f"{target.quiet.period} s"
    return link, ", ".join(roles), str(target.finds), quiet, str(target.budget.concurrency or ""), kinds


def _readme(name: str) -> str:
    return (ROOT / "shared/tieout/systems" / name / "README.md").read_text("utf-8")


def _state(rule: tuple[str, str] | None) -> str:
    """One word of a rule's state: done, todo or exempt."""
    return re.split(r"[\s:;,]", rule[1])[0] if rule else "not said"


# --- mistakes ------------------------------------------------------------------------------------------------------


def mistake_page() -> Files:
    """Every kind of mistake that a mapping can have, and the very message that it gives (held by a test)."""

    def shown(text: str) -> str:
        return "<br>".join(code(line.strip()) for line in text.strip().splitlines())

    one = grid(("Written", "Line and message"), [(shown(text), cell(told)) for text, told in MISTAKES])
    header = grid(("Header", "Lines and messages"), [(shown(text), cell("; ".join(t))) for text, t in HEADER_MISTAKES])
    model = grid(("Change", "Lines and messages"), [(cell(why), cell("; ".join(t))) for why, _, t in DOCUMENT_MISTAKES])
    return {
        "docs/mapping-mistakes.md": page(
            "Mistakes in a mapping",
            "`tests/unit/core/mapping_mistakes.py` (a test holds every message)",
            [
                "A mapping with a mistake does not load; all its mistakes are told at once, each with file and line.",
                "The pieces below stand under a header of three lines.",
            ],
            ["## In a field", "", *one],
            ["## In the header", "", *header],
            ["## Against the document that it makes", "", *model],
        )
    }
