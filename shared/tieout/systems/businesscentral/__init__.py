"""Dynamics 365 Business Central: takes customers, invoices, credit memos and payments, and tells of new cards."""
