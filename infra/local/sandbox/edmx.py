"""The ``$metadata`` of an OData service, as far as an integration reads it: entity types with their properties.

SAP's services speak OData 2 and Business Central OData 4; both list ``EntityType``, ``Property`` with ``Type`` and
``MaxLength``, and ``NavigationProperty``, each in its own namespaces.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import quoteattr

from infra.local.sandbox.wire import Reply

#: Of each version: namespace of the envelope, and of the schema.
NAMESPACES = {
    "1.0": ("http://schemas.microsoft.com/ado/2007/06/edmx", "http://schemas.microsoft.com/ado/2008/09/edm"),
    "4.0": ("http://docs.oasis-open.org/odata/ns/edmx", "http://docs.oasis-open.org/odata/ns/edm"),
}
#: A type by its properties, each with its type and its greatest length (0: it has none), and its ways on.
Types = Mapping[str, tuple[Mapping[str, tuple[str, int]], Sequence[str]]]


def metadata(version: str, namespace: str, types: Types) -> Reply:
    """The document."""
    envelope, schema = NAMESPACES[version]
    inner = "".join(_entity(name, properties, ways) for name, (properties, ways) in types.items())
    text = (
        f'<?xml version="1.0" encoding="utf-8"?><edmx:Edmx Version="{version}" xmlns:edmx="{envelope}">'
        f'<edmx:DataServices><Schema Namespace="{namespace}" xmlns="{schema}">{inner}</Schema></edmx:DataServices>'
        "</edmx:Edmx>"
    )
    return Reply(200, text.encode(), (("Content-Type", "application/xml"),))


def _entity(name: str, properties: Mapping[str, tuple[str, int]], ways: Sequence[str]) -> str:
    rows = "".join(
        f"<Property Name={quoteattr(one)} Type={quoteattr(kind)}" + (f' MaxLength="{length}"/>' if length else "/>")
        for one, (kind, length) in properties.items()
    )
    return (
        f'<EntityType Name="{name}">{rows}{"".join(f"<NavigationProperty Name={quoteattr(way)}/>" for way in ways)}'
        "</EntityType>"
    )
