"""The canonical documents: business objects in our words, frozen and strict, each field with its meaning.

Every source's objects become one of these and every target's payload is made from one of these. A document
knows which selling `entity` it belongs to, where it comes from (`source`, `account`, `source_id`), and which
state of that object it shows (`version`). Amounts are `Money`; days are the typed clocks of `core.clocks`;
amounts on a credit note or payment are positive, its kind says the direction.

======== ======================================================================================
party    `Customer` with sites, roles, registrations, exemptions, terms
sales    `Opportunity`, `Quote`, `Contract`, `Subscription`, `UsageRecord`
billing  `Invoice`, `CreditNote`
cash     `Payment`, `Refund`, `Dispute`, `Payout`
books    `RevenueSchedule`, `JournalEntry`, `IntercompanyPair`
service  `Ticket`, `Status`
kinds    the list `KINDS`, and `total`, `party_of`, `parent_of`, `fingerprint`, `dump`, `load`, `make`
proof    `prove_totals`: the stored proof that a document adds up
schema   the JSON Schema of each kind (imported only where schemas are written)
======== ======================================================================================
"""

from __future__ import annotations

from tieout.core.documents.base import (
    Address,
    Adjustment,
    Booked,
    Country,
    Document,
    ExchangeRate,
    ExternalId,
    Ident,
    Label,
    Month,
    Number,
    Part,
    Prose,
)
from tieout.core.documents.billing import Adjustments, Breakdown, CreditNote, Invoice, Line, Lines, TaxBreakdown
from tieout.core.documents.books import (
    IntercompanyPair,
    JournalEntry,
    JournalLine,
    RevenueEntry,
    RevenueSchedule,
)
from tieout.core.documents.cash import Allocation, Dispute, Payment, Payout, PayoutPart, Refund
from tieout.core.documents.kinds import (
    KINDS,
    AnyDocument,
    dump,
    fingerprint,
    invalid,
    load,
    make,
    parent_of,
    party_of,
    total,
)
from tieout.core.documents.party import Customer, Exemption, Site, TaxId, TermsRule
from tieout.core.documents.proof import Equation, Proof, prove, prove_totals
from tieout.core.documents.sales import (
    Amendment,
    BillingStep,
    Contract,
    Obligation,
    Opportunity,
    OpportunityLine,
    Quote,
    QuoteLine,
    RecognitionMethod,
    Subscription,
    SubscriptionItem,
    UsageRecord,
)
from tieout.core.documents.service import Status, Ticket

__all__ = [
    "KINDS", "Address", "Adjustment", "Adjustments", "Allocation", "Amendment", "AnyDocument", "BillingStep", "Booked",
    "Breakdown", "Contract", "Country", "CreditNote", "Customer", "Dispute", "Document", "Equation", "ExchangeRate",
    "Exemption", "ExternalId", "Ident", "IntercompanyPair", "Invoice", "JournalEntry", "JournalLine", "Label", "Line",
    "Lines", "Month", "Number", "Obligation", "Opportunity", "OpportunityLine", "Part", "Payment", "Payout",
    "PayoutPart", "Proof", "Prose", "Quote", "QuoteLine", "RecognitionMethod", "Refund", "RevenueEntry",
    "RevenueSchedule", "Site", "Status", "Subscription", "SubscriptionItem", "TaxBreakdown", "TaxId", "TermsRule",
    "Ticket", "UsageRecord", "dump", "fingerprint", "invalid", "load", "make", "parent_of", "party_of", "prove",
    "prove_totals", "total",
]  # fmt: skip
