"""Mappings as data: one folder a mapping, ``mapping.yaml`` and ``examples/*.json``; no Python but this loader.

`load` gives a compiled mapping by its name; it is checked against the governed tables handed in and against
the functions of `core.rules`, and read once a process. `docs/adding-a-mapping.md` shows how to add one.

Versions stand side by side: ``mapping.yaml`` is the current one, ``versions/<n>.yaml`` are older ones, and each
loads under its own name, ``netsuite.invoice@2``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final

import yaml

from tieout.core.mapping import CompiledMapping, compile_mapping
from tieout.core.nodes import Check, GovernanceError, Mistake, from_yaml, suggest
from tieout.core.rules import RULES

HOME: Final = Path(__file__).parent
Columns = Mapping[str, Collection[str]]
"""The governed tables that a mapping is checked against: name → columns."""


def names(home: Path = HOME) -> list[str]:
    """The mappings there are, in order."""
    return sorted(path.parent.name for path in home.glob("*/mapping.yaml"))


def older(name: str, home: Path = HOME) -> list[int]:
    """The versions of a mapping that stand beside its current one, oldest first."""
    return sorted(int(path.stem) for path in (home / name / "versions").glob("*.yaml") if path.stem.isdecimal())


def load(name: str, tables: Columns, home: Path = HOME) -> CompiledMapping:
    """The mapping of that name (``name`` or ``name@version``), checked against `tables` and compiled.

    Raises `GovernanceError` with every mistake, each with file, line and suggestion.
    """
    return _load(name, _hashable(tables), home)


def load_file(name: str, path: Path, tables: Columns) -> CompiledMapping:
    """A draft of a mapping from any file, checked as if it were the mapping of that name."""
    if not path.is_file():
        raise GovernanceError([Mistake(str(path), 1, "there is no such file")])
    return _read(name, path, path.name, _hashable(tables))


def _hashable(tables: Columns) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple(sorted((table, tuple(sorted(columns))) for table, columns in tables.items()))


@lru_cache(maxsize=512)
def _load(name: str, tables: tuple[tuple[str, tuple[str, ...]], ...], home: Path) -> CompiledMapping:
    bare, at, version = name.partition("@")
    path = home / bare / "mapping.yaml"
    file = f"mappings/{bare}/mapping.yaml"
    if not path.is_file():
        raise GovernanceError([Mistake(file, 1, f"no mapping {bare!r}{suggest(bare, names(home))}")])
    if not at:
        return _read(bare, path, file, tables)
    old = home / bare / "versions" / f"{version}.yaml"
    if version.isdecimal() and old.is_file():
        found = _read(bare, old, f"mappings/{bare}/versions/{version}.yaml", tables)
        if found.version != int(version):
            wrong = f"this file is version {version} by its name and {found.version} by its word"
            raise GovernanceError([Mistake(f"mappings/{bare}/versions/{version}.yaml", 1, wrong)])
        return found
    current = _read(bare, path, file, tables)
    if str(current.version) == version:
        return current
    known = ", ".join(map(str, [*older(bare, home), current.version]))
    raise GovernanceError([Mistake(file, 1, f"no version {version!r} of {bare}; there are {known}")])


def _read(name: str, path: Path, file: str, tables: tuple[tuple[str, tuple[str, ...]], ...]) -> CompiledMapping:
    check = Check(file)
    try:
        composed = yaml.compose(path.read_text("utf-8"), Loader=yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise GovernanceError([Mistake(file, line, f"not YAML: {getattr(error, 'problem', '')}")]) from None
    if composed is None:
        raise GovernanceError([Mistake(file, 1, "the file is empty")])
    node = from_yaml(composed, check)
    check.finish()
    return compile_mapping(name, node, file=file, tables=dict(tables), rules=RULES)
