"""What can be checked of HubSpot: reads of what we write."""

from __future__ import annotations

from tieout.core.checkup import Checks, Permission

CRM = "/crm/v3/objects"
CHECKS = Checks(
    permissions=(
        Permission("may read deals", f"{CRM}/deals?limit=1"),
        Permission("may read companies", f"{CRM}/companies?limit=1"),
    ),
)
