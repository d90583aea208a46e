"""What can be checked of QuickBooks Online: reads of what we write. It describes no company's own fields."""

from __future__ import annotations

from urllib.parse import quote

from tieout.core.checkup import Checks, Permission


def _read(entity: str) -> Permission:
    where = "Active in (true, false)" if entity == "Customer" else "TxnDate = '1970-01-01'"
    text = quote(f"select * from {entity} where {where} startposition 1 maxresults 1", safe="")
    path = f"/query?query={text}&minorversion=75"
    return Permission(f"may read {entity}", path, headers={"Accept": "application/json"}, untold=True)


CHECKS = Checks(permissions=tuple(_read(entity) for entity in ("Customer", "Invoice", "CreditMemo", "Payment")))
