"""A checked mapping as Python source: written once when it loads, so that rendering costs what hand-writing would.

One generator writes three functions from the same rules: ``plain`` renders, ``traced`` renders and reports
lineage, ``wants`` tells which given rows rendering will look up. Only checked names and quoted text get in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from tieout.core.clocks import Day, EventInstant
from tieout.core.lookup import GIVEN, View
from tieout.core.mapping_rules import Rule, flatten, paths_of
from tieout.core.money import Currency, Money
from tieout.core.nodes import Node
from tieout.core.paths import RAW, Path, Shape
from tieout.core.verdicts import NeedsHuman, NotYet


@dataclass(frozen=True, slots=True)
class Lineage:
    """Why one output field has its value."""

    field: str
    rule: str
    line: int
    means: str
    inputs: Mapping[str, Any]
    value: Any
    row: str = ""
    """Of a lookup: table, version, key, level and effective days of the row that answered."""


@dataclass(frozen=True, slots=True)
class Built:
    """The compiled functions of a mapping, and the source they were compiled from."""

    source: str
    plain: Callable[[Mapping[str, Any], View], dict[str, Any]]
    traced: Callable[[Mapping[str, Any], View, list[Lineage]], dict[str, Any]]
    wants: Callable[[Mapping[str, Any]], list[tuple[str, str]]]


_Mode = Literal["plain", "traced", "wants"]


class Writer:
    """Writes the Python source of a mapping's three functions from its rules, and compiles it."""

    def __init__(
        self,
        name: str,
        scope: Mapping[str, Shape],
        rules: tuple[Rule, ...],
        payload: bool,
        functions: Mapping[str, Callable[..., Any]],
    ) -> None:
        self.name = name
        self.scope = scope
        self.rules = rules
        self.payload = payload
        self.functions = functions
        self.lines: list[str] = []
        self.depth = 0
        self.count = 0
        self.mode: _Mode = "plain"
        self.flat = list(flatten(rules))
        self.consts: dict[str, Any] = {}

    def build(self) -> Built:
        """Write, compile, and hand out the three functions with their source."""
        roots = self.roots()
        self._function("plain", "def plain(scope, view):", roots)
        self._function("traced", "def traced(scope, view, trace):", roots)
        self._function("wants", "def wants(scope):", roots)
        source = "\n".join(self.lines) + "\n"
        space = self._space()
        exec(compile(source, f"<mapping {self.name}>", "exec"), space)  # every name in it is checked or quoted
        return Built(source, space["plain"], space["traced"], space["wants"])

    def roots(self) -> list[str]:
        """The roots that any path starts at."""
        return sorted({path.root for rule, _ in self.flat for path in paths_of(rule)} & set(self.scope))

    def _space(self) -> dict[str, Any]:
        return {
            "ABSENT": (KeyError, TypeError, IndexError, AttributeError),
            "Lineage": Lineage,
            "absent": _absent(self.name),
            "unmapped": _unmapped(self.name),
            "plainly": _plainly,
            "spelled": _spelled,
            "rowed": _rowed,
            **{f"f_{name}": self.functions[name] for name in {rule.function for rule, _ in self.flat} if name},
            **self.consts,
        }

    def _function(self, mode: _Mode, head: str, roots: list[str]) -> None:
        self.mode = mode
        self._say(head)
        self.depth += 1
        for root in roots:  # what a mapping declares as ``any`` may be absent; the rest is the caller's duty
            loose = self.scope[root].raw and root != "object"
            self._say(f"v_{root} = scope.get({root!r})" if loose else f"v_{root} = scope[{root!r}]")
        if mode == "wants":
            self._say("out = []")
            self._wanted(self.rules, dict(self.scope))
        else:
            if any(rule.table for rule, _ in self.flat):
                self._say("find = view.find" if mode == "traced" else "value = view.value")
            self._say("out = {}")
            self._tree("out", self.rules, dict(self.scope), "")
        self._say("return out")
        self.depth -= 1
        self._say("")

    def _say(self, text: str) -> None:
        self.lines.append("    " * self.depth + text)

    def _new(self, stem: str) -> str:
        self.count += 1
        return f"{stem}{self.count}"

    def _const(self, value: Any) -> str:
        if value is None or type(value) in (str, int, bool):
            return repr(value)
        name = self._new("c")
        self.consts[name] = value
        return name

    # the output tree: one dict for each dotted prefix, attached when it holds something

    def _tree(self, holder: str, rules: tuple[Rule, ...], scope: dict[str, Shape], prefix: str) -> None:
        groups: dict[str, list[Rule]] = {}
        for rule in rules:
            groups.setdefault(rule.field[len(prefix) :].split(".")[0], []).append(rule)
        for head, members in groups.items():
            if len(members) == 1 and members[0].field == prefix + head:
                self._rule(holder, head, members[0], scope)
                continue
            inner = self._new("d")
            self._say(f"{inner} = {{}}")
            self._tree(inner, tuple(members), scope, f"{prefix}{head}.")
            if all(member.optional for member in members):
                self._say(f"if {inner}:")
                self.depth += 1
                self._say(f"{holder}[{head!r}] = {inner}")
                self.depth -= 1
            else:
                self._say(f"{holder}[{head!r}] = {inner}")

    def _rule(self, holder: str, key: str, rule: Rule, scope: dict[str, Shape]) -> None:
        getattr(self, "_write_" + rule.verb)(f"{holder}[{key!r}]", rule, scope)

    def _read(self, path: Path, scope: Mapping[str, Shape]) -> tuple[str, bool]:
        """Code that leaves the path's value (None when absent) in a name; and whether it can be absent."""
        code = path.code(f"v_{path.root}", scope[path.root])
        if path.safe:
            if not path.shape.absent:
                return code, False
            name = self._new("x")
            self._say(f"{name} = {code}")
            return name, True
        if not path.steps:
            return code, True
        name = self._new("x")
        self._say("try:")
        self._say(f"    {name} = {code}")
        self._say("except ABSENT:")
        self._say(f"    {name} = None")
        return name, True

    def _guard(self, rule: Rule, values: list[tuple[str, bool]], paths: list[Path]) -> bool:
        """Refuse (or, for an optional field, skip) absent values. True when the rest goes into an ``if``."""
        loose = [(name, path) for (name, absent), path in zip(values, paths, strict=True) if absent]
        if not loose:
            return False
        if rule.optional:
            self._say("if " + " and ".join(f"{name} is not None" for name, _ in loose) + ":")
            self.depth += 1
            return True
        code = rule.missing if rule.verb != "lookup" else ""
        for name, path in loose:
            self._say(f"if {name} is None:")
            self._say(f"    raise absent({code!r}, {rule.field!r}, {path.text!r})")
        return False

    def _put(self, place: str, rule: Rule, value: str, inputs: Mapping[str, str], row: str = "''") -> None:
        self._say(f"{place} = {value}")
        if self.mode == "traced":
            shown = "{" + ", ".join(f"{text!r}: {code}" for text, code in inputs.items()) + "}"
            self._say(
                f"trace.append(Lineage({self._field(rule)}, {rule.said!r}, {rule.line}, {rule.means!r}, "
                f"{shown}, {place}, {row}))"
            )

    def _field(self, rule: Rule) -> str:
        """Code for the full output path of a rule, with the indexes of the loops around it."""
        return f"f'{self.loops}' {rule.field!r}" if self.loops else repr(rule.field)

    loops = ""

    def _shown(self, name: str, path: Path) -> str:
        """A path's value as the output takes it: days as text in a payload, the rest as it is."""
        if self.payload and path.shape.raw:
            return name
        if self.payload and issubclass(path.shape.type, (Day, EventInstant)):
            return f"{name}.iso"
        return name

    def _write_from(self, place: str, rule: Rule, scope: dict[str, Shape]) -> None:
        path = _sure(rule.path)
        name, absent = self._read(path, scope)
        inside = self._guard(rule, [(name, absent)], [path])
        self._put(place, rule, self._shown(name, path), {path.text: name})
        self.depth -= inside

    def _write_const(self, place: str, rule: Rule, scope: dict[str, Shape]) -> None:
        self._put(place, rule, self._const(rule.const), {})

    def _spelling(self, rule: Rule, scope: dict[str, Shape]) -> tuple[str, dict[str, str], bool]:
        """Code for a template's text, its inputs, and whether the rest stands inside an ``if``."""
        paths = [part for part in rule.parts if isinstance(part, Path)]
        values = [self._read(path, scope) for path in paths]
        inside = self._guard(rule, values, paths)
        names = iter(name for name, _ in values)
        texts = [repr(part) if isinstance(part, str) else self._as_text(next(names), part) for part in rule.parts]
        code = " + ".join(texts) if texts else "''"
        return code, {path.text: name for path, (name, _) in zip(paths, values, strict=True)}, inside

    def _as_text(self, name: str, path: Path) -> str:
        kind = path.shape.type
        if isinstance(kind, type) and issubclass(kind, str) and kind is not Currency:
            return name
        return f"spelled({name})"

    def _write_text(self, place: str, rule: Rule, scope: dict[str, Shape]) -> None:
        code, inputs, inside = self._spelling(rule, scope)
        self._put(place, rule, code, inputs)
        self.depth -= inside

    def _key(self, rule: Rule, scope: dict[str, Shape]) -> tuple[str, dict[str, str], bool]:
        if rule.path is None:
            return self._spelling(rule, scope)
        name, absent = self._read(rule.path, scope)
        inside = self._guard(rule, [(name, absent)], [rule.path])
        return self._as_text(name, rule.path), {rule.path.text: name}, inside

    def _write_lookup(self, place: str, rule: Rule, scope: dict[str, Shape]) -> None:
        key, inputs, inside = self._key(rule, scope)
        day = ""
        if rule.on is not None:
            name, absent = self._read(rule.on, scope)
            day = f", {name}.value if {name} is not None else None" if absent else f", {name}.value"
        named, cell = self._new("k"), self._new("x")
        self._say(f"{named} = {key}")
        row = "''"
        if self.mode == "traced":
            hit = self._new("h")
            self._say(f"{hit} = find({rule.table!r}, {named}{day})")
            self._say(f"{cell} = None if {hit} is None else {hit}.cell({rule.take!r})")
            row = f"rowed({hit})"
        else:
            self._say(f"{cell} = value({rule.table!r}, {named}, {rule.take!r}{day})")
        self._say(f"if {cell} is None:")
        self._say(f"    raise unmapped({rule.missing!r}, {rule.field!r}, {rule.table!r}, {named}, view)")
        self._put(place, rule, cell, inputs, row)
        self.depth -= inside

    def _write_call(self, place: str, rule: Rule, scope: dict[str, Shape]) -> None:
        inputs: dict[str, str] = {}
        needed: list[tuple[str, bool]] = []
        paths: list[Path] = []
        arguments = []
        for name, source, lenient in rule.arguments:
            if isinstance(source, Node):
                arguments.append(f"{name}={self._const(source.value)}")
                continue
            code, absent = self._read(source, scope)
            inputs[source.text] = code
            arguments.append(f"{name}={code}")
            if not lenient:
                needed.append((code, absent))
                paths.append(source)
        inside = self._guard(rule, needed, paths)
        result = self._new("x")
        self._say(f"{result} = f_{rule.function}({', '.join(arguments)})")
        whole = Rule(rule.field, rule.verb, rule.line, "", "", rule.missing, rule.optional)
        text = Path(f"{rule.function}()", "", (), RAW, False)
        deeper = self._guard(whole, [(result, True)], [text])
        self._put(place, rule, f"plainly({result})" if self.payload else result, inputs)
        self.depth -= inside + deeper

    def _write_each(self, place: str, rule: Rule, scope: dict[str, Shape]) -> None:
        path = _sure(rule.path)
        name, absent = self._read(path, scope)
        inside = self._guard(rule, [(name, absent)], [path])
        if path.shape.raw:
            self._say(f"if type({name}) is not list:")
            self._say(f"    raise absent({rule.missing!r}, {rule.field!r}, {path.text!r})")
        elements, element, index = self._new("l"), self._new("e"), self._new("i")
        self._say(f"{elements} = []")
        traced = self.mode == "traced"
        walk = f"for {index}, v_{rule.name} in enumerate({name}):" if traced else f"for v_{rule.name} in {name}:"
        outer = self._new("o")
        shadowed = rule.name in scope
        if shadowed:
            self._say(f"{outer} = v_{rule.name}")
        self._say(walk)
        self.depth += 1
        self._say(f"{element} = {{}}")
        before, self.loops = self.loops, f"{self.loops}{rule.field}.{{{index}}}."
        item = RAW if path.shape.raw else Shape(path.shape.type, absent=False)
        self._tree(element, rule.inner, {**scope, rule.name: item}, "")
        self.loops = before
        self._say(f"{elements}.append({element})")
        self.depth -= 1
        if shadowed:
            self._say(f"v_{rule.name} = {outer}")
        self._say(f"{place} = {elements}")
        self.depth -= inside

    def _wanted(self, rules: tuple[Rule, ...], scope: dict[str, Shape]) -> None:
        """Only the given tables' keys; whatever is absent is simply not wanted."""
        for rule in rules:
            if rule.verb == "lookup" and rule.table in GIVEN:
                loose = Rule(
                    rule.field,
                    "lookup",
                    rule.line,
                    "",
                    "",
                    "",
                    True,
                    rule.path,
                    parts=rule.parts,
                    table=rule.table,
                )
                key, _, inside = self._key(loose, scope)
                self._say(f"out.append(({rule.table!r}, {key}))")
                self.depth -= inside
            elif rule.verb == "each" and any(inner.table in GIVEN for inner, _ in flatten(rule.inner)):
                path = _sure(rule.path)
                name, _ = self._read(path, scope)
                outer = self._new("o")
                if rule.name in scope:
                    self._say(f"{outer} = v_{rule.name}")
                self._say(f"for v_{rule.name} in {name} if type({name}) in (list, tuple) else ():")
                self.depth += 1
                item = RAW if path.shape.raw else Shape(path.shape.type, absent=False)
                self._wanted(rule.inner, {**scope, rule.name: item})
                self.depth -= 1
                if rule.name in scope:
                    self._say(f"v_{rule.name} = {outer}")


