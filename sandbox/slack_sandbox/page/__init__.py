"""The page: its HTTP routes, what it shows of messages and calls, and the JavaScript that shows it (static/)."""
