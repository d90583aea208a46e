"""Chargebee: billing. A source of invoices, credit notes, payments and customers."""
