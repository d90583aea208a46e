"""The law of readers: held by every source that is asked as well."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from tests.integration.systems.law import case_of
from tests.unit.systems.test_target_laws import FakeWire, always
from tieout import systems
from tieout.contract import Asked, Read, Span
from tieout.core import capacity, credentials
from tieout.core.classify import COMMON, READING, Answer, Row, classify
from tieout.core.problems import PROBLEMS
from tieout.core.verdicts import Ignore, NeedsHuman, TryAgain, Uncertain, Verdict

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
EVENTS = Path(__file__).parents[3] / "events"
#: Intake's time-out and what it needs to book a batch.
INTAKE, MARGIN = 30, 5
every_reader = pytest.mark.parametrize("name", systems.READERS)


every_lister = pytest.mark.parametrize("name", systems.LISTERS)
#: Those that answer over HTTP; the legacy ERP is looked for files (test_legacy_tells.py).
every_asked = pytest.mark.parametrize(
    "name", [one for one in systems.LISTERS if systems.lister(one).auth["scheme"] != "drop"]
)


def thin(name: str) -> list[Read]:
    """One read of each type whose object is read again, out of the captured events (Stripe's with their lines cut)."""
    found: list[Read] = []
    for type_ in systems.source(name).rereads:
        event = json.loads((EVENTS / name / f"{type_}.json").read_text("utf-8"))
        if name == "stripe" and "lines" in event["data"]["object"]:
            event["data"]["object"]["lines"]["has_more"] = True
        if "opportunity" in event:
            del event["opportunity"]["LastStageChangeDate"]
        found += systems.source(name).read(json.dumps(event).encode())[:1]
    assert all(read.thin for read in found)
    return found


@every_reader
def test_what_it_needs_is_declared_and_it_leaves_time_to_book(name: str) -> None:
    reader = systems.reader(name)
    assert reader.name == name
    assert credentials.needs(reader.auth)
    assert reader.budget.concurrency > 0
    assert reader.quiet.client_timeout + MARGIN < INTAKE


@every_reader
def test_every_code_of_its_verdict_table_has_its_sentence_and_nothing_read_is_ever_in_doubt(name: str) -> None:
    for row in (*systems.reader(name).verdicts, *READING):
        assert row.code in PROBLEMS
        assert row.verdict is not Uncertain


#: Of each row of a reader's or lister's own table and of the table of all reading: whose it is, and how it is asked.
ASKED_ROWS = [
    (name, how, row)
    for how, names, asked in (
        ("again", systems.READERS, systems.reader),
        ("listed", [one for one in systems.LISTERS if systems.lister(one).auth["scheme"] != "drop"], systems.lister),
    )
    for name in names for row in dict.fromkeys((*asked(name).verdicts, *READING))
]  # fmt: skip


def said_by(name: str, row: Row) -> Any:
    """The body of a refusal that says what a row looks for, in the source's own shape."""
    if name == "zuora":
        sort = row.says.rpartition(" ")[2]
        return {"success": False, "reasons": [{"code": 53100000 + int(sort), "message": "no"}]} if sort else {}
    return case_of(name).error(row.says) if row.says else {}


@pytest.mark.parametrize(("name", "how", "row"), ASKED_ROWS, ids=str)
def test_every_row_of_a_reader_s_or_a_lister_s_table_is_met_by_its_answer(name: str, how: str, row: Row) -> None:
    wire = always(row.status if row.status > 99 else row.status * 100, said_by(name, row), **{"retry-after": "7"})
    asked: Mapping[str, Callable[[], object]] = {
        "again": lambda: systems.reader(name).again(wire, thin(name)[0]),
        "listed": lambda: systems.lister(name).listed(wire, SPAN, ""),
    }
    if (name, how, row.status) == ("hubspot", "listed", 404):  # its journal has nothing, or has forgotten it
        assert systems.lister(name).listed(wire, SPAN, "").bodies == []
        return
    with pytest.raises(Verdict) as said:
        asked[how]()
    assert (type(said.value), said.value.code) == (row.verdict, row.code)
    assert ("after" in said.value.facts) == row.retry_after
    assert len(wire.asked) == 1


@pytest.mark.parametrize("asked", [*map(systems.reader, systems.READERS), *map(systems.lister, systems.LISTERS)])
def test_no_row_of_reading_stands_behind_one_that_says_the_same_before_it(asked: Asked) -> None:
    rows = list(dict.fromkeys(asked.verdicts))  # a row of all reading may be said again
    for position, row in enumerate(rows):
        before = next((other for other in rows[:position] if other.matches(row.status, row.says)), None)
        assert before is None, f"{row} is never reached: {before}"


@every_reader
def test_there_is_an_event_of_each_type_that_it_reads_again(name: str) -> None:
    assert len(thin(name)) == len(systems.source(name).rereads)


@every_reader
def test_it_only_ever_looks(name: str) -> None:
    for read in thin(name):
        wire = always(404)
        with pytest.raises(Verdict):
            systems.reader(name).again(wire, read)
        assert {method for method, _ in wire.asked} <= {"GET"}


HOSTILE: Mapping[str, Answer] = {
    "empty": Answer(200),
    "a page": Answer(200, {}, b"<html><body>login</body></html>"),
    "cut": Answer(200, {}, b'{"id": "x', truncated=True),
    "half": Answer(200, {}, b'{"id": "x'),
    "a list": Answer(200, {}, b"[]"),
    "a number": Answer(200, {}, b"7"),
    "another": Answer(200, {}, b'{"id": "somebody-else"}'),
    "deep": Answer(200, {}, b"[" * 100_000),
    "a redirect": Answer(302, {"location": "https://evil.example/"}),
    "a teapot": Answer(418, {}, b"x"),
}


@every_reader
@pytest.mark.parametrize("answer", HOSTILE.values(), ids=HOSTILE)
def test_a_strange_answer_is_a_verdict_and_never_an_object(name: str, answer: Answer) -> None:
    for read in thin(name):
        with pytest.raises(Verdict) as said:
            systems.reader(name).again(FakeWire(lambda method, path: answer), read)
        assert said.value.code in PROBLEMS


@every_reader
@pytest.mark.parametrize(("status", "kind"), [(401, TryAgain), (403, NeedsHuman), (404, NeedsHuman), (429, TryAgain)])
def test_what_http_says_means_the_same_everywhere(name: str, status: int, kind: type[Verdict]) -> None:
    for read in thin(name):
        with pytest.raises(kind):
            systems.reader(name).again(always(status, {}), read)


#: Listers that put their question in a body: it goes to this one address, which takes nothing but questions.
QUERIES: Mapping[str, tuple[str, str]] = {"netsuite": ("POST", "/services/rest/query/v1/suiteql")}


# --- listing -------------------------------------------------------------------------------------------------------
SPAN = Span(NOW - timedelta(hours=1), NOW, ("invoice.finalized", "invoice_generated"))


@every_lister
def test_what_is_lost_is_asked_for_before_a_vendor_forgets_it_and_after_it_should_have_come(name: str) -> None:
    how = systems.lister(name).poll
    assert how.reach >= 100 * (how.every + how.overlap + how.settle)
    assert how.overlap >= timedelta(minutes=1)
    assert how.settle >= timedelta(minutes=1)


@every_asked
@pytest.mark.parametrize("answer", [one for name, one in HOSTILE.items()], ids=HOSTILE)
@pytest.mark.parametrize("page", ["", "somewhere"])
def test_a_strange_answer_to_a_listing_is_a_verdict_and_never_the_end_of_the_list(
    name: str, answer: Answer, page: str
) -> None:
    wire = FakeWire(lambda method, path: answer)
    with pytest.raises(Verdict) as said:
        systems.lister(name).listed(wire, SPAN, page)
    assert said.value.code in PROBLEMS
    looks = QUERIES.get(name)
    assert {(method, path.partition("?")[0]) if looks else method for method, path in wire.asked} == {looks or "GET"}


@every_asked
@pytest.mark.parametrize(("status", "kind"), [(401, TryAgain), (403, NeedsHuman), (429, TryAgain), (503, TryAgain)])
def test_what_http_says_to_a_listing_means_the_same_everywhere(name: str, status: int, kind: type[Verdict]) -> None:
    with pytest.raises(kind):
        systems.lister(name).listed(always(status, {}), SPAN, "")


def test_stripe_s_list_is_picked_by_type_and_goes_on_at_the_last_event_of_a_page() -> None:
    rows = [{"id": "evt_2", "type": "made.up"}, {"id": "evt_1", "type": "invoice.finalized"}]
    wire = always(200, {"object": "list", "data": rows, "has_more": True})
    page = systems.lister("stripe").listed(wire, SPAN, "evt_9")
    assert ([json.loads(body)["id"] for body in page.bodies], page.next) == (["evt_1"], "evt_1")
    (_, path) = wire.asked[0]
    assert parse_qs(path.partition("?")[2]) == {
        "limit": ["100"], "created[gte]": [str(int(SPAN.since.timestamp()))], "starting_after": ["evt_9"],
        "created[lt]": [str(int(SPAN.until.timestamp()))], "types[]": list(SPAN.types),
    }  # fmt: skip
    many = replace(SPAN, types=[f"type.{number}" for number in range(21)])
    systems.lister("stripe").listed(wire, many, "")
    assert "types[]" not in parse_qs(wire.asked[1][1].partition("?")[2]), "twenty are what one call may ask for"


def test_stripe_s_lines_are_read_to_their_end_in_the_version_of_the_event() -> None:
    read = thin("stripe")[0]
    pages = [{"data": [{"id": f"il_{number}"} for number in range(start, start + 100)], "has_more": start < 200}
             for start in (0, 100, 200)]  # fmt: skip
    seen: list[Any] = []

    class Wire(FakeWire):
        def call(self, method: str, path: str, *, headers: Any = None, body: bytes | None = None) -> Answer:
            seen.append((path.partition("?")[2], headers))
            return Answer(200, {}, json.dumps(pages[len(seen) - 1]).encode())

    whole = systems.reader("stripe").again(Wire(lambda m, p: Answer(200)), read)
    assert [query for query, _ in seen] == ["limit=100", "limit=100&starting_after=il_99",
                                            "limit=100&starting_after=il_199"]  # fmt: skip
    assert {headers["Stripe-Version"] for _, headers in seen} == {read.api}
    assert (len(whole.object["lines"]["data"]), whole.object["lines"]["has_more"], whole.thin) == (300, False, False)
    assert {**whole.object, "lines": None} == {**read.object, "lines": None}


PAYOUT: Mapping[str, Any] = {"id": "po_1JoScKA5dEqEeNxReh08JHy9", "automatic": True, "amount": 9}


def balance(payout: Mapping[str, Any], pages: int = 1) -> FakeWire:
    """A Stripe that shows this payout, and its transactions on so many pages."""

    def answer(method: str, path: str) -> Answer:
        query = parse_qs(path.partition("?")[2])
        start = int(query["starting_after"][0].removeprefix("txn_")) + 1 if "starting_after" in query else 0
        rows = {"data": [{"id": f"txn_{n}"} for n in range(start, start + 100)], "has_more": start < 100 * (pages - 1)}
        return Answer(200, {}, json.dumps(payout if path.startswith("/v1/payouts/") else rows).encode())

    return FakeWire(answer)


def paid_out(wire: FakeWire) -> Read:
    [read] = [read for read in thin("stripe") if read.type == "payout.paid"]
    return systems.reader("stripe").again(wire, read)


def test_a_payout_is_read_with_all_of_its_transactions_page_by_page() -> None:
    wire = balance(PAYOUT, pages=3)
    whole = paid_out(wire)
    assert [row["id"] for row in whole.object["balance_transactions"]] == [f"txn_{n}" for n in range(300)]
    assert (whole.object["amount"], whole.thin) == (9, False)
    asked = [(path.partition("?")[0], parse_qs(path.partition("?")[2])) for _, path in wire.asked]
    assert asked[0] == ("/v1/payouts/po_1JoScKA5dEqEeNxReh08JHy9", {})
    assert asked[1] == ("/v1/balance_transactions", {"limit": ["100"], "payout": ["po_1JoScKA5dEqEeNxReh08JHy9"]})
    assert asked[3][1]["starting_after"] == ["txn_199"]


def test_a_payout_whose_transactions_are_not_together_yet_is_waited_for() -> None:
    with pytest.raises(TryAgain, match="source_behind"):
        paid_out(balance({**PAYOUT, "reconciliation_status": "in_progress"}))


def test_a_list_of_transactions_without_an_end_is_nobody_s() -> None:
    with pytest.raises(NeedsHuman, match="source_unreadable"):
        paid_out(balance(PAYOUT, pages=10_000))


def test_a_manual_payout_is_not_asked_for_what_stripe_does_not_list() -> None:
    wire = balance({**PAYOUT, "automatic": False})
    assert "balance_transactions" not in paid_out(wire).object
    assert len(wire.asked) == 1


def moved(read: Read, *rows: Mapping[str, Any]) -> tuple[Read, list[tuple[str, Mapping[str, str]]]]:
    """The event laid beside these invoice payments, and what was asked for them in which version."""
    asked: list[tuple[str, Mapping[str, str]]] = []

    class Wire(FakeWire):
        def call(self, method: str, path: str, *, headers: Any = None, body: bytes | None = None) -> Answer:
            asked.append((path, headers))
            return Answer(200, {}, json.dumps({"data": rows, "has_more": False}).encode())

    return systems.reader("stripe").again(Wire(lambda m, p: Answer(200)), read), asked


def told(type_: str) -> Read:
    [read] = [read for read in thin("stripe") if read.type == type_]
    return read


@pytest.mark.parametrize("type_", ["charge.dispute.created", "charge.dispute.funds_withdrawn", "refund.created"])
def test_what_a_disputed_or_refunded_payment_has_paid_is_laid_beside_it(type_: str) -> None:
    read = told(type_)
    row = {"id": "inpay_1", "invoice": "in_1", "status": "paid"}
    whole, asked = moved(read, row)
    assert whole.object == {**read.object, "invoice_payments": [row]}
    [(path, headers)] = asked
    assert parse_qs(path.partition("?")[2]) == {
        "limit": ["100"], "payment[type]": ["payment_intent"],
        "payment[payment_intent]": [read.object["payment_intent"]],
    }  # fmt: skip
    assert headers == {"Stripe-Version": read.api}


def test_an_event_of_a_version_without_invoice_payments_is_asked_about_in_the_first_that_has_them() -> None:
    for api, asked_in in (("2024-04-10", "2025-03-31.basil"), (None, "2025-03-31.basil"), ("2026-10-28.x",) * 2):
        _, [(_, headers)] = moved(replace(told("refund.created"), api=api))
        assert headers == {"Stripe-Version": asked_in}


def test_a_payment_without_an_intent_is_not_asked_about() -> None:
    read = told("refund.created")
    whole, asked = moved(replace(read, object={**read.object, "payment_intent": None}))
    assert (whole.object["invoice_payments"], asked, whole.thin) == ([], [], False)


def test_chargebee_s_list_is_asked_for_in_order_of_time_and_goes_on_at_its_offset() -> None:
    wire = always(200, {"list": [{"event": {"id": "ev_1"}}], "next_offset": '["177","2"]'})
    page = systems.lister("chargebee").listed(wire, SPAN, '["176","1"]')
    assert ([json.loads(body) for body in page.bodies], page.next) == ([{"id": "ev_1"}], '["177","2"]')
    assert parse_qs(wire.asked[0][1].partition("?")[2]) == {
        "limit": ["100"], "occurred_at[after]": [str(int(SPAN.since.timestamp()) - 1)],
        "occurred_at[before]": [str(int(SPAN.until.timestamp()))], "sort_by[asc]": ["occurred_at"],
        "event_type[in]": ['["invoice.finalized","invoice_generated"]'], "offset": ['["176","1"]'],
    }  # fmt: skip


# --- Zuora's history of callouts -----------------------------------------------------------------------------------
CALLED = Span(
    NOW - timedelta(hours=1), NOW, ("AccountCreated", "CreditMemoPosted", "InvoicePosted", "PaymentProcessed")
)


def failed(category: Any = 1110, told: str = "2026-11-23T19:30:00.000+0800", **context: Any) -> dict[str, Any]:
    """A callout as the history shows it, half an hour before the end of the span."""
    whole = {"<Event.Category>": "x", "<Event.Timestamp>": told, "<Object.ID>": "8ad0", **context}
    return {"attemptedNum": 3, "createTime": "2026-11-23T03:30:00", "eventCategory": category, "responseCode": 405,
            "notification": "x", "eventContext": whole}  # fmt: skip


def history(*rows: Any, **more: Any) -> FakeWire:
    return always(200, {"success": True, "calloutHistories": list(rows), **more})


def bodies(wire: FakeWire, page: str = "") -> list[Any]:
    return [json.loads(body) for body in systems.lister("zuora").listed(wire, CALLED, page).bodies]


def test_zuora_s_history_is_asked_for_what_failed_a_day_more_at_either_end_and_page_by_page() -> None:
    wire = history(failed(), nextPage="https://elsewhere.example/v1/notification-history/callout?page=8")
    page = systems.lister("zuora").listed(wire, CALLED, "7")
    assert page.next == "8"
    (_, path) = wire.asked[0]
    assert parse_qs(path.partition("?")[2]) == {
        "failedOnly": ["true"], "pageSize": ["40"], "page": ["7"], "startTime": ["2026-11-22T11:00:00"],
        "endTime": ["2026-11-24T12:00:00"],
    }  # fmt: skip
    assert systems.lister("zuora").listed(history(failed()), CALLED, "").next == ""
    assert systems.lister("zuora").listed(history(nextPage="x"), CALLED, "").next == "", "an empty page is the last"


@pytest.mark.parametrize(
    ("row", "type_", "object_id"),
    [
        (failed(1110), "InvoicePosted", "8ad0"),
        (failed("2120", **{"<Payment.ID>": "8ad1"}), "PaymentProcessed", "8ad1"),
        (failed("user.notification:CreditMemoPosted"), "CreditMemoPosted", "8ad0"),
        (failed(1, **{"<Event.Category>": "AccountCreated", "<Account.ID>": "8ad2"}), "AccountCreated", "8ad2"),
        ({**failed(), "eventContext": json.dumps(failed()["eventContext"])}, "InvoicePosted", "8ad0"),
    ],
)
def test_a_failed_callout_is_written_as_our_template_and_read_as_an_event(
    row: Mapping[str, Any], type_: str, object_id: str
) -> None:
    [body] = bodies(history(row, row))
    [read] = systems.source("zuora").read(json.dumps(body).encode())
    assert (read.type, read.object_id, read.thin, read.object_version) == (type_, object_id, True, None)
    assert read.occurred == NOW - timedelta(minutes=30)


def test_callouts_of_another_type_or_another_time_are_left_out() -> None:
    early, late = failed(told="2026-11-23T10:59:59+0000"), failed(told="2026-11-23T12:00:00Z")
    assert bodies(history(failed(1210), early, late, {}, None, {"eventContext": "no json", "eventCategory": 9})) == []


@pytest.mark.parametrize(
    "row",
    [
        failed(told=""),
        {**failed(), "eventContext": None},
        {**failed(), "eventContext": {"<Event.Timestamp>": "2026-11-23T11:30:00Z"}},
    ],
)
def test_a_failed_callout_without_its_object_or_time_is_handed_on_and_becomes_a_case(row: Mapping[str, Any]) -> None:
    [body] = bodies(history(row))
    with pytest.raises(NeedsHuman, match="wrong_shape"):
        systems.source("zuora").read(json.dumps(body).encode())


def test_an_object_that_was_told_of_by_the_history_is_read_in_whatever_state_it_is() -> None:
    read = systems.source("zuora").read(json.dumps(bodies(history(failed()))[0]).encode())[0]
    shown = {"id": "8ad0", "updatedDate": "2026-11-23T11:29:59+00:00"}
    whole = systems.reader("zuora").again(always(200, shown), read)
    assert (whole.object, whole.object_version) == (shown, 1795433399000)


# --- HubSpot -------------------------------------------------------------------------------------------------------
WON: Mapping[str, Any] = {
    "id": "19248310446", "archived": False,
    "properties": {"dealstage": "closedwon", "hs_is_closed_won": "true", "selling_entity": "US01"},
    "propertiesWithHistory": {"dealstage": [{"value": "closedwon", "timestamp": "2026-11-20T14:03:11.945Z"},
                                            {"value": "new", "timestamp": "2026-10-01T09:00:00.000Z"}]},
    "associations": {"companies": {"results": [{"id": "7", "type": "other"}, {"id": "8", "type": "deal_to_company"}]},
                     "line_items": {"results": [{"id": "72"}, {"id": "71"}, {"id": "72"}]}},
}  # fmt: skip


def portal(deal: Mapping[str, Any] = WON, company: Any = None, lines: Sequence[str] = ("71", "72")) -> FakeWire:
    def answer(method: str, path: str) -> Answer:
        if "/companies/" in path:
            shown = company or {"id": "8", "properties": {"name": "Northwind"}}
        elif "/line_items/" in path:
            assert (method, path) == ("POST", "/crm/v3/objects/line_items/batch/read")
            shown = {"results": [{"id": one, "properties": {}} for one in lines]}
        else:
            shown = deal
        return Answer(200, {}, json.dumps(shown).encode())

    return FakeWire(answer)


def hubspot(wire: FakeWire) -> Read:
    return systems.reader("hubspot").again(wire, thin("hubspot")[0])


def test_a_won_deal_is_laid_beside_its_primary_company_and_its_lines_in_its_own_order() -> None:
    whole = hubspot(portal())
    assert (whole.object["company"]["id"], [one["id"] for one in whole.object["lineItems"]]) == ("8", ["72", "71"])
    assert (whole.entity, whole.thin) == ("US01", False)


def test_the_version_of_a_deal_is_its_last_change_of_stage_whichever_event_or_later_edit_told_of_it() -> None:
    read = thin("hubspot")[0]
    asked = systems.reader("hubspot")
    later = asked.again(portal({**WON, "updatedAt": "2026-12-01T00:00:00Z"}), replace(read, object_version=7))
    assert later.object_version == asked.again(portal(), read).object_version == 1795183391945


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"propertiesWithHistory": {"dealstage": [{"value": "x", "timestamp": "2026-11-20T14:03:00.000Z"}]}},
         "source_behind"),
        ({"archived": True}, "source_gone"),
        ({"id": "1"}, "source_unreadable"),
        ({"properties": {"dealstage": "lost", "hs_is_closed_won": "false"}}, "not_for_us"),
        ({"properties": {"hs_is_closed_won": "true"}}, "deal_incomplete"),
        ({"associations": {"line_items": {"results": [{"id": "71"}], "paging": {"next": {"after": "1"}}}}},
         "source_unreadable"),
    ],
    ids=["behind", "archived", "another", "not won", "no entity", "cut associations"],
)  # fmt: skip
def test_what_is_not_a_whole_won_deal_is_said(change: Mapping[str, Any], code: str) -> None:
    with pytest.raises(Verdict) as said:
        hubspot(portal({**WON, **change}))
    assert said.value.code == code


