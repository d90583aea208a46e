"""What can be checked of SAP S/4HANA Cloud: reads of the services that our communication arrangements open."""

from __future__ import annotations

from tieout.core.checkup import Checks, Permission

ODATA = "/sap/opu/odata/sap"
CHECKS = Checks(
    permissions=tuple(
        Permission(
            f"may read {entities}", f"{ODATA}/{service}/{entities}?$top=1", headers={"Accept": "application/json"}
        )
        for service, entities in (
            ("API_BUSINESS_PARTNER", "A_BusinessPartner"),
            ("API_SALES_ORDER_SRV", "A_SalesOrder"),
        )
    ),
)
