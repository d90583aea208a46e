"""The mapping engine: governed data that makes a document of a source's object, or a payload of a document.

A mapping says, for each field it makes, one of exactly six verbs:

* ``from: path``: the value there.
* ``const: value``: always this.
* ``text: "INV {invoice.number}"``: text with values in it.
* ``lookup: table`` with ``from: path`` (or ``key: "{a}/{b}"``): the governed row for that key;
  ``take: column`` for another cell than ``value``; ``on: path`` for another day than the posting's.
  ``missing: code`` is a must: it is what the posting then waits for.
* ``each: path`` with ``fields:``: one output for each element, called ``it`` (or ``as: name``).
* ``call: function`` with ``from: path`` and/or ``with: {argument: path}``: a named, typed function of
  `core.rules`; an argument may also be ``{const: value}``.

Beside a verb may stand ``means:`` (a sentence), ``missing: code`` (the problem to stop with when the value
is absent) and ``optional: true`` (an absent value leaves the field out; without it an absent value stops the
posting with ``mapping_value_missing``). Nothing is ever left out or made up in silence. Field names are
dotted output paths: ``item.items`` is a list ``items`` inside an object ``item``.

``makes:`` is a kind of document (``invoice``), whose fields are then checked against the model, or a payload
(``netsuite.invoice``). Amounts in payloads are spelled by the mapping: ``.decimal``, ``.text`` or ``.minor``.

A mapping is checked when it loads, every mistake with file, line and suggestion, and compiled once to Python
source (`CompiledMapping.source`), so that rendering costs what a hand-written function would. The very same
generator makes the variant that reports lineage, so the two cannot disagree.

>>> from datetime import date
>>> from tieout.core.lookup import View
>>> def n(value):
...     return Node({k: n(v) for k, v in value.items()} if isinstance(value, dict) else value, 1)
>>> toy = compile_mapping("toy.order", n({
...     "version": 1, "owner": "finance-ops", "makes": "toy.order",
...     "fields": {"no": {"from": "object.id"}, "to.city": {"from": "object.city", "optional": True}},
... }), file="toy.yaml")
>>> toy.render({"object": {"id": "A-1", "city": None}}, View({}, on=date(2026, 1, 31)))
{'no': 'A-1'}
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal

from tieout.core import documents
from tieout.core.clocks import Day, EventInstant
from tieout.core.documents import KINDS, Document, Part
from tieout.core.lookup import GIVEN, VALUE, View
from tieout.core.money import Currency, Money
from tieout.core.nodes import Check, Node, suggest
from tieout.core.paths import RAW, TEXT, Path, Shape, read_path
from tieout.core.verdicts import NeedsHuman, NotYet

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


_ORIGIN_FIELDS: Final = ("source", "account", "source_id", "entity", "version", "event_instant")

ROOTS: Final[Mapping[str, Shape]] = {
    "object": RAW,
    "origin": Shape(Origin, absent=False),
    "ref": TEXT,
    **{kind: Shape(model, absent=False) for kind, model in KINDS.items()},
}
"""Where paths may start: ``object`` (the source's raw object), ``origin``, ``ref`` (our external reference), and
a document by its kind. A mapping may name more under ``scope:`` (``any``, ``text`` or a kind)."""


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
class FieldRule:
    """One field of a mapping as it was written: for pages and reports."""

    field: str
    rule: str
    means: str
    line: int
    tables: tuple[str, ...] = ()


@dataclass(frozen=True)
class CompiledMapping:
    """A mapping that passed its check, ready to run. `kind` is set when it makes a document."""

    name: str
    version: int
    owner: str
    makes: str
    means: str
    kind: str | None
    rules: tuple[FieldRule, ...]
    tables: frozenset[str]
    functions: frozenset[str]
    roots: frozenset[str]
    source: str
    _plain: Callable[[Mapping[str, Any], View], dict[str, Any]]
    _traced: Callable[[Mapping[str, Any], View, list[Lineage]], dict[str, Any]]
    _wants: Callable[[Mapping[str, Any]], list[tuple[str, str]]]

    def render(self, scope: Mapping[str, Any], view: View) -> dict[str, Any]:
        """The output fields for a scope (``{"invoice": doc, "ref": ...}``).

        Raises `NotYet` with a lookup's ``missing`` code when a row is missing, `NeedsHuman` with the
        ``missing`` code or ``mapping_value_missing`` when a value is.
        """
        return self._plain(scope, view)

    def document(self, scope: Mapping[str, Any], view: View) -> Document:
        """The document that this mapping makes of a scope with ``object`` and ``origin``."""
        if self.kind is None:
            raise TypeError(f"mapping {self.name} makes a payload, not a document")
        return self._to_document(self._plain(scope, view), scope)

    def lineage(self, scope: Mapping[str, Any], view: View) -> tuple[Lineage, ...]:
        """For each output field, in order: rule, inputs, row and value."""
        trace: list[Lineage] = []
        self._traced(scope, view, trace)
        return tuple(trace)

    def wants(self, scope: Mapping[str, Any]) -> list[tuple[str, str]]:
        """The (given table, key) pairs that the caller must know before it renders; see `lookup.GIVEN`."""
        return self._wants(scope)

    def stamp(self, view: View) -> dict[str, str]:
        """What a posting records: this mapping's version and those of the tables it looks into."""
        return {"mapping": f"{self.name}@{self.version}"} | {
            name: view.version(name) for name in sorted(self.tables) if name not in GIVEN
        }

    def _to_document(self, fields: dict[str, Any], scope: Mapping[str, Any]) -> Document:
        origin = scope.get("origin")
        known = {} if origin is None else {name: getattr(origin, name) for name in _ORIGIN_FIELDS}
        return documents.make(self.kind or "", known | fields)


# -- reading ----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Rule:
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
    inner: tuple[_Rule, ...] = ()


def compile_mapping(
    name: str,
    node: Node,
    *,
    file: str,
    tables: Mapping[str, Collection[str]] | None = None,
    rules: Mapping[str, Callable[..., Any]] | None = None,
) -> CompiledMapping:
    """Check a mapping against the tables (name → columns) and functions that exist, and compile it.

    Raises `GovernanceError` listing every mistake with file, line and suggestion.
    """
    reader = _Reader(Check(file), {**dict.fromkeys(GIVEN, (VALUE,)), **(tables or {})}, rules or {})
    return reader.mapping(name, node)


class _Reader:
    """Checks the nodes of one file and turns them into rules."""

    def __init__(
        self, check: Check, tables: Mapping[str, Collection[str]], functions: Mapping[str, Callable[..., Any]]
    ) -> None:
        self.check = check
        self.tables = tables
        self.functions = functions
        self.kind: str | None = None

    def mapping(self, name: str, node: Node) -> CompiledMapping:
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
        found = self._rules(header["fields"], scope, model, filled=_ORIGIN_FIELDS) if "fields" in header else ()
        self.check.finish()
        return _Writer(name, scope, found, self.kind is None, self.functions).build(
            version=version, owner=owner, makes=makes, means=means, kind=self.kind
        )

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
    ) -> tuple[_Rule, ...]:
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

    def _rule(self, field: str, node: Node, scope: Mapping[str, Shape], model: type[Part] | None) -> _Rule | None:
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
        rule = _Rule(field, verb, node.line, self.check.text(said, "means"), _spell(said, verb), missing, optional)
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

    def _read_from(self, rule: _Rule, said: Mapping[str, Node], scope: Mapping[str, Shape], model: Any) -> None:
        rule.path = self._leaf(said["from"], scope)

    def _read_const(self, rule: _Rule, said: Mapping[str, Node], scope: Mapping[str, Shape], model: Any) -> None:
        value = said["const"].value
        if value is None or not isinstance(value, (str, int, bool, Decimal)):
            self.check.wrong(said["const"], "'const' is text, a number or true/false")
        rule.const = value

    def _read_text(self, rule: _Rule, said: Mapping[str, Node], scope: Mapping[str, Shape], model: Any) -> None:
        rule.parts = self._template(said["text"], scope)

    def _read_lookup(self, rule: _Rule, said: Mapping[str, Node], scope: Mapping[str, Shape], model: Any) -> None:
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

    def _read_each(self, rule: _Rule, said: Mapping[str, Node], scope: Mapping[str, Shape], model: Any) -> None:
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

    def _read_call(self, rule: _Rule, said: Mapping[str, Node], scope: Mapping[str, Shape], model: Any) -> None:
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


