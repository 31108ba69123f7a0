"""The page: its HTTP routes, its view of messages and calls, and its JavaScript (static/)."""
