"""Rules that read Stripe's objects, in the shape of 2026-09-30.endive and, where it is cheap, in older ones.

Net amounts are after discounts and without inclusive tax. ``taxes`` lists stand on lines and documents since basil;
before that they were ``tax_amounts`` and ``total_tax_amounts``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from tieout.core import keys
from tieout.core.clocks import DocumentDate, PostingDate, TaxPoint, posting_date_of, tax_point_of
from tieout.core.documents import Address, Allocation, TaxBreakdown
from tieout.core.money import Money
from tieout.core.rules import days
from tieout.core.rules.amounts import decimal, stripe_money
from tieout.core.rules.avalara import first_usable
from tieout.core.rules.registry import rule
from tieout.core.verdicts import Ignore, NeedsHuman

UNTAXED: Final = "none"
"""The tax code of a line on which no tax was charged: a row of its own in the tax code table, never a default."""

SUBSCRIPTIONS: Final[Mapping[str, tuple[str, str]]] = {
    "active": ("accepted", "runs and is billed"),
    "trialing": ("accepted", "is on trial"),
    "incomplete": ("pending", "waits for its first payment"),
    "past_due": ("held", "is behind: its last invoice is not paid"),
    "unpaid": ("held", "is not paid, and its invoices are not collected any more"),
    "paused": ("held", "is paused: its trial ended without a way to pay"),
    "incomplete_expired": ("rejected", "never began: its first payment did not come"),
    "canceled": ("compensated", "is cancelled"),
}
"""How a state of a subscription is told: the CRM's word for it, and what it says."""
INTERVALS: Final[Mapping[tuple[Any, Any], str]] = {
    ("month", 1): "month",
    ("month", 3): "quarter",
    ("month", 12): "year",
    ("year", 1): "year",
}


@rule
def stripe_id(reference: str | Mapping[str, Any]) -> str | None:
    """The id of a referenced object, whether it was expanded or not."""
    found = reference.get("id") if isinstance(reference, Mapping) else reference
    return found if isinstance(found, str) and found else None


@rule
def stripe_metadata(document: Mapping[str, Any], name: str) -> str | None:
    """A metadata value of the object, or of the subscription that it bills."""
    for holder in (document, _at(document, "parent", "subscription_details")):
        value = _at(holder, "metadata", name)
        if isinstance(value, str) and value:
            return value
    return None


@rule
def stripe_subscription(document: Mapping[str, Any]) -> str | None:
    """The subscription that an invoice bills (``parent.subscription_details`` since basil)."""
    found = _at(document, "parent", "subscription_details", "subscription") or document.get("subscription")
    return stripe_id(found) if found else None


@rule
def stripe_document_date(document: Mapping[str, Any], zone: str) -> DocumentDate | None:
    """The day of issue in the entity's zone: effective, else finalized, else created."""
    issued = _issued(document)
    return None if issued is None else days.document_date(issued, zone)


@rule
def stripe_tax_point(document: Mapping[str, Any], zone: str) -> TaxPoint | None:
    """The tax point: the day of issue."""
    day = stripe_document_date(document, zone)
    return None if day is None else tax_point_of(day)


@rule
def stripe_posting_date(document: Mapping[str, Any], zone: str) -> PostingDate | None:
    """The day the books feel it: of voiding, where it was voided; else of issue."""
    voided = _at(document, "status_transitions", "voided_at") or document.get("voided_at")
    if type(voided) is int:
        return days.posting_date(voided, zone)
    day = stripe_document_date(document, zone)
    return None if day is None else posting_date_of(day)


