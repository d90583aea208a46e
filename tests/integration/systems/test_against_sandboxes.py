from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from infra.local.sandbox import Fault
from tests.integration.systems.cases.netsuite import in_dollars
from tests.integration.systems.conftest import Bench, document_of, status
from tieout import systems
from tieout.core import documents
from tieout.core.documents import Customer
from tieout.core.money import Money
from tieout.core.rules import onboarding
from tieout.core.verdicts import NeedsHuman, TryAgain, Uncertain

NETSUITE, STRIPE, SALESFORCE, LEGACY = (systems.target(name) for name in ("netsuite", "stripe", "salesforce", "legacy"))


def netsuite_customer(bench: Bench, customer: Customer) -> dict[str, Any]:
    """Facts of a customer at NetSuite, as post hands them to a mapping."""
    work = bench.work(NETSUITE, "upsert", customer, {})
    echo = bench.post(bench.wire("netsuite"), NETSUITE, work)
    return {"canonical": customer.canonical_id, "ref": work.ref, "remote": echo.remote}


def netsuite_invoice(bench: Bench, customer: Customer) -> tuple[dict[str, Any], dict[str, Any]]:
    """An invoice posted: facts of its customer and of itself as a parent."""
    facts = netsuite_customer(bench, customer)
    doc = document_of("stripe/invoice.finalized", "stripe.invoice")
    work = bench.work(NETSUITE, "create", doc, {"customer": facts})
    echo = bench.post(bench.wire("netsuite"), NETSUITE, work)
    return facts, {"ref": work.ref, "remote": echo.remote, "applied": False}


def test_an_invoice_its_payment_and_its_customer_are_posted_to_netsuite(bench: Bench, customer: Customer) -> None:
    facts, parent = netsuite_invoice(bench, customer)
    payment = document_of("stripe/invoice.paid", "stripe.payment")
    work = bench.work(NETSUITE, "create", payment, {"customer": facts, "parent": parent})
    bench.post(bench.wire("netsuite"), NETSUITE, work)
    book = {entry.kind: entry for entry in bench.sandboxes.book("netsuite", "acme")}
    assert (book["invoice"].total_minor, book["invoice"].currency, book["invoice"].status) == (108876, "USD", "paid")
    assert (book["payment"].total_minor, book["payment"].parent_ref) == (108876, parent["ref"])


def test_a_voided_invoice_is_taken_back_by_a_credit_memo_applied_to_it(bench: Bench, customer: Customer) -> None:
    facts, parent = netsuite_invoice(bench, customer)
    doc = document_of("stripe/invoice.finalized", "stripe.invoice")
    work = bench.work(NETSUITE, "void", doc, {"customer": facts, "parent": parent})
    bench.post(bench.wire("netsuite"), NETSUITE, work)
    memo = next(entry for entry in bench.sandboxes.book("netsuite", "acme") if entry.kind == "credit_note")
    assert (memo.total_minor, memo.parent_ref, memo.status) == (108876, parent["ref"], "applied")


def test_a_credit_note_is_applied_to_its_invoice(bench: Bench, customer: Customer) -> None:
    facts, parent = netsuite_invoice(bench, customer)
    note = document_of("stripe/credit_note.created", "stripe.credit_note")
    work = bench.work(NETSUITE, "create", in_dollars(note), {"customer": facts, "parent": parent})
    bench.post(bench.wire("netsuite"), NETSUITE, work)
    memo = next(entry for entry in bench.sandboxes.book("netsuite", "acme") if entry.kind == "credit_note")
    assert (memo.total_minor, memo.parent_ref) == (7140, parent["ref"])


def test_a_failed_read_back_is_no_licence_to_write_again(bench: Bench, customer: Customer) -> None:
    facts = netsuite_customer(bench, customer)
    doc = document_of("stripe/invoice.finalized", "stripe.invoice")
    work = bench.work(NETSUITE, "create", doc, {"customer": facts})
    for kind in ("concurrency_429", "html_500", "drop_before"):
        bench.sandboxes.faults.add(Fault(kind, "GET .*/invoice/"))
        with pytest.raises(Uncertain):
            NETSUITE.send(bench.wire("netsuite"), [work])


