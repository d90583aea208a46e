"""Rules that shape what QuickBooks Online takes and no field-by-field mapping can: what is applied to what."""

from __future__ import annotations

from typing import Any

from tieout.core.documents import Payment
from tieout.core.rules.registry import rule


@rule
def quickbooks_settles(invoice: str, payment: Payment) -> list[dict[str, Any]]:
    """The line that settles one invoice, named by its id; what it does not settle stays unapplied."""
    settled = payment.allocations[0].amount if payment.allocations else payment.amount
    return [{"Amount": settled.decimal, "LinkedTxn": [{"TxnId": invoice, "TxnType": "Invoice"}]}]


@rule
def quickbooks_credits(invoice: str) -> list[dict[str, Any]]:
    """The invoice that a credit memo is applied to, named by its id."""
    return [{"TxnId": invoice, "TxnType": "Invoice"}]
