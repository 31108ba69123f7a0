"""Services: what Typist does, with Slack and the store. Each module is one behavior."""
