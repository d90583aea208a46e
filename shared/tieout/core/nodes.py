"""Governed data as it was written: values that remember their line, and mistakes that name file and line.

The rooms that read files turn YAML into `Node` trees; `core` checks them and reports every mistake it finds
at once as a `GovernanceError`, each with file, line and, where a word is nearly right, a suggestion.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from difflib import get_close_matches
from typing import Any, Final, TypeAlias

Scalar: TypeAlias = str | int | bool | Decimal | None


@dataclass(frozen=True, slots=True)
class Node:
    """One value of a file and the line (from 1) it stands on; a map's value has the line of its key."""

    value: Scalar | tuple[Node, ...] | dict[str, Node]
    line: int


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing wrong in a file."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


class GovernanceError(ValueError):
    """A mapping or table is not what it must be; nothing of the file is used. Lists every mistake."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(sorted(mistakes, key=lambda mistake: (mistake.file, mistake.line)))
        super().__init__("\n".join(map(str, self.mistakes)))


class Check:
    """Collects the mistakes of one file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.mistakes: list[Mistake] = []

    def wrong(self, at: Node | int, message: str) -> None:
        """Note a mistake at a node or line."""
        self.mistakes.append(Mistake(self.file, at if isinstance(at, int) else at.line, message))

    def finish(self) -> None:
        """Raise `GovernanceError` when anything was wrong."""
        if self.mistakes:
            raise GovernanceError(self.mistakes)

    def fields(self, node: Node, what: str, known: Iterable[str], needed: Iterable[str] = ()) -> Mapping[str, Node]:
        """The fields of a map whose names must be among `known`, with those `needed`."""
        if not isinstance(node.value, dict):
            self.wrong(node, f"{what} must be a map of names and values")
            return {}
        names = list(known)
        for name, child in node.value.items():
            if name not in names:
                self.wrong(child, f"unknown word {name!r} in {what}{suggest(name, names)}")
        for name in needed:
            if name not in node.value:
                self.wrong(node, f"{what} needs {name!r}")
        return node.value

    def text(self, fields: Mapping[str, Node], name: str) -> str:
        """The text of a field; an empty text, and a mistake when it is there and is none."""
        node = fields.get(name)
        if node is None:
            return ""
        if not isinstance(node.value, str) or not node.value:
            self.wrong(node, f"{name!r} must be text")
            return ""
        return node.value

    def flag(self, fields: Mapping[str, Node], name: str) -> bool:
        """The truth of a field; False, and a mistake when it is there and is neither true nor false."""
        node = fields.get(name)
        if node is None:
            return False
        if not isinstance(node.value, bool):
            self.wrong(node, f"{name!r} must be true or false")
            return False
        return node.value

    def day(self, fields: Mapping[str, Node], name: str) -> date | None:
        """The day of a field; None, and a mistake when it is there and is none."""
        text = self.text(fields, name)
        if not text:
            return None
        try:
            if len(text) != 10:
                raise ValueError(text)
            return date.fromisoformat(text)
        except ValueError:
            self.wrong(fields[name], f"{name!r} must be a day, YYYY-MM-DD, not {text!r}")
            return None

    def items(self, fields: Mapping[str, Node], name: str) -> tuple[Node, ...]:
        """The elements of a list field; none, and a mistake when it is there and is no list."""
        node = fields.get(name)
        if node is None:
            return ()
        if not isinstance(node.value, tuple):
            self.wrong(node, f"{name!r} must be a list")
            return ()
        return node.value

    def number(self, fields: Mapping[str, Node], name: str) -> int:
        """The whole number of a field; 0, and a mistake when it is there and is none."""
        node = fields.get(name)
        if node is None:
            return 0
        if isinstance(node.value, bool) or not isinstance(node.value, int):
            self.wrong(node, f"{name!r} must be a whole number")
            return 0
        return node.value


def suggest(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` for the nearest known word, else the short list of known ones, else nothing."""
    names = sorted(set(known))
    near = get_close_matches(word, names, n=1)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; known: {', '.join(names)}" if 0 < len(names) <= 12 else ""


_TAGS: Final = "tag:yaml.org,2002:"


def from_yaml(composed: Any, check: Check, line: int | None = None) -> Node:
    """A composed YAML document as a `Node`, under a stricter reading than YAML's own.

    Only ``true`` and ``false`` are truths (``NO`` is Norway and ``on`` a word), days stay text, fractions
    become `Decimal`, and no name may stand twice. Anchors are fine only as far as composing resolved them.
    Duck-typed, so that this room needs no YAML library: `composed` is what ``yaml.compose`` returns.
    """
    here = composed.start_mark.line + 1
    at = here if line is None else line
    if isinstance(composed.value, str):
        return Node(_scalar(composed, check), at)
    if composed.tag == _TAGS + "seq":
        return Node(tuple(from_yaml(child, check) for child in composed.value), at)
    if composed.tag != _TAGS + "map":
        check.wrong(here, f"a {composed.tag} has no place here")
        return Node(None, at)
    fields: dict[str, Node] = {}
    for key, child in composed.value:
        where = key.start_mark.line + 1
        if not isinstance(key.value, str):
            check.wrong(where, "a name must be text")
        elif key.value in fields:
            check.wrong(where, f"{key.value!r} stands twice")
        else:
            fields[key.value] = from_yaml(child, check, where)
    return Node(fields, at)


def _scalar(composed: Any, check: Check) -> Scalar:
    text: str = composed.value
    kind = composed.tag.removeprefix(_TAGS)
    if kind == "null":
        return None
    if kind == "bool" and text in ("true", "false"):
        return text == "true"
    if kind == "int" and text.lstrip("-").isdigit() and (text.lstrip("-")[0] != "0" or len(text.lstrip("-")) == 1):
        return int(text)
    if kind == "float" and text.replace(".", "", 1).lstrip("-").isdigit():
        return Decimal(text)
    if kind in ("str", "bool", "timestamp", "value"):
        return text
    check.wrong(composed.start_mark.line + 1, f"{text!r} reads in more than one way; write it in quotes")
    return text
