"""Rules that read Chargebee's objects (API v2): minor units, epoch seconds, tax by line and by document.

A line's ``amount`` is before its discounts, and holds its tax where the document's prices are tax-inclusive. A rounding
(``round_off_amount``) is in ``total``; it is taken out again, so that it stays its own line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Literal

from tieout.core import keys
from tieout.core import money as kernel
from tieout.core.clocks import DocumentDate, PostingDate, TaxPoint, posting_date_of, tax_point_of
from tieout.core.documents import Address, Allocation, JournalLine, TaxBreakdown, TaxId
from tieout.core.money import Money
from tieout.core.rules import days
from tieout.core.rules.amounts import decimal, money_minor
from tieout.core.rules.avalara import first_usable
from tieout.core.rules.registry import rule
from tieout.core.verdicts import Ignore, NeedsHuman

TAKES_BACK: Final = frozenset({"invoice_updated", "invoice_deleted", "credit_note_updated", "credit_note_deleted"})
"""Events that may tell of a document that was voided or deleted, and tell of much else."""
UNTAXED: Final = "none"
"""The tax code of a line without tax and without a reason: a row of its own in the tax code table."""
BACK: Final[Mapping[str, str]] = {"refund": "customer_refunds", "payment_reversal": "payment_reversals"}
"""The account that money which goes back is booked on, by the type of its transaction."""
SETTLES: Final[Mapping[str, Literal["account", "invoice"]]] = {
    "adjustment": "invoice",
    "refundable": "account",
    "store": "account",
}


@rule
def chargebee_number(document: Mapping[str, Any], event: str | None = None) -> str | None:
    """The number of an issued document, which is its id; one that is pending or deleted is none of our business.

    Of an event that may take a document back: the number of one that was voided, or deleted after its issue.
    """
    gone = document.get("deleted") is True
    if document.get("status") == "pending" or (gone and event not in TAKES_BACK):
        raise Ignore("not_for_us", "pending or deleted", reason="the document is not issued")
    if event in TAKES_BACK and document.get("status") != "voided" and not gone:
        raise Ignore("not_for_us", "nothing is voided", reason="the update takes nothing back")
    return document.get("id") or None


@rule
def chargebee_posting(document: Mapping[str, Any], event: str, zone: str) -> PostingDate:
    """The day the books feel it, in the entity's zone: of issue, or of the voiding or deletion that is told of."""
    voided = (document.get(name) for name in ("voided_at", "updated_at"))
    moments = (*voided, document["date"]) if event in TAKES_BACK else (document["date"],)
    return days.posting_date(next(moment for moment in moments if moment is not None), zone)


@rule
def chargebee_gross(document: Mapping[str, Any], currency: str) -> Money:
    """Net and tax of a document, all of it: a line list that goes on is refused, never booked in part."""
    lines = document.get("line_items")
    if not isinstance(lines, list):
        raise NeedsHuman("wrong_shape", "no lines", source="chargebee", reason="no lines")
    if document.get("line_items_next_offset"):
        raise NeedsHuman("lines_cut", f"{len(lines)} lines and more", shown=len(lines))
    return money_minor(document["total"], currency) - _amount(document, "round_off_amount", currency)


@rule
def chargebee_tax(document: Mapping[str, Any], currency: str) -> Money:
    """Tax of a document: its own sum where it says one (invoices), else of its taxes, else of its lines."""
    if type(document.get("tax")) is int:
        return money_minor(document["tax"], currency)
    taxes = _rows(document, "taxes")
    return _sum(taxes, "amount", currency) if taxes else _sum(_rows(document, "line_items"), "tax_amount", currency)


@rule
def chargebee_net(document: Mapping[str, Any], currency: str) -> Money:
    """Net of a document: without tax and rounding."""
    return chargebee_gross(document, currency) - chargebee_tax(document, currency)


@rule
def chargebee_rounding(document: Mapping[str, Any], currency: str) -> Money | None:
    """The rounding of a document; absent where there is none."""
    return _amount(document, "round_off_amount", currency) if document.get("round_off_amount") else None


@rule
def chargebee_payable(document: Mapping[str, Any], currency: str) -> Money | None:
    """What is to be paid after rounding; absent where nothing was rounded."""
    return money_minor(document["total"], currency) if document.get("round_off_amount") else None


@rule
def chargebee_line_net(document: Mapping[str, Any], line: Mapping[str, Any], currency: str) -> Money:
    """Net of a line: its amount less its discounts and, where prices include it, its tax."""
    net = _amount(line, "amount", currency) - _amount(line, "discount_amount", currency)
    inclusive = document.get("price_type") == "tax_inclusive"
    return net - _amount(line, "tax_amount", currency) if inclusive else net


@rule
def chargebee_line_tax(line: Mapping[str, Any], currency: str) -> Money | None:
    """Tax of a line; absent where the line says nothing about tax."""
    return _amount(line, "tax_amount", currency) if type(line.get("tax_amount")) is int else None


