"""Revenue of a contract: when each promise's share of the price is earned, through any chain of modifications.

A `Plan` is made from a transaction price and the performance obligations (`Promise`), shared by stand-alone price
(ASC 606-10-32-31, IFRS 15.76). Each share is a `Segment`: an amount earned over a term by a method. What is earned
up to a day is the amount times the progress, rounded once; a month earns the difference of two such values, so the
months always sum to the amount, to the minor unit.

`treatment` chooses how a modification is accounted for from declared facts (ASC 606-10-25-12 and -13, IFRS 15.20 and
.21); `modify` carries it out and never touches what was earned before the modification's day:

* *separate contract*: what is added stands by itself at its own price; the rest is untouched;
* *termination and new*: what is not yet earned and the change are shared anew over what is left and what is added;
* *prospective*: the same without a new contract, where nothing is added (a new price or term of a series);
* *cumulative catch-up*: the promise is measured as if it had always had its new price; the difference is one entry;
* *mixed*: catch-up for the promises that are named as not distinct, termination and new for the others.

Amounts are exact; the terms' fractions are `Fraction`. Everything here is pure.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from math import lcm
from typing import Any, Final, Literal

from tieout.core import money
from tieout.core.clocks import PostingDate, ServiceDate
from tieout.core.documents import JournalLine, Proof, RevenueEntry, RevenueSchedule, prove
from tieout.core.money import Currency, Money
from tieout.core.verdicts import NeedsHuman

LONGEST: Final = 36_600
"""Days that a term may have (a hundred years): a longer one is a mistake at the source."""
EARLIEST: Final = date(1900, 1, 1)
_DAY: Final = timedelta(days=1)


class Method(Enum):
    """How progress is measured. The values are those of the documents."""

    BY_DAY = "by_day"
    BY_MONTH = "by_month"
    USAGE = "usage"
    POINT_IN_TIME = "point_in_time"


class Treatment(Enum):
    """How a modification is accounted for."""

    SEPARATE_CONTRACT = "separate_contract"
    TERMINATION_AND_NEW = "termination_and_new"
    PROSPECTIVE = "prospective"
    CUMULATIVE_CATCH_UP = "cumulative_catch_up"
    MIXED = "mixed"


@dataclass(frozen=True, slots=True)
class Promise:
    """A performance obligation. `units` are the units expected over the term, for usage. ``bad_term`` if unsound."""

    name: str
    standalone: Money
    first: date
    last: date
    method: Method = Method.BY_DAY
    units: Decimal | None = None

    def __post_init__(self) -> None:
        usage = self.method is Method.USAGE
        sane = self.first >= EARLIEST and 0 <= (self.last - self.first).days <= LONGEST and self.last.year < 9000
        if not sane or self.standalone.minor < 0:
            raise NeedsHuman("bad_term", f"{self.first} to {self.last}", promise=self.name)
        if usage != (self.units is not None) or (self.units is not None and self.units <= 0):
            raise NeedsHuman("bad_term", "units go with usage and are more than nothing", promise=self.name)


@dataclass(frozen=True, slots=True)
class Segment:
    """An amount earned over a term, of which the days from `since` to `until` are in force.

    `weight` is the stand-alone price of the term in minor units; `contract` counts the contracts of the chain.
    """

    promise: str
    method: Method
    amount: Money
    first: date
    last: date
    since: date
    until: date
    weight: Fraction
    units: Decimal | None = None
    contract: int = 0

    def progress(self, on: date, usage: Iterable[tuple[date, Decimal]] = ()) -> Fraction:
        """How much of the term is done at the end of a day, from 0 to 1."""
        if on >= self.last:
            return Fraction(1)
        if on < self.first or self.method is Method.POINT_IN_TIME:
            return Fraction(0)
        if self.method is Method.BY_DAY:
            return Fraction((on - self.first).days + 1, (self.last - self.first).days + 1)
        if self.method is Method.BY_MONTH:
            return months(self.first, on) / months(self.first, self.last)
        done = sum((units for day, units in usage if self.first <= day <= on), Decimal(0))
        return max(Fraction(0), min(Fraction(1), Fraction(done) / Fraction(self.units or 1)))

    def earned(self, on: date, usage: Iterable[tuple[date, Decimal]] = ()) -> int:
        """Minor units earned from `since` to a day, and no further than `until`."""
        on = min(on, self.until)
        return self.at(on, usage) - self.at(self.since - _DAY, usage) if on >= self.since else 0

    def at(self, on: date, usage: Iterable[tuple[date, Decimal]] = ()) -> int:
        """Minor units earned from the first day of the term, rounded once, a half away from zero."""
        exact = abs(self.amount.minor) * self.progress(on, usage)
        whole = (2 * exact.numerator + exact.denominator) // (2 * exact.denominator)
        return whole if self.amount.minor >= 0 else -whole


def months(first: date, last: date) -> Fraction:
    """Calendar months from one day to another, inclusive; a part of a month counts by its days."""
    if (first.year, first.month) == (last.year, last.month):
        return Fraction(last.day - first.day + 1, monthrange(first.year, first.month)[1])
    head = Fraction(monthrange(first.year, first.month)[1] - first.day + 1, monthrange(first.year, first.month)[1])
    tail = Fraction(last.day, monthrange(last.year, last.month)[1])
    return head + tail + (last.year - first.year) * 12 + last.month - first.month - 1


@dataclass(frozen=True, slots=True)
class Entry:
    """What is booked on a day: earned by the schedule, or a catch-up that a modification makes."""

    promise: str
    day: date
    amount: Money
    why: Literal["earned", "catch_up"] = "earned"

    @property
    def period(self) -> str:
        """The month of the day, YYYY-MM."""
        return f"{self.day.year}-{self.day.month:02d}"


@dataclass(frozen=True, slots=True)
class Plan:
    """A contract's revenue: price, promises, segments, catch-ups and usage. Its entries sum to its price."""

    price: Money
    promises: Mapping[str, Promise]
    segments: tuple[Segment, ...]
    catch_ups: tuple[Entry, ...] = ()
    usage: tuple[tuple[str, date, Decimal], ...] = ()
    revision: int = 0
    contract: int = 0
    changed_on: date = date.min

    def used(self, name: str) -> list[tuple[date, Decimal]]:
        """What was used of one promise, by day."""
        return [(day, units) for promise, day, units in self.usage if promise == name]

    def earned(self, name: str, on: date) -> Money:
        """What is recognised of a promise up to a day; a catch-up counts as soon as it is made."""
        used = self.used(name)
        minor = sum(one.earned(on, used) for one in self.segments if one.promise == name)
        return Money(
            minor + sum(one.amount.minor for one in self.catch_ups if one.promise == name), self.price.currency
        )

    def allocated(self, name: str) -> Money:
        """The share of the price that a promise has: what is earned of it in the end."""
        return self.earned(name, date.max)

    def current(self, name: str) -> Segment:
        """The segment by which a promise is earned now."""
        return next(one for one in reversed(self.segments) if one.promise == name)

    def entries(self) -> list[Entry]:
        """What each month earns of each promise, and the catch-ups, by day."""
        found = list(self.catch_ups)
        for one in self.segments:
            used, before = self.used(one.promise), 0
            for day in _month_ends(max(one.since, one.first), one.until):
                done = one.earned(day, used)
                if done != before:
                    found.append(Entry(one.promise, day, Money(done - before, self.price.currency)))
                before = done
        return sorted(found, key=lambda entry: (entry.day, entry.promise, entry.why))

    def proof(self) -> Proof:
        """The stored proof that the parts sum to the transaction price."""
        unit = self.price.currency
        shares = money.total((self.allocated(name) for name in self.promises), unit)
        entries = money.total((entry.amount for entry in self.entries()), unit)
        said = "sum of shares = transaction price", "sum of entries = transaction price"
        return prove([(said[0], shares, self.price), (said[1], entries, self.price)], unit, "revenue_schedule")


