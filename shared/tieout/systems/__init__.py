"""The outside systems: one folder each, one line each; imported only where they are used."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from tieout.contract import Source, Target

#: Every system, in the order in which pages show them: name, and whether it is a source, a target or both.
SYSTEMS: dict[str, tuple[str, ...]] = {
    "stripe": ("source", "target"),
    "salesforce": ("source", "target"),
    "chargebee": ("source",),
    "zuora": ("source",),
    "hubspot": ("source",),
    "netsuite": ("target",),
    "legacy": ("target",),
    "xero": ("target",),
    "businesscentral": ("target",),
    "quickbooks": ("target",),
    "zendesk": ("source", "target"),
    "sap": ("target",),
}
SOURCES = tuple(name for name, roles in SYSTEMS.items() if "source" in roles)
TARGETS = tuple(name for name, roles in SYSTEMS.items() if "target" in roles)


@cache
def source(name: str) -> Source:
    """The source called ``name``; ``KeyError`` if there is none. Imports that system's ``source`` module only."""
    if name not in SOURCES:
        raise KeyError(name)
    return cast("Source", import_module(f"tieout.systems.{name}.source").SOURCE)


@cache
def shapes(name: str) -> Mapping[str, frozenset[str]]:
    """What the objects of a source are known to look like (`core.drift`), by the mapping that reads them."""
    stored: dict[str, list[str]] = json.loads((Path(__file__).parent / name / "shapes.json").read_bytes())
    return {mapping: frozenset(paths) for mapping, paths in stored.items()}


@cache
def target(name: str) -> Target:
    """The target called ``name``; ``KeyError`` if there is none. Imports that system's ``target`` module only."""
    if name not in TARGETS:
        raise KeyError(name)
    return cast("Target", import_module(f"tieout.systems.{name}.target").TARGET)
