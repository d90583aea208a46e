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

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from tieout.core import documents
from tieout.core.documents import Document
from tieout.core.documents.kinds import invalid
from tieout.core.lookup import GIVEN, VALUE, View
from tieout.core.mapping_rules import ORIGIN_FIELDS, ROOTS, VERBS, Origin, Reader, flatten, object_paths, paths_of
from tieout.core.mapping_source import Built, Lineage, Writer
from tieout.core.nodes import Check, Node
from tieout.core.verdicts import NeedsHuman

__all__ = ["ROOTS", "VERBS", "CompiledMapping", "FieldRule", "Lineage", "Origin", "compile_mapping"]


@dataclass(frozen=True, slots=True)
class FieldRule:
    """One field of a mapping as it was written: for pages and reports."""

    field: str
    rule: str
    means: str
    line: int
    tables: tuple[str, ...] = ()
    function: str = ""
    missing: str = ""
    optional: bool = False
    amount: str = ""
    """How the rule spells an amount (`Path.amount`), empty where it reads none."""


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
    reads: frozenset[str]
    """The paths of the source's object that it names (``lines.data[].amount``); what a function reads is not seen."""
    built: Built

    @property
    def source(self) -> str:
        """The Python source that it was compiled to."""
        return self.built.source

    def render(self, scope: Mapping[str, Any], view: View) -> dict[str, Any]:
        """The output fields for a scope (``{"invoice": doc, "ref": ...}``).

        Raises `NotYet` with a lookup's ``missing`` code when a row is missing, `NeedsHuman` with the
        ``missing`` code or ``mapping_value_missing`` when a value is.
        """
        return self.built.plain(scope, view)

    def document(self, scope: Mapping[str, Any], view: View) -> Document:
        """The document that this mapping makes of a scope with ``object`` and ``origin``.

        What a function trips over in a stranger's object (a member that is missing, or of another type) is
        ``wrong_shape``: one event becomes a case, and the batch that it came in goes on.
        """
        if self.kind is None:
            raise TypeError(f"mapping {self.name} makes a payload, not a document")
        try:
            fields = self.built.plain(scope, view)
        except ValidationError as error:
            raise invalid(self.kind, error) from None
        except (ArithmeticError, AttributeError, LookupError, TypeError) as error:
            what = str(error.args[0])[:80] if isinstance(error, KeyError) and error.args else "member of that type"
            source = getattr(scope.get("origin"), "source", "")
            raise NeedsHuman(
                "wrong_shape", f"{self.name}: {error!r}"[:200], source=source, reason=f"no usable {what}"
            ) from error
        return self._to_document(fields, scope)

    def lineage(self, scope: Mapping[str, Any], view: View) -> tuple[Lineage, ...]:
        """For each output field, in order: rule, inputs, row and value."""
        trace: list[Lineage] = []
        self.built.traced(scope, view, trace)
        return tuple(trace)

    def wants(self, scope: Mapping[str, Any]) -> list[tuple[str, str]]:
        """The (given table, key) pairs that the caller must know before it renders; see `lookup.GIVEN`."""
        return self.built.wants(scope)

    def stamp(self, view: View) -> dict[str, str]:
        """What a posting records: this mapping's version and those of the tables it looks into."""
        return {"mapping": f"{self.name}@{self.version}"} | {
            name: view.version(name) for name in sorted(self.tables) if name not in GIVEN
        }

    def _to_document(self, fields: dict[str, Any], scope: Mapping[str, Any]) -> Document:
        origin = scope.get("origin")
        known = {} if origin is None else {name: getattr(origin, name) for name in ORIGIN_FIELDS}
        return documents.make(self.kind or "", known | fields)


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
    known = {**dict.fromkeys(GIVEN, (VALUE,)), **(tables or {})}
    written = Reader(Check(file), known, rules or {}).read(node)
    writer = Writer(name, written.scope, written.rules, written.kind is None, rules or {})
    flat = list(flatten(written.rules))
    return CompiledMapping(
        name=name,
        version=written.version,
        owner=written.owner,
        makes=written.makes,
        means=written.means,
        kind=written.kind,
        rules=tuple(
            FieldRule(
                path,
                rule.said,
                rule.means,
                rule.line,
                tables=(rule.table,) if rule.table else (),
                function=rule.function,
                missing=rule.missing,
                optional=rule.optional,
                amount=next((path.amount for path in paths_of(rule) if path.amount), ""),
            )
            for rule, path in flat
        ),
        tables=frozenset(rule.table for rule, _ in flat if rule.table),
        functions=frozenset(rule.function for rule, _ in flat if rule.function),
        roots=frozenset(writer.roots()),
        reads=frozenset(object_paths(written.rules)),
        built=writer.build(),
    )
