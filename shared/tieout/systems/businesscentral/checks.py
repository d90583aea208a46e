"""What can be checked of Business Central: reads of what we write and look at, and the tenant's own ``$metadata``.

An application is not told what its permission sets let it write. OData tells types and lengths; what is mandatory is a
matter of the pages, and not told.
"""

from __future__ import annotations

from typing import Final

from tieout.core.checkup import Checks, Metadata, Permission
from tieout.core.described import Reading

ACCEPT: Final = {"Accept": "application/json"}
TEXT: Final = "Edm.String"
CUSTOMER: Final = {
    "number": "Edm.String(20)", "displayName": "Edm.String(100)", "addressLine1": TEXT, "addressLine2": TEXT,
    "city": TEXT, "state": TEXT, "postalCode": TEXT, "country": TEXT, "email": TEXT, "phoneNumber": TEXT,
    "taxRegistrationNumber": TEXT, "currencyCode": "Edm.String(3)", "paymentTermsId": "Edm.Guid",
}  # fmt: skip
DOCUMENT: Final = {"postingDate": "Edm.Date", "customerId": "Edm.Guid", "currencyCode": "Edm.String(3)",
                   "externalDocumentNumber": "Edm.String(30)"}  # fmt: skip
INVOICE: Final = {**DOCUMENT, "invoiceDate": "Edm.Date", "dueDate": "Edm.Date", "customerPurchaseOrderReference": TEXT}
CREDIT: Final = {**DOCUMENT, "creditMemoDate": "Edm.Date", "invoiceId": "Edm.Guid"}
LINE: Final = {"lineObjectNumber": TEXT, "description": TEXT, "quantity": "Edm.Decimal", "unitPrice": "Edm.Decimal",
               "taxCode": TEXT}  # fmt: skip
PAYMENT: Final = {
    "customerId": "Edm.Guid", "postingDate": "Edm.Date", "amount": "Edm.Decimal", "appliesToInvoiceId": "Edm.Guid",
    "description": TEXT, "externalDocumentNumber": "Edm.String(30)",
}  # fmt: skip


def _metadata(kind: str, action: str, entity: str, fields: dict[str, str], inside: str = "", *skip: str) -> Metadata:
    reading = Reading("edmx", name=entity, type="Type", length="MaxLength")
    headers = {"Accept": "application/xml"}
    return Metadata(kind, action, "/$metadata", reading, fields, inside, headers=headers, skip=skip)


CHECKS = Checks(
    permissions=tuple(
        Permission(f"may read {entity}", f"/companies({{company_id}})/{entity}?$top=1", headers=ACCEPT,
                   untold=entity != "generalLedgerEntries")
        for entity in ("customers", "salesInvoices", "salesCreditMemos", "customerPaymentJournals",
                       "generalLedgerEntries")
    ),
    metadata=(
        _metadata("customer", "upsert", "customer", CUSTOMER),
        _metadata("customer", "undo", "customer", {}),
        _metadata("invoice", "create", "salesInvoice", INVOICE),
        _metadata("invoice", "create", "salesInvoiceLine", LINE, "salesInvoiceLines"),
        _metadata("invoice", "void", "salesCreditMemo", CREDIT),
        _metadata("credit_note", "create", "salesCreditMemo", CREDIT),
        _metadata("credit_note", "create", "salesCreditMemoLine", LINE, "salesCreditMemoLines"),
        _metadata("payment", "create", "customerPayment", PAYMENT, "", "balancingAccountId"),
    ),
)  # fmt: skip
