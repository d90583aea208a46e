"""The extract: what the books accepted, as immutable files on a drop that a warehouse or a lake loads from."""
