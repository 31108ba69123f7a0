"""From a model's text to its display in Slack."""
