"""Access control, caps, own prices and the report of usage."""
