"""What another version of a mapping changes: outcomes before and after, field by field, with the money between them.

Pure: the caller renders the same documents by both versions and hands the outcomes in. A difference in an amount
is summed for each field and currency, never over fields: net, tax and gross of one line are not three amounts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from tieout.core.money import Money
from tieout.core.verdicts import NeedsHuman

ABSENT: Final = "(nothing)"
"""How a field that is not there is shown; text that says so is quoted and cannot be mistaken for it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a mapping does with one document: the fields that it makes, or the code that it stops with."""

    makes: Any = None
    stops_with: str = ""


@dataclass(frozen=True, slots=True)
class Amounts:
    """Which fields are money: how each field's rule spells it (field → ``Path.amount``), and in which currency."""

    spelled: Mapping[str, str]
    currency: str = ""

    def read(self, field: str, value: Any) -> Money | None:
        """The amount that stands in a field; None where it is no amount."""
        if isinstance(value, Money):
            return value
        spelled = self._spelled(pattern(field))
        if not (spelled and self.currency) or isinstance(value, bool):
            return None
        try:
            if spelled == "minor" and isinstance(value, int):
                return Money.of(value, self.currency)
            if spelled == "text" and isinstance(value, str):
                return Money.parse(value, self.currency)
            if spelled in ("decimal", "money") and isinstance(value, Decimal):
                return Money.from_decimal(value, self.currency)
        except NeedsHuman:
            return None
        return None

    def _spelled(self, field: str) -> str:
        """Of the field's own rule, or of the rule (a function) that makes the whole branch it hangs on."""
        while field:
            if field in self.spelled:
                return self.spelled[field]
            field = field.rpartition(".")[0]
        return ""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One output field that comes out otherwise. `money` is after less before, where the field is an amount."""

    field: str
    before: str
    after: str
    money: Money | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """One document that comes out otherwise: changed fields, or the codes it stopped and stops with."""

    name: str
    fields: tuple[FieldChange, ...] = ()
    stopped: str = ""
    stops: str = ""
    amount: Money | None = None
    """The document's own total: what hangs on a document that begins or ceases to stop."""


@dataclass(frozen=True, slots=True)
class Report:
    """Two versions over a corpus. `sizes` are the lines of both, ``netsuite.invoice@1`` and the like."""

    before: str
    after: str
    documents: int
    differences: tuple[Difference, ...]

    @property
    def same(self) -> int:
        """How many documents come out the same to the last digit."""
        return self.documents - len(self.differences)

    def money(self) -> dict[tuple[str, str], Money]:
        """After less before, for each field (list positions as ``*``) and currency."""
        sums: dict[tuple[str, str], Money] = {}
        for difference in self.differences:
            for change in difference.fields:
                if change.money is not None and change.money.minor:
                    key = pattern(change.field), str(change.money.currency)
                    sums[key] = sums.get(key, Money.zero(change.money.currency)) + change.money
        return dict(sorted(sums.items()))

    def held(self) -> tuple[list[Difference], list[Difference]]:
        """The documents that begin to stop, and those that cease to."""
        begin = [one for one in self.differences if one.stops and not one.stopped]
        cease = [one for one in self.differences if one.stopped and not one.stops]
        return begin, cease

    def plain(self) -> dict[str, Any]:
        """For scripts; amounts as text with their currency."""
        return {
            "before": self.before,
            "after": self.after,
            "documents": self.documents,
            "same": self.same,
            "differences": [
                {
                    "name": one.name,
                    "stopped_with": one.stopped or None,
                    "stops_with": one.stops or None,
                    "amount": _plain_money(one.amount),
                    "fields": [
                        {
                            "field": change.field,
                            "before": None if change.before == ABSENT else change.before,
                            "after": None if change.after == ABSENT else change.after,
                            "money": _plain_money(change.money),
                        }
                        for change in one.fields
                    ],
                }
                for one in self.differences
            ],
            "money": [
                {"field": field, "difference": _plain_money(amount)} for (field, _), amount in self.money().items()
            ],
        }

    def lines(self) -> Iterator[str]:
        """The report in plain words, as `tieout mappings diff` prints it."""
        begin, cease = self.held()
        counts = (
            (len(self.differences) - len(begin) - len(cease), "come out otherwise"),
            (len(begin), "begin to stop"),
            (len(cease), "stop no longer"),
            (self.same, "stay the same"),
        )
        said = ", ".join(f"{count} {what}" for count, what in counts)
        yield f"{self.before} → {self.after} over {self.documents} documents: {said}"
        for one in self.differences:
            yield ""
            yield one.name
            if one.stopped or one.stops:
                hangs = f"  {one.amount}" if one.amount is not None else ""
                yield f"  {_stops(one)}{hangs}"
            width = max((len(change.field) for change in one.fields), default=0)
            for change in one.fields:
                money = f"  {_signed(change.money)}" if change.money is not None else ""
                yield f"  {change.field:{width}}  {change.before} → {change.after}{money}"
        sums = self.money()
        if sums:
            yield ""
            yield "Money, after less before:"
            width = max(len(field) for field, _ in sums)
            for (field, _), amount in sums.items():
                yield f"  {field:{width}}  {_signed(amount)}"
        for held, what in ((begin, "Held back"), (cease, "Let go")):
            totals = _totals(held)
            if totals:
                yield ""
                yield f"{what}: {', '.join(map(str, totals))}"


