"""Stripe's objects as its API of 2026-09-30.endive shows them, built whole: every field the schema requires.

Money is integer minor units. The shapes follow the vendor's published types; a test validates them where the
contract files are at hand.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from infra.local.sandbox.wire import Json

API_VERSION = "2026-09-30.endive"
#: Lines of a document that an event shows; the others are listed.
SHOWN_LINES = 10

# the form fields that the API takes when it creates or changes an object; anything else is parameter_unknown
_CUSTOMER_FIELDS = (
    "address balance business_name cash_balance default_source description email expand individual_name "
    "invoice_prefix invoice_settings metadata name next_invoice_sequence payment_method phone "
    "preferred_locales shipping source tax tax_exempt tax_id_data test_clock validate"
)
CUSTOMER_FIELDS = frozenset(_CUSTOMER_FIELDS.split())
_SUBSCRIPTION_FIELDS = (
    "add_invoice_items application_fee_percent automatic_tax backdate_start_date billing_cycle_anchor "
    "billing_cycle_anchor_config billing_mode billing_schedules billing_thresholds cancel_at "
    "cancel_at_period_end cancellation_details collection_method currency customer customer_account "
    "days_until_due default_payment_method default_source default_tax_rates description discounts expand "
    "invoice_settings items metadata off_session on_behalf_of pause_collection payment_behavior "
    "payment_settings pending_invoice_item_interval proration_behavior transfer_data trial_end trial_from_plan "
    "trial_period_days trial_settings"
)
SUBSCRIPTION_FIELDS = frozenset(_SUBSCRIPTION_FIELDS.split())


@dataclass(frozen=True)
class Line:
    """One invoice line. ``unit_amount`` in minor units; ``tax`` overrides what ``tax_rate`` would give."""

    unit_amount: int
    quantity: int = 1
    product: str = "prod_pro"
    description: str = "Pro plan"
    tax_rate: str | None = None
    tax: int | None = None
    period: tuple[int, int] | None = None  # epoch seconds, start and end

    @property
    def amount(self) -> int:
        """Net amount in minor units."""
        return self.unit_amount * self.quantity


def tax_of(net: int, percentage: Decimal) -> int:
    """Tax in minor units on a net amount, half away from zero."""
    return int((Decimal(net) * percentage / 100).quantize(Decimal(1), rounding=ROUND_HALF_UP))


def shown(about: Json) -> Json:
    """An object as an event shows it: at most the first ten lines, and that there are more."""
    seen = copy.deepcopy(about)
    lines = seen.get("lines")
    if isinstance(lines, dict) and len(lines["data"]) > SHOWN_LINES:
        seen["lines"] = lines | {"data": lines["data"][:SHOWN_LINES], "has_more": True}
    return seen


def listing(url: str, data: list[Json], more: bool = False) -> Json:
    """A list object."""
    return {"object": "list", "data": data, "has_more": more, "url": url}


def empty_address() -> Json:
    """An address nobody filled in."""
    return {"city": None, "country": None, "line1": None, "line2": None, "postal_code": None, "state": None}


def customer(ident: str, created: int, prefix: str) -> Json:
    """A new customer without any wishes."""
    return {
        "id": ident, "object": "customer", "address": None, "balance": 0, "created": created, "currency": None,
        "customer_account": None, "default_source": None, "delinquent": False, "description": None,
        "discount": None, "email": None, "invoice_prefix": prefix,
        "invoice_settings": {
            "custom_fields": None, "default_payment_method": None, "footer": None, "rendering_options": None,
        },
        "livemode": False, "metadata": {}, "name": None, "next_invoice_sequence": 1, "phone": None,
        "preferred_locales": [], "shipping": None, "tax_exempt": "none", "test_clock": None,
    }  # fmt: skip


def tax_rate(ident: str, created: int, name: str, percentage: str, country: str, state: str | None) -> Json:
    """A tax rate; ``percentage`` is a decimal in text."""
    return {
        "id": ident, "object": "tax_rate", "active": True, "country": country, "created": created,
        "description": f"{name} {country}", "display_name": name, "effective_percentage": None,
        "flat_amount": None, "inclusive": False, "jurisdiction": state or country,
        "jurisdiction_level": "state" if state else "country", "livemode": False, "metadata": {},
        "percentage": Decimal(percentage), "rate_type": "percentage", "state": state,
        "tax_type": "vat" if country == "DE" else "sales_tax",
    }  # fmt: skip


def product(ident: str, created: int, name: str, sku: str) -> Json:
    """A product; its item number is in ``metadata.sku``."""
    return {
        "id": ident, "object": "product", "active": True, "created": created, "default_price": None,
        "description": None, "images": [], "livemode": False, "marketing_features": [], "metadata": {"sku": sku},
        "name": name, "package_dimensions": None, "shippable": None, "statement_descriptor": None,
        "tax_code": None, "tax_details": None, "type": "service", "unit_label": None, "updated": created, "url": None,
    }  # fmt: skip


def price(ident: str, created: int, product_id: str, currency: str, unit_amount: int, key: str | None) -> Json:
    """A monthly price (one time for set-up), per unit, in minor units."""
    once = product_id == "prod_setup"
    return {
        "id": ident, "object": "price", "active": True, "billing_scheme": "per_unit", "created": created,
        "currency": currency.lower(), "custom_unit_amount": None, "livemode": False, "lookup_key": key,
        "metadata": {}, "nickname": None, "product": product_id,
        "recurring": None if once else {
            "interval": "month", "interval_count": 1, "meter": None, "trial_period_days": None,
            "usage_type": "licensed",
        },
        "tax_behavior": "exclusive", "tiers_mode": None, "transform_quantity": None,
        "type": "one_time" if once else "recurring", "unit_amount": unit_amount,
        "unit_amount_decimal": str(unit_amount),
    }  # fmt: skip


def subscription_item(ident: str, of: str, created: int, period_end: int, its_price: Json, quantity: int) -> Json:
    """One item; the current period lives here since basil, not on the subscription."""
    plan = {
        "id": its_price["id"], "object": "plan", "active": True, "amount": its_price["unit_amount"],
        "amount_decimal": its_price["unit_amount_decimal"], "billing_scheme": "per_unit", "created": created,
        "currency": its_price["currency"], "interval": "month", "interval_count": 1, "livemode": False,
        "metadata": {}, "meter": None, "nickname": None, "product": its_price["product"], "tiers_mode": None,
        "transform_usage": None, "trial_period_days": None, "usage_type": "licensed",
    }  # fmt: skip
    return {
        "id": ident, "object": "subscription_item", "billing_thresholds": None, "created": created,
        "current_period_end": period_end, "current_period_start": created, "current_trial": None,
        "discounts": [], "metadata": {}, "plan": plan, "price": its_price, "quantity": quantity,
        "subscription": of, "tax_rates": [],
    }  # fmt: skip


def subscription(ident: str, created: int, customer_id: str, currency: str, items: list[Json]) -> Json:
    """An active subscription that sends invoices."""
    return {
        "id": ident, "object": "subscription", "application": None, "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": created, "billing_cycle_anchor_config": None,
        "billing_mode": {"flexible": None, "type": "classic"}, "billing_schedules": [], "billing_thresholds": None,
        "cancel_at": None, "cancel_at_period_end": False, "canceled_at": None,
        "cancellation_details": {"comment": None, "feedback": None, "feedback_option": None, "reason": None},
        "collection_method": "charge_automatically", "created": created, "currency": currency.lower(),
        "customer": customer_id, "customer_account": None, "days_until_due": None, "default_payment_method": None,
        "default_source": None, "default_tax_rates": [], "description": None, "discounts": [], "ended_at": None,
        "invoice_settings": {
            "account_tax_ids": None, "custom_fields": None, "description": None, "footer": None,
            "issuer": {"type": "self"},
        },
        "items": listing(f"/v1/subscription_items?subscription={ident}", items), "latest_invoice": None,
        "livemode": False, "managed_payments": None, "metadata": {}, "next_pending_invoice_item_invoice": None,
        "on_behalf_of": None, "pause_collection": None,
        "payment_settings": {
            "payment_method_options": None, "payment_method_types": None, "save_default_payment_method": "off",
        },
        "pending_invoice_item_interval": None, "pending_setup_intent": None, "pending_update": None,
        "schedule": None, "start_date": created, "status": "active", "test_clock": None, "transfer_data": None,
        "trial_end": None, "trial_settings": None,
        "trial_start": None,
    }  # fmt: skip


def tax_amount(rate: str, net: int, amount: int, percentage: Decimal) -> Json:
    """One entry of ``taxes`` or ``total_taxes``."""
    return {
        "amount": amount, "tax_behavior": "exclusive", "tax_rate_details": {"tax_rate": rate},
        "taxability_reason": "standard_rated" if percentage else "reverse_charge", "taxable_amount": net,
        "type": "tax_rate_details",
    }  # fmt: skip


def invoice_line(ident: str, invoice_id: str, currency: str, line: Line, taxes: list[Json], **of: Any) -> Json:
    """One line item; ``of`` names price, subscription, subscription item, start and end of its period."""
    parent: Json = {
        "invoice_item_details": {
            "invoice_item": of["item"], "proration": False, "proration_details": None, "subscription": None,
        },
        "subscription_item_details": None, "type": "invoice_item_details",
    }  # fmt: skip
    if of["subscription"]:
        parent = {
            "invoice_item_details": None,
            "subscription_item_details": {
                "invoice_item": None, "proration": False, "proration_details": None,
                "subscription": of["subscription"], "subscription_item": of["item"],
            },
            "type": "subscription_item_details",
        }  # fmt: skip
    start, end = line.period or (of["start"], of["end"])
    return {
        "id": ident, "object": "line_item", "amount": line.amount, "currency": currency.lower(),
        "description": line.description, "discount_amounts": [], "discountable": True, "discounts": [],
        "invoice": invoice_id, "livemode": False, "metadata": {}, "parent": parent,
        "period": {"end": end, "start": start}, "pretax_credit_amounts": [],
        "pricing": {
            "price_details": {"price": of["price"], "product": line.product}, "type": "price_details",
            "unit_amount_decimal": str(line.unit_amount),
        },
        "quantity": line.quantity, "quantity_decimal": str(line.quantity), "subscription": of["subscription"],
        "subtotal": line.amount, "taxes": taxes,
    }  # fmt: skip


def invoice(ident: str, created: int, currency: str, buyer: Json, lines: list[Json], taxes: list[Json]) -> Json:
    """An open, finalized invoice; the caller fills in number, parent, dates and account."""
    subtotal = sum(line["amount"] for line in lines)
    total = subtotal + sum(tax["amount"] for tax in taxes)
    periods = [line["period"] for line in lines]
    return {
        "id": ident, "object": "invoice", "account_country": None, "account_name": None, "account_tax_ids": None,
        "amount_due": total, "amount_overpaid": 0, "amount_paid": 0, "amount_remaining": total,
        "amount_shipping": 0, "application": None, "attempt_count": 0, "attempted": False, "auto_advance": True,
        "automatic_tax": {
            "disabled_reason": None, "enabled": False, "liability": None, "provider": None, "status": None,
        },
        "automatically_finalizes_at": None, "billing_reason": "manual", "collection_method": "send_invoice",
        "created": created, "currency": currency.lower(), "custom_fields": None, "customer": buyer["id"],
        "customer_account": None, "customer_address": buyer["address"], "customer_email": buyer["email"],
        "customer_name": buyer["name"], "customer_phone": buyer["phone"], "customer_shipping": None,
        "customer_tax_exempt": buyer["tax_exempt"], "customer_tax_ids": [], "default_payment_method": None,
        "default_source": None, "default_tax_rates": [], "description": None, "discounts": [], "due_date": None,
        "effective_at": created, "ending_balance": 0, "footer": None, "from_invoice": None,
        "hosted_invoice_url": f"https://invoice.stripe.example/i/{ident}",
        "invoice_pdf": f"https://pay.stripe.example/invoice/{ident}/pdf", "issuer": {"type": "self"},
        "last_finalization_error": None, "latest_revision": None,
        "lines": listing(f"/v1/invoices/{ident}/lines", lines), "livemode": False, "metadata": {},
        "next_payment_attempt": None, "number": None, "on_behalf_of": None, "parent": None,
        "payment_settings": {
            "default_mandate": None, "payment_method_options": None, "payment_method_types": None,
        },
        "period_end": max(period["end"] for period in periods),
        "period_start": min(period["start"] for period in periods), "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0, "receipt_number": None, "rendering": None, "shipping_cost": None,
        "shipping_details": None, "starting_balance": 0, "statement_descriptor": None, "status": "open",
        "status_transitions": {
            "finalized_at": created, "marked_uncollectible_at": None, "paid_at": None, "voided_at": None,
        },
        "subtotal": subtotal, "subtotal_excluding_tax": subtotal, "test_clock": None, "total": total,
        "total_discount_amounts": [], "total_excluding_tax": subtotal, "total_pretax_credit_amounts": [],
        "total_taxes": taxes, "webhooks_delivered_at": created,
    }  # fmt: skip


def credit_note_line(ident: str, line: Json, net: int, taxes: list[Json], rates: list[Json]) -> Json:
    """Credit of (a part of) one invoice line."""
    return {
        "id": ident, "object": "credit_note_line_item", "amount": net, "description": line["description"],
        "discount_amount": 0, "discount_amounts": [], "invoice_line_item": line["id"], "livemode": False,
        "metadata": {}, "pretax_credit_amounts": [], "quantity": None if net != line["amount"] else line["quantity"],
        "tax_rates": rates, "taxes": taxes, "type": "invoice_line_item", "unit_amount": None,
        "unit_amount_decimal": None,
    }  # fmt: skip


def credit_note(ident: str, created: int, of: Json, lines: list[Json], taxes: list[Json], paid: bool) -> Json:
    """An issued credit note on an invoice, before or after its payment."""
    net = sum(line["amount"] for line in lines)
    total = net + sum(tax["amount"] for tax in taxes)
    return {
        "id": ident, "object": "credit_note", "amount": total, "amount_shipping": 0, "created": created,
        "currency": of["currency"], "customer": of["customer"], "customer_account": None,
        "customer_balance_transaction": None, "discount_amount": 0, "discount_amounts": [],
        "effective_at": created, "invoice": of["id"], "lines": listing(f"/v1/credit_notes/{ident}/lines", lines),
        "livemode": False, "memo": None, "metadata": {}, "number": None, "out_of_band_amount": None,
        "pdf": f"https://pay.stripe.example/credit_notes/{ident}/pdf", "post_payment_amount": total if paid else 0,
        "pre_payment_amount": 0 if paid else total, "pretax_credit_amounts": [], "reason": None, "refunds": [],
        "shipping_cost": None, "status": "issued", "subtotal": net, "subtotal_excluding_tax": net, "total": total,
        "total_excluding_tax": net, "total_taxes": taxes, "type": "post_payment" if paid else "pre_payment",
        "voided_at": None,
    }  # fmt: skip
