"""HubSpot: a CRM. A source of won deals by signed webhook, each read again, and a target for what became of them."""
