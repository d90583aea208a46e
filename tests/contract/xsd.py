"""A closed check of an XML element against an XML schema: as much of XSD as SAP's journal schema uses.

Sequences with their order and counts, simple content with attributes, and of simple types length, pattern, number and
date forms. What is not declared is a mistake; a construct of the schema that is not understood here is an error, so
that nothing passes because it was not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from xml.etree.ElementTree import Element, parse

XS = "{http://www.w3.org/2001/XMLSchema}"
FACETS = frozenset({"maxLength", "minLength", "length", "pattern", "totalDigits", "fractionDigits", "maxInclusive",
                    "minInclusive", "enumeration"})  # fmt: skip


class Schema:
    """The global types and elements of one schema file."""

    def __init__(self, path: Path) -> None:
        root = parse(path).getroot()
        self.target = root.get("targetNamespace", "")
        self.elements = {one.get("name", ""): one for one in root.findall(f"{XS}element")}
        kinds = (*root.findall(f"{XS}complexType"), *root.findall(f"{XS}simpleType"))
        self.types = {one.get("name", ""): one for one in kinds}

    def mistakes(self, element: Element) -> list[str]:
        """What is wrong with an element that the schema declares globally."""
        name = element.tag.removeprefix("{" + self.target + "}")
        declared = self.elements.get(name)
        if declared is None or name == element.tag:
            return [f"no element {element.tag}"]
        return list(self._typed(element, self._local(declared.get("type", "")), name))

    @staticmethod
    def _local(name: str) -> str:
        return name.rpartition(":")[2] if name.startswith(("tns:", "sfin:", "n0:")) else name

    def _typed(self, element: Element, kind: str, place: str) -> Iterator[str]:
        declared = self.types.get(kind)
        if declared is None or declared.tag == f"{XS}simpleType":
            if len(element) or element.attrib:
                yield f"{place} takes text alone"
            yield from self._text(element.text or "", kind, place)
            return
        content = declared.find(f"{XS}simpleContent")
        if content is not None:
            extension = content[0]
            yield from self._attributes(element, extension, place)
            yield from self._text(element.text or "", self._local(extension.get("base", "")), place)
            return
        sequence = declared.find(f"{XS}sequence")
        assert sequence is not None, f"{kind} is neither a sequence nor simple content"
        if element.attrib:
            yield f"{place} takes no attributes"
        yield from self._sequence(element, sequence, place)

    def _attributes(self, element: Element, extension: Element, place: str) -> Iterator[str]:
        known = {one.get("name", ""): one for one in extension.findall(f"{XS}attribute")}
        yield from (f"{place}: no attribute {name}" for name in element.attrib if name not in known)
        for name, declared in known.items():
            if name in element.attrib and declared.get("type"):
                yield from self._text(element.attrib[name], self._local(declared.get("type", "")), f"{place}/@{name}")
            elif name not in element.attrib and declared.get("use") == "required":
                yield f"{place} lacks attribute {name}"

    def _sequence(self, element: Element, sequence: Element, place: str) -> Iterator[str]:
        children = list(element)
        for part in sequence:
            assert part.tag == f"{XS}element", f"{part.tag} is not understood"
            name, most = part.get("name", ""), part.get("maxOccurs", "1")
            taken = 0
            while children and children[0].tag == name and (most == "unbounded" or taken < int(most)):
                yield from self._typed(children.pop(0), self._local(part.get("type", "")), f"{place}/{name}")
                taken += 1
            if taken < int(part.get("minOccurs", "1")):
                yield f"{place} lacks {name}" + (f" before {children[0].tag}" if children else "")
        yield from (f"{place}: {child.tag} has no place here" for child in children)

    def _text(self, text: str, kind: str, place: str) -> Iterator[str]:
        declared = self.types.get(kind)
        if declared is None:
            if not _is(text, kind.rpartition(":")[2]):
                yield f"{place}: {text!r} is no {kind}"
            return
        if declared.tag == f"{XS}complexType":
            raise AssertionError(f"{kind} is no text")
        restriction = declared.find(f"{XS}restriction")
        assert restriction is not None, f"{kind} is no restriction"
        wrong = list(self._text(text, self._local(restriction.get("base", "")), place))
        yield from wrong
        for facet in restriction:
            name, value = facet.tag.removeprefix(XS), facet.get("value", "")
            assert name in FACETS, f"{name} is not understood"
            if not wrong and not _holds(name, value, text):
                yield f"{place}: {text!r} against {name} {value}"


def _holds(facet: str, value: str, text: str) -> bool:
    match facet:
        case "maxLength":
            return len(text) <= int(value)
        case "minLength":
            return len(text) >= int(value)
        case "length":
            return len(text) == int(value)
        case "pattern":
            return re.fullmatch(value, text) is not None
        case "totalDigits":
            return len(re.sub(r"[-.]", "", text).lstrip("0")) <= int(value)
        case "fractionDigits":
            return len(text.partition(".")[2]) <= int(value)
        case "maxInclusive" | "minInclusive":
            return (Decimal(text) <= Decimal(value)) if facet == "maxInclusive" else (Decimal(text) >= Decimal(value))
    return True


def _is(text: str, kind: str) -> bool:
    """Whether a text has the form of a built-in type."""
    try:
        match kind:
            case "decimal":
                Decimal(text)
            case "date":
                date.fromisoformat(text)
            case "dateTime":
                datetime.fromisoformat(text.replace("Z", "+00:00"))
            case "boolean":
                return text in ("true", "false", "1", "0")
            case "duration":
                return re.fullmatch(r"-?P(\d+D)?", text) is not None and text[-1] == "D"
            case "integer" | "int":
                int(text)
            case "string" | "token" | "normalizedString" | "language" | "anyURI" | "base64Binary" | "time" | "NMTOKEN":
                return True
            case _:
                raise AssertionError(f"{kind} is not understood")
    except (ValueError, InvalidOperation):
        return False
    return True