def test_a_deal_that_is_not_won_costs_one_call() -> None:
    wire = portal({**WON, "properties": {"dealstage": "lost"}})
    with pytest.raises(Ignore):
        hubspot(wire)
    assert len(wire.asked) == 1


def test_a_merged_company_is_read_under_its_survivor_and_a_stranger_is_not() -> None:
    survivor = {"id": "9", "properties": {"name": "Both", "hs_merged_object_ids": "5;8"}}
    assert hubspot(portal(company=survivor)).object["company"]["id"] == "9"
    with pytest.raises(NeedsHuman, match="source_unreadable"):
        hubspot(portal(company={"id": "9", "properties": {"name": "Else"}}))


def test_line_items_that_are_not_shown_yet_are_waited_for() -> None:
    with pytest.raises(TryAgain, match="source_behind"):
        hubspot(portal(lines=["71"]))


COMPANY: Mapping[str, Any] = {
    "id": "8812345", "archived": False, "updatedAt": "2026-12-01T00:00:00.000Z",
    "properties": {"name": "Northwind Traders Inc", "selling_entity": None, "finance_customer": "false"},
    "propertiesWithHistory": {"name": [{"value": "Northwind Traders Inc", "timestamp": "2026-11-20T14:03:20.123Z"}],
                              "city": [{"value": "New York", "timestamp": "2026-10-01T09:00:00.000Z"}]},
}  # fmt: skip


