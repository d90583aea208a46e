"""HubSpot: CRM. A source of deals and companies by signed webhook, each to be read again."""
