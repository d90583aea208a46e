"""Snowflake: holds what the books accepted, one row a document, for those who ask questions of it."""
