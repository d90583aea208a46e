"""Intercompany: two entries, each balanced, that owe one another exactly the same."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.core.documentsamples import BOOKED
from tests.unit.core.test_documents import CUSTOMER
from tieout.core import documents
from tieout.core.clocks import ValueDate
from tieout.core.documents import CreditNote, ExchangeRate, Invoice, Line, prove_totals
from tieout.core.intercompany import balances, guard, mirror
from tieout.core.money import Currency, Money
from tieout.core.verdicts import NeedsHuman


def billed(net: int, tax: int, unit: str = "EUR", credit: bool = False, number: str = "IC-1") -> Invoice | CreditNote:
    def money(minor: int) -> Money:
        return Money.of(minor, unit)

    shared: dict[str, Any] = BOOKED | {
        "currency": Currency(unit), "number": number, "customer_id": "us01", "intercompany_partner": "US01",
        "lines": (Line(line_id="1", net=money(net)),), "net": money(net), "tax": money(tax), "gross": money(net + tax),
    }  # fmt: skip
    return CreditNote(**shared, invoice_id="x1") if credit else Invoice(**shared)


def rate(of: str, into: str, value: str) -> ExchangeRate:
    return ExchangeRate(of=Currency(of), into=Currency(into), rate=Decimal(value),
                        rate_date=ValueDate.parse("2026-01-30"), source="ECB")  # fmt: skip


def test_the_mirror_of_a_sale_names_both_partners_and_nets_to_zero() -> None:
    pair = mirror(billed(10000, 1900), "US01", buyer_rate=rate("EUR", "USD", "1.0833"))
    assert [(line.account, line.side, line.amount.minor, line.partner_entity) for line in pair.seller.lines] == [
        ("due_from", "debit", 11900, "US01"),
        ("intercompany_sales", "credit", 10000, "US01"),
        ("tax_payable", "credit", 1900, "US01"),
    ]
    assert [(line.account, line.side, line.amount.minor) for line in pair.buyer.lines] == [
        ("intercompany_cost", "debit", 10000), ("tax_receivable", "debit", 1900), ("due_to", "credit", 11900),
    ]  # fmt: skip
    assert [line.ledger_amount.minor for line in pair.buyer.lines if line.ledger_amount] == [10833, 2058, 12891]
    assert pair.eliminate
    assert documents.load("intercompany_pair", documents.dump(pair)) == pair


def test_rounding_of_exchange_is_a_line_of_its_own() -> None:
    pair = mirror(billed(3, 3), "US01", buyer_rate=rate("EUR", "USD", "1.5"))
    last = pair.buyer.lines[-1]
    assert [line.ledger_amount.minor for line in pair.buyer.lines if line.ledger_amount] == [5, 5, 9, 1]
    assert (last.account, last.side, last.amount.minor) == ("rounding", "credit", 0)


def test_a_credit_note_turns_both_sides_round_and_leaves_nothing_owed() -> None:
    sale, back = mirror(billed(10000, 1900), "US01"), mirror(billed(10000, 1900, credit=True), "US01")
    assert back.reverses == "x1"
    assert balances([sale]) == {("DE01", "US01", "EUR"): (Money.of(11900, "EUR"),) * 2 + (Money.of(0, "EUR"),)}
    assert set(balances([sale, back])[("DE01", "US01", Currency("EUR"))]) == {Money.of(0, "EUR")}


def test_a_document_in_the_wrong_company_is_stopped() -> None:
    ours = CUSTOMER.model_copy(update={"intercompany_partner": "US01"})
    invoice = billed(1, 0)
    assert guard(invoice, ours) == "US01"
    assert guard(invoice.model_copy(update={"intercompany_partner": None}), CUSTOMER) is None
    for doc, customer in (
        (invoice, CUSTOMER),
        (invoice.model_copy(update={"intercompany_partner": None}), ours),
        (invoice.model_copy(update={"entity": "US01"}), ours),
    ):
        with pytest.raises(NeedsHuman) as told:
            guard(doc, customer)
        assert told.value.code == "intercompany_not_declared"


minors = st.integers(0, 10**12)
units = st.sampled_from(["JPY", "USD", "KWD", "CLF"])


@settings(max_examples=400)
@given(minors.filter(bool), minors, units, units, st.decimals(Decimal("0.001"), 500, places=5), st.booleans())
def test_every_pair_balances_in_both_currencies_and_nets_to_zero(
    net: int, tax: int, unit: str, ledger: str, value: Decimal, credit: bool
) -> None:
    pair = mirror(billed(net, tax, unit, credit), "US01", seller_rate=rate(unit, ledger, str(value)),
                  buyer_rate=rate(unit, ledger, str(value)))  # fmt: skip
    proof = prove_totals(pair)
    assert len(proof.equations) == 7
    assert all(left == right for _, left, right in proof.equations)
    assert not balances([pair])[("DE01", "US01", Currency(unit))][2]
