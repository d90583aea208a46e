"""Rules that shape what Xero takes and no field-by-field mapping can: what a credit note is allocated to."""

from __future__ import annotations

from typing import Any

from tieout.core.clocks import PostingDate
from tieout.core.money import Money
from tieout.core.rules.registry import rule


@rule
def xero_allocates(invoice: str, amount: Money, day: PostingDate) -> list[dict[str, Any]]:
    """The allocation to one invoice, named by its id: the amount is the most, what is open of the invoice the limit."""
    return [{"Invoice": {"InvoiceID": invoice}, "Amount": amount.decimal, "Date": day.iso}]
