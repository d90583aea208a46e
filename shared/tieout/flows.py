"""THE TABLE: every flow on one screen.

When this arrives, make this document, post it there by these mappings, tell them. A flow with one step goes to the
target's lane queue; a flow with several dependent steps becomes a state machine of the same name, derived from here
(``make generate``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache


def minutes(count: int) -> timedelta:
    """``count`` minutes."""
    return timedelta(minutes=count)


@dataclass(frozen=True)
class On:
    """What starts a flow: a source and one of its event types."""

    source: str
    type: str


@dataclass(frozen=True)
class Step:
    """One logical step. ``to`` is ``role.kind``: the route table turns role and entity into a target account.

    ``does`` is ``post`` (one posting), ``check`` (a pure validation), ``look`` (search the target first; what it finds
    is linked, and the step named by ``spares`` is skipped) or ``ask`` (a question that leaves nothing behind, put where
    the route table has a row for the role). ``undo`` is the compensating action, run in reverse
    order of the steps when a later step fails. ``order`` is false where a posting need not queue behind others of its
    document; ``behind`` is true where it waits for this step's own posting of the document above (an invoice's, before
    its credit note's or its void's).
    """

    name: str
    to: str = ""
    action: str = "create"
    does: str = "post"
    undo: str | None = None
    spares: str | None = None
    order: bool = True
    behind: bool = False

    @property
    def role(self) -> str:
        """Route role: ``erp``, ``billing``, ``crm``, ``ledger`` (journals), ``support``, ``tax`` or ``warehouse``."""
        return self.to.partition(".")[0]

    @property
    def kind(self) -> str:
        """Kind of document posted."""
        return self.to.partition(".")[2]


@dataclass(frozen=True)
class Flow:
    """One integration: its owner and service level, what starts it and what it does.

    ``reads`` is the mapping from the source's object to the document. ``lane`` names the ordering key: the kind whose
    object the postings queue behind; ``None`` where order does not matter. ``parent`` is the kind that must have been
    accepted first. ``known`` flows concern only customers that the books know, or that their source claims for
    finance; any other is ignored. ``in_place`` kinds carry their version in the posting key. ``tell`` is the role told
    of the outcome. ``then`` are postings that follow once finance has accepted, written with the acceptance;
    ``support`` is the role that gets a ticket where finance refuses. Of both, only what the route table has a row for
    is done: without one they are off. ``sla`` is how long a posting may stay open before it is late.
    """

    name: str
    on: On
    reads: str
    makes: str
    steps: Sequence[Step]
    owner: str
    sla: timedelta
    lane: str | None = None
    parent: str | None = None
    known: bool = False
    in_place: bool = False
    tell: str | None = None
    then: Sequence[Step] = ()
    support: str | None = None
    priority: int = 50
    why: str = field(default="", compare=False)

    @property
    def orchestrated(self) -> bool:
        """Whether the flow runs as a state machine."""
        return len(self.steps) > 1


#: What a won deal sets off, whichever CRM it was won in.
ONBOARDING: tuple[Step, ...] = (
    Step("validate", does="check"),
    Step("tax", to="tax.opportunity", action="estimate", does="ask"),
    Step("look", to="erp.customer", does="look", spares="erp"),
    Step("billing", to="billing.customer", undo="undo"),
    Step("erp", to="erp.customer", action="upsert", undo="undo"),
    Step("subscribe", to="billing.subscription", undo="undo"),
    Step("tell", to="crm.status", action="upsert"),
)

#: What follows once finance has accepted: of an invoice, its void, a payment, a credit note, its void, a customer.
INVOICED = (Step("tax", to="tax.invoice"), Step("load", to="warehouse.invoice", order=False))
VOIDED = (
    Step("tax", to="tax.invoice", action="void", behind=True),
    Step("load", to="warehouse.invoice", action="void", order=False),
)
PAID = (Step("load", to="warehouse.payment", order=False),)
CREDITED = (
    Step("tax", to="tax.credit_note", behind=True),
    Step("load", to="warehouse.credit_note", order=False),
)
UNCREDITED = (
    Step("tax", to="tax.credit_note", action="void", behind=True),
    Step("load", to="warehouse.credit_note", action="void", order=False),
)
CUSTOMER_TOLD = (
    Step("support", to="support.customer", action="upsert"),
    Step("accounts", to="accounts.customer", action="upsert"),
)

FLOWS: tuple[Flow, ...] = (
    Flow("invoice", On("stripe", "invoice.finalized"), reads="stripe.invoice", makes="invoice",
         steps=(Step("post", to="erp.invoice"),), lane="invoice", parent="customer",
         then=INVOICED, owner="finance-ops", sla=minutes(15), tell="crm", support="support", priority=40),
    Flow("payment", On("stripe", "invoice.paid"), reads="stripe.payment", makes="payment",
         steps=(Step("post", to="erp.payment"),), lane="invoice", parent="invoice",
         then=PAID, owner="finance-ops", sla=minutes(15), tell="crm", support="support", priority=20),
    Flow("credit-note", On("stripe", "credit_note.created"), reads="stripe.credit_note", makes="credit_note",
         steps=(Step("post", to="erp.credit_note"),), lane="invoice", parent="invoice",
         then=CREDITED, owner="finance-ops", sla=minutes(15), tell="crm", support="support", priority=40),
    Flow("invoice-void", On("stripe", "invoice.voided"), reads="stripe.invoice", makes="invoice",
         steps=(Step("post", to="erp.invoice", action="void"),), lane="invoice", parent="invoice",
         then=VOIDED, owner="finance-ops", sla=minutes(15), tell="crm", support="support", priority=40),
    Flow("credit-note-void", On("stripe", "credit_note.voided"), reads="stripe.credit_note", makes="credit_note",
         steps=(Step("post", to="erp.credit_note", action="void"),), lane="invoice", parent="credit_note",
         then=UNCREDITED, owner="finance-ops", sla=minutes(15), tell="crm", support="support", priority=40,
         why="ended unsent with the credit note, or a case that says so: no ERP here takes a credit note back"),
    Flow("customer", On("stripe", "customer.created"), reads="stripe.customer", makes="customer",
         steps=(Step("post", to="erp.customer", action="upsert"),), lane="customer", in_place=True,
         then=CUSTOMER_TOLD, owner="revenue-ops", sla=minutes(15), priority=30),
    Flow("customer-changed", On("stripe", "customer.updated"), reads="stripe.customer", makes="customer",
         steps=(Step("post", to="erp.customer", action="upsert"),), lane="customer", known=True, in_place=True,
         owner="revenue-ops", sla=minutes(60), priority=30,
         why="The buyer keeps e-mail and address in the billing portal; whom a CRM brought has its lane, `account`."),
    Flow("subscription-status", On("stripe", "customer.subscription.updated"), reads="stripe.subscription_status",
         makes="status", steps=(Step("post", to="crm.status", action="upsert"),), lane="subscription", in_place=True,
         owner="revenue-ops", sla=minutes(60), priority=60, why="no book takes subscriptions; sales wants to know"),
    Flow("subscription-ended", On("stripe", "customer.subscription.deleted"), reads="stripe.subscription_status",
         makes="status", steps=(Step("post", to="crm.status", action="upsert"),), lane="subscription", in_place=True,
         owner="revenue-ops", sla=minutes(60), priority=60),
    Flow("payout", On("stripe", "payout.paid"), reads="stripe.payout", makes="journal_entry",
         steps=(Step("post", to="ledger.journal_entry"),), lane="payout", owner="finance-ops", sla=minutes(60),
         priority=50, why="what the bank shows, and the payments and fees that it is made up of"),
    Flow("payout-failed", On("stripe", "payout.failed"), reads="stripe.payout_failed", makes="journal_entry",
         steps=(Step("post", to="ledger.journal_entry"),), lane="payout", parent="journal_entry",
         owner="finance-ops", sla=minutes(60), priority=50, why="the bank gave it back"),
    Flow("dispute-opened", On("stripe", "charge.dispute.created"), reads="stripe.dispute", makes="journal_entry",
         steps=(Step("post", to="ledger.journal_entry"),), lane="dispute", parent="payment",
         owner="finance-ops", sla=minutes(60), priority=50, why="where money has moved already; an inquiry moves none"),
    Flow("dispute", On("stripe", "charge.dispute.funds_withdrawn"), reads="stripe.dispute", makes="journal_entry",
         steps=(Step("post", to="ledger.journal_entry"),), lane="dispute", parent="payment",
         owner="finance-ops", sla=minutes(60), priority=50, why="the disputed amount and its fee are out"),
    Flow("dispute-reinstated", On("stripe", "charge.dispute.funds_reinstated"), reads="stripe.dispute_reinstated",
         makes="journal_entry", steps=(Step("post", to="ledger.journal_entry"),), lane="dispute",
         parent="journal_entry", owner="finance-ops", sla=minutes(60), priority=50, why="it was won"),
    Flow("dispute-closed", On("stripe", "charge.dispute.closed"), reads="stripe.dispute_lost", makes="journal_entry",
         steps=(Step("post", to="ledger.journal_entry"),), lane="dispute", parent="journal_entry",
         owner="finance-ops", sla=minutes(60), priority=50, why="a lost one is written off"),
    Flow("refund", On("stripe", "refund.created"), reads="stripe.refund_entry", makes="journal_entry",
         steps=(Step("post", to="ledger.journal_entry"),), lane="refund", parent="payment",
         owner="finance-ops", sla=minutes(60), priority=50),
    Flow("refund-updated", On("stripe", "refund.updated"), reads="stripe.refund_entry", makes="journal_entry",
         steps=(Step("post", to="ledger.journal_entry"),), lane="refund", parent="payment",
         owner="finance-ops", sla=minutes(60), priority=50, why="one that was pending"),
    Flow("refund-failed", On("stripe", "refund.failed"), reads="stripe.refund_failed", makes="journal_entry",
         steps=(Step("post", to="ledger.journal_entry"),), lane="refund", parent="journal_entry",
         owner="finance-ops", sla=minutes(60), priority=50, why="the buyer's bank gave it back"),
    Flow("chargebee-invoice", On("chargebee", "invoice_generated"), reads="chargebee.invoice", makes="invoice",
         steps=(Step("post", to="erp.invoice"),), lane="invoice", parent="customer",
         then=INVOICED, owner="finance-ops", sla=minutes(15), tell="crm", support="support", priority=40),
    Flow("chargebee-payment", On("chargebee", "payment_succeeded"), reads="chargebee.payment", makes="payment",
         steps=(Step("post", to="erp.payment"),), lane="invoice", parent="invoice",
         then=PAID, owner="finance-ops", sla=minutes(15), tell="crm", support="support", priority=20),
    Flow("chargebee-credit-note", On("chargebee", "credit_note_created"), reads="chargebee.credit_note",
         makes="credit_note", steps=(Step("post", to="erp.credit_note"),), lane="invoice", parent="invoice",
         then=CREDITED, owner="finance-ops", sla=minutes(15), tell="crm", support="support", priority=40),
    Flow("chargebee-customer", On("chargebee", "customer_created"), reads="chargebee.customer", makes="customer",
         steps=(Step("post", to="erp.customer", action="upsert"),), lane="customer", in_place=True,
         then=CUSTOMER_TOLD, owner="revenue-ops", sla=minutes(15), priority=30),
    Flow("chargebee-customer-changed", On("chargebee", "customer_changed"), reads="chargebee.customer",
         makes="customer", steps=(Step("post", to="erp.customer", action="upsert"),), lane="customer", known=True,
         in_place=True, owner="revenue-ops", sla=minutes(60), priority=30),
    Flow("chargebee-invoice-void", On("chargebee", "invoice_updated"), reads="chargebee.invoice", makes="invoice",
         steps=(Step("post", to="erp.invoice", action="void"),), lane="invoice", parent="invoice",
         then=VOIDED, owner="finance-ops", sla=minutes(15), tell="crm", support="support", priority=40,
         why="it tells of much; only what is voided is taken back"),
    Flow("chargebee-invoice-deleted", On("chargebee", "invoice_deleted"), reads="chargebee.invoice", makes="invoice",
         steps=(Step("post", to="erp.invoice", action="void"),), lane="invoice", parent="invoice",
         then=VOIDED, owner="finance-ops", sla=minutes(15), tell="crm", support="support", priority=40),
    Flow("chargebee-credit-note-void", On("chargebee", "credit_note_updated"), reads="chargebee.credit_note",
         makes="credit_note", steps=(Step("post", to="erp.credit_note", action="void"),), lane="invoice",
         parent="credit_note",
         then=UNCREDITED, owner="finance-ops", sla=minutes(15), tell="crm", support="support", priority=40,
         why="it tells of much; only what is voided is taken back"),
    Flow("chargebee-credit-note-deleted", On("chargebee", "credit_note_deleted"), reads="chargebee.credit_note",
         makes="credit_note", steps=(Step("post", to="erp.credit_note", action="void"),), lane="invoice",
         parent="credit_note",
         then=UNCREDITED, owner="finance-ops", sla=minutes(15), tell="crm", support="support", priority=40),
    Flow("chargebee-refund", On("chargebee", "payment_refunded"), reads="chargebee.money_back",
         makes="journal_entry", steps=(Step("post", to="ledger.journal_entry"),), lane="refund", parent="payment",
         owner="finance-ops", sla=minutes(60), priority=50),
    Flow("chargebee-transaction", On("chargebee", "transaction_created"), reads="chargebee.money_back",
         makes="journal_entry", steps=(Step("post", to="ledger.journal_entry"),), lane="refund", parent="payment",
         owner="finance-ops", sla=minutes(60), priority=50, why="returned debits and chargebacks have no event else"),
    Flow("chargebee-transaction-updated", On("chargebee", "transaction_updated"), reads="chargebee.money_back",
         makes="journal_entry", steps=(Step("post", to="ledger.journal_entry"),), lane="refund", parent="payment",
         owner="finance-ops", sla=minutes(60), priority=50, why="one that was under way, or failed after all"),
    Flow("zuora-invoice", On("zuora", "InvoicePosted"), reads="zuora.invoice", makes="invoice",
         steps=(Step("post", to="erp.invoice"),), lane="invoice", parent="customer",
         then=(Step("load", to="warehouse.invoice", order=False),),
         owner="finance-ops", sla=minutes(15), tell="crm", support="support", priority=40),
    Flow("zuora-payment", On("zuora", "PaymentProcessed"), reads="zuora.payment", makes="payment",
         steps=(Step("post", to="erp.payment"),), lane="invoice", parent="invoice",
         then=PAID, owner="finance-ops", sla=minutes(15), tell="crm", support="support", priority=20),
    Flow("zuora-credit-note", On("zuora", "CreditMemoPosted"), reads="zuora.credit_memo", makes="credit_note",
         steps=(Step("post", to="erp.credit_note"),), lane="invoice", parent="invoice",
         then=(Step("load", to="warehouse.credit_note", order=False),),
         owner="finance-ops", sla=minutes(15), tell="crm", support="support", priority=40),
    Flow("zuora-customer", On("zuora", "AccountCreated"), reads="zuora.account", makes="customer",
         steps=(Step("post", to="erp.customer", action="upsert"),), lane="customer", in_place=True,
         then=CUSTOMER_TOLD, owner="revenue-ops", sla=minutes(15), priority=30),
    Flow("businesscentral-customer", On("businesscentral", "customers.created"), reads="businesscentral.card",
         makes="customer", steps=(Step("post", to="billing.customer"),), lane="customer", in_place=True,
         owner="revenue-ops", sla=minutes(15), priority=30),
    Flow("legacy-customer", On("legacy", "customer.created"), reads="legacy.account", makes="customer",
         steps=(Step("post", to="billing.customer"),), lane="customer", in_place=True,
         owner="revenue-ops", sla=minutes(30), priority=30),
    Flow("legacy-customer-news", On("legacy", "customer.changed"), reads="legacy.account_status", makes="status",
         steps=(Step("post", to="crm.status", action="upsert"),), lane="status", in_place=True,
         owner="revenue-ops", sla=minutes(60), priority=70),
    Flow("legacy-payment-news", On("legacy", "payment.received"), reads="legacy.receipt_status", makes="status",
         steps=(Step("post", to="crm.status", action="upsert"),), lane="status", in_place=True,
         owner="revenue-ops", sla=minutes(60), priority=70),
    Flow("netsuite-customer", On("netsuite", "customer.created"), reads="netsuite.buyer", makes="customer",
         steps=(Step("post", to="billing.customer"),), lane="customer", in_place=True,
         owner="revenue-ops", sla=minutes(30), priority=30),
    Flow("netsuite-customer-news", On("netsuite", "customer.changed"), reads="netsuite.customer_status",
         makes="status", steps=(Step("post", to="crm.status", action="upsert"),), lane="status", in_place=True,
         owner="revenue-ops", sla=minutes(60), priority=70),
    Flow("netsuite-payment-news", On("netsuite", "payment.changed"), reads="netsuite.payment_status",
         makes="status", steps=(Step("post", to="crm.status", action="upsert"),), lane="status", in_place=True,
         owner="revenue-ops", sla=minutes(60), priority=70),
    Flow("customer-onboarding", On("salesforce", "opportunity.closed_won"), reads="salesforce.opportunity",
         makes="opportunity", lane="customer", in_place=True, steps=ONBOARDING,
         then=(Step("support", to="support.customer", action="upsert"),),
         owner="revenue-ops", sla=minutes(60), tell="crm", priority=30),
    Flow("salesforce-account", On("salesforce", "account.changed"), reads="salesforce.account", makes="customer",
         steps=(Step("post", to="erp.customer", action="upsert"),), lane="account", known=True, in_place=True,
         owner="revenue-ops", sla=minutes(60), priority=30,
         why="Its own lane: it may have to wait until onboarding has made the customer known."),
    Flow("salesforce-quote", On("salesforce", "quote.accepted"), reads="salesforce.quote", makes="quote",
         steps=(Step("post", to="orders.quote"),), lane="quote", parent="customer",
         owner="revenue-ops", sla=minutes(60), tell="crm", priority=50,
         why="A sales order; on where the org's settings name a profile for its quotes."),
    Flow("hubspot-onboarding", On("hubspot", "deal.propertyChange.dealstage"), reads="hubspot.deal",
         makes="opportunity", lane="customer", in_place=True, steps=ONBOARDING,
         then=(Step("support", to="support.customer", action="upsert"),),
         owner="revenue-ops", sla=minutes(60), tell="crm", priority=30),
    Flow("hubspot-company", On("hubspot", "company.changed"), reads="hubspot.company", makes="customer",
         steps=(Step("post", to="erp.customer", action="upsert"),), lane="account", known=True, in_place=True,
         owner="revenue-ops", sla=minutes(60), priority=30,
         why="Its own lane: it may have to wait until onboarding has made the customer known."),
    Flow("support-ticket", On("zendesk", "ticket.status_changed"), reads="zendesk.ticket", makes="ticket",
         steps=(Step("post", to="crm.ticket", action="upsert"),), lane="ticket", in_place=True,
         owner="revenue-ops", sla=minutes(60), priority=60),
)  # fmt: skip


@cache
def _index() -> dict[tuple[str, str], Flow]:
    return {(flow.on.source, flow.on.type): flow for flow in FLOWS}


def match(source: str, type_: str) -> Flow | None:
    """The flow that an event starts; ``None`` if none."""
    return _index().get((source, type_))


def named(name: str) -> Flow:
    """The flow called ``name``; ``KeyError`` if there is none."""
    return next(flow for flow in FLOWS if flow.name == name)
