"""Rules that shape what NetSuite takes and no field-by-field mapping can (lists of one, address books), and that read
what it shows of its customers and payments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from tieout.core.documents import Address, Customer, JournalLine, Payment, TaxId
from tieout.core.money import Money
from tieout.core.rules.registry import rule
from tieout.core.verdicts import NeedsHuman

#: What our own customer record begins its comment with; its canonical identity follows.
MARK: Final = "Tieout "
#: As many settled documents are named in a sentence; the rest is counted.
NAMED_MOST: Final = 5
#: What a payment's status is to us, by its id (refName in comments): unapproved, rejected, undeposited, deposited.
RECEIVED: Final[Mapping[str, str]] = {"A": "pending", "R": "rejected", "B": "accepted", "C": "accepted"}


@rule
def netsuite_apply(document: str, amount: Money) -> list[dict[str, Any]]:
    """The ``apply`` sublist that settles one document, named by its internal id, with an amount."""
    return [{"doc": {"id": document}, "apply": True, "amount": amount.decimal}]


@rule
def netsuite_apply_open(document: str, amount: Money, applied: bool) -> list[dict[str, Any]]:
    """The ``apply`` sublist that takes one document back; empty, so that the credit stays on account, where something
    is applied to it already."""
    return [] if applied else netsuite_apply(document, amount)


@rule
def netsuite_apply_payment(document: str, payment: Payment) -> list[dict[str, Any]]:
    """The ``apply`` sublist of a payment on one document; what it does not settle stays unapplied."""
    settled = payment.allocations[0].amount if payment.allocations else payment.amount
    return netsuite_apply(document, settled)


@rule
def netsuite_addresses(customer: Customer) -> list[dict[str, Any]] | None:
    """The address book: the billing address; absent where there is none."""
    address = customer.billing_address
    if address is None:
        return None
    lines = {
        "addressee": customer.legal_name,
        "addr1": address.line1,
        "addr2": address.line2,
        "city": address.city,
        "state": address.region,
        "zip": address.postal_code,
    }
    known: dict[str, Any] = {name: value for name, value in lines.items() if value}
    return [
        {
            "defaultBilling": True,
            "label": "Billing",
            "addressBookAddress": {**known, "country": {"id": address.country}},
        }
    ]


@rule
def on_side(line: JournalLine, side: str) -> Decimal | None:
    """The amount of a journal line on one side; absent on the other."""
    return line.amount.decimal if line.side == side else None


@rule
def tax_number(customer: Customer) -> str | None:
    """The customer's first tax registration; absent where there is none."""
    return customer.tax_ids[0].value if customer.tax_ids else None


# --- what NetSuite shows -------------------------------------------------------------------------------------------
@rule
def netsuite_name(record: Mapping[str, Any]) -> str | None:
    """A customer's name: the company's, or first and last name of a person; absent where neither is there."""
    person = " ".join(str(record[part]) for part in ("firstName", "lastName") if record.get(part))
    return str(record.get("companyName") or person or record.get("altName") or "") or None


@rule
def netsuite_tax_ids(number: str) -> tuple[TaxId, ...]:
    """The customer's registration number, of whichever kind its country has; empty text is none."""
    return (TaxId(type="tax_registration", value=number),) if number else ()


@rule
def netsuite_billing_address(record: Mapping[str, Any]) -> Address | None:
    """The default billing address of the address book; absent where it lacks street, city or a country code."""
    rows = _rows(record.get("addressBook"))
    book = next((row.get("addressBookAddress") for row in rows if row.get("defaultBilling") is True), None)
    if not isinstance(book, Mapping):
        return None
    country = _name(book.get("country"), "id")
    if not book.get("addr1") or not book.get("city") or len(country) != 2:
        return None
    return Address(
        line1=book["addr1"],
        line2=book.get("addr2") or None,
        city=book["city"],
        region=book.get("state") or None,
        postal_code=book.get("zip") or None,
        country=country,
    )


