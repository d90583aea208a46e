"""SAP S/4HANA Cloud: takes business partners, sales orders, and everything with a posting date as journal entries."""
