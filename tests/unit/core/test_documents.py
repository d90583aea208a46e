"""Documents: frozen, strict, exact through the ledger and back, and proven to add up."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from tests.unit.core.documentsamples import (
    ALLOWANCE,
    CONTRACT,
    JOURNAL,
    NEW,
    PAIR,
    PAYOUT,
    QUOTE,
    SCHEDULE,
    USAGE,
)
from tieout.core import documents
from tieout.core.clocks import DocumentDate, DueDate, EffectiveDate, EventInstant, PostingDate, ServiceDate, TaxPoint
from tieout.core.documents import (
    KINDS,
    Address,
    Allocation,
    CreditNote,
    Customer,
    Document,
    Exemption,
    ExternalId,
    Invoice,
    Line,
    Opportunity,
    OpportunityLine,
    Payment,
    Status,
    Subscription,
    SubscriptionItem,
    TaxBreakdown,
    TaxId,
    TermsRule,
)
from tieout.core.money import Currency, Money
from tieout.core.verdicts import NeedsHuman

EUR = Currency("EUR")


def eur(minor: int) -> Money:
    return Money(minor, EUR)


ORIGIN: dict[str, Any] = {
    "source": "stripe", "account": "acct_de", "source_id": "in_1", "entity": "DE01", "version": 1,
    "event_instant": EventInstant.from_epoch(1769860800),
}  # fmt: skip
BOOKED: dict[str, Any] = ORIGIN | {
    "document_date": DocumentDate.parse("2026-01-31"), "tax_point": TaxPoint.parse("2026-01-31"),
    "posting_date": PostingDate.parse("2026-01-31"), "currency": EUR,
}  # fmt: skip
LINES = (
    Line(line_id="l1", product_id="prod_pro", quantity=Decimal("2.50"), net=eur(10000), tax=eur(1900),
         tax_code="DE-VAT-19", tax_rate=Decimal("19.0"), service_from=ServiceDate.parse("2026-01-01")),
    Line(line_id="l2", description="Einrichtung", net=eur(-500), tax=eur(-95), tax_code="DE-VAT-19"),
)  # fmt: skip
TAX = (TaxBreakdown(tax_code="DE-VAT-19", rate=Decimal(19), taxable=eur(9500), tax=eur(1805)),)
INVOICE = Invoice(
    **BOOKED, number="DE-1", customer_id="cus_1", due_date=DueDate.parse("2026-03-02"), lines=LINES,
    tax_breakdown=TAX, net=eur(9500), tax=eur(1805), gross=eur(11305), prepaid=eur(300), rounding=eur(-5),
    payable=eur(11000),
)  # fmt: skip
CREDIT = CreditNote(
    **BOOKED, number="CN-1", invoice_id="in_1", customer_id="cus_1", lines=LINES, net=eur(9500), tax=eur(1805),
    gross=eur(11305),
)  # fmt: skip
PAYMENT = Payment(
    **BOOKED, customer_id="cus_1", amount=eur(12000), allocations=(Allocation(source_id="in_1", amount=eur(11000)),),
    unapplied=eur(1000),
)  # fmt: skip
CUSTOMER = Customer(
    **ORIGIN, canonical_id="salesforce:00D_acme:001", legal_name="Müller & Söhne GmbH", currency=EUR, terms="NET30",
    tax_ids=(TaxId(type="eu_vat", value="DE123456789", country="DE", validated=True),),
    billing_address=Address(line1="Hauptstr. 1", city="Köln", postal_code="50667", country="DE"),
)  # fmt: skip
SUBSCRIPTION = Subscription(
    **ORIGIN, customer_id="c1", currency=EUR, start_date=ServiceDate.parse("2026-02-01"),
    items=(SubscriptionItem(item_id="1", product_id="PRO", quantity=Decimal(40), unit_price=eur(9550)),),
)  # fmt: skip
OPPORTUNITY = Opportunity(
    **ORIGIN, name="Pro rollout", stage="Closed Won", close_date=DocumentDate.parse("2026-01-31"), currency=EUR,
    amount=eur(382000), account_ref="001", customer=CUSTOMER,
    lines=(
        OpportunityLine(line_id="1", product_id="PRO", quantity=Decimal(40), unit_price=eur(9550), net=eur(382000)),
    ),
)  # fmt: skip
STATUS = Status(
    **ORIGIN, key="invoice/…", about_kind="invoice", about_id="in_1", status="accepted", sentence="Booked as 4711.",
    amount=eur(11305),
)  # fmt: skip
ALL: tuple[Document, ...] = (CUSTOMER, INVOICE, CREDIT, PAYMENT, SUBSCRIPTION, OPPORTUNITY, STATUS, *NEW)
by_kind = pytest.mark.parametrize("doc", ALL, ids=lambda doc: doc.kind)


def test_there_is_a_sample_of_every_kind() -> None:
    assert {doc.kind for doc in ALL} == set(KINDS)


@by_kind
def test_a_document_comes_back_from_the_ledger_as_it_was(doc: Document) -> None:
    packed = documents.dump(doc)
    assert documents.load(doc.kind, packed) == doc
    assert documents.dump(documents.load(doc.kind, packed)) == packed
    assert documents.fingerprint(documents.load(doc.kind, packed)) == documents.fingerprint(doc)


@by_kind
def test_a_document_is_frozen_and_closed(doc: Document) -> None:
    with pytest.raises(ValidationError):
        doc.entity = "US01"
    body = json.loads(documents.dump(doc))
    with pytest.raises(NeedsHuman) as told:
        documents.load(doc.kind, json.dumps(body | {"status_": "POSTED"}).encode())
    assert told.value.code == "document_invalid"
    assert "status_" in told.value.facts["where"]


@by_kind
def test_the_fingerprint_covers_its_declared_fields_and_leaves_out_what_drifts(doc: Document) -> None:
    assert set(doc.identity) <= set(type(doc).model_fields)
    later = doc.model_copy(update={"version": 9, "event_instant": EventInstant.from_epoch(1)})
    assert documents.fingerprint(later) == documents.fingerprint(doc)
    assert documents.fingerprint(doc.model_copy(update={"entity": "US01"})) != documents.fingerprint(doc)


@pytest.mark.parametrize("name", Invoice.identity)
def test_every_money_or_identity_field_of_an_invoice_changes_its_fingerprint(name: str) -> None:
    other = {"lines": LINES[:1], "tax_breakdown": (), "adjustments": (ALLOWANCE,),
             "currency": Currency("USD"), "number": "DE-2",
             "customer_id": "c2", "document_date": DocumentDate.parse("2026-01-30"),
             "tax_point": TaxPoint.parse("2026-01-30")}  # fmt: skip
    changed = INVOICE.model_copy(update={name: other.get(name, eur(1))})
    assert documents.fingerprint(changed) != documents.fingerprint(INVOICE)


def models(model: type[BaseModel], seen: dict[str, type[BaseModel]]) -> dict[str, type[BaseModel]]:
    seen[model.__name__] = model
    for other in vars(documents).values():
        if isinstance(other, type) and issubclass(other, documents.Part) and other.__name__ not in seen:
            models(other, seen)
    return seen


@pytest.mark.parametrize("model", models(Invoice, {}).values(), ids=lambda model: model.__name__)
def test_every_field_of_every_model_has_a_stated_meaning(model: type[BaseModel]) -> None:
    assert not [name for name, field in model.model_fields.items() if not field.description]


@by_kind
def test_a_sound_document_is_proven(doc: Document) -> None:
    proof = documents.prove_totals(doc)
    assert all(left == right for _, left, right in proof.equations)


def test_the_proof_of_an_invoice_names_each_equation() -> None:
    said = [what for what, _, _ in documents.prove_totals(INVOICE).equations]
    assert said == [
        "sum of lines = net", "net and tax = gross", "sum of tax categories = tax", "sum of line taxes = tax",
        "gross less prepaid plus rounding = payable",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("doc", "change"),
    [
        (INVOICE, {"net": eur(9501)}),
        (INVOICE, {"gross": eur(11306)}),
        (INVOICE, {"lines": LINES[:1]}),
        (INVOICE, {"tax_breakdown": (*TAX, *TAX)}),
        (INVOICE, {"payable": eur(11001)}),
        (INVOICE, {"lines": (LINES[0], LINES[1].model_copy(update={"tax": eur(-94)}))}),
        (CREDIT, {"tax": eur(0)}),
        (PAYMENT, {"unapplied": None}),
        (PAYMENT, {"amount": eur(11999)}),
        (OPPORTUNITY, {"amount": eur(1)}),
        (INVOICE, {"adjustments": (ALLOWANCE,)}),
        (PAYMENT, {"write_off": eur(1)}),
        (PAYMENT, {"net": eur(11999)}),
        (QUOTE, {"amount": eur(139551)}),
        (CONTRACT, {"price": eur(150001)}),
        (CONTRACT, {"billing": ()} | {"original_price": eur(150000)}),
        (PAYOUT, {"net": eur(2956)}),
        (PAYOUT, {"parts": PAYOUT.parts[:2]}),
        (PAYOUT, {"parts": (PAYOUT.parts[0].model_copy(update={"net": eur(1)}), *PAYOUT.parts[1:])}),
        (SCHEDULE, {"amount": eur(100)}),
    ],
)
def test_one_unit_too_many_anywhere_is_refused(doc: Document, change: dict[str, Any]) -> None:
    with pytest.raises(NeedsHuman) as told:
        documents.prove_totals(doc.model_copy(update=change))
    assert told.value.code == "totals_do_not_add_up"
    assert "EUR" in told.value.facts["difference"]


def remade(doc: Document, **change: Any) -> Document:
    body = json.loads(documents.dump(doc))
    for path, value in change.items():
        *steps, last = path.split("__")
        at = body
        for step in steps:
            at = at[int(step)] if step.isdigit() else at[step]
        at[last] = value
    return documents.load(doc.kind, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("doc", "change", "code"),
    [
        (JOURNAL, {"lines__0__amount": {"minor": 102, "currency": "EUR"}}, "journal_unbalanced"),
        (JOURNAL, {"lines__0__ledger_amount": {"minor": 110, "currency": "USD"}}, "journal_unbalanced"),
        (JOURNAL, {"lines__0__ledger_amount": None}, "journal_unbalanced"),
        (JOURNAL, {"ledger_currency": None}, "journal_unbalanced"),
        (JOURNAL, {"lines__0__side": "credit"}, "journal_unbalanced"),
        (JOURNAL, {"lines__0__amount": {"minor": -101, "currency": "EUR"}}, "document_invalid"),
        (PAIR, {"gross": {"minor": 1001, "currency": "EUR"}}, "intercompany_unbalanced"),
        (PAIR, {"buyer__lines__1__account": "payables"}, "intercompany_unbalanced"),
        (PAIR, {"buyer__lines__1__partner_entity": "FR01"}, "intercompany_unbalanced"),
        (PAIR, {"buyer__entity": "DE01"}, "intercompany_unbalanced"),
        (PAIR, {"buying_entity": "DE01"}, "intercompany_unbalanced"),
        (CONTRACT, {"amendments__0__sequence": 2}, "document_invalid"),
        (USAGE, {"quantity": "-1"}, "document_invalid"),
    ],
)
def test_what_must_hold_by_construction_cannot_be_made_otherwise(
    doc: Document, change: dict[str, Any], code: str
) -> None:
    with pytest.raises(NeedsHuman) as told:
        remade(doc, **change)
    assert told.value.code == code


def test_a_payout_may_take_money_back_and_nothing_else_may_be_negative() -> None:
    parts = PAYOUT.parts[1:]
    taken = {"parts": parts, "gross": eur(-6500), "fees": eur(1500), "net": eur(-8000)}
    assert documents.prove_totals(PAYOUT.model_copy(update=taken)).equations


def test_an_allowance_on_the_document_is_taken_off_the_lines() -> None:
    less = {"adjustments": (ALLOWANCE,), "net": eur(9000), "gross": eur(10805), "payable": eur(10500)}
    said = [what for what, _, _ in documents.prove_totals(INVOICE.model_copy(update=less)).equations]
    assert said[0] == "sum of lines less allowances plus charges = net"


def site(name: str, above: str | None = None, first: str | None = None, last: str | None = None) -> dict[str, Any]:
    return {"site_id": name, "parent_site_id": above, "valid_from": first, "valid_until": last}


@pytest.mark.parametrize(
    "sites",
    [
        [site("a", "b"), site("b", "a")],
        [site("a", "a")],
        [site("a"), site("a")],
        [site("a", None, "2026-01-01", "2026-06-30"), site("a", None, "2026-06-30")],
        [site("a", None, "2026-02-01", "2026-01-01")],
        [site("a", "b", "2026-01-01", "2026-06-30"), site("b"), site("b2", "a"), site("a", "b2", "2026-07-01")],
        [site(str(n), str(n + 1)) for n in range(11)],
    ],
)
def test_sites_that_are_no_tree_on_some_day_are_refused(sites: list[dict[str, Any]]) -> None:
    with pytest.raises(NeedsHuman) as told:
        remade(CUSTOMER, sites=sites)
    assert told.value.code == "document_invalid"


def test_a_site_may_move_below_another_one_day() -> None:
    moved = [site("hq"), site("b"), site("a", "hq", "2026-01-01", "2026-06-30"), site("a", "b", "2026-07-01")]
    assert len(remade(CUSTOMER, sites=moved).sites) == 4  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("rule", "due"),
    [
        (TermsRule(days=30), "2026-03-02"),
        (TermsRule(days=30, base="end_of_month"), "2026-03-02"),
        (TermsRule(days=0, base="end_of_month"), "2026-01-31"),
        (TermsRule(days=10, day_of_month=15), "2026-02-15"),
        (TermsRule(days=20, day_of_month=15), "2026-03-15"),
        (TermsRule(days=20, day_of_month=31), "2026-02-28"),
    ],
)
def test_payment_terms_as_a_rule_give_the_due_date(rule: TermsRule, due: str) -> None:
    assert rule.due_date(DocumentDate.parse("2026-01-31")).iso == due


def test_a_certificate_holds_from_its_first_to_its_last_day() -> None:
    held = Exemption(certificate="R-1", jurisdiction="US-CA", valid_from=EffectiveDate.parse("2026-01-01"),
                     expires_on=EffectiveDate.parse("2026-12-31"))  # fmt: skip
    days = ("2025-12-31", "2026-01-01", "2026-12-31", "2027-01-01")
    assert [held.holds_on(date.fromisoformat(day)) for day in days] == [False, True, True, False]


def test_only_a_merged_id_has_a_survivor() -> None:
    with pytest.raises(ValidationError):
        ExternalId(system="xero", account="a", id="1", merged_into="2")
    assert ExternalId(system="xero", account="a", id="1", status="merged").merged_into is None


def test_a_second_currency_inside_a_document_is_refused() -> None:
    alien = LINES[1].model_copy(update={"net": Money.of(-500, "USD")})
    with pytest.raises(NeedsHuman) as told:
        documents.prove_totals(INVOICE.model_copy(update={"lines": (LINES[0], alien)}))
    assert told.value.code == "currency_mismatch"


def test_the_kind_says_the_direction_and_not_the_sign() -> None:
    turned = CREDIT.model_copy(update={"lines": (LINES[1],), "net": eur(-500), "tax": eur(-95), "gross": eur(-595)})
    with pytest.raises(NeedsHuman) as told:
        documents.prove_totals(turned)
    assert told.value.code == "negative_total"


def test_a_credit_note_and_a_payment_wait_for_their_invoice() -> None:
    assert documents.parent_of(CREDIT) == ("invoice", "in_1")
    assert documents.parent_of(PAYMENT) == ("invoice", "in_1")
    assert documents.parent_of(INVOICE) is None
    assert documents.parent_of(PAYMENT.model_copy(update={"allocations": ()})) is None


def test_who_and_how_much_a_document_is_about() -> None:
    assert [documents.party_of(doc) for doc in (CUSTOMER, INVOICE, OPPORTUNITY)] == [
        "salesforce:00D_acme:001", "cus_1", "salesforce:00D_acme:001",
    ]  # fmt: skip
    assert [documents.total(doc) for doc in (INVOICE, CREDIT, PAYMENT, CUSTOMER)] == [
        eur(11305), eur(11305), eur(12000), None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("net", {"minor": True, "currency": "EUR"}), ("net", {"minor": 1.5, "currency": "EUR"}),
        ("net", {"minor": "1", "currency": "EUR"}), ("net", {"minor": 1, "currency": "eur"}),
        ("net", {"minor": 1, "currency": "XAU"}), ("net", {"minor": 10**18, "currency": "EUR"}),
        ("net", 1), ("net", "1.00 EUR"), ("number", ""), ("number", 7), ("version", -1), ("version", True),
        ("document_date", "2026-02-30"), ("document_date", 20260131), ("event_instant", "2026-01-31T12:00:00"),
        ("lines", {}), ("lines", [{"line_id": "l1"}]), ("currency", "eur"), ("currency", None),
    ],
)  # fmt: skip
def test_hostile_values_are_refused_by_their_place_and_never_repeated(name: str, value: object) -> None:
    body = json.loads(documents.dump(INVOICE)) | {name: value}
    with pytest.raises(NeedsHuman) as told:
        documents.load("invoice", json.dumps(body).encode())
    assert told.value.code in ("document_invalid", "unknown_currency", "bad_date", "amount_out_of_range")


def test_a_quantity_that_is_not_a_sane_number_is_refused() -> None:
    for quantity in ("NaN", "Infinity", "1e2000000"):
        body = json.loads(documents.dump(INVOICE))
        body["lines"][0]["quantity"] = quantity
        with pytest.raises(NeedsHuman):
            documents.load("invoice", json.dumps(body).encode())


def test_a_refusal_does_not_repeat_personal_data() -> None:
    body = json.loads(documents.dump(CUSTOMER)) | {"phone": ["+49 221 canary"]}
    with pytest.raises(NeedsHuman) as told:
        documents.load("customer", json.dumps(body).encode())
    assert "canary" not in str(told.value) + str(told.value.facts)


def test_no_other_kind_is_made() -> None:
    with pytest.raises(NeedsHuman) as told:
        documents.make("voucher", {})
    assert told.value.code == "document_invalid"


amounts = st.integers(-(10**12), 10**12)


@given(st.lists(st.tuples(amounts, amounts), min_size=1, max_size=30), st.sampled_from(["JPY", "USD", "KWD", "CLF"]))
def test_any_invoice_that_adds_up_is_proven_and_survives_the_ledger(raw: list[tuple[int, int]], unit: str) -> None:
    lines = [Line(line_id=str(n), net=Money.of(net, unit), tax=Money.of(tax, unit)) for n, (net, tax) in enumerate(raw)]
    net, tax = sum(net for net, _ in raw), sum(tax for _, tax in raw)
    doc = INVOICE.model_copy(
        update={
            "currency": Currency(unit), "lines": tuple(lines), "tax_breakdown": (), "net": Money.of(net, unit),
            "tax": Money.of(tax, unit), "gross": Money.of(net + tax, unit), "prepaid": None, "rounding": None,
            "payable": None,
        }
    )  # fmt: skip
    assert documents.load("invoice", documents.dump(doc)) == doc
    if net + tax >= 0:
        assert len(documents.prove_totals(doc).equations) == 3
