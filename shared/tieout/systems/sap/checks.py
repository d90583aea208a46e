"""What can be checked of SAP S/4HANA Cloud: the services that our communication arrangements open, and their metadata.

Each service is asked for a row of what we use. The journal service is asked in simulation for an entry that no company
could take: its own log is the answer, nothing is written, and a missing arrangement is refused before. Whether the
other services let us write is not told. OData tells types and lengths, and of mandatory fields the keys alone.
"""

from __future__ import annotations

from typing import Final

from tieout.core.checkup import Checks, Metadata, Permission
from tieout.core.described import Reading
from tieout.systems.sap import journal

ODATA: Final = "/sap/opu/odata/sap"
ACCEPT: Final = {"Accept": "application/json"}
PARTNER: Final = {
    "BusinessPartnerCategory": "Edm.String(1)", "OrganizationBPName1": "Edm.String(40)",
    "OrganizationBPName2": "Edm.String(40)", "BusinessPartnerIDByExtSystem": "Edm.String(16)",
}  # fmt: skip
ADDRESS: Final = {
    "Country": "Edm.String(2)", "CityName": "Edm.String(40)", "PostalCode": "Edm.String(10)",
    "StreetName": "Edm.String(60)", "StreetSuffixName": "Edm.String(40)", "Region": "Edm.String(3)",
    "Language": "Edm.String(2)",
}  # fmt: skip
COMPANY: Final = {"CompanyCode": "Edm.String(4)", "ReconciliationAccount": "Edm.String(10)",
                  "PaymentTerms": "Edm.String(4)"}  # fmt: skip
TAX: Final = {"BPTaxType": "Edm.String(3)", "BPTaxNumber": "Edm.String(20)"}
ORDER: Final = {
    "SalesOrderType": "Edm.String(4)", "SalesOrganization": "Edm.String(4)", "DistributionChannel": "Edm.String(2)",
    "OrganizationDivision": "Edm.String(2)", "SoldToParty": "Edm.String(10)", "TransactionCurrency": "Edm.String(3)",
    "PurchaseOrderByCustomer": "Edm.String(16)",
}  # fmt: skip
ITEM: Final = {"Material": "Edm.String(40)", "SalesOrderItemText": "Edm.String(40)",
               "RequestedQuantity": "Edm.Decimal", "RequestedQuantityUnit": "Edm.String(3)"}  # fmt: skip
PRICE: Final = {
    "ConditionType": "Edm.String(4)", "ConditionRateValue": "Edm.Decimal", "ConditionCurrency": "Edm.String(3)",
    "ConditionQuantity": "Edm.Decimal", "ConditionQuantityUnit": "Edm.String(3)",
}  # fmt: skip
#: A day and a company code that no tenant has open.
NOWHERE: Final = {
    "currency": "EUR", "created": "2000-01-01T00:00:00Z", "AccountingDocumentType": "SA", "CompanyCode": "0000",
    "DocumentDate": "2000-01-01", "PostingDate": "2000-01-01", "DocumentHeaderText": "check", "CreatedByUser": "CHECK",
}  # fmt: skip


def _read(service: str, entities: str) -> Permission:
    return Permission(
        f"may read {entities}",
        f"{ODATA}/{service}/{entities}?$top=1",
        headers=ACCEPT,
        untold=entities != "GLAccountLineItem",
    )


def _metadata(
    action: tuple[str, str], service: str, entity: str, fields: dict[str, str], inside: str = "", *skip: str
) -> Metadata:
    reading = Reading("edmx", name=entity, type="Type", length="MaxLength")
    path = f"{ODATA}/{service}/$metadata"
    return Metadata(*action, path, reading, fields, inside, headers={"Accept": "application/xml"}, skip=skip)


CUSTOMER, UNDO, QUOTE = ("customer", "upsert"), ("customer", "undo"), ("quote", "create")
CHECKS = Checks(
    permissions=(
        _read("API_BUSINESS_PARTNER", "A_BusinessPartner"),
        _read("API_SALES_ORDER_SRV", "A_SalesOrder"),
        _read("API_GLACCOUNTLINEITEM", "GLAccountLineItem"),
        Permission(
            "may post journal entries (in simulation)", journal.PATH, "POST",
            journal.envelope("TIEOUT-CHECK", NOWHERE).replace(journal.REAL, journal.TEST), journal.HEADERS,
            proof=b"JournalEntryBulkCreateConfirmation", writes=True, when=("simulate", ("", "yes")),
        ),
    ),
    metadata=(
        _metadata(CUSTOMER, "API_BUSINESS_PARTNER", "A_BusinessPartnerType", PARTNER, "",
                  "Address", "TaxNumber", "Company"),
        _metadata(CUSTOMER, "API_BUSINESS_PARTNER", "A_BusinessPartnerAddressType", ADDRESS, "Address"),
        _metadata(CUSTOMER, "API_BUSINESS_PARTNER", "A_CustomerCompanyType", COMPANY, "Company"),
        _metadata(CUSTOMER, "API_BUSINESS_PARTNER", "A_BusinessPartnerTaxNumberType", TAX, "TaxNumber"),
        _metadata(UNDO, "API_BUSINESS_PARTNER", "A_BusinessPartnerType", {"BusinessPartnerIsBlocked": "Edm.Boolean"}),
        _metadata(QUOTE, "API_SALES_ORDER_SRV", "A_SalesOrderType", ORDER),
        _metadata(QUOTE, "API_SALES_ORDER_SRV", "A_SalesOrderItemType", ITEM, "to_Item.results"),
        _metadata(QUOTE, "API_SALES_ORDER_SRV", "A_SalesOrderItemPrElementType", PRICE,
                  "to_Item.results.to_PricingElement.results"),
    ),
)  # fmt: skip
