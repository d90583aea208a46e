"""What can be checked of HubSpot: what our token may do, what is left of its calls, and the properties that we write.

A private app's token is told its scopes when it is shown; a portal says of each property what it is and whether its
value may be written. Which properties are mandatory is not among it.
"""

from __future__ import annotations

from typing import Final

from tieout.core.checkup import Checks, Limit, Metadata, Permission
from tieout.core.described import Reading

CRM: Final = "/crm/v3/objects"
STATUSES: Final = "p_tieout_status"
TABLES: Final = ("deals", "companies", "line_items", STATUSES)
#: The seven texts that the customer adds, on deals and on our own object.
NAMES: Final = ("tieout_key", "tieout_account", "tieout_document", "tieout_status", "tieout_sentence",
                "tieout_version", "tieout_updated_at")  # fmt: skip
FIELDS: Final = dict.fromkeys(NAMES, "string")
READING: Final = Reading("rows", ("results",), name="name", writable={"modificationMetadata.readOnlyValue": False})


def _scope(says: str, scope: str) -> Permission:
    return Permission(
        says, "/oauth/v2/private-apps/get/access-token-info", "POST", headers={"Content-Type": "application/json"},
        holds={"scopes": scope}, writes=True, sure=False, secret={"tokenKey": "access_token"},
    )  # fmt: skip


def _properties(table: str) -> Metadata:
    return Metadata(
        "status", "upsert", f"/crm/v3/properties/{table}", READING, FIELDS, inside="properties", on=f"on {table}"
    )


CHECKS = Checks(
    permissions=(
        _scope("may write deals", "crm.objects.deals.write"),
        _scope(f"may write {STATUSES}", "crm.objects.custom.write"),
        *(
            Permission(f"may read {one}", f"{CRM}/{one}?limit=1")
            for one in ("deals", "companies", "line_items", STATUSES)
        ),
    ),
    limits=(
        Limit("calls of the day", "x-hubspot-ratelimit-daily-remaining", whole="x-hubspot-ratelimit-daily"),
        Limit("calls of ten seconds", "x-hubspot-ratelimit-remaining", whole="x-hubspot-ratelimit-max"),
    ),
    metadata=(_properties("deals"), _properties(STATUSES)),
)