def _sure(path: Path | None) -> Path:
    assert path is not None, "a rule that passed its check has its path"
    return path


# -- what the generated code calls ------------------------------------------------------------------------


def _absent(mapping: str) -> Callable[[str, str, str], NeedsHuman]:
    def absent(code: str, field: str, path: str) -> NeedsHuman:
        return NeedsHuman(
            code or "mapping_value_missing",
            f"mapping {mapping}: {field} finds nothing at {path}",
            mapping=mapping,
            field=field,
            path=path,
        )

    return absent


def _unmapped(mapping: str) -> Callable[[str, str, str, str, View], NotYet]:
    def unmapped(code: str, field: str, table: str, key: str, view: View) -> NotYet:
        return NotYet(
            code,
            f"mapping {mapping}: {field} finds no row for {key!r} in {table}",
            gate="parent" if table in GIVEN else "tables",
            what=key,
            mapping=mapping,
            field=field,
            table=table,
            key=key,
            entity=view.entity or "",
            target=view.target or "",
            on=view.on.isoformat(),
        )

    return unmapped


def _plainly(value: Any) -> Any:
    """A function's result as a payload takes it: days become text; an amount must be spelled first."""
    if isinstance(value, (Day, EventInstant)):
        return value.iso
    if isinstance(value, (Money, float)):
        raise TypeError(f"a {type(value).__name__} cannot go into a payload; return text, a Decimal or minor units")
    return value


def _spelled(value: Any) -> str:
    """A value inside a text or as a key."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, (str, Day, EventInstant)) or (isinstance(value, int) and not isinstance(value, bool)):
        return str(value)
    raise NeedsHuman(
        "mapping_value_missing", f"{type(value).__name__} where text is needed", mapping="", field="", path=""
    )


def _rowed(hit: Any) -> str:
    if hit is None:
        return ""
    row = hit.row
    days = f"{row.first or 'ever'} to {row.last or 'further notice'}"
    return f"{hit.table} {hit.version}, {row.key!r} ({hit.level}), {days}"
