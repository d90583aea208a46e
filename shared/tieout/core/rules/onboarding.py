"""Customer onboarding as pure steps: is the deal complete, what customer and what subscription does it make."""

from __future__ import annotations

from tieout.core.clocks import ServiceDate
from tieout.core.documents import Customer, Opportunity, Subscription, SubscriptionItem
from tieout.core.rules.names import days_of_terms
from tieout.core.verdicts import NeedsHuman


def validate(opportunity: Opportunity) -> None:
    """Refuse a deal that cannot be onboarded: ``NeedsHuman('deal_incomplete')`` names everything that is missing."""
    buyer = opportunity.customer
    missing = [
        what
        for what, there in (
            ("products", bool(opportunity.lines)),
            ("a recurring product", any(line.interval != "once" for line in opportunity.lines)),
            ("one billing interval", len({line.interval for line in opportunity.lines} - {"once"}) <= 1),
            ("a billing address of the account", buyer.billing_address is not None),
            ("a billing e-mail of the account", bool(buyer.email)),
            ("an amount above zero", opportunity.amount.minor > 0),
        )
        if not there
    ]
    if missing:
        raise NeedsHuman("deal_incomplete", "; ".join(missing), what=", ".join(missing))


def customer_of(opportunity: Opportunity) -> Customer:
    """The buyer of a deal as a customer document, with the deal's currency and terms where it has none itself."""
    buyer = opportunity.customer
    return buyer.model_copy(
        update={
            "currency": buyer.currency or opportunity.currency,
            "terms": buyer.terms or opportunity.terms,
        }
    )


def search_facts(opportunity: Opportunity) -> dict[str, str]:
    """What a target's ``look`` searches an existing customer by: tax number, e-mail, name."""
    buyer = opportunity.customer
    facts = {
        "tax_id": buyer.tax_ids[0].value if buyer.tax_ids else "",
        "email": buyer.email or "",
        "name": buyer.legal_name,
    }
    return {name: value for name, value in facts.items() if value}


def subscription_of(opportunity: Opportunity) -> Subscription:
    """The subscription that a deal makes at billing, for the customer by its canonical identity.

    Only recurring lines are in it; ``validate`` has seen that there is one and that they share an interval.
    """
    recurring = [line for line in opportunity.lines if line.interval != "once"]
    terms = opportunity.customer.terms or opportunity.terms
    return Subscription(
        source=opportunity.source,
        account=opportunity.account,
        source_id=opportunity.source_id,
        entity=opportunity.entity,
        version=opportunity.version,
        event_instant=opportunity.event_instant,
        customer_id=opportunity.customer.canonical_id,
        opportunity_id=opportunity.source_id,
        currency=opportunity.currency,
        end_date=None,
        start_date=opportunity.start_date or ServiceDate(opportunity.close_date.value),
        interval=next((line.interval for line in recurring if line.interval != "once"), "month"),
        terms_days=days_of_terms(terms) if terms else None,
        items=tuple(
            SubscriptionItem(
                item_id=line.line_id,
                product_id=line.product_id,
                price_id=None,
                quantity=line.quantity,
                unit_price=line.unit_price,
            )
            for line in recurring
        ),
    )
