"""What is derived from the canonical documents: a JSON Schema of each kind and version, and the page of all fields.

A version that is published stays: when a kind makes its next version, the file of the last one is kept as it is.
Within a version only what no reader can trip over may change; anything else is refused here until the kind's
``schema_version`` is raised.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tieout.core.documents import KINDS
from tieout.core.documents.schema import breaks, schema

ROOT = Path(__file__).resolve().parents[1]
HOME = "docs/schemas"


def schemas(root: Path = ROOT) -> dict[str, str]:
    """``docs/schemas/<kind>.v<N>.json``; `ValueError` when a published version would change its meaning."""
    files: dict[str, str] = {}
    for path in sorted((root / HOME).glob("*.json")):
        kind, _, number = path.name.removesuffix(".json").partition(".v")
        if kind in KINDS and number.isdigit() and int(number) < KINDS[kind].schema_version:
            files[f"{HOME}/{path.name}"] = path.read_text(encoding="utf-8")
    for kind, model in KINDS.items():
        made = schema(model)
        path = root / HOME / f"{kind}.v{model.schema_version}.json"
        if path.exists() and (why := breaks(json.loads(path.read_text(encoding="utf-8")), made)):
            raise ValueError(f"{path.name} is published; raise schema_version of {kind}: {'; '.join(why)}")
        files[f"{HOME}/{path.name}"] = json.dumps(made, indent=1, ensure_ascii=False) + "\n"
    return files


def page() -> dict[str, str]:
    """``docs/documents.md``: every kind, every field, its type and its meaning."""
    made = {kind: schema(model) for kind, model in KINDS.items()}
    parts: dict[str, Any] = {}
    for one in made.values():
        parts |= one["$defs"]
    lines = [
        "# The canonical documents",
        "",
        "Derived from `core/documents` by `make generate`; do not edit.",
        "",
        "Every source's objects become one of these, and every target's payload is made from one of these. A field in",
        "**bold** is always there. *Identity* fields are what the fingerprint covers: the same document twice is the",
        "same fingerprint; another one under the same key is a case.",
        "",
        "| Kind | What it is | Schema |",
        "|---|---|---|",
    ]
    for kind, model in KINDS.items():
        file = f"schemas/{kind}.v{model.schema_version}.json"
        lines.append(f"| [`{kind}`](#{kind}) | {_cell(made[kind]['description'])} | [{file}]({file}) |")
    for kind, model in KINDS.items():
        lines += ["", f"## {kind}", "", _text(made[kind]["description"]), ""]
        lines += _fields(made[kind], set(model.identity))
    lines += ["", "# Parts", ""]
    for name, part in sorted(parts.items()):
        if name not in {model.__name__ for model in KINDS.values()}:
            lines += ["", f"## {name}", "", _text(part.get("description", "")), ""]
            lines += _fields(part, set()) if "properties" in part else [f"Type: {_type(part)}"]
    return {"docs/documents.md": re.sub(r"\n{3,}", "\n\n", "\n".join(lines)) + "\n"}


def _fields(part: Mapping[str, Any], identity: set[str]) -> Iterator[str]:
    yield "| Field | Type | Meaning |" + (" Identity |" if identity else "")
    yield "|---|---|---|" + ("---|" if identity else "")
    needed = set(part.get("required", ()))
    for name, field in part["properties"].items():
        said = f"**`{name}`**" if name in needed else f"`{name}`"
        end = (" yes |" if name in identity else " |") if identity else ""
        yield f"| {said} | {_type(field)} | {_cell(field.get('description', ''))} |{end}"


def _type(field: Mapping[str, Any]) -> str:
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        kind = {model.__name__: kind for kind, model in KINDS.items()}.get(name)
        return f"[{kind or name}](#{(kind or name).lower()})"
    if "anyOf" in field:
        return " or ".join(_type(one) for one in field["anyOf"] if one.get("type") != "null")
    if "enum" in field:
        return ", ".join(f"`{word}`" for word in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if field.get("type") == "array":
        return f"list of {_type(field.get('items', {}))}" if "items" in field else "list"
    if field.get("type") == "string" and "pattern" in field and "[0-9]+(" in field["pattern"]:
        return "exact decimal, as text"
    return {"string": "text", "integer": "whole number", "boolean": "truth"}.get(field.get("type", ""), "text")


def _text(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    return _text(text).replace("|", "\\|")