@pytest.mark.parametrize(
    ("fault", "verdict", "code"),
    [
        ("closed_period", NeedsHuman, "period_closed"),
        ("concurrency_429", TryAgain, "target_busy"),
        ("rate_limit", TryAgain, "target_busy"),
        ("html_500", Uncertain, "target_unclear"),
        ("unavailable", Uncertain, "target_down"),
        ("ok_with_errors", Uncertain, "target_unclear"),
        ("drop_before", Uncertain, "target_lost"),
    ],
)
def test_netsuite_faults_get_their_verdict(
    bench: Bench, customer: Customer, fault: str, verdict: type[Exception], code: str
) -> None:
    work = bench.work(NETSUITE, "upsert", customer, {})
    bench.sandboxes.faults.add(Fault(fault, "PUT "))
    with pytest.raises(verdict, match=code):
        NETSUITE.send(bench.wire("netsuite"), [work])


def test_a_stale_token_is_renewed_once_and_nothing_is_lost(bench: Bench, customer: Customer) -> None:
    wire = bench.wire("netsuite")
    bench.post(wire, NETSUITE, bench.work(NETSUITE, "upsert", customer, {}))
    bench.sandboxes.faults.add(Fault("stale_token", "PUT "))
    bench.post(wire, NETSUITE, bench.work(NETSUITE, "upsert", customer, {}))
    assert len(bench.sandboxes.calls("POST /netsuite/acme/services/rest/auth")) == 2


def test_a_token_is_renewed_before_it_ends(bench: Bench, customer: Customer) -> None:
    wire = bench.wire("netsuite")
    work = bench.work(NETSUITE, "upsert", customer, {})
    bench.post(wire, NETSUITE, work)
    bench.advance(3545)
    bench.post(wire, NETSUITE, work)
    assert [call.status for call in bench.sandboxes.calls("PUT ")] == [204, 204]
    assert len(bench.sandboxes.calls("auth/oauth2")) == 2


def test_a_changed_customer_is_not_found_complete_until_it_shows_the_change(bench: Bench, customer: Customer) -> None:
    wire = bench.wire("netsuite")
    work = bench.work(NETSUITE, "upsert", customer, {})
    bench.post(wire, NETSUITE, work)
    assert bench.find(wire, NETSUITE, work).state == "complete"
    changed = bench.work(NETSUITE, "upsert", customer.model_copy(update={"email": "new@bluebird.example"}), {})
    assert bench.find(wire, NETSUITE, changed).state == "absent"
    bench.post(wire, NETSUITE, changed)
    assert bench.find(wire, NETSUITE, changed).state == "complete"


def test_a_customer_is_seen_by_tax_number_or_mail_or_name_and_made_inactive_by_undo(
    bench: Bench, customer: Customer
) -> None:
    wire = bench.wire("netsuite")
    echo = bench.post(wire, NETSUITE, bench.work(NETSUITE, "upsert", customer, {}))
    for facts in ({"tax_id": "84-2210456"}, {"email": "finance@bluebird.example"}, {"name": "Bluebird Robotics Inc"}):
        assert [one.remote for one in NETSUITE.look(wire, "customer", facts)] == [echo.remote]
    assert NETSUITE.look(wire, "customer", {"name": "O'Neil"}) == []
    undo = bench.work(NETSUITE, "undo", customer, {})
    assert bench.find(wire, NETSUITE, undo).state == "absent"
    bench.post(wire, NETSUITE, undo)
    assert bench.find(wire, NETSUITE, undo).state == "complete"
    assert NETSUITE.look(wire, "customer", {"tax_id": "84-2210456"}) == []


# --- Stripe ------------------------------------------------------------------------------------------------------
def stripe_customer(bench: Bench, customer: Customer) -> dict[str, Any]:
    work = bench.work(STRIPE, "create", customer, {}, "acct_us")
    echo = bench.post(bench.wire("stripe", "acct_us"), STRIPE, work)
    return {"canonical": customer.canonical_id, "ref": work.ref, "remote": echo.remote}


def test_a_customer_and_a_subscription_are_made_once_at_stripe(bench: Bench, customer: Customer) -> None:
    facts = stripe_customer(bench, customer)
    assert stripe_customer(bench, customer) == facts
    deal = document_of("salesforce/opportunity.closed_won", "salesforce.opportunity")
    assert isinstance(deal, documents.Opportunity)
    subscription = onboarding.subscription_of(deal)
    work = bench.work(STRIPE, "create", subscription, {"customer": facts}, "acct_us")
    work = dataclasses.replace(work, currency="USD")
    wire = bench.wire("stripe", "acct_us")
    assert bench.find(wire, STRIPE, work).state == "absent"
    echo = bench.post(wire, STRIPE, work)
    assert bench.find(wire, STRIPE, work).state == "complete"
    undo = bench.work(STRIPE, "undo", subscription, {"parent": {"remote": echo.remote}}, "acct_us")
    bench.post(wire, STRIPE, undo)
    assert bench.find(wire, STRIPE, undo).state == "complete"
    assert bench.find(wire, STRIPE, work).state == "absent"  # a cancelled subscription is none
    kinds = [entry.kind for entry in bench.sandboxes.book("stripe", "acct_us")]
    assert kinds == ["customer", "subscription"]


