"""One sound document of each kind that issue 3 adds, with every list filled: for tests of all kinds."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tieout.core.clocks import (
    DocumentDate,
    DueDate,
    EffectiveDate,
    EventInstant,
    PostingDate,
    ServiceDate,
    TaxPoint,
    ValueDate,
)
from tieout.core.documents import (
    Adjustment,
    Amendment,
    BillingStep,
    Contract,
    Dispute,
    Document,
    ExchangeRate,
    IntercompanyPair,
    JournalEntry,
    JournalLine,
    Obligation,
    Payout,
    PayoutPart,
    Quote,
    QuoteLine,
    Refund,
    RevenueEntry,
    RevenueSchedule,
    Ticket,
    UsageRecord,
)
from tieout.core.money import Currency, Money

EUR = Currency("EUR")


def eur(minor: int) -> Money:
    return Money(minor, EUR)


def service(text: str) -> ServiceDate:
    return ServiceDate.parse(text)


ORIGIN: dict[str, Any] = {
    "source": "zuora", "account": "acme", "source_id": "x1", "entity": "DE01", "version": 1,
    "event_instant": EventInstant.from_epoch(1769860800),
}  # fmt: skip
BOOKED: dict[str, Any] = ORIGIN | {
    "document_date": DocumentDate.parse("2026-01-31"), "tax_point": TaxPoint.parse("2026-01-31"),
    "posting_date": PostingDate.parse("2026-01-31"), "currency": EUR,
}  # fmt: skip
RATE = ExchangeRate(
    of=EUR, into=Currency("USD"), rate=Decimal("1.0832"), rate_date=ValueDate.parse("2026-01-30"), source="ECB"
)
ALLOWANCE = Adjustment(kind="allowance", amount=eur(500), reason="95", tax_code="DE-VAT-19", tax_rate=Decimal(19))

QUOTE = Quote(
    **ORIGIN, number="Q-7", revision=2, customer_id="cus_1", opportunity_id="006", currency=EUR,
    quote_date=DocumentDate.parse("2026-01-15"), valid_until=DueDate.parse("2026-02-15"), state="sent",
    lines=(
        QuoteLine(line_id="1", product_id="PRO", quantity=Decimal("10"), list_price=Decimal("99.5"),
                  discount_percent=Decimal("10"), standalone_price=eur(99500), net=eur(89550), interval="year"),
        QuoteLine(line_id="2", product_id="SETUP", net=eur(50000)),
    ),
    amount=eur(139550),
)  # fmt: skip
CONTRACT = Contract(
    **ORIGIN, number="C-7", customer_id="cus_1", quote_id="q1", currency=EUR,
    signed_on=DocumentDate.parse("2026-01-20"),
    first_day=service("2026-02-01"), last_day=service("2027-01-31"), state="active", original_price=eur(120000),
    price=eur(150000),
    obligations=(
        Obligation(obligation_id="sub", standalone_price=eur(130000), allocated=eur(130000), method="by_day",
                   first_day=service("2026-02-01"), last_day=service("2027-01-31")),
        Obligation(obligation_id="api", standalone_price=eur(20000), price_basis="residual", allocated=eur(20000),
                   method="usage", first_day=service("2026-02-01"), last_day=service("2027-01-31"),
                   units=Decimal(1000)),
    ),
    billing=(BillingStep(step_id="b1", due=DueDate.parse("2026-02-01"), amount=eur(150000)),),
    amendments=(
        Amendment(amendment_id="a1", sequence=1, signed_on=DocumentDate.parse("2026-03-15"),
                  effective_on=EffectiveDate.parse("2026-04-01"), price_change=eur(30000), adds_distinct=True),
    ),
)  # fmt: skip
USAGE = UsageRecord(
    **ORIGIN, customer_id="cus_1", subscription_id="sub_1", meter="api_calls", quantity=Decimal("1250.5"),
    unit="C62", used_on=service("2026-02-03"), used_from=EventInstant.from_epoch(1770076800),
)  # fmt: skip
REFUND = Refund(
    **BOOKED, payment_id="pay_1", credit_note_id="cn_1", customer_id="cus_1", amount=eur(2500), reason="duplicate"
)
DISPUTE = Dispute(
    **BOOKED, payment_id="pay_1", customer_id="cus_1", amount=eur(11305), fee=eur(1500), state="opened",
    evidence_due=DueDate.parse("2026-02-20"),
)  # fmt: skip
PAYOUT = Payout(
    **BOOKED, bank_reference="STRIPE 123", arrives_on=ValueDate.parse("2026-02-03"),
    parts=(
        PayoutPart(part_id="txn_1", kind="charge", document_id="pay_1", gross=eur(11305), fee=eur(350),
                   net=eur(10955)),
        PayoutPart(part_id="txn_2", kind="refund", document_id="re_1", gross=eur(-2500), fee=eur(0), net=eur(-2500)),
        PayoutPart(part_id="txn_3", kind="dispute", document_id="dp_1", gross=eur(-4000), fee=eur(1500),
                   net=eur(-5500)),
    ),
    gross=eur(4805), fees=eur(1850), net=eur(2955),
)  # fmt: skip
SCHEDULE = RevenueSchedule(
    **ORIGIN, contract_id="c1", obligation_id="sub", currency=EUR, method="by_month", first_day=service("2026-02-01"),
    last_day=service("2026-03-31"), amount=eur(101),
    entries=(
        RevenueEntry(period="2026-02", posting_date=PostingDate.parse("2026-02-28"), amount=eur(51)),
        RevenueEntry(period="2026-03", posting_date=PostingDate.parse("2026-03-31"), amount=eur(50)),
    ),
)  # fmt: skip
JOURNAL = JournalEntry(
    **BOOKED, number="J-1", text="Umsatz Januar", ledger_currency=Currency("USD"), exchange=RATE,
    lines=(
        JournalLine(account="deferred_revenue", side="debit", amount=eur(101), ledger_amount=Money.of(109, "USD")),
        JournalLine(account="revenue", side="credit", amount=eur(101), ledger_amount=Money.of(109, "USD"),
                    dimensions=(("cost_centre", "4711"),)),
    ),
)  # fmt: skip


def _side(entity: str, number: str, *lines: JournalLine) -> JournalEntry:
    return JournalEntry(**(BOOKED | {"entity": entity}), number=number, journal="intercompany", lines=lines)


def _line(account: str, side: Any, minor: int, partner: str) -> JournalLine:
    return JournalLine(account=account, side=side, amount=eur(minor), partner_entity=partner)


PAIR = IntercompanyPair(
    **ORIGIN, buying_entity="US01", currency=EUR, net=eur(1000), tax=eur(0), gross=eur(1000),
    due_from_account="due_from", due_to_account="due_to",
    seller=_side("DE01", "IC-1-S", _line("due_from", "debit", 1000, "US01"), _line("ic_sales", "credit", 1000, "US01")),
    buyer=_side("US01", "IC-1-B", _line("ic_cost", "debit", 1000, "DE01"), _line("due_to", "credit", 1000, "DE01")),
)  # fmt: skip
TICKET = Ticket(
    **ORIGIN, number="4711", customer_id="cus_1", subject="Charged twice", state="open", category="billing",
    opened_at=EventInstant.from_epoch(1769860800), about_kind="invoice", about_id="in_1", requested=eur(11305),
)  # fmt: skip

NEW: tuple[Document, ...] = (
    QUOTE, CONTRACT, USAGE, REFUND, DISPUTE, PAYOUT, SCHEDULE, JOURNAL, PAIR, TICKET,
)  # fmt: skip
