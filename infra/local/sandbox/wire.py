"""What travels between a client and a sandbox: the request as it arrived, the reply as it leaves.

Nothing here knows a vendor. Numbers are read as ``Decimal`` and written back digit for digit, so that money in a
JSON body never passes through a float. A reply can also say what honest HTTP libraries cannot: close the socket
without an answer (``Hangup``), or answer half of what was announced (``Reply.cut_at``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, unquote

Json = dict[str, Any]


class Hangup(Exception):
    """Close the connection and answer nothing; what was committed stays committed."""


def dumps(value: Any) -> str:
    """JSON text of a value; a Decimal becomes a JSON number with exactly its digits (no exponent)."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(str(k))}: {dumps(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(dumps(v) for v in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def loads(body: bytes) -> Any:
    """Parse JSON with exact decimals; raises ValueError (also for NaN and Infinity, which JSON has not)."""
    return json.loads(body, parse_float=Decimal, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def parse_form(text: str) -> Json:
    """Read a form with bracketed keys, as Stripe takes it: ``items[0][price]=x`` and ``expand[]=y``.

    Values stay strings. Lists come back as lists, whether indexed or empty-bracketed.
    """
    root: Json = {}
    for key, value in parse_qsl(text, keep_blank_values=True):
        path = [part.rstrip("]") for part in key.split("[")]
        node = root
        for name in path[:-1]:
            node = node.setdefault(name or str(len(node)), {})
            if not isinstance(node, dict):
                raise ValueError(f"{key} is used both as a value and as a group")
        node[path[-1] or str(len(node))] = value
    return {key: _lists(value) for key, value in root.items()}


def _lists(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    inner = {key: _lists(value) for key, value in node.items()}
    if inner and all(key.isdigit() for key in inner):
        return [inner[key] for key in sorted(inner, key=int)]
    return inner


@dataclass(frozen=True)
class Request:
    """One request. ``path`` is below the sandbox's base address and still percent-encoded."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    base_url: str = ""
    raw_query: str = ""  # as it was sent: a parameter may be said more than once
    pause: Callable[[], None] = field(default=lambda: None, compare=False)
    lag: float = 0  # seconds by which a search is behind

    @property
    def segments(self) -> list[str]:
        """The parts of the path, each decoded by itself: an encoded slash inside a part stays inside it."""
        return [unquote(part) for part in self.path.strip("/").split("/") if part]

    @property
    def line(self) -> str:
        """Method and path, for a log or for matching a fault."""
        return f"{self.method} {self.path}"

    def json(self) -> Any:
        """The body as JSON; raises ValueError."""
        return loads(self.body)

    def told(self, *names: str) -> str:
        """A member of the JSON body as text, ``0`` for the first of a list; empty where it is not there."""
        try:
            value = self.json()
        except ValueError:
            return ""
        for name in names:
            value = value[0] if name == "0" and isinstance(value, list) and value else member(value, name)
        return str(value or "") if isinstance(value, str | int) else ""

    def form(self) -> Json:
        """The body as a bracketed form."""
        return parse_form(self.body.decode("utf-8"))


@dataclass(frozen=True)
class Reply:
    """One answer. ``cut_at`` (bytes) announces the whole body and closes the socket after that many."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    cut_at: int | None = None

    @classmethod
    def json(cls, status: int, value: Any, *headers: tuple[str, str], kind: str = "application/json") -> Reply:
        """A JSON answer."""
        return cls(status, dumps(value).encode(), (("Content-Type", kind), *headers))

    @classmethod
    def html(cls, status: int, title: str) -> Reply:
        """What a load balancer in front of a vendor says when the vendor cannot."""
        page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
        return cls(status, page.encode(), (("Content-Type", "text/html; charset=utf-8"),))

    def with_headers(self, *headers: tuple[str, str]) -> Reply:
        """The same answer with more headers."""
        return Reply(self.status, self.body, (*self.headers, *headers), self.cut_at)


def member(value: Any, *names: str) -> Any:
    """The value at a path; ``None`` where it ends early."""
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


WORD = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<moment>\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:?\d\d))|(?P<number>-?\d+(?:\.\d+)?)|(?P<word>[A-Za-z_][\w.]*(?:\([^)]*\))?|\*)"
    r"|(?P<mark><=|>=|<>|!=|[=<>(),]))"
)


