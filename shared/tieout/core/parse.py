"""The strict JSON reader for everything that comes in, and the exact writer for what goes out.

`json.loads` is too kind for money: of duplicate keys it keeps the last, it takes NaN, it guesses UTF-16, it
makes floats, nine bytes (``1e2000000``) can cost minutes of CPU, and deep nesting is a RecursionError.
Here each is one typed refusal, ``NeedsHuman('bad_json', reason=...)``, in time linear in the size.

Reasons: ``too_large``, ``not_utf8``, ``byte_order_mark``, ``too_deep``, ``syntax``, ``duplicate_key``,
``not_a_number``, ``number_too_long``, ``exponent``, ``minus_zero``, ``forbidden_character``, ``not_an_object``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any, Final

from tieout.core.clocks import Day, EventInstant
from tieout.core.verdicts import NeedsHuman


@dataclass(frozen=True, slots=True)
class Limits:
    """What a body may be at most: `size` in bytes, `depth` in nested containers."""

    size: int = 6_000_000
    depth: int = 64


DEFAULT: Final = Limits()

# Possessive, and content with a missing end quote, so that no input makes it scan anything twice.
_STRINGS = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_NOT_BRACKETS = re.compile(r"[^\[\]{}]++")
# Controls (but tab, line feed, return), surrogates, non-characters: what SQS, DynamoDB or a log chokes on.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
# The same in UTF-8, with the higher planes; surrogates and raw C0 controls are refused before it is asked.
_FORBIDDEN_BYTES = re.compile(
    rb"[\x7f\xc2\xef-\xf4](?:(?<=\x7f)|(?<=\xc2)[\x80-\x9f]|(?<=\xef)(?:\xb7[\x90-\xaf]|\xbf[\xbe\xbf])"
    rb"|(?<=[\xf0-\xf4])[\x8f\x9f\xaf\xbf]\xbf[\xbe\xbf])"
)
_DECIMAL = re.compile(r"-?[0-9]{1,15}\.[0-9]{1,20}\Z")


def _refuse(reason: str, log: str = "") -> NeedsHuman:
    return NeedsHuman("bad_json", log or reason, reason=reason)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _refuse("duplicate_key")
    return found


def _int(literal: str) -> int:
    if len(literal) > 18:
        raise _refuse("number_too_long")
    if literal == "-0":
        raise _refuse("minus_zero")
    return int(literal)


def _decimal(literal: str) -> Decimal:
    if "e" in literal or "E" in literal:
        raise _refuse("exponent")
    if not _DECIMAL.match(literal):
        raise _refuse("number_too_long")
    number = Decimal(literal)
    if not number and literal.startswith("-"):
        raise _refuse("minus_zero")
    return number


def _constant(literal: str) -> Any:
    raise _refuse("not_a_number")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_int=_int, parse_float=_decimal, parse_constant=_constant, strict=True
)


def read_json(data: bytes, limits: Limits = DEFAULT) -> dict[str, Any]:
    """The JSON object that `data` spells: ints, `Decimal` for fractions, never a float.

    Raises `NeedsHuman` ``bad_json`` with one of the reasons above.
    """
    found = read_any(data, limits)
    if not isinstance(found, dict):
        raise _refuse("not_an_object")
    return found


def read_any(data: bytes, limits: Limits = DEFAULT) -> Any:
    """Like `read_json`, for senders whose body is a list (HubSpot) or a bare value."""
    if len(data) > limits.size:
        raise _refuse("too_large", f"{len(data)} bytes")
    if data[:3] == b"\xef\xbb\xbf" or data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise _refuse("byte_order_mark")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _refuse("not_utf8", f"byte {error.start}") from None
    _check_depth(text, limits.depth)
    try:
        found = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        # The message names the place, not the content: bodies hold personal data.
        reason = "forbidden_character" if error.msg.startswith("Invalid control character") else "syntax"
        raise _refuse(reason, f"{error.msg} at {error.pos}") from None
    except RecursionError:
        raise _refuse("too_deep") from None
    if ("\x7f" in text if text.isascii() else _FORBIDDEN_BYTES.search(data)) or (
        "\\" in text and _has_forbidden(found)
    ):
        raise _refuse("forbidden_character")
    return found


def _check_depth(text: str, depth: int) -> None:
    """Refuse more than `depth` nested containers, before the parser recurses into them."""
    if text.count("[") + text.count("{") <= depth:
        return
    brackets = _NOT_BRACKETS.sub("", _STRINGS.sub("", text))
    for _ in range(depth):
        if not brackets:
            return
        inner = brackets.replace("[]", "").replace("{}", "")
        if len(inner) == len(brackets):
            opened = len(brackets) - len(brackets.lstrip("[{"))
            raise _refuse("too_deep" if opened > depth else "syntax", "brackets do not match")
        brackets = inner
    if brackets:
        raise _refuse("too_deep")


def _has_forbidden(found: Any) -> bool:
    """Whether a string in a parsed value holds a forbidden character (asked only when there were escapes)."""
    todo = [found]
    while todo:
        value = todo.pop()
        if isinstance(value, str):
            if _FORBIDDEN.search(value) or _FORBIDDEN_BYTES.search(value.encode("utf-8", "surrogatepass")):
                return True
        elif isinstance(value, dict):
            todo.extend(value)
            todo.extend(value.values())
        elif isinstance(value, list):
            todo.extend(value)
    return False


def write_json(value: Any) -> bytes:
    """Compact UTF-8 JSON with every `Decimal` as its exact number literal; a float is a `TypeError`."""
    parts: list[str] = []
    _write(value, parts)
    return "".join(parts).encode()


def _write(value: Any, parts: list[str]) -> None:
    match value:
        case None | True | False:
            parts.append({None: "null", True: "true", False: "false"}[value])
        case str():
            parts.append(encode_basestring(value))
        case int():
            parts.append(str(value))
        case Decimal():
            parts.append(format(value, "f"))
        case Day() | EventInstant():
            parts.append(f'"{value.iso}"')
        case Mapping():
            for index, (key, item) in enumerate(value.items()):
                parts.append("," if index else "{")
                parts.append(encode_basestring(key) + ":")
                _write(item, parts)
            parts.append("}" if value else "{}")
        case list() | tuple():
            for index, item in enumerate(value):
                parts.append("," if index else "[")
                _write(item, parts)
            parts.append("]" if value else "[]")
        case _:
            raise TypeError(f"{type(value).__name__} does not go out: exact numbers, text, days, containers do")