def company_of(shown: Mapping[str, Any], **event: Any) -> Read:
    read = next(one for one in thin("hubspot") if one.type == "company.changed")
    read = replace(read, object={**read.object, **event})
    return systems.reader("hubspot").again(always(200, shown), read)


def test_a_company_is_read_at_the_last_change_of_what_finance_sees_and_says_whether_it_is_marked() -> None:
    whole = company_of(COMPANY)
    assert (whole.object_version, whole.entity, whole.claimed, whole.thin) == (1795183400123, None, False, False)
    assert "propertiesWithHistory" not in whole.object
    marked = company_of({**COMPANY, "properties": {"finance_customer": "true", "selling_entity": "US01"}})
    assert (marked.claimed, marked.entity) == (True, "US01")
    merged = company_of({**COMPANY, "id": "9", "properties": {"hs_merged_object_ids": "8812345"}})
    assert (merged.object["id"], merged.object_id) == ("9", "8812345")


def test_a_company_that_shows_an_older_state_is_waited_for_unless_it_is_new() -> None:
    older = {**COMPANY, "propertiesWithHistory": {"name": [{"value": "x", "timestamp": "2026-11-20T14:00:00.000Z"}]}}
    with pytest.raises(TryAgain, match="source_behind"):
        company_of(older)
    assert company_of(older, propertyName=None).thin is False
    with pytest.raises(NeedsHuman, match="source_unreadable"):
        company_of({**COMPANY, "id": "1"})


