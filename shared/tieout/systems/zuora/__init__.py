"""Zuora: billing. A source of invoices, credit memos and payments by callout, each to be read again."""
