"""What can be checked of Tryton: reads of what we write. REST describes no model's fields."""

from __future__ import annotations

from tieout.core.checkup import Checks, Permission

CHECKS = Checks(
    permissions=tuple(
        Permission(f"may read {model}", f"/rest/model/{model}?s=1&f=id", untold=True)
        for model in ("party.party", "account.invoice", "account.move")
    ),
)
