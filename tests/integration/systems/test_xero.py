"""Xero against its sandbox over real HTTP: what post makes, find sees; faults get their verdict; tokens rotate."""

from __future__ import annotations

import dataclasses
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from infra.accept import examples, outcome
from infra.local.sandbox import Fault, wire
from infra.local.sandbox.xero import Xero
from tests.integration.systems.cases.rotating import Store
from tests.integration.systems.conftest import Bench
from tieout import systems
from tieout.aws.http import HttpWire
from tieout.contract import Wire, Work
from tieout.core.exchange import Request
from tieout.core.parse import write_json
from tieout.core.verdicts import NeedsHuman, TryAgain, Uncertain

XERO = systems.target("xero")
MADE = {one.mapping.removeprefix("xero."): outcome(one)["makes"] for one in examples() if one.name.startswith("xero.")
        and one.path.stem == "usual"}  # fmt: skip


class Desk:
    """One organisation, its wire, and works made of what the mapping examples make."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.store, self.there = bench, Store(), bench.sandboxes.of(Xero)
        self.wire: Wire = HttpWire(XERO, "acme", self.there.secret, bench.now, tokens=self.store)

    def work(self, kind: str, ref: str = "", total: int | None = 54438, **change: Any) -> Work:
        action = "upsert" if kind == "customer" else "create"
        ref = XERO.reference.of(f"{kind}{ref}")
        payload = XERO.build(kind, action, ref, {**MADE[kind], **change})
        return Work(
            f"{kind}/{ref}", kind, action, ref, "US01", "acme", None if kind == "customer" else "USD",
            None if kind == "customer" else total, payload, self.bench.now(),
        )  # fmt: skip

    def post(self, work: Work) -> str:
        return self.bench.post(self.wire, XERO, work).remote

    def customer(self) -> dict[str, Any]:
        """A contact posted, as documents name it."""
        return {"Contact": {"ContactID": self.post(self.work("customer"))}}

    def entries(self, kind: str) -> list[tuple[int, str, str]]:
        book = self.bench.sandboxes.book("xero", "acme")
        return [(one.total_minor, one.currency, one.status) for one in book if one.kind == kind]


@pytest.fixture
def desk(bench: Bench) -> Desk:
    return Desk(bench)


def test_a_customer_an_invoice_its_payment_and_a_credit_note_are_posted_and_found(desk: Desk) -> None:
    contact = desk.customer()
    invoice = desk.work("invoice", **contact)
    paid: dict[str, Any] = {"Invoice": {"InvoiceID": desk.post(invoice)}}
    works = [invoice, desk.work("payment", **paid), desk.work("credit_note", **contact), desk.work("customer")]
    for one in works[1:]:
        desk.post(one)
    assert [desk.bench.find(desk.wire, XERO, one).state for one in works] == ["complete"] * 4
    assert desk.entries("invoice") == [(54438, "USD", "paid")]
    assert desk.entries("payment") == desk.entries("credit_note") == [(54438, "USD", "authorised")]


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
def test_xero_faults_get_their_verdict(desk: Desk, fault: str, verdict: type[Exception], code: str) -> None:
    desk.bench.sandboxes.faults.add(Fault(fault, "POST .*/Contacts"))
    with pytest.raises(verdict, match=code):
        XERO.send(desk.wire, [desk.work("customer")])


def test_a_date_behind_the_lock_date_is_a_closed_period_also_inside_a_200(desk: Desk) -> None:
    work = desk.work("invoice", **desk.customer())
    desk.there.lock_date = date(2026, 11, 30)
    # Without the switch it is refused under HTTP 200 (and without the key, which would give the first answer again).
    silent = work.payload.replace(b"summarizeErrors=true&", b"").replace(b"Idempotency-Key: ", b"X-Nothing: ")
    for payload, status in ((work.payload, 400), (silent, 200)):
        with pytest.raises(NeedsHuman, match="period_closed"):
            XERO.send(desk.wire, [dataclasses.replace(work, payload=payload)])
        assert desk.bench.sandboxes.log[-1].status == status
    assert desk.entries("invoice") == []


def test_a_price_times_quantity_that_misses_the_line_is_refused_and_one_unit_at_the_net_is_not(desk: Desk) -> None:
    contact = desk.customer()
    line = {**MADE["invoice"]["LineItems"][0], "LineAmount": 10, "TaxAmount": 0}
    trap = desk.work(
        "invoice", "a", 1000, **contact, LineItems=[{**line, "Quantity": 3, "UnitAmount": Decimal("3.33")}]
    )
    with pytest.raises(NeedsHuman, match="target_refused"):
        XERO.send(desk.wire, [trap])
    desk.post(desk.work("invoice", "b", 1000, **contact, LineItems=[{**line, "Quantity": 1, "UnitAmount": 10}]))


def test_a_second_invoice_of_one_number_and_a_payment_too_large_are_for_a_person(desk: Desk) -> None:
    contact = desk.customer()
    ident = desk.post(desk.work("invoice", **contact))
    too_much = desk.work("payment", Invoice={"InvoiceID": ident}, Amount=Decimal("544.39"))
    for one in (desk.work("invoice", "again", **contact), too_much):
        with pytest.raises(NeedsHuman, match="target_refused"):
            XERO.send(desk.wire, [one])


def test_a_changed_customer_is_found_only_once_it_shows_the_change_and_back_again(desk: Desk) -> None:
    for mail in ("a@bluebird.example", "b@bluebird.example", "a@bluebird.example"):
        work = desk.work("customer", EmailAddress=mail)
        assert desk.bench.find(desk.wire, XERO, work).state == "absent"
        desk.post(work)
        assert desk.bench.find(desk.wire, XERO, work).state == "complete"
    assert len(desk.entries("customer")) == 1


def test_a_customer_is_seen_by_tax_number_or_mail_or_name(desk: Desk) -> None:
    ident = desk.post(desk.work("customer"))
    for facts in ({"tax_id": "84-2210456"}, {"email": "finance@bluebird.example"}, {"name": "Bluebird Robotics Inc"}):
        assert [one.remote for one in XERO.look(desk.wire, "customer", facts)] == [ident]
    assert XERO.look(desk.wire, "customer", {"name": 'x" OR Name!="'}) == []


def test_each_renewal_is_stored_before_its_token_is_used_and_a_stale_one_is_renewed(desk: Desk) -> None:
    desk.post(desk.work("customer"))
    desk.bench.sandboxes.faults.add(Fault("stale_token", "POST .*/Contacts"))
    desk.post(desk.work("customer"))
    desk.bench.advance(1795)
    desk.post(desk.work("customer"))
    assert len({pair.refresh for pair in desk.store.stored}) == 3
    assert desk.store.stored[-1].refresh == desk.there.tokens.refresh
    died = (desk.bench.now() + timedelta(days=60)).date().isoformat()
    assert desk.store.stored[-1].expires_on == died


def test_another_organisation_is_forbidden(desk: Desk) -> None:
    secret = {**desk.there.secret(), "settings": {"tenant_id": "another"}}
    other = HttpWire(XERO, "acme", lambda: secret, desk.bench.now, tokens=desk.store)
    with pytest.raises(NeedsHuman, match="target_forbidden"):
        XERO.send(other, [desk.work("customer")])


def test_the_sandbox_answers_an_idempotency_key_again_and_refuses_it_for_other_bytes(desk: Desk) -> None:
    work = desk.work("invoice", **desk.customer())
    first = XERO.send(desk.wire, [work])
    assert XERO.send(desk.wire, [work]) == first
    request = Request.load(work.payload)
    body = wire.loads(request.body)
    body["Invoices"][0]["InvoiceNumber"] = "NW-0002"
    other = Request(request.method, request.path, write_json(body), request.headers).dump()
    with pytest.raises(NeedsHuman, match="target_refused"):
        XERO.send(desk.wire, [dataclasses.replace(work, payload=other)])
    assert isinstance(desk.there, Xero)
    assert httpx.get(desk.there.base_url + "/api.xro/2.0/Invoices").status_code == 401
