"""What a mapping says, checked: the six verbs, the roots of paths, and the reader that finds every mistake.

`core.mapping` is the engine's front door and describes the language; here its words become `Rule` values.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from tieout.core.clocks import Day, EventInstant
from tieout.core.documents import KINDS, Part
from tieout.core.lookup import VALUE
from tieout.core.money import Money
from tieout.core.nodes import Check, Node, suggest
from tieout.core.paths import RAW, TEXT, Path, Shape, read_path

VERBS: Final = ("from", "const", "text", "lookup", "each", "call")
"""The six verbs; there is no seventh. What wants an ``if`` is a function in `core.rules`."""

_MODIFIERS: Final[Mapping[str, tuple[str, ...]]] = {
    "from": (),
    "const": (),
    "text": (),
    "lookup": ("from", "key", "take", "on"),
    "each": ("fields", "as"),
    "call": ("from", "with"),
}
_COMMON: Final = ("means", "missing", "optional")
_HEADER: Final = ("version", "owner", "makes", "means", "scope", "fields")
_CODE = re.compile(r"[a-z][a-z0-9_]*\Z")
_HOLE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a source's object comes from: what a mapping to a document may use beside the object itself.

    Its fields fill the document's own ``source``, ``account``, ``source_id``, ``entity``, ``version`` and
    ``event_instant`` unless the mapping says otherwise.
    """

    source: str
    account: str
    event_id: str
    event_type: str
    source_id: str
    version: int
    event_instant: EventInstant
    entity: str
    zone: str


ORIGIN_FIELDS: Final = ("source", "account", "source_id", "entity", "version", "event_instant")

ROOTS: Final[Mapping[str, Shape]] = {
    "object": RAW,
    "origin": Shape(Origin, absent=False),
    "ref": TEXT,
    **{kind: Shape(model, absent=False) for kind, model in KINDS.items()},
}
"""Where paths may start: ``object`` (the source's raw object), ``origin``, ``ref`` (our external reference), and
a document by its kind. A mapping may name more under ``scope:`` (``any``, ``text`` or a kind)."""


@dataclass(slots=True)
class Rule:
    """One checked rule, in the engine's own words."""

    field: str
    verb: str
    line: int
    means: str
    said: str
    missing: str
    optional: bool
    path: Path | None = None
    const: Any = None
    parts: tuple[str | Path, ...] = ()
    table: str = ""
    take: str = VALUE
    on: Path | None = None
    function: str = ""
    arguments: tuple[tuple[str, Path | Node, bool], ...] = ()
    name: str = "it"
    inner: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class Written:
    """A mapping that passed its check, before it is compiled."""

    version: int
    owner: str
    makes: str
    means: str
    kind: str | None
    scope: Mapping[str, Shape]
    rules: tuple[Rule, ...]


