"""The outside systems: one folder each, one line each; imported only where they are used."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from tieout.contract import Asked, Lister, Reader, Source, Target
    from tieout.core.checkup import Checks

#: Every system, in the order in which pages show them: name, and what it is to us. A source tells us things, a reader
#: is asked for the whole of an object, a lister for the events that it told in vain, a target is written to.
SYSTEMS: dict[str, tuple[str, ...]] = {
    "stripe": ("source", "reader", "lister", "target"),
    "salesforce": ("source", "reader", "lister", "target"),
    "chargebee": ("source", "lister", "target"),
    "zuora": ("source", "reader", "lister"),
    "hubspot": ("source", "reader", "lister", "target"),
    "netsuite": ("source", "reader", "lister", "target"),
    "legacy": ("source", "lister", "target"),
    "xero": ("target",),
    "businesscentral": ("source", "reader", "target"),
    "quickbooks": ("target",),
    "zendesk": ("source", "target"),
    "odoo": ("target",),
    "tryton": ("target",),
    "sap": ("target",),
    "avalara": ("target",),
    "snowflake": ("target",),
    "extract": ("target",),
}
SOURCES = tuple(name for name, roles in SYSTEMS.items() if "source" in roles)
READERS = tuple(name for name, roles in SYSTEMS.items() if "reader" in roles)
LISTERS = tuple(name for name, roles in SYSTEMS.items() if "lister" in roles)
TARGETS = tuple(name for name, roles in SYSTEMS.items() if "target" in roles)


@cache
def source(name: str) -> Source:
    """The source called ``name``; ``KeyError`` if there is none. Imports that system's ``source`` module only."""
    if name not in SOURCES:
        raise KeyError(name)
    return cast("Source", import_module(f"tieout.systems.{name}.source").SOURCE)


@cache
def checks(name: str) -> Checks | None:
    """What can be checked of the system called ``name``; ``None`` where it declares nothing."""
    module = f"tieout.systems.{name}.checks"
    return cast("Checks", import_module(module).CHECKS) if find_spec(module) is not None else None


@cache
def shapes(name: str) -> Mapping[str, frozenset[str]]:
    """What the objects of a source are known to look like (`core.drift`), by the mapping that reads them."""
    stored: dict[str, list[str]] = json.loads((Path(__file__).parent / name / "shapes.json").read_bytes())
    return {mapping: frozenset(paths) for mapping, paths in stored.items()}


@cache
def reader(name: str) -> Reader:
    """How the source called ``name`` is asked; ``KeyError`` if it is not. Imports its ``reader`` module only."""
    if name not in READERS:
        raise KeyError(name)
    return cast("Reader", import_module(f"tieout.systems.{name}.reader").READER)


@cache
def lister(name: str) -> Lister:
    """How the source called ``name`` lists its events; ``KeyError`` if it does not. As `reader`.

    It is the reader itself, unless that module has a ``LISTER`` beside it: one that is asked in another way.
    """
    if name not in LISTERS:
        raise KeyError(name)
    module = import_module(f"tieout.systems.{name}.reader")
    return cast("Lister", getattr(module, "LISTER", None) or module.READER)


@cache
def keeper(name: str) -> Asked | None:
    """Who keeps the subscriptions of the source called ``name``; ``None`` where nothing of it runs out or is missing.

    It is the reader itself, unless that module has a ``KEEPER`` beside it: one that is let in in another way.
    """
    if name not in READERS:
        return None
    module = import_module(f"tieout.systems.{name}.reader")
    found = getattr(module, "KEEPER", None) or module.READER
    return cast("Asked", found) if hasattr(found, "keep") else None


@cache
def target(name: str) -> Target:
    """The target called ``name``; ``KeyError`` if there is none. Imports that system's ``target`` module only."""
    if name not in TARGETS:
        raise KeyError(name)
    return cast("Target", import_module(f"tieout.systems.{name}.target").TARGET)
