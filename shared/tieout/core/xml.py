"""XML as SOAP services speak it: a strict reader of small trees, and a writer of plain ones.

The reader refuses what a document can attack with (a DTD and so every entity, outside references, deep nesting) before
anything is expanded; namespaces are dropped, because the services that we read give each word one meaning. Sizes are
bounded by whoever read the bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final
from xml.parsers import expat

#: How deep elements may stand in one another.
DEPTH_MOST: Final = 64


@dataclass
class Element:
    """One element: its local name, its own text, what is in it."""

    name: str
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def all(self, name: str) -> list[Element]:
        """The children of that name."""
        return [child for child in self.children if child.name == name]

    def value(self, *names: str) -> str:
        """The trimmed text at a path of first children; empty where the path ends early."""
        at = self
        for name in names:
            found = at.all(name)
            if not found:
                return ""
            at = found[0]
        return at.text.strip()

    def walk(self) -> Iterator[Element]:
        """This element and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()


def read_xml(data: bytes) -> Element:
    """The root of a document. Raises ``ValueError`` for what is no XML, is too deep or brings a DTD."""
    parser = expat.ParserCreate(namespace_separator=" ")
    open_elements = [Element("")]

    def start(name: str, _: Mapping[str, str]) -> None:
        if len(open_elements) > DEPTH_MOST:
            raise ValueError("elements stand too deep")
        made = Element(name.rpartition(" ")[2])
        open_elements[-1].children.append(made)
        open_elements.append(made)

    def end(_: str) -> None:
        open_elements.pop()

    def text(said: str) -> None:
        open_elements[-1].text += said

    def refuse(*_: object) -> None:
        raise ValueError("a document type is not read")

    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    parser.buffer_text = True
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise ValueError(f"not XML: {expat.ErrorString(error.code)}") from None
    return open_elements[0].children[0]


def write_xml(name: str, value: Any) -> str:
    """An element with what is in it: a mapping is children in their order, a list the same child again.

    A name may carry attributes (``Amount currencyCode="USD"``), given by the code and never by data. ``None`` is left
    out. A float is a `TypeError`, a character that XML cannot say a `ValueError`.
    """
    match value:
        case None:
            return ""
        case list() | tuple():
            return "".join(write_xml(name, one) for one in value)
        case Mapping():
            inner = "".join(write_xml(child, one) for child, one in value.items())
        case bool():
            inner = "true" if value else "false"
        case Decimal():
            inner = format(value, "f")
        case str() | int():
            inner = _escaped(str(value))
        case _:
            raise TypeError(f"{type(value).__name__} does not go out: exact numbers, text, containers do")
    return f"<{name}>{inner}</{name.partition(' ')[0]}>"


def _escaped(text: str) -> str:
    if any(ord(letter) < 32 and letter not in "\t\n\r" for letter in text) or "\ufffe" in text or "\uffff" in text:
        raise ValueError("a character that XML cannot say")
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace("\n", "&#10;").replace("\r", "&#13;")  # a reader would make one of the other