class Reader:
    """Checks the nodes of one file and turns them into rules."""

    def __init__(
        self, check: Check, tables: Mapping[str, Collection[str]], functions: Mapping[str, Callable[..., Any]]
    ) -> None:
        self.check = check
        self.tables = tables
        self.functions = functions
        self.kind: str | None = None

    def read(self, node: Node) -> Written:
        """The mapping that `node` spells; `GovernanceError` with every mistake of it."""
        header = self.check.fields(node, "a mapping", _HEADER, ("version", "owner", "makes", "fields"))
        version, owner = self.check.number(header, "version"), self.check.text(header, "owner")
        makes, means = self.check.text(header, "makes"), self.check.text(header, "means")
        if makes and makes not in KINDS and "." not in makes:
            self.check.wrong(
                header["makes"],
                f"'makes' is a kind of document or system.kind, not {makes!r}{suggest(makes, KINDS)}",
            )
        self.kind = makes if makes in KINDS else None
        scope = {**ROOTS, **self._extra_roots(header.get("scope"))}
        model = KINDS[self.kind] if self.kind else None
        found = self._rules(header["fields"], scope, model, filled=ORIGIN_FIELDS) if "fields" in header else ()
        self.check.finish()
        return Written(version, owner, makes, means, self.kind, scope, found)

    def _extra_roots(self, node: Node | None) -> dict[str, Shape]:
        if node is None:
            return {}
        extra: dict[str, Shape] = {}
        for root, child in self.check.fields(node, "scope", node.value if isinstance(node.value, dict) else ()).items():
            shapes = {"any": RAW, "text": TEXT} | {kind: Shape(model, absent=False) for kind, model in KINDS.items()}
            if not isinstance(child.value, str) or child.value not in shapes:
                self.check.wrong(child, f"scope {root!r} must be one of {', '.join(shapes)}")
            else:
                extra[root] = shapes[child.value]
        return extra

    def _rules(
        self, node: Node, scope: Mapping[str, Shape], model: type[Part] | None, filled: Collection[str] = ()
    ) -> tuple[Rule, ...]:
        if not isinstance(node.value, dict) or not node.value:
            self.check.wrong(node, "'fields' must be a map of output field and rule")
            return ()
        self._no_clash(node.value)
        if model is not None:
            self._complete(node, model, node.value, filled)
        found = []
        for field, child in node.value.items():
            inner = self._output(field, child, model) if model is not None else None
            rule = self._rule(field, child, scope, inner)
            if rule is not None:
                found.append(rule)
        return tuple(found)

    def _no_clash(self, fields: Mapping[str, Node]) -> None:
        for field, child in fields.items():
            if not all(re.match(r"[A-Za-z_][A-Za-z0-9_-]*\Z", step) for step in field.split(".")):
                self.check.wrong(child, f"{field!r} is not an output path (names joined by dots)")
            for other in fields:
                if other.startswith(field + "."):
                    self.check.wrong(child, f"{field!r} is made twice: as a value and as {other!r}")

    def _complete(
        self, node: Node, model: type[Part], fields: Mapping[str, Node], filled: Collection[str] = ()
    ) -> None:
        """Every required field of the model is made, also of the parts that dotted fields build."""
        heads: dict[str, dict[str, Node]] = {}
        for field, child in fields.items():
            head, _, rest = field.partition(".")
            heads.setdefault(head, {})
            if rest:
                heads[head][rest] = child
        for name, info in model.model_fields.items():
            if info.is_required() and name not in heads and name not in filled:
                self.check.wrong(node, f"field {name!r} is needed by {model.__name__} and not made")
        for head, parts in heads.items():
            inner = Shape(model, absent=False).fields.get(head)
            if parts and inner is not None and isinstance(inner.type, type) and issubclass(inner.type, Part):
                self._complete(Node(parts, next(iter(parts.values())).line), inner.type, parts)

    def _output(self, field: str, node: Node, model: type[Part]) -> type[Part] | None:
        """The model of a list field's elements, after checking that the field exists."""
        shape = Shape(model, absent=False)
        for step in field.split("."):
            known = shape.fields
            if step not in known:
                holder = shape.type.__name__ if shape.type else "it"
                self.check.wrong(node, f"no field {step!r} in {holder}{suggest(step, known)}")
                return None
            shape = known[step]
        return shape.type if isinstance(shape.type, type) and issubclass(shape.type, Part) else None

    def _rule(self, field: str, node: Node, scope: Mapping[str, Shape], model: type[Part] | None) -> Rule | None:
        if not isinstance(node.value, dict):
            self.check.wrong(node, f"{field!r} needs a rule, e.g. {{from: path}}")
            return None
        verb = self._verb(field, node)
        if verb is None:
            return None
        words = (verb, *_MODIFIERS[verb], *_COMMON)
        said = self.check.fields(node, f"the rule of {field!r}", words)
        missing = self.check.text(said, "missing")
        if missing and not _CODE.match(missing):
            self.check.wrong(said["missing"], f"'missing' is a problem code, not {missing!r}")
        optional = "optional" in said and said["optional"].value is True
        if "optional" in said and not isinstance(said["optional"].value, bool):
            self.check.wrong(said["optional"], "'optional' is true or false")
        if optional and missing and verb != "lookup":
            self.check.wrong(said["optional"], f"{field!r} cannot be both optional and stop with {missing!r}")
        rule = Rule(field, verb, node.line, self.check.text(said, "means"), _spell(said, verb), missing, optional)
        getattr(self, "_read_" + verb)(rule, said, scope, model)
        return rule

    def _verb(self, field: str, node: Node) -> str | None:
        words = node.value if isinstance(node.value, dict) else {}
        found = [verb for verb in VERBS if verb in words]
        if found in (["from", "lookup"], ["from", "call"]):
            found = found[1:]
        if len(found) == 1:
            return found[0]
        if not found:
            strange = next((word for word in words if word not in _COMMON), "")
            hint = f"unknown verb {strange!r}{suggest(strange, VERBS)}" if strange else "there is none"
            self.check.wrong(node, f"{field!r} needs one of the six verbs: {hint}")
        else:
            self.check.wrong(node, f"{field!r} has more than one verb: {', '.join(found)}")
        return None

    def _path(self, node: Node, scope: Mapping[str, Shape]) -> Path | None:
        if not isinstance(node.value, str):
            self.check.wrong(node, "a path is text, e.g. invoice.number")
            return None
        path = read_path(node.value, scope)
        if isinstance(path, str):
            self.check.wrong(node, path)
            return None
        return path

    def _leaf(self, node: Node, scope: Mapping[str, Shape], *, as_text: bool = False) -> Path | None:
        """A path to something that can stand in the output (or, `as_text`, inside a text)."""
        path = self._path(node, scope)
        if path is None or path.shape.leaf or (self.kind is not None and not as_text):
            return path
        if path.shape.type is Money and not path.shape.many:
            self.check.wrong(node, f"{path.text!r} is an amount: say .decimal, .text or .minor")
        else:
            self.check.wrong(node, f"{path.text!r} is not a single value: use 'each' or 'call'")
        return None

    def _template(self, node: Node, scope: Mapping[str, Shape]) -> tuple[str | Path, ...]:
        if not isinstance(node.value, str):
            self.check.wrong(node, 'a text template is text, e.g. "No {invoice.number}"')
            return ()
        parts: list[str | Path] = []
        end = 0
        for hole in _HOLE.finditer(node.value):
            parts.append(node.value[end : hole.start()])
            end = hole.end()
            if hole[0] in ("{{", "}}"):
                parts.append(hole[0][0])
            elif hole[1] is None:
                self.check.wrong(node, "a single brace; write {{ or }} for one in the text")
            else:
                path = self._leaf(Node(hole[1], node.line), scope, as_text=True)
                if path is not None:
                    parts.append(path)
        parts.append(node.value[end:])
        return tuple(part for part in parts if part != "")

    def _read_from(self, rule: Rule, said: Mapping[str, Node], scope: Mapping[str, Shape], model: Any) -> None:
        rule.path = self._leaf(said["from"], scope)

    def _read_const(self, rule: Rule, said: Mapping[str, Node], scope: Mapping[str, Shape], model: Any) -> None:
        value = said["const"].value
        if value is None or not isinstance(value, (str, int, bool, Decimal)):
            self.check.wrong(said["const"], "'const' is text, a number or true/false")
        rule.const = value

    def _read_text(self, rule: Rule, said: Mapping[str, Node], scope: Mapping[str, Shape], model: Any) -> None:
        rule.parts = self._template(said["text"], scope)

    def _read_lookup(self, rule: Rule, said: Mapping[str, Node], scope: Mapping[str, Shape], model: Any) -> None:
        rule.table = self.check.text(said, "lookup")
        if rule.table and rule.table not in self.tables:
            self.check.wrong(said["lookup"], f"unknown table {rule.table!r}{suggest(rule.table, self.tables)}")
        if not rule.missing:
            self.check.wrong(said["lookup"], "a lookup needs 'missing: code': nothing falls back in silence")
        rule.take = self.check.text(said, "take") or VALUE
        columns = self.tables.get(rule.table, (rule.take,))
        if rule.take not in columns:
            self.check.wrong(
                said.get("take", said["lookup"]),
                f"table {rule.table!r} has no column {rule.take!r}{suggest(rule.take, columns)}",
            )
        if ("from" in said) == ("key" in said):
            self.check.wrong(said["lookup"], "a lookup needs either 'from: path' or 'key: template'")
        elif "from" in said:
            rule.path = self._leaf(said["from"], scope, as_text=True)
        else:
            rule.parts = self._template(said["key"], scope)
        if "on" in said:
            rule.on = self._path(said["on"], scope)
            if rule.on and not (isinstance(rule.on.shape.type, type) and issubclass(rule.on.shape.type, Day)):
                self.check.wrong(said["on"], f"'on' is a day of a document, {rule.on.text!r} is not")

    def _read_each(self, rule: Rule, said: Mapping[str, Node], scope: Mapping[str, Shape], model: Any) -> None:
        rule.path = self._path(said["each"], scope)
        if rule.path is not None and not rule.path.shape.raw and not rule.path.shape.many:
            self.check.wrong(said["each"], f"{rule.path.text!r} is not a list")
        rule.name = self.check.text(said, "as") or "it"
        if not _CODE.match(rule.name):
            self.check.wrong(said["as"], f"'as' is one lower-case word, not {rule.name!r}")
        if rule.name != "it" and rule.name in scope:
            self.check.wrong(said["as"], f"{rule.name!r} already means something else here")
        if "fields" not in said:
            self.check.wrong(said["each"], "'each' needs 'fields'")
            return
        item = RAW if rule.path is None else Shape(rule.path.shape.type, absent=False)
        rule.inner = self._rules(said["fields"], {**scope, rule.name: RAW if item.raw else item}, model)

    def _read_call(self, rule: Rule, said: Mapping[str, Node], scope: Mapping[str, Shape], model: Any) -> None:
        rule.function = self.check.text(said, "call")
        function = self.functions.get(rule.function)
        if function is None:
            self.check.wrong(
                said["call"], f"unknown function {rule.function!r}{suggest(rule.function, self.functions)}"
            )
            return
        known = inspect.signature(function).parameters
        given: list[tuple[str, Node]] = []
        if "from" in said:
            given = [(next(iter(known), ""), said["from"])]
        if "with" in said:
            words = self.check.fields(said["with"], f"the arguments of {rule.function!r}", known)
            given += [(name, node) for name, node in words.items() if name in known]
        for name, parameter in known.items():
            if parameter.default is parameter.empty and name not in dict(given):
                self.check.wrong(said["call"], f"{rule.function!r} needs the argument {name!r}")
        arguments: list[tuple[str, Path | Node, bool]] = []
        for name, node in given:
            value = self._argument(node, scope)
            if value is not None:
                arguments.append((name, value, known[name].default is not inspect.Parameter.empty))
        rule.arguments = tuple(arguments)

    def _argument(self, node: Node, scope: Mapping[str, Shape]) -> Path | Node | None:
        if isinstance(node.value, dict):
            words = self.check.fields(node, "an argument", ("const",), ("const",))
            return words.get("const")
        return self._path(node, scope)


