"""Tryton against its sandbox over real HTTP: what post makes, find sees; drafts are taken up; refusals differ."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from infra.accept import examples, outcome
from infra.local.sandbox import Fault
from infra.local.sandbox.tryton import Tryton
from tests.integration.systems.conftest import Bench
from tieout import systems
from tieout.aws.http import HttpWire
from tieout.contract import Work
from tieout.core.exchange import Request
from tieout.core.money import Currency, Money
from tieout.core.verdicts import NeedsHuman, TryAgain, Uncertain

TRYTON = systems.target("tryton")
MADE = {one.mapping.removeprefix("tryton."): outcome(one)["makes"] for one in examples()
        if one.name.startswith("tryton.") and one.path.stem == "usual"}  # fmt: skip
DOCUMENTS = [("invoice", "create"), ("invoice", "void"), ("credit_note", "create"), ("payment", "create")]


class Desk:
    """One company, its wire, and works made of what the mapping examples make."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.there = bench, bench.sandboxes.of(Tryton)
        self.wire = HttpWire(TRYTON, "acme", self.there.secret, bench.now)

    def work(self, kind: str, action: str = "create", ref: str = "", total: int = 54438, **change: Any) -> Work:
        action = "upsert" if kind == "customer" else action
        ref = TRYTON.reference.of(f"{kind}{action}{ref}")
        mapping = (TRYTON.actions[kind, action].mapping or "").removeprefix("tryton.")
        payload = TRYTON.build(kind, action, ref, {**MADE[mapping], **change})
        money = kind != "customer"
        return Work(f"{kind}/{ref}", kind, action, ref, "US01", "acme", "USD" if money else None,
                    total if money else None, payload, self.bench.now())  # fmt: skip

    def post(self, work: Work) -> str:
        return self.bench.post(self.wire, TRYTON, work).remote

    def party(self) -> str:
        """A party posted, as documents name it."""
        return self.post(self.work("customer"))

    def document(self, kind: str, action: str = "create", ref: str = "", **change: Any) -> Work:
        """A document of a party that is there."""
        party = self.party()
        if (kind, action) != ("invoice", "create"):
            change["settles"] = self.post(self.document("invoice"))
        if kind == "payment":
            return self.work(kind, action, ref, credit={**MADE["payment"]["credit"], "party": party}, **change)
        return self.work(kind, action, ref, party=party, **change)

    def amount(self, kind: str, minor: int, ref: str = "") -> Work:
        """A payment, or a credit note of one line without tax, over minor units, against the one invoice."""
        value = Money(minor, Currency.of("USD")).decimal
        if kind == "payment":
            debit = {**MADE[kind]["debit"], "debit": value}
            credit = {**MADE[kind]["credit"], "credit": value, "party": self.party()}
            settles = self.post(self.document("invoice"))
            return self.work(kind, "create", ref, minor, debit=debit, credit=credit, settles=settles)
        line = {**MADE[kind]["lines"][0], "unit_price": value}
        return dataclasses.replace(self.document(kind, "create", ref, lines=[line], taxes=[]), total=minor)

    def invoice(self) -> dict[str, Any]:
        """The one invoice as Tryton holds it."""
        row: dict[str, Any] = next(x for x in self.there.rows["account.invoice"].values() if x["total_amount"] > 0)
        return row

    def entries(self, kind: str) -> list[tuple[int, str, str]]:
        book = self.bench.sandboxes.book("tryton", "acme")
        return [(one.total_minor, one.currency, one.status) for one in book if one.kind == kind]

    def drafts(self) -> int:
        return sum(row["state"] == "draft" for row in self.there.rows["account.invoice"].values())


@pytest.fixture
def desk(bench: Bench) -> Desk:
    return Desk(bench)


