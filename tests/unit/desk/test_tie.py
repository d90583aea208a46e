"""The tie-out: every delivery in one bucket, money beside it, and each way of not tying is told apart."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes import MemoryLedger
from tests.unit.desk.scene import Scene, event_file
from tieout.core import ledger
from tieout.core.keys import Key, event, posting_item
from tieout.core.verdicts import NeedsHuman
from tieout.work import tie
from tieout.work.book import Outcome
from tieout.work.tie import Booked, Entry

DAY = ["2026-11-20"]
REF = "TIE-AAAABBBBCCCCDDDDEEEEFFFF"


def counts(seen: tie.Tie) -> dict[str, int]:
    return {row.name: row.count for row in seen.rows if row.count}


def test_every_delivery_of_the_full_scene_is_in_one_bucket(books: Scene) -> None:
    seen = tie.tie(books.ledger, DAY)
    assert seen.balanced
    assert seen.received.count == sum(counts(seen).values())
    received = {str(one.currency): one.minor for one in seen.received.money}
    summed: dict[str, int] = {}
    for row in seen.rows:
        for one in row.money:
            summed[one.currency] = summed.get(one.currency, 0) + one.minor
    assert summed == received


def test_each_outcome_has_its_bucket() -> None:
    scene = Scene()
    scene.accept(scene.stripe("invoice.finalized"))
    assert counts(tie.tie(scene.ledger, DAY)) == {"posted": 1}
    scene.stripe("invoice.finalized", suffix="B")
    assert counts(tie.tie(scene.ledger, DAY)) == {"posted": 1, "open": 1}
    waiting = scene.stripe("invoice.finalized", suffix="C")
    scene.book(waiting, Outcome(ledger.SUPERSEDED))
    scene.book(scene.accept(scene.stripe("invoice.finalized", suffix="D"))["key"], Outcome(ledger.COMPENSATED))
    scene.move(scene.stripe("invoice.finalized", suffix="E"), ledger.REFUSED, NeedsHuman("no_route", kind="invoice"))
    scene.deliver("stripe", "acct_us", b"{")
    seen = tie.tie(scene.ledger, DAY)
    assert counts(seen) == {"posted": 1, "superseded": 1, "compensated": 1, "open": 3}
    assert seen.balanced


@settings(max_examples=10, deadline=None)
@given(times=st.integers(1, 30))
def test_an_event_delivered_often_is_one_event_and_the_rest_are_duplicates(times: int) -> None:
    scene = Scene()
    key = scene.stripe("invoice.finalized")
    scene.accept(key)
    item = scene.ledger.items[event("stripe", "acct_us", "evt_1LmaF6LCvLp8I7sdjB66BA3Q")]
    item["deliveries"] = times
    seen = tie.tie(scene.ledger, DAY, accepted=times)
    assert (seen.received.count, counts(seen)["posted"], counts(seen).get("duplicate", 0)) == (times, 1, times - 1)
    assert [one.minor for one in seen.received.money] == [108876 * times]
    assert seen.balanced


def test_a_second_event_about_a_booked_document_is_a_duplicate() -> None:
    scene = Scene()
    scene.accept(scene.stripe("invoice.finalized"))
    again = {**event_file("stripe", "invoice.finalized"), "id": "evt_again"}
    scene.deliver("stripe", "acct_us", json.dumps(again).encode())
    assert counts(tie.tie(scene.ledger, DAY)) == {"posted": 1, "duplicate": 1}


def test_a_posting_that_is_gone_is_a_difference_and_nothing_balances() -> None:
    scene = Scene()
    key = scene.stripe("invoice.finalized")
    del scene.ledger.items[posting_item(key)]
    seen = tie.tie(scene.ledger, DAY)
    assert not seen.balanced
    assert {one.kind for one in seen.differences} == {"missing", "count", "money"}


def test_a_posting_with_other_money_than_its_event_is_a_difference() -> None:
    scene = Scene()
    scene.ledger.items[posting_item(scene.stripe("invoice.finalized"))]["total"] = 1
    seen = tie.tie(scene.ledger, DAY)
    assert [one.kind for one in seen.differences] == ["money"]
    assert seen.differences[0].said == "1088.76 USD received, 0.01 USD accounted for"


def test_the_front_door_counting_more_than_the_ledger_is_a_difference(books: Scene) -> None:
    here = tie.tie(books.ledger, DAY).received.count
    assert not tie.tie(books.ledger, DAY, accepted=here + 1).balanced


def test_days_are_utc_days_the_last_one_being_today() -> None:
    scene = Scene()
    assert tie.last_days(scene.now, 3) == ["2026-11-18", "2026-11-19", "2026-11-20"]


# --- with the targets' books -------------------------------------------------------------------------------------
def posted(**changes: object) -> Booked:
    facts = {"key": "invoice/s:a:1/create/post/g0", "target": "netsuite:acme", "ref": REF, "kind": "invoice",
             "action": "create", "state": ledger.POSTED, "currency": "USD", "total": 100, **changes}  # fmt: skip
    return Booked(**facts)  # type: ignore[arg-type]


def entry(**changes: object) -> Entry:
    facts = {"target": "netsuite:acme", "ref": REF, "kind": "invoice", "currency": "USD", "total": 100, **changes}
    return Entry(**facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ours", "theirs", "kinds"),
    [
        ([posted()], [entry()], []),
        ([posted()], [], ["missing"]),
        ([], [entry()], ["extra"]),
        ([posted(state=ledger.REFUSED)], [entry()], ["extra"]),
        ([posted(state=ledger.SUPERSEDED)], [entry()], ["extra"]),
        ([posted()], [entry(), entry()], ["duplicate"]),
        ([posted()], [entry(total=99)], ["amount"]),
        ([posted()], [entry(currency="EUR")], ["currency"]),
        ([posted()], [entry(kind="credit_note")], ["kind"]),
        ([posted(state=ledger.IN_DOUBT)], [entry()], []),
        ([posted(state=ledger.IN_DOUBT)], [], []),
        ([posted(state=ledger.IN_DOUBT)], [entry(), entry()], ["duplicate"]),
        ([posted(state=ledger.COMPENSATED), posted(action="undo")], [], []),
        ([posted(state=ledger.COMPENSATED)], [entry()], []),
        ([posted(action="void", total=100)], [entry(kind="credit_note", total=-100)], []),
        ([posted(kind="status", currency="USD", total=5)], [entry(kind="status", currency="", total=0)], []),
        ([posted(kind="status"), posted(kind="status", key="other")], [entry(kind="status", currency="", total=0)], []),
        ([], [entry(ref="SO-17")], []),
        ([], [entry(ref="")], []),
    ],
)
def test_each_way_of_differing_from_a_book_is_told_apart(
    ours: list[Booked], theirs: list[Entry], kinds: list[str]
) -> None:
    assert [one.kind for one in tie.compare(ours, theirs)] == kinds


@settings(deadline=None)
@given(st.data())
def test_any_single_change_to_a_matching_book_is_found(data: st.DataObject) -> None:
    numbers = data.draw(st.lists(st.integers(1, 10**12), min_size=1, max_size=20))
    ours = [posted(key=f"k{at}", ref=f"{REF}{at:04}", total=minor) for at, minor in enumerate(numbers)]
    theirs = [entry(ref=one.ref, total=one.total) for one in ours]
    assert tie.compare(ours, theirs) == []
    at = data.draw(st.integers(0, len(theirs) - 1))
    change = data.draw(st.sampled_from(["drop", "twice", "amount", "currency"]))
    if change == "drop":
        theirs.pop(at)
    elif change == "twice":
        theirs.append(theirs[at])
    elif change == "amount":
        theirs[at] = entry(ref=theirs[at].ref, total=theirs[at].total + 1)
    else:
        theirs[at] = entry(ref=theirs[at].ref, total=theirs[at].total, currency="EUR")
    found = tie.compare(ours, theirs)
    assert [one.kind for one in found] == [{"drop": "missing", "twice": "duplicate"}.get(change, change)]


def test_postings_are_gathered_from_what_is_final_and_what_is_open(books: Scene) -> None:
    found = tie.booked(books.ledger, DAY)
    here = {item["key"] for item in books.ledger.items.values() if item.get("what") == "posting"}
    assert {one.key for one in found} == here
    assert len(found) == len(here)


def test_an_empty_ledger_ties_out() -> None:
    assert tie.tie(MemoryLedger(), DAY).balanced
    assert tie.tie(MemoryLedger(), DAY).received.count == 0


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("xero:acme", {"create": ledger.COMPENSATED}),  # voided where it stands: no document beside the original
        ("quickbooks:acme", {"create": ledger.COMPENSATED}),
        ("odoo:acme", {"create": ledger.POSTED, "void": ledger.POSTED}),  # a document of its own takes it back
        ("avalara:acme", {"create": ledger.POSTED, "void": ledger.POSTED}),  # in place, under the same reference
    ],
)
def test_a_void_is_a_document_of_its_own_only_where_its_target_makes_one(target: str, shown: dict[str, str]) -> None:
    scene = Scene()
    item = scene.accept(scene.stripe("invoice.finalized"))
    del scene.ledger.items[posting_item(item["key"])]
    for action in ("create", "void"):
        key = f"{item['key']}/{action}"
        row = {**item, "pk": f"P#{key}", "key": key, "target": target, "action": action}
        scene.ledger.items[Key(row["pk"], row["sk"])] = row | ({} if action == "void" else {"taken_back": "void"})
    found = [one for one in tie.booked(scene.ledger, DAY) if one.kind == "invoice"]
    assert {one.action: one.state for one in found} == shown
