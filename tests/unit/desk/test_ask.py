"""What people see of the books: counts, money, sentences, timelines, and who may not be added to whom."""

from __future__ import annotations

import copy
import json
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.desk.conftest import Projected
from tests.unit.desk.scene import NOW, Scene
from tieout.core import ledger
from tieout.core.keys import Key, posting_item
from tieout.core.money import Money
from tieout.work import ask
from tieout.work.raw import raw
from tieout.work.views import BadQuestion, Filter, Line, NotThere, plain


@pytest.fixture
def rows(books: Scene) -> Projected:
    return Projected(books.ledger.items)


def by_state(scene: Scene, state: str, kind: str = "invoice") -> str:
    return next(
        str(item["key"])
        for item in scene.ledger.items.values()
        if item.get("what") == "posting" and item["state"] == state and item["kind"] == kind
    )


# --- overview ----------------------------------------------------------------------------------------------------
def test_the_overview_counts_each_posting_once_and_money_by_currency(rows: Projected, books: Scene) -> None:
    seen = ask.overview(rows, NOW)
    postings = [item for item in books.ledger.items.values() if item.get("what") == "posting"]
    assert sum(one.count for one in seen.states.values()) == len(postings)
    assert {one.count for row in seen.board for one in row.cells.values() if row.currency == "JPY"} == {0, 1}
    yen = next(row for row in seen.board if row.currency == "JPY").cells["pending"].money
    assert [str(one) for one in yen] == ["108876 JPY"]


def test_a_status_posting_counts_but_its_money_is_not_its_own(rows: Projected, books: Scene) -> None:
    """The status of an invoice carries the invoice's total; adding it would count the money twice."""
    money = {str(one.currency): one.minor for one in ask.overview(rows, NOW).states["accepted"].money}
    own = [i for i in books.ledger.items.values() if i.get("state") == ledger.POSTED and i["kind"] != "status"]
    assert money == {"USD": sum(item["total"] for item in own)}
    assert any(
        i["kind"] == "status" and i["state"] == ledger.POSTED for i in books.ledger.items.values() if "kind" in i
    )


def test_what_is_late_is_open_and_past_its_service_level(rows: Projected) -> None:
    seen = ask.overview(rows, NOW)
    assert seen.late_count == 10
    assert all(line.open and line.deadline and line.deadline < NOW for line in seen.late)
    assert ask.overview(rows, NOW - timedelta(hours=2)).late_count == 0


def test_what_became_final_before_the_period_is_left_out_and_what_is_open_never_is(rows: Projected) -> None:
    later = ask.overview(rows, NOW + timedelta(days=3), days=1)
    assert later.states["accepted"].count == 0
    assert later.states["rejected"].count == 2
    assert later.deliveries == 0


@pytest.mark.parametrize("days", [0, 32, -1])
def test_a_period_out_of_bounds_is_refused(rows: Projected, days: int) -> None:
    with pytest.raises(BadQuestion):
        ask.overview(rows, NOW, days)


# --- lists -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("state", "count"),
    [("held", 1), ("HELD", 1), ("IN_DOUBT", 1), ("rejected", 2), ("SENDING", 1), ("case", 3), ("superseded", 0)],
)
def test_postings_are_narrowed_by_state_by_what_is_shown_and_by_case(rows: Projected, state: str, count: int) -> None:
    assert len(ask.postings(rows, NOW, Filter(state=state)).lines) == count


def test_filters_narrow_together(rows: Projected) -> None:
    found = ask.postings(rows, NOW, Filter(entity="DE01", kind="invoice", target="legacy")).lines
    assert [(line.entity, line.kind, line.target) for line in found] == [("DE01", "invoice", "legacy:acme")]


@settings(max_examples=15, deadline=None)
@given(limit=st.integers(1, 9))
def test_pages_of_any_size_show_every_posting_once_and_newest_first(books: Scene, limit: int) -> None:
    rows, seen, cursor = Projected(books.ledger.items), list[Line](), ""
    while True:
        page = ask.postings(rows, NOW, Filter(limit=limit, cursor=cursor))
        seen += page.lines
        cursor = page.cursor
        if not cursor:
            break
    whole = ask.postings(rows, NOW, Filter(limit=500)).lines
    assert [line.key for line in seen] == [line.key for line in whole]
    assert [line.updated for line in seen] == sorted((line.updated for line in seen), reverse=True)
    assert len({line.key for line in seen}) == len(seen) > 9