def test_a_customer_an_invoice_its_payment_and_a_credit_note_are_posted_and_found(desk: Desk) -> None:
    works = [desk.work("customer"), *(desk.document(kind, action) for kind, action in DOCUMENTS)]
    for one in works:
        desk.post(one)
    assert [desk.bench.find(desk.wire, TRYTON, one).state for one in works] == ["complete"] * 5
    assert desk.entries("invoice") == desk.entries("payment") == [(54438, "USD", "posted")]
    assert desk.entries("credit_note") == [(54438, "USD", "posted")] * 2  # a void is one too
    assert len(desk.entries("customer")) == 1


@pytest.mark.parametrize(("kind", "action"), [("customer", "upsert"), *DOCUMENTS])
def test_the_same_bytes_twice_are_one_document_of_each_kind(desk: Desk, kind: str, action: str) -> None:
    work = desk.work(kind) if kind == "customer" else desk.document(kind, action)
    assert desk.post(work) == desk.post(work)
    assert len(desk.entries("credit_note" if action == "void" else kind)) == 1


def test_an_invoice_gets_a_number_and_the_address_of_its_party(desk: Desk) -> None:
    echo = desk.bench.post(desk.wire, TRYTON, desk.document("invoice"))
    assert echo.number == "US01-2026-000001"
    assert desk.there.rows["account.invoice"][1]["invoice_address"] == 1


def test_a_party_without_an_address_stops_its_invoice_before_anything_is_written(desk: Desk) -> None:
    with pytest.raises(NeedsHuman, match="target_reference_missing"):
        TRYTON.send(desk.wire, [desk.work("invoice")])
    assert desk.there.rows["account.invoice"] == {}


@pytest.mark.parametrize("where", [r"POST .*/account\.invoice$", r"POST .*/post$"])
def test_a_line_that_drops_before_or_behind_either_write_leaves_a_state_that_find_tells(desk: Desk, where: str) -> None:
    step = "partial" if "post" in where else "absent"
    behind = "complete" if "post" in where else "partial"
    for fault, wanted in (("drop_before", step), ("commit_then_drop", behind)):
        work = desk.document("invoice", ref=fault)
        desk.bench.sandboxes.faults.add(Fault(fault, where))
        with pytest.raises(Uncertain):
            TRYTON.send(desk.wire, [work])
        assert desk.bench.find(desk.wire, TRYTON, work).state == wanted
        desk.post(work)
    assert len(desk.entries("invoice")) == 2
    assert desk.drafts() == 0


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
        ("stale_token", TryAgain, "target_credentials"),
    ],
)
def test_trytons_faults_get_their_verdict(desk: Desk, fault: str, verdict: type[Exception], code: str) -> None:
    desk.bench.sandboxes.faults.add(Fault(fault, "POST .*/party"))
    with pytest.raises(verdict, match=code):
        TRYTON.send(desk.wire, [desk.work("customer")])


def test_a_closed_period_refuses_the_post_and_what_it_leaves_is_in_no_book(desk: Desk) -> None:
    work = desk.document("invoice")
    desk.there.closed_until = date(2026, 11, 30)
    with pytest.raises(NeedsHuman, match="period_closed"):
        TRYTON.send(desk.wire, [work])
    assert desk.bench.find(desk.wire, TRYTON, work).state == "partial"
    assert desk.entries("invoice") == []
    desk.there.closed_until = None
    desk.post(work)
    assert len(desk.there.rows["account.invoice"]) == 1


def test_a_payment_in_a_closed_period_is_refused_before_anything_is_written(desk: Desk) -> None:
    work = desk.document("payment")
    desk.there.closed_until = date(2026, 11, 30)
    with pytest.raises(NeedsHuman, match="period_closed"):
        TRYTON.send(desk.wire, [work])
    assert desk.there.rows["account.move"] == {}


