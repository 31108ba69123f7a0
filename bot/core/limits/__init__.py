"""Access control, caps, prices and the report of usage."""
