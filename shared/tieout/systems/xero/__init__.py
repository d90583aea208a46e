"""Xero, the accounting system of smaller entities: takes customers, invoices, credit notes and payments."""
