"""From people's messages to a model's prompt."""
