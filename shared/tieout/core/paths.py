"""Paths of mappings: ``invoice.lines``, ``it.net.decimal``, ``object.metadata.order_id``, checked and typed.

A path starts at a root of the scope. Where the root is a document (or another typed value) each step is
checked against its fields when the mapping loads; where it is a vendor's raw object nothing is known, and a
step that finds nothing makes the value absent.
"""

from __future__ import annotations

import re
import types
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass, replace
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from tieout.core.clocks import Day, EventInstant
from tieout.core.money import Currency, Money
from tieout.core.nodes import suggest

STEP: Final = re.compile(r"(?:[A-Za-z_][A-Za-z0-9_-]*|[0-9]{1,4})\Z")
_ROOT = re.compile(r"[a-z][a-z0-9_]*\Z")


@dataclass(frozen=True, slots=True)
class Shape:
    """What is known, when a mapping loads, about the value at a path.

    `type` is None for raw JSON. `many` says a list of such. `absent` says it may be missing.
    """

    type: Any = None
    many: bool = False
    absent: bool = True

    @property
    def raw(self) -> bool:
        """Whether nothing is known: a vendor's own data."""
        return self.type is None

    @property
    def fields(self) -> Mapping[str, Shape]:
        """The steps possible from here, when they are known."""
        return {} if self.raw or self.many else _fields(self.type)

    @property
    def leaf(self) -> bool:
        """Whether the value can stand in a payload as it is (text, number, truth, day)."""
        if self.raw:
            return True
        if self.many or not isinstance(self.type, type):
            return False
        return issubclass(self.type, (str, int, bool, Decimal, Day, EventInstant))


@lru_cache(maxsize=256)
def _fields(kind: Any) -> Mapping[str, Shape]:
    """The steps from a value of a known type."""
    if kind is Money:
        return _MONEY
    if isinstance(kind, type) and issubclass(kind, (Day, EventInstant)):
        return {"iso": Shape(str, absent=False)}
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return {name: shape_of(field.annotation) for name, field in kind.model_fields.items()}
    if is_dataclass(kind):
        return {name: shape_of(hint) for name, hint in get_type_hints(kind).items()}
    return {}


_MONEY: Final[Mapping[str, Shape]] = {
    "decimal": Shape(Decimal, absent=False),
    "minor": Shape(int, absent=False),
    "text": Shape(str, absent=False),
    "currency": Shape(Currency, absent=False),
}
RAW: Final = Shape()
TEXT: Final = Shape(str, absent=False)


def shape_of(annotation: Any) -> Shape:
    """The shape that a type annotation describes."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return shape_of(get_args(annotation)[0])
    if origin is Union or origin is types.UnionType:
        rest = [arg for arg in get_args(annotation) if arg is not types.NoneType]
        shape = shape_of(rest[0]) if len(rest) == 1 else RAW
        return replace(shape, absent=True) if len(rest) < len(get_args(annotation)) else shape
    if origin is Literal:
        return Shape(str, absent=False)
    if origin in (tuple, list):
        return replace(shape_of(get_args(annotation)[0]), many=True, absent=False)
    if isinstance(annotation, type) and annotation is not object:
        return Shape(annotation, absent=False)
    return RAW


@dataclass(frozen=True, slots=True)
class Path:
    """A checked path: its text, its root, its steps, and what is known of its value."""

    text: str
    root: str
    steps: tuple[str, ...]
    shape: Shape
    safe: bool
    """Whether no step before the last can be absent, so that reading it cannot fail."""
    amount: str = ""
    """How it spells an amount: ``decimal``, ``minor``, ``text``, or ``money`` for the amount itself."""

    def code(self, variable: str, root: Shape) -> str:
        """The Python expression that reads it from `variable`, the root's value."""
        text, shape = variable, root
        for step in self.steps:
            if shape.raw:
                text += f"[{int(step)}]" if step.isdigit() else f"[{step!r}]"
            else:
                text += f".{step}"
                shape = shape.fields[step]
        return text


def read_path(text: str, scope: Mapping[str, Shape]) -> Path | str:
    """The path that `text` spells in a scope, or the sentence that says what is wrong with it."""
    root, *steps = text.split(".")
    if not _ROOT.match(root) or not all(STEP.match(step) for step in steps):
        return f"{text!r} is not a path (names joined by dots)"
    if root not in scope:
        return f"unknown start {root!r} of path {text!r}{suggest(root, scope)}"
    shape, safe, amount = scope[root], True, ""
    for step in steps:
        safe = safe and not shape.absent and not shape.raw
        if shape.raw:
            continue
        known = shape.fields
        if step not in known:
            if shape.many:
                return f"{text!r}: a list has no {step!r}; go through it with 'each'"
            return f"{text!r}: no field {step!r}{suggest(step, known)}"
        amount = step if shape.type is Money and step != "currency" else ""
        shape = known[step]
    return Path(text, root, tuple(steps), shape, safe, "money" if shape.type is Money else amount)
