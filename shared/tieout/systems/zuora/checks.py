"""What can be checked of Zuora: reads of every object that a callout names, and of the history of callouts.

We write nothing there, and Zuora describes no tenant's own fields to a reader.
"""

from __future__ import annotations

from tieout.core.checkup import Checks, Permission
from tieout.systems.zuora.reader import HISTORY, VERSION

HEADERS = {"Zuora-Version": VERSION}
CHECKS = Checks(
    permissions=(
        *(
            Permission(f"may read {listed}", f"/object-query/{listed}?pageSize=1", headers=HEADERS)
            for listed in ("accounts", "invoices", "credit-memos", "payments")
        ),
        Permission("may read the history of callouts", f"{HISTORY}?pageSize=1", headers=HEADERS,
                   holds={"success": True}),
    ),
)  # fmt: skip
