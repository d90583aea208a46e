"""Rehearsals against real third-party systems, run as processes of their own on this machine."""