@rule
def chargebee_line_tax_code(document: Mapping[str, Any], line: Mapping[str, Any]) -> str:
    """The taxes of a line as ``VAT-19``, several joined with ``+``; of an untaxed one the reason, or ``none``."""
    own = [tax for tax in _rows(document, "line_item_taxes") if tax.get("line_item_id") == line.get("id")]
    if own:
        return "+".join(sorted({_tax_code(tax) for tax in own}))
    if line.get("tax_amount") and line.get("tax_rate") is not None:
        return _tax_code({"tax_name": "tax", "tax_rate": line["tax_rate"]})
    return str(line.get("tax_exempt_reason") or UNTAXED)


@rule
def chargebee_breakdown(document: Mapping[str, Any], currency: str) -> tuple[TaxBreakdown, ...]:
    """Tax by name and rate, out of the taxes of the lines; empty where the document does not list them."""
    by_code: dict[str, list[Mapping[str, Any]]] = {}
    for tax in _rows(document, "line_item_taxes"):
        by_code.setdefault(_tax_code(tax), []).append(tax)
    return tuple(
        TaxBreakdown(
            tax_code=code,
            rate=decimal(held[0]["tax_rate"]),
            jurisdiction=held[0].get("tax_juris_code") or None,
            taxable=_sum(held, "taxable_amount", currency),
            tax=_sum(held, "tax_amount", currency),
        )
        for code, held in sorted(by_code.items())
    )


@rule
def chargebee_quantity(line: Mapping[str, Any]) -> Decimal:
    """How many, exact where the site counts in decimals; one where the line names no quantity."""
    spelled = line.get("quantity_in_decimal") or line.get("quantity")
    return decimal(spelled) if spelled is not None else Decimal(1)


@rule
def chargebee_unit_price(line: Mapping[str, Any], currency: str) -> Decimal | None:
    """Price of one in major units, exact where the site prices in decimals; absent where the line has none."""
    if isinstance(line.get("unit_amount_in_decimal"), str):
        return decimal(line["unit_amount_in_decimal"])
    return money_minor(line["unit_amount"], currency).decimal if type(line.get("unit_amount")) is int else None


@rule
def chargebee_settles(credit_type: str) -> str | None:
    """What a credit note does: an adjustment settles its invoice, the others stay on account."""
    return SETTLES.get(credit_type)


@rule
def chargebee_paid(transaction: Mapping[str, Any], currency: str) -> Money:
    """The amount of a payment that succeeded; any other transaction is none of our business here."""
    if transaction.get("type") != "payment" or transaction.get("status") != "success":
        raise Ignore("not_for_us", "no payment, or not succeeded", reason="it is no payment that succeeded")
    return money_minor(transaction["amount"], currency)


@rule
def chargebee_allocations(transaction: Mapping[str, Any], currency: str) -> tuple[Allocation, ...]:
    """What a payment settles, invoice by invoice."""
    return tuple(
        Allocation(
            document_kind="invoice",
            source_id=str(part["invoice_id"]),
            amount=money_minor(part["applied_amount"], currency),
        )
        for part in _rows(transaction, "linked_invoices")
        if part.get("applied_amount")
    )


@rule
def chargebee_unapplied(transaction: Mapping[str, Any], currency: str) -> Money | None:
    """What Chargebee says is left of a payment; absent where nothing is."""
    return _amount(transaction, "amount_unused", currency) if transaction.get("amount_unused") else None


@rule
def chargebee_name(customer: Mapping[str, Any]) -> str | None:
    """The company, else the person's name."""
    person = " ".join(str(customer[name]) for name in ("first_name", "last_name") if customer.get(name))
    return customer.get("company") or person or None


@rule
def chargebee_canonical(customer: Mapping[str, Any], source: str, account: str) -> str:
    """The customer's one identity: as written into its meta data, else made from Chargebee's id."""
    meta = customer.get("meta_data")
    known = meta.get("canonical_id") if isinstance(meta, Mapping) else None
    return known if isinstance(known, str) and known else keys.object_id(source, account, str(customer["id"]))


@rule
def chargebee_tax_ids(customer: Mapping[str, Any]) -> tuple[TaxId, ...]:
    """The VAT number with its prefix, and what its last validation said."""
    number = customer.get("vat_number")
    if not number:
        return ()
    validated = {"valid": True, "invalid": False}.get(str(customer.get("vat_number_status")))
    return (TaxId(type="vat", value=f"{customer.get('vat_number_prefix') or ''}{number}", validated=validated),)


@rule
def chargebee_address(address: Mapping[str, Any]) -> Address | None:
    """A postal address; absent where street, city or country is missing (none is made up)."""
    line1, city, country = address.get("line1"), address.get("city"), address.get("country")
    if not line1 or not city or not country:
        return None
    return Address(
        line1=line1,
        line2=", ".join(str(address[name]) for name in ("line2", "line3") if address.get(name)) or None,
        city=city,
        region=address.get("state_code") or address.get("state") or None,
        postal_code=address.get("zip") or None,
        country=country,
    )


@rule
def chargebee_ship_to(document: Mapping[str, Any]) -> Address | None:
    """Where an invoice is supplied, as it says itself: the shipping address, else the billing address."""
    return first_usable(chargebee_address, document.get("shipping_address"), document.get("billing_address"))


