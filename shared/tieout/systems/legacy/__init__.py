"""The legacy ERP: takes batches of records as CSV files with control totals, and acknowledges them by file."""
