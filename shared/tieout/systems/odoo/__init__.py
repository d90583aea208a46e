"""Odoo 19 and later, the open-source ERP: takes customers, invoices, credit notes and payments."""
