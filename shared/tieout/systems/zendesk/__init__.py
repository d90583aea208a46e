"""Zendesk: hears of what finance refused as tickets, shows a customer's finance status, and tells of its tickets."""