def test_what_stripe_committed_before_the_line_dropped_is_found_and_undone(bench: Bench, customer: Customer) -> None:
    wire = bench.wire("stripe", "acct_us")
    work = bench.work(STRIPE, "create", customer, {}, "acct_us")
    bench.sandboxes.faults.add(Fault("commit_then_drop", "POST .*/customers"))
    with pytest.raises(Uncertain, match="target_lost"):
        STRIPE.send(wire, [work])
    found = bench.find(wire, STRIPE, work)
    assert found.state == "complete"
    assert found.echo is not None
    undo = bench.work(STRIPE, "undo", customer, {"parent": {"remote": found.echo.remote}}, "acct_us")
    assert bench.find(wire, STRIPE, undo).state == "absent"
    bench.post(wire, STRIPE, undo)
    assert bench.find(wire, STRIPE, undo).state == "complete"
    assert bench.find(wire, STRIPE, work).state == "absent"
    assert bench.post(wire, STRIPE, undo).remote == found.echo.remote  # gone is gone


def test_the_event_of_a_customer_that_we_made_says_that_it_is_ours(bench: Bench, customer: Customer) -> None:
    facts = stripe_customer(bench, customer)
    us = bench.sandboxes.stripe["acct_us"]
    body = us.body_of(us.events("customer.created")[0]["id"])
    [read] = systems.source("stripe").read(body)
    assert (read.ours, read.object_id) == (facts["ref"], facts["remote"])


@pytest.mark.parametrize(
    ("fault", "verdict", "code"),
    [
        ("rate_limit", TryAgain, "target_busy"),
        ("html_500", Uncertain, "target_unclear"),
        ("stale_token", TryAgain, "target_credentials"),
        ("truncated", Uncertain, "target_lost"),
        ("ok_with_errors", Uncertain, "target_unclear"),
    ],
)
def test_stripe_faults_get_their_verdict(
    bench: Bench, customer: Customer, fault: str, verdict: type[Exception], code: str
) -> None:
    work = bench.work(STRIPE, "create", customer, {}, "acct_us")
    bench.sandboxes.faults.add(Fault(fault, "POST "))
    with pytest.raises(verdict, match=code):
        STRIPE.send(bench.wire("stripe", "acct_us"), [work])


# --- Salesforce --------------------------------------------------------------------------------------------------
def test_a_status_is_upserted_by_our_key_and_find_proves_its_version(bench: Bench) -> None:
    wire = bench.wire("salesforce")
    first, second = (bench.work(SALESFORCE, "upsert", status(version), {}) for version in (1, 2))
    assert first.ref == second.ref
    bench.post(wire, SALESFORCE, first)
    assert bench.find(wire, SALESFORCE, first).state == "complete"
    assert bench.find(wire, SALESFORCE, second).state == "absent"
    bench.post(wire, SALESFORCE, second)
    assert bench.find(wire, SALESFORCE, first).state == "complete"  # a newer one is there: nothing to do
    [row] = bench.sandboxes.salesforce.statuses()
    assert (row["Version__c"], row["Status__c"], row["Document__c"]) == (2, "accepted", "INV00001")


@pytest.mark.parametrize(
    ("fault", "verdict", "code"),
    [
        ("rate_limit", TryAgain, "target_busy"),
        ("ok_with_errors", TryAgain, "target_conflict"),
        ("closed_period", NeedsHuman, "target_refused"),
        ("unavailable", Uncertain, "target_down"),
        ("commit_then_drop", Uncertain, "target_lost"),
    ],
)
def test_salesforce_faults_get_their_verdict(bench: Bench, fault: str, verdict: type[Exception], code: str) -> None:
    bench.sandboxes.faults.add(Fault(fault, "PATCH "))
    with pytest.raises(verdict, match=code):
        SALESFORCE.send(bench.wire("salesforce"), [bench.work(SALESFORCE, "upsert", status(1), {})])


