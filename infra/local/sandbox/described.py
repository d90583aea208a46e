"""What vendors say of their own fields: types and lengths by object, as their metadata tells them.

SAP's are those of its published EDMX files (`tests/contract` compares them). Business Central's lengths are those of
the tables below its API; a tenant's ``$metadata`` is the truth. Odoo's are those of its own models.
"""

from __future__ import annotations

S, D, G = "Edm.String", "Edm.Decimal", "Edm.Guid"
Properties = dict[str, tuple[str, int]]

SAP: dict[str, dict[str, tuple[Properties, tuple[str, ...]]]] = {
    "API_BUSINESS_PARTNER": {
        "A_BusinessPartnerType": ({
            "BusinessPartner": (S, 10), "BusinessPartnerCategory": (S, 1), "OrganizationBPName1": (S, 40),
            "OrganizationBPName2": (S, 40), "BusinessPartnerIDByExtSystem": (S, 20),
            "BusinessPartnerIsBlocked": ("Edm.Boolean", 0),
        }, ("to_BusinessPartnerAddress", "to_BusinessPartnerRole", "to_BusinessPartnerTax", "to_Customer")),
        "A_BusinessPartnerAddressType": ({
            "BusinessPartner": (S, 10), "AddressID": (S, 10), "Country": (S, 3), "CityName": (S, 40),
            "PostalCode": (S, 10), "StreetName": (S, 60), "StreetSuffixName": (S, 40), "Region": (S, 3),
            "Language": (S, 2),
        }, ("to_EmailAddress",)),
        "A_CustomerCompanyType": ({
            "Customer": (S, 10), "CompanyCode": (S, 4), "ReconciliationAccount": (S, 10), "PaymentTerms": (S, 4),
        }, ()),
        "A_BusinessPartnerTaxNumberType": ({
            "BusinessPartner": (S, 10), "BPTaxType": (S, 4), "BPTaxNumber": (S, 20),
        }, ()),
    },
    "API_SALES_ORDER_SRV": {
        "A_SalesOrderType": ({
            "SalesOrder": (S, 10), "SalesOrderType": (S, 4), "SalesOrganization": (S, 4), "DistributionChannel": (S, 2),
            "OrganizationDivision": (S, 2), "SoldToParty": (S, 10), "TransactionCurrency": (S, 5),
            "PurchaseOrderByCustomer": (S, 35),
        }, ("to_Item", "to_Partner", "to_PricingElement")),
        "A_SalesOrderItemType": ({
            "SalesOrder": (S, 10), "SalesOrderItem": (S, 6), "Material": (S, 40), "SalesOrderItemText": (S, 40),
            "RequestedQuantity": (D, 0), "RequestedQuantityUnit": (S, 3),
        }, ("to_PricingElement",)),
        "A_SalesOrderItemPrElementType": ({
            "ConditionType": (S, 4), "ConditionRateValue": (D, 0), "ConditionCurrency": (S, 5),
            "ConditionQuantity": (D, 0), "ConditionQuantityUnit": (S, 3),
        }, ()),
    },
    "API_GLACCOUNTLINEITEM": {"GLAccountLineItemType": ({"AssignmentReference": (S, 18), "Ledger": (S, 2)}, ())},
}  # fmt: skip

_DOCUMENT: Properties = {
    "id": (G, 0), "number": (S, 20), "externalDocumentNumber": (S, 35), "postingDate": ("Edm.Date", 0),
    "customerId": (G, 0), "currencyCode": (S, 10),
}  # fmt: skip
_LINE: Properties = {
    "id": (G, 0), "lineType": ("Microsoft.NAV.invoiceLineAggLineType", 0), "lineObjectNumber": (S, 20),
    "description": (S, 100), "quantity": (D, 0), "unitPrice": (D, 0), "taxCode": (S, 20),
}  # fmt: skip
BUSINESS_CENTRAL: dict[str, tuple[Properties, tuple[str, ...]]] = {
    "customer": ({
        "id": (G, 0), "number": (S, 20), "displayName": (S, 100), "type": ("Microsoft.NAV.contactType", 0),
        "addressLine1": (S, 100), "addressLine2": (S, 50), "city": (S, 30), "state": (S, 30), "country": (S, 10),
        "postalCode": (S, 20), "phoneNumber": (S, 30), "email": (S, 80), "taxRegistrationNumber": (S, 50),
        "currencyCode": (S, 10), "paymentTermsId": (G, 0), "blocked": ("Microsoft.NAV.customerBlocked", 0),
    }, ()),
    "salesInvoice": ({
        **_DOCUMENT, "invoiceDate": ("Edm.Date", 0), "dueDate": ("Edm.Date", 0),
        "customerPurchaseOrderReference": (S, 35),
    }, ("salesInvoiceLines",)),
    "salesInvoiceLine": (_LINE, ()),
    "salesCreditMemo": (
        {**_DOCUMENT, "creditMemoDate": ("Edm.Date", 0), "invoiceId": (G, 0)}, ("salesCreditMemoLines",)
    ),
    "salesCreditMemoLine": (_LINE, ()),
    "customerPayment": ({
        "id": (G, 0), "customerId": (G, 0), "postingDate": ("Edm.Date", 0), "documentNumber": (S, 20),
        "externalDocumentNumber": (S, 35), "amount": (D, 0), "appliesToInvoiceId": (G, 0), "description": (S, 100),
    }, ()),
}  # fmt: skip

#: Of Odoo's models: the type of a field, and whether the model wants it.
ODOO: dict[str, dict[str, tuple[str, bool]]] = {
    "res.partner": {
        "name": ("char", False), "ref": ("char", False), "email": ("char", False), "vat": ("char", False),
        "is_company": ("boolean", False), "autopost_bills": ("selection", True),
    },
    "account.move": {
        "move_type": ("selection", True), "partner_id": ("many2one", False), "invoice_date": ("date", False),
        "invoice_date_due": ("date", False), "date": ("date", True), "ref": ("char", False),
        "payment_reference": ("char", False), "currency_id": ("many2one", True), "company_id": ("many2one", False),
        "journal_id": ("many2one", True), "invoice_line_ids": ("one2many", False),
        "reversed_entry_id": ("many2one", False), "state": ("selection", True), "auto_post": ("selection", True),
    },
    "account.payment.register": {
        "payment_date": ("date", True), "amount": ("monetary", False), "communication": ("char", False),
        "journal_id": ("many2one", False), "currency_id": ("many2one", False),
    },
}  # fmt: skip

#: Types of Salesforce's own fields where they are not those of a text, a number or a reference.
SALESFORCE: dict[str, str] = {
    "Phone": "phone", "BillingStreet": "textarea", "BillingStateCode": "picklist", "BillingCountryCode": "picklist",
    "CurrencyIsoCode": "picklist", "StageName": "picklist", "Status": "picklist", "StatusCode": "picklist",
    "Sentence__c": "textarea", "Id": "id",
}  # fmt: skip
#: What nobody writes, and what must be there when a record is made.
SALESFORCE_OWN = frozenset({"Id", "SystemModstamp", "CreatedById", "LastModifiedById", "CreatedDate", "IsWon",
                            "LastStageChangeDate", "OrderNumber", "QuoteNumber"})  # fmt: skip
SALESFORCE_MUST = frozenset({("Account", "Name"), ("Opportunity", "Name"), ("Opportunity", "StageName"),
                             ("Opportunity", "CloseDate")})  # fmt: skip
