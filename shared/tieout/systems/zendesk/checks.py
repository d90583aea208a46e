"""What can be checked of Zendesk: reads of what we write."""

from __future__ import annotations

from tieout.core.checkup import Checks, Permission

ACCEPT = {"Accept": "application/json"}
CHECKS = Checks(
    permissions=(
        Permission("may read tickets", "/api/v2/tickets?external_id=none", headers=ACCEPT),
        Permission("may read organizations", "/api/v2/organizations/search?external_id=none", headers=ACCEPT),
    ),
)