# --- Salesforce ----------------------------------------------------------------------------------------------------
DEAL: Mapping[str, Any] = {
    "attributes": {"type": "Opportunity"}, "Id": "006RM000yTznfKcYQI", "IsWon": True, "Selling_Entity__c": "US01",
    "LastStageChangeDate": "2026-11-05T18:30:00.000+0000", "Account": {"attributes": {}, "Id": "001"},
}  # fmt: skip


def org(deal: Mapping[str, Any] | None = DEAL, **settings: str) -> FakeWire:
    def answer(method: str, path: str) -> Answer:
        rows: list[Any] = [] if deal is None else [deal]
        if "OpportunityLineItem" in path:
            line = {"records": [{"attributes": {}, "Id": "00k1"}], "nextRecordsUrl": "/services/data/v67.0/query/0r8-1"}
            return Answer(200, {}, json.dumps(line).encode())
        if path.endswith("/query/0r8-1"):
            rows = [{"Id": "00k2"}]
        return Answer(200, {}, json.dumps({"records": rows, "done": True}).encode())

    return FakeWire(answer, settings=settings)


def salesforce(wire: FakeWire) -> Read:
    return systems.reader("salesforce").again(wire, thin("salesforce")[0])


def test_a_won_opportunity_is_read_as_our_callout_carries_it_to_its_last_line() -> None:
    whole = salesforce(org())
    assert whole.object == {
        "Id": "006RM000yTznfKcYQI", "IsWon": True, "Selling_Entity__c": "US01", "Account": {"Id": "001"},
        "LastStageChangeDate": "2026-11-05T18:30:00.000+0000", "Lines": [{"Id": "00k1"}, {"Id": "00k2"}],
    }  # fmt: skip
    assert (whole.object_version, whole.entity) == (1793903400000, "US01")