def _month_ends(first: date, last: date) -> Iterator[date]:
    """The last day of each month from `first` to `last`, and `last` itself."""
    day = first
    while day <= last:
        end = min(last, day.replace(day=monthrange(day.year, day.month)[1]))
        yield end
        day = end + _DAY


def allocate(price: Money, promises: Sequence[Promise]) -> tuple[Money, ...]:
    """Shares of a price in proportion to stand-alone prices, summing to it exactly; ``bad_term`` when all are zero."""
    if not any(promise.standalone for promise in promises):
        raise NeedsHuman("bad_term", "no stand-alone price", promise=", ".join(one.name for one in promises))
    return price.allocate([promise.standalone.minor for promise in promises])


def make(price: Money, promises: Sequence[Promise]) -> Plan:
    """The plan of a new contract."""
    shares = allocate(price, promises)
    named = {promise.name: promise for promise in promises}
    if len(named) != len(promises):
        raise NeedsHuman("bad_term", "two promises of one name", promise=", ".join(named))
    return Plan(price, named, tuple(_segment(one, share) for one, share in zip(promises, shares, strict=True)))


def _segment(promise: Promise, share: Money, contract: int = 0) -> Segment:
    return Segment(
        promise=promise.name,
        method=promise.method,
        amount=share,
        first=promise.first,
        last=promise.last,
        since=promise.first,
        until=promise.last,
        weight=Fraction(promise.standalone.minor),
        units=promise.units,
        contract=contract,
    )


