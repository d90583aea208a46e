"""A live description of fields in one shape, whatever the vendor's is, and how it differs from what we count on.

Vendors describe what may be written in their own ways: a JSON object by name, a list of rows, the ``$metadata`` of
OData. A `Reading` is data that says where a description keeps its fields and what it calls type, length, mandatory and
writable; what a vendor does not tell is not compared.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from tieout.core.checkup import Finding, Metadata, State, shows
from tieout.core.classify import Answer
from tieout.core.exchange import member, read_answer

#: Formats that make another type of a JSON text: a date is none.
FORMATS: Final = ("date", "date-time")


@dataclass(frozen=True)
class Field:
    """What a description says of one field, in the vendor's words; ``None`` and empty where it says nothing."""

    type: str = ""
    length: int | None = None
    required: bool = False
    writable: bool = True


@dataclass(frozen=True)
class Reading:
    """How one vendor's description is read.

    ``form``: ``keys`` is an object whose keys are the fields, ``rows`` a list whose rows have the name in ``name``, and
    ``edmx`` the properties of the entity type ``name`` in an OData ``$metadata``. ``at`` is the way to them. Members of
    a field are named with dots; ``required`` and ``writable`` hold where every member shows the value.
    """

    form: Literal["keys", "rows", "edmx"] = "keys"
    at: tuple[str, ...] = ()
    name: str = ""
    type: str = "type"
    length: str = ""
    required: Mapping[str, Any] = field(default_factory=dict)
    writable: Mapping[str, Any] = field(default_factory=dict)
    #: Whether ``required`` leaves out what the vendor fills in itself; where it does not, nobody can be sure.
    sure: bool = True


def described(reading: Reading, answer: Answer) -> dict[str, Field]:
    """The fields that an answer lists, empty where it lists none. Raises a verdict for an answer that is no JSON."""
    if answer.truncated:
        return {}
    if reading.form == "edmx":
        return {name: _field(reading, one) for name, one in _entity(answer.body, reading.name).items()}
    there = member(read_answer(answer), *reading.at) if reading.at else read_answer(answer)
    if reading.form == "rows":
        rows = [one for one in there if isinstance(one, Mapping)] if isinstance(there, list) else []
        return {str(one[reading.name]): _field(reading, one) for one in rows if one.get(reading.name)}
    return {str(name): _field(reading, one) for name, one in there.items()} if isinstance(there, Mapping) else {}


def _field(reading: Reading, one: Any) -> Field:
    told, length = member(one, *reading.type.split(".")), member(one, *reading.length.split("."))
    kind = told if isinstance(told, str) else ""
    if kind == "string" and member(one, "format") in FORMATS:
        kind = str(member(one, "format"))
    text = str(length)
    return Field(
        kind,
        int(text) if text.isascii() and text.isdigit() and int(text) else None,
        bool(reading.required) and shows(one, reading.required),
        not reading.writable or shows(one, reading.writable),
    )


def _entity(body: bytes, entity: str) -> dict[str, dict[str, str]]:
    """Attributes of each property of an entity type; empty where there is none, or where the text is no XML."""
    from xml.parsers import expat  # a cold start loads no reader of XML for it

    found: dict[str, dict[str, str]] = {}
    inside = [""]
    parser = expat.ParserCreate(namespace_separator=" ")

    def start(name: str, given: dict[str, str]) -> None:
        local = name.rpartition(" ")[2]
        if local == "EntityType":
            inside[0] = given.get("Name", "")
        if local in ("Property", "NavigationProperty") and inside[0] == entity:
            plain = {key.rpartition(" ")[2]: value for key, value in given.items()}
            # What a navigation leads to is a type of its own.
            found[given.get("Name", "")] = plain if local == "Property" else {"Name": plain.get("Name", "")}

    def refuse(*_: Any) -> None:
        raise ValueError("a document type")

    parser.StartElementHandler = start
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, ValueError):
        return {}
    return found


@dataclass(frozen=True)
class Sent:
    """Names of the fields that a payload has: ``always``, and ``sometimes`` where there is something to say."""

    always: frozenset[str] = frozenset()
    sometimes: frozenset[str] = frozenset()


def differences(contract: Mapping[str, str], sent: Sent, live: Mapping[str, Field]) -> list[str]:
    """What of the fields that we write is otherwise than we count on, each in a few words; empty where nothing is.

    ``contract`` says of a field what its type may be, the alternatives between bars, each with the length that we may
    need: ``string(255)|textarea(255)``.
    """
    names = sorted({*contract, *sent.always, *sent.sometimes})
    gone = [name for name in names if name not in live]
    found = [f"not known there any more: {', '.join(gone)}"] if gone else []
    for name in (one for one in names if one in live):
        found += _other(name, contract.get(name, ""), live[name])
    return found


def lacking(sent: Sent, live: Mapping[str, Field], given: Collection[str]) -> list[str]:
    """What is mandatory there and not sent, or not always; ``given`` are fields that are not ours to send."""
    wanted = {name for name, one in live.items() if one.required} - set(given)
    never, seldom = sorted(wanted - sent.always - sent.sometimes), sorted(wanted & sent.sometimes)
    found = [f"mandatory and never sent: {', '.join(never)}"] if never else []
    return [*found, f"mandatory and not always sent: {', '.join(seldom)}"] if seldom else found


def _other(name: str, wanted: str, live: Field) -> list[str]:
    """How one field differs from what its contract allows."""
    found = [] if live.writable else [f"{name} may not be written"]
    known = [one.rstrip(")").partition("(")[::2] for one in wanted.split("|")] if wanted and live.type else []
    same = [length for kind, length in known if kind == live.type]
    if known and not same:
        return [*found, f"{name} is {live.type}, not {wanted}"]
    lengths = [int(length) for length in same if length]
    if lengths and live.length is not None and live.length < min(lengths):
        found.append(f"{name} takes {live.length} characters, not {min(lengths)}")
    return found


def sent_by(rules: Sequence[tuple[str, bool]], inside: str = "") -> Sent:
    """The fields below ``inside`` that rules write, each given as its way in the payload and whether it is optional."""
    head = [part for part in inside.split(".") if part]
    always: set[str] = set()
    sometimes: set[str] = set()
    for way, optional in rules:
        parts = [part for part in way.split(".") if part != "*"]
        if parts[: len(head)] == head and len(parts) > len(head):
            (sometimes if optional else always).add(parts[len(head)])
    return Sent(frozenset(always), frozenset(sometimes - always))


def compare(declared: Metadata, sent: Sent, live: Mapping[str, Field]) -> Finding:
    """Whether everything that our mapping writes is still known there, and still is what we count on."""
    if not live:
        return Finding(declared.says, "unknown", "the description lists no fields")
    ours = Sent(sent.always - set(declared.skip), sent.sometimes - set(declared.skip))
    found, wanted = differences(declared.fields, ours, live), lacking(ours, live, declared.given)
    if found or wanted:
        state: State = "bad" if found or declared.reading.sure else "warn"
        return Finding(declared.says, state, "; ".join([*found, *wanted])[:600])
    return Finding(declared.says, "good", f"all {len({*declared.fields, *ours.always, *ours.sometimes})} known")