def test_an_org_with_one_currency_is_not_asked_for_it_and_has_it_from_its_settings() -> None:
    wire = org(currency="USD")
    assert salesforce(wire).object["CurrencyIsoCode"] == "USD"
    assert "CurrencyIsoCode" not in wire.asked[0][1]
    asking = org()
    salesforce(asking)
    assert "CurrencyIsoCode" in asking.asked[0][1]


@pytest.mark.parametrize(("deal", "code"), [(None, "source_gone"), ({**DEAL, "IsWon": False}, "not_for_us"),
                                            ({**DEAL, "Id": "006RM000other00"}, "source_unreadable"),
                                            ({**DEAL, "Selling_Entity__c": None}, "deal_incomplete")])  # fmt: skip
def test_what_is_no_whole_won_opportunity_is_said(deal: Mapping[str, Any] | None, code: str) -> None:
    with pytest.raises(Verdict) as said:
        salesforce(org(deal))
    assert said.value.code == code


def test_an_address_of_more_records_that_is_not_the_query_s_own_is_never_followed() -> None:
    rows = {"records": [], "nextRecordsUrl": "https://evil.example/services/data/v67.0/query/1"}
    with pytest.raises(NeedsHuman, match="source_unreadable"):
        systems.lister("salesforce").listed(always(200, rows), SPAN, "")


