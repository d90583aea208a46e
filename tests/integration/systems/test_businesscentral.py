"""Business Central against its sandbox over real HTTP: drafts, their posting, journals, tags, and what goes wrong."""

from __future__ import annotations

import dataclasses
from datetime import date
from decimal import Decimal
from typing import Any

import httpx
import pytest

from infra.local.sandbox import Fault, wire
from infra.local.sandbox.businesscentral import BusinessCentral
from tests.integration.systems.cases.businesscentral import Case
from tests.integration.systems.conftest import Bench
from tieout import systems
from tieout.aws.http import HttpWire
from tieout.contract import Work
from tieout.core.exchange import Request
from tieout.core.parse import write_json
from tieout.core.verdicts import NeedsHuman, TryAgain, Uncertain

BC = systems.target("businesscentral")
POST = "POST .*/Microsoft.NAV.post"


@pytest.fixture
def desk(bench: Bench) -> Case:
    return Case(bench)


def there(desk: Case) -> BusinessCentral:
    return desk.bench.sandboxes.of(BusinessCentral)


def entries(desk: Case, kind: str) -> list[tuple[int, str, str]]:
    return [(one.total_minor, one.currency, one.status) for one in there(desk).book() if one.kind == kind]


def state(desk: Case, work: Work) -> str:
    return desk.bench.find(desk.wire, BC, work).state


def test_an_invoice_is_paid_by_a_payment_and_by_a_credit_memo_that_takes_it_back(desk: Case) -> None:
    desk.post(desk.work("payment", "create"))
    assert entries(desk, "invoice") == [(54438, "USD", "paid")]
    assert entries(desk, "payment") == [(54438, "USD", "posted")]
    assert there(desk).rows["customerPaymentJournals"] == {}, "the empty journal is deleted"
    desk.post(desk.work("invoice", "void", "b"))
    assert [status for _, _, status in entries(desk, "invoice")] == ["paid", "paid"]
    memo = next(one for one in there(desk).book() if one.kind == "credit_note")
    assert memo.parent_ref == BC.reference.of("invoiceb of invoice void")


@pytest.mark.parametrize("kind", ["invoice", "credit_note", "payment"])
@pytest.mark.parametrize("fault", ["drop_before", "commit_then_drop"])
@pytest.mark.parametrize("call", ["make", "post"])
def test_a_line_that_drops_loses_nothing_and_doubles_nothing(desk: Case, kind: str, fault: str, call: str) -> None:
    work = desk.work(kind, "create")
    match = POST if call == "post" else "POST .*/(salesInvoices|salesCreditMemos|customerPaymentJournals)$"
    desk.bench.sandboxes.faults.add(Fault(fault, match))
    with pytest.raises(Uncertain):
        BC.send(desk.wire, [work])
    done = fault == "commit_then_drop"
    wanted = {("make", False): "absent", ("make", True): "partial", ("post", False): "partial"}
    assert state(desk, work) == wanted.get((call, done), "complete")
    desk.post(work)
    assert state(desk, work) == "complete"
    book = [one for one in there(desk).book() if one.external_ref == work.ref]
    assert [one.status in ("open", "paid", "posted") for one in book] == [True]


@pytest.mark.parametrize(
    ("fault", "verdict", "code"),
    [
        ("closed_period", NeedsHuman, "period_closed"),
        ("concurrency_429", TryAgain, "target_busy"),
        ("rate_limit", TryAgain, "target_busy"),
        ("html_500", Uncertain, "target_unclear"),
        ("unavailable", Uncertain, "target_down"),
        ("ok_with_errors", Uncertain, "target_unclear"),
        ("truncated", Uncertain, "target_lost"),
    ],
)
def test_faults_get_their_verdict(desk: Case, fault: str, verdict: type[Exception], code: str) -> None:
    work = desk.work("invoice", "create")
    desk.bench.sandboxes.faults.add(Fault(fault, "POST .*/salesInvoices$"))
    with pytest.raises(verdict, match=code):
        BC.send(desk.wire, [work])


@pytest.mark.parametrize("fault", ["concurrency_429", "html_500", "unavailable"])
def test_a_draft_whose_posting_was_put_off_is_in_doubt_and_then_goes_on(desk: Case, fault: str) -> None:
    work = desk.work("invoice", "create")
    desk.bench.sandboxes.faults.add(Fault(fault, POST))
    with pytest.raises(Uncertain, match="post: "):
        BC.send(desk.wire, [work])
    desk.bench.advance(60)
    assert state(desk, work) == "partial"
    desk.post(work)
    assert entries(desk, "invoice") == [(54438, "USD", "open")]


@pytest.mark.parametrize("kind", ["invoice", "payment"])
def test_a_closed_period_refuses_the_posting_and_a_new_day_replaces_the_draft(desk: Case, kind: str) -> None:
    work = desk.work(kind, "create")
    there(desk).closed_until = date(2026, 11, 4)
    with pytest.raises(NeedsHuman, match="period_closed"):
        BC.send(desk.wire, [work])
    assert state(desk, work) == "partial"
    body = read(work)
    (body if kind == "invoice" else body["customerPayments"][0])["postingDate"] = "2026-11-05"
    desk.post(again(work, body))
    assert [one.status for one in there(desk).book() if one.external_ref == work.ref] == [
        "open" if kind == "invoice" else "posted"
    ]
    dates = {row["postingDate"] for row in there(desk).rows["generalLedgerEntries"].values()}
    assert dates == ({"2026-11-05"} if kind == "payment" else set())


