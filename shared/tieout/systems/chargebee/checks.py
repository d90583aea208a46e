"""What can be checked of Chargebee: reads of what we write."""

from __future__ import annotations

from tieout.core.checkup import Checks, Permission

CHECKS = Checks(
    permissions=(
        Permission("may read customers", "/api/v2/customers?limit=1", untold=True),
        Permission("may read subscriptions", "/api/v2/subscriptions?limit=1", untold=True),
        Permission("may read events", "/api/v2/events?limit=1"),
    ),
)