# -- writing ----------------------------------------------------------------------------------------------

_Mode = Literal["plain", "traced", "wants"]


class _Writer:
    """Writes the Python source of a mapping's three functions from its rules, and compiles it."""

    def __init__(
        self,
        name: str,
        scope: Mapping[str, Shape],
        rules: tuple[_Rule, ...],
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
        self.flat = list(_flatten(rules))
        self.consts: dict[str, Any] = {}

    def build(self, *, version: int, owner: str, makes: str, means: str, kind: str | None) -> CompiledMapping:
        roots = {path.root for rule, _ in self.flat for path in _paths(rule)} & set(self.scope)
        for mode, head in (
            ("plain", "def plain(scope, view):"),
            ("traced", "def traced(scope, view, trace):"),
            ("wants", "def wants(scope):"),
        ):
            self._function(mode, head, sorted(roots))  # type: ignore[arg-type]
        source = "\n".join(self.lines) + "\n"
        space = self._space()
        exec(compile(source, f"<mapping {self.name}>", "exec"), space)  # every name in it is checked or quoted
        return CompiledMapping(
            name=self.name,
            version=version,
            owner=owner,
            makes=makes,
            means=means,
            kind=kind,
            rules=tuple(
                FieldRule(path, rule.said, rule.means, rule.line, (rule.table,) if rule.table else ())
                for rule, path in self.flat
            ),
            tables=frozenset(rule.table for rule, _ in self.flat if rule.table),
            functions=frozenset(rule.function for rule, _ in self.flat if rule.function),
            roots=frozenset(roots),
            source=source,
            _plain=space["plain"],
            _traced=space["traced"],
            _wants=space["wants"],
        )

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

    def _tree(self, holder: str, rules: tuple[_Rule, ...], scope: dict[str, Shape], prefix: str) -> None:
        groups: dict[str, list[_Rule]] = {}
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

    def _rule(self, holder: str, key: str, rule: _Rule, scope: dict[str, Shape]) -> None:
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

    def _guard(self, rule: _Rule, values: list[tuple[str, bool]], paths: list[Path]) -> bool:
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

    def _put(self, place: str, rule: _Rule, value: str, inputs: Mapping[str, str], row: str = "''") -> None:
        self._say(f"{place} = {value}")
        if self.mode == "traced":
            shown = "{" + ", ".join(f"{text!r}: {code}" for text, code in inputs.items()) + "}"
            self._say(
                f"trace.append(Lineage({self._field(rule)}, {rule.said!r}, {rule.line}, {rule.means!r}, "
                f"{shown}, {place}, {row}))"
            )

    def _field(self, rule: _Rule) -> str:
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

    def _write_from(self, place: str, rule: _Rule, scope: dict[str, Shape]) -> None:
        path = _sure(rule.path)
        name, absent = self._read(path, scope)
        inside = self._guard(rule, [(name, absent)], [path])
        self._put(place, rule, self._shown(name, path), {path.text: name})
        self.depth -= inside

    def _write_const(self, place: str, rule: _Rule, scope: dict[str, Shape]) -> None:
        self._put(place, rule, self._const(rule.const), {})

    def _spelling(self, rule: _Rule, scope: dict[str, Shape]) -> tuple[str, dict[str, str], bool]:
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

    def _write_text(self, place: str, rule: _Rule, scope: dict[str, Shape]) -> None:
        code, inputs, inside = self._spelling(rule, scope)
        self._put(place, rule, code, inputs)
        self.depth -= inside

    def _key(self, rule: _Rule, scope: dict[str, Shape]) -> tuple[str, dict[str, str], bool]:
        if rule.path is None:
            return self._spelling(rule, scope)
        name, absent = self._read(rule.path, scope)
        inside = self._guard(rule, [(name, absent)], [rule.path])
        return self._as_text(name, rule.path), {rule.path.text: name}, inside

    def _write_lookup(self, place: str, rule: _Rule, scope: dict[str, Shape]) -> None:
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

    def _write_call(self, place: str, rule: _Rule, scope: dict[str, Shape]) -> None:
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
        whole = _Rule(rule.field, rule.verb, rule.line, "", "", rule.missing, rule.optional)
        text = Path(f"{rule.function}()", "", (), RAW, False)
        deeper = self._guard(whole, [(result, True)], [text])
        self._put(place, rule, f"plainly({result})" if self.payload else result, inputs)
        self.depth -= inside + deeper

    def _write_each(self, place: str, rule: _Rule, scope: dict[str, Shape]) -> None:
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

    def _wanted(self, rules: tuple[_Rule, ...], scope: dict[str, Shape]) -> None:
        """Only the given tables' keys; whatever is absent is simply not wanted."""
        for rule in rules:
            if rule.verb == "lookup" and rule.table in GIVEN:
                loose = _Rule(
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
            elif rule.verb == "each" and any(inner.table in GIVEN for inner, _ in _flatten(rule.inner)):
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


def _flatten(rules: tuple[_Rule, ...], prefix: str = "") -> Iterator[tuple[_Rule, str]]:
    for rule in rules:
        yield rule, prefix + rule.field
        yield from _flatten(rule.inner, f"{prefix}{rule.field}.*.")


def _paths(rule: _Rule) -> Iterator[Path]:
    for path in (rule.path, rule.on, *rule.parts, *(source for _, source, _ in rule.arguments)):
        if isinstance(path, Path):
            yield path


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
