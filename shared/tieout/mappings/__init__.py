"""Mappings as data: one folder a mapping, ``mapping.yaml`` and ``examples/*.json``; no Python but this loader.

`load` gives a compiled mapping by its name; it is checked against the governed tables handed in and against
the functions of `core.rules`, and read once a process. `docs/adding-a-mapping.md` shows how to add one.
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


def names(home: Path = HOME) -> list[str]:
    """The mappings there are, in order."""
    return sorted(path.parent.name for path in home.glob("*/mapping.yaml"))


def load(name: str, tables: Mapping[str, Collection[str]], home: Path = HOME) -> CompiledMapping:
    """The mapping of that name, checked against `tables` (name → columns) and compiled.

    Raises `GovernanceError` with every mistake, each with file, line and suggestion.
    """
    return _load(name, tuple(sorted((table, tuple(sorted(columns))) for table, columns in tables.items())), home)


@lru_cache(maxsize=512)
def _load(name: str, tables: tuple[tuple[str, tuple[str, ...]], ...], home: Path) -> CompiledMapping:
    path = home / name / "mapping.yaml"
    file = f"mappings/{name}/mapping.yaml"
    check = Check(file)
    try:
        composed = yaml.compose(path.read_text("utf-8"), Loader=yaml.SafeLoader)
    except FileNotFoundError:
        raise GovernanceError([Mistake(file, 1, f"no mapping {name!r}{suggest(name, names(home))}")]) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise GovernanceError([Mistake(file, line, f"not YAML: {getattr(error, 'problem', '')}")]) from None
    if composed is None:
        raise GovernanceError([Mistake(file, 1, "the file is empty")])
    node = from_yaml(composed, check)
    check.finish()
    return compile_mapping(name, node, file=file, tables=dict(tables), rules=RULES)
