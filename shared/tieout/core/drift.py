"""Drift: what a source's object holds that nobody here has seen before. Paths only, never values.

A path is spelled ``lines.data[].amount``. A known path that ends in ``.*`` opens its object: the keys in it are the
customer's own (metadata, property bags), and nothing in it is drift.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

MOST: Final = 20
"""Paths told of one object at most; the first of a change says enough."""
LONGEST: Final = 200
"""Characters of a path at most: keys are the sender's, and may be anything."""


def unknown_paths(object: Any, known: Collection[str], most: int = MOST) -> tuple[str, ...]:
    """The paths in ``object`` that ``known`` lacks, outermost only, in order, each once, at most ``most``."""
    found: dict[str, None] = {}
    for path in _unknown(object, known, ""):
        found[path[:LONGEST]] = None
        if len(found) == most:
            break
    return tuple(found)


def shape(object: Any, open: Collection[str] = ()) -> frozenset[str]:
    """Every path of ``object``; what stands under a key in ``open`` is summed up as ``key.*``."""
    return frozenset(_paths(object, open, ""))


def _unknown(value: Any, known: Collection[str], at: str) -> Iterator[str]:
    for path, inner in _steps(value, at):
        if path not in known:
            yield path
        elif f"{path}.*" not in known:
            yield from _unknown(inner, known, path)


def _paths(value: Any, open: Collection[str], at: str) -> Iterator[str]:
    for path, inner in _steps(value, at):
        yield path
        if path.rpartition(".")[2] in open:
            yield f"{path}.*"
        else:
            yield from _paths(inner, open, path)


def _steps(value: Any, at: str) -> Iterator[tuple[str, Any]]:
    """One step into a container: a member by its name, an element as ``[]``."""
    if isinstance(value, Mapping):
        yield from ((f"{at}.{name}" if at else str(name), inner) for name, inner in value.items())
    elif isinstance(value, list):
        yield from ((f"{at}[]", inner) for inner in value)
