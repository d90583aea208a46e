"""Stripe, the billing system: tells of invoices, payments and credit notes; takes customers and subscriptions."""
