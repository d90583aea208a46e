"""What each source's objects are known to look like, for drift: derived, one ``shapes.json`` beside each source.

Known is, by the mapping that reads the object: what the mapping names, what its examples hold, and what the captured
events of its flows hold.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from infra.accept import examples
from tieout import flows, mappings, systems, tables
from tieout.cli.examples import EVENTS
from tieout.core.drift import shape


def shapes() -> Mapping[str, str]:
    """The file of every source: mapping → the paths that are known."""
    columns = tables.load().columns()
    files: dict[str, str] = {}
    for source in systems.SOURCES:
        known: dict[str, list[str]] = {}
        for name in mappings.names():
            mapping = mappings.load(name, columns)
            if name.partition(".")[0] == source and mapping.kind is not None:
                paths = {path for seen in objects(name, source) for path in shape(seen, systems.source(source).open)}
                known[name] = sorted(paths | mapping.reads)
        files[f"shared/tieout/systems/{source}/shapes.json"] = json.dumps(known, indent=0) + "\n"
    return files


def objects(mapping: str, source: str) -> Iterator[Mapping[str, Any]]:
    """The objects that are stored for a mapping."""
    yield from (said["object"] for one in examples() if one.mapping == mapping and "object" in (said := one.read()))
    for flow in flows.FLOWS:
        if flow.reads == mapping:
            path = EVENTS / source / f"{flow.on.type}.json"
            reads = systems.source(source).read(path.read_bytes())
            yield from (read.object for read in reads if not read.thin)
