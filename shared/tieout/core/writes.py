"""What the ledger is asked to write, as values: one vocabulary for the real table and for its models.

A list of writes is all-or-nothing. ``apply`` says what a write makes of an item; the in-memory ledger and the code
that keeps a batch's view of the ledger current both use it, and a contract test holds DynamoDB to the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tieout.core.keys import Key

Item = dict[str, Any]


@dataclass(frozen=True)
class Put:
    """Write a new item; refused if one with its key exists."""

    item: Item

    @property
    def key(self) -> Key:
        """Primary key of the item."""
        return Key(self.item["pk"], self.item["sk"])


@dataclass(frozen=True)
class Change:
    """Change an item if it still looks as ``when`` says.

    ``when`` compares attributes for equality; ``None`` means the attribute (or the item) is absent; ``name[0]``
    is the first element of a list. ``below`` holds where the attribute is absent or less. Without ``upsert`` the item
    must exist. Never arithmetic on money: ``add`` is for counters only.
    """

    key: Key
    set: Mapping[str, Any] = field(default_factory=dict)
    remove: Sequence[str] = ()
    add: Mapping[str, int] = field(default_factory=dict)
    append: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    when: Mapping[str, Any] = field(default_factory=dict)
    below: Mapping[str, Any] = field(default_factory=dict)
    upsert: bool = False


@dataclass(frozen=True)
class Check:
    """Nothing is written; the whole list is refused unless the item looks as ``when`` says."""

    key: Key
    when: Mapping[str, Any]


Write = Put | Change | Check


class Refused(Exception):
    """A condition did not hold; nothing was written. ``seen[i]`` is the item behind write ``i`` as it was found."""

    def __init__(self, failed: Sequence[bool], seen: Sequence[Item | None]) -> None:
        super().__init__(f"{sum(failed)} of {len(failed)} conditions did not hold")
        self.failed = tuple(failed)
        self.seen = tuple(seen)


def value_at(item: Mapping[str, Any], path: str) -> Any:
    """The value at ``name`` or ``name[0]``; ``None`` where there is none."""
    if path.endswith("[0]"):
        values = item.get(path[:-3]) or [None]
        return values[0]
    return item.get(path)


def holds(write: Write, item: Item | None) -> bool:
    """Whether the condition of ``write`` holds on ``item`` as it is now."""
    if isinstance(write, Put):
        return item is None
    if item is None:
        may_create = isinstance(write, Check) or write.upsert
        return may_create and all(want is None for want in write.when.values())
    if any(value_at(item, path) != want for path, want in write.when.items()):
        return False
    below = write.below if isinstance(write, Change) else {}
    return all(item.get(name) is None or item[name] < limit for name, limit in below.items())


def apply(write: Write, item: Item | None) -> Item | None:
    """What ``write`` makes of ``item``, its condition being held."""
    if isinstance(write, Put):
        return dict(write.item)
    if isinstance(write, Check):
        return item
    made: Item = dict(item) if item else {"pk": write.key.pk, "sk": write.key.sk}
    made.update(write.set)
    for name in write.remove:
        made.pop(name, None)
    for name, step in write.add.items():
        made[name] = made.get(name, 0) + step
    for name, values in write.append.items():
        made[name] = [*made.get(name, []), *values]
    return made


def keys(writes: Iterable[Write]) -> list[Key]:
    """The items that the writes touch."""
    return [write.key for write in writes]
