"""QuickBooks Online: accounting of smaller entities."""