def test_a_listed_win_is_a_thin_callout_named_by_the_deal_and_the_moment_it_was_won() -> None:
    page = systems.lister("salesforce").listed(
        always(200, {"records": [{**DEAL, "SystemModstamp": "2026-12-01T00:00:00.000+0000"}]}), SPAN, ""
    )
    [read] = systems.source("salesforce").read(page.bodies[0])
    assert (read.event_id, read.thin) == ("listed:006RM000yTznfKcYQI:2026-11-05T18:30:00.000+0000", True)
    assert read.object_version == 1793903400000


ACCOUNT: Mapping[str, Any] = {
    "attributes": {"type": "Account"}, "Id": "001RM000cy2zDQJYA2", "Name": "Bluebird", "Selling_Entity__c": None,
    "Finance_Customer__c": False, "SystemModstamp": "2026-11-06T09:00:00.000+0000",
}  # fmt: skip


def account_of(shown: Mapping[str, Any] | None, **settings: str) -> Read:
    read = next(one for one in thin("salesforce") if one.type == "account.changed")
    rows = [] if shown is None else [shown]
    return systems.reader("salesforce").again(always(200, {"records": rows, "done": True}), read)


def test_an_account_is_read_whole_at_the_moment_of_its_last_change_and_says_whether_it_is_marked() -> None:
    whole = account_of(ACCOUNT)
    assert (whole.object_version, whole.entity, whole.claimed, whole.thin) == (1793955600000, None, False, False)
    assert whole.object == {name: value for name, value in ACCOUNT.items() if name != "attributes"}
    marked = account_of({**ACCOUNT, "Finance_Customer__c": True, "Selling_Entity__c": "US01"})
    assert (marked.claimed, marked.entity) == (True, "US01")
    assert account_of({**ACCOUNT, "Finance_Customer__c": "true"}).claimed is False, "a text is no mark"


@pytest.mark.parametrize(("shown", "code"), [
    (None, "source_gone"), ({**ACCOUNT, "Id": "001RM000other00"}, "source_unreadable"),
    ({**ACCOUNT, "SystemModstamp": "2026-11-06T08:59:00.000+0000"}, "source_behind"),
])  # fmt: skip
def test_an_account_that_is_not_the_one_that_was_told_of_is_said(shown: Any, code: str) -> None:
    with pytest.raises(Verdict) as said:
        account_of(shown)
    assert said.value.code == code


def test_behind_the_deals_come_the_accounts_that_may_be_customers_and_no_prospect() -> None:
    won = {**ACCOUNT, "Id": "001RM000won", "Opportunities": {"totalSize": 1, "records": [{"Id": "006"}]}}
    marked = {**ACCOUNT, "Id": "001RM000mark", "Finance_Customer__c": True, "Opportunities": None}
    wire = always(200, {"records": [ACCOUNT, won, marked]})
    span = replace(SPAN, types=("account.changed", "opportunity.closed_won"))
    lister = systems.lister("salesforce")
    assert lister.listed(always(200, {"records": []}), span, "").next == "accounts"
    page = lister.listed(wire, span, "accounts")
    reads = [systems.source("salesforce").read(body)[0] for body in page.bodies]
    assert [(read.type, read.object_id, read.thin) for read in reads] == [
        ("account.changed", "001RM000won", True), ("account.changed", "001RM000mark", True),
    ]  # fmt: skip
    assert {read.object_version for read in reads} == {1793955600000}
    (query,) = parse_qs(wire.asked[0][1].partition("?")[2])["q"]
    assert "(SELECT Id FROM Opportunities WHERE IsWon = true LIMIT 1) FROM Account WHERE SystemModstamp >= " in query


