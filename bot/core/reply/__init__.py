"""From what a model writes to what Slack shows."""
