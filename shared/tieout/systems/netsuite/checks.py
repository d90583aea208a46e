"""What can be checked of NetSuite: reads of every record and query that we use, and the account's own record catalogue.

NetSuite tells nobody what a role may write, and its catalogue neither lengths nor what is mandatory. How many calls at
once the account allows is the target's own question (`allows`).
"""

from __future__ import annotations

from typing import Final

from tieout.core.checkup import Checks, Metadata, Permission
from tieout.core.described import Reading

RECORDS: Final = "/services/rest/record/v1"
SCHEMA: Final = {"Accept": "application/schema+json"}
JSON: Final = {"Content-Type": "application/json", "Accept": "application/json", "Prefer": "transient"}
READING: Final = Reading("keys", ("properties",))
#: Of each record type: the kind and action that write it, and what its fields are.
COMMON: Final = {"tranDate": "date", "subsidiary": "object", "currency": "object", "memo": "string"}
SALE: Final = {**COMMON, "entity": "object"}
CUSTOMER: Final = {
    "companyName": "string", "isPerson": "boolean", "subsidiary": "object", "currency": "object", "terms": "object",
    "email": "string", "phone": "string", "vatRegNumber": "string", "comments": "string", "externalId": "string",
}  # fmt: skip
PAYMENT: Final = {"customer": "object", "tranDate": "date", "currency": "object", "payment": "number", "memo": "string",
                  "autoApply": "boolean"}  # fmt: skip
WRITTEN: Final = (
    ("customer", "upsert", "customer", CUSTOMER),
    ("customer", "undo", "customer", {"isInactive": "boolean", "comments": "string"}),
    ("invoice", "create", "invoice", {**SALE, "dueDate": "date", "otherRefNum": "string"}),
    ("invoice", "void", "creditMemo", SALE),
    ("credit_note", "create", "creditMemo", SALE),
    ("payment", "create", "customerPayment", PAYMENT),
    ("quote", "create", "salesOrder", {**SALE, "otherRefNum": "string"}),
    ("journal_entry", "create", "journalEntry", COMMON),
)


def _catalogue(kind: str, action: str, record: str, fields: dict[str, str]) -> Metadata:
    path = f"{RECORDS}/metadata-catalog/{record}"
    return Metadata(kind, action, path, READING, fields, headers=SCHEMA)


CHECKS = Checks(
    permissions=(
        *(
            Permission(f"may read {record} records", f"{RECORDS}/{record}?limit=1", untold=True)
            for record in dict.fromkeys(record for _, _, record, _ in WRITTEN)
        ),
        Permission(
            "may query (SuiteQL)", "/services/rest/query/v1/suiteql?limit=1", "POST",
            b'{"q": "SELECT id FROM customer"}', JSON,
        ),
    ),
    metadata=tuple(_catalogue(*one) for one in WRITTEN),
)  # fmt: skip