@pytest.mark.parametrize(
    "change",
    [
        {"invoice_date": "2026-11-01"},  # before the last number's
        {"invoice_date": "2026-11-24"},  # tomorrow
        {"payment_term_date": "2026-11-22"},  # yesterday
        {"lines": [{**MADE["invoice"]["lines"][0], "unit_price": Decimal("500.00001")}]},
    ],
)
def test_what_tryton_asks_a_person_or_refuses_is_for_a_person(desk: Desk, change: Mapping[str, Any]) -> None:
    desk.post(desk.document("invoice", ref="first"))
    with pytest.raises(NeedsHuman, match="target_refused"):
        TRYTON.send(desk.wire, [desk.document("invoice", **change)])
    assert len(desk.entries("invoice")) == 1


def test_a_draft_that_adds_up_to_another_total_is_shown_and_not_posted(desk: Desk) -> None:
    work = desk.document("invoice", taxes=[{**MADE["invoice"]["taxes"][0], "amount": Decimal("44.39")}])
    echo = TRYTON.send(desk.wire, [work])[0]
    assert echo is not None
    assert (echo.total, desk.drafts(), desk.entries("invoice")) == (54439, 1, [])
    assert desk.bench.find(desk.wire, TRYTON, work).state == "ambiguous"


def test_two_drafts_of_one_reference_are_for_a_person_and_none_is_posted(desk: Desk) -> None:
    work = desk.document("invoice")
    request = Request.load(work.payload)
    for _ in range(2):
        body = request.body[:-1] + b',"invoice_address":1}'
        headers = {**request.headers, "X-Tryton-Context": "e30="}
        assert desk.wire.call("POST", request.path, headers=headers, body=body).status == 200
    with pytest.raises(Uncertain, match="target_duplicate"):
        TRYTON.send(desk.wire, [work])
    assert desk.bench.find(desk.wire, TRYTON, work).code == "found_several"


@pytest.mark.parametrize("changed", ["mail", "street"])
def test_a_changed_customer_is_found_only_once_it_shows_the_change_and_back_again(desk: Desk, changed: str) -> None:
    usual = MADE["customer"]
    for value in ("a", "b", "a"):
        mail = [{"type": "email", "value": f"{value}@bluebird.example"}]
        address = [{**usual["addresses"][0], "street": f"{value} Street"}]
        change: dict[str, Any] = {"contact_mechanisms": mail} if changed == "mail" else {"addresses": address}
        work = desk.work("customer", **change)
        assert desk.bench.find(desk.wire, TRYTON, work).state == "absent"
        desk.post(work)
        assert desk.bench.find(desk.wire, TRYTON, work).state == "complete"
    assert len(desk.entries("customer")) == 1
    assert len(desk.there.rows["party.address"]) == len(desk.there.rows["party.contact_mechanism"]) == 1


def test_a_country_that_tryton_does_not_know_stops_a_customer_before_anything_is_written(desk: Desk) -> None:
    with pytest.raises(NeedsHuman, match="target_reference_missing"):
        TRYTON.send(desk.wire, [desk.work("customer", addresses=[{"city": "Vaduz", "country": "LI"}])])
    assert desk.there.rows["party.party"] == {}


def test_a_customer_is_seen_by_its_name(desk: Desk) -> None:
    ident = desk.post(desk.work("customer"))
    assert [one.remote for one in TRYTON.look(desk.wire, "customer", {"name": "Bluebird Robotics Inc"})] == [ident]
    assert TRYTON.look(desk.wire, "customer", {"name": "nobody"}) == []


def test_a_recorded_request_of_tryton_holds_no_key_and_is_read_back_whole(desk: Desk) -> None:
    recorded = desk.work("invoice").payload
    assert desk.there.key.encode() not in recorded
    assert Request.load(recorded).dump() == recorded


def test_an_unknown_field_is_a_mistake_of_ours_and_in_doubt_as_the_real_server_answers_it_with_500(desk: Desk) -> None:
    request = Request.load(desk.work("customer").payload)
    wrong = Request(request.method, request.path, b'{"stripe_id":"cus_1","code":"x"}', request.headers).dump()
    with pytest.raises(Uncertain, match="target_unclear"):
        TRYTON.send(desk.wire, [dataclasses.replace(desk.work("customer"), payload=wrong)])


