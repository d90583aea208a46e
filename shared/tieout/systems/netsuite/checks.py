"""What can be checked of NetSuite: reads of what we write, and the record catalogue of the account itself."""

from __future__ import annotations

from typing import Final

from tieout.core.checkup import Checks, Metadata, Permission

RECORDS: Final = "/services/rest/record/v1"
SCHEMA: Final = {"Accept": "application/schema+json"}


def _catalogue(kind: str, action: str, record: str) -> Metadata:
    path = f"{RECORDS}/metadata-catalog/{record}"
    return Metadata(kind, action, path, members=("properties",), headers=SCHEMA)


CHECKS = Checks(
    permissions=tuple(
        Permission(f"may read {record} records", f"{RECORDS}/{record}?limit=1")
        for record in ("customer", "invoice", "creditMemo", "customerPayment")
    ),
    metadata=(
        _catalogue("customer", "upsert", "customer"),
        _catalogue("invoice", "create", "invoice"),
        _catalogue("credit_note", "create", "creditMemo"),
        _catalogue("payment", "create", "customerPayment"),
    ),
)
