"""Salesforce, the CRM: tells of won opportunities, and shows its people what became of them."""
