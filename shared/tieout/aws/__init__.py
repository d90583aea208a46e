"""The only room that knows AWS: adapters behind the ports of ``work``, settings, wiring."""
