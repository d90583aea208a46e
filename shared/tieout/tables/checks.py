"""What no single file of the tables can see: that what is named exists, and that a value is one that can be used.

Asked when the tables of the release load, and again for every change that is laid over them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final, get_args

from pydantic import BaseModel

from tieout.core.clocks import time_zone
from tieout.core.documents import KINDS
from tieout.core.lookup import VALUE, Row, Table
from tieout.core.money import EXPONENTS
from tieout.core.nodes import Mistake, suggest
from tieout.core.routing import Route
from tieout.core.verdicts import NeedsHuman

NEEDED: Final = ("entities", "source_accounts")
"""The tables without which nothing can be read at all."""


def mistakes(tables: Mapping[str, Table], routes: Iterable[Route]) -> list[Mistake]:
    """Everything wrong across the tables and routes."""
    known = {row.key for row in tables["entities"].rows}
    found = [
        Mistake(f"{name}.yaml", row.line, said)
        for name, table in tables.items()
        for row in table.rows
        for said in (*_entity(row.entity, known), *_of_table(name, row, known))
    ]
    found += [Mistake("routes.yaml", one.line, said) for one in routes for said in _entity(one.entity, known)]
    return found + list(_rounding_accounts(tables))


def _rounding_accounts(tables: Mapping[str, Table]) -> Iterator[Mistake]:
    """The account that takes what rounding leaves over exists at the target that rounds."""
    if not {"rounding_policies", "accounts"} <= tables.keys():
        return
    accounts = {(row.target, row.key) for row in tables["accounts"].rows}
    for row in tables["rounding_policies"].rows:
        if (row.key, row.cells["account"]) not in accounts and (None, row.cells["account"]) not in accounts:
            yield Mistake(
                "rounding_policies.yaml", row.line, f"no account {row.cells['account']!r} of {row.key} in accounts"
            )


def _of_table(name: str, row: Row, known: set[str]) -> Iterator[str]:
    check = _CHECKS.get(name)
    if check is not None:
        yield from check(row, known)


def _entity(code: str | None, known: set[str]) -> Iterator[str]:
    if code is not None and code not in known:
        yield f"no entity {code!r}{suggest(code, known)}"


def _entities(row: Row, _: set[str]) -> Iterator[str]:
    if row.cells["currency"] not in EXPONENTS:
        yield f"no currency {row.cells['currency']!r}"
    try:
        time_zone(str(row.cells["zone"]))
    except NeedsHuman as error:
        yield error.log


def _source_accounts(row: Row, known: set[str]) -> Iterator[str]:
    yield from _entity(str(row.cells[VALUE]), known)
    if row.key.count(":") != 1:
        yield f"{row.key!r} is not system:account"


def _currencies(row: Row, _: set[str]) -> Iterator[str]:
    if row.key not in EXPONENTS and row.key != "*":
        yield f"no currency {row.key!r}{suggest(row.key, EXPONENTS)}"


def _rates(row: Row, _: set[str]) -> Iterator[str]:
    """A rate is of one currency in another, more than nothing, and says from when it holds."""
    base, slash, quote = row.key.partition("/")
    if not slash or base not in EXPONENTS or quote not in EXPONENTS or base == quote:
        yield f"{row.key!r} is not a pair of currencies, e.g. EUR/USD"
    if Decimal(str(row.cells[VALUE])) <= 0:
        yield f"a rate is more than nothing, not {row.cells[VALUE]}"
    if row.first is None:
        yield "a rate needs 'from', the day it is of"


def _residency(row: Row, known: set[str]) -> Iterator[str]:
    yield from _entity(row.key, known)


def _ownership(row: Row, _: set[str]) -> Iterator[str]:
    """The key is a field of a document, ``customer.legal_name``, or a kind as a whole: ``payout``."""
    kind, dot, path = row.key.partition(".")
    model: Any = KINDS.get(kind)
    if model is None:
        yield f"no kind of document {kind!r}{suggest(kind, KINDS)}"
        return
    for step in path.split(".") if dot else ():
        fields = model.model_fields if isinstance(model, type) and issubclass(model, BaseModel) else {}
        if step not in fields:
            yield f"no field {step!r} in {row.key!r}{suggest(step, fields)}"
            return
        if row.cells["other"] == "ignored" and fields[step].is_required():
            yield f"{row.key!r} cannot be left out of a document: 'case' or 'last_wins', not 'ignored'"
        model = _inner(fields[step].annotation)


def _inner(annotation: Any) -> Any:
    """The model inside an optional or a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in get_args(annotation) if (found := _inner(arg)) is not None), None)


def _limits(row: Row, _: set[str]) -> Iterator[str]:
    """A limit is of a kind in a currency, ``invoice:USD``, and in that currency's minor units."""
    kind, _colon, currency = row.key.partition(":")
    if row.key != "*" and kind not in KINDS:
        yield f"no kind of document {kind!r}{suggest(kind, KINDS)}"
    if row.key != "*" and currency not in EXPONENTS:
        yield f"no currency {currency!r}{suggest(currency, EXPONENTS)}"
    if int(str(row.cells[VALUE])) < 0:
        yield f"a limit is not less than nothing, not {row.cells[VALUE]}"


def _retries(row: Row, _: set[str]) -> Iterator[str]:
    least, most = (int(str(row.cells[name])) for name in ("least_seconds", "most_seconds"))
    if not 1 <= least <= most <= 86_400:
        yield f"from {least} to {most} s is no span for a pause (1 s to a day)"


_CHECKS: Final[Mapping[str, Callable[[Row, set[str]], Iterator[str]]]] = {
    "entities": _entities,
    "source_accounts": _source_accounts,
    "currencies": _currencies,
    "rates": _rates,
    "residency": _residency,
    "ownership": _ownership,
    "limits": _limits,
    "retry_policies": _retries,
}