def compare(
    name: str, before: Outcome, after: Outcome, amounts: Amounts, total: Money | None = None
) -> Difference | None:
    """What differs for one document; None when nothing does, to the last digit (``2.0`` is not ``2.00``)."""
    if before.stops_with or after.stops_with:
        if before.stops_with == after.stops_with:
            return None
        return Difference(name, stopped=before.stops_with, stops=after.stops_with, amount=total)
    was, now = leaves(before.makes), leaves(after.makes)
    fields = [field for field in [*was, *(field for field in now if field not in was)] if field not in was
              or field not in now or show(was[field]) != show(now[field])]  # fmt: skip
    if not fields:
        return None
    return Difference(name, tuple(_change(field, was, now, amounts) for field in fields), amount=total)


def pattern(field: str) -> str:
    """A field with the positions in lists as ``*``: ``item.items.0.amount`` is ``item.items.*.amount``."""
    return ".".join("*" if step.isdecimal() else step for step in field.split("."))


def leaves(value: Any, at: str = "") -> dict[str, Any]:
    """Every value of an outcome by its path, in order; an amount of a document is one value."""
    if isinstance(value, Mapping) and value.keys() == {"minor", "currency"}:
        return {at: Money.of(value["minor"], value["currency"])}
    if isinstance(value, Mapping) and value:
        inner: Sequence[tuple[Any, Any]] = list(value.items())
    elif isinstance(value, (list, tuple)) and value:
        inner = list(enumerate(value))
    else:
        return {at: value}
    return {name: leaf for key, one in inner for name, leaf in leaves(one, f"{at}.{key}" if at else str(key)).items()}


def show(value: Any) -> str:
    """A value as it is compared and printed: text quoted, numbers exact."""
    if isinstance(value, Money):
        return str(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    return json.dumps(value, ensure_ascii=False, default=str)


def _change(field: str, was: Mapping[str, Any], now: Mapping[str, Any], amounts: Amounts) -> FieldChange:
    old = amounts.read(field, was[field]) if field in was else None
    new = amounts.read(field, now[field]) if field in now else None
    money = None
    if old is not None and new is not None and old.currency == new.currency:
        money = new - old
    elif new is not None and field not in was:
        money = new
    elif old is not None and field not in now:
        money = Money.zero(old.currency) - old
    return FieldChange(
        field,
        show(was[field]) if field in was else ABSENT,
        show(now[field]) if field in now else ABSENT,
        money,
    )


def _stops(one: Difference) -> str:
    if one.stopped and one.stops:
        return f"stopped with {one.stopped}, now with {one.stops}"
    return f"stops now: {one.stops}" if one.stops else f"stops no longer: {one.stopped}"


def _totals(held: Sequence[Difference]) -> list[Money]:
    sums: dict[str, Money] = {}
    for one in held:
        if one.amount is not None:
            unit = str(one.amount.currency)
            sums[unit] = sums.get(unit, Money.zero(unit)) + one.amount
    return [sums[unit] for unit in sorted(sums)]


def _signed(amount: Money) -> str:
    return f"+{amount}" if amount.minor > 0 else str(amount)


def _plain_money(amount: Money | None) -> dict[str, str] | None:
    return None if amount is None else {"amount": amount.text, "currency": str(amount.currency)}