def _spell(said: Mapping[str, Node], verb: str) -> str:
    """A rule as one readable line."""

    def show(node: Node) -> str:
        if isinstance(node.value, dict):
            return "{" + ", ".join(f"{name}: {show(child)}" for name, child in node.value.items()) + "}"
        return str(node.value)

    words = [verb, *(word for word in _MODIFIERS[verb] if word != "fields"), "missing"]
    return ", ".join(f"{word}: {show(said[word])}" for word in words if word in said)


def flatten(rules: tuple[Rule, ...], prefix: str = "") -> Iterator[tuple[Rule, str]]:
    """Every rule with its full output path, the rules inside an ``each`` included."""
    for rule in rules:
        yield rule, prefix + rule.field
        yield from flatten(rule.inner, f"{prefix}{rule.field}.*.")


def paths_of(rule: Rule) -> Iterator[Path]:
    """Every path that a rule itself reads."""
    for path in (rule.path, rule.on, *rule.parts, *(source for _, source, _ in rule.arguments)):
        if isinstance(path, Path):
            yield path


def object_paths(rules: tuple[Rule, ...], roots: Mapping[str, str] | None = None) -> Iterator[str]:
    """The paths of the source's object that rules name, each with the ways to it: ``lines``, ``lines[]``, …"""
    known = {"object": ""} if roots is None else roots
    for rule in rules:
        inner = dict(known)
        for path in paths_of(rule):
            if path.root in known:
                at = known[path.root]
                for step in path.steps:
                    at += "[]" if step.isdigit() else f".{step}" if at else step
                    yield at
                if rule.verb == "each" and path is rule.path:
                    inner[rule.name] = f"{at}[]"
                    yield inner[rule.name]
        if rule.inner:
            yield from object_paths(rule.inner, inner)
