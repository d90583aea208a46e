"""Where an org keeps its quotes, as profiles over one shape: the CPQ package, Revenue Cloud, or Revenue Cloud's orders.

An org says which by ``settings.quotes`` of its account; without it quotes are none of our business. A profile is data:
the tables, the name of each of our members there, and when the thing is agreed. Our members are those of the mapping
``salesforce.quote``. CPQ is a managed package without a public description: its names are those of its own guide and of
public code, and are not verified on an org.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tieout.core.exchange import member
from tieout.core.verdicts import Ignore, NeedsHuman

#: What every profile has under its own name.
SHARED: Final[Mapping[str, str]] = {
    "Id": "Id", "CreatedDate": "CreatedDate", "SystemModstamp": "SystemModstamp", "CurrencyIsoCode": "CurrencyIsoCode",
}  # fmt: skip


@dataclass(frozen=True)
class Profile:
    """One way of keeping quotes.

    ``head`` and ``line`` name our members there. ``agreed`` is the member and value of a quote that was agreed;
    ``anew`` the member and values of one that stands for itself: any other changes what was agreed before. Lines for
    which ``unless`` is true were offered and not taken.
    """

    table: str
    lines: str
    parent: str
    head: Mapping[str, str]
    line: Mapping[str, str]
    agreed: tuple[str, Any]
    anew: tuple[str, tuple[Any, ...]] | None = None
    unless: str = ""

    @property
    def listed(self) -> str:
        """What a listing asks of a quote: that it was agreed."""
        name, value = self.agreed
        return f"{self.head[name]} = {'true' if value is True else repr(value)}"

    def read(self, row: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
        """A record under our names; what it does not show is left out."""
        found = {ours: member(row, *theirs.split(".")) for ours, theirs in names.items()}
        return {ours: value for ours, value in found.items() if value is not None}

    def check(self, quote: Mapping[str, Any]) -> None:
        """Raises ``Ignore`` for a quote that was not agreed, ``NeedsHuman('quote_amends')`` for a change of one."""
        name, value = self.agreed
        if quote.get(name) != value:
            raise Ignore("not_for_us", "not agreed", reason="the quote is not accepted or ordered")
        if self.anew and quote.get(self.anew[0]) not in self.anew[1]:
            kind = str(quote.get(self.anew[0]))[:40]
            raise NeedsHuman("quote_amends", f"{self.anew[0]} is {kind}", number=str(quote.get("Number")), type=kind)


PROFILES: Final[Mapping[str, Profile]] = {
    "cpq": Profile(
        "SBQQ__Quote__c", "SBQQ__QuoteLine__c", "SBQQ__Quote__c",
        head={
            **SHARED, "Number": "Name", "AccountId": "SBQQ__Account__c", "OpportunityId": "SBQQ__Opportunity2__c",
            "Entity": "SBQQ__Opportunity2__r.Selling_Entity__c", "Amount": "SBQQ__NetAmount__c",
            "ValidUntil": "SBQQ__ExpirationDate__c", "Terms": "SBQQ__PaymentTerms__c", "Ordered": "SBQQ__Ordered__c",
            "Type": "SBQQ__Type__c",
        },
        line={
            "Id": "Id", "ProductCode": "SBQQ__ProductCode__c", "Description": "SBQQ__ProductName__c",
            "Quantity": "SBQQ__Quantity__c", "ListPrice": "SBQQ__ListPrice__c", "Net": "SBQQ__NetTotal__c",
            "Billed": "SBQQ__BillingFrequency__c", "From": "SBQQ__StartDate__c", "To": "SBQQ__EndDate__c",
            "Optional": "SBQQ__Optional__c",
        },
        agreed=("Ordered", True), anew=("Type", ("Quote", "Renewal", "Re-Quote", None)), unless="Optional",
    ),
    "revenue_cloud": Profile(
        "Quote", "QuoteLineItem", "QuoteId",
        head={
            **SHARED, "Number": "QuoteNumber", "AccountId": "AccountId", "OpportunityId": "OpportunityId",
            "Entity": "Opportunity.Selling_Entity__c", "Amount": "TotalPrice", "ValidUntil": "ExpirationDate",
            "Status": "Status",
        },
        line={
            "Id": "Id", "ProductCode": "Product2.ProductCode", "Description": "Product2.Name", "Quantity": "Quantity",
            "ListPrice": "ListPrice", "Net": "TotalPrice", "Billed": "BillingFrequency", "From": "StartDate",
            "To": "EndDate",
        },
        agreed=("Status", "Accepted"),
    ),
    "orders": Profile(
        "Order", "OrderItem", "OrderId",
        head={
            **SHARED, "Number": "OrderNumber", "AccountId": "AccountId", "Entity": "Account.Selling_Entity__c",
            "Amount": "TotalAmount", "Status": "StatusCode", "Reduces": "IsReductionOrder",
        },
        line={
            "Id": "Id", "ProductCode": "Product2.ProductCode", "Description": "Product2.Name", "Quantity": "Quantity",
            "ListPrice": "ListPrice", "Net": "TotalPrice", "From": "ServiceDate", "To": "EndDate",
        },
        agreed=("Status", "Activated"), anew=("Reduces", (False, None)),
    ),
}  # fmt: skip


def profile_of(settings: Mapping[str, str]) -> Profile | None:
    """The org's profile; ``None`` where quotes are off. Raises ``source_unreadable`` for a word that is none."""
    name = settings.get("quotes", "off")
    if name == "off":
        return None
    if name not in PROFILES:
        said = f"the setting quotes: {name[:40]}; there are {', '.join(PROFILES)} and off"
        raise NeedsHuman("source_unreadable", "no such profile", said=said)
    return PROFILES[name]