def use(plan: Plan, name: str, on: date, units: Decimal) -> Plan:
    """The plan with usage of a promise.

    Usage of a day before the last modification counts on the modification's day: what was earned until then is closed.
    """
    if plan.promises[name].method is not Method.USAGE:
        raise NeedsHuman("bad_term", "no usage", promise=name)
    return replace(plan, usage=(*plan.usage, (name, max(on, plan.changed_on), units)))


@dataclass(frozen=True, slots=True)
class Facts:
    """What people declare about a modification; `treatment` follows from it and from nothing else."""

    adds_distinct: bool = False
    at_standalone_price: bool = False
    remaining_distinct: Literal["all", "some", "none"] = "all"


@dataclass(frozen=True, slots=True)
class Change:
    """A modification: from which day, by how much the price changes, what is added, and which promises end when.

    `ends` gives promises another last day (a promise that is dropped ends on the day before); an extension by
    distinct service is an added promise. `not_distinct` names, for a mixed treatment, what is caught up.
    """

    on: date
    price: Money
    added: tuple[Promise, ...] = ()
    ends: Mapping[str, date] = field(default_factory=dict)
    not_distinct: frozenset[str] = frozenset()


def treatment(facts: Facts) -> Treatment:
    """The treatment that follows from the facts (ASC 606-10-25-12, -13; IFRS 15.20, .21)."""
    if facts.adds_distinct and facts.at_standalone_price:
        return Treatment.SEPARATE_CONTRACT
    if facts.remaining_distinct == "none":
        return Treatment.CUMULATIVE_CATCH_UP
    if facts.remaining_distinct == "some":
        return Treatment.MIXED
    return Treatment.TERMINATION_AND_NEW if facts.adds_distinct else Treatment.PROSPECTIVE


def modify(plan: Plan, change: Change, facts: Facts, open_day: date | None = None) -> Plan:
    """The plan after a modification. `open_day` dates a catch-up into the open period; by default the change's day.

    ``modification_out_of_order`` when it takes effect before the last one; ``bad_term`` when what it names is unsound.
    """
    if change.on < EARLIEST:
        raise NeedsHuman("bad_term", str(change.on), promise="the modification")
    if change.on < plan.changed_on:
        raise NeedsHuman("modification_out_of_order", str(change.on), on=change.on, last=plan.changed_on)
    chosen = treatment(facts)
    if any(one.last < change.on for one in change.added):
        raise NeedsHuman("bad_term", "added and over already", promise=", ".join(one.name for one in change.added))
    # What is added is earned from the change on: the past is closed.
    change = replace(change, added=tuple(replace(one, first=max(one.first, change.on)) for one in change.added))
    if plan.promises.keys() & {one.name for one in change.added} or change.ends.keys() - plan.promises.keys():
        raise NeedsHuman("bad_term", "promises by unknown or double names", promise=", ".join(change.ends))
    if chosen is Treatment.SEPARATE_CONTRACT:
        made = _separate(plan, change)
    else:
        caught = {
            Treatment.CUMULATIVE_CATCH_UP: frozenset(plan.promises),
            Treatment.MIXED: change.not_distinct & plan.promises.keys(),
        }.get(chosen, frozenset())
        made = _share_anew(plan, change, caught, open_day or change.on, chosen)
    return replace(
        made, price=plan.price + change.price, revision=plan.revision + 1, changed_on=change.on,
        promises={**plan.promises, **{one.name: one for one in change.added}, **made.promises},
    )  # fmt: skip


def _separate(plan: Plan, change: Change) -> Plan:
    if not change.added:
        raise NeedsHuman("bad_term", "a separate contract adds something", promise="none")
    contract = plan.contract + 1
    shares = allocate(change.price, change.added)
    new = tuple(_segment(one, share, contract) for one, share in zip(change.added, shares, strict=True))
    return replace(plan, segments=(*plan.segments, *new), contract=contract)