def read(work: Work) -> dict[str, Any]:
    body: dict[str, Any] = wire.loads(Request.load(work.payload).body)
    return body


def again(work: Work, body: dict[str, Any]) -> Work:
    """The same work with another body."""
    request = Request.load(work.payload)
    made = Request(request.method, request.path, write_json(body), request.headers)
    return dataclasses.replace(work, payload=made.dump())


def test_a_draft_of_another_total_is_shown_and_never_posted(desk: Case) -> None:
    work = dataclasses.replace(desk.work("invoice", "create"), total=54439)
    echo = BC.send(desk.wire, [work])[0]
    assert echo is not None
    assert echo.total == 54438
    found = desk.bench.find(desk.wire, BC, work)
    assert (found.state, found.code) == ("ambiguous", "target_echo_differs")
    assert [status for _, _, status in entries(desk, "invoice")] == ["draft"]
    assert desk.bench.sandboxes.calls(POST) == []


def test_two_drafts_of_one_reference_are_seen_before_either_is_posted(desk: Case) -> None:
    work = desk.work("invoice", "create")
    desk.bench.sandboxes.faults.add(Fault("commit_then_drop", "POST .*/salesInvoices$"))
    with pytest.raises(Uncertain):
        BC.send(desk.wire, [work])
    # Another maker at the same instant: it looked before the first one's write was there.
    httpx.post(
        f"{there(desk).base_url}/companies({there(desk).company_id})/salesInvoices",
        headers={"Authorization": f"Bearer {next(iter(there(desk)._tokens))}"}, content=Request.load(work.payload).body,
    ).raise_for_status()  # fmt: skip
    with pytest.raises(Uncertain, match="target_duplicate"):
        BC.send(desk.wire, [work])
    assert desk.bench.find(desk.wire, BC, work).code == "found_several"
    assert [status for _, _, status in entries(desk, "invoice")] == ["draft", "draft"]


def test_a_changed_customer_is_found_once_it_shows_the_change_and_a_stale_tag_is_tried_again(desk: Case) -> None:
    for mail in ("a@bluebird.example", "b@bluebird.example", "a@bluebird.example"):
        work = desk.make("customer", "upsert", email=mail)
        assert state(desk, work) == "absent"
        desk.post(work)
        assert state(desk, work) == "complete"
    assert len(entries(desk, "customer")) == 1
    sandbox = there(desk)
    row = next(iter(sandbox.rows["customers"].values()))
    shown = sandbox._filtered

    def changed_meanwhile(entities: str, query: Any) -> Any:
        found = shown(entities, query)
        row["rev"] += 1
        return found

    sandbox._filtered = changed_meanwhile  # type: ignore[method-assign]
    with pytest.raises(TryAgain, match="target_conflict"):
        BC.send(desk.wire, [desk.make("customer", "upsert", email="c@bluebird.example")])


def test_a_customer_is_seen_by_tax_number_or_mail_or_name_unless_it_is_blocked(desk: Case) -> None:
    ident = desk.post(desk.make("customer", "upsert", displayName="O'Neill & Sons")).remote
    for facts in ({"tax_id": "84-2210456"}, {"email": "finance@bluebird.example"}, {"name": "O'Neill & Sons"}):
        assert [one.remote for one in BC.look(desk.wire, "customer", facts)] == [ident]
    there(desk).rows["customers"][ident]["blocked"] = "All"
    assert BC.look(desk.wire, "customer", {"name": "O'Neill & Sons"}) == []


def test_what_master_data_lacks_and_a_payment_in_another_currency_are_for_a_person(desk: Case) -> None:
    line = {**desk.payload("invoice", "create")["salesInvoiceLines"][0], "lineObjectNumber": "GONE"}
    with pytest.raises(NeedsHuman, match="target_reference_missing"):
        BC.send(
            desk.wire,
            [desk.make("invoice", "create", salesInvoiceLines=[line], **desk.parents("invoice", "create", ""))],
        )
    with pytest.raises(NeedsHuman, match="currency_not_mapped"):
        BC.send(desk.wire, [dataclasses.replace(desk.work("payment", "create"), currency="EUR")])
    with pytest.raises(NeedsHuman, match="target_refused"):
        BC.send(
            desk.wire, [desk.make("payment", "create", amount=Decimal(5), **desk.parents("payment", "create", "x"))]
        )
    assert entries(desk, "payment") == []


def test_a_stale_token_is_renewed_once_and_an_account_without_its_company_is_not_asked(desk: Case) -> None:
    desk.post(desk.work("customer", "upsert"))
    desk.bench.sandboxes.faults.add(Fault("stale_token", "PATCH .*/customers"))
    desk.post(desk.work("customer", "upsert"))
    assert len(desk.bench.sandboxes.calls("POST /businesscentral/acme/oauth2")) == 2
    bare = {**there(desk).secret(), "settings": {}}
    with pytest.raises(TryAgain, match="company_id"):
        BC.send(HttpWire(BC, "acme", lambda: bare, desk.bench.now), [desk.work("customer", "upsert")])


def test_an_undone_customer_is_blocked_and_one_that_is_not_there_cannot_be_undone(desk: Case) -> None:
    undo = desk.work("customer", "undo")
    desk.post(undo)
    assert [status for _, _, status in entries(desk, "customer")] == ["blocked"]
    assert BC.look(desk.wire, "customer", {"name": "Bluebird Robotics Inc"}) == []
    with pytest.raises(NeedsHuman, match="target_no_such_thing"):
        BC.send(desk.wire, [desk.make("customer", "undo", "nobody")])
    assert len(entries(desk, "customer")) == 1
