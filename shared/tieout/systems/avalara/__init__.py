"""Avalara AvaTax: estimates tax for flows, and records the tax of what the books have accepted."""
