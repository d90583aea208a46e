"""Tryton, a free ERP that runs on one's own machine: takes customers, invoices, credit notes and payments over REST."""