@dataclass(frozen=True)
class Condition:
    """``column operator values`` of a WHERE clause; the values are text as written, without quotes."""

    column: str
    operator: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Select:
    """The small part of SQL that SuiteQL and SOQL share and that an integration needs."""

    columns: tuple[str, ...]
    names: tuple[str, ...]
    table: str
    where: tuple[Condition, ...] = ()
    order: str = ""
    descending: bool = False
    limit: int | None = None


def parse_select(text: str) -> Select:
    """Parse ``SELECT a, b AS c FROM t [alias] [WHERE x = 'y' AND z IN (..)] [ORDER BY a [DESC]] [LIMIT n]``.

    Raises ValueError with the place where it stopped; ``OR``, joins and sub-selects are not understood, on
    purpose: a query that needs them should be seen.
    """
    return _Parser(text).select()


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        place = 0
        while place < len(text.rstrip()):
            match = WORD.match(text, place)
            if match is None or match.end() == place:
                raise ValueError(f"unexpected {text[place : place + 20]!r}")
            self.tokens.append((str(match.lastgroup), match.group(str(match.lastgroup))))
            place = match.end()
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at][1] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        if self.at >= len(self.tokens):
            raise ValueError("unexpected end of query")
        self.at += 1
        return self.tokens[self.at - 1][1]

    def accept(self, *words: str) -> bool:
        if self.peek().upper() in words:
            self.at += 1
            return True
        return False

    def expect(self, word: str) -> None:
        if not self.accept(word):
            raise ValueError(f"expected {word} before {self.peek() or 'the end'!r}")

    def value(self) -> str:
        token = self.take()
        return token[1:-1].replace("''", "'") if token.startswith("'") else token

    def select(self) -> Select:
        self.expect("SELECT")
        columns, names = [self.take()], []
        names.append(self.take() if self.accept("AS") else columns[-1])
        while self.accept(","):
            columns.append(self.take())
            names.append(self.take() if self.accept("AS") else columns[-1])
        self.expect("FROM")
        table = self.take()
        if self.peek() and self.peek().upper() not in {"WHERE", "ORDER", "LIMIT"}:
            self.take()
        where = self.conditions() if self.accept("WHERE") else ()
        order, descending = self.ordering()
        limit = int(self.take()) if self.accept("LIMIT") else None
        if self.peek():
            raise ValueError(f"not understood from {self.peek()!r}")
        return Select(tuple(columns), tuple(names), table, where, order, descending, limit)

    def ordering(self) -> tuple[str, bool]:
        if not self.accept("ORDER"):
            return "", False
        self.expect("BY")
        column = self.take()
        descending = self.accept("DESC")
        self.accept("ASC")
        return column, descending

    def conditions(self) -> tuple[Condition, ...]:
        found = [self.condition()]
        while self.accept("AND"):
            found.append(self.condition())
        return tuple(found)

    def condition(self) -> Condition:
        column, operator = self.take(), self.take().upper()
        if operator == "IS":
            negated = self.accept("NOT")
            self.expect("NULL")
            return Condition(column, "IS NOT NULL" if negated else "IS NULL", ())
        if operator != "IN":
            if operator not in {"=", "!=", "<>", "<", ">", "<=", ">="}:
                raise ValueError(f"operator {operator!r} is not understood")
            return Condition(column, operator, (self.value(),))
        self.expect("(")
        values = [self.value()]
        while self.accept(","):
            values.append(self.value())
        self.expect(")")
        return Condition(column, "IN", tuple(values))


def matches(row: Mapping[str, Any], condition: Condition) -> bool:
    """Whether a row (columns as looked up by the caller) meets a condition; text comparison, missing = null."""
    seen = row.get(condition.column)
    if condition.operator in {"IS NULL", "IS NOT NULL"}:
        return (seen is None) == (condition.operator == "IS NULL")
    if seen is None:
        return False
    left: Any = seen
    wanted: list[Any] = list(condition.values)
    if isinstance(seen, (int, Decimal)) and not isinstance(seen, bool):
        left, wanted = Decimal(seen), [Decimal(value) for value in wanted]
    elif isinstance(seen, bool):
        left, wanted = str(seen).lower(), [value.lower() for value in wanted]
    first = wanted[0]
    answers: dict[str, Callable[[], bool]] = {
        "=": lambda: bool(left == first),
        "IN": lambda: left in wanted,
        "!=": lambda: bool(left != first),
        "<>": lambda: bool(left != first),
        "<": lambda: bool(left < first),
        ">": lambda: bool(left > first),
        "<=": lambda: bool(left <= first),
        ">=": lambda: bool(left >= first),
    }
    return answers[condition.operator]()