def in_euros(minor: int) -> documents.Payment:
    """The captured payment, which is in dollars, as one of the German company's."""
    text = documents.dump(document_of("stripe/invoice.paid", "stripe.payment"))
    paid = documents.load("payment", text.replace(b'"USD"', b'"EUR"').replace(b'"US01"', b'"DE01"'))
    assert isinstance(paid, documents.Payment)
    whole = Money.of(minor, "EUR")
    allocations = tuple(one.model_copy(update={"amount": whole}) for one in paid.allocations)
    return paid.model_copy(update={"amount": whole, "allocations": allocations})


# --- the legacy ERP ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dialect", ["csv", "fixed"])
def test_a_batch_is_written_once_and_its_records_are_found_in_the_acknowledgement(bench: Bench, dialect: str) -> None:
    bench.format = dialect
    wire = bench.wire("legacy")
    buyer = document_of("stripe/customer.created", "stripe.customer").model_copy(update={"entity": "DE01"})
    customer = bench.work(LEGACY, "upsert", buyer, {})
    voided = document_of("stripe/invoice.voided", "stripe.invoice")
    facts = {"customer": {"ref": customer.ref, "remote": customer.ref}}
    invoice = bench.work(LEGACY, "create", voided, facts)
    void = bench.work(LEGACY, "void", voided, {**facts, "parent": {"ref": invoice.ref}})
    note = bench.work(
        LEGACY, "create", document_of("stripe/credit_note.created", "stripe.credit_note"),
        {**facts, "parent": {"ref": "TIE-NOTTHERE"}},
    )  # fmt: skip
    sold = voided.model_copy(update={"source_id": "in_paid", "number": "NW-PAID"})
    paid_invoice = bench.work(LEGACY, "create", sold, facts)
    payment = bench.work(LEGACY, "create", in_euros(35_700), {**facts, "parent": {"ref": paid_invoice.ref}})
    batch = [customer, invoice, void, note, paid_invoice, payment]
    assert {bench.find(wire, LEGACY, one).state for one in batch} == {"absent"}
    assert LEGACY.send(wire, batch) == [None] * 6
    assert LEGACY.send(wire, batch) == [None] * 6
    assert len(bench.files.files) == 1
    bench.sandboxes.tick()
    assert {bench.find(wire, LEGACY, one).state for one in batch} == {"pending"}
    bench.advance(150)
    found = {one.key: bench.find(wire, LEGACY, one) for one in batch}
    assert [found[one.key].state for one in batch] == [
        "complete", "complete", "complete", "refused", "complete", "complete",
    ]  # fmt: skip
    for one in (invoice, payment):
        echo = found[one.key].echo
        assert echo is not None
        assert (echo.ref, echo.currency, echo.total) == (one.ref, "EUR", 35700)
    book = {(one.kind, one.external_ref): one for one in bench.sandboxes.book("legacy", "acme")}
    assert len(book) == len(bench.sandboxes.book("legacy", "acme")), "nothing is there twice"
    assert (book["payment", payment.ref].total_minor, book["payment", payment.ref].parent_ref) == (
        35_700, paid_invoice.ref,
    )  # fmt: skip
    assert found[note.key].code == "target_reference_missing"


def test_half_an_acknowledgement_says_nothing(bench: Bench) -> None:
    wire = bench.wire("legacy")
    buyer = document_of("stripe/customer.created", "stripe.customer").model_copy(update={"entity": "DE01"})
    work = bench.work(LEGACY, "upsert", buyer, {})
    bench.sandboxes.faults.add(Fault("truncated", "DROP "))
    LEGACY.send(wire, [work])
    bench.sandboxes.tick()
    bench.advance(150)
    assert any(name.endswith(".ack.csv") for name in bench.files.files)
    assert bench.find(wire, LEGACY, work).state == "pending"


def test_another_batch_of_the_same_name_is_never_taken_for_ours(bench: Bench) -> None:
    wire = bench.wire("legacy")
    buyer = document_of("stripe/customer.created", "stripe.customer").model_copy(update={"entity": "DE01"})
    LEGACY.send(wire, [bench.work(LEGACY, "upsert", buyer, {})])
    other = bench.work(LEGACY, "upsert", buyer.model_copy(update={"legal_name": "Someone else"}), {})
    with pytest.raises(Uncertain, match="target_conflict"):
        LEGACY.send(wire, [other])
