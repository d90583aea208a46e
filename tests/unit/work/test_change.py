"""Changes of tables: proposed by one, approved by a second, then effective; nothing happens by one person alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from tests.fakes import MemoryLedger, World
from tieout import tables
from tieout.core import keys
from tieout.core.verdicts import NotYet
from tieout.core.writes import Change, Item
from tieout.work import change, render
from tieout.work.change import Moved, NotAllowed, Served, Wish, approve, propose, refuse, served
from tieout.work.views import BadQuestion, NotThere

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
FIRST = date(2026, 12, 1)
FRENCH = Wish("tax_codes", "FR-VAT-20", {"value": "V20"}, FIRST, entity="DE01", target="legacy",
              why="Acme GmbH has registered in France")  # fmt: skip


@pytest.fixture
def books() -> MemoryLedger:
    return MemoryLedger()


def french(books: MemoryLedger, on: date = FIRST) -> object:
    return served(books).view(on, entity="DE01", target="legacy").value("tax_codes", "FR-VAT-20")


def test_a_change_is_effective_from_its_day_once_a_second_person_approves_it(books: MemoryLedger) -> None:
    item = propose(books, FRENCH, "anna", NOW)
    assert (item["state"], item["before"], item["cells"]) == (change.PROPOSED, {}, {"value": "V20"})
    assert french(books) is None, "a proposal changes nothing"
    done = approve(books, item["change"], "ben", NOW)
    assert (done["state"], done["proposer"], done["approver"]) == (change.APPROVED, "anna", "ben")
    assert french(books) == "V20"
    assert french(books, FIRST - timedelta(days=1)) is None


def test_who_proposed_a_change_cannot_approve_it(books: MemoryLedger) -> None:
    item = propose(books, FRENCH, "anna", NOW)
    with pytest.raises(NotAllowed):
        approve(books, item["change"], "anna", NOW)
    assert french(books) is None


def test_what_a_posting_records_names_the_changes(books: MemoryLedger) -> None:
    approve(books, propose(books, FRENCH, "anna", NOW)["change"], "ben", NOW)
    release, now = tables.load(), served(books)
    assert now.tables["tax_codes"].version.startswith(release.tables["tax_codes"].version + "+")
    assert now.version.startswith(release.version + "+")
    assert now.tables["items"].version == release.tables["items"].version


def test_a_change_shows_before_and_after_and_keeps_the_cells_it_does_not_name(books: MemoryLedger) -> None:
    wish = Wish("terms", "NET30", {"days": "31"}, FIRST, target="netsuite", why="agreed with all customers")
    item = propose(books, wish, "anna", NOW)
    assert item["before"] == {"days": "30", "rule": "days_after", "value": "2"}
    assert item["cells"] == {"days": "31", "rule": "days_after", "value": "2"}


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        (replace(FRENCH, table="tax_code"), "there is no table 'tax_code'; did you mean 'tax_codes'?"),
        (replace(FRENCH, table="routes"), "routes changes with a release only"),
        (replace(FRENCH, table="entities"), "entities changes with a release only"),
        (replace(FRENCH, cells={"vaule": "V20"}), "no column 'vaule'; did you mean 'value'?"),
        (replace(FRENCH, cells={}), "there is no row for 'FR-VAT-20' on 2026-12-01 yet, so say value too"),
        (replace(FRENCH, why="so"), "say why"),
        (replace(FRENCH, key=""), "a change needs a key"),
        (replace(FRENCH, last=FIRST - timedelta(days=1)), "cannot end before it begins"),
        (replace(FRENCH, entity="FR01"), "no entity 'FR01'"),
        (replace(FRENCH, key="DE-VAT-19", cells={"value": "V19"}), "nothing would change"),
        (Wish("rates", "EUR/USD", {"value": "-1"}, FIRST, why="a slip of the pen"), "a rate is more than nothing"),
        (Wish("terms", "NET30", {"days": "many"}, FIRST, target="netsuite", why="whatever it is"), "'days' is whole"),
    ],
)  # fmt: skip
def test_a_change_that_cannot_be_is_refused_at_once(books: MemoryLedger, wish: Wish, told: str) -> None:
    if wish.table == "rates":
        wish = replace(wish, cells={**wish.cells, "source": "treasury"})
    with pytest.raises(BadQuestion) as refused:
        propose(books, wish, "anna", NOW)
    assert told in str(refused.value)
    assert books.items == {}


def test_two_proposals_for_one_row_cannot_both_be_approved(books: MemoryLedger) -> None:
    one = propose(books, FRENCH, "anna", NOW)
    other = propose(books, replace(FRENCH, cells={"value": "V21"}), "anna", NOW)
    approve(books, one["change"], "ben", NOW)
    with pytest.raises(Moved, match="another one by now"):
        approve(books, other["change"], "ben", NOW)
    assert french(books) == "V20"


def test_a_decision_is_made_once(books: MemoryLedger) -> None:
    item = propose(books, FRENCH, "anna", NOW)
    refuse(books, item["change"], "ben", "not before the registration is confirmed", NOW)
    with pytest.raises(Moved, match="decided already: refused by ben"):
        approve(books, item["change"], "cleo", NOW)
    with pytest.raises(NotThere):
        approve(books, "tax_codes.nothing", "ben", NOW)
    assert french(books) is None


def test_an_approval_at_the_same_moment_is_told_to_look_again(
    books: MemoryLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = propose(books, FRENCH, "anna", NOW)
    other = propose(books, replace(FRENCH, key="FR-VAT-10"), "anna", NOW)
    write = books.write

    def between(writes: object) -> None:
        monkeypatch.setattr(books, "write", write)
        approve(books, other["change"], "cleo", NOW)
        write(writes)  # type: ignore[arg-type]

    monkeypatch.setattr(books, "write", between)
    with pytest.raises(Moved, match="same moment"):
        approve(books, one["change"], "ben", NOW)
    assert french(books) is None
    approve(books, one["change"], "ben", NOW)
    assert french(books) == "V20"


def test_changes_are_listed_the_open_ones_first(books: MemoryLedger) -> None:
    one = propose(books, FRENCH, "anna", NOW)
    two = propose(books, replace(FRENCH, key="FR-VAT-10"), "anna", NOW + timedelta(seconds=1))
    approve(books, one["change"], "ben", NOW + timedelta(seconds=2))
    assert [item["change"] for item in change.changes(books)] == [two["change"], one["change"]]
    assert change.changes(books, "items") == []
    assert {"pk", "sk"} & change.plain(change.changes(books))[0].keys() == set()


def test_an_environment_reads_once_a_minute_and_one_item_when_nothing_is_new(books: MemoryLedger) -> None:
    world = World()
    world.ledger = books
    serve = Served(books, lambda: world.time)
    for _ in range(50):
        serve()
    assert books.calls.count("read") == 1
    first = serve()
    world.later(seconds=61)
    assert serve() is first
    assert books.calls.count("read") == 2
    approve(books, propose(books, FRENCH, "anna", NOW)["change"], "ben", NOW)
    assert serve().tables["tax_codes"].version == first.tables["tax_codes"].version
    world.later(seconds=61)
    assert serve().tables["tax_codes"].version != first.tables["tax_codes"].version


def break_it(item: Item) -> Change:
    """As if a release had taken the column away."""
    return Change(keys.Key(item["pk"], item["sk"]), set={"cells": {"gone": "V20"}})


def test_a_change_that_no_longer_fits_holds_what_would_be_posted(books: MemoryLedger) -> None:
    item = propose(books, FRENCH, "anna", NOW)
    approve(books, item["change"], "ben", NOW)
    books.write([break_it(item)])
    ports = replace(World().ports(), tables=Served(books, lambda: NOW))
    with pytest.raises(NotYet) as held:
        render.tables_now(ports)
    assert held.value.code == "table_change_unusable"
    assert "no column 'gone'" in held.value.facts["what"]


def test_without_changes_the_release_is_served(books: MemoryLedger) -> None:
    assert served(books) is tables.load()
    assert render.tables_now(World().ports()) is tables.load()


def test_a_held_value_goes_on_once_its_row_is_approved(books: MemoryLedger) -> None:
    ports = replace(World().ports(), tables=lambda: served(books))
    look: Callable[[], object] = lambda: (  # noqa: E731
        render.tables_now(ports).view(FIRST, entity="DE01", target="legacy").value("tax_codes", "FR-VAT-20")
    )
    assert look() is None
    approve(books, propose(books, FRENCH, "anna", NOW)["change"], "ben", NOW)
    assert look() == "V20"