def _share_anew(plan: Plan, change: Change, caught: frozenset[str], open_day: date, chosen: Treatment) -> Plan:
    """Catch up the promises in `caught`, share what is left of the others anew over them and what is added."""
    unit, eve = plan.price.currency, change.on - _DAY
    contract = plan.contract + (chosen in (Treatment.TERMINATION_AND_NEW, Treatment.MIXED))
    promises = {
        name: replace(one, last=max(one.first, change.ends[name])) if name in change.ends else one
        for name, one in plan.promises.items()
    }
    left = {
        name: plan.current(name).weight * (1 - plan.current(name).progress(eve, plan.used(name)))
        for name in plan.promises
        if name not in caught and change.ends.get(name, promises[name].last) >= change.on
    }
    left = {name: weight for name, weight in left.items() if weight > 0}
    new_weights = [*left.values(), *(Fraction(one.standalone.minor) for one in change.added)]
    old_weight = sum(promises[name].standalone.minor for name in caught)
    to_caught, pool = _split(change.price, old_weight if caught else 0, sum(new_weights, Fraction(0)))
    segments, catch_ups = [], list(plan.catch_ups)
    for name, share in zip(sorted(caught), _shares(to_caught, sorted(caught), plan), strict=True):
        amount, one = plan.allocated(name) + share, promises[name]
        before = plan.earned(name, eve)
        new = replace(_segment(one, amount, plan.current(name).contract), since=change.on)
        segments.append(new)
        rest = Money(new.at(eve, plan.used(name)), unit) - before
        if rest:
            catch_ups.append(Entry(name, open_day, rest, "catch_up"))
    others = [name for name in plan.promises if name not in caught]
    pool += money.total((plan.allocated(name) - plan.earned(name, eve) for name in others), unit)
    if sum(new_weights, Fraction(0)) > 0:
        shares = _by_fraction(pool, new_weights)
        for (name, weight), share in zip(left.items(), shares, strict=False):
            one = replace(promises[name], first=max(change.on, promises[name].first))
            units = one.units
            if units is not None:  # the units that are still to come
                units = max(units - sum(used for _, used in plan.used(name)), Decimal(1))
            segments.append(replace(_segment(replace(one, units=units), share, contract), weight=weight))
        for one, share in zip(change.added, shares[len(left) :], strict=True):
            segments.append(_segment(one, share, contract))
    else:  # nothing is left to earn it with: it is earned at once
        segments += [_segment(one, Money.zero(unit), contract) for one in change.added]
        for name, share in zip(plan.promises, _shares(pool, list(plan.promises), plan), strict=True):
            if share:
                catch_ups.append(Entry(name, open_day, share, "catch_up"))
    closed = tuple(replace(one, until=min(one.until, eve)) for one in plan.segments)
    return replace(
        plan, promises=promises, segments=(*closed, *segments), catch_ups=tuple(catch_ups), contract=contract
    )


def _split(price: Money, old: int, new: Fraction) -> tuple[Money, Money]:
    """The change of price between what is caught up and what is shared anew, by stand-alone price."""
    if old == 0 and new == 0:
        return Money.zero(price.currency), price
    first, second = _by_fraction(price, [Fraction(old), new])
    return first, second


def _shares(amount: Money, names: Sequence[str], plan: Plan) -> tuple[Money, ...]:
    """Shares of an amount over promises by stand-alone price; evenly when none has one."""
    if not names:
        return ()
    weights = [Fraction(plan.promises[name].standalone.minor) for name in names]
    return _by_fraction(amount, weights if any(weights) else [Fraction(1)] * len(names))


def _by_fraction(amount: Money, weights: Sequence[Fraction]) -> tuple[Money, ...]:
    """`Money.allocate` by fractions, brought to one denominator first."""
    common = lcm(*(weight.denominator for weight in weights))
    return amount.allocate([int(weight * common) for weight in weights])


# -- as documents -----------------------------------------------------------------------------------------------------


def schedules(plan: Plan, contract_id: str, **origin: Any) -> list[RevenueSchedule]:
    """The plan as one document a promise; `origin` fills source, account, entity, version and event instant."""
    found: dict[str, list[Entry]] = {name: [] for name in plan.promises}
    for entry in plan.entries():
        found[entry.promise].append(entry)
    return [
        RevenueSchedule(
            **origin,
            source_id=f"{contract_id}/{name}",
            contract_id=contract_id,
            obligation_id=name,
            revision=plan.revision,
            currency=Currency(plan.price.currency),
            method=promise.method.value,
            first_day=ServiceDate(promise.first),
            last_day=ServiceDate(promise.last),
            amount=plan.allocated(name),
            entries=tuple(
                RevenueEntry(period=one.period, posting_date=PostingDate(one.day), amount=one.amount, why=one.why)
                for one in found[name]
            ),
        )
        for name, promise in plan.promises.items()
    ]


def journal_lines(entry: Entry, liability: str, revenue: str) -> tuple[JournalLine, JournalLine]:
    """The two lines that book an entry: contract liability to revenue, or back when it takes away."""
    debit, credit = (liability, revenue) if entry.amount.minor >= 0 else (revenue, liability)
    return (
        JournalLine(account=debit, side="debit", amount=abs(entry.amount), text=f"{entry.promise} {entry.period}"),
        JournalLine(account=credit, side="credit", amount=abs(entry.amount), text=f"{entry.promise} {entry.period}"),
    )
