"""What can be checked of AvaTax: that our key sees companies. It describes no account's own fields."""

from __future__ import annotations

from tieout.core.checkup import Checks, Permission
from tieout.systems.avalara.target import HEADERS

CHECKS = Checks(
    permissions=(Permission("may read companies", "/api/v2/companies?$top=1", headers=HEADERS, untold=True),)
)
