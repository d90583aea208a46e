"""One call to an outside system, as values: the request that is recorded before it, and what its answer means.

Pure: nothing here opens a connection. A recorded request is written like an HTTP message, so that a person can read
it on the desk and a machine can send it again byte for byte.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlencode

from tieout.core.classify import Answer, Row, classify
from tieout.core.money import Money
from tieout.core.verdicts import NeedsHuman, Uncertain, Verdict

JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Request:
    """What goes over the wire, without authentication: that is the transport's, and is never recorded."""

    method: str
    path: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    def dump(self) -> bytes:
        """The request as bytes; ``ValueError`` where a line break in its head would change its meaning."""
        head = [f"{self.method} {self.path}", *(f"{name}: {value}" for name, value in self.headers.items())]
        if any("\n" in line or "\r" in line for line in head) or " " in self.path:
            raise ValueError("a line break or a blank in the head of a request")
        return "\n".join(head).encode() + b"\n\n" + self.body

    @classmethod
    def load(cls, recorded: bytes) -> Request:
        """The request that `dump` wrote."""
        head, _, body = recorded.partition(b"\n\n")
        first, *rest = head.decode().split("\n")
        method, _, path = first.partition(" ")
        return cls(method, path, body, dict(line.split(": ", 1) for line in rest))


def encode_form(payload: Mapping[str, Any]) -> bytes:
    """A form with bracketed keys (``address[city]=x&items[0][price]=y``), as Stripe takes it; ``None`` is left out."""
    return urlencode(list(_flat("", payload))).encode()


def _flat(name: str, value: Any) -> Iterator[tuple[str, str]]:
    match value:
        case None:
            return
        case Mapping():
            for key, inner in value.items():
                yield from _flat(f"{name}[{key}]" if name else str(key), inner)
        case list() | tuple():
            for index, inner in enumerate(value):
                yield from _flat(f"{name}[{index}]", inner)
        case bool():
            yield name, "true" if value else "false"
        case Decimal():
            yield name, format(value, "f")
        case _:
            yield name, str(value)


def read_answer(answer: Answer) -> Any:
    """The JSON of an answer, fractions as `Decimal`; ``None`` where it has no body.

    Raises ``Uncertain('target_unclear')`` for what is cut or is no JSON: such an answer says nothing either way.
    """
    if answer.truncated:
        raise Uncertain("target_unclear", f"HTTP {answer.status}, answer too long", status=answer.status)
    if not answer.body.strip():
        return None
    try:
        return json.loads(answer.body, parse_float=Decimal)
    except (ValueError, ArithmeticError, RecursionError):
        raise Uncertain("target_unclear", f"HTTP {answer.status}, not JSON", status=answer.status) from None


def judge(rows: Sequence[Row], answer: Answer, text: str) -> Answer:
    """The answer, where it is a 2xx that no row of the verdict table refuses; raises the verdict otherwise."""
    verdict = classify(rows, answer, text)
    if verdict is not None:
        raise verdict
    return answer


@contextmanager
def behind(what: str, *, written: bool = True) -> Iterator[None]:
    """A step behind a write that was taken: what goes wrong in it is doubt, and never a licence to write again.

    ``written`` is false where this very send wrote nothing before it: a verdict then stands as it is.
    """
    try:
        yield
    except Verdict as lost:
        if not written or isinstance(lost, Uncertain):
            raise
        raise Uncertain("target_unclear", f"{what}: {lost}") from lost


def member(value: Any, *names: str) -> Any:
    """The value at a path of a parsed answer; ``None`` where the path ends early."""
    for name in names:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def minor(amount: Any, currency: str | None) -> int | None:
    """A shown amount in minor units; ``None`` where there is none, or one that our currency cannot spell."""
    if currency is None or isinstance(amount, bool) or not isinstance(amount, int | Decimal):
        return None
    try:
        return Money.from_decimal(Decimal(amount), currency).minor
    except NeedsHuman:
        return None


def difference(echo: Sequence[str], wanted: Any, shown: Any) -> str:
    """What the target shows otherwise than was sent, of the declared echo fields; empty where nothing.

    A field that is shown as ``None`` was not seen, which is a difference: success is having seen it.
    """
    differ = [
        f"{name} {getattr(shown, name)} for {getattr(wanted, name)}"
        for name in echo
        if getattr(shown, name) != getattr(wanted, name)
    ]
    return ", ".join(differ)
