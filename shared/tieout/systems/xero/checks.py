"""What can be checked of Xero: reads of what we write, and what is left of the minute and the day."""

from __future__ import annotations

from tieout.core.checkup import Checks, Limit, Permission

API = "/api.xro/2.0"
ACCEPT = {"Accept": "application/json"}
CHECKS = Checks(
    permissions=tuple(
        Permission(f"may read {listed}", f"{API}/{listed}?page=1&pageSize=1", headers=ACCEPT, untold=True)
        for listed in ("Contacts", "Invoices", "CreditNotes", "Payments")
    ),
    limits=(
        Limit("calls of the minute", "x-minlimit-remaining"),
        Limit("calls of the day", "x-daylimit-remaining"),
    ),
    settings={"xero-tenant-id": "tenant_id"},
)