@pytest.mark.parametrize("kind", ["payment", "credit_note"])
def test_what_is_set_against_an_invoice_is_less_to_pay_of_it_and_is_not_done_twice(desk: Desk, kind: str) -> None:
    work = desk.amount(kind, 50_000)
    for _ in range(2):
        desk.post(work)
        assert desk.invoice()["amount_to_pay"] == Decimal("44.38")
        assert len(desk.invoice()["payment_lines"]) == 1
    rest = desk.amount("payment", 4_438, "rest")
    desk.post(rest)
    assert desk.invoice()["amount_to_pay"] == 0
    assert [desk.bench.find(desk.wire, TRYTON, one).state for one in (work, rest)] == ["complete", "complete"]


def test_a_move_names_its_invoice_as_trytons_own_payment_does(desk: Desk) -> None:
    desk.post(desk.document("payment"))
    [move] = desk.there.rows["account.move"].values()
    assert move["origin"] == f"account.invoice,{desk.invoice()['id']}"


def test_more_than_is_open_stands_on_account_because_tryton_does_not_split_a_line(desk: Desk) -> None:
    desk.post(desk.amount("credit_note", 50_000))
    work = desk.amount("payment", 4_439)
    desk.post(work)
    assert desk.invoice()["amount_to_pay"] == Decimal("44.38")
    assert desk.bench.find(desk.wire, TRYTON, work).state == "complete"


def test_what_a_person_has_reconciled_or_set_against_another_invoice_is_left_alone(desk: Desk) -> None:
    paid = desk.document("payment")
    desk.post(paid)
    desk.there.reconcile(desk.invoice())
    late = desk.document("credit_note")
    moved = desk.there.rows["account.invoice"][int(desk.post(late))]
    moved["lines_to_pay"][0]["invoice_payment"] = 4711
    desk.invoice()["state"], desk.invoice()["amount_to_pay"] = "posted", Decimal(600)
    for work in (paid, late):
        desk.post(work)
        assert desk.bench.find(desk.wire, TRYTON, work).state == "complete"
    assert len(desk.invoice()["payment_lines"]) == 1


def test_a_refusal_to_set_it_against_its_invoice_is_doubt_and_then_a_persons(desk: Desk) -> None:
    work = desk.document("payment")
    for verdict, said in ((Uncertain, "target_unclear"), (NeedsHuman, "period_closed")):
        desk.bench.sandboxes.faults.add(Fault("closed_period", r"PUT .*/account\.invoice/\d+$"))
        with pytest.raises(verdict, match=said):
            TRYTON.send(desk.wire, [work])
        assert desk.bench.find(desk.wire, TRYTON, work).state == "partial"
    desk.post(work)
    assert desk.invoice()["amount_to_pay"] == 0


def test_an_invoice_that_is_not_there_stops_its_payment_before_anything_is_written(desk: Desk) -> None:
    work = desk.work("payment", settles="4711", credit={**MADE["payment"]["credit"], "party": desk.party()})
    with pytest.raises(NeedsHuman, match="target_reference_missing"):
        TRYTON.send(desk.wire, [work])
    assert desk.there.rows["account.move"] == {}


def test_a_void_of_an_invoice_that_is_paid_stays_on_account(desk: Desk) -> None:
    desk.post(desk.document("payment"))
    party = desk.party()
    sent = {name: value for name, value in MADE["invoice_void"].items() if name != "settles"}
    body = TRYTON.build("invoice", "void", ref := TRYTON.reference.of("paid"), {**sent, "party": party})
    work = dataclasses.replace(desk.work("invoice", "void"), ref=ref, payload=body)
    desk.post(work)
    assert len(desk.invoice()["payment_lines"]) == 1
    assert desk.bench.find(desk.wire, TRYTON, work).state == "complete"