@rule
def netsuite_canonical(customer: Mapping[str, Any], account: str) -> str:
    """Who a customer record is: the identity that we wrote into the comment of our own, else its id in NetSuite."""
    comment = customer.get("comments")
    if isinstance(comment, str) and comment.startswith(MARK) and len(comment.split()) > 1:
        return comment.split()[1]
    return f"netsuite:{account}:{customer['id']}"


@rule
def netsuite_customer_status(customer: Mapping[str, Any]) -> str:
    """``held`` for a customer to whom nothing is sold now (inactive, or on credit hold), else ``accepted``."""
    stopped = customer.get("isInactive") is True or _name(customer.get("creditHoldOverride"), "id") == "ON"
    return "held" if stopped else "accepted"


@rule
def netsuite_customer_sentence(customer: Mapping[str, Any]) -> str:
    """What sales reads of a customer as NetSuite shows it now."""
    name = netsuite_name(customer) or "without a name"
    parts = ["inactive" if customer.get("isInactive") is True else "active"]
    hold = _name(customer.get("creditHoldOverride"), "id")
    parts += (
        [{"ON": "on credit hold", "OFF": "never on credit hold", "AUTO": "credit hold by its limit"}[hold]]
        if (hold in ("ON", "OFF", "AUTO"))
        else []
    )
    terms = _name(customer.get("terms"), "refName")
    parts += [f"terms {terms}"] if terms else []
    for field, said in (("creditLimit", "credit limit"), ("balance", "balance")):
        amount = customer.get(field)
        parts += [f"{said} {_text(amount)}"] if amount is not None else []
    return f"Customer {customer.get('entityId') or customer['id']} ({name[:200]}) in finance: {', '.join(parts)}."


@rule
def netsuite_payment_status(payment: Mapping[str, Any]) -> str:
    """What a customer payment is to us, by its status; ``NeedsHuman('wrong_shape')`` for one that nobody knows."""
    code = _name(payment.get("status"), "id")
    if not code:
        return "accepted"
    if code not in RECEIVED:
        raise NeedsHuman("wrong_shape", code, source="netsuite", reason=f"a payment has the unknown status {code[:20]}")
    return RECEIVED[code]


@rule
def netsuite_payment_sentence(payment: Mapping[str, Any]) -> str:
    """What sales reads of a payment: how much of it came when, what it settles, what is left."""
    money = _name(payment.get("currency"), "refName")
    applied = [row for row in _rows(payment.get("apply")) if row.get("apply") is True]
    parts = [
        f"{_text(row.get('amount'))} for {row.get('refNum') or _name(row.get('doc'), 'refName') or 'a document'}"
        for row in applied[:NAMED_MOST]
    ]
    parts += [f"{len(applied) - NAMED_MOST} documents more"] if len(applied) > NAMED_MOST else []
    left = payment.get("unapplied")
    parts += [f"{_text(left)} is applied to nothing"] if left else []
    what = f"Payment {payment.get('tranId') or payment['id']} of {_text(payment.get('payment'))} {money}".strip()
    return f"{what} is in finance, dated {payment.get('tranDate')}: {'; '.join(parts) or 'applied to nothing'}."


def _rows(sublist: Any) -> Sequence[Mapping[str, Any]]:
    rows = sublist.get("items") if isinstance(sublist, Mapping) else None
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []


def _name(reference: Any, member: str) -> str:
    """A member of a reference or an enumeration, which may also be its plain code."""
    found = reference.get(member) if isinstance(reference, Mapping) else reference
    return found if isinstance(found, str) else ""


def _text(amount: Any) -> str:
    """An amount as people read it, to its digits; ``NeedsHuman('bad_amount')`` for what is none."""
    if isinstance(amount, bool) or not isinstance(amount, (int, Decimal)):
        raise NeedsHuman("bad_amount", f"{type(amount).__name__} is not an amount")
    exact = Decimal(amount)
    places = -int(exact.as_tuple().exponent)
    return f"{exact:,.{max(2, places)}f}"
