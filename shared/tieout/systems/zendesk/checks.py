"""What can be checked of Zendesk: reads of what we write, and what is left of the minute's calls."""

from __future__ import annotations

from tieout.core.checkup import Checks, Limit, Permission

ACCEPT = {"Accept": "application/json"}
CHECKS = Checks(
    permissions=(
        Permission("may read tickets", "/api/v2/tickets?external_id=none", headers=ACCEPT, untold=True),
        Permission(
            "may read organizations", "/api/v2/organizations/search?external_id=none", headers=ACCEPT, untold=True
        ),
    ),
    limits=(Limit("calls of the minute", "x-rate-limit-remaining", whole="x-rate-limit"),),
)