@rule
def stripe_lines(document: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The lines, all of them: a snapshot that was cut is refused, never booked in part."""
    lines = document.get("lines")
    rows = lines.get("data") if isinstance(lines, Mapping) else None
    if not isinstance(rows, list):
        raise NeedsHuman("wrong_shape", "no lines", source="stripe", reason="no lines")
    if isinstance(lines, Mapping) and lines.get("has_more") is True:
        raise NeedsHuman("lines_cut", f"{len(rows)} lines and more", shown=len(rows))
    return rows


@rule
def stripe_net(document: Mapping[str, Any], currency: str) -> Money:
    """Net of the document: its total without tax."""
    stripe_lines(document)
    net = document.get("total_excluding_tax")
    if type(net) is int:
        return stripe_money(net, currency)
    return _total(document, currency) - stripe_tax(document, currency)


@rule
def stripe_tax(document: Mapping[str, Any], currency: str) -> Money:
    """Tax of the document, by its tax entries; by its totals where it has none."""
    entries = _taxes(document, "total_taxes", "total_tax_amounts", "tax_amounts")
    if entries:
        return _sum(entries, "amount", currency)
    net = document.get("total_excluding_tax")
    if type(net) is int:
        return _total(document, currency) - stripe_money(net, currency)
    tax = document.get("tax")
    return stripe_money(tax, currency) if type(tax) is int else Money.zero(currency)


@rule
def stripe_breakdown(document: Mapping[str, Any], currency: str) -> tuple[TaxBreakdown, ...]:
    """Tax by rate; empty where Stripe does not say the taxable amounts."""
    entries = _taxes(document, "total_taxes", "total_tax_amounts", "tax_amounts")
    if any(type(entry.get("taxable_amount")) is not int or not _rate(entry) for entry in entries):
        return ()
    return tuple(
        TaxBreakdown(
            tax_code=_rate(entry),
            rate=None,
            jurisdiction=None,
            taxable=stripe_money(entry["taxable_amount"], currency),
            tax=stripe_money(entry["amount"], currency),
        )
        for entry in entries
    )


@rule
def stripe_line_net(line: Mapping[str, Any], currency: str) -> Money:
    """Net of a line: its amount less its discounts and its inclusive tax."""
    amount = stripe_money(line["amount"], currency)
    discounts = line.get("discount_amounts") or []
    inclusive = [tax for tax in _taxes(line, "taxes", "tax_amounts") if _inclusive(tax)]
    return amount - _sum(discounts, "amount", currency) - _sum(inclusive, "amount", currency)


@rule
def stripe_line_tax(line: Mapping[str, Any], currency: str) -> Money | None:
    """Tax of a line; absent where the line says nothing about tax."""
    if line.get("taxes") is None and line.get("tax_amounts") is None:
        return None
    return _sum(_taxes(line, "taxes", "tax_amounts"), "amount", currency)


@rule
def stripe_line_tax_code(line: Mapping[str, Any]) -> str:
    """The tax rate of a line; several joined with ``+`` in alphabetical order; ``none`` where none was charged."""
    rates = {_rate(tax) for tax in _taxes(line, "taxes", "tax_amounts")}
    rates |= {str(rate.get("id")) for rate in line.get("tax_rates") or [] if isinstance(rate, Mapping)}
    rates.discard("")
    return "+".join(sorted(rates)) or UNTAXED


@rule
def stripe_line_product(line: Mapping[str, Any]) -> str | None:
    """The product of a line (``pricing.price_details`` since basil); absent on a free line."""
    found = _at(line, "pricing", "price_details", "product") or _at(line, "price", "product")
    return stripe_id(found) if found else None


@rule
def stripe_line_quantity(line: Mapping[str, Any]) -> Decimal:
    """How many; one where Stripe names no quantity."""
    quantity = line.get("quantity_decimal") or line.get("quantity")
    return decimal(quantity) if quantity is not None else Decimal(1)


@rule
def stripe_line_unit_price(line: Mapping[str, Any], currency: str) -> Decimal | None:
    """Price of one in major units; absent where the line has none. May be finer than the minor unit.

    On the line's price before basil.
    """
    spelled = _at(line, "pricing", "unit_amount_decimal") or line.get("unit_amount_decimal")
    spelled = spelled or _at(line, "price", "unit_amount_decimal")
    if not isinstance(spelled, str):
        return None
    one = stripe_money(1, currency)
    return decimal(spelled) * one.decimal


@rule
def stripe_address(address: Mapping[str, Any]) -> Address | None:
    """A postal address; absent where street, city or country is missing (none is made up)."""
    line1, city, country = address.get("line1"), address.get("city"), address.get("country")
    if not line1 or not city or not country:
        return None
    return Address(
        line1=line1,
        line2=address.get("line2") or None,
        city=city,
        region=address.get("state") or None,
        postal_code=address.get("postal_code") or None,
        country=country,
    )


@rule
def stripe_ship_to(document: Mapping[str, Any]) -> Address | None:
    """Where an invoice is supplied, as it says itself: the shipping address, else the customer's."""
    return first_usable(stripe_address, _at(document, "customer_shipping", "address"), document.get("customer_address"))


@rule
def stripe_payment_id(document: Mapping[str, Any]) -> str:
    """The payment's own id where the invoice names one; else the invoice's id with ``:paid``."""
    rows = _at(document, "payments", "data")
    paid = [row for row in rows if row.get("status", "paid") == "paid"] if isinstance(rows, list) else []
    return str(paid[0]["id"]) if len(paid) == 1 else f"{document['id']}:paid"


@rule
def stripe_amount_paid(document: Mapping[str, Any], currency: str) -> Money:
    """What was paid on an invoice. An invoice that became paid without money is none of our business here."""
    paid = stripe_money(document["amount_paid"], currency)
    if paid.minor == 0:
        raise Ignore("not_for_us", "an invoice of nothing was paid", reason="nothing was paid")
    return paid


@rule
def stripe_allocations(document: Mapping[str, Any], currency: str) -> tuple[Allocation, ...]:
    """What the payment settles: its invoice."""
    amount = stripe_amount_paid(document, currency)
    return (Allocation(document_kind="invoice", source_id=str(document["id"]), amount=amount),)


@rule
def stripe_currency(currency: str) -> str:
    """A currency as Stripe writes it: ``usd``."""
    return currency.lower()


@rule
def stripe_canonical(document: Mapping[str, Any], source: str, account: str) -> str:
    """The customer's one identity: as onboarding wrote it into the metadata, else made from Stripe's id."""
    return stripe_metadata(document, "canonical_id") or keys.object_id(source, account, str(document["id"]))


@rule
def stripe_customer_identity(customer: str | Mapping[str, Any], source: str, account: str) -> str | None:
    """The customer's identity made from Stripe's id, whether the customer was expanded or not."""
    found = stripe_id(customer)
    return keys.object_id(source, account, found) if found else None


@rule
def stripe_items(subscription: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The items of a subscription, all of them: a list that was cut is refused."""
    return stripe_lines({"lines": subscription.get("items")})


@rule
def stripe_interval(subscription: Mapping[str, Any]) -> str:
    """How often a subscription bills: by its first item's price (Stripe lets no items differ)."""
    every = _at(stripe_items(subscription)[0], "price", "recurring") if stripe_items(subscription) else None
    spelled = (_at(every, "interval"), _at(every, "interval_count"))
    if spelled not in INTERVALS:
        raise NeedsHuman("document_invalid", f"every {spelled}", kind="subscription", where="interval")
    return INTERVALS[spelled]


@rule
def stripe_subscription_shown(status: str) -> str:
    """A subscription's state in the words of the CRM: it runs, it waits, it never began, it is over."""
    return _told(status)[0]


@rule
def stripe_subscription_sentence(subscription: Mapping[str, Any], zone: str) -> str:
    """What the CRM shows of a subscription: how it stands, and when it ends where that is known."""
    said = _told(str(subscription.get("status")))[1]
    ended = subscription.get("ended_at") or subscription.get("cancel_at")
    last = f" Its last day is {days.document_date(ended, zone).iso}." if type(ended) is int else ""
    return f"Subscription {subscription['id']} {said}.{last}"


@rule
def stripe_subscriber(subscription: Mapping[str, Any], source: str, account: str) -> str | None:
    """The buyer in the CRM: by the identity or the deal that onboarding wrote there, else by Stripe's customer."""
    named = (stripe_metadata(subscription, name) for name in ("canonical_id", "opportunity_id"))
    identity = stripe_customer_identity(subscription.get("customer") or "", source, account)
    return next((name for name in named if name), identity)


def _told(status: str) -> tuple[str, str]:
    if status not in SUBSCRIPTIONS:
        raise NeedsHuman(
            "wrong_shape", status[:32], source="stripe", reason=f"no state of a subscription: {status[:32]}"
        )
    return SUBSCRIPTIONS[status]


@rule
def stripe_refund_state(status: str) -> str:
    """Whether the money of a refund has moved; one that needs somebody's action is pending."""
    return "pending" if status == "requires_action" else status


def _issued(document: Mapping[str, Any]) -> int | None:
    finalized = _at(document, "status_transitions", "finalized_at")
    moments = (document.get("effective_at"), finalized, document.get("created"))
    return next((moment for moment in moments if type(moment) is int), None)


def _at(value: Any, *names: str) -> Any:
    for name in names:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def _total(document: Mapping[str, Any], currency: str) -> Money:
    return stripe_money(document["total"], currency)


def _taxes(holder: Mapping[str, Any], *names: str) -> list[Mapping[str, Any]]:
    """The first of these lists that is there."""
    for name in names:
        found = holder.get(name)
        if isinstance(found, list):
            return [entry for entry in found if isinstance(entry, Mapping)]
    return []


def _rate(entry: Mapping[str, Any]) -> str:
    found = _at(entry, "tax_rate_details", "tax_rate") or entry.get("tax_rate") or ""
    return (stripe_id(found) or "") if found else ""


def _inclusive(entry: Mapping[str, Any]) -> bool:
    return entry.get("tax_behavior") == "inclusive" or entry.get("inclusive") is True


def _sum(entries: Sequence[Mapping[str, Any]], field: str, currency: str) -> Money:
    total = Money.zero(currency)
    for entry in entries:
        total += stripe_money(entry[field], currency)
    return total
