"""Zuora: billing. A source of accounts, invoices, credit memos and payments by callout, each read again."""
