"""What can be checked of Salesforce: what our user may do with each object and field, and the day's allowance of calls.

A *describe* shows an object as our user sees it, so that rights to write are known without writing.
"""

from __future__ import annotations

from typing import Final

from tieout.core.checkup import Checks, Limit, Metadata, Permission
from tieout.core.described import Reading

OBJECTS: Final = "/services/data/v67.0/sobjects"
FIELDS: Final = Reading(
    "rows", ("fields",), name="name", length="length",
    required={"nillable": False, "defaultedOnCreate": False, "createable": True},
    writable={"createable": True, "updateable": True},
)  # fmt: skip
TEXT: Final = "string(255)|textarea(255)"
#: The status object as our README has it made.
STATUS: Final = {
    "Key__c": "string(30)", "Account_Ref__c": TEXT, "Document__c": TEXT, "Status__c": "string(40)|picklist",
    "Sentence__c": "textarea(1000)", "Version__c": "double", "Updated_At__c": "datetime",
}  # fmt: skip
#: The account's own fields, and those that our README adds.
ACCOUNT: Final = {
    "TieoutKey__c": "string(30)", "Name": "string(255)", "Phone": "phone(40)|string(40)",
    "BillingStreet": "textarea(255)", "BillingCity": "string(40)", "BillingPostalCode": "string(20)",
    "BillingStateCode": "picklist",
    "BillingCountryCode": "picklist", "Selling_Entity__c": "string(10)|picklist",
    "Billing_Email__c": "string(80)|email(80)",
    "Payment_Terms__c": "string(20)|picklist", "Tax_Id__c": "string(40)",
}  # fmt: skip
#: The tables that hold quotes, by where an org keeps them (`quotes`).
QUOTES: Final = {
    "cpq": ("SBQQ__Quote__c", "SBQQ__QuoteLine__c"),
    "revenue_cloud": ("Quote", "QuoteLineItem", "Product2"),
    "orders": ("Order", "OrderItem", "Product2"),
}
WRITES: Final = ("write_accounts", ("on",))


def _describe(name: str) -> str:
    return f"{OBJECTS}/{name}/describe"


def _writes(name: str, when: tuple[str, tuple[str, ...]] | None = None) -> Permission:
    holds = {"createable": True, "updateable": True, "queryable": True}
    return Permission(f"may write {name}", _describe(name), holds=holds, writes=True, when=when)


def _reads(name: str, when: tuple[str, tuple[str, ...]] | None = None) -> Permission:
    return Permission(f"may read {name}", _describe(name), holds={"queryable": True}, when=when)


def _fields(kind: str, name: str, fields: dict[str, str], when: tuple[str, tuple[str, ...]] | None = None) -> Metadata:
    return Metadata(kind, "upsert", _describe(name), FIELDS, fields, when=when)


CHECKS = Checks(
    permissions=(
        _writes("Tieout_Status__c"),
        _writes("Account", WRITES),
        _reads("Account"),
        _reads("Opportunity"),
        _reads("OpportunityLineItem"),
        *(_reads(name, ("quotes", (where,))) for where, names in QUOTES.items() for name in names),
    ),
    limits=(Limit("calls of the day", "sforce-limit-info", r"api-usage=(?P<used>\d+)/(?P<of>\d+)"),),
    metadata=(
        _fields("status", "Tieout_Status__c", STATUS),
        _fields("ticket", "Tieout_Status__c", STATUS),
        _fields("customer", "Account", ACCOUNT, WRITES),
    ),
)