QUOTE: Mapping[str, Any] = {
    "attributes": {"type": "SBQQ__Quote__c"}, "Id": "a0QRM000004aBcDYAU", "Name": "Q-00822",
    "SBQQ__Account__c": "001RM000cy2zDQJYA2", "SBQQ__NetAmount__c": 1199.5, "SBQQ__Ordered__c": True,
    "SBQQ__Type__c": "Quote", "SBQQ__Opportunity2__r": {"attributes": {}, "Selling_Entity__c": "US01"},
    "CurrencyIsoCode": "EUR", "SystemModstamp": "2026-11-05T18:31:00.000+0000",
}  # fmt: skip
QUOTED: Mapping[str, Any] = {"Id": "a0L1", "SBQQ__ProductCode__c": "PRO", "SBQQ__NetTotal__c": 1199.5}


def quote_of(shown: Mapping[str, Any] | None, *, settings: Mapping[str, str], told: str = "") -> tuple[Read, FakeWire]:
    def answer(method: str, path: str) -> Answer:
        rows = [QUOTED, {**QUOTED, "Id": "a0L2", "SBQQ__Optional__c": True}] if "QuoteLine__c" in path else [shown]
        return Answer(200, {}, json.dumps({"records": [row for row in rows if row]}).encode())

    read = next(one for one in thin("salesforce") if one.type == "quote.accepted")
    if told:
        read = replace(read, object={"ChangeEventHeader": {"entityName": told}})
    wire = FakeWire(answer, settings=settings)
    return systems.reader("salesforce").again(wire, read), wire


def test_an_ordered_quote_of_the_package_is_read_under_our_names_without_what_was_optional() -> None:
    whole, wire = quote_of(QUOTE, settings={"quotes": "cpq"})
    assert whole.object == {
        "Id": "a0QRM000004aBcDYAU", "Number": "Q-00822", "AccountId": "001RM000cy2zDQJYA2", "Amount": Decimal("1199.5"),
        "Ordered": True, "Type": "Quote", "Entity": "US01", "CurrencyIsoCode": "EUR",
        "SystemModstamp": "2026-11-05T18:31:00.000+0000",
        "Lines": [{"Id": "a0L1", "ProductCode": "PRO", "Net": Decimal("1199.5")}],
    }  # fmt: skip
    assert (whole.entity, whole.object_version, whole.thin) == ("US01", 1793903460000, False)
    assert len(wire.asked) == 2
    single, wire = quote_of(QUOTE, settings={"quotes": "cpq", "currency": "USD"})
    assert single.object["CurrencyIsoCode"] == "USD"
    assert "CurrencyIsoCode" not in wire.asked[0][1]


@pytest.mark.parametrize(("settings", "told"), [
    ({}, ""), ({"quotes": "off"}, ""), ({"quotes": "cpq"}, "Quote"), ({"quotes": "revenue_cloud"}, "Order"),
])  # fmt: skip
def test_a_quote_of_an_org_that_keeps_them_elsewhere_is_ignored_and_costs_no_call(
    settings: Mapping[str, str], told: str
) -> None:
    with pytest.raises(Ignore, match="not_for_us"):
        quote_of(None, settings=settings, told=told)


@pytest.mark.parametrize(("shown", "code"), [
    (None, "source_gone"), ({**QUOTE, "Id": "a0QRM000other00"}, "source_unreadable"),
    ({**QUOTE, "SBQQ__Ordered__c": False}, "not_for_us"), ({**QUOTE, "SBQQ__Ordered__c": "true"}, "not_for_us"),
    ({**QUOTE, "SBQQ__Type__c": "Amendment"}, "quote_amends"),
    ({**QUOTE, "SBQQ__Opportunity2__r": None}, "deal_incomplete"),
    ({**QUOTE, "SystemModstamp": "2026-11-05T18:00:00.000+0000"}, "source_behind"),
])  # fmt: skip
def test_what_is_no_whole_agreed_quote_is_said(shown: Mapping[str, Any] | None, code: str) -> None:
    with pytest.raises(Verdict) as said:
        quote_of(shown, settings={"quotes": "cpq"})
    assert said.value.code == code


def test_a_profile_that_is_none_is_said_and_not_taken_for_off() -> None:
    with pytest.raises(NeedsHuman, match="source_unreadable"):
        quote_of(QUOTE, settings={"quotes": "CPQ"})


@pytest.mark.parametrize(("profile", "table", "agreed"), [
    ("cpq", "SBQQ__Quote__c", "SBQQ__Ordered__c = true"), ("revenue_cloud", "Quote", "Status = 'Accepted'"),
    ("orders", "Order", "StatusCode = 'Activated'"),
])  # fmt: skip
def test_agreed_quotes_are_listed_where_the_org_keeps_them(profile: str, table: str, agreed: str) -> None:
    row = {"Id": "a0QRM000004aBcDYAU", "SystemModstamp": "2026-11-05T18:31:00.000+0000"}
    wire = always(200, {"records": [row]})
    wire.settings = {"quotes": profile}
    page = systems.lister("salesforce").listed(wire, SPAN, "quotes")
    [read] = systems.source("salesforce").read(page.bodies[0])
    assert (read.type, read.object_id, read.thin, page.next) == ("quote.accepted", row["Id"], True, "")
    (query,) = parse_qs(wire.asked[0][1].partition("?")[2])["q"]
    assert f"FROM {table} WHERE {agreed} AND SystemModstamp >= " in query