@pytest.mark.parametrize("cursor", ["x", "e30", "WzEsMl0", "%%%", "é"])
def test_a_cursor_that_is_none_of_ours_is_refused(rows: Projected, cursor: str) -> None:
    with pytest.raises(BadQuestion):
        ask.postings(rows, NOW, Filter(cursor=cursor))


def test_a_list_that_did_not_look_at_everything_says_so(rows: Projected, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask.postings(rows, NOW, Filter()).whole
    monkeypatch.setattr(ask, "SCAN", 5)
    assert not ask.postings(rows, NOW, Filter()).whole


# --- search ------------------------------------------------------------------------------------------------------
def test_a_posting_is_found_by_every_name_it_goes_by(rows: Projected, books: Scene) -> None:
    item = books.item(by_state(books, ledger.POSTED))
    names = [item["key"], item["source_id"], item["number"], item["number"].lower(), f" {item['number']} ", item["ref"],
             "INV-US-2001", "4711"]  # fmt: skip
    for name in names:
        assert item["key"] in [line.key for line in ask.search(rows, name, NOW).lines], name


def test_an_event_is_found_by_its_id_alone_by_its_key_and_by_its_objects_id(rows: Projected) -> None:
    key = "stripe:acct_us:evt_1LmaF6LCvLp8I7sdjB66BA3Q"
    for name in ("evt_1LmaF6LCvLp8I7sdjB66BA3Q", key, "in_1ARIkaoL23jWwd2eIRTX5I6v"):
        found = [line.key for line in ask.search(rows, name, NOW).lines if line.what == "event"]
        assert key in found, name


def test_a_name_that_nothing_goes_by_finds_nothing(rows: Projected) -> None:
    assert ask.search(rows, "in_nobody", NOW).lines == ()


@pytest.mark.parametrize("name", ["", "   ", "x" * 1001])
def test_an_empty_or_endless_name_is_refused(rows: Projected, name: str) -> None:
    with pytest.raises(BadQuestion):
        ask.search(rows, name, NOW)


@settings(max_examples=40, deadline=None)
@given(name=st.text(min_size=1, max_size=60))
def test_no_name_breaks_the_search(books: Scene, name: str) -> None:
    if name.strip():
        ask.search(Projected(books.ledger.items), name, NOW)


# --- one posting -------------------------------------------------------------------------------------------------
def test_a_posting_shows_its_way_from_the_event_to_the_crm(rows: Projected, books: Scene) -> None:
    view = ask.posting(rows, by_state(books, ledger.POSTED), NOW)
    assert [(one.what, one.state) for one in view.timeline] == [
        ("event", ""), ("history", "NEW"), ("history", "SENDING"), ("history", "POSTED"), ("told", "POSTED"),
    ]  # fmt: skip
    assert view.status == "netsuite:acme has it as INV-US-2001. Nothing to do."
    assert view.event is not None
    assert view.event.type == "invoice.finalized"
    assert view.chain_whole
    assert (view.payload, view.document) == (None, None)


def test_payload_and_document_are_shown_while_the_ledger_keeps_them(rows: Projected, books: Scene) -> None:
    view = ask.posting(rows, by_state(books, ledger.SENDING), NOW)
    assert view.payload == {"tranId": "X", "amount": "<script>alert(1)</script>"}
    assert view.document["currency"] == "USD"
    assert view.document_date is not None


def test_a_case_says_what_happened_who_has_it_and_what_next(rows: Projected, books: Scene) -> None:
    view = ask.posting(rows, by_state(books, ledger.REFUSED), NOW)
    assert view.status == (
        "Tax txr_fr_20 has no tax code in legacy:acme. finance-ops has it. Next: Add the row; this goes on by itself."
    )


@pytest.mark.parametrize("change", ["at", "to", "note", "hash"])
def test_a_changed_history_line_is_seen_where_it_was_changed(books: Scene, change: str) -> None:
    items = copy.deepcopy(books.ledger.items)
    key = by_state(books, ledger.POSTED)
    items[posting_item(key)]["history"][1][change] = "2020-01-01T00:00:00.000Z" if change == "at" else "changed"
    if change == "note":
        items[posting_item(key)]["history"][1]["note"] = {"mapping": "other"}
    view = ask.posting(Projected(items), key, NOW)
    assert not view.chain_whole
    assert 2 in view.breaks or 3 in view.breaks
    assert any(one.broken for one in view.timeline)


def test_history_that_moved_to_a_segment_is_read_first(books: Scene) -> None:
    items = copy.deepcopy(books.ledger.items)
    item = items[posting_item(by_state(books, ledger.POSTED))]
    older, item["history"], item["segments"] = item["history"][:2], item["history"][2:], 1
    items[Key(item["pk"], "H#000001")] = {"pk": item["pk"], "sk": "H#000001", "what": "history", "history": older}
    view = ask.posting(Projected(items), item["key"], NOW)
    assert view.chain_whole
    assert [one.number for one in view.timeline if one.what == "history"] == [1, 2, 3]


def test_who_waits_behind_the_head_of_a_lane_sees_who_is_ahead(rows: Projected, books: Scene) -> None:
    scene = Scene()
    first = scene.stripe("invoice.finalized")
    second = scene.stripe("invoice.paid")
    view = ask.posting(scene.ledger, second, scene.now)
    assert view.lane is not None
    assert (view.lane.head, view.lane.ahead) == (first, (first,))
    assert "behind 1 of the same lane" in view.status
    assert view.parent is not None
    assert view.parent.key == first
    ahead = ask.posting(scene.ledger, first, scene.now)
    assert ahead.lane is not None
    assert (ahead.lane.ahead, ahead.lane.behind) == ((), 1)


@pytest.mark.parametrize("ask_for", [ask.posting, ask.event, ask.run])
def test_what_is_not_there_is_said_not_to_be(rows: Projected, ask_for: object) -> None:
    assert callable(ask_for)
    with pytest.raises(NotThere):
        ask_for(rows, "nothing/r0001", NOW)


# --- events, runs, cases -----------------------------------------------------------------------------------------
def test_an_event_shows_its_postings_and_the_bodies_that_contradict_it(rows: Projected, books: Scene) -> None:
    view = ask.event(rows, "stripe:acct_us:evt_1LmaF6LCvLp8I7sdjB66BA3Q", NOW)
    assert [line.kind for line in view.postings] == ["invoice"]
    assert [line.code for line in view.conflicts] == ["event_conflict"]
    assert json.loads(raw(books.vault, view.vault))["id"] == "evt_1LmaF6LCvLp8I7sdjB66BA3Q"


def test_an_ignored_event_says_why(rows: Projected) -> None:
    assert (
        ask.event(rows, "stripe:acct_us:evt_unknown", NOW).status == "stripe events of type plan.created start no flow."
    )


def test_a_run_shows_its_history_and_its_event(rows: Projected) -> None:
    line = ask.runs(rows, NOW, Filter()).lines[0]
    view = ask.run(rows, line.key, NOW)
    assert (view.line.flow, view.line.shown, view.chain_whole) == ("customer-onboarding", "pending", True)
    assert view.event is not None
    assert view.document["name"]


def test_cases_are_grouped_by_cause_the_gravest_first(rows: Projected) -> None:
    causes = ask.cases(rows, NOW)
    assert [(one.code, one.severity, one.sum.count) for one in causes] == [
        ("event_conflict", "critical", 1), ("target_echo_differs", "critical", 1), ("tax_code_not_mapped", "error", 2),
        ("bad_json", "error", 1),
    ]  # fmt: skip
    mapped = causes[2]
    assert [str(one) for one in mapped.sum.money] == ["2177.52 USD"]
    assert mapped.remedy == "Add the row; this goes on by itself."
    assert all(case.age > timedelta(hours=1) for case in mapped.cases)


def test_what_waits_for_its_turn_or_recovers_by_itself_is_no_case(rows: Projected) -> None:
    codes = {case.line.code for cause in ask.cases(rows, NOW) for case in cause.cases}
    assert not codes & {"parent_missing", "target_lost"}


# --- as JSON -----------------------------------------------------------------------------------------------------
def test_every_answer_is_json(rows: Projected, books: Scene) -> None:
    answers: list[object] = [ask.overview(rows, NOW), ask.cases(rows, NOW), ask.search(rows, "4711", NOW)]
    postings = [item["key"] for item in books.ledger.items.values() if item.get("what") == "posting"]
    answers += [ask.posting(rows, key, NOW) for key in postings]
    for answer in answers:
        assert json.loads(json.dumps(plain(answer))) == plain(answer)


@given(minor=st.integers(-(10**14), 10**14), code=st.sampled_from(["USD", "JPY", "KWD", "CLF"]))
def test_money_as_json_says_its_exponent_and_loses_nothing(minor: int, code: str) -> None:
    said = plain(Money.of(minor, code))
    assert Money.parse(said["amount"], said["currency"]) == Money.of(said["minor"], code)
    assert said["exponent"] == {"USD": 2, "JPY": 0, "KWD": 3, "CLF": 4}[code]
