"""What can be checked of Stripe: reads of what we write. It publishes no description of an account's own fields."""

from __future__ import annotations

from tieout.core.checkup import Checks, Permission

CHECKS = Checks(
    permissions=(
        Permission("may read customers", "/v1/customers?limit=1", untold=True),
        Permission("may read subscriptions", "/v1/subscriptions?limit=1", untold=True),
        *(
            Permission(f"may read {listed.replace('_', ' ')}", f"/v1/{listed}?limit=1")
            for listed in ("invoices", "credit_notes", "balance_transactions", "events")
        ),
    ),
)
