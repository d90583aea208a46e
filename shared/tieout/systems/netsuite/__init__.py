"""NetSuite, the cloud ERP: takes customers, invoices, credit memos and payments over SuiteTalk REST."""
