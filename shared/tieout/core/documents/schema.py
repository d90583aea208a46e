"""The JSON Schema (2020-12) of each kind of document: what `dump` writes and `load` reads, with every meaning.

A schema has the version of its kind. New optional fields keep the version; whatever would refuse a document that
was sound before, or give a field another meaning, makes the next one (`breaks` says what that is). Imported only
where schemas are written or shown: no function pays for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tieout.core.documents.base import Document

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def schema(model: type[Document]) -> dict[str, Any]:
    """The schema of one kind. Amounts and days are named definitions, so that a reader sees which clock it is."""
    made = model.model_json_schema(mode="validation", ref_template="#/$defs/{model}")
    named: dict[str, Any] = {}
    body = _named(made, named)
    definitions = {**body.pop("$defs", {}), **named}
    return {
        "$schema": DIALECT,
        "$id": f"urn:tieout:document:{model.kind}:{model.schema_version}",
        **body,
        "$defs": dict(sorted(definitions.items())),
    }


def _named(node: Any, named: dict[str, Any]) -> Any:
    """`node` with each value type as a reference, and the type itself among the definitions."""
    if isinstance(node, list):
        return [_named(one, named) for one in node]
    if not isinstance(node, dict):
        return node
    if isinstance(node.get("$named"), dict):
        own = dict(node)
        kind = dict(own.pop("$named"))
        name = kind.pop("name")
        named[name] = kind
        return {"$ref": f"#/$defs/{name}", **_named(own, named)}
    # Titles are the field's own name again.
    return {word: _named(child, named) for word, child in node.items() if word != "title" or isinstance(child, dict)}


def breaks(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Why documents that are sound under `old` may not be under `new`; empty when every one of them is."""
    found: list[str] = []
    _compare("", old, new, found)
    before, after = old.get("$defs", {}), new.get("$defs", {})
    for name in before.keys() & after.keys():
        _compare(f"{name}", before[name], after[name], found)
    return sorted(found)


def _compare(where: str, old: Mapping[str, Any], new: Mapping[str, Any], found: list[str]) -> None:
    had, has = old.get("properties", {}), new.get("properties", {})
    for name in had.keys() - has.keys():
        found.append(f"{where}.{name} is gone".lstrip("."))
    for name in set(new.get("required", ())) - set(old.get("required", ())):
        found.append(f"{where}.{name} is needed now".lstrip("."))
    for name in had.keys() & has.keys():
        before, after = _bare(had[name]), _bare(has[name])
        if before != after and not _wider(before, after):
            found.append(f"{where}.{name} is of another type".lstrip("."))


def _bare(node: Any) -> Any:
    """A field's schema without its words."""
    if isinstance(node, list):
        return [_bare(one) for one in node]
    if not isinstance(node, dict):
        return node
    return {word: _bare(child) for word, child in node.items() if word not in ("description", "title", "default")}


def _wider(before: Any, after: Any) -> bool:
    """Whether all that `before` takes `after` takes too, for the widenings that occur: more words, or also null."""
    if isinstance(after, dict) and "anyOf" in after and "anyOf" not in before:
        return any(before == one or _wider(before, one) for one in after["anyOf"])
    if isinstance(before, dict) and isinstance(after, dict) and "enum" in before and "enum" in after:
        rest = {"enum": None}
        return set(before["enum"]) <= set(after["enum"]) and {**before, **rest} == {**after, **rest}
    if isinstance(before, dict) and isinstance(after, dict) and before.keys() == after.keys():
        return all(before[word] == after[word] or _wider(before[word], after[word]) for word in before)
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return all(one == other or _wider(one, other) for one, other in zip(before, after, strict=True))
    return False
