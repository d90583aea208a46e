"""Dynamics 365 Business Central: takes customers, invoices, credit memos and payments of one company."""
