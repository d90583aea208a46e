"""Governed tables of a history: the release's own, with a lower limit of amounts or a fenced entity laid over them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tests.simulation.world import World

Item = Mapping[str, Any]
#: The entity that may be fenced, and the source account that sells for it. Histories play in region ``test``.
FENCED, FENCED_ACCOUNT, HOME = "DE01", "acct_de", "eu"
REGION, ELSEWHERE = "test", "elsewhere"
#: States of a posting that nobody has worked on: refused by its gate, waiting behind one that was, ended by a person.
UNTOUCHED: Final = frozenset({"REFUSED", "NEW", "HELD", "SUPERSEDED"})
_LONG_AGO: Final = date(2024, 1, 1)


@cache
def overlaid(limit: int, fenced: bool, package: str = "tieout") -> Any:
    """The tables of a history with these two settings, as the release in ``package`` holds tables."""
    tables, override = import_module(f"{package}.tables"), import_module(f"{package}.core.overrides").Override
    rows = []
    if limit:
        for key, entity in (("invoice:USD", "US01"), ("invoice:EUR", "DE01")):
            rows.append(override(f"limit {key}", "limits", key, {"value": limit}, _LONG_AGO, entity=entity))
    if fenced:
        rows.append(override("fence", "residency", FENCED, {"value": HOME, "fenced": True}, _LONG_AGO))
    return tables.load().overlaid(rows)


def above_limit(world: World, item: Item) -> bool:
    """Whether a posting needs a second person, by the limit that this history was given."""
    limit = world.setting.limit
    return bool(limit) and item["kind"] == "invoice" and abs(int(item.get("total", 0))) > limit


def waiting(world: World) -> set[str]:
    """Postings that wait for an approval, as a case with an owner."""
    return {
        item["key"] for item in world.postings()
        if item["state"] == "HELD" and item.get("code") == "above_limit" and above_limit(world, item)
        and "approved" not in item
        and item.get("case", {}).get("owner")
    }  # fmt: skip


def fenced(world: World) -> set[str]:
    """Postings that may not be worked on here: of a fenced entity, and those that carry another region."""
    return {
        item["key"] for item in world.postings()
        if item["region"] != REGION or (world.setting.fenced and item["entity"] == FENCED)
    }  # fmt: skip


def broken(world: World) -> list[str]:
    """Amounts that nobody approved (I10), and whatever crossed the border of a region (I17)."""
    found = []
    for item in world.postings():
        if item["state"] == "POSTED" and above_limit(world, item):
            lines = [line for line in world.lines(item) if line.get("note", {}).get("action") == "approve"]
            if not any(line["note"].get("asked") not in (None, line["by"]) for line in lines):
                found.append(f"I10 {item['key']} is above the limit and was booked without two people")
    return found + _crossed(world)


def _crossed(world: World) -> list[str]:
    found = [
        f"I17 {key.pk} carries region {item['region']}, this is {REGION}"
        for key, item in world.table.items.items()
        if item.get("region", REGION) != REGION and key not in world.aliens
    ]  # fmt: skip
    closed = fenced(world)
    shut = {item["ref"]: item["key"] for item in world.postings() if item["key"] in closed}
    for book in world.books.values():
        touched = {ref for _, ref, _ in (*book.calls, *book.looks)} | {one.ref for one in book.effects}
        found += [f"I17 {shut[ref]} crossed the border to {book.name}" for ref in sorted(touched & set(shut))]
    for item in world.postings():
        done = item["state"] not in UNTOUCHED or (item["state"] == "REFUSED" and item.get("code") != "wrong_region")
        if item["ref"] in shut and done:
            found.append(f"I17 {item['key']} is {item['state']} ({item.get('code')}), which may not be worked on here")
    return found