def _rows(holder: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = holder.get(name)
    return [row for row in found if isinstance(row, Mapping)] if isinstance(found, list) else []


def _amount(holder: Mapping[str, Any], name: str, currency: str) -> Money:
    """An amount that stands there as minor units; zero where it does not stand there at all."""
    return money_minor(0 if holder.get(name) is None else holder[name], currency)


def _sum(rows: Sequence[Mapping[str, Any]], name: str, currency: str) -> Money:
    return kernel.total((_amount(row, name, currency) for row in rows), currency)


def _tax_code(tax: Mapping[str, Any]) -> str:
    return f"{tax['tax_name']}-{decimal(tax['tax_rate']).normalize():f}"


@rule
def chargebee_refunded(transaction: Mapping[str, Any]) -> str | None:
    """The payment that a refund gives back; any other transaction is none of our business here."""
    if transaction.get("type") != "refund":
        raise Ignore("not_for_us", "no refund", reason="it is no refund")
    return _payment_of(transaction)


def _payment_of(transaction: Mapping[str, Any]) -> str | None:
    """The payment that a transaction gives back, where it names one."""
    linked = [part.get("txn_id") or part.get("id") for part in _rows(transaction, "linked_payments")]
    named = transaction.get("refunded_txn_id") or transaction.get("reference_transaction_id")
    named = named or (linked[0] if len(linked) == 1 else None)
    return str(named) if named else None


# --- money that goes back, as journal entries ----------------------------------------------------------------------
@rule
def chargebee_back_id(transaction: Mapping[str, Any]) -> str:
    """The id of the entry: the transaction's; of one that failed after it had succeeded, with ``:failed``."""
    return f"{transaction['id']}:failed" if _failed_late(transaction) else str(transaction["id"])


@rule
def chargebee_back_lines(transaction: Mapping[str, Any], currency: str) -> tuple[JournalLine, ...]:
    """A refund or a reversed payment, off the clearing account; one that failed after all, back on it."""
    account = BACK.get(str(transaction.get("type")))
    if account is None:
        raise Ignore("not_for_us", "no refund or reversal", reason="it is no refund and no reversed payment")
    late = _failed_late(transaction)
    if transaction.get("status") != "success" and not late:
        raise Ignore("not_for_us", "not succeeded", reason="the money has not moved")
    amount = money_minor(transaction["amount"], currency)
    text = f"Chargebee {transaction['type']} {transaction['id']}" + (" failed" if late else "")
    debit, credit = ("payment_clearing", account) if late else (account, "payment_clearing")
    return (
        JournalLine(account=debit, side="debit", amount=amount, text=text[:255]),
        JournalLine(account=credit, side="credit", amount=amount, text=text[:255]),
    )


@rule
def chargebee_back_day(transaction: Mapping[str, Any], zone: str) -> DocumentDate:
    """The day on which the money moved, in the entity's zone: of the transaction, or of its late failure."""
    moment = transaction.get("updated_at") if _failed_late(transaction) else transaction["date"]
    return days.document_date(transaction["date"] if moment is None else moment, zone)


@rule
def chargebee_back_tax_point(transaction: Mapping[str, Any], zone: str) -> TaxPoint:
    """The tax point: that day."""
    return tax_point_of(chargebee_back_day(transaction, zone))


@rule
def chargebee_back_posting(transaction: Mapping[str, Any], zone: str) -> PostingDate:
    """The posting date: that day."""
    return posting_date_of(chargebee_back_day(transaction, zone))


@rule
def chargebee_back_parent_kind(transaction: Mapping[str, Any]) -> str:
    """What must be booked before: the payment; of a late failure, the entry that it takes back."""
    return "journal_entry" if _failed_late(transaction) else "payment"


@rule
def chargebee_back_parent(transaction: Mapping[str, Any]) -> str:
    """That document's id."""
    named = str(transaction["id"]) if _failed_late(transaction) else _payment_of(transaction)
    if not named:
        raise NeedsHuman("payment_unknown", "no payment", what=str(transaction["id"])[:64], payment="none named")
    return named


def _failed_late(transaction: Mapping[str, Any]) -> bool:
    return transaction.get("status") == "late_failure"


@rule
def chargebee_paid_out(transaction: Mapping[str, Any]) -> str | None:
    """The credit note that a refund pays out, where it is exactly one."""
    notes = [str(part["cn_id"]) for part in transaction.get("linked_credit_notes") or [] if part.get("cn_id")]
    return notes[0] if len(notes) == 1 else None


@rule
def chargebee_refund_state(status: str) -> str:
    """Whether the money of a refund has moved."""
    states = {"success": "succeeded", "failure": "failed", "late_failure": "failed", "timeout": "failed",
              "voided": "canceled", "in_progress": "pending", "needs_attention": "pending"}  # fmt: skip
    if status not in states:
        raise NeedsHuman("wrong_shape", status[:32], source="chargebee", reason=f"no status of a refund: {status[:32]}")
    return states[status]
