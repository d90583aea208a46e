"""What can be checked of Business Central: reads of what we write, in the company that is meant."""

from __future__ import annotations

from tieout.core.checkup import Checks, Permission

ACCEPT = {"Accept": "application/json"}
CHECKS = Checks(
    permissions=tuple(
        Permission(f"may read {entity}", f"/companies({{company_id}})/{entity}?$top=1", headers=ACCEPT)
        for entity in ("customers", "salesInvoices", "salesCreditMemos", "customerPaymentJournals")
    ),
)