def test_quotes_are_listed_behind_the_accounts_and_only_where_they_are_on() -> None:
    span = replace(SPAN, types=("account.changed", "quote.accepted"))
    for settings, following in (({"quotes": "cpq"}, "quotes"), ({}, ""), ({"quotes": "off"}, "")):
        wire = always(200, {"records": []})
        wire.settings = settings
        assert systems.lister("salesforce").listed(wire, span, "accounts").next == following
    off = always(200, {"records": []})
    off.settings = {}
    assert (systems.lister("salesforce").listed(off, span, "quotes").bodies, off.asked) == ([], [])


@pytest.mark.parametrize(("info", "waits"), [
    ("api-usage=90000/100000", False), ("api-usage=90001/100000", True), ("api-usage=100000/100000", True),
    ("per-app-api-usage=17/250(appName=x); api-usage=99999/100000", True), ("api-usage=1/0", False), ("", False),
    ("nonsense", False),
])  # fmt: skip
def test_a_listing_leaves_the_last_tenth_of_the_day_s_calls_to_what_is_posted(info: str, waits: bool) -> None:
    spent = {"records": [], "done": True}
    listing = always(200, spent, **{"sforce-limit-info": info})
    if waits:
        with pytest.raises(TryAgain, match="allowance_short") as said:
            systems.lister("salesforce").listed(listing, SPAN, "")
        assert not capacity.about_the_account(said.value), "nobody else is held up by it"
    else:
        assert systems.lister("salesforce").listed(listing, SPAN, "").bodies == []
    read = next(one for one in thin("salesforce") if one.type == "account.changed")
    asked = always(200, {"records": [ACCOUNT]}, **{"sforce-limit-info": info})
    assert systems.reader("salesforce").again(asked, read).object_version == 1793955600000, (
        "an event is read all the same"
    )


def test_a_page_of_accounts_goes_on_among_the_accounts_and_then_ends() -> None:
    following = "/services/data/v67.0/query/0r8-9"
    span = replace(SPAN, types=("account.changed", "opportunity.closed_won"))
    lister = systems.lister("salesforce")
    assert lister.listed(always(200, {"records": [], "nextRecordsUrl": following}), span, "accounts").next == (
        f"accounts {following}"
    )
    off = always(200, {"records": []})
    off.settings = {"accounts": "off"}
    assert lister.listed(off, span, "").next == "", "an org may have it off"
    last = always(200, {"records": []})
    assert lister.listed(last, span, f"accounts {following}").next == ""
    assert last.asked == [("GET", following)]
    older = always(200, {"records": []})
    assert lister.listed(older, span, following).next == "accounts", "a place that a release before wrote down"
    assert older.asked == [("GET", following)]


# --- Zuora ---------------------------------------------------------------------------------------------------------
def zuora(code: int, status: int = 200) -> Verdict:
    body = {"success": False, "processId": "CBCFED6580B4E076", "reasons": [{"code": code, "message": "no"}]}
    with pytest.raises(Verdict) as said:
        systems.reader("zuora").again(always(status, body, **{"retry-after": "7"}), thin("zuora")[0])
    return said.value


@pytest.mark.parametrize("status", [200, 400, 429])
@pytest.mark.parametrize(
    ("sort", "kind", "code"),
    [
        (10, NeedsHuman, "source_forbidden"), (11, TryAgain, "target_credentials"), (20, NeedsHuman, "target_refused"),
        (40, NeedsHuman, "source_gone"), (50, TryAgain, "target_conflict"), (60, TryAgain, "target_down"),
        (61, TryAgain, "target_down"), (70, TryAgain, "target_busy"), (99, TryAgain, "target_down"),
    ],
)  # fmt: skip
def test_the_last_two_digits_of_zuora_s_reason_say_of_what_sort_it_is(
    status: int, sort: int, kind: type[Verdict], code: str
) -> None:
    said = zuora(53100000 + sort, status)
    assert (type(said), said.code) == ((kind, code) if (status, sort) != (429, 20) else (TryAgain, "target_busy"))
    if code == "target_busy":
        assert said.facts["after"] == "7"


def test_zuora_s_tenants_with_several_entities_name_theirs_in_a_header() -> None:
    seen: list[Mapping[str, str]] = []

    class Wire(FakeWire):
        def call(self, method: str, path: str, *, headers: Any = None, body: bytes | None = None) -> Answer:
            seen.append(headers)
            return super().call(method, path, headers=headers, body=body)

    read = thin("zuora")[0]
    shown = json.dumps({"id": read.object_id}).encode()
    for settings in ({}, {"entity_ids": "e1"}):
        again = systems.reader("zuora").again(Wire(lambda m, p: Answer(200, {}, shown), settings=settings), read)
        assert again.object == {"id": read.object_id}
        assert again.object_version == read.object_version
    assert [headers.get("Zuora-Entity-Ids") for headers in seen] == [None, "e1"]
    assert all(headers["Zuora-Version"] for headers in seen)


def test_a_common_row_never_answers_before_the_rows_of_reading() -> None:
    rows: tuple[Row, ...] = (*systems.reader("zuora").verdicts,)
    assert classify(rows, Answer(403), "").code == "source_forbidden"  # type: ignore[union-attr]
    assert classify((), Answer(403), "").code in {row.code for row in COMMON}  # type: ignore[union-attr]
